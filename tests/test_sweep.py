"""Sweeps, and the recipes of the survey."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from mixtext.active.folder import begin_active
from mixtext.api import load_recipe, train
from mixtext.cli import main
from mixtext.data.read.catalogue import CATALOGUE
from mixtext.errors import InputError
from mixtext.recipe import dump_recipe
from mixtext.sweep import parse_axis, sweep

pytestmark = pytest.mark.slow

SURVEY = Path(__file__).parents[1] / "experiments" / "survey"
RECIPES = sorted(SURVEY.glob("*.toml"))


@pytest.fixture
def small(tiny, tmp_path):
    path = tmp_path / "small.toml"
    path.write_text(dump_recipe(tiny()), encoding="utf-8")
    return path


# ---- axes


def test_an_axis_of_values():
    assert parse_axis("method=tmix, supervised") == [
        ("tmix", ["method=tmix"]),
        ("supervised", ["method=supervised"]),
    ]


def test_fields_that_take_the_same_value():
    [(label, overrides)] = parse_axis("data.split_seed+training.seed=3")
    assert label == "3" and overrides == ["data.split_seed=3", "training.seed=3"]


def test_values_that_hold_commas_are_a_toml_list():
    axis = parse_axis("manifold_mixup.layers=[[0], [1, 2]]")
    assert [x for _, [x] in axis] == ["manifold_mixup.layers=[0]", "manifold_mixup.layers=[1, 2]"]
    assert len({label for label, _ in axis}) == 2


@pytest.mark.parametrize("text", ["method", "method=", "tmix.layers=[[0]", "=,"])
def test_what_is_no_axis_is_refused(text):
    with pytest.raises(InputError, match="--vary") as refusal:
        parse_axis(text)
    assert text in str(refusal.value)


# ---- sweeps


def test_every_combination_is_a_run_and_a_second_call_trains_nothing(small, tmp_path, capsys):
    axes = ["method=supervised,tmix", "data.split_seed+training.seed=0,1"]
    results = sweep(small, ["training.steps=2"], axes, tmp_path / "out").results
    made = [(x["method"], x["split_seed"], x["seed"], x["steps"]) for x in results]
    assert made == [(m, s, s, 2) for m in ("supervised", "tmix") for s in (0, 1)]
    folder = tmp_path / "out" / "tmix-1"
    assert load_recipe(folder / "recipe.toml").method.name == "tmix"
    assert not (folder / "model").exists() and not (folder / "checkpoints").exists()
    lines = (tmp_path / "out" / "results.jsonl").read_text().splitlines()
    assert [json.loads(x) for x in lines] == results
    before = (folder / "metrics.jsonl").stat().st_mtime_ns
    assert sweep(small, ["training.steps=2"], axes, tmp_path / "out").results == results
    assert (folder / "metrics.jsonl").stat().st_mtime_ns == before
    # A run of an earlier version, which did not know a field yet, is the same run.
    recipe = folder / "recipe.toml"
    lines = recipe.read_text(encoding="utf-8").splitlines(keepends=True)
    recipe.write_text("".join(x for x in lines if "by_length" not in x), encoding="utf-8")
    assert sweep(small, ["training.steps=2"], axes, tmp_path / "out").results == results
    with pytest.raises(InputError, match="another recipe"):
        sweep(small, ["training.steps=2", "training.by_length=all"], axes, tmp_path / "out")
    # The same run by itself gives the same numbers.
    alone = train(load_recipe(folder / "recipe.toml"), folder=tmp_path / "alone", quiet=True)
    assert alone["test"] == results[-1]["test"]


def test_a_folder_that_holds_something_else_is_left_alone(small, tmp_path):
    says = {"recipe.toml": "a run of its own", "results.jsonl": "no run of a sweep"}
    for name, told in says.items():
        folder = tmp_path / name.partition(".")[0]
        folder.mkdir()
        (folder / name).write_text("kept", encoding="utf-8")
        with pytest.raises(InputError, match=f"{told}.* with --run"):
            sweep(small, [], ["method=supervised,tmix"], folder)
        assert [x.read_text(encoding="utf-8") for x in folder.iterdir()] == ["kept"]


def test_a_run_can_begin_with_the_model_of_its_seed(small, tmp_path):
    seeds = "data.split_seed+training.seed=0,1"
    first = sweep(small, ["training.steps=2"], [seeds], tmp_path / "1", keep_models=True).results
    assert (tmp_path / "1" / "0" / "model").is_dir()
    assert not (tmp_path / "1" / "0" / "checkpoints").exists()
    begin = f"model.start={tmp_path / '1'}/{{training.seed}}"
    # A rate of next to nothing leaves the model as it was.
    idle = ["training.lr_encoder=1e-30", "training.lr_head=1e-30", "training.steps=1"]
    second = sweep(small, [begin, *idle], [seeds], tmp_path / "2").results
    for a, b in zip(first, second, strict=True):
        assert a["test"] == pytest.approx(b["test"], abs=1e-6)
    assert first[0]["test"]["loss"] != first[1]["test"]["loss"]


def test_what_is_wrong_in_all_combinations_stops_the_sweep_before_it_trains(small, tmp_path):
    with pytest.raises(InputError, match="tmx"):
        sweep(small, ["method=tmx"], ["training.seed=0,1"], tmp_path / "out")
    with pytest.raises(InputError, match="two combinations"):
        sweep(small, [], ["training.seed=1,1"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


# ---- the survey


def write_small(path, entry, classes=3, per_class=8):
    """A file with the columns of a catalogue entry."""
    generator = np.random.default_rng(0)
    words = [["cat", "dog", "horse"], ["bread", "soup", "rice"], ["saw", "hammer", "drill"]]
    columns = [*entry.text, *entry.pair, entry.label]
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(columns)
        for number in range(classes * per_class):
            texts = [
                " ".join(generator.choice(words[number % classes], 4)) + f" {number}"
                for _ in (*entry.text, *entry.pair)
            ]
            label = number % 6 if entry.scores else number % classes
            table.writerow([*texts, label])
    return path


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_of_the_survey_trains_and_goes_on(path, encoder, tmp_path):
    written = load_recipe(path)
    steps = ["training.steps=2", "training.epochs=0", "training.evaluate_every=1"]
    overrides = [*steps, "training.batch=4", "training.device=cpu"]
    if written.data.corpus != "digits":
        entry = CATALOGUE[written.data.corpus]
        corpus = write_small(tmp_path / "small.csv", entry)
        fields = {"text": entry.text, "pair": entry.pair, "scores": entry.scores}
        overrides += [f"data.{k}={list(v)}" for k, v in fields.items() if v]
        overrides += [f"data.corpus={corpus}", f"data.label={entry.label}"]
        overrides += ["data.labels_per_class=0", "data.dev_per_class=1", "data.test_per_class=2"]
    if written.model.encoder == "minilm":
        overrides += [f"model.encoder={encoder}", "model.max_length=32"]
    elif written.data.corpus != "digits":
        vectors = tmp_path / "vectors.txt"
        vectors.write_text("cat 0.1 0.2\nbread -0.3 0.4\n", encoding="utf-8")
        overrides.append(f"model.vectors={vectors}")
    if written.model.start:
        first = load_recipe(SURVEY / "ssmix_1.toml", overrides)
        train(first, folder=tmp_path / "first", quiet=True)
        overrides.append(f"model.start={tmp_path / 'first'}")
    recipe = load_recipe(path, overrides)
    assert recipe.method == written.method
    result = train(recipe, folder=tmp_path / "run", quiet=True)
    assert result["steps"] == 2 and result["test_rows"] > 0
    assert np.isfinite(result["test"]["loss"])


def test_the_command_prints_a_table(small, tmp_path, capsys):
    folder = tmp_path / "out"
    axes = ["--vary", "method=supervised,tmix", "training.seed=0,1"]
    command = ["sweep", str(small), "training.steps=2", *axes, "--run", str(folder)]
    assert main([*command, "--keep-models"]) == 0
    table = capsys.readouterr().out.splitlines()
    assert len(table) == 4 and "supervised" in table[2] and "tmix" in table[3]
    assert (folder / "tmix-1" / "model" / "mixtext.json").is_file()
    assert main(["table", str(folder / "results.jsonl")]) == 0
    assert capsys.readouterr().out.splitlines() == table
    assert main(["sweep", str(small), "--vary", "method=tmx", "--run", str(folder)]) == 2


def test_rounds_of_active_learning_are_swept_too(small, tmp_path, capsys):
    few = ["method=frozen", "active.rounds=1", "active.per_round=5", "data.labels_per_class=2"]
    axes = ["--vary", "active.policy=random,margin", "training.seed=0,1"]
    command = ["sweep", str(small), *few, *axes, "--active", "--run"]
    assert main([*command, str(tmp_path / "out")]) == 0
    table = capsys.readouterr().out.splitlines()
    arms = ["random, frozen (+ 15 dev)", "margin, frozen (+ 15 dev)"]
    assert [row.split("|")[1].strip() for row in table[2:]] == arms
    assert [x.strip() for x in table[0].split("|")[2:-1]] == ["seeds", "6", "11"]
    lines = (tmp_path / "out" / "results.jsonl").read_text().splitlines()
    run = begin_active(load_recipe(small, [*few, "active.policy=margin"]), tmp_path / "alone")
    curves = [run.go_on().curve, json.loads(lines[2])["curve"]]
    alone, swept = ([x["test"] for x in curve] for curve in curves)
    assert alone == swept
    person = [*command[:2], "active.annotator=person", *command[2:], str(tmp_path / "other")]
    assert main(person) == 2
    assert "active.annotator is 'person'" in capsys.readouterr().err
