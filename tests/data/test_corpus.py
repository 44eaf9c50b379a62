"""The corpus: what it refuses, how it holds labels, and that its checksum tells data apart."""

import hashlib

import numpy as np
import pytest

from mixtext.data.corpus import Corpus, align_labels, renumber_labels
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
        (
            {"texts": ["a", "b"], "ids": ["p", "q"], "scores": [1.5, float("-inf")]},
            ["row 'q'", "score -inf", "finite number"],
        ),
        ({"texts": ["a"], "scores": ["3"]}, ["row '0'", "score '3'"]),
        ({"texts": ["a"], "scores": [True]}, ["score True"]),
        ({"texts": ["a"], "scores": [1, 2]}, ["1 texts", "2 scores"]),
        ({"texts": ["a"], "scores": [1], "labels": [1]}, ["scores and labels"]),
        ({"texts": ["a"], "scores": [1], "label_names": ["x"]}, ["scores and label_names"]),
    ],
)
def test_refusals_name_what_is_wrong(arguments, parts):
    message = refusal(**arguments)
    assert all(x in message for x in parts), message


def test_align_renumbers_a_test_part_that_lacks_a_class():
    train = Corpus.from_lists(["a", "b", "c"], ["x", "y", "z"])
    test = Corpus.from_lists(["d", "e", "f"], ["z", None, "y"])
    aligned = align_labels(train, test)
    assert test.labels.tolist() == [1, -1, 0]
    assert aligned.labels.tolist() == [2, -1, 1]
    assert aligned.label_names == ["x", "y", "z"]
    other = Corpus.from_lists(["d"], ["y"], label_names=["y", "x"])  # the same in another order
    assert align_labels(train, other).labels.tolist() == [1]
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
    with pytest.raises(InputError, match="mine holds single texts but pairs holds pairs"):
        corpus.extended(Corpus.from_lists(["c"], pairs=["d"], name="pairs"))


def test_scores_make_the_task_regression():
    corpus = Corpus.from_lists(
        ["a", "b", "c"], scores=[2, None, np.float32(0.5)], pairs=list("def")
    )
    assert corpus.target == "scores" and corpus.pairs == ["d", "e", "f"]
    assert corpus.labels.dtype == np.float64
    np.testing.assert_array_equal(corpus.labels, [2.0, np.nan, 0.5])
    assert corpus.labelled.tolist() == [True, False, True]
    assert (corpus.label_names, corpus.classes) == ([], 0)
    np.testing.assert_array_equal(corpus.select([2, 1]).labels, [0.5, np.nan])
    assert corpus.select([]).target == "scores"
    assert not Corpus.from_lists(["a"], scores=[float("nan")]).labelled.any()


def test_rows_and_target_are_two_axes():
    texts, pairs, scores = ["a", "b"], ["c", "d"], [0.5, None]
    found = [
        Corpus.from_lists(texts, ["x", "y"]),
        Corpus.from_lists(texts, ["x", "y"], pairs=pairs),
        Corpus.from_lists(texts, scores=scores),
        Corpus.from_lists(texts, pairs=pairs, scores=scores),
        Corpus.from_vectors(np.zeros((2, 3)), ["x", "y"]),
        Corpus.from_vectors(np.zeros((2, 3, 4))),
    ]
    assert [(x.rows, x.target, x.shape, x.task) for x in found] == [
        ("texts", "classes", (), "single"),
        ("pairs", "classes", (), "pair"),
        ("texts", "scores", (), "regression"),
        ("pairs", "scores", (), "regression"),
        ("vectors", "classes", (3,), "vectors"),
        ("vectors", "classes", (3, 4), "vectors"),
    ]
    # Also where no row is left to tell it.
    assert all((x.rows, x.target) == (x.select([]).rows, x.select([]).target) for x in found)


def test_labelled_says_which_rows_have_a_class():
    corpus = Corpus.from_lists(["a", "b"], ["x", None])
    assert corpus.labelled.tolist() == [True, False] and corpus.labelled.dtype == bool


def images(rows=3, **options):
    return Corpus.from_vectors(np.arange(rows * 4).reshape(rows, 2, 2), **options)


def test_vectors_are_rows_without_texts():
    corpus = images(labels=["x", "y", None], ids=list("pqr"))
    assert (corpus.rows, len(corpus), corpus.texts) == ("vectors", 3, [])
    assert corpus.vectors.dtype == np.float32 and corpus.vectors.shape == (3, 2, 2)
    assert corpus.labels.tolist() == [0, 1, -1] and corpus.label_names == ["x", "y"]
    part = corpus.select(np.array([2, 0]))
    assert part.ids == ["r", "p"] and part.vectors.tolist() == [
        [[8, 9], [10, 11]],
        [[0, 1], [2, 3]],
    ]
    assert part.labels.tolist() == [-1, 0]
    nothing = corpus.select([])
    assert len(nothing) == 0 and nothing.vectors.shape == (0, 2, 2) and nothing.rows == "vectors"


@pytest.mark.parametrize(
    ("vectors", "options", "parts"),
    [
        ([[1, 2], [np.nan, 1], [1, np.inf]], {"ids": list("pqr")}, ["2 row(s)", "'q', 'r'"]),
        ([[1.0], [1e300]], {"name": "set"}, ["'set'", "'1'"]),  # infinite as float32
        ([1.0, 2.0], {}, ["shape (2,)"]),
        (np.zeros((2, 1, 2, 2)), {}, ["shape (2, 1, 2, 2)"]),
        (np.zeros((0, 3)), {}, ["shape (0, 3)"]),
        (np.zeros((2, 0)), {}, ["shape (2, 0)"]),
        ([["a"], ["b"]], {}, ["not numbers"]),
        ([[1.0], [2.0]], {"labels": ["x"]}, ["2 vectors", "1 labels"]),
        ([[1.0], [2.0]], {"ids": ["x", "x"]}, ["same id 'x'"]),
        ([[1.0], [2.0]], {"labels": ["x", "z"], "label_names": ["x", "y"]}, ["row '1'", "'z'"]),
    ],
)
def test_vectors_that_are_refused(vectors, options, parts):
    with pytest.raises(InputError) as error:
        Corpus.from_vectors(vectors, **options)
    assert all(x in str(error.value) for x in parts), str(error.value)


def test_checksum_tells_scores_and_vectors_apart():
    score = [Corpus.from_lists(["a", "b"], scores=x) for x in ([0, 1], [0, 2], [0, None])]
    bits = np.uint64(0x7FF8000000000001).view(np.float64)  # NaN, but another one
    assert Corpus.from_lists(["a", "b"], scores=[-0.0, bits]).checksum() == score[2].checksum()
    vector = [
        Corpus.from_vectors(x, [0, 1]) for x in (np.eye(2), 1 - np.eye(2), np.eye(2)[:, None])
    ]
    more = [images(2), Corpus.from_lists(["a", "b"]), Corpus.from_lists(["a", "b"], [0, 1])]
    assert len({x.checksum() for x in (*score, *vector, *more)}) == 9
    assert vector[0].select([0, 1]).checksum() == vector[0].checksum()


def test_extending_scores_and_vectors():
    corpus = Corpus.from_lists(["a"], scores=[2.5], name="mine")
    both = corpus.extended(Corpus.from_lists(["b"], ["x"], name="more"))
    np.testing.assert_array_equal(both.labels, [2.5, np.nan])
    assert both.labels.dtype == np.float64 and both.label_names == []
    both = images(1, labels=["x"]).extended(images(2, labels=["y", "y"], name="more"))
    assert (both.labels.tolist(), both.vectors.shape) == ([0, -1, -1], (3, 2, 2))
    assert both.ids == ["0", "more/0", "more/1"]
    with pytest.raises(InputError, match=r"shape \(2, 2\).*shape \(4,\)"):
        images().extended(Corpus.from_vectors(np.zeros((1, 4))))


def test_test_part_of_another_task_is_refused():
    single, pair = Corpus.from_lists(["a"], ["x"]), Corpus.from_lists(["a"], ["x"], pairs=["b"])
    score = Corpus.from_lists(["a"], scores=[1.0], name="scores")
    for train, test, part in (
        (single, pair, "single texts but test holds pairs"),
        (images(labels=[0, 1, 0]), single, r"vectors of shape \(2, 2\) but test holds single"),
        (single, score, "train has classes for labels and test scores has scores"),
        (score, single, "train has scores"),
    ):
        with pytest.raises(InputError, match=part):
            align_labels(train, test)


def test_scores_need_no_aligning_and_a_bare_test_part_takes_the_task_of_train():
    train = Corpus.from_lists(["a"], scores=[1.0])
    test = Corpus.from_lists(["b"], scores=[3.0])
    assert align_labels(train, test).labels.tolist() == [3.0]
    bare = Corpus.from_lists(["b"])
    assert align_labels(train, bare).target == "scores"
    classes = Corpus.from_lists(["a", "b"], ["x", "y"])
    bare = align_labels(classes, Corpus.from_lists(["b"], scores=[None]))
    assert (bare.target, bare.labels.tolist(), bare.label_names) == ("classes", [-1], ["x", "y"])


def test_renumbering_by_the_names_of_a_model():
    corpus = Corpus.from_lists(["a", "b"], ["y", "x"], pairs=["c", "d"])
    assert renumber_labels(corpus, ["z", "y", "x"]).labels.tolist() == [1, 2]
    with pytest.raises(InputError, match="'y' that train lacks"):
        renumber_labels(corpus, ["x"])
