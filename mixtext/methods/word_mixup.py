"""wordMixup: interpolate two texts word by word, in the space of word vectors.

Guo, Mao and Zhang 2019 (arXiv 1905.08941), section 3.1. Both texts are padded with zeros to one
length; position t of one mixes with position t of the other.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mixtext.data.batches import Batch
from mixtext.methods.base import Method, Outcome, Progress, check_alpha, mixed_outcome
from mixtext.mixing.interpolate import Mix, draw_mix
from mixtext.models.classifier import Classifier


@dataclass(frozen=True)
class WordMixup(Method):
    """Mixes word vectors: B̃_t = λB_t + (1 − λ)B'_t.

    On a transformer that is layer 0: what the embeddings give, after their LayerNorm, positions
    included; so it equals Manifold Mixup with the layer set {0}.

    Attributes:
        alpha: λ ~ Beta(alpha, alpha), > 0. Paper: 1.
        per_row: draw one λ a row instead of one a batch.
    """

    name: ClassVar[str] = "word_mixup"
    paper: ClassVar[str] = "Guo et al. 2019 (arXiv 1905.08941)"
    mixes: ClassVar[str] = "word vectors"

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
