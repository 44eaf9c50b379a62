"""TMix: interpolate the hidden states of two labelled texts at a random layer.

MixText, section 3 (ACL 2020, arXiv 2004.12239).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from annotated_types import Gt

from mixtext.data.batches import Batch
from mixtext.methods.base import LayerMix, Layers, Outcome, check_layers, half_clean, plain_outcome
from mixtext.mixing.interpolate import Layer, Mix, draw_mix

if TYPE_CHECKING:
    from mixtext.models.classifier import Classifier


@dataclass(frozen=True)
class TMix(LayerMix):
    """Mixes labelled rows with labelled rows.

    Attributes:
        alpha: λ ~ Beta(alpha, alpha). Paper: 2 or 16 with few labels per class, 0.2 or 0.4
            above 200.
        layers: the layer to mix at is drawn from these, 0 (embeddings) to the encoder's last.
            Paper: 7, 9, 12 of 12; for 6 layers 3, 4, 5.
        keep_main: λ ← max(λ, 1 − λ). The official code leaves it out for TMix.
        per_row: draw one λ a row instead of one a batch.
        clean: train on the clean rows as well, one to one, as the code of SSMix does for its TMix.
    """

    name: ClassVar[str] = "tmix"
    paper: ClassVar[str] = "Chen et al., ACL 2020 (arXiv 2004.12239)"
    mixes: ClassVar[str] = "hidden states of labelled rows, at a random layer"

    alpha: Annotated[float, Gt(0)] = 2.0
    layers: Layers = (3, 4, 5)
    keep_main: bool = True
    clean: bool = False

    def check(self, encoder_layers: int, views: int | None, pairs: bool = False) -> None:
        """Refuses layers beyond the encoder."""
        check_layers(self.name, self.layers, encoder_layers)

    def draw(
        self, model: Classifier, rows: int, generator: np.random.Generator
    ) -> tuple[Mix, Layer]:
        """λ and partners, then the layer."""
        mix = draw_mix(rows, self.alpha, self.keep_main, generator, self.per_row)
        return mix, int(generator.choice(self.layers))

    def outcome(self, model: Classifier, batch: Batch, mix: Mix, layer: Layer) -> Outcome:
        """Soft cross-entropy of the mixed rows, beside that of the clean ones where asked for."""
        mixed = super().outcome(model, batch, mix, layer)
        return half_clean(plain_outcome(model, batch), mixed) if self.clean else mixed
