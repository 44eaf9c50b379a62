"""Settings of the loop, and what follows from them; settings of rounds of the loop."""

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Gt, Interval

from mixtext.errors import InputError
from mixtext.settings import Settings

ROWS = 2**16  # of a batch, and batches of a step
LONGEST_STEP = 2**20  # rows: with many more it would not come to its end
FEWEST_STEPS = 240  # of a training whose length nobody gives: docs/log.md, 2026-11-29


@dataclass(frozen=True)
class TrainingSettings(Settings):
    """How long and how to train.

    Attributes:
        seed: of everything drawn during training: weights of the head, dropout, order, λ, layers.
        batch: labelled rows a step.
        batch_unlabelled: unlabelled texts a step; each brings its views along.
        by_length: which rows are put into batches of like length, which then pad little:
            `unlabelled`, `all`, or `none`, as in the paper.
        steps: length of the training in steps; or give `epochs`. With 0 in both the labelled rows
            decide, see `usual_steps`.
        epochs: length in epochs, when `steps` is 0.
        steps_per_epoch: steps of an epoch; 0: as many as pass over the labelled rows once.
        evaluate_every: steps between evaluations on dev; 0: after each epoch.
        checkpoint_every: steps between checkpoints; 0: at each evaluation.
        patience: stop after this many evaluations in a row without a better dev metric; 0: never.
        select: the dev metric that chooses the weights, `accuracy` or `macro_f1`, in regression
            `spearman` or `pearson`; `auto`: the first of these. Equal ones are told apart by the
            lower dev loss.
        score_labelled: score the labelled rows too at each evaluation, unmixed: the training loss
            that methods with mixing can be compared by.
        test_at_every_tie: score test whenever dev ties or improves and report the last of these
            metrics, as the official code does; else test is scored once, at the end.
        lr_encoder: learning rate of the encoder.
        lr_head: learning rate of the head.
        weight_decay: decoupled (AdamW), not on biases and norms.
        eps: added to √v by AdamW.
        eps_before_bias_correction: add `eps` to the uncorrected √v, as pytorch_transformers did.
        schedule: of the learning rates after warm-up: `constant`, `linear` or `cosine` to 0.
        warmup: share of the steps in which learning rates rise linearly from 0.
        clip: largest norm of the gradient; 0: no clipping.
        accumulate: batches whose gradients are averaged for one step.
        precision: `float32`, `bfloat16` (autocast), or `auto`: bfloat16 where the hardware
            multiplies it faster (CUDA from Ampere, CPUs with AMX or avx512_bf16), else float32.
        gradient_checkpointing: recompute activations in the backward pass: less memory, slower.
        device: `auto` (CUDA where there is one), `cpu`, `cuda`, `cuda:1`, …
        log_every: steps that one line of metrics averages over.
        eval_batch: rows a batch when scoring.
    """

    name: ClassVar[str] = "training"

    seed: Annotated[int, Ge(0)] = 0
    batch: Annotated[int, Interval(ge=1, le=ROWS)] = 8
    batch_unlabelled: Annotated[int, Interval(ge=0, le=ROWS)] = 16
    by_length: Literal["none", "unlabelled", "all"] = "unlabelled"
    steps: Annotated[int, Ge(0)] = 0
    epochs: Annotated[int, Ge(0)] = 0
    steps_per_epoch: Annotated[int, Ge(0)] = 0
    evaluate_every: Annotated[int, Ge(0)] = 20
    checkpoint_every: Annotated[int, Ge(0)] = 0
    patience: Annotated[int, Ge(0)] = 0
    select: Literal["auto", "accuracy", "macro_f1", "spearman", "pearson"] = "auto"
    score_labelled: bool = False
    test_at_every_tie: bool = False
    lr_encoder: Annotated[float, Gt(0)] = 5e-5
    lr_head: Annotated[float, Gt(0)] = 1e-3
    weight_decay: Annotated[float, Ge(0)] = 0.01
    eps: Annotated[float, Gt(0)] = 1e-8
    eps_before_bias_correction: bool = False
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    warmup: Annotated[float, Interval(ge=0, lt=1)] = 0.1
    clip: Annotated[float, Ge(0)] = 1.0
    accumulate: Annotated[int, Interval(ge=1, le=ROWS)] = 1
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    gradient_checkpointing: bool = False
    device: str = "auto"
    log_every: Annotated[int, Ge(1)] = 10
    eval_batch: Annotated[int, Interval(ge=1, le=ROWS)] = 64

    def __post_init__(self) -> None:
        """Refuses a length in both steps and epochs."""
        if isinstance(self.by_length, bool):  # what version 0.1 wrote: labelled rows too, or not
            object.__setattr__(self, "by_length", "all" if self.by_length else "unlabelled")
        super().__post_init__()
        if self.steps and self.epochs:
            raise InputError(
                f"training.steps is {self.steps} and training.epochs is {self.epochs}: at most one "
                "of them may be greater than 0 (set the other to 0)."
            )
        rows = max(self.batch, self.batch_unlabelled) * self.accumulate
        if rows > LONGEST_STEP:
            raise InputError(
                f"training.accumulate is {self.accumulate}, which makes a step of {rows:,} rows: "
                f"lower it, or training.batch and batch_unlabelled, to {LONGEST_STEP:,} at most."
            )


@dataclass(frozen=True)
class RoundSettings(Settings):
    """Rounds of active learning: how often labels are asked for, and of whom.

    Attributes:
        policy: which rows are asked for.
        rounds: times that labels are asked for; with 0 the seed set alone is trained on.
        per_round: rows asked for in a round.
        committee: members of the committee, for that policy.
        annotator: `gold` reveals the labels that the corpus has; a `person` is asked with
            `mixtext active query` and answers with `mixtext active label`.
    """

    name: ClassVar[str] = "active"

    policy: str = "random"
    rounds: Annotated[int, Ge(0)] = 5
    per_round: Annotated[int, Ge(1)] = 100
    committee: Annotated[int, Interval(ge=2, le=1000)] = 3
    annotator: Literal["gold", "person"] = "gold"


TextPolicy = Literal["random", "least_confidence", "margin", "entropy", "committee", "diverse"]


@dataclass(frozen=True)
class ActiveSettings(RoundSettings):
    """Which rows are asked for, to be sorted into classes.

    Attributes:
        policy: which rows are asked for: `random`; those that the model is least sure of by
            `least_confidence`, `margin` or `entropy`; those that a `committee` disagrees on; or
            `diverse`, one of each cluster of the pretrained encoder's vectors. Where there is no
            label yet, `diverse` asks first, unless the policy is `random`.
        cold: begin without any label: the labelled rows join the pool.
    """

    policy: TextPolicy = "entropy"
    cold: bool = False


@dataclass(frozen=True)
class Plan:
    """Steps of a training: in all, in an epoch, and between evaluations and checkpoints."""

    total: int
    epoch: int
    evaluate: int
    checkpoint: int


def plan_steps(settings: TrainingSettings, labelled_rows: int) -> Plan:
    """Counts steps from the settings and the number of labelled rows."""
    step_rows = settings.batch * settings.accumulate
    epoch = settings.steps_per_epoch or math.ceil(labelled_rows / step_rows)
    total = settings.steps or settings.epochs * epoch or usual_steps(labelled_rows, step_rows)
    evaluate = min(settings.evaluate_every or epoch, total)
    return Plan(total, epoch, evaluate, settings.checkpoint_every or evaluate)


def usual_steps(labelled_rows: int, step_rows: int) -> int:
    """Steps that no label chose: ten passes over the labelled rows, and at least `FEWEST_STEPS`.

    From 1,000 rows on the passes become fewer, down to three, so that 10,000 rows are seen.

    Args:
        labelled_rows: to learn from, ≥ 1.
        step_rows: of them in a step, ≥ 1.
    """
    seen = min(10 * labelled_rows, max(3 * labelled_rows, 10_000))
    return max(FEWEST_STEPS, math.ceil(seen / step_rows))


def rate(settings: TrainingSettings, step: int, total: int) -> float:
    """Factor on the learning rates at 0-based `step` of `total`: warm-up, then the schedule."""
    rising = settings.warmup * total
    if step < rising:
        return (step + 1) / (math.floor(rising) + 1)
    done = (step - rising) / max(1.0, total - rising)
    if settings.schedule == "linear":
        return 1 - done
    if settings.schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * done))
    return 1.0
