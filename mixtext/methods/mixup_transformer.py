"""Mixup-Transformer: interpolate what a transformer makes of two texts, late in the training.

Sun et al., COLING 2020 (arXiv 2010.02394): the final representation of a text is mixed, with a
fixed λ, and only in the second half of the epochs; the first half trains plainly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from annotated_types import Interval

from mixtext.data.batches import Batch
from mixtext.deferred import torch
from mixtext.methods.base import Method, Outcome, Progress, mixed_outcome, plain_outcome
from mixtext.mixing.interpolate import POOLED, Mix, draw_partner

if TYPE_CHECKING:
    from mixtext.models.classifier import Classifier


@dataclass(frozen=True)
class MixupTransformer(Method):
    """Mixes what the head reads. `model.pool` chooses: the `first` token's state, the `pooler`'s
    output or the mean. With `model.head_width = 0` nothing but a softmax layer follows.

    In regression the scores are mixed. The paper does not say which half the middle one of an odd
    number of epochs belongs to; here it is the second, as mixing begins with the first epoch e
    (from 0) of E with e ≥ plain_share·E, rounded down. Where `training.steps` is given, epochs are
    passes over the labelled rows, E rounded up; so a run of less than one pass mixes throughout.

    Attributes:
        lam: λ, the weight of the row itself. Paper: 0.5.
        plain_share: share of the epochs that train plainly. Paper: the first half.
    """

    name: ClassVar[str] = "mixup_transformer"
    paper: ClassVar[str] = "Sun et al., COLING 2020 (arXiv 2010.02394)"
    mixes: ClassVar[str] = "pooled vectors of texts, in the second half of the training"

    lam: Annotated[float, Interval(ge=0, le=1)] = 0.5
    plain_share: Annotated[float, Interval(ge=0, le=1)] = 0.5

    def mixing(self, progress: Progress) -> bool:
        """Whether this step is in the part of the training that mixes."""
        return int(progress.epoch) >= math.floor(
            self.plain_share * math.ceil(progress.epochs) + 1e-9
        )

    def loss(
        self,
        model: Classifier,
        batch: Batch,
        progress: Progress,
        generator: np.random.Generator,
        mix: Mix | None = None,
    ) -> Outcome:
        """Plain loss first, loss of the mixed rows later; `mix` where it is not to be drawn."""
        if not self.mixing(progress):
            return plain_outcome(model, batch)
        if mix is None:
            partner = torch.from_numpy(draw_partner([len(batch.labels)], generator))
            mix = Mix(torch.tensor(self.lam), partner)
        return mixed_outcome(model, batch, mix, layer=POOLED)
