"""SeqMix: new tagged sentences, mixed out of two, before training.

Zhang, Yu and Zhang, EMNLP 2020 (arXiv 2010.02322). What is mixed stands in `mixing.py`;
`generation.py` makes the sentences. Here are the settings, and the loss on the soft labels that
come out: −Σ_c y_c log p_c, averaged over words, which for one-hot labels is plain cross-entropy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np
from annotated_types import Ge, Gt, Interval

from mixtext.deferred import Tensor
from mixtext.errors import InputError
from mixtext.losses import at_least_float32
from mixtext.methods.base import MethodOf, Outcome, Progress
from mixtext.tagging.mixing import Pairing

if TYPE_CHECKING:
    from mixtext.tagging.rows import TaggedBatch
    from mixtext.tagging.tagger import Tagger


def token_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """−Σ_c y_c log p_c, the mean over tokens that have a label.

    Args:
        logits: `(B, T, C)`.
        targets: soft labels, `(B, T, C)`; all 0 where a token has none.
    """
    log_p = at_least_float32(logits).log_softmax(dim=-1)
    return -(targets * log_p).sum() / (targets.sum(dim=-1) > 0).sum().clamp(min=1)


@dataclass(frozen=True)
class PlainTagging(MethodOf["Tagger", "TaggedBatch"]):
    """Cross-entropy on the words of the labelled sentences, and of generated ones if any."""

    name: ClassVar[str] = "supervised"
    paper: ClassVar[str] = "the papers' baseline"
    rows: ClassVar[tuple[str, ...]] = ("sentences",)
    targets: ClassVar[tuple[str, ...]] = ("tags",)

    def loss(
        self, model: Tagger, batch: TaggedBatch, progress: Progress, generator: np.random.Generator
    ) -> Outcome:
        """Mean soft cross-entropy over the words of the batch."""
        loss = token_cross_entropy(model(batch.rows), batch.targets)
        return Outcome(loss, {"loss/labelled": loss.detach()})


@dataclass(frozen=True)
class SeqMix(PlainTagging):
    """Sentences that are made of pairs of labelled ones and judged by a language model.

    Attributes:
        pairing: what may meet: `whole_sequence`, sentences of equal length; `sub_sequence`,
            windows; `label_constrained`, windows with the same labels.
        rate: at most int(rate · K) sentences are added for K handed in. Paper: 0.2.
        window: words in a window. Paper: 5 (CoNLL-03, ACE05), 4 (WebPage).
        threshold: least share of words in a window that are not O. Paper: 0.6, 0.2, 0.5.
        alpha: λ ~ Beta(alpha, alpha), one a pair. Paper: 8.
        vectors: embedding table to mix in: empty, the encoder's own token embeddings; else `glove`
            or a file of word vectors.
        emit: words that may come out: those of the table that occur in the `text` of seed and
            pool, or its whole `vocabulary` as in the paper. Without a causal model that refuses
            them, a whole vocabulary gives many rare signs, whose embeddings lie in the middle.
        language_model: a causal model (folder or hub name) that judges; empty: an n-gram model
            fitted on the text of seed and pool.
        perplexity: open range that is kept, with a causal model. Paper: 0 to 500 by GPT-2.
        ngram: n of the n-gram model.
        quantiles: range that is kept, with the n-gram model, as quantiles of the perplexities of
            real sentences that it was not fitted on.
    """

    name: ClassVar[str] = "seqmix"
    paper: ClassVar[str] = "Zhang et al., EMNLP 2020 (arXiv 2010.02322)"
    mixes: ClassVar[str] = "words and labels of two sentences' windows"

    pairing: Pairing = "sub_sequence"
    rate: Annotated[float, Ge(0)] = 0.2
    window: Annotated[int, Ge(1)] = 5
    threshold: Annotated[float, Interval(ge=0, le=1)] = 0.6
    alpha: Annotated[float, Gt(0)] = 8.0
    vectors: str = ""
    emit: Literal["text", "vocabulary"] = "text"
    language_model: str = ""
    perplexity: tuple[float, ...] = (0.0, 500.0)
    ngram: Annotated[int, Ge(2)] = 3
    quantiles: tuple[float, ...] = (0.0, 0.95)

    def __post_init__(self) -> None:
        """Refuses ranges of perplexity that are none."""
        super().__post_init__()
        for field, most in (("perplexity", math.inf), ("quantiles", 1.0)):
            pair = getattr(self, field)
            if len(pair) != 2 or not 0 <= pair[0] < pair[1] <= most:
                raise InputError(
                    f"seqmix.{field} is {list(pair)}: it must be two numbers, the lower first"
                    + (", in [0, 1]." if most == 1 else ", ≥ 0.")
                )


METHODS: dict[str, type[PlainTagging]] = {x.name: x for x in (PlainTagging, SeqMix)}
