"""SSMix: the least salient span of one text gives way to the most salient span of another.

Yoon, Kim and Park, Findings of ACL 2021 (arXiv 2106.08062), section 3. One step:

1. clean loss of all rows; its gradient by the embeddings' output gives each token's saliency;
2. every row takes a span from the row half a batch away, on the level of token ids;
3. loss = mean of the clean loss and the mixed rows' loss, labels mixed by the share of the span.

The gradient is taken from the clean loss, which is needed anyway, so saliency costs half a backward
pass; the official code runs the model twice more for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from annotated_types import Interval

from mixtext.data.batches import Batch, Padded
from mixtext.deferred import Tensor, torch
from mixtext.errors import InputError
from mixtext.methods.base import (
    Method,
    Outcome,
    Progress,
    half_clean,
    plain_outcome,
    target_loss,
)
from mixtext.mixing.interpolate import Mix
from mixtext.mixing.spans import inner_tokens, mix_positions, mix_spans, opposite_rows, saliency

if TYPE_CHECKING:
    from mixtext.models.classifier import Classifier


@dataclass(frozen=True)
class SSMix(Method):
    """Mixes spans of token ids. The texts of a pair mix with the same text of the other pair.

    Attributes:
        share: length of a span as a share of the recipient's text. Paper: 0.1.
        saliency: False draws spans at random (ablation).
        span: False exchanges single tokens wherever they stand (ablation).
        official_spans: the rule of the official code to the letter: a span may be longer than the
            donor and then brings its special tokens along, and a text of one token is replaced
            whole, its label with it. For single texts alone: of a pair the official code encodes
            each text by itself, where here both are seen together.
    """

    name: ClassVar[str] = "ssmix"
    paper: ClassVar[str] = "Yoon et al., Findings of ACL 2021 (arXiv 2106.08062)"
    targets: ClassVar[tuple[str, ...]] = ("classes",)
    divides: ClassVar[bool] = False  # saliencies are gradients inside the encoder
    mixes: ClassVar[str] = "spans of token ids, chosen by saliency"

    share: Annotated[float, Interval(gt=0, le=1)] = 0.1
    saliency: bool = True
    span: bool = True
    official_spans: bool = False

    def __post_init__(self) -> None:
        """Refuses a rule for spans where there are none."""
        super().__post_init__()
        if self.official_spans and not self.span:
            raise InputError(
                "ssmix.official_spans is true, but ssmix.span is false: set one of them otherwise."
            )

    def check(self, encoder_layers: int, views: int | None, pairs: bool = False) -> None:
        """Refuses a rule for single texts where there are pairs."""
        if self.official_spans and pairs:
            raise InputError(
                "ssmix.official_spans is true, but the texts come in pairs, which the official "
                "rule encodes one by one: set it to false."
            )

    def loss(
        self,
        model: Classifier,
        batch: Batch,
        progress: Progress,
        generator: np.random.Generator,
    ) -> Outcome:
        """Mean of the clean rows' and the mixed rows' cross-entropy."""
        rows, labels = batch.rows, batch.labels
        assert isinstance(rows, Padded)
        with model.encoder.watch() as embeddings:
            clean = plain_outcome(model, batch)
        saliencies: Tensor | np.random.Generator = generator
        if self.saliency:
            (gradient,) = torch.autograd.grad(clean.loss, embeddings[0], retain_graph=True)
            saliencies = saliency(gradient)  # (B, T)
        partner = opposite_rows(len(labels)).to(labels.device)
        exchange: Callable[..., tuple[Tensor, Tensor]] = mix_spans if self.span else mix_positions
        rule = {"cap_at_donor": False, "min_tokens": 1} if self.official_spans else {}
        ids, weight = exchange(rows.ids, inner_of(rows), partner, saliencies, self.share, **rule)

        mix = Mix(1 - weight, partner)
        mixed = target_loss(model(replace(rows, ids=ids)), labels, mix)
        return half_clean(clean, Outcome(mixed, draws={"lam": mix.lam.tolist()}))


def inner_of(rows: Padded) -> Tensor:
    """Which positions may be exchanged, (1, B, T) or, for pairs, (2, B, T); see `inner_tokens`."""
    assert rows.mask is not None and rows.side is not None
    special, pairs = rows.side < 0, bool((rows.side == 1).any())
    return inner_tokens(rows.mask, special, rows.side if pairs else None)
