"""Scores and probabilities of taggers; long sentences lose nothing."""

import numpy as np
import pytest
import torch

from mixtext.tagging.corpus import TaggedCorpus
from mixtext.tagging.rows import tokenise_sentences
from mixtext.tagging.settings import TaggerSettings
from mixtext.tagging.tagger import build_tagger
from mixtext.tagging.training import assess_tags, tag_metrics, tag_probabilities


@pytest.fixture(scope="module")
def tagger(encoder):
    return build_tagger(TaggerSettings(encoder=encoder, max_length=16, overlap=4), 3, 0)


def test_probabilities_are_those_of_the_first_sub_tokens(tagger):
    model, tokenizer = tagger
    sentences = [["cat", "Foo", "dog"], ["of"]]
    tokens = tokenise_sentences(tokenizer, sentences, 16)
    found = tag_probabilities(model, tokens, precision="float32")
    assert [p.shape for p in found] == [(3, 3), (1, 3)]
    model.eval()
    with torch.no_grad():
        expected = model(tokens.rows([0]))[0].softmax(-1).numpy()
    assert np.allclose(found[0], expected[[1, 2, 5]], atol=1e-6)


@pytest.mark.parametrize("batch", [1, 3, 64])
def test_batches_do_not_matter(tagger, batch):
    model, tokenizer = tagger
    sentences = [["cat"] * n for n in (1, 30, 2, 7)]
    tokens = tokenise_sentences(tokenizer, sentences, 16, 4)
    found = tag_probabilities(model, tokens, batch, "float32")
    whole = tag_probabilities(model, tokens, 100, "float32")
    for one, other in zip(found, whole, strict=True):
        assert np.allclose(one, other, atol=1e-5)


def test_every_word_of_a_long_sentence_is_predicted(tagger):
    model, tokenizer = tagger
    sentence = ["cat", "abcdefghijklmnop", "dog"] * 20
    tokens = tokenise_sentences(tokenizer, [sentence], 16, 4)
    assert len(tokens) > 10
    (found,) = tag_probabilities(model, tokens, precision="float32")
    assert found.shape == (60, 3)
    assert np.allclose(found.sum(axis=1), 1, atol=1e-5)


def test_scores():
    corpus = TaggedCorpus.from_lists([["a", "b"], ["c"], ["d"]], [["B-X", "I-X"], ["O"], None])
    p = [
        np.array([[0.2, 0.7, 0.1], [0.1, 0.1, 0.8]]),
        np.array([[0.3, 0.4, 0.3]]),
        np.zeros((1, 3)),
    ]
    scores = tag_metrics(corpus, p)
    assert scores["precision"] == 0.5 and scores["recall"] == 1.0  # `c` is taken for an entity
    assert next(iter(scores)) == "f1"  # what weights are selected by
    assert scores["f1/X"] == pytest.approx(2 / 3)
    assert scores["loss"] == pytest.approx(-np.log([0.7, 0.8, 0.3]).mean())


def test_what_was_tagged_rightly_and_wrongly():
    corpus = TaggedCorpus.from_lists(
        [["Ann", "Lee", "sings"], ["so"], ["x"]], [["B-X", "I-X", "O"], ["O"], None], ids="abc"
    )
    p = [
        np.array([[0.1, 0.8, 0.1], [0.6, 0.1, 0.3], [0.9, 0.1, 0.0]]),  # Lee is missed
        np.array([[0.7, 0.2, 0.1]]),
        np.zeros((1, 3)),
    ]
    found = assess_tags(corpus, p)
    assert (found.rows, found.unlabelled, found.unit) == (2, 1, "words")
    assert found.label_names == ["O", "X"]
    assert found.confusion.tolist() == [[2, 0], [1, 1]] and found.lacking == []
    assert found.scores[1].tolist() == pytest.approx([1, 0.5, 2 / 3, 2])
    assert found.bins[:, 2].sum() == 4
    [wrong], [right] = found.mistakes, found.right
    assert wrong[:3] == ("a", "Ann Lee (X)", "Ann (X)") and wrong[3] == pytest.approx(0.6)
    assert right == ("b", "–", "–", pytest.approx(0.7), "so")
    assert found.metrics == tag_metrics(corpus, p)
