"""The one loop: every method trains here."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Generic

import numpy as np
import torch

from mixtext.assessment import Assessment
from mixtext.errors import InputError
from mixtext.methods.base import B, FeedOf, M, MethodOf, Outcome, Progress
from mixtext.training.checkpoints import Checkpoints, ReadCheckpoints
from mixtext.training.device import autocast
from mixtext.training.distributed import (
    alike,
    is_joined,
    number,
    own_dropout,
    processes,
    shared_loss,
)
from mixtext.training.monitor import Deaf, Monitor
from mixtext.training.optimiser import make_optimiser, set_rates
from mixtext.training.settings import Plan, TrainingSettings, plan_steps


class Diverged(Exception):
    """The loss is no number any more. The message names the step and the rows."""


@dataclass
class TrainingState:
    """What the loop remembers besides weights and generators; saved in every checkpoint.

    Attributes:
        step: steps done.
        best_step: step of the best dev metric, −1 before the first.
        best: dev metrics of that step.
        best_file: file of its weights.
        waited: evaluations since then.
        test: test metrics taken during training (`test_at_every_tie`).
    """

    step: int = 0
    best_step: int = -1
    best: dict[str, float] = field(default_factory=dict)
    best_file: str | None = None
    waited: int = 0
    test: dict[str, float] = field(default_factory=dict)


@dataclass
class Trainer(Generic[M, B]):
    """One training run of a model M over a feed of batches B.

    Attributes:
        model: what is trained, on its device.
        method: its loss.
        feed: gives batch k.
        settings: how to train.
        measure: metrics of a model on `dev`, `test` or `labelled`.
        has_dev: there is a dev set to select weights on.
        generator: the run's one source of our own draws.
        examine: how the answers of a model on `dev` or `test` are; None without such a part.
        text_of: the text of a row, by its id.
    """

    model: M
    method: MethodOf[M, B]
    feed: FeedOf[B]
    settings: TrainingSettings
    measure: Callable[[M, str], dict[str, float]]
    has_dev: bool
    generator: np.random.Generator
    examine: Callable[[M, str], Assessment | None]
    text_of: Callable[[str], str] = str

    def __post_init__(self) -> None:
        """Attaches the method's memory, plans the steps, makes the optimiser."""
        if is_joined() and not self.method.divides:
            raise InputError(
                f"method {self.method.name} looks into the encoder at all rows of a batch, which "
                "several processes cannot share: train it without torchrun."
            )
        steps = self.method.steps
        self.plan = (
            plan_steps(self.settings, len(self.feed.labelled.rows)) if steps else Plan(0, 1, 1, 1)
        )
        self.device = next(self.model.parameters()).device
        self.method.start(self.model)
        self.optimiser = make_optimiser(self.model, self.settings)
        self.model.train()

    @cached_property
    def loss(self) -> Callable[[B, Progress, np.random.Generator], Outcome]:
        """The method's loss of the model; made when the weights are those of the first step."""
        return shared_loss(self.method, self.model)

    def step(self, step: int, collect: Callable[[Outcome, B], None]) -> float:
        """Training step number `step` (from 0): batches, gradients, update. Returns the loss.

        Raises:
            Diverged: loss or gradient is not finite; weights are as they were before the step.
        """
        settings = self.settings
        set_rates(self.optimiser, settings, step, self.plan.total)
        own_dropout(settings.seed, step)
        plan = self.plan
        progress = Progress(step, plan.total, step / plan.epoch, plan.total / plan.epoch)
        total = 0.0
        row_ids: list[str] = []
        for part in range(settings.accumulate):
            batch = self.feed.batch(step * settings.accumulate + part, self.generator)
            batch = batch.to(self.device)
            with autocast(settings.precision, self.device):
                outcome = self.loss(batch, progress, self.generator)
            loss = outcome.loss.item()
            self._check_finite("loss", loss, step, batch.row_ids)
            row_ids += batch.row_ids
            (outcome.loss * (processes() / settings.accumulate)).backward()  # see `shared_loss`
            collect(outcome, batch)
            total += loss / settings.accumulate
        weights = [p for group in self.optimiser.param_groups for p in group["params"]]
        norm = torch.nn.utils.get_total_norm([p.grad for p in weights if p.grad is not None])
        # A finite loss can have a gradient that is not; one such step would spoil the weights.
        self._check_finite("gradient's norm", norm.item(), step, row_ids)
        if settings.clip:
            torch.nn.utils.clip_grads_with_norm_(weights, settings.clip, norm)
        self.optimiser.step()
        self.optimiser.zero_grad()
        self.method.after_step(self.model, progress)
        return total

    def _check_finite(self, what: str, value: float, step: int, row_ids: list[str]) -> None:
        if not math.isfinite(value):
            self.optimiser.zero_grad()
            raise Diverged(
                f"the {what} is {value} at step {step + 1}, on the rows {', '.join(row_ids)}: "
                "lower the learning rates or look at these texts."
            )

    def fit(
        self,
        folder: Path,
        class_names: list[str],
        hparams: dict[str, Any],
        quiet: bool = False,
    ) -> dict[str, Any]:
        """Trains to the end, from the folder's last checkpoint if it has one.

        Args:
            folder: the run folder; takes metrics.jsonl, answers.json, TensorBoard's events,
                checkpoints/ and, up to the end, `states`.
            class_names: C names.
            hparams: settings to show beside the final metrics in TensorBoard.
            quiet: print nothing.

        Returns:
            `steps`, `planned_steps`, `best_step`, and the metrics `dev` and `test`. Afterwards
            `self.model` (what `method.evaluated` names) holds the selected weights.

        Raises:
            Diverged: a loss or gradient is not finite; the last checkpoint is kept.
            InputError: what the folder holds is damaged; it is left as it is.
        """
        plan = self.plan
        kind = ReadCheckpoints if number() else Checkpoints
        checkpoints = kind(folder / "checkpoints")
        saved = checkpoints.load(self.model, self.optimiser, self.generator)
        if not alike(saved):
            raise InputError(
                f"{folder} is not the same for all processes: name a folder that all machines "
                "share with --run."
            )
        checkpoints.tidy()
        monitor: Any = Deaf()
        if not number():
            monitor = Monitor(folder, class_names, plan.total, saved, quiet, self.text_of)
        state, states_bytes = TrainingState(), 0
        if saved is not None:
            monitor.say(f"going on from the checkpoint at step {saved['step']}")
            saved.pop("metrics_bytes")
            states_bytes = saved.pop("states_bytes", 0)
            state = TrainingState(**saved)
        if (kept := self.model.kept) is not None:
            kept.go_on(folder / "states", states_bytes)
        if saved is None:
            with autocast(self.settings.precision, self.device):
                self.method.warm_up(self.model, self.feed, self.generator)
        try:
            while state.step < plan.total and not self._waited_enough(state):
                loss = self.step(state.step, monitor.collect)
                state.step += 1
                monitor.advance(loss)
                evaluates = state.step % plan.evaluate == 0 or state.step == plan.total
                checkpoints_now = evaluates or state.step % plan.checkpoint == 0
                if state.step % self.settings.log_every == 0 or checkpoints_now:
                    self._flush(monitor, state)
                if evaluates:
                    self._evaluate(state, monitor, checkpoints)
                if state.step % plan.checkpoint == 0 or state.step == plan.total:
                    self._checkpoint(state, monitor, checkpoints)
            if not plan.total:  # the warm-up was all
                self._evaluate(state, monitor, checkpoints)
            elif self._waited_enough(state):
                monitor.say(f"stopped early: no better dev metric since step {state.best_step}")
                self._checkpoint(state, monitor, checkpoints)
            result = self._finish(state, monitor, checkpoints, hparams)
            if kept is not None:
                kept.delete()
            return result
        finally:
            monitor.close()

    def _waited_enough(self, state: TrainingState) -> bool:
        return 0 < self.settings.patience <= state.waited

    def _flush(self, monitor: Monitor, state: TrainingState) -> None:
        rates = {"encoder": 0.0, "head": 0.0}
        for group in self.optimiser.param_groups:
            rates[group["part"]] = group["lr"]
        monitor.flush(state.step, state.step / self.plan.epoch, rates)

    def _evaluate(self, state: TrainingState, monitor: Monitor, checkpoints: Checkpoints) -> None:
        model = self.method.evaluated(self.model)
        if self.settings.score_labelled:
            monitor.measured(state.step, "labelled", self._score(model, "labelled", state))
        if not self.has_dev:
            monitor.draw(state.step)
            return
        metrics = self._score(model, "dev", state)  # before these weights replace good ones
        monitor.measured(state.step, "dev", metrics)
        monitor.draw(state.step)
        select = self.settings.select
        key = next(iter(metrics)) if select == "auto" else select
        ties = state.best_step < 0 or metrics[key] >= state.best[key]
        better = state.best_step < 0 or (
            (metrics[key], -metrics["loss"]) > (state.best[key], -state.best["loss"])
        )
        if ties and self.settings.test_at_every_tie:
            state.test = self._score(model, "test", state)
            monitor.measured(state.step, "test", state.test)
        state.waited = 0 if better else state.waited + 1
        if better:
            state.best_step, state.best = state.step, metrics
            state.best_file = checkpoints.save_best(state.step, model)

    def _score(self, model: M, part: str, state: TrainingState) -> dict[str, float]:
        return self._finite(self.measure(model, part), part, state)

    def _finite(
        self, metrics: dict[str, float], part: str, state: TrainingState
    ) -> dict[str, float]:
        if not all(map(math.isfinite, metrics.values())):
            raise Diverged(
                f"the loss on {part} is {metrics['loss']} after step {state.step}: lower the "
                "learning rates."
            )
        return metrics

    def _checkpoint(self, state: TrainingState, monitor: Monitor, checkpoints: Checkpoints) -> None:
        kept = self.model.kept
        values = {**asdict(state), "metrics_bytes": monitor.bytes_written()}
        values["states_bytes"] = 0 if kept is None else kept.length
        values.pop("step")
        checkpoints.save(
            state.step, self.model, self.optimiser, self.generator, values, state.best_file
        )

    def _finish(
        self,
        state: TrainingState,
        monitor: Monitor,
        checkpoints: Checkpoints,
        hparams: dict[str, Any],
    ) -> dict[str, Any]:
        model = self.method.evaluated(self.model)
        alike(state.step)  # waits until the first process has written them
        best = checkpoints.best_weights()
        if best is not None:
            model.load_state_dict(best, strict=False)  # the memory is not among them
        # A run that was killed here does this once more and writes the same line.
        monitor.open_final()
        found = self.examine(model, "test")
        test = state.test or (self._finite(found.metrics, "test", state) if found else {})
        if test and not state.test:
            monitor.measured(state.step, "test", test)
        part = "test" if test else "dev"
        if found := found or self.examine(model, "dev"):
            monitor.assessed(state.step, part, found)
        monitor.hparams(hparams, part, test or state.best)
        return {
            "steps": state.step,
            "planned_steps": self.plan.total,
            "best_step": state.best_step,
            "dev": state.best,
            "test": test,
        }
