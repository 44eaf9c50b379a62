"""EmbedMix: a baseline of SSMix that interpolates the embeddings' output.

Yoon, Kim and Park, Findings of ACL 2021 (arXiv 2106.08062), section 4.2. It differs from wordMixup
in its λ and in that clean rows are trained on as well, one to one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from annotated_types import Gt

from mixtext.data.batches import Batch
from mixtext.methods.base import (
    Method,
    Outcome,
    Progress,
    half_clean,
    mixed_outcome,
    plain_outcome,
)
from mixtext.mixing.interpolate import Mix, draw_mix

if TYPE_CHECKING:
    from mixtext.models.classifier import Classifier


@dataclass(frozen=True)
class EmbedMix(Method):
    """Mixes the embeddings' output, λ ← max(λ, 1 − λ).

    Attributes:
        alpha: λ ~ Beta(alpha, alpha). Paper: 0.2.
    """

    name: ClassVar[str] = "embed_mix"
    paper: ClassVar[str] = "Yoon et al., Findings of ACL 2021 (arXiv 2106.08062)"
    targets: ClassVar[tuple[str, ...]] = ("classes",)
    mixes: ClassVar[str] = "embeddings, beside clean rows"

    alpha: Annotated[float, Gt(0)] = 0.2

    def loss(
        self,
        model: Classifier,
        batch: Batch,
        progress: Progress,
        generator: np.random.Generator,
        mix: Mix | None = None,
    ) -> Outcome:
        """Mean of the clean rows' and the mixed rows' loss; `mix` where it is not to be drawn."""
        mix = mix or draw_mix(len(batch.labels), self.alpha, True, generator)
        return half_clean(plain_outcome(model, batch), mixed_outcome(model, batch, mix, layer=0))
