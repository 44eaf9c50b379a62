"""MixText: guess labels for unlabelled texts, then TMix labelled and unlabelled rows together.

Chen, Yang and Yang, ACL 2020 (arXiv 2004.12239). One step:

1. predict each unlabelled text and its views, average, sharpen: the guess (no gradient);
2. rows = labelled ∪ views ∪ originals, each with a random partner; hidden states and labels mix
   at a random layer with one λ;
3. loss = L_x (rows whose main part is labelled) + w(t)·λ_u·L_u (all others) + γ_m·L_margin, the
   last on predictions of the unlabelled originals, unmixed.

`contrast_passes`, `teacher` and `align` are not in the paper: the labelled rows alone are learned
first, by a contrastive loss, so that guesses begin from something worth having (as SetFit begins,
arXiv 2209.11055); an averaged copy of the weights makes the guesses (Mean Teacher, arXiv
1703.01780); guesses are scaled so that all classes are guessed equally often (ReMixMatch, arXiv
1911.09785). All are off unless set.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np
from annotated_types import Ge, Gt, Interval

from mixtext.data.batches import Batch, Feed
from mixtext.deferred import Tensor, torch
from mixtext.errors import InputError
from mixtext.losses import LABELLED_LOSSES, MARGINS, consistency_kl
from mixtext.methods.averages import add_teacher, hurried, move_teacher, teacher_of
from mixtext.methods.base import (
    FeedOf,
    Layers,
    Method,
    Outcome,
    Progress,
    check_layers,
    predict,
    soft_targets,
)
from mixtext.methods.contrast import contrast, fit_head
from mixtext.mixing.interpolate import Mix, draw_lam, draw_partner, interpolate
from mixtext.pseudo_labels import align, guess, sharpen

if TYPE_CHECKING:
    from mixtext.models.classifier import Classifier

ALIGN_DECAY = 0.9  # of the running mean of guesses; over about ten steps


@dataclass(frozen=True)
class MixText(Method):
    """Settings of MixText. Defaults suit a 6-layer encoder; the paper's are in experiments/paper.

    The share of labelled rows in a step is set by `training.batch` and `training.batch_unlabelled`
    (B labelled rows and Bu·(K + 1) unlabelled ones).

    Attributes:
        alpha: λ ~ Beta(alpha, alpha). Paper: 2 or 16 with few labels per class.
        layers: the layer to mix at is drawn from these, 0 (embeddings) to the encoder's last.
        keep_main: λ ← max(λ, 1 − λ), so that a row keeps its kind of loss.
        per_row: draw one λ a row instead of one a step.
        separate: mix labelled rows with labelled and unlabelled with unlabelled only.
        temperature: T of the sharpening; 1 leaves guesses as they are.
        original_weight: weight of the original text in the guess.
        view_weights: weight of each view in the guess, one for each view; empty: 1 each. A view of
            weight 0 is not predicted, only trained on.
        guess_dropout: keep dropout on while guessing (the official code does).
        unlabelled_weight: λ_u, weight of the consistency loss.
        ramp: w(t) rises from 0 to 1 over this share of the training; 0: at once.
        margin_weight: γ_m, weight of the margin loss. It is taken of the originals alone,
            unmixed, which costs a pass over them. The official code applies it in steps that mix
            nothing, of which its default has none.
        margin: γ, in squared norm (0 to 1) or nats.
        margin_kind: `squared_norm` (paper) or `entropy` (official code).
        labelled_loss: `softmax`, or `sigmoid` (a variant of the official code).
        idle_rows: carry the originals a second time, without a loss of their own, as the official
            code does: as their own partners, which changes nothing but the dropout draws; with
            `separate` as partners of unlabelled rows.
        teacher: decay of an averaged copy of the weights; 0: none. The teacher guesses
            and is what is scored and exported. It moves faster at first, but not after a
            contrastive start, which it would forget within ten steps.
        align: scale guesses towards equal class frequencies, or, with `cluster`, towards those of
            the clusters. Without `cluster` not for skewed pools.
        contrast_passes: passes over the labelled rows alone, by the supervised contrastive loss,
            before the first step; then the head is fitted to their vectors. A pass is a step, or
            more where there are more than 30 rows; they are not among `training.steps`. 0: none.
        contrast_rate: highest learning rate of the encoder in these steps.
        adjust: labelled rows are learned as if their classes were as frequent as the clusters say
            that they are in the pool (logit adjustment, Menon et al. 2021, arXiv 2007.07314): their
            logits are shifted by the log of the two frequencies' ratio, in the fitted head too, so
            that as many labels of each class do not say that classes are equally frequent.
        cluster: after the contrastive start, so many rows of the pool, at most, are clustered
            around the labelled ones, and the head is fitted to these guesses too; 0: none.
    """

    name: ClassVar[str] = "mixtext"
    paper: ClassVar[str] = "Chen et al., ACL 2020 (arXiv 2004.12239)"
    mixes: ClassVar[str] = "hidden states of labelled and unlabelled rows, at a random layer"
    targets: ClassVar[tuple[str, ...]] = ("classes",)
    unlabelled: ClassVar[bool] = True
    views: ClassVar[bool] = True

    alpha: Annotated[float, Gt(0)] = 16.0
    layers: Layers = (3, 4, 5)
    keep_main: bool = True
    per_row: bool = False
    separate: bool = False
    temperature: Annotated[float, Interval(gt=0, le=1)] = 0.5
    original_weight: Annotated[float, Ge(0)] = 1.0
    view_weights: tuple[Annotated[float, Ge(0)], ...] = ()
    guess_dropout: bool = False
    unlabelled_weight: Annotated[float, Ge(0)] = 1.0
    ramp: Annotated[float, Interval(ge=0, le=1)] = 1.0
    margin_weight: Annotated[float, Ge(0)] = 0.0
    margin: float = 0.7
    margin_kind: Literal["squared_norm", "entropy"] = "squared_norm"
    labelled_loss: Literal["softmax", "sigmoid"] = "softmax"
    idle_rows: bool = False
    teacher: Annotated[float, Interval(ge=0, lt=1)] = 0.0
    align: bool = False
    contrast_passes: Annotated[int, Ge(0)] = 0
    contrast_rate: Annotated[float, Gt(0)] = 6e-5
    cluster: Annotated[int, Ge(0)] = 0
    adjust: bool = False

    def __post_init__(self) -> None:
        """Refuses clusters without the start that makes them mean something."""
        super().__post_init__()
        if self.cluster and not self.contrast_passes:
            raise InputError(
                f"mixtext.cluster is {self.cluster} but mixtext.contrast_passes is 0: clusters are "
                "classes only after the contrastive start; raise it, or set the other to 0."
            )
        if self.adjust and not self.cluster:
            raise InputError(
                "mixtext.adjust is true but mixtext.cluster is 0: clusters say how frequent "
                "classes are; raise it, or set adjust to false."
            )

    def check(self, encoder_layers: int, views: int | None, pairs: bool = False) -> None:
        """Refuses settings that do not fit the encoder or the views."""
        check_layers(self.name, self.layers, encoder_layers)
        if views is not None and self.view_weights and len(self.view_weights) != views:
            raise InputError(
                f"mixtext.view_weights has {len(self.view_weights)} weights but there are {views} "
                "views of each text: give one weight a view, or none."
            )
        weights = (self.original_weight, *(self.view_weights or [1.0] * (views or 0)))
        if not any(weights):
            raise InputError(
                "mixtext.original_weight and mixtext.view_weights are all 0: raise one of them."
            )

    def start(self, model: Classifier) -> None:
        """Attaches the teacher and the running mean of guesses, where they are asked for."""
        model.memory = None  # the teacher copies the model, not what an earlier start remembered
        if not (self.teacher or self.align or self.adjust):
            return
        memory = torch.nn.Module()
        if self.teacher:
            add_teacher(memory, model)
        even = torch.full((model.head.outputs,), 1 / model.head.outputs)
        even = even.to(next(model.parameters()).device)
        memory.register_buffer("guess_mean", even)
        if self.cluster:
            memory.register_buffer("shares", even.clone())  # of the classes, by the clusters
        if self.adjust:
            memory.register_buffer("shift", torch.zeros_like(even))  # of labelled rows' logits
        model.memory = memory

    def warm_up(
        self, model: Classifier, feed: FeedOf[Batch], generator: np.random.Generator
    ) -> None:
        """The contrastive start; the teacher begins with its weights."""
        if self.contrast_passes:
            assert isinstance(feed, Feed)
            contrast(model, feed, self.contrast_passes, self.contrast_rate, generator)
            shares, shift = fit_head(model, feed, self.cluster, self.adjust)  # (C,)
            self.start(model)
            if model.memory is not None:
                for name, buffer in model.memory.named_buffers(recurse=False):
                    buffer.copy_(shift if name == "shift" else shares)

    def loss(
        self,
        model: Classifier,
        batch: Batch,
        progress: Progress,
        generator: np.random.Generator,
        draw: tuple[Mix, int] | None = None,
    ) -> Outcome:
        """The combined loss. `draw` (mix, layer) can be given instead of drawn."""
        batch = replace(batch, rows=model.begun(batch.rows))  # for the guess, the mix, the margin
        rows, labels = batch.rows, batch.labels
        B, Bu, K = len(labels), batch.unlabelled, batch.views
        guesses, metrics = self.guess(model, batch)  # (Bu, C)
        if self.idle_rows:
            rows = rows[torch.cat([torch.arange(B + Bu * (K + 1)), torch.arange(-Bu, 0)])]
        mix, layer = draw or self.draw(batch, generator)
        mix = mix.to(labels.device)

        logits = model(rows, mix, layer)  # (R, C)
        copies = K + 1 + int(self.idle_rows)
        hard = soft_targets(labels, logits.shape[1], guesses.dtype)
        targets = torch.cat([hard, guesses.repeat(copies, 1)])
        mixed = interpolate(targets, mix)  # (R, C)

        if self.adjust and model.memory is not None:
            shift = model.memory.get_buffer("shift").expand(B, -1)  # (B, C)
            shifts = torch.cat([shift, shift.new_zeros(len(logits) - B, shift.shape[1])])
            logits = logits + interpolate(shifts, mix)
        end = B + Bu * (K + 1)  # idle rows come after
        loss_x = LABELLED_LOSSES[self.labelled_loss](logits[:B], mixed[:B])
        loss_u = consistency_kl(logits[B:end], mixed[B:end])
        ramp = progress.rise(self.ramp)
        loss = loss_x + ramp * self.unlabelled_weight * loss_u
        if self.margin_weight:
            originals = batch.rows[torch.arange(-Bu, 0)]
            loss_margin = MARGINS[self.margin_kind](model(originals), self.margin)
            loss = loss + self.margin_weight * loss_margin
            metrics["loss/margin"] = loss_margin.detach()
        metrics |= {"loss/labelled": loss_x.detach(), "loss/unlabelled": loss_u.detach()}
        metrics["ramp"] = ramp
        draws = {"lam": mix.lam.reshape(-1).tolist(), "layer": [float(layer)]}
        return Outcome(loss, metrics, draws, guesses)

    def draw(self, batch: Batch, generator: np.random.Generator) -> tuple[Mix, int]:
        """Draws λ, partners and the layer for one batch."""
        B, U = len(batch.labels), batch.unlabelled * (batch.views + 1)
        idle = batch.unlabelled if self.idle_rows else 0
        groups = [B, U + idle] if self.separate else [B + U, *[1] * idle]
        partner = draw_partner(groups, generator)
        lam = draw_lam(
            self.alpha, self.keep_main, generator, len(partner) if self.per_row else None
        )
        mix = Mix(torch.as_tensor(lam, dtype=torch.float32), torch.from_numpy(partner))
        return mix, int(generator.choice(self.layers))

    def guess(self, model: Classifier, batch: Batch) -> tuple[Tensor, dict[str, Tensor | float]]:
        """Pseudo-labels (Bu, C) from the originals and the views, averaged and sharpened."""
        B, Bu, K = len(batch.labels), batch.unlabelled, batch.views
        weights = [*(self.view_weights or [1.0] * K), self.original_weight]
        used = [k for k, weight in enumerate(weights) if weight]
        index = torch.cat([torch.arange(B + k * Bu, B + (k + 1) * Bu) for k in used])
        rows = batch.rows[index]
        each = predict(self.evaluated(model), rows, self.guess_dropout).split(Bu)
        averaged = guess(each, [weights[k] for k in used])
        if self.align and model.memory is not None:
            mean = model.memory.get_buffer("guess_mean")
            mean.lerp_(averaged.mean(0), 1 - ALIGN_DECAY)
            even = torch.full_like(mean, 1 / averaged.shape[1])
            averaged = align(
                averaged, mean, model.memory.get_buffer("shares") if self.cluster else even
            )
        metrics: dict[str, Tensor | float] = {}
        if len(used) > 1:
            same = each[0].argmax(-1)
            agree = torch.stack([p.argmax(-1) == same for p in each]).all(0)
            metrics["guess/agreement"] = agree.float().mean()
        return sharpen(averaged, self.temperature), metrics

    def after_step(self, model: Classifier, progress: Progress) -> None:
        """Moves the teacher towards the model; one that knows something already, without hurry."""
        known = self.contrast_passes > 0
        decay = self.teacher if known else hurried(self.teacher, progress.step)
        move_teacher(model, decay)

    def evaluated(self, model: Classifier) -> Classifier:
        """The teacher where there is one."""
        return teacher_of(model)
