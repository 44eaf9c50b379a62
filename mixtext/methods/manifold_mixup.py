"""Manifold Mixup: interpolate hidden states at a random layer, the input layer among them.

Verma et al., ICML 2019 (arXiv 1806.05236), section 2: draw a layer k from the set S, run a batch
up to k, mix it there with a shuffled copy of itself, run on; the gradient flows through all layers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np
from annotated_types import Gt

from mixtext.data.batches import Batch
from mixtext.methods.base import LayerMix, Layers, Outcome, check_layers, mixed_outcome
from mixtext.mixing.interpolate import Layer, Mix

if TYPE_CHECKING:
    from mixtext.models.classifier import Classifier


@dataclass(frozen=True)
class ManifoldMixup(LayerMix):
    """Mixes hidden states of labelled rows at a layer drawn anew for each batch.

    Attributes:
        alpha: λ ~ Beta(alpha, alpha). Paper: 2.
        layers: the set S, 0 (input vectors, word vectors or embeddings' output) to the encoder's
            last; empty: all of these.
        labelled_loss: `softmax` cross-entropy, or `bce_of_softmax` as in the official code.
        per_row: draw one λ a row instead of one a batch.
    """

    name: ClassVar[str] = "manifold_mixup"
    paper: ClassVar[str] = "Verma et al., ICML 2019 (arXiv 1806.05236)"
    rows: ClassVar[tuple[str, ...]] = ("texts", "pairs", "vectors")
    mixes: ClassVar[str] = "hidden states at a random layer, the input layer among them"

    alpha: Annotated[float, Gt(0)] = 2.0
    layers: Layers = ()
    labelled_loss: Literal["softmax", "bce_of_softmax"] = "softmax"

    def check(self, encoder_layers: int, views: int | None, pairs: bool = False) -> None:
        """Refuses layers beyond the encoder."""
        if self.layers:
            check_layers(self.name, self.layers, encoder_layers)

    def draw(
        self, model: Classifier, rows: int, generator: np.random.Generator
    ) -> tuple[Mix, Layer]:
        """λ and partners, then the layer k."""
        mix, _ = super().draw(model, rows, generator)
        return mix, int(generator.choice(self.layers or range(model.encoder.layers + 1)))

    def outcome(self, model: Classifier, batch: Batch, mix: Mix, layer: Layer) -> Outcome:
        """Loss of the mixed rows, of the kind that is set."""
        return mixed_outcome(model, batch, mix, layer, self.labelled_loss)
