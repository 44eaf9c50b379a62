"""Starter recipes: what they say follows from the data, and they load and train as written."""

import csv
import json

import pytest

from mixtext.api import load_recipe
from mixtext.cli import main
from mixtext.data.read.options import ReadOptions
from mixtext.errors import InputError
from mixtext.methods import METHODS
from mixtext.presets import PRESETS
from mixtext.starter import starter_recipe


def write(path, head, rows):
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([head, *rows])
    return path


@pytest.fixture
def train_as_written(encoder, tmp_path, monkeypatch, capsys):
    """Arguments of new-recipe → the recipe, loaded, and the result of two steps of it."""
    monkeypatch.chdir(tmp_path)

    def call(data, *arguments, steps=2):
        assert main(["new-recipe", data, *arguments]) == 0
        name = data.removesuffix(".csv")
        assert f"{name}.toml" in capsys.readouterr().out
        recipe = load_recipe(f"{name}.toml")
        assert recipe.name == name
        small = [f"model.encoder={encoder}", f"training.steps={steps}", "model.max_length=32"]
        small += ["mixtext.contrast_passes=1"]
        small += ["training.batch=2", "training.batch_unlabelled=2"]
        assert main(["train", f"{name}.toml", *small]) == 0
        return recipe, json.loads((tmp_path / "runs" / name / "result.json").read_text())

    return call


def test_its_hints_name_the_file_that_it_is_in(tmp_path, draw_texts, write_rows):
    data = write_rows(tmp_path / "things.csv", *draw_texts(2))
    assert main(["new-recipe", str(data), "--out", str(tmp_path / "first try.toml")]) == 0
    text = (tmp_path / "first try.toml").read_text()
    assert f"# Train:    mixtext train '{tmp_path / 'first try.toml'}'\n" in text


@pytest.mark.slow
@pytest.mark.parametrize(
    "method, missing",
    [
        *((name, True) for name, m in METHODS.items() if m.takes("texts", "classes")),
        ("mixtext", False),
    ],
)
def test_texts(method, missing, tmp_path, train_as_written, draw_texts, write_rows):
    name = 'odd "name" [1]' if missing else "things"
    texts, labels = draw_texts(30)
    if missing:
        labels = [label if i < 45 else None for i, label in enumerate(labels)]
    write_rows(tmp_path / f"{name}.csv", texts, labels)
    recipe, result = train_as_written(f"{name}.csv", "--method", method)
    assert recipe.method.name == method
    assert recipe.data.pool == "natural" and recipe.data.dev_per_class == 0
    assert result["steps"] == (2 if METHODS[method].steps else 0)
    # Every label is used where there are rows without; else the texts of the others serve as such.
    each = 45 if missing else 30
    assert result["labels"] == {"learned_from": each, "chosen_by": 0}
    assert result["unlabelled"] == (90 - each if METHODS[method].unlabelled else 0)


@pytest.mark.parametrize("method", ["", "ssmix"])
def test_pairs(method, tmp_path, train_as_written, draw_texts):
    (texts, labels), (others, _) = draw_texts(12), draw_texts(12, seed=1)
    rows = zip(texts, others, labels, strict=True)
    write(tmp_path / "both.csv", ["one", "two", "label"], rows)
    columns = ["--text", "one", "--pair", "two"]
    recipe, result = train_as_written(
        "both.csv", *columns, *(["--method", method] if method else [])
    )
    assert recipe.method.name == (method or "supervised")  # nothing is without a label
    assert recipe.data.text == ("one",) and recipe.data.pair == ("two",)
    assert result["task"] == "pair" and result["labels"]["learned_from"] == 36


@pytest.mark.parametrize("method, pairs", [("", False), ("", True), ("mixup_transformer", True)])
def test_regression(method, pairs, tmp_path, train_as_written, draw_texts):
    (texts, _), (others, _) = draw_texts(20), draw_texts(20, seed=1)
    # The last row has no score.
    rows = [
        [text, other, "" if i == 60 else i % 7 - 3]
        for i, (text, other) in enumerate(zip([*texts, "last"], [*others, "last"], strict=True))
    ]
    write(tmp_path / "worth.csv", ["text", "other", "points"], rows)
    arguments = ["--label", "points", "--scores", "-3", "3"]
    arguments += ["--pair", "other"] if pairs else []
    arguments += ["--method", method] if method else []
    recipe, result = train_as_written("worth.csv", *arguments)
    assert recipe.method.name == (method or "supervised")
    assert recipe.data.scores == (-3.0, 3.0) and recipe.data.label == "points"
    assert result["task"] == "regression"
    assert (result["test_rows"], result["dev_rows"], result["labelled"]) == (0, 0, 60)


def test_a_file_without_a_header_that_is_not_utf8(tmp_path, train_as_written):
    lines = [f"cat {i} \xe9,tame\ndog {i},wild\n" for i in range(20)]
    (tmp_path / "bare.csv").write_bytes("".join(lines).encode("latin-1"))
    arguments = ["--no-header", "--text", "0", "--label", "1", "--encoding-errors", "replace"]
    recipe, result = train_as_written("bare.csv", *arguments, "--method", "supervised")
    assert not recipe.data.header and recipe.data.encoding_errors == "replace"
    assert recipe.data.labels_per_class == 0 and result["labelled"] == 40


@pytest.mark.parametrize(
    ("labels", "texts", "line"),
    [
        (
            ("ham", "not_ham"),
            "word",
            'templates = ["{}", "This sentence is {}.", "a text about {}"]',
        ),
        (("0", "1"), "word", '# templates = ["{}", "This sentence is {}.", "a text about {}"]'),
        (("Lob", "Tadel"), "Gerätehaftpflichtversicherung", 'templates = ["{}"]'),
    ],
)
def test_classes_are_said_where_their_names_say_something(tmp_path, labels, texts, line):
    rows = [[f"{texts} {i}", labels[i % 2]] for i in range(20)] + [["more", ""]]
    path = write(tmp_path / "few.csv", ["text", "label"], rows)
    text = starter_recipe(str(path))[1]
    assert f"\n{line}  # " in text
    words = [x.replace("_", " ") for x in labels]
    assert f"\n# class_words = {json.dumps(words)}  # " in text
    (tmp_path / "few.toml").write_text(text.replace("# class", "class").replace("# temp", "temp"))
    recipe = load_recipe(tmp_path / "few.toml")
    assert recipe.data.templates and list(recipe.data.class_words) == words


@pytest.mark.parametrize(("rare", "start"), [(4, False), (6, True)])
def test_where_nearly_all_labels_are_of_one_class_there_is_no_start(tmp_path, rare, start):
    rows = [[f"word {i}", "ham" if i >= rare else "spam"] for i in range(20)] + [["more", ""]]
    path = write(tmp_path / "skew.csv", ["text", "label"], rows)
    (tmp_path / "skew.toml").write_text(starter_recipe(str(path))[1])
    method = load_recipe(tmp_path / "skew.toml").method
    assert method.teacher == PRESETS["few_labels"]["mixtext"]["teacher"]
    assert (method.contrast_passes > 0, method.cluster > 0, method.align) == (start,) * 3


def test_length_counts_both_texts(tmp_path):
    rows = [["word " * 30, "word " * 20, label] for label in "ab" * 10]
    path = write(tmp_path / "long.csv", ["text", "other", "label"], rows)
    single = starter_recipe(str(path))[1]
    pair = starter_recipe(str(path), ReadOptions(pair="other"))[1]
    assert "\nmax_length = 32 " in single and "\nmax_length = 64 " in pair


def refusal(path, method="", **settings):
    with pytest.raises(InputError) as refused:
        starter_recipe(str(path), ReadOptions(**settings), method=method)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_refusals(tmp_path):
    scores = write(tmp_path / "scores.csv", ["text", "label"], [["a", 1], ["b", 2], ["c", ""]])
    lone = write(tmp_path / "lone.csv", ["text", "label"], [["a", 1], ["b", ""], ["c", ""]])
    assert "2 rows with a score" in refusal(lone, scores=(0, 5))
    classes = write(tmp_path / "few.csv", ["text", "label"], [["a", "x"], ["b", "y"], ["c", "y"]])
    assert "smallest class has 1 row" in refusal(classes, "mixtext")
    one = write(tmp_path / "one.csv", ["text", "label"], [["a", "x"], ["b", "x"], ["c", ""]])
    assert "at least two classes" in refusal(one)
    assert "'no'" in refusal(classes, "no")
    sentence = refusal(classes, "mixup")
    assert "'mixup'" in sentence and "holds texts with classes" in sentence and "tmix" in sentence
    assert "'ssmix'" in refusal(scores, "ssmix", scores=(0, 5))
    assert "line 3" in refusal(scores, scores=(0, 1))
    assert "vectors" in refusal("digits")
