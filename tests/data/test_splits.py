"""Splits: disjoint, balanced, nested and seeded for any corpus; the official one row for row."""

import hashlib
import json
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixtext.data.corpus import Corpus
from mixtext.data.splits import (
    corrupt_labels,
    drop_duplicates,
    duplicates,
    hold_out,
    official_split,
    split,
)
from mixtext.errors import InputError

GOLDEN = json.loads(
    (Path(__file__).parent.parent / "golden" / "official_split.json").read_text(encoding="utf-8")
)


@st.composite
def cases(draw):
    """Shuffled labels with unequal classes and missing ones, and numbers that fit them."""
    classes = draw(st.integers(2, 5))
    small, large, dev = draw(st.integers(1, 4)), draw(st.integers(4, 8)), draw(st.integers(0, 3))
    counts = [draw(st.integers(large + dev, 30)) for _ in range(classes)]
    missing = draw(st.integers(0, 20))
    labels = np.repeat([*range(classes), -1], [*counts, missing])
    labels = np.random.default_rng(draw(st.integers(0, 9))).permutation(labels)
    return labels, classes, small, large, dev, draw(st.integers(0, 1000))


@settings(max_examples=60, deadline=None)
@given(cases(), st.sampled_from(["balanced", "natural"]))
def test_parts_are_disjoint_balanced_and_exhaust_what_they_say(case, pool):
    labels, classes, count, _, dev, seed = case
    if pool == "balanced":
        labels = labels[labels >= 0]
    cut = split(labels, count, dev, pool=pool, seed=seed)
    rows = np.concatenate([cut.labelled, cut.unlabelled, cut.dev])
    assert len(np.unique(rows)) == len(rows)
    assert {x.dtype for x in (cut.labelled, cut.unlabelled, cut.dev)} == {np.dtype(np.int64)}
    assert np.bincount(labels[cut.labelled], minlength=classes).tolist() == [count] * classes
    assert np.bincount(labels[cut.dev], minlength=classes).tolist() == [dev] * classes
    if pool == "natural":
        assert len(rows) == len(labels)
    else:
        left = np.bincount(labels).min() - count - dev
        assert np.bincount(labels[cut.unlabelled], minlength=classes).tolist() == [left] * classes


@settings(max_examples=60, deadline=None)
@given(cases(), st.sampled_from(["balanced", "natural"]))
def test_budgets_nest_and_dev_stays(case, pool):
    labels, classes, small, large, dev, seed = case
    if pool == "balanced":
        labels = labels[labels >= 0]
    few = split(labels, small, dev, pool=pool, seed=seed)
    many = split(labels, large, dev, pool=pool, seed=seed)
    assert few.labelled.tolist() == many.labelled[: classes * small].tolist()
    assert few.dev.tolist() == many.dev.tolist()
    if pool == "natural":
        # Only the rows that became labelled have left the pool, and the order of the rest stays.
        kept = few.unlabelled[~np.isin(few.unlabelled, many.labelled)]
        assert kept.tolist() == many.unlabelled.tolist()
    else:
        assert few.unlabelled[: len(many.unlabelled)].tolist() == many.unlabelled.tolist()


def test_a_pool_that_no_budget_reaches_is_the_same_for_all():
    labels = np.arange(400) % 4
    pools = [split(labels, n, 5, 50, seed=3).unlabelled.tolist() for n in (1, 10, 45)]
    assert pools[0] == pools[1] == pools[2]


def test_seed_decides_and_nothing_else():
    labels = np.arange(300) % 3
    state = np.random.get_state()[1].tolist()
    first, again, other = (split(labels, 5, 5, 20, seed=s) for s in (1, 1, 2))
    assert np.random.get_state()[1].tolist() == state
    for part in ("labelled", "unlabelled", "dev"):
        assert getattr(first, part).tolist() == getattr(again, part).tolist()
        assert getattr(first, part).tolist() != getattr(other, part).tolist()


def test_natural_pool_has_the_share_of_the_rest():
    labels = np.repeat([0, 1], [9000, 1000])
    cut = split(labels, 10, 0, 2000, pool="natural", seed=0)
    assert len(cut.unlabelled) == 4000
    # Without replacement from 9,980 rows: mean 0.0992, standard deviation 0.0037.
    assert abs((labels[cut.unlabelled] == 1).mean() - 990 / 9980) < 5 * 0.0037


def test_rows_without_label_are_pool_and_nothing_else():
    labels = np.array([0] * 5 + [1] * 5 + [-1] * 30)
    cut = split(labels, 3, 1, pool="natural", seed=0)
    assert set(range(10, 40)) <= set(cut.unlabelled.tolist())
    # Every labelled row is used up, so "balanced" has nothing to balance and takes the others.
    cut = split(labels, 4, 1, pool="balanced", seed=0)
    assert sorted(cut.unlabelled.tolist()) == list(range(10, 40))
    cut = split(labels, 4, 1, 7, pool="balanced", seed=0)
    assert len(cut.unlabelled) == 14 and (labels[cut.unlabelled] == -1).all()


def test_all_labels_leave_the_unlabelled_rows_to_the_pool():
    labels = np.array([0] * 20 + [1] * 8 + [-1] * 5)
    cut = split(labels, 0, 2, pool="natural")
    assert sorted(np.concatenate([cut.labelled, cut.dev]).tolist()) == list(range(28))
    assert np.bincount(labels[cut.labelled]).tolist() == [18, 6]
    assert sorted(cut.unlabelled.tolist()) == list(range(28, 33))


@settings(max_examples=60, deadline=None)
@given(cases(), st.integers(1, 1000), st.integers(1, 1000))
def test_shares_nest_are_rounded_up_and_leave_dev_alone(case, one, other):
    labels, classes, _, _, dev, seed = case
    small, large = sorted([one, other])
    cuts = {
        x: split(labels, 0, dev, pool="natural", seed=seed, labelled_share=x / 1000)
        for x in (small, large, 1000)
    }
    free = np.bincount(labels[labels >= 0]) - dev
    for share, cut in cuts.items():
        want = [math.ceil(Fraction(share * int(n), 1000)) for n in free]
        assert np.bincount(labels[cut.labelled], minlength=classes).tolist() == want
        assert cut.dev.tolist() == cuts[1000].dev.tolist()
        # What has lost its label is in the pool, as with a budget.
        rows = np.concatenate([cut.labelled, cut.unlabelled, cut.dev])
        assert sorted(rows.tolist()) == list(range(len(labels)))
    assert set(cuts[small].labelled) <= set(cuts[large].labelled) <= set(cuts[1000].labelled)


def test_a_share_with_a_balanced_pool():
    labels = np.repeat([0, 1], [40, 20])
    cut = split(labels, 0, 10, labelled_share=0.1)
    assert np.bincount(labels[cut.labelled]).tolist() == [3, 1]
    assert np.bincount(labels[cut.unlabelled]).tolist() == [9, 9]
    # 0.07 · 100 is 7.000000000000001 in floating point.
    cut = split(np.arange(200) % 2, 0, labelled_share=0.07)
    assert len(cut.labelled) == 14


@st.composite
def scored(draw):
    """Scores with missing ones, and numbers that fit them."""
    small, large, dev = draw(st.integers(1, 4)), draw(st.integers(4, 8)), draw(st.integers(0, 3))
    scores = np.random.default_rng(draw(st.integers(0, 9))).normal(size=large + dev + 11)
    missing = draw(st.lists(st.integers(0, len(scores) - 1), max_size=10, unique=True))
    scores[missing] = np.nan
    return scores, small, large, dev, draw(st.integers(0, 1000))


@settings(max_examples=60, deadline=None)
@given(scored(), st.sampled_from(["balanced", "natural"]))
def test_scores_are_split_as_one_class(case, pool):
    scores, small, large, dev, seed = case
    few, many = (split(scores, n, dev, pool=pool, seed=seed) for n in (small, large))
    for cut, count in ((few, small), (many, large)):
        assert (len(cut.labelled), len(cut.dev)) == (count, dev)
        assert not np.isnan(scores[[*cut.labelled, *cut.dev]]).any()
        rows = np.concatenate([cut.labelled, cut.unlabelled, cut.dev])
        assert sorted(rows.tolist()) == list(range(len(scores)))
    assert few.labelled.tolist() == many.labelled[:small].tolist()
    assert few.dev.tolist() == many.dev.tolist()
    share = split(scores, 0, dev, seed=seed, labelled_share=0.5)
    assert len(share.labelled) == math.ceil((np.isfinite(scores).sum() - dev) / 2)
    rest, held = hold_out(scores, small, seed)
    assert len(held) == small and not np.isnan(scores[held]).any()
    assert sorted([*rest, *held]) == list(range(len(scores)))


def test_scores_too_few_or_with_the_official_split_are_refused():
    scores = np.array([1.0, np.nan, 2.0])
    with pytest.raises(InputError, match="has 2 labelled rows, too few for labels_per_class 3"):
        split(scores, 3)
    with pytest.raises(InputError, match="has 2 rows, so holding 2 out leaves none"):
        hold_out(scores, 2)
    with pytest.raises(InputError, match="official split is one of classes"):
        official_split(scores, 1)


@settings(max_examples=60, deadline=None)
@given(cases(), st.floats(0, 1), st.floats(0, 1))
def test_noise_touches_the_labelled_rows_alone_and_nests(case, one, other):
    labels, classes, _, count, dev, seed = case
    small, large = sorted([one, other])
    rows = split(labels, count, dev, pool="natural", seed=seed).labelled
    few, many, every = (corrupt_labels(labels, rows, x, classes, seed) for x in (small, large, 1))
    for noisy, share in ((few, small), (many, large)):
        changed = np.flatnonzero(noisy != labels)
        assert len(changed) <= round(share * len(rows)) and set(changed) <= set(rows)
        # A larger share has the same noise and more of it.
        assert (noisy[changed] == every[changed]).all()
    assert set(np.flatnonzero(few != labels)) <= set(np.flatnonzero(many != labels))
    assert (every[rows] >= 0).all() and (every < classes).all()
    assert (corrupt_labels(labels, rows, 0, classes, seed) == labels).all()


@pytest.mark.parametrize(
    ("count", "share", "replaced"),
    [(10, 0.34, 3), (10, 0.36, 4), (10, 0.04, 0), (10, 0.06, 1), (10, 0.99, 10), (7, 0.5, 4)],
)
def test_the_share_of_noise_is_rounded_to_the_nearest_row(count, share, replaced):
    labels, rows = np.arange(40) % 2, np.arange(5, 5 + count)
    # Of a million classes none is drawn twice: every row that is replaced is seen.
    noisy = corrupt_labels(labels, rows, share, 10**6)
    assert (noisy != labels).sum() == replaced


def test_noise_is_uniform_over_all_classes():
    labels = np.repeat([0, 1, 2, 3], 5000)
    rows = np.arange(20000)
    noisy = corrupt_labels(labels, rows, 0.5, 4, 3)
    # 10,000 draws of which 3 in 4 change a label; the standard deviation is 43.
    assert abs((noisy != labels).sum() - 7500) < 5 * 43
    new = noisy[noisy != labels]
    assert abs(np.bincount(new, minlength=4) - 1875).max() < 5 * 39
    assert (noisy != corrupt_labels(labels, rows, 0.5, 4, 4)).any()
    assert labels.tolist() == np.repeat([0, 1, 2, 3], 5000).tolist()


LABELS = np.array([0] * 20 + [1] * 8)


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ((LABELS, 5, 4), ["class 'spam' has 8", "labels_per_class 5", "dev_per_class 4"]),
        ((LABELS, 5, 1, 3), ["class 'spam' has 2 rows left", "unlabelled_per_class 3", "natural"]),
        ((LABELS, 5, 1, 9, "natural"), ["16 rows are left", "asks for 18"]),
        ((LABELS, 0, 8), ["class 'spam' has 8", "0 (all, at least 1)", "dev_per_class 8"]),
        ((LABELS + 1, 1), ["label 2", "2 label_names"]),
        ((np.append(LABELS, -1), 1), ["1 of its 27 rows have none", "'natural'"]),
    ],
)
def test_refusals_name_class_and_numbers(arguments, parts):
    *positional, pool = arguments if len(arguments) == 5 else (*arguments, "balanced")
    with pytest.raises(InputError) as error:
        split(*positional, pool=pool, label_names=["ham", "spam"])
    assert all(x in str(error.value) for x in parts), str(error.value)


def test_one_class_and_empty_pool_are_refused():
    with pytest.raises(InputError, match=r"1 class\(es\)"):
        split(np.zeros(10, dtype=np.int64), 1)
    with pytest.raises(InputError, match=r"0 class\(es\)"):
        split(np.full(10, -1), 1)
    with pytest.raises(InputError, match="class 'c' has 0 labelled rows"):
        split(np.arange(10) % 2, 1, label_names=["a", "b", "c"])
    labels = np.arange(8) % 2
    assert len(split(labels, 4).unlabelled) == 0
    with pytest.raises(InputError, match=r"pool is empty.* lower labels_per_class"):
        split(labels, 4, need_unlabelled=True)
    assert len(split(labels, 3, need_unlabelled=True).unlabelled) == 2
    with pytest.raises(InputError, match=r"pool is empty.* give labels_per_class"):
        split(labels, 0, need_unlabelled=True)
    uneven = np.append(labels, 0)
    with pytest.raises(InputError, match=r"pool is empty.* pool 'natural'"):
        split(uneven, 4, need_unlabelled=True)
    assert len(split(uneven, 4, pool="natural", need_unlabelled=True).unlabelled) == 1


@settings(max_examples=40, deadline=None)
@given(cases())
def test_hold_out_takes_the_same_number_of_each_class(case):
    labels, classes, count, _, _, seed = case
    if (np.bincount(labels[labels >= 0]) <= count).any():
        with pytest.raises(InputError, match="leaves none"):
            hold_out(labels, count, seed)
        return
    rest, held = hold_out(labels, count, seed)
    assert sorted([*rest, *held]) == list(range(len(labels)))
    assert np.bincount(labels[held], minlength=classes).tolist() == [count] * classes
    assert hold_out(labels, count, seed)[1].tolist() == held.tolist() == sorted(held.tolist())


def test_hold_out_refusals():
    with pytest.raises(InputError, match="class '1' has 8 rows, so holding 8 out"):
        hold_out(LABELS, 8)


@pytest.mark.parametrize("case", GOLDEN, ids=[x["key"] for x in GOLDEN])
def test_official_split_is_that_of_the_official_code(case):
    classes, rows = case["C"], case["N_per_class"]
    labels = np.arange(classes * rows) % classes
    if case["order"] == "blocked":
        labels = np.sort(labels)
    cut = official_split(
        labels, case["n_labeled_per_class"], case["unlabeled_per_class_arg"], case["seed"]
    )
    parts = {"labeled": cut.labelled, "unlabeled": cut.unlabelled, "val": cut.dev}
    assert [len(x) for x in parts.values()] == case["n"]
    for name, part in parts.items():
        first = case[f"{name}_first"]
        assert part[: len(first)].tolist() == first
        digest = hashlib.sha256(part.astype("<i8").tobytes()).hexdigest()
        assert digest == case["sha256_int64le"][name]


def test_official_split_of_ten_classes_restarts_at_10500():
    labels = np.arange(10 * 13000) % 10
    cut = official_split(labels, 700)
    generator = np.random.RandomState(0)
    expected = []
    for c in range(10):
        rows = np.flatnonzero(labels == c)
        generator.shuffle(rows)
        expected += [*rows[:500], *rows[10500:10700]]
    assert sorted(cut.labelled.tolist()) == sorted(expected)
    every = np.concatenate([cut.labelled, cut.unlabelled, cut.dev])
    assert len(np.unique(every)) == len(every) == 10 * (700 + 5000 + 2000)


@pytest.mark.parametrize(
    ("classes", "rows", "count", "pool", "needed"),
    [
        (2, 7499, 10, 5000, 7500),
        (4, 9499, 2500, 5000, 9500),
        (10, 7499, 10, 5000, 7500),
        (10, 14499, 2500, 5000, 14500),
        (10, 12499, 10, 10000, 12500),
    ],
)
def test_official_split_says_how_many_rows_it_needs(classes, rows, count, pool, needed):
    with pytest.raises(InputError, match=f"class '0' has {rows} rows.*at least {needed} in every"):
        official_split(np.arange(classes * rows) % classes, count, pool)
    cut = official_split(np.arange(classes * needed) % classes, count, pool)
    every = np.concatenate([cut.labelled, cut.unlabelled, cut.dev])
    assert len(np.unique(every)) == len(every) == classes * (count + pool + 2000)


def test_official_split_refuses_a_pool_that_reaches_into_the_labelled_rows():
    for classes in (4, 9, 11):  # ten alone have the larger one
        with pytest.raises(InputError, match=f"{classes} classes has a pool of 0 to 5000 rows"):
            official_split(np.arange(8000 * classes) % classes, 10, 5001)


def test_duplicates_are_found_across_white_space():
    train = Corpus.from_lists(["a b", "c", "a  b\n", "A b"])
    test = Corpus.from_lists(["x", " a\tb", "c"])
    assert duplicates(train, test) == [(0, 1), (2, 1), (1, 2)]
    assert duplicates(train, Corpus.from_lists(["ab"])) == []


def test_duplicates_of_pairs_need_both_texts_and_those_of_vectors_every_value():
    train = Corpus.from_lists(["a", "a"], pairs=["b", "c d"])
    test = Corpus.from_lists(["b", "a"], pairs=["a", "c  d"])
    assert duplicates(train, test) == [(1, 1)]
    train = Corpus.from_vectors([[0.0, 1.0], [2.0, 3.0], [2.0, 3.5]])
    test = Corpus.from_vectors([[2.0, 3.0], [-0.0, 1.0], [1.0, 0.0]])
    assert duplicates(train, test) == [(1, 0), (0, 1)]
    kept, dropped = drop_duplicates(train.select([1, 0, 1]))
    assert (kept.ids, dropped) == (["1", "0"], 1)


def test_drop_duplicates_keeps_the_first_and_its_id():
    corpus = Corpus.from_lists(["a b", "c", "a  b", "c "], ["x", "y", "y", "y"], ids=list("pqrs"))
    kept, dropped = drop_duplicates(corpus)
    assert (kept.ids, dropped) == (["p", "q"], 2)
    assert kept.labels.tolist() == [0, 1]
    pairs = Corpus.from_lists(["a", "a", "a"], pairs=["b", "c", "b "])
    kept, dropped = drop_duplicates(pairs)
    assert (kept.pairs, dropped) == (["b", "c"], 1)


@pytest.mark.parametrize("labels_per_class", [5, 0])
def test_a_share_for_dev_comes_out_of_the_labels(labels_per_class):
    labels = np.arange(60) % 3
    without = split(labels, labels_per_class, seed=4)
    shared = split(labels, labels_per_class, seed=4, dev_share=0.3)
    both = np.concatenate([shared.labelled, shared.dev])
    assert sorted(both) == sorted(without.labelled)
    assert (shared.unlabelled == without.unlabelled).all()
    size = round(0.3 * (labels_per_class or 20))
    assert np.bincount(labels[shared.dev]).tolist() == [size] * 3


def test_a_share_for_dev_leaves_something_to_learn_from():
    with pytest.raises(InputError, match="class '1' has 1 labels, and dev_share"):
        split(np.array([0, 0, 0, 1]), 0, dev_share=0.5)
