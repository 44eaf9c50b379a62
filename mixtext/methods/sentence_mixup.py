"""senMixup: interpolate two texts' vectors, right before the softmax layer.

Guo, Mao and Zhang 2019 (arXiv 1905.08941), section 3.2.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mixtext.data.batches import Batch
from mixtext.methods.base import Method, Outcome, Progress, check_alpha, mixed_outcome
from mixtext.mixing.interpolate import Mix, draw_mix
from mixtext.models.classifier import POOLED, Classifier


@dataclass(frozen=True)
class SentenceMixup(Method):
    """Mixes the pooled vectors of texts, before dropout and head.

    With an affine head (`model.head_width = 0`, as in the paper) and no dropout this is the same as
    mixing logits.

    Attributes:
        alpha: λ ~ Beta(alpha, alpha), > 0. Paper: 1.
        per_row: draw one λ a row instead of one a batch.
    """

    name: ClassVar[str] = "sentence_mixup"
    paper: ClassVar[str] = "Guo et al. 2019 (arXiv 1905.08941)"
    mixes: ClassVar[str] = "pooled vectors of texts"

    alpha: float = 1.0
    per_row: bool = False

    def check(self, encoder_layers: int, views: int | None) -> None:
        """Refuses alpha ≤ 0."""
        check_alpha(self.name, self.alpha)

    def loss(
        self,
        model: Classifier,
        batch: Batch,
        progress: Progress,
        generator: np.random.Generator,
        mix: Mix | None = None,
    ) -> Outcome:
        """Soft cross-entropy of the mixed rows; `mix` where it is not to be drawn."""
        mix = mix or draw_mix(len(batch.labels), self.alpha, False, generator, self.per_row)
        return mixed_outcome(model, batch, mix, layer=POOLED)
