"""Mean Teacher: the model agrees with a running average of its own weights.

Tarvainen and Valpola, NeurIPS 2017 (arXiv 1703.01780). One step:

1. the teacher θ' predicts labelled and unlabelled rows, under dropout of its own;
2. loss = L_x + w(t)·λ_u·J: cross-entropy of the labelled rows, and the distance J of the model's
   predictions of all rows from the teacher's;
3. θ' ← a·θ' + (1 − a)·θ.

The model sees the views that the recipe names under [views], the teacher the texts as they are;
where there are no views (`views.copies = 0`), the two differ by their dropout. w(t) is
exp(−5(1 − x)²) while x goes from 0 to 1. The paper has a = 0.99 while w rises and 0.999 after; here
it is one a, and less in the first steps: min(a, (1 + t)/(10 + t)), as for MixText's teacher.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np
from annotated_types import Ge, Interval

from mixtext.data.batches import Batch
from mixtext.deferred import torch
from mixtext.losses import CONSISTENCY_LOSSES
from mixtext.methods.averages import add_teacher, hurried, move_teacher, teacher_of
from mixtext.methods.base import Method, Outcome, Progress, guided_outcome, predict, target_loss

if TYPE_CHECKING:
    from mixtext.models.classifier import Classifier


@dataclass(frozen=True)
class MeanTeacher(Method):
    """Agrees with its teacher, which is what is scored and exported.

    Attributes:
        decay: a, of the teacher's weights. Paper: 0.99, later 0.999.
        distance: of two predictions: `squared`, ‖p − p'‖², as the paper; or `kl`, KL(p' ‖ p), which
            the paper finds worse.
        unlabelled_weight: λ_u. The official code: 100 for squares averaged over the classes, of
            which its data sets have ten.
        ramp: share of the training in which w(t) rises; 0: at once. Paper: 40,000 of 150,000 or
            180,000 steps.
    """

    name: ClassVar[str] = "mean_teacher"
    paper: ClassVar[str] = "Tarvainen and Valpola, NeurIPS 2017 (arXiv 1703.01780)"
    mixes: ClassVar[str] = "nothing; predictions follow those of averaged weights"
    targets: ClassVar[tuple[str, ...]] = ("classes",)
    unlabelled: ClassVar[bool] = True
    views: ClassVar[bool] = True

    decay: Annotated[float, Interval(ge=0, lt=1)] = 0.99
    distance: Literal["squared", "kl"] = "squared"
    unlabelled_weight: Annotated[float, Ge(0)] = 10.0
    ramp: Annotated[float, Interval(ge=0, le=1)] = 0.25

    def start(self, model: Classifier) -> None:
        """Attaches the teacher."""
        model.memory = None  # the teacher copies the model, not what an earlier start remembered
        memory = torch.nn.Module()
        add_teacher(memory, model)
        model.memory = memory

    def loss(
        self,
        model: Classifier,
        batch: Batch,
        progress: Progress,
        generator: np.random.Generator,
    ) -> Outcome:
        """Cross-entropy of the labelled rows, and the distance of all from the teacher."""
        B, Bu = len(batch.labels), batch.unlabelled
        rows = batch.rows[torch.cat([torch.arange(B), torch.arange(-Bu, 0)])]
        taught = predict(teacher_of(model), rows, dropout=True)  # (B + Bu, C)
        guesses = taught[B:]
        targets = torch.cat([taught[:B], guesses.repeat(batch.copies, 1)])

        logits = model(batch.learned)  # (B + Bu·copies, C)
        loss_x = target_loss(logits[:B], batch.labels)
        loss_u = CONSISTENCY_LOSSES[self.distance](logits, targets)
        used = torch.ones_like(guesses[:, 0])
        ramp = math.exp(-5 * (1 - progress.rise(self.ramp)) ** 2)
        return guided_outcome(loss_x, loss_u, self.unlabelled_weight, ramp, guesses, used)

    def after_step(self, model: Classifier, progress: Progress) -> None:
        """Moves the teacher towards the model."""
        move_teacher(model, hurried(self.decay, progress.step))

    def evaluated(self, model: Classifier) -> Classifier:
        """The teacher."""
        return teacher_of(model)
