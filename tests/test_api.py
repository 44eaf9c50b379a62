"""Recipes and models of either kind by the same names, from Python and from the command line."""

import json

import numpy as np
import pytest

import mixtext
from mixtext.api import load, load_recipe, prepare, train
from mixtext.cli import main
from mixtext.data.corpus import Corpus
from mixtext.errors import InputError
from mixtext.inference import Predictor
from mixtext.recipe import Recipe, dump_recipe
from mixtext.run import Run
from mixtext.tagging.entities import TagPredictor
from mixtext.tagging.recipe import TaggingRecipe
from mixtext.tagging.run import TaggerRun


@pytest.fixture
def files(tiny, learner, tmp_path):
    """A recipe file of each kind."""
    paths = {"texts": tmp_path / "texts.toml", "tags": tmp_path / "tags.toml"}
    paths["texts"].write_text(dump_recipe(tiny()), encoding="utf-8")
    paths["tags"].write_text(dump_recipe(learner()), encoding="utf-8")
    return paths


def test_the_task_tells_the_kind(files, tmp_path):
    assert isinstance(load_recipe(files["texts"]), Recipe)
    assert isinstance(load_recipe(files["tags"]), TaggingRecipe)
    assert load_recipe(files["tags"], ["seqmix.window=3"]).method.window == 3
    assert isinstance(prepare(load_recipe(files["texts"])), Run)
    assert isinstance(prepare(load_recipe(files["tags"])), TaggerRun)
    other = tmp_path / "other.toml"
    other.write_text('task = "taging"\n', encoding="utf-8")
    with pytest.raises(InputError, match=r"other\.toml: task is 'taging' \(did you mean 'tagging'"):
        load_recipe(other)


@pytest.mark.parametrize("kind", ["texts", "tags"])
def test_training_gives_metrics_and_the_model(kind, files, tmp_path):
    texts = ["the cat and bread", "a dog near soup"]
    result = train(files[kind], folder=tmp_path / "run", quiet=True)
    assert result.values == json.loads((tmp_path / "run" / "result.json").read_text())
    assert result.test == result["test"] and result.dev == result["dev"] and result.test
    answers = result.predictor.predict(texts)
    # A run that was finished before has the model of the folder, and so has `load`.
    again = train(files[kind], folder=tmp_path / "run", resume=True, quiet=True)
    assert again.values == result.values
    loaded = load(tmp_path / "run")
    assert isinstance(loaded, Predictor if kind == "texts" else TagPredictor)
    for other in (again.predictor.predict(texts), loaded.predict(texts)):
        assert other == answers


def test_the_names_at_the_top():
    assert (mixtext.train, mixtext.load) == (train, load)
    assert (mixtext.Recipe, mixtext.Corpus) == (Recipe, Corpus)


def test_a_tagger_takes_no_corpus(files, tmp_path):
    corpus = Corpus.from_lists(["a", "b"], ["x", "y"])
    with pytest.raises(InputError, match="CoNLL files that its recipe names"):
        train(files["tags"], corpus=corpus, folder=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_tagging_recipe_is_planned_swept_and_tabled(files, tmp_path, capsys):
    recipe, out = str(files["tags"]), tmp_path / "sweep"
    assert main(["train", recipe, "--dry-run"]) == 0
    plan = capsys.readouterr().out
    assert "10 labels: 10 to learn from, 0 to choose by" in plan and "time      about" in plan
    vary = ["--vary", "method=supervised,seqmix", "data.split_seed+training.seed=0,1"]
    assert main(["sweep", recipe, *vary, "--run", str(out)]) == 0
    swept = capsys.readouterr().out
    results = [json.loads(x) for x in (out / "results.jsonl").read_text().splitlines()]
    assert [(r["method"], r["seed"]) for r in results] == [
        *(("supervised", 0), ("supervised", 1)),
        *(("seqmix", 0), ("seqmix", 1)),
    ]
    assert main(["table", str(out)]) == 0
    table = capsys.readouterr().out
    assert table == swept
    names, _, *lines = ([x.strip() for x in line.split("|")[1:-1]] for line in table.splitlines())
    rows = [dict(zip(names, line, strict=True)) for line in lines]
    assert [(row["method"], row["runs"]) for row in rows] == [("supervised", "2"), ("seqmix", "2")]
    plain, mixed = ([100 * r["test"]["f1"] for r in results[k : k + 2]] for k in (0, 2))
    assert rows[0]["test F1"] == f"{np.mean(plain):.1f} ± {np.std(plain, ddof=1):.1f}"
    gain = np.mean(mixed) - np.mean(plain)
    assert rows[1]["gain (95 %)"].startswith(f"{gain:+.1f} ± ") and not rows[0]["gain (95 %)"]


def test_what_a_tagger_does_not_hear_is_refused(files, capsys):
    recipe = str(files["tags"])
    assert main(["train", recipe, "--dry-run", "training.by_length=all"]) == 2
    assert "training.by_length" in capsys.readouterr().err
    assert main(["train", recipe, "--dry-run", "training.batch_unlabelled=3"]) == 2
    assert "learn from labelled sentences alone" in capsys.readouterr().err
