"""How fluent a sentence is: its perplexity by a language model, and the range that is accepted.

`CausalModel` is any causal model of transformers (the paper takes GPT-2, range 0 to 500).
`NgramModel` needs no download: an n-gram model with Witten–Bell interpolation, by nltk, fitted on
the text of the pool. Its perplexities have a scale of their own, so its range is given as quantiles
of those of real sentences that it was not fitted on.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

from mixtext.errors import InputError


class LanguageModel(Protocol):
    """Anything that gives the perplexity of a sentence."""

    def perplexity(self, words: Sequence[str]) -> float:
        """exp of the mean negative log probability of a token, ≥ 1; inf if one is impossible."""


@dataclass(frozen=True)
class PerplexityRange:
    """Accepts sentences whose perplexity lies strictly between `low` and `high`."""

    model: LanguageModel
    low: float
    high: float

    def accepts(self, words: Sequence[str]) -> bool:
        """Whether a sentence may be kept; each is judged on its own."""
        return self.low < self.model.perplexity(words) < self.high


class CausalModel:
    """A causal language model of transformers.

    The first token is predicted from the model's beginning-of-text token; where it has none, the
    first token is given and not scored.
    """

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self.model, self.tokenizer = model.eval(), tokenizer

    @classmethod
    def load(cls, name_or_path: str) -> "CausalModel":
        """Loads a folder in Hugging Face format or a model's name on the Hugging Face hub.

        Raises:
            InputError: there is no such model.
        """
        from transformers import AutoModelForCausalLM, AutoTokenizer

        try:
            return cls(
                AutoModelForCausalLM.from_pretrained(name_or_path, trust_remote_code=False),
                AutoTokenizer.from_pretrained(name_or_path, trust_remote_code=False),
            )
        except (OSError, ValueError, KeyError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
            raise InputError(
                f"Cannot load the causal model {name_or_path!r} ({reason}): give a folder with "
                "config.json, weights and tokenizer, or leave seqmix.language_model empty."
            ) from error

    @torch.no_grad()
    def perplexity(self, words: Sequence[str]) -> float:
        """See `LanguageModel`; text beyond the model's longest input is not scored."""
        ids = self.tokenizer(" ".join(words), add_special_tokens=False)["input_ids"]
        begin = self.tokenizer.bos_token_id
        ids = ids if begin is None else [begin, *ids]
        longest = getattr(self.model.config, "max_position_embeddings", None)
        ids = ids[:longest] if longest else ids
        if len(ids) < 2:
            return math.inf
        row = torch.tensor([ids], device=self.model.device)
        logits = self.model(input_ids=row).logits[0, :-1].float()  # (T − 1, V)
        return math.exp(float(torch.nn.functional.cross_entropy(logits, row[0, 1:])))


class NgramModel:
    """An n-gram model with Witten–Bell interpolation; letter case does not count.

    Words that occur once in the text are taken for unknown ones, so that unknown words have a
    probability.
    """

    def __init__(self, sentences: Sequence[Sequence[str]], order: int = 3) -> None:
        """Fits on sentences; `order` is n ≥ 2."""
        if order < 2:
            raise InputError(f"seqmix.ngram is {order}: it must be 2 or more words.")
        from nltk.lm import Vocabulary, WittenBellInterpolated
        from nltk.lm.preprocessing import padded_everygram_pipeline

        lower = [[word.lower() for word in words] for words in sentences]
        vocabulary = Vocabulary(
            [word for words in lower for word in words] + 2 * ["<s>", "</s>"], unk_cutoff=2
        )
        # Looked up here: nltk looks up the words of every n-gram again, which takes far longer.
        known = [list(vocabulary.lookup(words)) for words in lower]
        grams, _ = padded_everygram_pipeline(order, known)
        self.order, self.vocabulary = order, vocabulary
        self.model = WittenBellInterpolated(order, vocabulary=vocabulary)
        self.model.fit(grams)

    def perplexity(self, words: Sequence[str]) -> float:
        """See `LanguageModel`; the end of the sentence is scored as well."""
        known = self.vocabulary.lookup([word.lower() for word in words])
        padded = ["<s>"] * (self.order - 1) + [*known, "</s>"]
        total = 0.0
        for end in range(self.order - 1, len(padded)):
            context = tuple(padded[end - self.order + 1 : end])
            p = self.model.unmasked_score(padded[end], context)
            if p <= 0:
                return math.inf
            total -= math.log(p)
        return math.exp(total / (len(known) + 1))


def fit_range(
    sentences: Sequence[Sequence[str]],
    quantiles: tuple[float, float],
    order: int,
    generator: np.random.Generator,
    held_out: float = 0.2,
) -> PerplexityRange:
    """An n-gram model of most of the sentences, its range by the rest.

    On the sentences that a model was fitted on it is far too sure; their quantiles would refuse
    nearly all others.

    Args:
        sentences: real sentences, at least 2.
        quantiles: of the real sentences' perplexities, lower and upper, 0 ≤ lower < upper ≤ 1; a
            lower one of 0 sets no lower bound.
        order: n of the n-grams.
        generator: draws which sentences are held out.
        held_out: share of them, in (0, 1).

    Raises:
        InputError: too few sentences, or quantiles out of range.
    """
    low, high = quantiles
    if not 0 <= low < high <= 1:
        raise InputError(
            f"seqmix.quantiles is {list(quantiles)}: two shares are needed, the lower first, in "
            "[0, 1]."
        )
    if len(sentences) < 2:
        raise InputError(
            f"the n-gram model has {len(sentences)} sentence(s) to learn from: give at least 2."
        )
    order_of = generator.permutation(len(sentences))
    held = max(1, min(len(sentences) - 1, round(held_out * len(sentences))))
    model = NgramModel([sentences[i] for i in order_of[held:]], order)
    real = sorted(model.perplexity(sentences[i]) for i in order_of[:held])
    # No interpolation: between two infinite perplexities it would give NaN.
    low_bound, high_bound = np.quantile(real, [low, high], method="nearest")
    return PerplexityRange(model, float(low_bound) if low > 0 else 0.0, float(high_bound))
