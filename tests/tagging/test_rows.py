"""Alignment to first sub-tokens, windows that lose nothing, batches of soft labels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from mixtext.errors import InputError
from mixtext.models.pretrained import load_tokenizer
from mixtext.tagging.corpus import TaggedCorpus
from mixtext.tagging.rows import (
    CASES,
    SoftSentences,
    TaggedFeed,
    case_of,
    cut_windows,
    hard_sentences,
    tokenise_sentences,
)


@pytest.fixture(scope="module")
def tokenizer(encoder):
    return load_tokenizer(encoder)


def texts_of(tokenizer, tokens, row):
    return tokenizer.convert_ids_to_tokens(tokens.tokens.row(row).ids.tolist())


def test_the_first_sub_token_speaks_for_its_word(tokenizer):
    tokens = tokenise_sentences(tokenizer, [["cat", "Foo"], ["of", "x1", "dog"]], 16)
    assert texts_of(tokenizer, tokens, 0) == ["[CLS]", "cat", "f", "##o", "##o", "[SEP]"]
    assert tokens.spoken(0).tolist() == [-1, 0, 1, -1, -1, -1]
    assert texts_of(tokenizer, tokens, 1) == ["[CLS]", "of", "x", "##1", "dog", "[SEP]"]
    assert tokens.spoken(1).tolist() == [-1, 2, 3, -1, 4, -1]
    assert tokens.word_offsets.tolist() == [0, 2, 5]
    assert tokens.sentence.tolist() == [0, 1]
    rows = tokens.rows([0, 1])
    assert rows.case.tolist() == [[0, 0, 2, 2, 2, 0], [0, 0, 4, 4, 0, 0]]
    assert rows.mask.all()


def test_a_word_that_vanishes_becomes_the_unknown_token(tokenizer):
    tokens = tokenise_sentences(tokenizer, [["cat", "\u200b", "dog"]], 16)
    assert texts_of(tokenizer, tokens, 0) == ["[CLS]", "cat", "[UNK]", "dog", "[SEP]"]
    assert tokens.spoken(0).tolist() == [-1, 0, 1, 2, -1]


@given(st.integers(1, 60), st.integers(1, 12), st.data())
def test_windows_cover_all_and_speak_once(length, room, data):
    overlap = data.draw(st.integers(0, room - 1))
    windows = cut_windows(length, room, overlap)
    spoken = [place for _, _, first, last in windows for place in range(first, last)]
    assert spoken == list(range(length))
    for start, stop, first, last in windows:
        assert start <= first and last <= stop and stop - start <= room
    assert windows[-1][1] == length


def test_where_windows_overlap_the_one_with_more_around_speaks():
    # Tokens 0–5 and 4–9: of 4 and 5, the first is nearer to the middle of the first window.
    assert cut_windows(10, 6, 2) == [(0, 6, 0, 5), (4, 10, 5, 10)]


@given(st.lists(st.lists(st.sampled_from(["cat", "abcdefghij", "x1", "\u200b", "Dog"]), min_size=1),
                min_size=1, max_size=4), st.integers(4, 9), st.integers(0, 1))  # fmt: skip
def test_every_word_of_long_sentences_has_one_speaker(tokenizer, sentences, length, overlap):
    tokens = tokenise_sentences(tokenizer, sentences, length, overlap)
    spoken = tokens.speaks[tokens.speaks >= 0]
    assert sorted(spoken.tolist()) == list(range(sum(map(len, sentences))))
    assert tokens.tokens.lengths.max() <= length
    flat = [word for words in sentences for word in words]
    for row in range(len(tokens)):
        names = texts_of(tokenizer, tokens, row)
        assert (names[0], names[-1]) == ("[CLS]", "[SEP]")
        for name, word in zip(names, tokens.spoken(row), strict=True):
            if word >= 0:  # a first sub-token, never a `##` piece
                assert flat[word].lower().startswith(name) or name == "[UNK]"
            number = tokens.sentence[row]
            assert word < 0 or tokens.word_offsets[number] <= word < tokens.word_offsets[number + 1]


@pytest.mark.parametrize("prefix", [True, False])
def test_byte_level_tokenizers(prefix):
    """RoBERTa's does not put a blank before a word by itself; `Ġ` marks where one begins."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {x: n for n, x in enumerate([*letters, "Ġa", "Ġab"])}
    raw = Tokenizer(models.BPE(vocabulary, [("Ġ", "a"), ("Ġa", "b")]))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="!")
    tokens = tokenise_sentences(tokenizer, [["ab", "ba"]], 5)
    assert texts_of(tokenizer, tokens, 0) == ["Ġab", "Ġ", "b", "a"]
    assert tokens.spoken(0).tolist() == [0, 1, -1, -1]


def test_a_slow_tokenizer_and_too_little_room_are_refused(tokenizer):
    class Slow:
        is_fast = False

    with pytest.raises(InputError, match="fast tokenizer"):
        tokenise_sentences(Slow(), [["a"]], 8)
    for length, overlap in ((2, 0), (8, 6)):
        with pytest.raises(InputError, match="leaves no room"):
            tokenise_sentences(tokenizer, [["a"]], length, overlap)


@pytest.mark.parametrize(
    ("word", "case"),
    [("the", "lower"), (".", "lower"), ("NATO", "upper"), ("I", "title"), ("Peter", "title"),
     ("McDonald", "mixed"), ("U.S.", "upper"), ("A320", "digit"), ("1996", "digit"),
     ("Jean-Luc", "mixed"), ("東京", "lower")],
)  # fmt: skip
def test_letter_case(word, case):
    assert CASES[case_of(word)] == case


def test_a_batch_holds_each_words_soft_label_at_its_first_sub_token(tokenizer):
    tokens = tokenise_sentences(tokenizer, [["cat", "Foo"], ["dog"]], 16)
    targets = np.array([[1, 0], [0.25, 0.75], [0, 1]], dtype=np.float32)
    train = SoftSentences([["cat", "Foo"]], [targets[:2]], ["i"])
    train += SoftSentences([["dog"]], [targets[2:]], ["j"])
    feed = TaggedFeed(tokens, train, batch=2, seed=0)
    batch = feed.batch(0, np.random.default_rng(0))
    at = {name: place for place, name in enumerate(batch.row_ids)}
    expected = np.zeros((2, 6, 2))
    expected[at["i"], 1:3] = targets[:2]
    expected[at["j"], 1] = targets[2]
    assert np.array_equal(batch.targets.numpy(), expected)
    seen = sorted(
        name for k in range(10) for name in feed.batch(k, np.random.default_rng()).row_ids
    )
    assert seen == ["i"] * 10 + ["j"] * 10


def test_hard_sentences_are_the_labelled_ones():
    corpus = TaggedCorpus.from_lists([["a"], ["b", "c"]], [None, ["O", "B-X"]])
    hard = hard_sentences(corpus)
    assert (hard.words, hard.ids) == ([["b", "c"]], ["1"])
    assert hard.targets[0].tolist() == [[1, 0, 0], [0, 1, 0]]
