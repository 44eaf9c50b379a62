"""SoftMatch: a guess counts the more, the surer it is; a Gaussian takes the threshold's place.

Chen et al., ICLR 2023 (arXiv 2301.10921). One step:

1. predict the unlabelled texts as they are, p, without a gradient;
2. uniform alignment: UA(p) = p · (1/C) / E[p], renormalised, E a running mean;
3. running mean μ and variance σ² of the confidence max UA(p), then the weight of a
   guess: exp(−(max UA(p) − μ)² / 2σ²) below μ, 1 above;
4. loss = L_x + λ_u·L_u, L_u the weighted cross-entropy of the views by the class that p, not
   aligned, finds most likely.

The strong views are what the recipe names under [views], and every one of them is learned from;
where it makes none (`views.copies = 0`), the text itself is, under dropout. Guesses are made
without dropout, as MixText's are. The paper's running averages begin at μ = 1/C, σ² = 1 and E = 1/C
and decay by 0.999 over 2²⁰ steps. In trainings of hundreds of steps they would stay where they
began, so here they hurry at first, as MixText's teacher does, by min(decay, (1 + t)/(10 + t)). The
paper scores an average of the weights; here the weights themselves are scored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from annotated_types import Ge, Interval

from mixtext.data.batches import Batch
from mixtext.deferred import Tensor, torch
from mixtext.losses import at_least_float32, soft_cross_entropy
from mixtext.methods.averages import hurried
from mixtext.methods.base import (
    Method,
    Outcome,
    Progress,
    guided_outcome,
    hard,
    predict,
    target_loss,
)
from mixtext.pseudo_labels import align

if TYPE_CHECKING:
    from mixtext.models.classifier import Classifier


@dataclass(frozen=True)
class SoftMatch(Method):
    """Learns the views of texts, by how sure it is of the texts.

    Attributes:
        decay: m, of the running averages. Paper: 0.999.
        align: weigh by aligned guesses, so that all classes count alike. Not for skewed pools.
        unlabelled_weight: λ_u, with λ_max in it. Paper: 1.
        ramp: λ_u rises over this share of the training; 0: at once, as in the paper, where a head
            that knows nothing yet is surely wrong, and may stay so.
    """

    name: ClassVar[str] = "softmatch"
    paper: ClassVar[str] = "Chen et al., ICLR 2023 (arXiv 2301.10921)"
    mixes: ClassVar[str] = "nothing; views learn guesses of the texts, weighed by confidence"
    targets: ClassVar[tuple[str, ...]] = ("classes",)
    unlabelled: ClassVar[bool] = True
    views: ClassVar[bool] = True

    decay: Annotated[float, Interval(ge=0, lt=1)] = 0.999
    align: bool = True
    unlabelled_weight: Annotated[float, Ge(0)] = 1.0
    ramp: Annotated[float, Interval(ge=0, le=1)] = 1.0

    def start(self, model: Classifier) -> None:
        """Attaches the running averages."""
        memory = torch.nn.Module()
        classes, weight = model.head.outputs, next(model.parameters())
        even = at_least_float32(weight.new_full((classes,), 1 / classes))
        memory.register_buffer("guess_mean", even)
        memory.register_buffer("confidence_mean", even[0].clone())
        memory.register_buffer("confidence_variance", torch.ones_like(even[0]))
        model.memory = memory

    def loss(
        self,
        model: Classifier,
        batch: Batch,
        progress: Progress,
        generator: np.random.Generator,
    ) -> Outcome:
        """Cross-entropy of the labelled rows and, weighed, of the views."""
        B, copies = len(batch.labels), batch.copies
        guesses = predict(model, batch.originals)  # (Bu, C)
        assert model.memory is not None
        weights = self.weigh(guesses, model.memory, hurried(self.decay, progress.step))  # (Bu,)

        logits = model(batch.learned)  # (B + Bu·copies, C)
        loss_x = target_loss(logits[:B], batch.labels)
        loss_u = soft_cross_entropy(
            logits[B:], hard(guesses).repeat(copies, 1), weights.repeat(copies)
        )
        ramp = progress.rise(self.ramp)
        outcome = guided_outcome(loss_x, loss_u, self.unlabelled_weight, ramp, guesses, weights)
        for name in ("confidence_mean", "confidence_variance"):
            outcome.metrics[f"guess/{name}"] = model.memory.get_buffer(name).clone()
        return outcome

    def weigh(self, guesses: Tensor, memory: torch.nn.Module, decay: float) -> Tensor:
        """Moves the running averages by a batch of guesses (Bu, C), then weighs it, (Bu,)."""
        if self.align:
            average = memory.get_buffer("guess_mean")
            average.lerp_(guesses.mean(0), 1 - decay)
            guesses = align(guesses, average, torch.full_like(average, 1 / len(average)))
        sure = guesses.amax(-1)  # (Bu,)
        mean = memory.get_buffer("confidence_mean")
        variance = memory.get_buffer("confidence_variance")
        mean.lerp_(sure.mean(), 1 - decay)
        if len(sure) > 1:  # one row has no variance
            variance.lerp_(sure.var(), 1 - decay)
        below = (sure - mean).clamp(max=0)
        # Where all rows are alike, rounding is all that differs.
        return torch.exp(-below.square() / (2 * variance.clamp(min=1e-8)))
