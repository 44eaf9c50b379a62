"""Inspection: every number counted by hand on a small corpus."""

import json
from dataclasses import replace

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


def test_a_corpus_without_rows_or_labels():
    empty = inspect(TRAIN.select([]), max_length=3)["train"]
    assert (empty["rows"], empty["words"], empty["truncated_share"]) == (0, None, 0.0)
    bare = describe(inspect(Corpus.from_lists(["a"])))
    assert "train: 1 rows, 0 classes" in bare
