"""Perplexities: closed forms, nltk's own, what a range accepts."""

import math
from collections import Counter

import numpy as np
import pytest
import torch
from nltk.lm import Vocabulary, WittenBellInterpolated
from nltk.lm.preprocessing import padded_everygram_pipeline
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from mixtext.errors import InputError
from mixtext.tagging.generation import Maker
from mixtext.tagging.perplexity import CausalModel, NgramModel, PerplexityRange, fit_range
from mixtext.tagging.seqmix import SeqMix

WORDS = ["<s>", "the", "cat", "sat", "on", "a", "mat", "and", "slept", "<unk>"]


@pytest.fixture(scope="module")
def gpt(tmp_path_factory):
    """The folder of a tiny GPT-2 of ten words."""
    raw = Tokenizer(models.WordLevel({w: n for n, w in enumerate(WORDS)}, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw, bos_token="<s>", eos_token="<s>", unk_token="<unk>"
    )
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=10, n_positions=16, n_embd=8, n_layer=2, n_head=2, bos_token_id=0, eos_token_id=0
    )
    folder = tmp_path_factory.mktemp("gpt")
    GPT2LMHeadModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def sentences(count=60, seed=0):
    generator = np.random.default_rng(seed)
    return [generator.choice(WORDS[1:9], 6).tolist() for _ in range(count)]


def test_a_uniform_model_over_ten_words_has_perplexity_ten(gpt):
    scorer = CausalModel.load(str(gpt))
    torch.nn.init.zeros_(scorer.model.transformer.wte.weight)  # tied with the output: all logits 0
    assert scorer.perplexity(["the", "cat", "sat"]) == pytest.approx(10, rel=1e-6)


def test_a_causal_model_is_scored_from_its_first_token_on(gpt):
    scorer = CausalModel.load(str(gpt))
    ids = torch.tensor([[0, 1, 2, 3]])
    with torch.no_grad():
        log_p = scorer.model(input_ids=ids).logits[0].log_softmax(-1)
    mean = sum(float(log_p[t, ids[0, t + 1]]) for t in range(3)) / 3
    assert scorer.perplexity(["the", "cat", "sat"]) == pytest.approx(math.exp(-mean), rel=1e-5)


def test_a_causal_model_without_a_beginning_token(gpt):
    scorer = CausalModel.load(str(gpt))
    scorer.tokenizer.bos_token = None
    with torch.no_grad():
        log_p = scorer.model(input_ids=torch.tensor([[1, 2]])).logits[0].log_softmax(-1)
    expected = math.exp(-float(log_p[0, 2]))
    assert scorer.perplexity(["the", "cat"]) == pytest.approx(expected, rel=1e-5)
    assert scorer.perplexity(["the"]) == math.inf  # nothing to score


def test_text_beyond_the_longest_input(gpt):
    assert math.isfinite(CausalModel.load(str(gpt)).perplexity(["the", "cat"] * 50))


def test_a_causal_model_judges_where_the_settings_name_one(gpt):
    settings = SeqMix(language_model=str(gpt), perplexity=(0.0, 9.9))
    judge = Maker(settings, "none", [["the"]], 0).judge
    scores = [judge.model.perplexity([word, "sat"]) for word in WORDS[1:9]]
    assert [judge.accepts([word, "sat"]) for word in WORDS[1:9]] == [x < 9.9 for x in scores]
    assert isinstance(judge.model, CausalModel) and (judge.low, judge.high) == (0.0, 9.9)


def test_no_such_causal_model(tmp_path):
    with pytest.raises(InputError, match="Cannot load the causal model"):
        CausalModel.load(str(tmp_path))


@pytest.mark.parametrize("order", [2, 3, 4])
def test_the_n_gram_model_agrees_with_nltks_own_perplexity(order):
    text = sentences()
    text[0] = [*text[0], "Heron"]  # once: taken for an unknown word
    counts = Counter(w.lower() for words in text for w in words)
    plain = [[w.lower() if counts[w.lower()] > 1 else "<UNK>" for w in words] for words in text]
    grams, flat = padded_everygram_pipeline(order, plain)
    reference = WittenBellInterpolated(order, vocabulary=Vocabulary(flat))
    reference.fit(grams)
    model = NgramModel(text, order)
    for words in (["the", "cat", "sat"], ["The", "stork"], ["mat"]):
        known = [w.lower() if w.lower() in counts else "<UNK>" for w in words]
        padded = ["<s>"] * (order - 1) + [*known, "</s>"]
        grams = [tuple(padded[k : k + order]) for k in range(len(known) + 1)]
        assert model.perplexity(words) == pytest.approx(reference.perplexity(grams))


def test_what_was_seen_is_more_fluent_than_what_was_not():
    model = NgramModel([["a", "b", "c", "d"]] * 5 + [["d", "c", "b", "a"]] * 5)
    assert model.perplexity(["a", "b", "c", "d"]) < model.perplexity(["b", "d", "a", "c"])


def test_an_impossible_word_is_infinitely_perplexing():
    model = NgramModel([["a", "b"], ["a", "b"]])  # no word occurs once: none stands for unknown
    assert model.perplexity(["a", "stork"]) == math.inf


def test_a_range_is_open_at_both_ends():
    class Ten:
        def perplexity(self, words):
            return 10.0

    cases = [(0, 10, False), (0, 10.1, True), (10, 11, False), (9, 11, True), (0, math.inf, True)]
    for low, high, accepted in cases:
        assert PerplexityRange(Ten(), low, high).accepts(["x"]) is accepted

    class Never:
        def perplexity(self, words):
            return math.inf

    assert not PerplexityRange(Never(), 0, math.inf).accepts(["x"])


def test_the_range_comes_from_sentences_that_were_not_fitted_on():
    text = sentences(200)
    made = fit_range(text, (0.1, 0.9), 3, np.random.default_rng(0))
    new = [made.model.perplexity(words) for words in sentences(400, seed=1)]
    share = np.mean([made.low < x < made.high for x in new])
    assert 0.7 < share < 0.9  # of new sentences of the same kind, about 80 % are accepted
    fitted = NgramModel(text)
    seen = np.quantile([fitted.perplexity(words) for words in text], 0.9)
    assert made.high > seen  # quantiles of seen sentences would refuse nearly all new ones


def test_a_lower_quantile_of_zero_sets_no_lower_bound():
    assert fit_range(sentences(), (0.0, 0.5), 2, np.random.default_rng(0)).low == 0.0


@pytest.mark.parametrize("quantiles", [(0.5, 0.5), (-0.1, 0.5), (0.0, 1.1), (0.9, 0.1)])
def test_quantiles_out_of_range(quantiles):
    with pytest.raises(InputError, match=r"seqmix\.quantiles"):
        fit_range(sentences(), quantiles, 3, np.random.default_rng(0))


def test_too_little_text():
    with pytest.raises(InputError, match="give at least 2"):
        fit_range([["a"]], (0.0, 0.9), 3, np.random.default_rng(0))
    with pytest.raises(InputError, match=r"seqmix\.ngram"):
        NgramModel(sentences(), 1)
