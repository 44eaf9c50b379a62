"""SeqMix on words: the word tables, what may be emitted, letter case, what is made."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from mixtext.errors import InputError
from mixtext.models.pretrained import load_encoder
from mixtext.tagging.corpus import TaggedCorpus
from mixtext.tagging.generation import (
    Generated,
    Maker,
    encoder_table,
    generate,
    in_case_of,
    show,
    soft_sentences,
    vector_table,
)
from mixtext.tagging.seqmix import SeqMix

WORDS = ["cat", "Dog", "zebra", "soup", "\u200b", "[SEP]", "the"]  # the tiny encoder knows no zebra


@pytest.fixture(scope="module")
def known(encoder):
    """Embeddings and tokenizer of the tiny encoder."""
    model, tokenizer = load_encoder(encoder)
    return model.model.get_input_embeddings().weight.detach().numpy(), tokenizer


@pytest.fixture(scope="module")
def corpus():
    return TaggedCorpus.from_lists(
        [["cat", "of", "zebra"], ["the", "Dog", "today"], ["SOUP", "goat"], ["red", "rice"]],
        [["B-PER", "O", "B-LOC"], ["O", "B-PER", "O"], ["B-LOC", "I-LOC"], ["O", "B-LOC"]],
        ids=["a", "b", "c", "d"],
    )


def words_of(corpus):
    return [word for words in corpus.sentences for word in words]


def test_a_word_has_its_tokens_embedding_or_the_mean_of_its_pieces(known):
    embeddings, tokenizer = known
    table = encoder_table(embeddings, tokenizer, WORDS)
    tokens = table.tokens.table
    number = tokenizer.get_vocab()
    assert not table.cased
    assert np.array_equal(tokens[table.row["Dog"]], embeddings[number["dog"]])
    pieces = [number[x] for x in ("z", "##e", "##b", "##r", "##a")]
    assert np.allclose(tokens[table.row["zebra"]], embeddings[pieces].mean(axis=0))
    assert not tokens[table.row["\u200b"]].any()  # nothing is left of it


def test_what_may_be_emitted(known):
    embeddings, tokenizer = known
    table = encoder_table(embeddings, tokenizer, WORDS, "vocabulary")
    emitted = {table.names[i] for i in np.flatnonzero(table.tokens.allowed)}
    assert {"cat", "dog", "soup", "hammer", "a", "7"} <= emitted
    assert not emitted & {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "##a", "zebra"}
    text = encoder_table(embeddings, tokenizer, WORDS, "text")
    assert {text.names[i] for i in np.flatnonzero(text.tokens.allowed)} == {
        "cat", "dog", "soup", "the",
    }  # fmt: skip


@pytest.mark.parametrize("prefix", [True, False])
def test_a_cased_byte_level_tokenizer(prefix):
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {x: n for n, x in enumerate([*letters, "Ġa", "ab", "Ġab", "ĠA"])}
    raw = Tokenizer(models.BPE(vocabulary, [("Ġ", "a"), ("Ġa", "b"), ("Ġ", "A"), ("a", "b")]))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="!")
    embeddings = np.random.default_rng(0).normal(size=(len(vocabulary), 3))
    table = encoder_table(embeddings, tokenizer, ["ab", "b"], "vocabulary")
    assert table.cased
    assert {table.names[i] for i in np.flatnonzero(table.tokens.allowed)} == {"a", "ab", "A"}
    assert table.row["ab"] == vocabulary["Ġab"]
    mean = embeddings[[vocabulary["Ġ"], vocabulary["b"]]].mean(axis=0)
    assert np.allclose(table.tokens.table[table.row["b"]], mean)


def test_word_vectors_from_a_file(tmp_path):
    file = tmp_path / "vectors.txt"
    file.write_text("cat 1 0\ndog 0 1\nsoup 1 1\nrice 2 2\n")
    table = vector_table(str(file), ["cat", "Dog", "zebra"], "vocabulary")
    assert [table.tokens.table[table.row[word]].tolist() for word in ("cat", "Dog", "zebra")] == [
        [1, 0], [0, 1], [0, 0],
    ]  # fmt: skip
    allowed = [table.names[i] for i in np.flatnonzero(table.tokens.allowed)]
    assert sorted(allowed) == ["cat", "dog", "rice", "soup"]
    text = vector_table(str(file), ["cat", "Dog", "zebra"], "text")
    assert sorted(text.names[i] for i in np.flatnonzero(text.tokens.allowed)) == ["cat", "dog"]
    assert not table.cased


@pytest.mark.parametrize(
    ("word", "host", "expected"),
    [("paris", "London", "Paris"), ("paris", "LONDON", "PARIS"), ("paris", "the", "paris"),
     ("paris", "I", "Paris"), ("paris", "'s", "paris"), ("u.s.", "UK", "U.S."), ("7", "The", "7")],
)  # fmt: skip
def test_letter_case_of_the_host(word, host, expected):
    assert in_case_of(word, host) == expected


@pytest.mark.parametrize("pairing", ["whole_sequence", "sub_sequence", "label_constrained"])
@given(seed=st.integers(0, 2**32 - 1))
def test_what_is_made_keeps_the_rules(known, corpus, pairing, seed):
    embeddings, tokenizer = known
    table = encoder_table(embeddings, tokenizer, words_of(corpus), "vocabulary")
    settings = SeqMix(pairing=pairing, window=1, threshold=0.5, rate=100.0)
    made = generate(corpus, settings, table, lambda words: True, np.random.default_rng(seed))
    assert made
    for one in made:
        host = corpus.ids.index(one.parents[0])
        words, tags = corpus.sentences[host], corpus.tags[host]
        window = range(one.start, one.start + one.size)
        labels = np.array(one.labels)
        assert len(one.words) == len(words) == len(labels)
        assert np.allclose(labels.sum(axis=1), 1)
        for place, word in enumerate(one.words):
            if place in window:
                token = tokenizer.get_vocab()[word.lower()]
                assert table.tokens.allowed[token]
                assert word.lower() != words[place].lower()  # not the parent's own
                assert word.isupper() == words[place].isupper() or len(word) == 1
            else:
                assert word == words[place]
                assert labels[place].tolist() == np.eye(5)[tags[place]].tolist()
        if pairing == "label_constrained":
            assert np.array_equal(labels, np.eye(5)[tags])


def test_refused_candidates_are_replaced_by_the_next(known, corpus):
    embeddings, tokenizer = known
    table = encoder_table(embeddings, tokenizer, words_of(corpus), "vocabulary")
    settings = SeqMix(window=1, threshold=0.5, rate=0.5)
    seen = []

    def accept(words):
        seen.append(words)
        return len(seen) % 2 == 0

    made = generate(corpus, settings, table, accept, np.random.default_rng(0))
    assert len(made) == 2  # int(0.5 · 4)
    assert [one.words for one in made] == seen[1::2]
    assert len(seen) == 4  # each was judged on its own, and none once there were enough


def test_unlabelled_sentences_are_refused(known):
    embeddings, tokenizer = known
    bare = TaggedCorpus.from_lists([["cat"], ["dog"]], [["B-PER"], None], name="bare")
    table = encoder_table(embeddings, tokenizer, words_of(bare))
    with pytest.raises(InputError, match="bare: SeqMix needs labelled sentences"):
        generate(bare, SeqMix(), table, lambda words: True, np.random.default_rng(0))


def test_a_maker_repeats_itself_and_survives_json(encoder, corpus):
    settings = SeqMix(window=1, threshold=0.5, rate=0.5, ngram=2, quantiles=(0.0, 1.0))
    made = [
        Maker(settings, encoder, corpus.sentences, 0).make(corpus, np.random.default_rng(4))
        for _ in range(2)
    ]
    assert made[0] == made[1] and made[0]
    back = Generated(**json.loads(json.dumps(made[0][0].__dict__)))
    assert (back.words, back.labels) == (made[0][0].words, made[0][0].labels)
    soft = soft_sentences(made[0], "generated/0/")
    assert soft.ids[0] == "generated/0/0" and soft.targets[0].dtype == np.float32


def test_a_maker_with_word_vectors_and_a_rate_of_nothing(tmp_path, corpus):
    file = tmp_path / "vectors.txt"
    file.write_text("".join(f"{w.lower()} {n} 1\n" for n, w in enumerate(words_of(corpus))))
    settings = SeqMix(
        window=1, threshold=0.5, rate=0.5, ngram=2, quantiles=(0.0, 1.0), vectors=str(file)
    )
    made = Maker(settings, "none", corpus.sentences, 0).make(corpus, np.random.default_rng(0))
    text = {word.lower() for word in words_of(corpus)}
    assert made and all(word.lower() in text for one in made for word in one.words)
    nothing = SeqMix(rate=0.0)
    assert Maker(nothing, "none", corpus.sentences, 0).make(corpus, np.random.default_rng(0)) == []


def test_a_line_that_shows_mixed_labels():
    one = Generated(
        ["near", "Rome", "Smith"],
        [[1.0, 0, 0], [0, 0.58, 0.42], [0, 0, 1.0]],
        ("a", "b"),
        1,
        1,
        0.58,
    )
    names = ["O", "B-LOC", "B-PER"]
    assert show(one, names) == "near Rome[.58 B-LOC .42 B-PER] Smith[B-PER]"
