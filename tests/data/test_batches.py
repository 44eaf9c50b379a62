"""Orders, padding, tokenisation and the feed: what every row meets on its way to the model."""

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertTokenizerFast, PreTrainedTokenizerFast

from mixtext.data.batches import Feed, Order, in_length_order, pad, pad_id, tokenise
from mixtext.data.views import Row, WordDropout
from mixtext.errors import InputError

PIECES = ["[UNK]", "the", "cat", "sat", "##s", "[CLS]", "play", "##ing"]
PIECES += ["dog", "[SEP]", "a", "[PAD]", "red"]


def wordpiece():
    """A WordPiece tokenizer whose special tokens sit at unusual ids."""
    return BertTokenizerFast(vocab={piece: i for i, piece in enumerate(PIECES)})


def byte_level():
    """A byte-level BPE tokenizer without merges, with the special tokens of RoBERTa."""
    symbols = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {s: i for i, s in enumerate([*symbols, "</s>", "<s>", "<pad>", "<unk>", "<mask>"])}
    inner = Tokenizer(models.BPE(vocab=vocab, merges=[], unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[(s, vocab[s]) for s in ("<s>", "</s>")],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        pad_token="<pad>",
        model_input_names=["input_ids", "attention_mask"],
    )


TOKENIZERS = {"wordpiece": wordpiece, "byte_level": byte_level}
BOTH = pytest.mark.parametrize("make", TOKENIZERS.values(), ids=TOKENIZERS)


def pieces(tokenizer, row):
    return tokenizer.convert_ids_to_tokens(row.ids.tolist())


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


def test_pad_id_is_the_tokenizers_own():
    assert pad_id(wordpiece()) == PIECES.index("[PAD]")
    bpe = byte_level()
    assert bpe.convert_ids_to_tokens(pad_id(bpe)) == "<pad>"
    bpe.pad_token = None
    assert bpe.convert_ids_to_tokens(pad_id(bpe)) == "</s>"
    bpe.eos_token = None
    with pytest.raises(InputError, match=r"neither a padding nor an end token: set `pad_token`"):
        pad_id(bpe)


# ---- tokens


def test_wordpiece_tokens():
    tokenizer = wordpiece()
    tokens = tokenise(tokenizer, ["The cats playing", "dog"], max_length=20)
    assert len(tokens) == 2
    assert tokens.lengths.tolist() == [7, 3]
    first = tokens.row(0)
    assert pieces(tokenizer, first) == ["[CLS]", "the", "cat", "##s", "play", "##ing", "[SEP]"]
    assert first.words.tolist() == [-1, 0, 1, 1, 2, 2, -1]
    assert first.types.tolist() == [0] * 7
    assert pieces(tokenizer, tokens.row(1)) == ["[CLS]", "dog", "[SEP]"]
    assert tokens.row(1).words.tolist() == [-1, 0, -1]
    assert tokens.pad_id == PIECES.index("[PAD]")


def test_byte_level_tokens():
    tokenizer = byte_level()
    tokens = tokenise(tokenizer, ["ab cd", "é"], max_length=20)
    assert pieces(tokenizer, tokens.row(0)) == ["<s>", "a", "b", "Ġ", "c", "d", "</s>"]
    assert tokens.row(0).words.tolist() == [-1, 0, 0, 1, 1, 1, -1]
    assert tokens.row(1).words.tolist() == [-1, 0, 0, -1]  # two bytes of one letter
    assert tokens.types is None and tokens.row(0).types is None
    assert pad([tokens.row(0), tokens.row(1)], tokens.pad_id).types is None


@BOTH
def test_without_special_tokens(make):
    tokenizer = make()
    bare = tokenise(tokenizer, ["the cat", "a dog"], max_length=20, special_tokens=False)
    full = tokenise(tokenizer, ["the cat", "a dog"], max_length=20)
    for i in range(2):
        assert not set(bare.row(i).ids) & set(tokenizer.all_special_ids)
        np.testing.assert_array_equal(bare.row(i).ids, full.row(i).ids[1:-1])
        np.testing.assert_array_equal(bare.row(i).words, full.row(i).words[1:-1])


@BOTH
@pytest.mark.parametrize("special_tokens", [True, False])
@pytest.mark.parametrize("max_length", [3, 5, 8])
def test_truncation(make, special_tokens, max_length):
    tokenizer = make()
    texts = ["the cat sat a red dog " * 3, "a"]
    limits = {"special_tokens": special_tokens}
    cut = tokenise(tokenizer, texts, max_length=max_length, **limits)
    whole = tokenise(tokenizer, texts, max_length=1000, **limits)
    assert cut.lengths[0] == max_length
    ends = 1 if special_tokens else 0
    body = cut.row(0).ids[ends : max_length - ends]
    np.testing.assert_array_equal(body, whole.row(0).ids[ends : max_length - ends])
    if special_tokens:
        assert cut.row(0).ids[-1] == whole.row(0).ids[-1]  # the end token stays
    np.testing.assert_array_equal(cut.row(1).ids, whole.row(1).ids)


@BOTH
def test_a_limit_that_leaves_no_room_for_text_is_refused(make):
    # The tokenizer itself would silently not truncate at all.
    tokenizer = make()
    for limit in (1, 2):
        with pytest.raises(InputError, match="max_length"):
            tokenise(tokenizer, ["the cat sat"], max_length=limit)
    with pytest.raises(InputError, match="max_length"):
        tokenise(tokenizer, ["the cat"], ["a dog"], max_length=3)
    bare = tokenise(tokenizer, ["the cat sat"], max_length=1, special_tokens=False)
    assert bare.lengths.tolist() == [1]


def test_pairs():
    tokenizer = wordpiece()
    tokens = tokenise(tokenizer, ["the cats", "a"], ["red dog", "playing"], max_length=20)
    row = tokens.row(0)
    expected = ["[CLS]", "the", "cat", "##s", "[SEP]", "red", "dog", "[SEP]"]
    assert pieces(tokenizer, row) == expected
    assert row.types.tolist() == [0, 0, 0, 0, 0, 1, 1, 1]
    # Words of the second text have numbers of their own.
    words = row.words
    assert words[[0, 4, 7]].tolist() == [-1, -1, -1]
    assert words[2] == words[3] and len({*words[[1, 2, 5, 6]].tolist()}) == 4
    assert len(set(tokens.row(1).words[[1, 3]].tolist())) == 2
    cut = tokenise(tokenizer, ["the cats sat"], ["red dog"], max_length=6)
    assert cut.lengths.tolist() == [6]
    assert set(cut.row(0).types.tolist()) == {0, 1}  # the longer text is cut first


def test_pairs_of_a_tokenizer_without_types():
    tokenizer = byte_level()
    tokens = tokenise(tokenizer, ["a b"], ["c d"], max_length=20)
    assert pieces(tokenizer, tokens.row(0))[4:6] == ["</s>", "</s>"]
    assert tokens.row(0).words.tolist() == [-1, 0, 1, 1, -1, -1, 2, 3, 3, -1]


@BOTH
def test_a_text_of_which_nothing_is_left(make):
    tokenizer = make()
    empty = "\u0000\u0007" if make is wordpiece else ""  # BERT drops control characters
    bare = tokenise(tokenizer, ["the cat", empty, "a"], max_length=9, special_tokens=False)
    assert bare.lengths[1] == 1
    assert bare.row(1).ids.tolist() == [tokenizer.unk_token_id]
    assert bare.lengths.min() == 1 and len(bare) == 3
    full = tokenise(tokenizer, ["the cat", empty], max_length=9)
    assert full.lengths[1] == 2 and full.row(1).words.tolist() == [-1, -1]
    if make is wordpiece:
        assert bare.row(1).types.tolist() == [0]


def test_rows_stay_in_step_past_the_chunks():
    # Texts go to the tokenizer a thousand at a time.
    texts = [" ".join(["cat"] * (1 + i % 3)) for i in range(2050)]
    tokens = tokenise(wordpiece(), texts, max_length=9, special_tokens=False)
    assert tokens.lengths.tolist() == [1 + i % 3 for i in range(2050)]
    pairs = tokenise(wordpiece(), texts, texts[::-1], max_length=99, special_tokens=False)
    expected = [(1 + i % 3) + (1 + (2049 - i) % 3) for i in range(2050)]
    assert pairs.lengths.tolist() == expected


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
