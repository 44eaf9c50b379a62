"""SeqMix's sentences: reference vectors, worked examples, properties, degenerate and bad input."""

import itertools
import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixtext.errors import InputError
from mixtext.tagging.mixing import (
    TaggedSentences,
    TokenTable,
    Window,
    allowed_tokens,
    candidates,
    draw_pairs,
    eligible_windows,
    mix_windows,
    nearest_tokens,
    paired_windows,
    shuffled,
    soft_labels,
    squared_norms,
    take_accepted,
)

GOLDEN = Path(__file__).parents[1] / "golden" / "seqmix"
CASES = json.loads((GOLDEN / "cases.json").read_text(encoding="utf-8"))
HAND = json.loads((GOLDEN / "hand_example.json").read_text(encoding="utf-8"))
NAMES = json.loads((GOLDEN / "toy_vocab.json").read_text(encoding="utf-8"))
with np.load(GOLDEN / "toy_embeddings.npz", allow_pickle=False) as file:
    TOY = TokenTable(file["E"], allowed_tokens(NAMES))
with np.load(GOLDEN / "sub_sequence_mixup.npz", allow_pickle=False) as file:
    PAPER_TAGS = (file["paper_tag1"], file["paper_tag2"])
# Column 0 of the reference labels is padding.
TAGS = ["", "O", "B-MISC", "I-MISC", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC"]
PAIRINGS = ["whole_sequence", "sub_sequence", "label_constrained"]
SEEDS = st.integers(0, 2**32 - 1)


def rng(seed=0):
    return np.random.default_rng(seed)


def tag_ids(tags):
    return np.array([TAGS.index(tag) for tag in tags])


def toy_ids(text):
    return np.array([NAMES.index(name) for name in text.split()])


def random_table(seed, rows=40, depth=5, banned=6, dtype=np.float32):
    """A table whose first `banned` tokens may not be emitted."""
    return TokenTable(rng(seed).normal(size=(rows, depth)).astype(dtype), np.arange(rows) >= banned)


def random_sentences(seed, count=8, longest=9, rows=40, labels=4):
    """Sentences, some of them empty, over all tokens of a random table."""
    generator = rng(seed)
    lengths = generator.integers(0, longest + 1, size=count)
    return TaggedSentences(
        [generator.integers(0, rows, size=n) for n in lengths],
        [generator.integers(0, labels, size=n) for n in lengths],
        labels,
    )


# ---- against the reference vectors


def test_sub_sequence_pair():
    case = CASES["sub_sequence"]
    sentences = TaggedSentences(
        [toy_ids(case["text1"]), toy_ids(case["text2"])],
        [tag_ids(case["label1"]), tag_ids(case["label2"])],
        num_labels=12,
        outside=TAGS.index("O"),
    )
    windows = [Window(k, start, 5) for k, start in enumerate(case["start"])]
    made = mix_windows(sentences, TOY, *windows, case["lam"])
    for candidate, text, tags in zip(made, ("paper_text1", "paper_text2"), PAPER_TAGS, strict=True):
        assert " ".join(NAMES[token] for token in candidate.tokens) == case[text]
        np.testing.assert_allclose(candidate.labels, tags, rtol=0, atol=1e-12)
    assert [candidate.parents for candidate in made] == [(0, 1), (1, 0)]
    assert [candidate.start for candidate in made] == case["start"]
    assert [candidate.lam for candidate in made] == [case["lam"], 1 - case["lam"]]


@pytest.mark.parametrize("case", CASES["find_sub_seq"])
def test_starts_of_windows(case):
    starts = eligible_windows(
        tag_ids(case["labels"]), case["s"], case["n"] / case["s"], TAGS.index("O")
    )
    assert starts.tolist() == case["paper_starts"]


@pytest.mark.parametrize("case", CASES["most_similar"])
def test_nearest_token(case):
    a, b = NAMES.index(case["a"]), NAMES.index(case["b"])
    table = TOY.table.astype(np.float64)
    target = case["lam"] * table[[a]] + (1 - case["lam"]) * table[[b]]
    found = nearest_tokens(target, TOY.table, TOY.allowed, np.array([[a, b]]))
    assert NAMES[found[0]] == case["paper_pick"]
    distance = np.square(table[found] - target).sum()
    assert distance == pytest.approx(case["paper_dist2"], abs=1e-5)
    ranked = [NAMES[k] for k in np.square(table - target).sum(axis=1).argsort()[:7]]
    assert ranked == case["sorted_top7"]


def test_toy_vocabulary_rule():
    banned = {name for name, may in zip(NAMES, TOY.allowed, strict=True) if not may}
    assert banned == {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "##x", "##y", "[unused1]"}


def test_by_hand():
    names = list(HAND["emb"])
    table = np.array(list(HAND["emb"].values()), dtype=np.float64)
    p, q = (names.index(name) for name in HAND["pair"])
    target = HAND["lam"] * table[[p]] + (1 - HAND["lam"]) * table[[q]]
    np.testing.assert_allclose(target[0], HAND["mix"], atol=1e-12)
    allowed = np.ones(len(names), dtype=bool)
    parents = np.array([[p, q]])
    assert names[nearest_tokens(target, table, allowed, parents)[0]] == HAND["pick"]
    allowed[names.index(HAND["pick"])] = False
    found = nearest_tokens(target, table, allowed, parents)[0]
    assert names[found] == HAND["pick_if_z_excluded"]
    label = soft_labels(tag_ids(["B-PER"]), tag_ids(["O"]), HAND["lam"], 12)[0]
    assert {TAGS[k]: label[k] for k in np.flatnonzero(label)} == {"B-PER": 0.6, "O": 0.4}


def test_density_by_hand():
    case = HAND["density"]
    labels = tag_ids(case["labels"])
    assert eligible_windows(labels, case["s"], case["eta"], 1).tolist() == [0]
    assert eligible_windows(labels, case["s"], np.nextafter(case["eta"], 1), 1).tolist() == []


# ---- nearest tokens


def squared_distances(targets, table, allowed, parents):
    """(N, V) in float64, infinite where a token may not be chosen."""
    distance = np.square(table.astype(np.float64) - targets[:, None]).sum(axis=-1)
    distance[:, ~allowed] = np.inf
    if parents is not None:
        distance[np.arange(len(targets))[:, None], parents] = np.inf
    return distance


def brute_force(*args):
    return squared_distances(*args).argmin(axis=1).tolist()  # the first one on ties


@given(
    seed=SEEDS,
    chunk=st.integers(1, 50),
    distinct=st.integers(1, 40),
    scale=st.sampled_from([1e-12, 1.0, 1e12]),
    dtype=st.sampled_from([np.float16, np.float32, np.float64]),
    with_parents=st.booleans(),
    far=st.sampled_from([0.0, 1e3]),
)
@settings(max_examples=80, deadline=None)
def test_no_other_token_is_nearer(seed, chunk, distinct, scale, dtype, with_parents, far):
    generator = rng(seed)
    rows = generator.normal(size=(distinct, 3))
    scale = 1.0 if dtype == np.float16 else scale
    # Repeated rows tie, and in a cluster far from zero all distances are small beside the norms.
    table = (scale * (rows[generator.integers(0, distinct, size=40)] + far)).astype(dtype)
    allowed = generator.random(40) < 0.5
    allowed[:3] = True  # two parents leave one
    ids = generator.integers(0, 40, size=(2, 7))
    lam = generator.random((7, 1))
    targets = lam * table[ids[0]].astype(np.float64) + (1 - lam) * table[ids[1]].astype(np.float64)
    parents = ids.T if with_parents else None
    found = nearest_tokens(targets, table, allowed, parents, chunk=chunk)
    distance = squared_distances(targets, table, allowed, parents)
    # As far as the precision of the table tells: a bound on the rounding of three products.
    norms = np.square(table.astype(np.float64)).sum(axis=1).max() + np.square(targets).sum(axis=1)
    eps = np.finfo(np.float64 if dtype == np.float64 else np.float32).eps
    assert (distance[np.arange(7), found] <= distance.min(axis=1) + 8 * eps * norms).all()
    assert found.dtype == np.int64


def test_many_targets_and_a_large_table():
    table = random_table(0, rows=600)
    targets = rng(1).normal(size=(600, 5))  # more than are searched at once
    parents = rng(2).integers(0, 600, size=(600, 2))
    found = nearest_tokens(targets, table.table, table.allowed, parents, chunk=100)
    assert found.tolist() == brute_force(targets, table.table, table.allowed, parents)
    known = nearest_tokens(targets, table.table, table.allowed, parents, squared=table.squared)
    assert known.tolist() == found.tolist()


def test_the_first_one_on_ties():
    table = np.tile(np.float32([[0.1, 0.7, 0.3]]), (9, 1))
    allowed = np.ones(9, dtype=bool)
    target = np.zeros((1, 3))
    for chunk in range(1, 11):
        assert nearest_tokens(target, table, allowed, None, chunk=chunk)[0] == 0
        assert nearest_tokens(target, table, allowed, np.array([[0, 1]]), chunk=chunk)[0] == 2


def test_memory_of_the_search():
    """Of 30,000 × 768 the search holds one chunk's distances, not all of them."""
    rows, depth, chunk = 30_000, 768, 4096
    table = np.zeros((rows, depth), dtype=np.float32)
    table[:, :8] = rng().normal(size=(rows, 8))
    squared, targets = squared_norms(table), np.zeros((300, depth))
    parents = np.zeros((300, 2), dtype=np.int64)
    tracemalloc.start()
    nearest_tokens(targets, table, np.ones(rows, dtype=bool), parents, chunk=chunk, squared=squared)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 24 * 256 * chunk + 16 * 300 * depth


def test_no_token_left():
    table = np.eye(3, dtype=np.float32)
    targets = np.zeros((1, 3))
    with pytest.raises(InputError, match="none is left for a place"):
        nearest_tokens(targets, table, np.array([True, True, False]), np.array([[0, 1]]))
    with pytest.raises(InputError, match="none is left for a place"):
        nearest_tokens(targets * np.nan, table, np.ones(3, dtype=bool), None)


def test_a_row_that_is_no_number_is_not_chosen():
    table = np.array([[np.nan, 0], [np.inf, 0], [5, 0], [4, 0]], dtype=np.float32)
    assert nearest_tokens(np.zeros((1, 2)), table, np.ones(4, dtype=bool), None)[0] == 3


# ---- windows and labels


@given(
    labels=st.lists(st.integers(0, 3), max_size=12),
    size=st.integers(1, 14),
    tenths=st.integers(0, 10),
)
def test_windows_are_all_those_that_are_dense_enough(labels, size, tenths):
    starts = eligible_windows(np.array(labels, dtype=np.int64), size, tenths / 10, outside=2)
    expected = [
        start
        for start in range(len(labels) - size + 1)
        if 10 * sum(label != 2 for label in labels[start : start + size]) >= tenths * size
    ]
    assert starts.tolist() == expected


@given(
    pair=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=9),
    lam=st.floats(0, 1),
)
def test_soft_rows_sum_to_one(pair, lam):
    row, partner = np.array(pair, dtype=np.int64).reshape(-1, 2).T
    soft = soft_labels(row, partner, lam, 5)
    assert soft.shape == (len(pair), 5)
    np.testing.assert_allclose(soft.sum(axis=1), 1, rtol=0, atol=1e-15)
    np.testing.assert_array_equal(soft[row == partner], np.eye(5)[row[row == partner]])


# ---- pairs


@given(count=st.integers(0, 40), seed=SEEDS)
def test_shuffled_is_a_permutation(count, seed):
    assert sorted(shuffled(count, rng(seed))) == list(range(count))


def test_shuffled_is_uniform_and_lazy():
    drawn = [tuple(shuffled(3, generator)) for generator in [rng(3)] * 3000]
    counts = [drawn.count(order) for order in itertools.permutations(range(3))]
    assert min(counts) > 420 and max(counts) < 580  # 500 expected, standard deviation 20
    assert len(set(itertools.islice(shuffled(10**15, rng()), 100))) == 100


@given(items=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 4)), max_size=14), seed=SEEDS)
def test_pairs_are_all_those_of_one_group_and_two_sentences(items, seed):
    groups, sentences = np.array(items, dtype=np.int64).reshape(-1, 2).T
    drawn = list(draw_pairs(groups, sentences, rng(seed)))
    expected = {
        frozenset((a, b))
        for a, b in itertools.combinations(range(len(items)), 2)
        if groups[a] == groups[b] and sentences[a] != sentences[b]
    }
    assert {frozenset(pair) for pair in drawn} == expected
    assert len(drawn) == len(expected)
    assert all(sentences[a] < sentences[b] for a, b in drawn)


def test_pairs_come_without_all_of_them_being_made():
    n = 20_000  # 200 million pairs
    tracemalloc.start()
    drawn = list(itertools.islice(draw_pairs(np.zeros(n, int), np.arange(n), rng()), 50))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(set(drawn)) == 50 and peak < 5e6
    assert drawn != sorted(drawn)


@given(seed=SEEDS, size=st.integers(1, 4), tenths=st.integers(0, 10))
@settings(max_examples=40, deadline=None)
def test_which_windows_meet(seed, size, tenths):
    sentences = random_sentences(seed, count=5, longest=5)
    for pairing in PAIRINGS:
        for first, second in paired_windows(sentences, pairing, size, tenths / 10, rng(seed)):
            a, b = (
                sentences.labels[w.sentence][w.start : w.start + w.size] for w in (first, second)
            )
            assert first.sentence != second.sentence and len(a) == len(b) > 0
            assert min(np.mean(a != 0), np.mean(b != 0)) >= tenths / 10
            if pairing == "whole_sequence":
                assert len(a) == len(sentences.labels[first.sentence])
                assert len(b) == len(sentences.labels[second.sentence])
            else:
                assert len(a) == size
            assert pairing != "label_constrained" or a.tolist() == b.tolist()


# ---- candidates


@given(seed=SEEDS, pairing=st.sampled_from(PAIRINGS), tenths=st.integers(0, 10))
@settings(max_examples=60, deadline=None)
def test_what_holds_for_every_candidate(seed, pairing, tenths):
    sentences, table = random_sentences(seed), random_table(seed)
    made = candidates(
        sentences, table, pairing, size=3, threshold=tenths / 10, generator=rng(seed), alpha=1.0
    )
    for candidate in itertools.islice(made, 40):
        host, partner = candidate.parents
        tokens, labels = sentences.tokens[host], sentences.labels[host]
        hard = np.eye(4)[labels]
        inside = np.zeros(len(tokens), dtype=bool)
        inside[candidate.start : candidate.start + candidate.size] = True
        assert host != partner and 0 <= candidate.lam <= 1
        assert candidate.tokens.shape == tokens.shape and candidate.labels.shape == hard.shape
        np.testing.assert_allclose(candidate.labels.sum(axis=1), 1, rtol=0, atol=1e-15)
        np.testing.assert_array_equal(candidate.tokens[~inside], tokens[~inside])
        assert candidate.labels[~inside].tobytes() == hard[~inside].tobytes()
        assert table.allowed[candidate.tokens[inside]].all()
        assert (candidate.tokens[inside] != tokens[inside]).all()
        # The same λ for the labels: what is not the host's label has the partner's weight.
        off = 1 - candidate.labels[inside, labels[inside]]
        assert np.all((off < 1e-12) | (np.abs(off - (1 - candidate.lam)) < 1e-12))
        if pairing == "whole_sequence":
            assert inside.all()
        else:
            assert candidate.size == 3
        if pairing == "label_constrained":
            np.testing.assert_array_equal(candidate.labels, hard)


@given(seed=SEEDS)
@settings(max_examples=30, deadline=None)
def test_lam_1_with_parents_allowed_gives_the_first_sentence_back(seed):
    sentences = random_sentences(seed, count=4)
    table = TokenTable(random_table(seed).table, np.ones(40, dtype=bool))
    for first, second in paired_windows(sentences, "sub_sequence", 2, 0.5, rng(seed)):
        back, other = mix_windows(sentences, table, first, second, 1.0, allow_parents=True)
        np.testing.assert_array_equal(back.tokens, sentences.tokens[first.sentence])
        np.testing.assert_array_equal(back.labels, np.eye(4)[sentences.labels[first.sentence]])
        assert (back.lam, other.lam) == (1.0, 0.0)


@pytest.mark.parametrize("pairing", PAIRINGS)
def test_neither_parent_is_emitted_where_it_would_be_nearest(pairing):
    # Token 1 is the mean of 0 and 2, and itself a parent of nothing: then it is found.
    table = TokenTable(np.float32([[0.0], [1.0], [2.0], [9.0]]), np.ones(4, dtype=bool))
    sentences = TaggedSentences([np.array([0, 0]), np.array([2, 2])], [np.array([1, 1])] * 2, 2)
    made = list(candidates(sentences, table, pairing, size=2, generator=rng(), alpha=500.0))
    assert len(made) == (1 if pairing == "whole_sequence" else 2)
    assert all(candidate.tokens.tolist() == [1, 1] for candidate in made)
    close = TokenTable(table.table, np.array([True, False, True, True]))
    made = list(candidates(sentences, close, pairing, size=2, generator=rng(), alpha=500.0))
    assert all(candidate.tokens.tolist() == [3, 3] for candidate in made)


def test_a_pair_of_windows_gives_both_sentences_with_one_lam():
    sentences = TaggedSentences(
        [np.arange(6), np.arange(10, 15)], [np.ones(6, int), np.ones(5, int)], 2
    )
    made = list(candidates(sentences, random_table(0), "sub_sequence", generator=rng(4)))
    assert len(made) == 4  # two windows in the first, one in the second
    for one, two in zip(made[::2], made[1::2], strict=True):
        assert one.parents == two.parents[::-1] == (0, 1)
        assert one.lam + two.lam == pytest.approx(1)
    assert made[0].lam != made[2].lam


@pytest.mark.parametrize("pairing", PAIRINGS)
def test_the_generator_decides(pairing):
    def make(seed):
        sentences = random_sentences(7, count=30, longest=6)
        made = candidates(
            sentences, random_table(1), pairing, size=2, threshold=0.5, generator=rng(seed)
        )
        return [(*c.parents, c.start, c.lam, *c.tokens) for c in itertools.islice(made, 12)]

    assert make(1) == make(1) != make(2)
    assert len(make(1)) == 12


@given(
    rate=st.floats(0, 1.5), handed=st.integers(0, 12), seed=SEEDS, odds=st.sampled_from([0, 0.5, 1])
)
@settings(max_examples=40, deadline=None)
def test_at_most_r_times_k_are_added(rate, handed, seed, odds):
    coin, asked = rng(seed), []
    sentences, table = random_sentences(seed), random_table(seed)
    made = candidates(sentences, table, "sub_sequence", size=2, threshold=0.5, generator=rng(seed))

    def accept(candidate):
        asked.append(candidate)
        return coin.random() < odds

    kept = take_accepted(itertools.islice(made, 30), accept, rate, handed)
    assert len(kept) <= int(rate * handed)
    if kept and len(kept) == int(rate * handed):
        assert asked[-1] is kept[-1]  # nothing is judged after the last one that is needed
    if odds == 1:
        assert len(kept) == len(asked)


# ---- degenerate input gives nothing


@pytest.mark.parametrize("pairing", PAIRINGS)
@pytest.mark.parametrize(
    "labels",
    [
        [],
        [[]],
        [[], []],
        [[1, 1, 1, 1, 1, 1]],  # one sentence, two windows
        [[0, 0, 0, 0, 0], [0, 0, 0, 0, 0]],  # no entity
        [[1, 1, 1], [1, 1]],  # shorter than the window, and not equally long
    ],
)
def test_nothing_to_mix(pairing, labels):
    labels = [np.array(tags, dtype=np.int64) for tags in labels]
    sentences = TaggedSentences([np.arange(len(tags)) for tags in labels], labels, 2)
    assert list(candidates(sentences, random_table(0), pairing, generator=rng())) == []


def test_no_targets():
    table = random_table(0)
    empty = nearest_tokens(np.empty((0, 5)), table.table, table.allowed, np.empty((0, 2), int))
    assert empty.shape == (0,)


# ---- bad input is one sentence, at once


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"threshold": 1.1}, "threshold is 1.1"),
        ({"threshold": -0.1}, "threshold is -0.1"),
        ({"threshold": float("nan")}, "threshold is nan"),
        ({"size": 0}, "window is 0 tokens"),
        ({"alpha": 0.0}, "alpha is 0.0"),
        ({"pairing": "half"}, "no pairing 'half': choose one of whole_sequence, sub_sequence"),
    ],
)
def test_bad_settings(setting, message):
    given = {"pairing": "sub_sequence", **setting}
    with pytest.raises(InputError, match=message) as caught:
        candidates(random_sentences(0), random_table(0), generator=rng(), **given)
    assert str(caught.value).count(".") - message.count(".") == 1  # one sentence


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TokenTable(np.zeros((3, 2)), np.zeros(3, dtype=bool)), "No token is allowed"),
        (lambda: TokenTable(np.zeros((3, 2)), np.ones(2, dtype=bool)), "token table needs"),
        (lambda: TokenTable(np.zeros((3, 2)), np.ones(3)), "token table needs"),
        (lambda: TaggedSentences([np.arange(3)], [np.arange(2)], 4), "do not match"),
        (lambda: TaggedSentences([np.arange(3)], [], 4), "do not match"),
        (lambda: TaggedSentences([np.arange(2)], [np.array([0, -100])], 4), "0 has a label id"),
        (lambda: TaggedSentences([np.arange(2)], [np.array([0, 4])], 4), "0 has a label id"),
        (lambda: eligible_windows(np.zeros(3), 2, 2.0), "threshold is 2.0"),
        (lambda: eligible_windows(np.zeros(3), -1, 0.5), "window is -1"),
        (lambda: take_accepted([], bool, -0.2, 5), "rate is -0.2"),
        (lambda: take_accepted([], bool, float("nan"), 5), "rate is nan"),
    ],
)
def test_bad_input(make, message):
    with pytest.raises(InputError, match=message):
        make()


def test_token_outside_the_table():
    sentences = TaggedSentences([np.array([0, 40])], [np.array([0, 1])], 2)
    with pytest.raises(InputError, match="Sentence 0 has a token id outside 0 to 39"):
        candidates(sentences, random_table(0), "sub_sequence", generator=rng())
