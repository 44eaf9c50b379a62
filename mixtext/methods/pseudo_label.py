"""Pseudo-Label: the model's own best guess of an unlabelled row is taken for its label.

Lee, ICML 2013 workshop ("Pseudo-Label: The Simple and Efficient Semi-Supervised Learning Method for
Deep Neural Networks"). One step:

1. one pass over labelled and unlabelled rows, with dropout; an unlabelled row's guess is the class
   that this very pass finds most likely;
2. loss = L_x + α(t)·L_u, both cross-entropy, L_u by the guesses that are sure enough. α(t) is 0 at
   first, then rises to its most and stays there.

The paper takes every guess; the threshold came with later work (FixMatch's baseline, arXiv
2001.07685).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from annotated_types import Ge, Interval

from mixtext.data.batches import Batch
from mixtext.deferred import torch
from mixtext.losses import at_least_float32, soft_cross_entropy
from mixtext.methods.base import Method, Outcome, Progress, guided_outcome, hard, target_loss

if TYPE_CHECKING:
    from mixtext.models.classifier import Classifier


@dataclass(frozen=True)
class PseudoLabel(Method):
    """Learns from its own sure guesses. It looks at no views.

    Attributes:
        threshold: a guess counts where its probability is greater. Paper: 0, all count.
        unlabelled_weight: α at its most. Paper: 3.
        wait: share of the training in which α is 0. Paper: 100 epochs.
        ramp: share of the training in which α then rises; 0: at once. Paper: 500 epochs.
    """

    name: ClassVar[str] = "pseudo_label"
    paper: ClassVar[str] = "Lee, ICML 2013 workshop"
    mixes: ClassVar[str] = "nothing; sure guesses become labels"
    targets: ClassVar[tuple[str, ...]] = ("classes",)
    unlabelled: ClassVar[bool] = True

    threshold: Annotated[float, Ge(0)] = 0.95
    unlabelled_weight: Annotated[float, Ge(0)] = 3.0
    wait: Annotated[float, Interval(ge=0, lt=1)] = 0.1
    ramp: Annotated[float, Interval(ge=0, le=1)] = 0.5

    def loss(
        self,
        model: Classifier,
        batch: Batch,
        progress: Progress,
        generator: np.random.Generator,
    ) -> Outcome:
        """Cross-entropy of the labelled rows and, by the sure guesses, of the unlabelled ones."""
        B, Bu = len(batch.labels), batch.unlabelled
        rows = batch.rows[torch.cat([torch.arange(B), torch.arange(-Bu, 0)])]
        logits = model(rows)  # (B + Bu, C)
        guesses = torch.softmax(at_least_float32(logits[B:].detach()), dim=-1)  # (Bu, C)
        used = guesses.amax(-1) > self.threshold  # (Bu,)

        loss_x = target_loss(logits[:B], batch.labels)
        loss_u = soft_cross_entropy(logits[B:], hard(guesses), used)
        ramp = progress.rise(self.ramp, self.wait)
        return guided_outcome(loss_x, loss_u, self.unlabelled_weight, ramp, guesses, used)
