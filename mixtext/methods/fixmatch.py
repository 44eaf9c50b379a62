"""FixMatch: a sure guess of a text becomes the label of its view.

Sohn et al., NeurIPS 2020 (arXiv 2001.07685). One step:

1. predict the unlabelled texts as they are (the weak view), without a gradient;
2. loss = L_x + λ_u·L_u: cross-entropy of the labelled rows, and of the views (the strong ones) by
   the class that was found most likely, where its probability is at least τ (eq. 3 and 4).

The strong views are what the recipe names under [views], and every one of them is learned from;
where it makes none (`views.copies = 0`), the text itself is, under dropout. Guesses are made
without dropout, as MixText's are. The paper scores an average of the weights; here the weights
themselves are scored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from annotated_types import Ge

from mixtext.data.batches import Batch
from mixtext.losses import soft_cross_entropy
from mixtext.methods.base import (
    Method,
    Outcome,
    Progress,
    guided_outcome,
    hard,
    learned_logits,
    predict,
    target_loss,
)

if TYPE_CHECKING:
    from mixtext.models.classifier import Classifier


@dataclass(frozen=True)
class FixMatch(Method):
    """Learns the views of texts that it is sure of.

    Attributes:
        threshold: τ, a guess counts where its probability is at least that. Paper: 0.95.
        unlabelled_weight: λ_u. Paper: 1.
    """

    name: ClassVar[str] = "fixmatch"
    paper: ClassVar[str] = "Sohn et al., NeurIPS 2020 (arXiv 2001.07685)"
    mixes: ClassVar[str] = "nothing; views learn sure guesses of the texts"
    targets: ClassVar[tuple[str, ...]] = ("classes",)
    unlabelled: ClassVar[bool] = True
    views: ClassVar[bool] = True

    threshold: Annotated[float, Ge(0)] = 0.95
    unlabelled_weight: Annotated[float, Ge(0)] = 1.0

    def loss(
        self,
        model: Classifier,
        batch: Batch,
        progress: Progress,
        generator: np.random.Generator,
    ) -> Outcome:
        """Cross-entropy of the labelled rows and, by sure guesses, of the views."""
        B, copies = len(batch.labels), batch.copies
        guesses = predict(model, batch.originals)  # (Bu, C)
        used = guesses.amax(-1) >= self.threshold  # (Bu,)

        logits = learned_logits(model, batch, used)  # (B + Bu·copies, C)
        loss_x = target_loss(logits[:B], batch.labels)
        loss_u = soft_cross_entropy(
            logits[B:], hard(guesses).repeat(copies, 1), used.repeat(copies)
        )
        return guided_outcome(loss_x, loss_u, self.unlabelled_weight, 1.0, guesses, used)
