"""Orders, padding and the feed: what every row meets on its way to the model."""

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import BertTokenizerFast

from mixtext.data.batches import Feed, Order, in_length_order, pad
from mixtext.data.tokenising import tokenise
from mixtext.data.views import Row, WordDropout

PIECES = ["[UNK]", "the", "cat", "sat", "##s", "[CLS]", "play", "##ing"]
PIECES += ["dog", "[SEP]", "a", "[PAD]", "red"]


def wordpiece():
    """A WordPiece tokenizer whose special tokens sit at unusual ids."""
    return BertTokenizerFast(vocab={piece: i for i, piece in enumerate(PIECES)})


def rows_of(*lengths):
    kinds = [np.ones(n, dtype=np.int8) for n in lengths]
    return [Row(np.arange(1, len(x) + 1), np.arange(len(x)), x, x) for x in kinds]


# ---- order


@pytest.mark.parametrize(("rows", "batch"), [(12, 4), (10, 4), (3, 8), (1, 1), (7, 7)])
def test_every_row_once_a_pass(rows, batch):
    names = np.arange(rows) * 10 + 3  # rows are known by their indices in the corpus
    order = Order(names, batch, [0, 1])
    stream = np.concatenate([order[k] for k in range(3 * rows)])  # 3·batch passes
    for start in range(0, len(stream), rows):
        assert sorted(stream[start : start + rows]) == names.tolist()
    assert all(len(order[k]) == batch for k in range(5))


@pytest.mark.parametrize(("rows", "batch", "window"), [(40, 4, 5), (40, 4, 10), (13, 3, 4)])
def test_every_row_as_often_with_length_windows(rows, batch, window):
    names = np.arange(rows)
    lengths = np.random.default_rng(0).integers(1, 100, rows)
    order = Order(names, batch, [0, 2], lengths, window)
    plain = Order(names, batch, [0, 2])
    for w in range(6):
        inside = range(w * window, (w + 1) * window)
        sorted_rows = np.concatenate([order[k] for k in inside])
        # A window holds just the rows that the plain order has there, so passes stay passes.
        assert Counter(sorted_rows.tolist()) == Counter(
            np.concatenate([plain[k] for k in inside]).tolist()
        )
        assert all(len(order[k]) == batch for k in inside)
    counts = Counter(np.concatenate([order[k] for k in range(6 * window)]).tolist())
    assert max(counts.values()) - min(counts.values()) <= 1


def test_length_windows_keep_like_lengths_together():
    lengths = np.random.default_rng(1).permutation(200)
    bucketed = Order(np.arange(200), 8, [0], lengths, window=25)
    spread = [np.ptp(lengths[bucketed[k]]) for k in range(25)]
    assert max(spread) == 7  # one window holds all rows: batches are runs of the sorted lengths
    # … and they come in another order than by length.
    means = [lengths[bucketed[k]].mean() for k in range(25)]
    assert means != sorted(means) and means != sorted(means, reverse=True)


@pytest.mark.parametrize(("rows", "batch"), [(12, 4), (13, 4), (9, 2)])
def test_a_window_is_at_most_one_pass(rows, batch):
    # In a longer one a row would meet itself: its copies are of one length.
    order = Order(np.arange(rows), batch, [0], np.arange(rows) * 10, window=50)
    window = np.concatenate([order[k] for k in range(rows // batch)])
    assert len(np.unique(window)) == len(window)


def test_windows_come_in_orders_of_their_own():
    # With all rows in each window, a batch is known by its place among the sorted lengths.
    def places(seed, window):
        order = Order(np.arange(200), 8, [seed], np.arange(200), window=25)
        return [int(order[k].min()) // 8 for k in range(25 * window, 25 * (window + 1))]

    first = places(0, 0)
    assert sorted(first) == list(range(25))
    assert first != places(0, 1) and first != places(1, 0)


@given(st.integers(1, 30), st.integers(1, 9), st.integers(0, 99), st.booleans())
@settings(max_examples=40, deadline=None)
def test_a_batch_depends_on_seed_and_number_alone(rows, batch, seed, buckets):
    lengths = np.arange(rows)[::-1] % 5 if buckets else None
    visited = Order(np.arange(rows), batch, [seed], lengths, 3)
    [visited[k] for k in range(20)]
    resumed = Order(np.arange(rows), batch, [seed], lengths, 3)
    for k in (17, 0, 5):
        np.testing.assert_array_equal(visited[k], resumed[k])


@pytest.mark.parametrize("lengths", [None, np.arange(60) % 7])
def test_other_seeds_other_passes_other_orders(lengths):
    def first(seed, start=0):
        order = Order(np.arange(60), 6, seed, lengths, 10)
        return np.concatenate([order[k] for k in range(start, start + 10)]).tolist()

    assert first([0, 1]) == first([0, 1])
    assert first([0, 1]) != first([0, 2])
    assert first([0, 1]) != first([1, 1])
    assert first([0, 1]) != first([0, 1], start=10)  # the second pass


def test_in_length_order_covers_all_rows_longest_first():
    parts = in_length_order(np.array([3, 9, 5, 9, 7]), 2)
    assert [part.tolist() for part in parts] == [[1, 3], [4, 2], [0]]


# ---- padding


def test_pad_to_the_longest_row():
    padded = pad(rows_of(2, 4, 1), filler=77)
    assert padded.ids.tolist() == [[1, 2, 77, 77], [1, 2, 3, 4], [1, 77, 77, 77]]
    assert padded.mask.tolist() == [[True] * n + [False] * (4 - n) for n in (2, 4, 1)]
    assert padded.types.tolist() == [[1, 1, 0, 0], [1] * 4, [1, 0, 0, 0]]
    assert (padded.ids.dtype, padded.mask.dtype) == (torch.int64, torch.bool)
    assert padded.types.dtype == torch.int64


@pytest.mark.parametrize(("pad_to", "width"), [(0, 4), (3, 4), (6, 6)])
def test_pad_to_a_width(pad_to, width):
    padded = pad(rows_of(2, 4), 0, pad_to)
    assert padded.ids.shape == padded.mask.shape == padded.types.shape == (2, width)
    assert padded.mask.sum(1).tolist() == [2, 4]


def test_rows_without_types():
    assert pad([Row(np.array([5]), np.array([0]), None, np.array([0]))], 0).types is None


# ---- the feed


TWO_VIEWS = WordDropout(0.5, copies=2)


def feed(views=TWO_VIEWS, batch_unlabelled=3, **changes):
    texts = ["the cat sat " * (1 + i % 4) + ("dog " * i) for i in range(20)]
    tokens = tokenise(wordpiece(), texts, max_length=40)
    labels = np.arange(20) % 3
    labels[12:] = -1
    settings = {"batch": 4, "batch_unlabelled": batch_unlabelled, "seed": 0} | changes
    ids = [f"id{i}" for i in range(20)]
    made = Feed(tokens, labels, ids, np.arange(6), np.arange(6, 20), views, **settings)
    return made, tokens, labels


@pytest.mark.parametrize(
    ("by_length", "labelled", "unlabelled"),
    [("none", False, False), ("unlabelled", False, True), ("all", True, True)],
)
def test_whose_batches_are_of_like_length(by_length, labelled, unlabelled):
    generator = np.random.default_rng(1)
    texts = [" ".join(["cat"] * n) for n in generator.permutation(np.arange(1, 201))]
    tokens = tokenise(wordpiece(), texts, max_length=300)
    views = WordDropout(0.1, copies=0)
    made = Feed(
        *(tokens, np.zeros(200, dtype=np.int64), [str(i) for i in range(200)]),
        *(np.arange(100), np.arange(100, 200), views),
        **{"batch": 5, "batch_unlabelled": 5, "seed": 0, "by_length": by_length},
    )
    spread = {"labelled": [], "unlabelled": []}
    for k in range(20):
        rows = np.array([int(x) for x in made.batch(k, generator).row_ids])
        for part, picked in (("labelled", rows[:5]), ("unlabelled", rows[5:])):
            spread[part].append(np.ptp(tokens.lengths[picked]))
    # In order of length 5 of 100 texts span some 10 tokens of 200, at random some 130.
    assert (np.mean(spread["labelled"]) < 40) == labelled
    assert (np.mean(spread["unlabelled"]) < 40) == unlabelled


def test_rows_of_a_batch():
    made, tokens, labels = feed()
    batch = made.batch(3, np.random.default_rng(0))
    assert (batch.unlabelled, batch.views, len(batch.labels)) == (3, 2, 4)
    assert batch.rows.ids.shape[0] == 4 + 3 * 3
    index = [int(name.removeprefix("id")) for name in batch.row_ids]
    assert set(index[:4]) <= set(range(6)) and set(index[4:]) <= set(range(6, 20))
    assert batch.labels.tolist() == labels[index[:4]].tolist()
    assert batch.hidden.tolist() == labels[index[4:]].tolist()

    def ids(place):
        return batch.rows.ids[place][batch.rows.mask[place]].tolist()

    for n, i in enumerate(index[:4]):
        assert ids(n) == tokens.row(i).ids.tolist()
    for n, i in enumerate(index[4:]):
        original = tokens.row(i).ids.tolist()
        assert ids(4 + 6 + n) == original  # originals come last, behind the views
        for view in (ids(4 + n), ids(4 + 3 + n)):
            assert len(view) <= len(original) and set(view) <= set(original)
            assert [view[0], view[-1]] == [original[0], original[-1]]


def test_batches_come_again_alike():
    one, two = feed()[0], feed()[0]
    one.batch(0, np.random.default_rng(9))
    a, b = one.batch(7, np.random.default_rng(1)), two.batch(7, np.random.default_rng(1))
    assert a.row_ids == b.row_ids and torch.equal(a.rows.ids, b.rows.ids)
    other = feed(seed=1)[0]
    assert any(
        one.batch(k, np.random.default_rng(1)).row_ids
        != other.batch(k, np.random.default_rng(1)).row_ids
        for k in range(3)
    )


def test_a_supervised_feed():
    made, _, _ = feed(views=None, pad_to=50)
    batch = made.batch(0, np.random.default_rng(0))
    assert (batch.unlabelled, batch.views, len(batch.hidden)) == (0, 0, 0)
    assert batch.rows.ids.shape == (4, 50) and len(batch.row_ids) == 4
    assert set(batch.row_ids) <= {f"id{i}" for i in range(6)}


def test_methods_see_the_same_labelled_rows_with_and_without_unlabelled_ones():
    with_views, without = feed()[0], feed(views=None)[0]
    for k in range(4):
        a, b = (f.batch(k, np.random.default_rng(0)).row_ids for f in (with_views, without))
        assert a[:4] == b
