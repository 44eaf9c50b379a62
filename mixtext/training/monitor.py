"""The monitor: metrics.jsonl is the truth, TensorBoard the view, a bar or plain lines the voice."""

import json
import math
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams as hparams_summaries
from tqdm import tqdm

from mixtext.files import sync_entry
from mixtext.methods.base import AnyBatch, Outcome
from mixtext.metrics import guess_metrics


class Monitor:
    """Collects outcomes and writes one line an interval.

    Every line has `step` and `kind` (`train`, `dev` or `test`); what depends on the clock is kept
    apart in `clock`, so that two runs of the same seed have the same lines but for that field.
    """

    def __init__(
        self,
        folder: Path,
        class_names: list[str],
        total_steps: int,
        resumed: dict[str, Any] | None = None,
        quiet: bool = False,
    ):
        """Opens the run folder's files.

        Args:
            folder: the run folder.
            class_names: C names, for pseudo-label accuracy by class.
            total_steps: for the bar.
            resumed: state of the checkpoint that the run goes on from: lines written after it are
                cut off, and TensorBoard hides what it had drawn after it.
            quiet: no bar and no lines.
        """
        self.class_names, self.quiet = class_names, quiet
        step = resumed["step"] if resumed else 0
        self.folder = folder / "tensorboard"
        self.path = folder / "metrics.jsonl"
        self.path.touch()
        sync_entry(folder)
        os.truncate(self.path, resumed["metrics_bytes"] if resumed else 0)
        self.file = self.path.open("a", encoding="utf-8")
        self.writer = self._open(purge_step=step + 1)
        self.bar = None
        if not quiet and sys.stderr.isatty():
            self.bar = tqdm(total=total_steps, initial=step, unit="step", dynamic_ncols=True)
        self.total_steps = total_steps
        self.started = time.monotonic()
        self._reset()

    def _reset(self) -> None:
        self.sums: dict[str, float] = {}
        self.counts: dict[str, int] = {}
        self.draws: dict[str, list[float]] = {}
        self.guesses: list[np.ndarray] = []
        self.hidden: list[np.ndarray] = []
        self.rows = 0
        self.since = time.monotonic()

    def collect(self, outcome: Outcome, batch: AnyBatch) -> None:
        """Takes in the outcome of one batch."""
        for name, value in {"loss/total": outcome.loss.detach(), **outcome.metrics}.items():
            self.sums[name] = self.sums.get(name, 0.0) + float(value)
            self.counts[name] = self.counts.get(name, 0) + 1
        for name, values in outcome.draws.items():
            self.draws.setdefault(name, []).extend(values)
        if outcome.guesses is not None:
            self.guesses.append(outcome.guesses.float().cpu().numpy())
            self.hidden.append(batch.hidden)
        self.rows += len(batch.rows)

    def flush(self, step: int, epoch: float, rates: dict[str, float]) -> None:
        """Writes the mean of what was collected since the last flush, as of `step` steps done."""
        if not self.rows:
            return
        values = {name: total / self.counts[name] for name, total in self.sums.items()}
        if self.guesses:
            metrics = guess_metrics(
                np.concatenate(self.guesses), np.concatenate(self.hidden), self.class_names
            )
            values |= {f"guess/{name}": value for name, value in metrics.items()}
        values |= {f"rate/{name}": value for name, value in rates.items()}
        speed = self.rows / max(1e-9, time.monotonic() - self.since)
        self._write(step, "train", {"epoch": epoch, **values, "draws": self.draws}, speed)
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)
        for name, drawn in self.draws.items():
            self.writer.add_histogram(f"draw/{name}", np.asarray(drawn), step)
        self.writer.add_scalar("speed/rows_per_second", speed, step)
        if not self.quiet and self.bar is None:
            shown = "  ".join(
                f"{name} {values[name]:.3f}"
                for name in ("loss/total", "guess/accuracy", "guess/confidence")
                if name in values
            )
            self._say(f"step {step}/{self.total_steps}  {shown}  {speed:.0f} rows/s")
        self._reset()

    def measured(self, step: int, part: str, metrics: dict[str, float]) -> None:
        """Writes the metrics of `part` (`dev`, `test` or `labelled`)."""
        self._write(step, part, metrics)
        for name, value in metrics.items():
            self.writer.add_scalar(f"{part}/{name}", value, step)
        text = f"{part} " + "  ".join(f"{name} {value:.4f}" for name, value in metrics.items())
        if self.bar is not None:
            self.bar.set_postfix_str(text)
        elif not self.quiet:
            self._say(f"step {step}/{self.total_steps}  {text}")
        self.since = time.monotonic()  # scoring is not training speed

    def advance(self, loss: float) -> None:
        """One step done."""
        if self.bar is not None:
            self.bar.update()
            self.bar.set_description_str(f"loss {loss:.3f}")

    def say(self, text: str) -> None:
        """Prints a line without breaking the bar."""
        if not self.quiet:
            self._say(text)

    def open_final(self) -> None:
        """Begins TensorBoard's file of what comes after the last step.

        A run that was killed at its end goes on from its last checkpoint, which is older than
        these events but of the same step, so that `purge_step` cannot hide them: their file goes.
        """
        self.writer.close()
        for old in self.folder.glob("*.final"):
            old.unlink()
        self.writer = self._open(filename_suffix=".final")

    def _open(self, **settings: Any) -> SummaryWriter:
        """Opens a file of events that TensorBoard reads after those that are there.

        It reads them in the order of their names: the second and a count, which is not padded, so
        that of two in one second the later one may come first.
        """
        while True:
            before = {*self.folder.glob("*")}
            writer = SummaryWriter(str(self.folder), **settings)
            after = {*self.folder.glob("*")}
            if max(after) not in before:
                return writer
            writer.close()
            for path in after - before:
                path.unlink()
            time.sleep(1 - time.time() % 1)

    def hparams(self, settings: dict[str, Any], metrics: dict[str, float]) -> None:
        """Settings and final metrics for TensorBoard's HPARAMS page."""
        plain = {
            k: v if isinstance(v, bool | int | float | str) else str(v) for k, v in settings.items()
        }
        final = {f"final/{k}": v for k, v in metrics.items()}
        # `SummaryWriter.add_hparams` would write them to a file of its own.
        events: Any = self.writer.file_writer
        for summary in hparams_summaries(plain, final):
            events.add_summary(summary)
        for name, value in final.items():
            self.writer.add_scalar(name, value)

    def bytes_written(self) -> int:
        """Length of metrics.jsonl, all of it on the disk."""
        self.file.flush()
        os.fsync(self.file.fileno())
        self.writer.flush()
        return self.path.stat().st_size

    def close(self) -> None:
        """Closes the files and the bar."""
        self.file.close()
        self.writer.close()
        if self.bar is not None:
            self.bar.close()

    def _write(
        self, step: int, kind: str, values: dict[str, Any], speed: float | None = None
    ) -> None:
        clock = {"seconds": round(time.monotonic() - self.started, 3)}
        if speed is not None:
            clock["rows_per_second"] = round(speed, 2)
        values = {  # JSON has no NaN
            k: None if isinstance(v, float) and not math.isfinite(v) else v
            for k, v in values.items()
        }
        line = {"step": step, "kind": kind, **values, "clock": clock}
        self.file.write(json.dumps(line, allow_nan=False) + "\n")
        self.file.flush()

    def _say(self, text: str) -> None:
        tqdm.write(text, file=sys.stderr)
