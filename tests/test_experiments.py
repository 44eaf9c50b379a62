"""The scripts beside the experiments' recipes print a line of results."""

import csv
import json
import sys

import pytest

from mixtext.environment import made_by
from tests.conftest import script

pytestmark = pytest.mark.slow


@pytest.fixture
def line(monkeypatch, capsys):
    """A script and its arguments → the line that it prints."""

    def run(name, *arguments):
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        script(f"experiments/{name}.py").main()
        return json.loads(capsys.readouterr().out)

    return run


@pytest.fixture
def quick(encoder):
    """Settings that make a training one of seconds."""
    layers = ("mixtext.layers=[7]", "mixtext.contrast_passes=1", "training.steps=2")
    return (
        f"model.encoder={encoder}",
        "model.max_length=16",
        "training.precision=float32",
        *layers,
    )


def test_ablation_scores_rows_that_nothing_is_learned_from(line, quick, corpus_file):
    sizes = ("--held", 30, "--pool", 20)
    found = line("ablation", corpus_file, 0, "data.labels_per_class=4", *quick, *sizes)
    assert found["rows"] == 30 and found["scored_on"] == "held-out training rows"
    assert 0 <= found["accuracy"] <= 100 and 0 <= found["guesses_last"] <= 100
    assert found["mixtext"] == made_by()


def test_the_parts_of_the_ablation_can_be_written(monkeypatch, corpus_file, tmp_path):
    out = tmp_path / "parts"
    arguments = ["ablation", str(corpus_file), "0", "--held", "30", "--write", str(out)]
    monkeypatch.setattr(sys, "argv", arguments)
    script("experiments/ablation.py").main()
    train, test = (
        {(x["text"], x["label"]) for x in csv.DictReader((out / f"{name}.csv").open())}
        for name in ("train", "test")
    )
    whole = {(x["text"], x["label"]) for x in csv.DictReader(corpus_file.open())}
    assert len(test) == 30 and not train & test and train | test == whole


def test_natural_labels_are_as_many_as_chance_gives(line, quick, corpus_file):
    sizes = ("--labels", 20, "--rows", 50, "--held", 30)
    found = line("natural", corpus_file, 0, *quick, *sizes)
    assert (found["labels"], found["rows"], found["scored"]) == (20, 50, 30)
    assert {"frozen", "mixtext"} <= found.keys() and found["classes"] == 3
    assert found["by"] == made_by()
