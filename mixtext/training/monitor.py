"""The monitor: metrics.jsonl is the truth, TensorBoard the view, a bar or plain lines the voice."""

import json
import math
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from tensorboard.compat.proto.summary_pb2 import Summary
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams as hparams_summaries
from tqdm import tqdm

from mixtext import pictures
from mixtext.assessment import Assessment, cut
from mixtext.files import sync_entry, write_json
from mixtext.markdown import literal, markdown_table
from mixtext.methods.base import AnyBatch, Outcome
from mixtext.metrics import class_of, guess_metrics, numbers_by_class

EVENTS = (
    "events.out.tfevents.*"  # TensorBoard's files; right in the folder, so that a run has its name
)
SPELT = {"method": "Method"}  # to be first
SHOWN = 10  # guesses, of each kind, and answers
# These say nothing about the scores, or are told elsewhere.
NO_HPARAMS = {"name", "data.root", "training.device", "training.log_every"}

_say_it = threading.excepthook


def _in_thread(told: threading.ExceptHookArgs) -> None:
    """Of a full disk TensorBoard tells twice: its thread by a traceback, its caller by an error."""
    if type(told.thread).__module__ != "tensorboard.summary.writer.event_file_writer":
        _say_it(told)


threading.excepthook = _in_thread


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
        text_of: Callable[[str], str] = str,
    ):
        """Opens the run folder's files.

        Args:
            folder: the run folder.
            class_names: C names, for pseudo-label accuracy by class.
            total_steps: for the bar.
            resumed: state of the checkpoint that the run goes on from: lines written after it are
                cut off, and TensorBoard hides what it had drawn after it.
            quiet: no bar and no lines.
            text_of: the text of a row, by its id.
        """
        self.class_names, self.quiet, self.text_of = class_names, quiet, text_of
        step = resumed["step"] if resumed else 0
        self.run = folder
        # Runs of earlier versions go on where they began.
        before = folder / "tensorboard"
        self.folder = before if before.is_dir() else folder
        self.path = folder / "metrics.jsonl"
        self.path.touch()
        sync_entry(folder)
        os.truncate(self.path, resumed["metrics_bytes"] if resumed else 0)
        self.by_class: dict[str, dict[str, list[tuple[float, float]]]] = {}
        self.layers: Counter[int] = Counter()
        for line in self.path.read_text(encoding="utf-8").splitlines():
            self._remember(json.loads(line))
        self.examples: list[str] = []
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
        self.guessed: list[str] = []
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
            self.guessed += batch.row_ids[-len(batch.hidden) :]
        self.rows += len(batch.rows)

    def flush(self, step: int, epoch: float, rates: dict[str, float]) -> None:
        """Writes the mean of what was collected since the last flush, as of `step` steps done."""
        if not self.rows:
            return
        values = {name: total / self.counts[name] for name, total in self.sums.items()}
        if self.guesses:
            guesses, gold = np.concatenate(self.guesses), np.concatenate(self.hidden)
            metrics = guess_metrics(guesses, gold, self.class_names)
            values |= {f"guess/{name}": value for name, value in metrics.items()}
            self.examples = self._shown_guesses(guesses, gold)
        values |= {f"rate/{name}": value for name, value in rates.items()}
        speed = self.rows / max(1e-9, time.monotonic() - self.since)
        self._write(step, "train", {"epoch": epoch, **values, "draws": self.draws}, speed)
        for name, value in values.items():
            if class_of(name) is None:
                self.writer.add_scalar(name, value, step)
        for name, drawn in self.draws.items():
            if name != "layer":  # counted, see `draw`
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
            if class_of(f"{part}/{name}") is None:
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
        for old in self.folder.glob(f"{EVENTS}.final"):
            old.unlink()
        self.writer = self._open(filename_suffix=".final")

    def _open(self, **settings: Any) -> SummaryWriter:
        """Opens a file of events that TensorBoard reads after those that are there.

        It reads them in the order of their names: the second and a count, which is not padded, so
        that of two in one second the later one may come first.
        """
        while True:
            before = {*self.folder.glob(EVENTS)}
            writer = SummaryWriter(str(self.folder), **settings)
            after = {*self.folder.glob(EVENTS)}
            if max(after) not in before:
                return writer
            writer.close()
            for path in after - before:
                path.unlink()
            time.sleep(1 - time.time() % 1)

    def draw(self, step: int) -> None:
        """Shows in TensorBoard what is no single number, as of `step` steps done.

        That is numbers by class, how often each layer was mixed, and guesses right and wrong.
        """
        for name, points in self.by_class.items():
            named = {pictures.drawable(k): x for k, x in sorted(points.items())}
            self._add_picture(f"{name}_by_class", pictures.by_class(named, name), step)
        if self.layers:
            counts = {str(layer): count for layer, count in sorted(self.layers.items())}
            figure = pictures.bars(counts, f"layers mixed in {step} steps", "layer")
            self._add_picture("draw/layers", figure, step)
        if self.examples:
            self.writer.add_text("examples/guesses", "\n\n".join(self.examples), step)
        self.since = time.monotonic()

    def assessed(self, step: int, part: str, found: Assessment) -> None:
        """Keeps how the answers were, in answers.json and for TensorBoard."""
        write_json(self.run / "answers.json", {"part": part, **found.saved()})
        if found.label_names:
            names = [pictures.drawable(name) for name in found.label_names]
            figure = pictures.confusion(found.confusion, names, f"{part}, {found.unit}")
            self._add_picture(f"confusion/{part}", figure, step)
        third = "confidence" if found.label_names else "error"
        good, bad = ("right", "wrong") if found.label_names else ("closest", "furthest")
        parts = []
        for what, some in ((bad, found.mistakes), (good, found.right)):
            rows = [(gold, told, f"{x:.3f}", text) for _, gold, told, x, text in some[:SHOWN]]
            parts += [f"**{what}**", _table(("gold", "answer", third, "text"), rows)]
        self.writer.add_text(f"examples/{part}", "\n\n".join(parts), step)

    def _shown_guesses(self, guesses: np.ndarray, gold: np.ndarray) -> list[str]:
        """The surest guesses that are wrong, right, and of rows whose label nobody knows."""
        order = np.argsort(-guesses.max(1), kind="stable")
        told, parts = guesses.argmax(1), []
        kinds = (
            ("wrong", (gold >= 0) & (told != gold)),
            ("right", told == gold),
            ("gold label unknown", gold < 0),
        )
        for what, chosen in kinds:
            rows: dict[str, tuple[str, ...]] = {}
            for i in order[chosen[order]]:
                if self.guessed[i] not in rows and len(rows) < SHOWN:
                    known = self.class_names[gold[i]] if gold[i] >= 0 else "?"
                    guess, text = self.class_names[told[i]], cut(self.text_of(self.guessed[i]))
                    rows[self.guessed[i]] = (known, guess, f"{guesses[i].max():.3f}", text)
            if rows:
                head = ("gold", "guess", "confidence", "text")
                parts += [f"**{what}**", _table(head, rows.values())]
        return parts

    def _add_picture(self, tag: str, figure: Any, step: int) -> None:
        width, height = (int(x * figure.dpi) for x in figure.get_size_inches())
        image = Summary.Image(
            encoded_image_string=pictures.to_png(figure), width=width, height=height, colorspace=4
        )
        events: Any = self.writer.file_writer
        events.add_summary(Summary(value=[Summary.Value(tag=tag, image=image)]), step)

    def hparams(self, settings: dict[str, Any], part: str, metrics: dict[str, float]) -> None:
        """Settings and final scores of `part` for TensorBoard's HPARAMS page.

        All settings are written and no list of them: without one, TensorBoard looks at all runs
        and puts first the settings that differ, then by name; a capital letter is before the
        others. The same holds for the scores.
        """
        plain = {
            SPELT.get(k, k): v if isinstance(v, bool | int | float | str) else str(v)
            for k, v in settings.items()
            if k not in NO_HPARAMS
        }
        final = {f"Score/{part}_{k}": v for k, v in metrics.items() if "/" not in k}
        # `SummaryWriter.add_hparams` would write them to a file of its own.
        events: Any = self.writer.file_writer
        _, *session = hparams_summaries(plain, final)
        for summary in session:
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
        self._remember(line)
        self.file.write(json.dumps(line, allow_nan=False) + "\n")
        self.file.flush()

    def _remember(self, line: dict[str, Any]) -> None:
        """Keeps of a line what is drawn as a whole."""
        self.layers.update(map(int, line.get("draws", {}).get("layer", ())))
        for name, chart, value in numbers_by_class(line):
            self.by_class.setdefault(chart, {}).setdefault(name, []).append((line["step"], value))

    def _say(self, text: str) -> None:
        tqdm.write(text, file=sys.stderr)


class Deaf:
    """What a process has for a monitor beside the one that writes: nothing is done by it."""

    def __getattr__(self, name: str) -> Callable[..., int]:
        """Any method of a monitor."""
        return lambda *values: 0


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    cells = [[literal(x) for x in row] for row in rows]
    return markdown_table([head, *cells]) if cells else "none"
