"""The corpus: what it refuses, how it numbers labels, and that its checksum tells data apart."""

import hashlib

import numpy as np
import pytest

from mixtext.data.corpus import Corpus, align_labels, check_same_labels
from mixtext.errors import InputError


def refusal(**arguments):
    with pytest.raises(InputError) as error:
        Corpus.from_lists(**arguments)
    return str(error.value)


def test_labels_by_name_are_numbered_in_sorted_order():
    corpus = Corpus.from_lists(["a", "b", "c", "d"], ["sun", None, "moon", "sun"])
    assert corpus.label_names == ["moon", "sun"]
    assert corpus.labels.tolist() == [1, -1, 0, 1]
    assert corpus.labels.dtype == np.int64
    assert corpus.ids == ["0", "1", "2", "3"]
    assert (len(corpus), corpus.classes) == (4, 2)


def test_numbers_are_sorted_by_value_and_minus_one_is_missing():
    corpus = Corpus.from_lists(["a", "b", "c", "d"], np.array([10, 9, -1, 2]))
    assert corpus.label_names == ["2", "9", "10"]
    assert corpus.labels.tolist() == [2, 1, -1, 0]
    assert Corpus.from_lists(["a", "b"], ["10", "9"]).label_names == ["9", "10"]
    assert Corpus.from_lists(["a", "b", "c"], ["10", "9", "x"]).label_names == ["10", "9", "x"]


def test_given_names_fix_the_numbers():
    corpus = Corpus.from_lists(["a", "b", "c"], ["z", 1, -1], label_names=["z", "y", "x"])
    assert corpus.labels.tolist() == [0, 1, -1]
    assert corpus.classes == 3


def test_no_labels_at_all():
    corpus = Corpus.from_lists(["a", "b"])
    assert corpus.labels.tolist() == [-1, -1]
    assert corpus.classes == 0


def test_texts_stay_lists():
    corpus = Corpus.from_lists(("a", "b"), pairs=("c", "d"))
    assert type(corpus.texts) is list and type(corpus.pairs) is list


def test_select_keeps_ids_names_and_pairs():
    corpus = Corpus.from_lists(
        ["a", "b", "c"], ["x", "y", "x"], ids=["i", "j", "k"], pairs=list("def")
    )
    part = corpus.select(np.array([2, 1]))
    assert (part.texts, part.pairs, part.ids) == (["c", "b"], ["f", "e"], ["k", "j"])
    assert part.labels.tolist() == [0, 1]
    assert part.label_names == corpus.label_names
    nothing = corpus.select([])
    assert len(nothing) == 0 and nothing.labels.shape == (0,) and nothing.labels.dtype == np.int64


def number(value):
    return value.to_bytes(8, "little", signed=True)


def test_checksum_is_stable_and_tells_every_field_apart():
    base = {"texts": ["ab", "c"], "labels": ["x", "y"], "ids": ["0", "1"]}
    reference = Corpus.from_lists(**base).checksum()
    # Spelled out: a change of the format would make stored runs look like other data.
    raw = number(2) + number(1) + b"0" + number(1) + b"1"  # ids
    raw += number(2) + number(2) + b"ab" + number(1) + b"c"  # texts
    raw += number(-1)  # no pairs
    raw += number(2) + number(1) + b"x" + number(1) + b"y"  # label names
    assert reference == hashlib.sha256(raw + number(0) + number(1)).hexdigest()
    assert Corpus.from_lists(**base, name="other").checksum() == reference
    others = [
        base | {"texts": ["a", "bc"]},
        base | {"labels": ["y", "x"]},
        base | {"labels": ["x", None]},
        base | {"ids": ["1", "0"]},
        base | {"label_names": ["x", "y", "z"]},
        base | {"pairs": ["ab", "c"]},
    ]
    assert len({reference, *(Corpus.from_lists(**x).checksum() for x in others)}) == 7


def test_checksum_takes_half_a_surrogate_pair():
    assert len(Corpus.from_lists(["a \ud800"]).checksum()) == 64


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ({"texts": []}, ["no rows"]),
        ({"texts": ["a"], "labels": ["x", "y"]}, ["1 texts", "2 labels"]),
        ({"texts": ["a"], "ids": []}, ["1 texts", "0 ids"]),
        ({"texts": ["a", "b"], "pairs": ["c"], "name": "nli"}, ["'nli'", "2 texts", "1 pairs"]),
        ({"texts": list("abc"), "ids": ["p", "q", "p"]}, ["rows 0 and 2", "'p'"]),
        ({"texts": ["a", " \n", "b", ""], "ids": list("pqrs")}, ["2 row(s)", "'q', 's'"]),
        ({"texts": ["a"], "pairs": ["\t"]}, ["1 row(s)", "second text", "'0'"]),
        ({"texts": ["a", None]}, ["row '1'", "None", "not a string"]),
        (
            {"texts": ["a"], "labels": ["z"], "label_names": ["x", "y"]},
            ["'z'", "'x', 'y'", "row '0'"],
        ),
        ({"texts": ["a"], "labels": [2], "label_names": ["x", "y"]}, ["label 2", "'x', 'y'"]),
        ({"texts": ["a"], "labels": [-2], "label_names": ["x", "y"]}, ["label -2"]),
        ({"texts": ["a"], "labels": [0.7], "label_names": ["x", "y"]}, ["row '0'", "label 0.7"]),
        ({"texts": ["a"], "label_names": ["x", "x"]}, ["'x' twice"]),
    ],
)
def test_refusals_name_what_is_wrong(arguments, parts):
    message = refusal(**arguments)
    assert all(x in message for x in parts), message


def test_same_labels():
    train = Corpus.from_lists(["a", "b"], ["x", "y"])
    check_same_labels(train, Corpus.from_lists(["c"], ["y"], label_names=["x", "y"]))
    with pytest.raises(InputError, match="label 'z' that train lacks"):
        check_same_labels(train, Corpus.from_lists(["c", "d"], ["y", "z"]))
    with pytest.raises(InputError, match="same number in both"):
        check_same_labels(train, Corpus.from_lists(["c"], ["y"], label_names=["y", "x"]))


def test_align_renumbers_a_test_part_that_lacks_a_class():
    train = Corpus.from_lists(["a", "b", "c"], ["x", "y", "z"])
    test = Corpus.from_lists(["d", "e", "f"], ["z", None, "y"])
    aligned = align_labels(train, test)
    assert test.labels.tolist() == [1, -1, 0]
    assert aligned.labels.tolist() == [2, -1, 1]
    check_same_labels(train, aligned)
    with pytest.raises(InputError, match="'w' that train lacks"):
        align_labels(train, Corpus.from_lists(["d"], ["w"]))


def test_extending_takes_the_labels_away_and_keeps_ids_apart():
    corpus = Corpus.from_lists(["a", "b"], ["x", "y"], name="mine")
    more = Corpus.from_lists(["c", "d"], ["x", "z"], name="unlabelled")
    both = corpus.extended(more)
    assert both.texts == ["a", "b", "c", "d"]
    assert both.labels.tolist() == [0, 1, -1, -1]
    assert both.label_names == ["x", "y"]
    assert both.ids == ["0", "1", "unlabelled/0", "unlabelled/1"]
    with pytest.raises(InputError, match="'unlabelled/0'"):
        both.extended(more)
    with pytest.raises(InputError, match="pairs and single texts"):
        corpus.extended(Corpus.from_lists(["c"], pairs=["d"], name="pairs"))
