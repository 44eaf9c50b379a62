"""mixup: convex combinations of inputs and of their labels.

Zhang, Cisse, Dauphin and Lopez-Paz, ICLR 2018 (arXiv 1710.09412), equation 1.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mixtext.data.batches import Batch
from mixtext.methods.base import Method, Outcome, Progress, check_alpha, mixed_outcome
from mixtext.mixing.interpolate import Mix, draw_mix
from mixtext.models.classifier import Classifier


@dataclass(frozen=True)
class Mixup(Method):
    """Mixes input vectors: x̃ = λx + (1 − λ)x'. Texts have no such inputs: see `word_mixup`.

    Attributes:
        alpha: λ ~ Beta(alpha, alpha), > 0. Paper: 1 for CIFAR, 0.1 to 0.4 for ImageNet, 8 or 32
            against corrupted labels.
        per_row: draw one λ a row instead of one a batch.
    """

    name: ClassVar[str] = "mixup"
    paper: ClassVar[str] = "Zhang et al., ICLR 2018 (arXiv 1710.09412)"
    tasks: ClassVar[tuple[str, ...]] = ("vectors",)
    mixes: ClassVar[str] = "input vectors"

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
        return mixed_outcome(model, batch, mix, layer=0)
