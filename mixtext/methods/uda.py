"""UDA: a view's prediction agrees with the sharpened prediction of the text itself.

Xie et al., "Unsupervised Data Augmentation for Consistency Training", NeurIPS 2020 (arXiv
1904.12848). One step:

1. predict the unlabelled texts, sharpen with temperature τ, without a gradient;
2. loss = L_x + λ_u·L_u, L_u = KL(sharpened prediction of the text ‖ prediction of its view), where
   the text's largest probability, not sharpened, is above β;
3. training-signal annealing: L_x leaves out the labelled rows that are already right with more than
   η_t = α_t·(1 − 1/C) + 1/C, where α_t goes from 0 to 1, so that few labels are not overfitted.

The views are what the recipe names under [views] (the paper's are back-translations), and every one
of them is learned from; where it makes none (`views.copies = 0`), the text itself is, under
dropout. Guesses are made without dropout, as MixText's are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np
from annotated_types import Ge, Interval

from mixtext.data.batches import Batch
from mixtext.deferred import torch
from mixtext.losses import at_least_float32, consistency_kl
from mixtext.methods.base import (
    Method,
    Outcome,
    Progress,
    guided_outcome,
    learned_logits,
    predict,
    target_loss,
)
from mixtext.pseudo_labels import sharpen

if TYPE_CHECKING:
    from mixtext.models.classifier import Classifier


@dataclass(frozen=True)
class UDA(Method):
    """Consistency of texts and views, with annealed labels where that is asked for.

    Defaults are those of the official code for CIFAR-10, which anneals nothing. For IMDb with 20
    labels it anneals and has no β; in a training of 60 steps the guesses then settled on few
    classes before the labels were learned (docs/log.md).

    Attributes:
        temperature: τ of the sharpening; 1 leaves guesses as they are. Paper: 0.4.
        threshold: β, a guess counts where its probability, before sharpening, is greater. Paper:
            0.8 on CIFAR-10.
        annealing: how α_t grows from 0 to 1: `linear`, t/T; `log`, fast at first, where overfitting
            is no worry; `exp`, slowly, where it is; `none`: every labelled row always counts.
            Paper: by data set.
        unlabelled_weight: λ_u. Paper: 1.
    """

    name: ClassVar[str] = "uda"
    paper: ClassVar[str] = "Xie et al., NeurIPS 2020 (arXiv 1904.12848)"
    mixes: ClassVar[str] = "nothing; views learn sharpened guesses of the texts"
    targets: ClassVar[tuple[str, ...]] = ("classes",)
    unlabelled: ClassVar[bool] = True
    views: ClassVar[bool] = True

    temperature: Annotated[float, Interval(gt=0, le=1)] = 0.4
    threshold: Annotated[float, Ge(0)] = 0.8
    annealing: Literal["none", "linear", "log", "exp"] = "none"
    unlabelled_weight: Annotated[float, Ge(0)] = 1.0

    def loss(
        self,
        model: Classifier,
        batch: Batch,
        progress: Progress,
        generator: np.random.Generator,
    ) -> Outcome:
        """Cross-entropy of the labelled rows that still count, and consistency of the views."""
        B, copies = len(batch.labels), batch.copies
        predicted = predict(model, batch.originals)  # (Bu, C)
        used = predicted.amax(-1) > self.threshold  # (Bu,)
        guesses = sharpen(predicted, self.temperature)

        logits = learned_logits(model, batch, used)  # (B + Bu·copies, C)
        p = torch.softmax(at_least_float32(logits[:B].detach()), dim=-1)
        most = self.most(progress.fraction, logits.shape[1])
        kept = p.gather(1, batch.labels[:, None])[:, 0] <= most  # (B,)

        loss_x = target_loss(logits[:B][kept], batch.labels[kept])
        loss_u = consistency_kl(logits[B:], guesses.repeat(copies, 1), used.repeat(copies))
        outcome = guided_outcome(loss_x, loss_u, self.unlabelled_weight, 1.0, guesses, used)
        outcome.metrics["annealing/threshold"] = most
        outcome.metrics["annealing/kept"] = kept.float().mean()
        return outcome

    def most(self, fraction: float, classes: int) -> float:
        """η_t, from 1/C to 1, by the share of the training that is done."""
        if self.annealing == "none":
            return 1.0
        alpha = {
            "linear": fraction,
            "log": 1 - math.exp(-5 * fraction),
            "exp": math.exp(5 * (fraction - 1)),
        }[self.annealing]
        return alpha * (1 - 1 / classes) + 1 / classes
