"""Inspection: every number counted by hand on a small corpus."""

import json
from dataclasses import replace

import numpy as np
import pytest

from mixtext.data.corpus import Corpus
from mixtext.data.inspection import describe, inspect

TRAIN = Corpus.from_lists(
    ["a b c", "a  b c\n", "d", "d", "e f g h", "e f"],
    ["x", "y", "x", None, "x", "x"],
    label_names=["x", "y", "z"],
)
TEST = Corpus.from_lists(["a b c", "new", "d "], ["x", "y", "z"], label_names=["x", "y", "z"])


def test_numbers_by_hand():
    report = inspect(replace(TRAIN, replacements=7), TEST, max_length=2)
    train, test = report["train"], report["test"]
    assert train["rows"] == 6
    assert train["classes"] == {"x": 4, "y": 1, "z": 0}
    assert train["missing_labels"] == 1
    assert train["words"] == {"min": 1, "median": 2.5, "95 %": 3.75, "max": 4}
    assert train["duplicates"] == 2
    assert train["conflicts"] == 1  # "a b c" is x and y; "d" is x and missing, which is none
    assert (train["truncated"], train["truncated_share"]) == (3, 0.5)
    assert train["replacements"] == 7
    assert report["leaks"] == 2
    assert (test["duplicates"], test["truncated"]) == (0, 1)
    assert json.loads(json.dumps(report)) == report


@pytest.mark.parametrize("wrap", [list, lambda ids: {"input_ids": list(ids)}])
def test_tokens_decide_what_is_cut_off(wrap):
    report = inspect(TRAIN, tokenizer=lambda text: wrap(range(len(text))), max_length=5)
    assert report["unit"] == "tokens"
    assert report["train"]["tokens"] == {"min": 1, "median": 4, "95 %": 7, "max": 7}
    assert report["train"]["truncated"] == 2
    assert report["test"] is None and report["leaks"] is None


def test_both_texts_of_a_pair_count():
    pairs = Corpus.from_lists(["a b", "a b", "a b"], ["x", "x", "y"], pairs=["c", "d e", "c"])
    report = inspect(pairs, pairs.select([1]), lambda x, y: [*x.split(), 0, *y.split()], 4)
    assert report["train"]["words"]["max"] == 4
    assert report["train"]["tokens"]["max"] == 5
    assert (report["train"]["duplicates"], report["train"]["conflicts"]) == (1, 1)
    assert report["train"]["truncated"] == 1
    assert report["leaks"] == 1
    other = Corpus.from_lists(["a b"], ["x"], pairs=["c d"])
    assert inspect(pairs, other)["leaks"] == 0


def test_description_holds_the_numbers():
    text = describe(inspect(TRAIN, TEST, max_length=2))
    lines = [" ".join(x.split()) for x in text.splitlines()]
    for line in (
        "train: 6 rows, 3 classes",
        "x 4",
        "z 0",
        "without a label: 1",
        "words a row: min 1, median 2.5, 95 % 3.75, max 4",
        "longer than 2 words: 50.0% (3 rows)",
        "repeats of an earlier text: 2",
        "texts with more than one label: 1",
        "characters replaced while decoding: 0",
        "test: 3 rows, 3 classes",
        "test rows whose text is in train: 2",
    ):
        assert line in lines, text
    alone = describe(inspect(TRAIN))
    assert "test" not in alone and "longer than" not in alone


def test_scores_are_described_by_quantiles():
    scores = [0.0, 1.0, 2.0, 3.0, 4.0, None]
    corpus = Corpus.from_lists(list("abcdaa"), scores=scores, pairs=["x"] * 6)
    report = inspect(corpus, corpus.select([1]), max_length=3)
    quartiles = {"min": 0, "25 %": 1, "median": 2, "75 %": 3, "max": 4}
    assert report["train"]["scores"] == quartiles
    assert report["train"]["classes"] == {} and report["train"]["missing_labels"] == 1
    # "a x" has the scores 0, 4 and none.
    assert (report["train"]["duplicates"], report["train"]["conflicts"]) == (2, 1)
    lines = [" ".join(x.split()) for x in describe(report).splitlines()]
    for line in (
        "train: 6 pairs, scores",
        "score: min 0, 25 % 1, median 2, 75 % 3, max 4",
        "without a label: 1",
        "repeats of an earlier pair: 2",
        "pairs with more than one label: 1",
        "test rows whose pair is in train: 1",
    ):
        assert line in lines, lines
    assert json.loads(json.dumps(report)) == report
    bare = inspect(Corpus.from_lists(["a"], scores=[None]))
    assert bare["train"]["scores"] == {} and "train: 1 rows, scores" in describe(bare)


def test_vectors_have_a_shape_and_no_words():
    images = np.zeros((3, 2, 4))
    images[1] = 1
    corpus = Corpus.from_vectors(images, ["x", "y", "y"])
    report = inspect(corpus, corpus.select([1]), tokenizer=len, max_length=1)
    train = report["train"]
    assert (train["shape"], train["words"], train["tokens"], train["truncated"]) == (
        [2, 4],
        None,
        None,
        None,
    )
    assert (train["classes"], train["duplicates"], train["conflicts"]) == ({"x": 1, "y": 2}, 1, 1)
    assert report["leaks"] == 1
    lines = [" ".join(x.split()) for x in describe(report).splitlines()]
    for line in (
        "train: 3 rows of 2 × 4 values, 2 classes",
        "y 2",
        "repeats of an earlier row: 1",
        "rows with more than one label: 1",
        "test rows that are in train: 1",
    ):
        assert line in lines, lines
    assert json.loads(json.dumps(report)) == report


def test_a_corpus_without_rows_or_labels():
    empty = inspect(TRAIN.select([]), max_length=3)["train"]
    assert (empty["rows"], empty["words"], empty["truncated_share"]) == (0, None, 0.0)
    bare = describe(inspect(Corpus.from_lists(["a"])))
    assert "train: 1 rows, 0 classes" in bare
