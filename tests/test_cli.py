"""The command line: every refusal is one sentence with exit code 2, every command does its work."""

import csv
import io
import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from tokenizers import ByteLevelBPETokenizer
from transformers import PreTrainedTokenizerFast, RobertaConfig, RobertaModel

from mixtext.api import load_recipe, train
from mixtext.cli import COMMANDS, main
from mixtext.data.read.catalogue import CATALOGUE
from mixtext.methods import METHODS
from mixtext.recipe import dump_recipe, make_recipe


def files(folder):
    return {x: x.read_bytes() for x in sorted(folder.rglob("*")) if x.is_file()}


@pytest.fixture
def recipe(tiny, tmp_path):
    """A recipe file; overrides change it as it is written."""

    def write(*overrides, name="recipe.toml"):
        (tmp_path / name).write_text(dump_recipe(tiny(*overrides)), encoding="utf-8")
        return str(tmp_path / name)

    return write


@pytest.fixture
def refused(capsys):
    """Arguments → the sentence that the command line refuses them with."""

    def call(*arguments):
        capsys.readouterr()
        assert main([str(x) for x in arguments]) == 2
        said = capsys.readouterr()
        assert said.out == ""
        [line] = said.err.splitlines()
        assert line.startswith("mixtext: ") and len(line) > 20
        return line

    return call


@pytest.fixture(scope="module")
def trained(encoder, corpus_file, tmp_path_factory):
    """The folder of a finished run, which no test changes, and its recipe."""
    folder = tmp_path_factory.mktemp("trained")
    made = make_recipe(
        {
            "name": "trained",
            "method": "supervised",
            "data": {
                "corpus": str(corpus_file),
                "labels_per_class": 4,
                "dev_per_class": 5,
                "test_per_class": 5,
            },
            "model": {"encoder": encoder, "max_length": 16},
            "training": {"steps": 4, "precision": "float32", "device": "cpu"},
        }
    )
    (folder / "trained.toml").write_text(dump_recipe(made))
    train(made, folder=folder / "run", quiet=True)
    return folder


GOOD = "text,label\n" + "".join(f"{w} number {i},{w}\n" for w in ("cat", "dog") for i in range(12))


@pytest.mark.parametrize(
    "content, overrides, culprits",
    [
        (None, [], ["rows.csv"]),
        (GOOD.replace("text,label", "body,label"), [], ["rows.csv", "'text'", "'body'"]),
        (GOOD, ["data.label=class"], ["rows.csv", "'class'", "'label'"]),
        ("", [], ["rows.csv"]),
        ("text,label\n", [], ["rows.csv", "no rows"]),
        (GOOD.replace(",dog", ",cat"), ["data.test_per_class=0"], ["one class", "cat"]),
        (GOOD.replace(",dog", ",").replace(",cat", ","), ["data.test_per_class=0"], ["labels"]),
        (GOOD, ["data.labels_per_class=13"], ["'cat'", "labels_per_class", "13"]),
        (GOOD, ["data.test_per_class=12"], ["'cat'", "12"]),
        (
            GOOD,
            ["method=mixtext", "data.labels_per_class=5", "data.dev_per_class=5"],
            ["pool is empty"],
        ),
        (GOOD.replace("cat number 3", "  "), [], ["rows.csv", "empty text", "line 5"]),
        (GOOD.encode().replace(b"cat number 3", b"cat \xff"), [], ["rows.csv", "line 5", "UTF-8"]),
        (GOOD.replace("number 1,", "number 2,"), ["data.id=text"], ["line 4", "same id", "line 3"]),
        (GOOD + 'cat "",x,y\n', [], ["rows.csv", "line 26", "3 cells"]),
    ],
    ids=[
        *("missing", "wrong column", "wrong label", "empty file", "header only", "one class"),
        *("no labels", "too few", "too few for test", "no pool", "empty text", "UTF-8"),
        *("duplicate ids", "cells"),
    ],
)
@pytest.mark.parametrize("dry", [False, True], ids=["train", "dry"])
def test_bad_data(content, overrides, culprits, dry, recipe, refused, tmp_path):
    path = tmp_path / "rows.csv"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    file = recipe("data.dev_per_class=2", "data.test_per_class=2")
    run = tmp_path / "run"
    arguments = ["train", file, f"data.corpus={path}", *overrides, "--run", run]
    message = refused(*arguments, *(["--dry-run"] if dry else []))
    assert all(x in message for x in culprits), message
    assert not run.exists()


def test_labels_in_test_that_train_lacks(recipe, refused, tmp_path):
    (tmp_path / "train.csv").write_text(GOOD)
    (tmp_path / "test.csv").write_text("text,label\na heron,bird\na cat,cat\n")
    file = recipe("data.test_per_class=0", f"data.test={tmp_path / 'test.csv'}")
    message = refused("train", file, f"data.corpus={tmp_path / 'train.csv'}")
    assert "'bird'" in message and "test.csv" in message


@pytest.mark.parametrize(
    "lines, culprits",
    [
        (['{"id": "900", "text": "x"}'], ["'900'", "another corpus"]),
        (['{"id": "0", "text": "x", "sha1": "00"}'], ["line 1", "'0'", "changed"]),
        (['{"id": "0", "text": "x"}'], ["lacks view", "unlabelled rows"]),
        (['{"id": "0", "text": "x"}', "{}"], ["line 2"]),
        ([], ["empty"]),
        (None, ["does not exist"]),
    ],
)
def test_views_that_do_not_match_the_corpus(lines, culprits, recipe, refused, tmp_path):
    path = tmp_path / "views.jsonl"
    if lines is not None:
        path.write_text("".join(x + "\n" for x in lines))
    file = recipe("method=mixtext")
    message = refused("train", file, f"views.file={path}")
    assert "views.jsonl" in message and all(x in message for x in culprits), message


@pytest.mark.parametrize(
    "overrides, culprits",
    [
        (["training.stepz=3"], ["'stepz'", "'steps'"]),
        (["tmix.layers=[7, 13]", "method=tmix"], ["tmix.layers", "13", "12"]),
        (["mixtext.layers=[-1]", "method=mixtext"], ["mixtext.layers", "-1"]),
        (["mixtext.layers=[]", "method=mixtext"], ["mixtext.layers", "empty"]),
        (["tmix.alpha=0", "method=tmix"], ["tmix.alpha", "0"]),
        (["mixtext.alpha=-2", "method=mixtext"], ["mixtext.alpha", "-2"]),
        (["mixtext.view_weights=[1, 1]", "method=mixtext"], ["view_weights", "2 weights"]),
        (["mixtext.temperature=0", "method=mixtext"], ["mixtext.temperature"]),
        (["model.encoder=./nowhere"], ["'./nowhere'", "no such folder"]),
        (["model.max_length=65"], ["model.max_length", "65", "64"]),
        (["training.device=cuda:99"], ["training.device", "cuda:99"]),
        (
            ["training.test_at_every_tie=true", "data.test_per_class=0"],
            ["training.test_at_every_tie", "data.test_per_class"],
        ),
    ],
)
def test_bad_recipes(overrides, culprits, recipe, refused, tmp_path):
    message = refused("train", recipe(), *overrides, "--run", tmp_path / "run")
    assert all(x in message for x in culprits), message
    assert not (tmp_path / "run").exists()


def test_a_folder_that_is_no_encoder(recipe, refused, tmp_path):
    (tmp_path / "empty").mkdir()
    message = refused("train", recipe(), f"model.encoder={tmp_path / 'empty'}")
    assert str(tmp_path / "empty") in message


def test_nothing_that_was_made_before_is_lost(trained, refused, capsys, tmp_path):
    run, file = trained / "run", trained / "trained.toml"
    before = files(run)
    message = refused("train", file, "training.steps=5", "--run", run)
    assert "another recipe" in message and str(run) in message
    assert "another recipe" in refused("train", file, "training.seed=1", "--run", run, "--resume")
    assert "--resume" in refused("train", file, "--run", run)
    for override in ("data.corpus=gone.csv", "training.stepz=1", "model.encoder=./gone"):
        refused("train", file, override, "--run", run, "--resume")
    assert files(run) == before
    assert main(["train", str(file), "--run", str(run), "--resume"]) == 0
    result = json.loads((run / "result.json").read_text())
    assert f"accuracy {result['test']['accuracy']:.4f}" in capsys.readouterr().out
    assert files(run) == before

    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "dear.txt").write_text("dear")
    assert "not a run folder" in refused("train", file, "--run", tmp_path / "letters")
    assert "not a run folder" in refused("train", file, "--run", tmp_path / "letters/dear.txt")
    assert (tmp_path / "letters" / "dear.txt").read_text() == "dear"


def test_data_that_changed_since_the_run_began(recipe, refused, tmp_path, capsys):
    (tmp_path / "rows.csv").write_text(GOOD)
    file = recipe("data.dev_per_class=2", "data.test_per_class=2")
    arguments = ["train", file, f"data.corpus={tmp_path / 'rows.csv'}", "--run"]
    arguments.append(str(tmp_path / "run"))
    assert main(arguments) == 0
    os.unlink(tmp_path / "run" / "result.json")  # as if it had been killed
    before = files(tmp_path / "run")
    (tmp_path / "rows.csv").write_text(GOOD.replace("cat number 3", "cat number three"))
    assert "have changed" in refused(*arguments, "--resume")
    assert files(tmp_path / "run") == before


def test_bad_input_of_the_other_commands(trained, recipe, refused, tmp_path, monkeypatch):
    run = trained / "run"
    broken = tmp_path / "broken.txt"
    broken.write_bytes(b"a cat\na \xff dog\n")
    assert "line 2" in refused("predict", run, "--file", broken)
    broken.write_text('{"txt": "a"}\n')
    assert "line 1" in refused("predict", run, "--file", broken)
    broken.write_text("body\na\n")
    assert "'text'" in refused("predict", run, "--file", broken, "--format", "csv")
    assert "gone.txt" in refused("predict", run, "--file", tmp_path / "gone.txt")
    assert "--file" in refused("predict", run, "a cat", "--file", broken)
    assert "--id is given" in refused("predict", run, "a cat", "--id", "key")
    (tmp_path / "two.csv").write_text("a,b\na cat,a dog\n")
    two = ["--file", tmp_path / "two.csv", "--text", "a", "--pair", "b"]
    assert "holds pairs" in refused("predict", run, *two)
    assert "--root is" in refused("evaluate", run, "--data", broken, "--root", tmp_path)
    assert "exists already" in refused("predict", run, "a cat", "--out", broken)
    assert "is not there" in refused("predict", tmp_path / "gone", "a cat")
    assert "no finished model" in refused("predict", tmp_path, "a cat")
    assert "gone.csv" in refused("evaluate", run, "--data", tmp_path / "gone.csv")
    (tmp_path / "birds.csv").write_text("text,label\na heron,bird\n")
    assert "'bird'" in refused("evaluate", run, "--data", tmp_path / "birds.csv")
    (tmp_path / "bare.csv").write_text("text,label\na heron,\n")
    assert "no labelled rows" in refused("evaluate", run, "--data", tmp_path / "bare.csv")
    assert "gone.csv" in refused("inspect-data", tmp_path / "gone.csv")
    assert "for --text" in refused("inspect-data", tmp_path / "birds.csv", "--text", "birds")
    assert "--root is" in refused("inspect-data", tmp_path / "birds.csv", "--root", tmp_path)
    assert "gone.csv" in refused("new-recipe", tmp_path / "gone.csv")
    assert "smallest" in refused("new-recipe", tmp_path / "birds.csv", "--out", tmp_path / "b.toml")
    assert "'no'" in refused("new-recipe", tmp_path / "birds.csv", "--method", "no")
    (tmp_path / "rows.csv").write_text(GOOD)
    kept = recipe()
    assert "exists already" in refused("new-recipe", tmp_path / "rows.csv", "--out", kept)
    assert load_recipe(kept)
    (tmp_path / "link.toml").symlink_to(tmp_path / "elsewhere.toml")
    message = refused("new-recipe", tmp_path / "rows.csv", "--out", tmp_path / "link.toml")
    assert "exists already" in message and not (tmp_path / "elsewhere.toml").exists()
    assert "no finished run" in refused("table", tmp_path)
    assert "does not exist" in refused("train", tmp_path / "gone.toml")
    (tmp_path / "rows.jsonl").write_text('{"text": "a cat"}\n{"text": "a cat", "pair": "a dog"}\n')
    assert "line 2" in refused("predict", run, "--file", tmp_path / "rows.jsonl")


def test_exit_code_and_sentence_in_a_process_of_its_own(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "mixtext", "train", str(tmp_path / "gone.toml")],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr == (
        f"mixtext: recipe {tmp_path / 'gone.toml'} does not exist: give the path of a TOML file.\n"
    )


def test_dry_run_tells_the_plan_and_writes_nothing(recipe, capsys, tmp_path, monkeypatch):
    file = recipe("method=mixtext", "training.steps=30")
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    assert main(["train", file, "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert sorted(tmp_path.rglob("*")) == before
    assert "75 training rows, 15 test, texts → 3 classes (animals, food, tools)" in out
    assert "27 labels: 12 to learn from, 15 to choose by; 48 unlabelled" in out
    assert "12 layers" in out and "mixtext" in out
    assert "30 steps of 4 labelled rows and 4 unlabelled (views: word dropout)" in out
    assert re.search(r"^time +about \d+(\.\d)? (s|min) ", out, re.M)
    told = re.search(r"^a second +frozen (.*)%, centroids (.*)% right on 15 dev rows", out, re.M)
    for text, method in zip(told.groups(), ("frozen", "centroids"), strict=True):
        assert main(["train", file, f"method={method}", "--run", str(tmp_path / method)]) == 0
        result = json.loads((tmp_path / method / "result.json").read_text())
        assert 100 * result["dev"]["accuracy"] == pytest.approx(float(text), abs=0.06)


def test_without_dev_rows_a_second_guesses_each_label_from_the_others(recipe, capsys):
    file = recipe("method=mixtext", "training.steps=3", "data.dev_per_class=0")
    told = []
    for more in ([], ["data.test_per_class=0"], ["data.labels_per_class=1"]):
        assert main(["train", file, "--dry-run", *more]) == 0
        told += re.findall(r"^a second +(.*)$", capsys.readouterr().out, re.M)
    # Rows of test are not looked at; a single row of a class cannot be guessed from the others.
    words = " right on 12 labelled rows, each guessed from the others, without training"
    assert len(told) == 2 and all(line.endswith(words) for line in told)


def test_train_evaluate_predict_and_table(recipe, capsys, tmp_path, corpus_file, monkeypatch):
    file, run = recipe("method=tmix"), str(tmp_path / "run")
    assert main(["train", file, "training.seed=3", "--run", run, "tmix.layers=[12]"]) == 0
    out = capsys.readouterr().out
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["seed"] == 3 and result["method"] == "tmix"
    saved = load_recipe(tmp_path / "run" / "recipe.toml")
    assert saved.method.layers == (12,) and saved.training.seed == 3
    for part in ("dev", "test"):
        assert f"{part:<4}  accuracy {result[part]['accuracy']:.4f}" in out
    assert f"weights of step {result['best_step']} of 6" in out and run in out

    assert main(["evaluate", run, "--data", str(corpus_file), "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert scores["rows"] == 90 and 0 <= scores["accuracy"] <= 1 and scores["loss"] > 0

    texts = ["the cat and a dog", 'soup "today"', "ein Löffel", "saw"]
    assert main(["predict", run, *texts]) == 0
    given = [json.loads(x) for x in capsys.readouterr().out.splitlines()]
    assert [x["text"] for x in given] == texts
    for answer in given:
        assert set(answer["probabilities"]) == {"animals", "food", "tools"}
        assert answer["label"] == max(answer["probabilities"], key=answer["probabilities"].get)
        assert abs(sum(answer["probabilities"].values()) - 1) < 1e-5

    plain, lines = tmp_path / "texts.txt", tmp_path / "texts.jsonl"
    plain.write_text("\ufeff" + "\n".join(texts) + "\n", encoding="utf-8")
    lines.write_text("".join(json.dumps({"text": x, "n": 1}) + "\n" for x in texts))
    for source in (plain, lines):
        assert main(["predict", run + "/model", "--file", str(source)]) == 0
        assert [json.loads(x) for x in capsys.readouterr().out.splitlines()] == given
    with (tmp_path / "texts.csv").open("w", encoding="utf-8", newline="") as table:
        csv.writer(table).writerows([("key", "body", "label"), *((x, x, "?") for x in texts)])
    columns = ["--text", "body", "--id", "key"]
    assert main(["predict", run, "--file", str(tmp_path / "texts.csv"), *columns]) == 0
    keyed = [{"id": x["text"], **x} for x in given]
    assert [json.loads(x) for x in capsys.readouterr().out.splitlines()] == keyed
    stdin = io.TextIOWrapper(io.BytesIO("\n".join(texts).encode()), encoding="utf-8")
    monkeypatch.setattr(sys, "stdin", stdin)
    assert main(["predict", run]) == 0
    assert [json.loads(x) for x in capsys.readouterr().out.splitlines()] == given

    other = str(tmp_path / "other")
    changes = ["tmix.layers=[12]", "training.seed=4", "data.split_seed=1"]
    assert main(["train", file, *changes, "--run", other]) == 0
    capsys.readouterr()
    assert main(["table", run, other]) == 0
    *_, row = capsys.readouterr().out.splitlines()
    cells = [x.strip() for x in row.strip("|").split("|")]
    # Neither views nor unlabelled rows, so no columns of them.
    assert cells[:5] == ["things", "4", "12 + 15 dev", "tmix", "2"]
    both = [json.loads((tmp_path / x / "result.json").read_text()) for x in ("run", "other")]
    accuracies = torch.tensor([100 * x["test"]["accuracy"] for x in both], dtype=torch.float64)
    assert cells[5] == f"{accuracies.mean():.1f} ± {accuracies.std():.1f}"


@pytest.fixture(scope="module")
def likeness(tmp_path_factory, draw_texts):
    """A CSV file of pairs with scores from 1 to 5, and the same pairs with classes."""
    texts, _ = draw_texts(20)
    others, _ = draw_texts(20, seed=1)
    folder = tmp_path_factory.mktemp("likeness")
    table = [
        (x, y, 1 + 4 * (i % 9) / 8, ("no", "yes")[i % 2])
        for i, (x, y) in enumerate(zip(texts, others, strict=True))
    ]
    for name, column in (("scores", 2), ("classes", 3)):
        with (folder / f"{name}.csv").open("w", newline="") as file:
            csv.writer(file).writerow(["one", "two", "worth"])
            csv.writer(file).writerows((row[0], row[1], row[column]) for row in table)
    lines = "".join(json.dumps({"text": row[0], "pair": row[1]}) + "\n" for row in table)
    (folder / "rows.jsonl").write_text(lines)
    return folder


COLUMNS = ["--text", "one", "--pair", "two", "--label", "worth"]


def said(capsys):
    return [json.loads(x) for x in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize("kind", ["scores", "classes"])
def test_pairs_are_trained_evaluated_and_predicted(
    kind, recipe, refused, capsys, tmp_path, likeness
):
    file, run, data = recipe(), str(tmp_path / "run"), str(likeness / f"{kind}.csv")
    given = ["data.text=one", "data.pair=two", "data.label=worth", f"data.corpus={data}"]
    given += ["data.scores=[1, 5]"] if kind == "scores" else []
    assert main(["train", file, *given, "--run", run]) == 0
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    first = "spearman" if kind == "scores" else "accuracy"
    assert f"test  {first} {result['test'][first]:.4f}" in capsys.readouterr().out

    ranged = ["--scores", "1", "5"] if kind == "scores" else []
    assert main(["evaluate", run, "--data", data, "--json"]) == 0  # columns as in the recipe
    [scores] = said(capsys)
    assert scores["rows"] == 60 and scores.keys() >= {"rows", "unlabelled", *result["test"]}
    assert main(["evaluate", run, "--data", data, *COLUMNS, *ranged, "--json"]) == 0
    assert said(capsys) == [scores]

    rows = likeness / "rows.jsonl"
    assert main(["predict", run, "--file", str(rows)]) == 0
    answers = said(capsys)
    assert [json.dumps({k: x[k] for k in ("text", "pair")}) for x in answers] == (
        rows.read_text().splitlines()
    )
    if kind == "scores":
        # The mean squared error of what was printed is the loss that evaluate printed.
        assert all(x.keys() == {"text", "pair", "score"} for x in answers)
        with open(data, newline="") as table:
            gold = [float(row["worth"]) for row in csv.DictReader(table)]
        errors = [(x["score"] - y) ** 2 for x, y in zip(answers, gold, strict=True)]
        assert sum(errors) / 60 == pytest.approx(scores["loss"], rel=1e-4)
    else:
        for answer in answers:
            assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-5)

    assert "pairs" in refused("predict", run, "one text")
    (tmp_path / "rows.jsonl").write_text('{"text": "a", "pair": "b"}\n{"text": "a"}\n')
    assert "line 2" in refused("predict", run, "--file", tmp_path / "rows.jsonl")
    other = likeness / ("classes.csv" if kind == "scores" else "scores.csv")
    if kind == "scores":
        # A range that the catalogue or the user names wrongly is seen at the first such row.
        small = ["--scores", "1", "3"]
        assert "scores.csv, line" in refused("evaluate", run, "--data", data, *COLUMNS, *small)
        assert "'no'" in refused("evaluate", run, "--data", other, *COLUMNS, *ranged)
    else:
        wrong = ["--scores", "1", "5"]
        sentence = refused("evaluate", run, "--data", other, *COLUMNS, *wrong)
        assert "has scores" in sentence and "to tell classes" in sentence
        assert "--label is given" in refused("evaluate", run, "--data", "rte", "--label", "x")


def test_vectors_are_trained_evaluated_and_predicted(recipe, refused, capsys, tmp_path, trained):
    generator = np.random.default_rng(0)
    y = np.arange(60) % 3
    x = generator.normal(size=(60, 4)) + 3 * np.eye(4)[y]
    data, file, run = tmp_path / "points.npz", recipe(), str(tmp_path / "run")
    np.savez(data, x=x, y=y)
    given = [f"data.corpus={data}", "model.encoder=mlp", "method=mixup", "training.steps=2"]
    given.append("model.max_length=64")  # as it is by default: vectors have no tokens
    assert main(["train", file, *given, "--run", run]) == 0
    capsys.readouterr()
    assert main(["evaluate", run, "--data", str(data), "--json"]) == 0
    [scores] = said(capsys)
    assert main(["predict", run, "--file", str(data)]) == 0
    answers = said(capsys)
    assert [answer["row"] for answer in answers] == [str(i) for i in range(60)]
    right = [answer["label"] == str(label) for answer, label in zip(answers, y, strict=True)]
    assert sum(right) / 60 == pytest.approx(scores["accuracy"])

    for arguments in (["a text"], []):
        assert ".npz" in refused("predict", run, *arguments)
    np.savez(tmp_path / "wide.npz", x=np.ones((2, 5)))
    assert "5" in refused("predict", run, "--file", tmp_path / "wide.npz")
    assert "does not exist" in refused("predict", run, "--file", tmp_path / "gone.npz")
    assert "holds vectors" in refused("predict", trained / "run", "--file", data)
    assert main(["inspect-data", str(data), "--encoder", "no-encoder"]) == 0  # none is needed
    assert "60 rows of 4 values, 3 classes" in capsys.readouterr().out
    assert "no text to translate" in refused("backtranslate", data, "--out", tmp_path / "views")


def test_inspect_data_of_pairs_with_scores(capsys, encoder, refused, likeness):
    arguments = ["inspect-data", str(likeness / "scores.csv"), *COLUMNS, "--encoder", encoder]
    assert main([*arguments, "--scores", "1", "5"]) == 0
    out = capsys.readouterr().out
    assert "train: 60 pairs, scores" in out and "score: min 1, " in out and "max 5" in out
    assert "--scores is [5.0, 1.0]" in refused(*arguments, "--scores", "5", "1")
    assert "--scores is [5.0]" in refused(*arguments, "--scores", "5")


def test_back_translated_views_of_a_recipe_are_made_once(recipe, tmp_path, capsys):
    """With the backend that gives texts back: what counts is that they are made, kept and used."""
    file, cache = str(recipe()), tmp_path / "cache"
    views = ["method=mixtext", "views.backend=identity", f"views.cache={cache}"]
    views += ['views.pivots=["xx", "yy"]', "training.steps=2", "training.evaluate_every=2"]
    capsys.readouterr()
    for name in ("one", "two"):
        assert main(["train", file, *views, "--run", str(tmp_path / name)]) == 0
        result = json.loads((tmp_path / name / "result.json").read_text())
        assert result["views"] == "xx/0 + yy/0"
        (store,) = cache.glob("identity-*/views-*.jsonl")
        assert len(store.read_text().splitlines()) == 2 * result["unlabelled"]
        # The second run finds all of them there.
        assert ("sentences/s" in capsys.readouterr().err) == (name == "one")
    capsys.readouterr()


def test_backtranslate_writes_views_that_a_recipe_reads(tmp_path, capsys, corpus_file, recipe):
    out = tmp_path / "views"
    options = ["--backend", "identity", "--pivot", "xx", "--out", str(out), "--preset", "beam"]
    assert main(["backtranslate", str(corpus_file), *options]) == 0
    file = str(recipe())
    views = ["method=mixtext", f"views.file={out / 'views.jsonl'}", "training.steps=2"]
    run = tmp_path / "run"
    assert main(["train", file, *views, "training.evaluate_every=2", "--run", str(run)]) == 0
    assert json.loads((run / "result.json").read_text())["views"] == "xx/0"
    capsys.readouterr()
    options[1] = "none"
    assert main(["backtranslate", str(corpus_file), *options]) == 2
    assert "there is no backend 'none'" in capsys.readouterr().err


def test_backtranslate_takes_all_that_a_recipe_takes(
    tmp_path, capsys, corpus_file, recipe, refused
):
    """Texts without labels beside, by their own ids; and the recipe itself, as its [views] say."""
    more = tmp_path / "more.csv"
    more.write_text("text\n" + "".join(f"a new text {i}\n" for i in range(4)))
    pool = [f"data.unlabelled={more}", "data.pool=natural", "method=mixtext", "training.steps=2"]
    pool.append("training.evaluate_every=2")
    options = ["--backend", "identity", "--pivots", "xx"]
    one, two = tmp_path / "one", tmp_path / "two"
    beside = ["--unlabelled", str(more), "--out", str(one)]
    assert main(["backtranslate", str(corpus_file), *options, *beside]) == 0
    ids = [json.loads(x)["id"] for x in (one / "views.jsonl").read_text().splitlines()]
    assert len(ids) == 94 and ids[-4:] == [f"unlabelled/{i}" for i in range(4)]
    file = recipe()
    run = ["train", file, *pool, "--run", str(tmp_path / "run")]
    assert main([*run, f"views.file={one / 'views.jsonl'}"]) == 0

    views = ["views.backend=identity", 'views.pivots=["xx", "yy"]']
    whole = recipe(*pool, *views, name="whole.toml")
    assert main(["backtranslate", whole, "--out", str(two)]) == 0
    made = [json.loads(x) for x in (two / "views.jsonl").read_text().splitlines()]
    assert {x["pivot"] for x in made} == {"xx", "yy"}
    assert len(made) == 2 * 79 and made[-1]["id"] == "unlabelled/3"  # 15 rows are test rows
    other = ["backtranslate", whole, "--out", str(tmp_path / "three")]
    assert main([*other, "--backend", "identity", "--pivots", "zz"]) == 0
    first = (tmp_path / "three" / "views.jsonl").read_text().splitlines()[0]
    assert json.loads(first)["pivot"] == "zz"
    capsys.readouterr()
    assert "--id is given" in refused("backtranslate", whole, *options, "--id", "key")
    assert "--unlabelled is given" in refused("backtranslate", whole, "--unlabelled", more)


def test_read_options_are_flags_of_every_command_that_reads(trained, tmp_path, capsys, encoder):
    """Rows with an empty text, ids and classes by number; and the advice can be followed."""
    path = tmp_path / "odd.csv"
    path.write_text("key,text,label\na,cat on,1\nb, ,1\nc,soup in,2\nd,cat of,1\n")
    run, out = str(trained / "run"), str(tmp_path / "views")
    back = ["backtranslate", str(path), "--backend", "identity", "--pivots", "xx", "--out", out]
    commands = {
        "inspect-data": ["inspect-data", str(path), "--encoder", encoder],
        "evaluate": ["evaluate", run, "--data", str(path)],
        "new-recipe": ["new-recipe", str(path), "--out", str(tmp_path / "odd.toml")],
        "backtranslate": back,
    }
    names = ["--label-names", "animals", "food", "tools", "--first-label", "1"]
    for name, command in commands.items():
        assert main(command) == 2
        assert "leave them out with --skip-empty" in capsys.readouterr().err
        code = main([*command, "--skip-empty", "--id", "key", *names])
        said = capsys.readouterr()
        few = name == "new-recipe"  # which read the file, and wants more rows
        assert (code, "smallest has 0" in said.err) == (2 if few else 0, few), said.err
    lines = (tmp_path / "views" / "views.jsonl").read_text().splitlines()
    assert [json.loads(line)["id"] for line in lines] == ["a", "c", "d"]


def test_rows_without_labels_are_inspected_and_translated(tmp_path, capsys, encoder, refused):
    (tmp_path / "texts.csv").write_text("text\na cat\na dog\n")
    inspect = ["inspect-data", str(tmp_path / "texts.csv"), "--encoder", encoder]
    assert "say with --no-labels that" in refused(*inspect)
    assert main([*inspect, "--no-labels"]) == 0
    assert "without a label: 2" in capsys.readouterr().out
    options = ["--backend", "identity", "--pivots", "xx", "--out", str(tmp_path / "views")]
    assert main(["backtranslate", str(tmp_path / "texts.csv"), *options]) == 0
    assert len((tmp_path / "views" / "views.jsonl").read_text().splitlines()) == 2


def test_inspect_data_counts(tmp_path, capsys, encoder):
    (tmp_path / "rows.csv").write_text(GOOD + "cat number 3,cat\ndog number 1,cat\n")
    (tmp_path / "test.csv").write_text("text,label\ncat number 4,cat\na heron,dog\n")
    arguments = ["inspect-data", str(tmp_path / "rows.csv"), "--test", str(tmp_path / "test.csv")]
    assert main([*arguments, "--encoder", encoder, "--max-length", "8"]) == 0
    out = capsys.readouterr().out
    assert "train: 26 rows, 2 classes" in out and "test: 2 rows" in out
    assert re.search(r"cat +14$", out, re.M) and re.search(r"dog +12$", out, re.M)
    assert "repeats of an earlier text: 2" in out
    assert "texts with more than one label: 1" in out
    assert "test rows whose text is in train: 1" in out
    # [CLS] cat, six pieces of "number", a digit or two, [SEP]: all over 8 tokens
    assert "longer than 8 tokens: 100.0% (26 rows)" in out


def test_lists_of_methods_data_sets_and_fields(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "1000")  # wide enough that no cell is wrapped
    assert main(["methods"]) == 0
    out = capsys.readouterr().out
    for method in METHODS.values():
        assert method.name in out and method.paper in out and method.mixes in out
    assert main(["datasets"]) == 0
    out = capsys.readouterr().out
    assert [line.split()[0] for line in out.splitlines()] == list(CATALOGUE)

    assert main(["methods", "--settings"]) == 0
    assert "\n    temperature = 0.5, in (0, 1]: " in capsys.readouterr().out
    assert main(["recipe-fields"]) == 0
    assert "\n  labels_per_class = 10, ≥ 0: " in capsys.readouterr().out


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_is_worth_reading(command, capsys):
    with pytest.raises(SystemExit) as done:
        main([*([command] if command else []), "--help"])
    assert done.value.code == 0
    out = capsys.readouterr().out
    assert len(out.splitlines()) >= 5
    if not command:
        assert all(name in out for name in COMMANDS)
    else:
        first = COMMANDS[command].__doc__.splitlines()[0].split(":")[0]
        assert first.split()[0] in out


def test_a_byte_level_tokenizer_with_tokens_of_its_own(recipe, tmp_path, capsys, draw_texts):
    """No token id is written down anywhere: here 0 to 4 are ordinary bytes."""
    texts, _ = draw_texts(5)
    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(texts, vocab_size=300, show_progress=False)
    folder = tmp_path / "roberta"
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe._tokenizer)
    names = {"bos": "<<go>>", "eos": "<<halt>>", "pad": "<<void>>", "unk": "<<what>>"}
    tokenizer.add_special_tokens({f"{k}_token": v for k, v in names.items()})
    assert tokenizer.pad_token_id > 255
    tokenizer.save_pretrained(folder)
    config = RobertaConfig(
        vocab_size=len(tokenizer),
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        hidden_size=16,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=tokenizer.pad_token_id + 1 + 64,
        type_vocab_size=1,
    )
    RobertaModel(config).save_pretrained(folder)
    run = str(tmp_path / "run")
    overrides = [f"model.encoder={folder}", "method=mixtext", "mixtext.layers=[1, 2, 3]"]
    assert main(["train", recipe(), *overrides, "--run", run]) == 0
    capsys.readouterr()
    assert main(["predict", run, "the cat", "Žluťoučký kůň 🐎 naïve"]) == 0
    together = [json.loads(x) for x in capsys.readouterr().out.splitlines()]
    assert main(["predict", run, "the cat"]) == 0
    [alone] = [json.loads(x) for x in capsys.readouterr().out.splitlines()]
    # Padding beside a longer text changes nothing.
    for name, p in alone["probabilities"].items():
        assert abs(p - together[0]["probabilities"][name]) < 2e-6


def test_a_mistyped_command_is_told_the_nearest(refused):
    assert "no command 'trian' (did you mean 'train'?)" in refused("trian", "x.toml")
    assert "commands are train, sweep" in refused("xyz")
    assert "(did you mean 'query'?)" in refused("active", "qeury")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])  # as the README names them
def test_completion_is_printed(shell, capsys):
    with pytest.raises(SystemExit) as done:
        main(["--tyro-print-completion", shell])
    assert not done.value.code
    out = capsys.readouterr().out
    assert "complete" in out and "inspect-data" in out


def test_quiet_and_json(recipe, trained, tmp_path, capsys, encoder, corpus_file):
    run = ["train", recipe(), "--run", str(tmp_path / "run"), "--quiet"]
    assert main([*run, "--json"]) == 0
    said = capsys.readouterr()
    assert said.err == "" and json.loads(said.out)["steps"] == 6
    assert main(run) == 2
    assert capsys.readouterr().err.startswith("mixtext: run folder")
    assert main([*run, "--resume"]) == 0
    assert "accuracy" in capsys.readouterr().out
    assert main(["--quiet", *run[:-1]]) == 2
    assert capsys.readouterr().err.startswith("mixtext: run folder")
    assert main([*run, "--dry-run", "--json"]) == 2
    assert "leave it out with --dry-run" in capsys.readouterr().err
    assert main(["table", str(trained / "run"), "--json"]) == 0
    [row] = json.loads(capsys.readouterr().out)
    assert row["test rows"] == "15" and row["method"] == "supervised"
    assert main(["table", str(trained / "run"), "--baseline", "supervised", "--json"]) == 0
    assert isinstance(json.loads(capsys.readouterr().out), list)
    odd = tmp_path / "odd.csv"
    odd.write_text("text,label\na,cat\nb,Cat\n")
    assert main(["inspect-data", str(odd), "--encoder", encoder, "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["train"]["classes"] == {"Cat": 1, "cat": 1}
    assert said.err.startswith("note: the labels")
    assert main(["inspect-data", str(odd), "--encoder", encoder, "--json", "--quiet"]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "command",
    ["table", "table --rivals mixtext", "table --baseline x", "plot", "report", "active plot"],
)
def test_a_command_about_runs_needs_some(command, refused):
    assert "name at least one run folder" in refused(*command.split())


def test_options_of_back_translation_stand_behind_the_data(tmp_path, refused, corpus_file, capsys):
    options = ["--backend", "identity", "--pivots", "de"]
    for order in (["--out", tmp_path / "v", *options, corpus_file], [*options, corpus_file]):
        assert "the data stand first" in refused("backtranslate", *order)
    assert main(["backtranslate", str(corpus_file), *options, "--out", str(tmp_path / "v")]) == 0


def test_fields_of_a_sweep_may_stand_behind_its_options(recipe, tmp_path, capsys):
    vary = ["--vary", "training.seed=0,1", "--run", str(tmp_path / "s"), "training.steps=1"]
    assert main(["sweep", recipe(), "training.batch=2", *vary]) == 0
    found = [json.loads(line) for line in (tmp_path / "s" / "results.jsonl").open()]
    assert [(x["seed"], x["steps"]) for x in found] == [(0, 1), (1, 1)]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("train x.toml", "mixtext: stopped; go on with --resume\n"),
        ("active run x.toml", "mixtext: stopped; go on with --resume\n"),
        ("sweep x.toml", "mixtext: stopped\n"),
        ("backtranslate x.toml", "mixtext: stopped\n"),
    ],
)
def test_a_stopped_command_names_resume_where_there_is_one(command, said, monkeypatch, capsys):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("mixtext.api.load_recipe", stop)
    monkeypatch.setattr("mixtext.settings.read_toml", stop)
    assert main(command.split()) == 130
    assert capsys.readouterr().err == said


def test_an_option_that_is_given_twice_is_refused(capsys):
    """The second would silently take the place of the first."""
    vary = ["--vary", "training.seed=0,1", "--vary", "data.split_seed=0,1"]
    assert main(["sweep", "recipe.toml", *vary]) == 2
    assert "--vary is given twice" in capsys.readouterr().err
