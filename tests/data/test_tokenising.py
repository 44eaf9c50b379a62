"""Tokens: the fast way and the slow one, made now and kept before, some rows and all rows."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertTokenizerFast, PreTrainedTokenizerFast

from mixtext.data import tokenising
from mixtext.data.batches import pad, pad_id
from mixtext.data.cache import cache_folder
from mixtext.data.corpus import Corpus
from mixtext.data.tokenising import tokenise, tokenise_views
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


def test_pad_id_is_the_tokenizers_own():
    assert pad_id(wordpiece()) == PIECES.index("[PAD]")
    bpe = byte_level()
    assert bpe.convert_ids_to_tokens(pad_id(bpe)) == "<pad>"
    bpe.pad_token = None
    assert bpe.convert_ids_to_tokens(pad_id(bpe)) == "</s>"
    bpe.eos_token = None
    with pytest.raises(InputError, match=r"neither a padding nor an end token: set `pad_token`"):
        pad_id(bpe)


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


# ---- ways to them


FIELDS = ("ids", "words", "types", "side")
TEXTS = [" ".join(["the cats", "playing", "a red dog"][i % 3 :]) + f" {i}" for i in range(40)]
PARTS = st.sampled_from(
    ["the ", "cats", "s ", " playing", "##s", "#", "# ", "[SEP]", "[UNK]", " [MASK]", "é", "x", "."]
)
TEXT = st.lists(PARTS, max_size=8).map("".join)


def same(one, other):
    for name in FIELDS:
        a, b = getattr(one, name), getattr(other, name)
        assert (a is None) == (b is None)
        if a is not None:
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(one.offsets, other.offsets)
    assert (one.pad_id, one.unknown_id) == (other.pad_id, other.unknown_id)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=5),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["left", "right"]),
    st.integers(5, 12),
)
def test_words_by_the_vocabulary_are_the_tokenizers_own(rows, pairs, special, side, most):
    tokenizer = wordpiece()
    tokenizer.truncation_side = side
    texts = [list(x) for x in zip(*rows, strict=True)][: 2 if pairs else 1]
    found = tokenise(tokenizer, *texts, max_length=most, special_tokens=special)
    encoded = tokenizer(*texts, truncation=True, max_length=most, add_special_tokens=special)
    for i in range(len(rows)):
        ids, row = encoded["input_ids"][i], found.row(i)
        if not ids:
            assert row.words.tolist() == row.side.tolist() == [-1]
            continue
        assert row.ids.tolist() == ids and row.types.tolist() == encoded["token_type_ids"][i]
        assert row.side.tolist() == [-1 if x is None else x for x in encoded.sequence_ids(i)]
        own = list(zip(encoded.sequence_ids(i), encoded.word_ids(i), strict=True))
        number = {}
        for name in own:
            number.setdefault(name, -1 if name[1] is None else sum(n >= 0 for n in number.values()))
        assert row.words.tolist() == [number[name] for name in own]


def test_the_tokenizer_is_left_as_it_was():
    tokenizer = wordpiece()
    inner = tokenizer.backend_tokenizer
    inner.enable_truncation(7, stride=2)
    inner.enable_padding(length=9)
    before = inner.to_str()
    tokenise(tokenizer, TEXTS, max_length=5)
    assert inner.to_str() == before


@pytest.mark.parametrize("make", [wordpiece, byte_level])
def test_only_the_rows_that_are_needed(make):
    whole = tokenise(make(), TEXTS, TEXTS[::-1], max_length=12)
    some = tokenise(make(), TEXTS, TEXTS[::-1], max_length=12, rows=np.array([30, 3, 30, 8]))
    assert len(some) == len(whole)
    assert np.flatnonzero(some.lengths).tolist() == [3, 8, 30]
    for i in (3, 8, 30):
        for name in FIELDS:
            a, b = getattr(some.row(i), name), getattr(whole.row(i), name)
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("make", [wordpiece, byte_level])
@pytest.mark.parametrize("pairs", [None, TEXTS[::-1]])
@pytest.mark.parametrize("rows", [None, np.arange(5, 25)])
def test_from_the_cache(monkeypatch, tmp_path, make, pairs, rows):
    monkeypatch.setenv("MIXTEXT_CACHE", str(tmp_path))
    monkeypatch.setattr(tokenising, "FEW", 10)
    monkeypatch.setattr(tokenising, "CHUNK", 7)
    plain = tokenise(make(), TEXTS, pairs, max_length=12, rows=rows)
    made = tokenise(make(), TEXTS, pairs, max_length=12, rows=rows, keep=True)
    monkeypatch.setattr(tokenising, "_chunks", None)  # the tokenizer is not asked again
    again = tokenise(make(), TEXTS, pairs, max_length=12, rows=rows, keep=True)
    same(plain, made)
    same(plain, again)


def test_another_tokenizer_or_text_or_use_has_tokens_of_its_own(monkeypatch, tmp_path):
    monkeypatch.setenv("MIXTEXT_CACHE", str(tmp_path))
    monkeypatch.setattr(tokenising, "FEW", 10)
    other = wordpiece()
    other.add_tokens(["playing"])
    left = wordpiece()
    left.truncation_side = "left"
    asked = [
        (wordpiece(), TEXTS, None, {}),
        (wordpiece(), TEXTS, TEXTS, {}),
        (wordpiece(), TEXTS[::-1], None, {}),
        (wordpiece(), TEXTS, None, {"max_length": 5}),
        (wordpiece(), TEXTS, None, {"special_tokens": False}),
        (wordpiece(), TEXTS, None, {"rows": np.arange(20)}),
        (byte_level(), TEXTS, None, {}),
        (other, TEXTS, None, {}),
        (left, TEXTS, None, {}),
    ]
    for _ in range(2):
        for tokenizer, texts, pairs, more in asked:
            more = {"max_length": 6, **more}
            kept = tokenise(tokenizer, texts, pairs, **more, keep=True)
            same(tokenise(tokenizer, texts, pairs, **more), kept)
        assert len([*cache_folder().rglob("about.json")]) == len(asked)


def test_few_texts_are_not_kept(monkeypatch, tmp_path):
    monkeypatch.setenv("MIXTEXT_CACHE", str(tmp_path / "cache"))
    tokenise(wordpiece(), TEXTS, max_length=6, keep=True)
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("pairs", [None, TEXTS[::-1]])
def test_views_of_rows(monkeypatch, tmp_path, pairs):
    monkeypatch.setenv("MIXTEXT_CACHE", str(tmp_path / "cache"))
    corpus = Corpus.from_lists(TEXTS, pairs=pairs)
    file = tmp_path / "views.jsonl"

    def write(*texts):
        lines = [{"id": str(i), "views": [f"{x} {i}" for x in texts]} for i in range(35)]
        file.write_text("".join(json.dumps(x) + "\n" for x in lines))

    def views(rows=(30, 3, 8), **more):
        return tokenise_views(
            wordpiece(), file, corpus, np.array(rows), **{"max_length": 12, **more}
        )

    write("the cat", "a red dog")
    plain = views()
    monkeypatch.setattr(tokenising, "FEW", 2)
    made = views()
    with monkeypatch.context() as patch:
        patch.setattr(tokenising, "_chunks", None)  # neither read nor tokenised again
        kept = views()
    for source in (plain, made, kept):
        assert source.copies == 2 and source.description == "view/0 + view/1"
        for i in (3, 8, 30):
            for copy, text in enumerate(("the cat", "a red dog")):
                second = None if pairs is None else [pairs[i]]
                own = tokenise(wordpiece(), [f"{text} {i}"], second, max_length=12).row(0)
                row = source.view(i, own, copy, np.random.default_rng(0))
                assert row.ids.tolist() == own.ids.tolist()
                assert row.side.tolist() == own.side.tolist()
    write("the dog", "a red dog")
    changed = views()
    assert changed.tables[0].row(3).ids.tolist() != made.tables[0].row(3).ids.tolist()
    assert views(max_length=6).tables[1].lengths.max() == 6
    for _ in range(2):
        with pytest.raises(InputError, match="lacks view view/0 for 1 of 4 unlabelled"):
            views((30, 3, 8, 39))
