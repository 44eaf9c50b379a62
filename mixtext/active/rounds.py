"""Active learning: the seed set, then rounds of asking for labels, adding to them and training.

RUN/
  active.json        where the run stands: round, pool, queries, generator, curve
  labels/            what a person has labelled, one file a round
  generated/         of taggers: what SeqMix made of each round's sentences, JSON lines
  points/round-00/   the training of each round: metrics and, until it is done, checkpoints
  events.out.*       for TensorBoard: the learning curve
  curve.json         the same for tables and plots, when the last round is trained
  model/             the last model

A round trains a new model on all that is labelled, scores it and, unless it is the last, asks for
the rows that the policy picks. Where nothing is labelled at the start, the first rows are asked for
without a model, and round 0 trains none. active.json is replaced in one operation, and what happens
between two of its versions follows from the first: so a run that was killed goes on to the same
curve.

What rows are, how a model is trained on them and what a person's file looks like, a kind of rounds
says: `texts.py` and `sentences.py`.
"""

import shutil
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, TypeVar

import numpy as np
from torch.utils.tensorboard import SummaryWriter

from mixtext.data.read.options import UNSAID, ReadOptions
from mixtext.errors import InputError, reading
from mixtext.files import WAY_OUT, locked, read_json, write_json, write_text
from mixtext.models.folder import has_model
from mixtext.training.monitor import EVENTS
from mixtext.training.settings import RoundSettings

STATE = "active.json"
F = TypeVar("F")  # what a training leaves: a model, and what it needs to ask and to be exported


@dataclass
class State:
    """Where a run stands; saved after every step.

    Attributes:
        round: how often labels have been added.
        phase: what comes next: `train`, `label` the last query, or nothing (`done`).
        pool: ids of the rows that may still be asked for.
        queries: the ids asked for, a list for each round.
        curve: for each trained round the sizes and metrics.
        generator: state of the numpy generator.
    """

    round: int
    phase: Literal["train", "label", "done"]
    pool: list[str]
    queries: list[list[str]] = field(default_factory=list)
    curve: list[dict[str, Any]] = field(default_factory=list)
    generator: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Rounds(ABC, Generic[F]):
    """A run of active learning in its folder.

    Attributes:
        rows: what the rows are called.
        metric: what curves are drawn of.
        counts: what a point of the curve counts: labelled rows, and what is made of them.
        suffixes: of a person's file, the usual one first.
        folder: the run folder.
        settings: of the rounds.
        seed: of the first draw.
        about: what curve.json says of the run besides its learning curve.
        quiet: print nothing.
    """

    rows: ClassVar[str]
    metric: ClassVar[str]
    counts: ClassVar[tuple[str, ...]]
    suffixes: ClassVar[tuple[str, ...]]

    folder: Path
    settings: RoundSettings
    seed: int
    about: dict[str, Any]
    quiet: bool = False

    # ---- what a kind of rounds says

    @property
    def is_cold(self) -> bool:
        """Whether nothing is labelled at the start."""
        return False

    @property
    @abstractmethod
    def notes(self) -> Sequence[str]:
        """Sentences about what was found in the data."""

    @property
    @abstractmethod
    def label_names(self) -> list[str]:
        """What a person may answer."""

    @abstractmethod
    def environment(self) -> dict[str, Any]:
        """See `run_folder.environment`."""

    @abstractmethod
    def askable(self) -> list[str]:
        """Ids of the rows of the pool that may be asked for."""

    @abstractmethod
    def unknown(self) -> list[str]:
        """Ids of those of them whose label the corpus does not have."""

    @abstractmethod
    def check_kind(self) -> None:
        """Refuses what this kind cannot run, as `check` does for all."""

    @abstractmethod
    def fit(self, state: State, folder: Path, member: int = 0) -> tuple[F, dict[str, Any]]:
        """Trains a new model on all that is labelled; gives it, and what `Trainer.fit` says.

        Members of a committee differ in their seed. The first has the run's, and is the one that
        is scored.
        """

    @abstractmethod
    def query(
        self, state: State, committee: Sequence[F], generator: np.random.Generator
    ) -> list[str]:
        """The ids of the pool that the policy asks for."""

    @abstractmethod
    def sizes(self, state: State) -> dict[str, int]:
        """How many rows are learned from, by `counts`."""

    @abstractmethod
    def export(self, fitted: F) -> None:
        """Writes the model folder."""

    @abstractmethod
    def form(self, ids: Sequence[str], file: Path) -> str:
        """What a file in which a person is to fill in labels holds, by its suffix."""

    @abstractmethod
    def filled(self, ids: Sequence[str], file: Path, options: ReadOptions) -> str:
        """Checks a form that a person has filled in, and gives it as it is to be kept."""

    def first(self, generator: np.random.Generator) -> list[str]:
        """What is asked for before anything is trained; nothing where something is labelled."""
        return []

    def prepare(self, state: State, generator: np.random.Generator) -> None:
        """Makes what the next training needs besides labels."""

    def look_over(self, state: State) -> None:
        """Refuses a folder that lacks what was prepared for the trainings so far."""

    def draw_more(self, writer: SummaryWriter, point: dict[str, Any]) -> None:
        """Writes what TensorBoard shows of a round besides metrics."""

    # ---- the run

    def go_on(self, need_model: bool = True) -> State:
        """Goes on until the last round is trained, or until a person is to label.

        Args:
            need_model: if the model is gone, make it again.

        Raises:
            InputError: another process is at work in the folder, or one of its files is damaged.
            Diverged: a training is lost; the rounds before it are kept.
        """
        with locked(self.folder):
            state = self.load() or self.begin()
            self.look_over(state)  # needed only by the next training, but a fault comes first
            while state.phase != "done":
                if state.phase == "train":
                    self.train(state)
                elif (
                    self.settings.annotator == "gold" or self.labels_file(state.round + 1).is_file()
                ):
                    self.reveal(state)
                else:
                    break
            if need_model and state.curve and not has_model(self.folder):
                self.restore(state)
            if state.phase == "label":
                return state
            write_json(self.folder / "curve.json", {**self.about, "curve": state.curve})
            return state

    def load(self) -> State | None:
        """The saved state, or None where there is none yet.

        Raises:
            InputError: it is damaged, or missing beside what a run has left.
        """
        path = self.folder / STATE
        if not path.is_file() and not (self.folder / "points").exists():
            return None
        with reading(path, WAY_OUT):
            state = State(**read_json(path))
            if not self.fits(state):
                raise InputError(f"{path} is damaged: {WAY_OUT}.")
            return state

    def fits(self, state: State) -> bool:
        """Whether a saved state can be one of this run."""
        ids, asked = {*self.askable()}, [one for ids in state.queries for one in ids]
        np.random.default_rng().bit_generator.state = state.generator
        counts = ("round", "updates", *self.counts)
        sizes = [point[key] for point in state.curve for key in counts]
        metrics = [point[part] for point in state.curve for part in ("dev", "test")]
        numbers = [*sizes, *(x for one in metrics for x in one.values())]
        trained = state.round + (state.phase != "train") - self.is_cold
        return (
            type(state.round) is int
            and state.phase in ("train", "label", "done")
            and len(state.queries) == state.round + (state.phase == "label")
            and len(state.curve) == trained
            and {*state.pool, *asked} <= ids
            and all(isinstance(x, int | float) for x in numbers)
            and all(self.metric in one for one in metrics if one)
        )

    def saved(self) -> State:
        """The saved state.

        Raises:
            InputError: there is none yet.
        """
        state = self.load()
        if state is None:
            raise InputError(
                f"{self.folder} has not begun yet: go on with `mixtext active run … --resume`."
            )
        return state

    def check(self) -> None:
        """Refuses what could not be run, before anything is written.

        Raises:
            InputError: the pool is too small or lacks labels; or as `check_kind`.
        """
        settings, pool = self.settings, self.askable()
        needed = settings.rounds * settings.per_round
        if len(pool) < needed:
            raise InputError(
                f"active.rounds × active.per_round is {needed}, but the pool has {len(pool)} "
                f"{self.rows}: lower them, or give more {self.rows}."
            )
        unknown = self.unknown() if settings.annotator == "gold" and settings.rounds else []
        if unknown:
            raise InputError(
                f"active.annotator is 'gold', but {self.rows[:-1]} '{unknown[0]}' of the pool has "
                f"no labels: set it to 'person', or leave such {self.rows} out."
            )
        self.check_kind()

    def begin(self) -> State:
        """The first state: the seed set is labelled and prepared, everything else in the pool."""
        state = State(0, "train", self.askable())
        generator = np.random.default_rng(self.seed)
        asked = self.first(generator)
        if asked:
            state.queries, state.phase = [asked], "label"
        else:
            self.prepare(state, generator)
        state.generator = dict(generator.bit_generator.state)
        self.save(state)
        return state

    def save(self, state: State) -> None:
        """Saves the state, whole or not at all."""
        write_json(self.folder / STATE, asdict(state))

    def train(self, state: State) -> None:
        """Trains and scores the model of this round and, unless it is the last, picks a query."""
        started = time.monotonic()
        last = state.round == self.settings.rounds
        point = self.folder / "points" / f"round-{state.round:02d}"
        fitted, outcome = self.fit(state, point)
        committee = [fitted]
        if self.settings.policy == "committee" and not last:
            for member in range(1, self.settings.committee):
                committee.append(self.fit(state, point / f"member-{member}", member)[0])
        generator = _generator(state)
        if not last:
            state.queries.append(self.query(state, committee, generator))
        state.curve.append(
            {
                "round": state.round,
                **self.sizes(state),
                "updates": outcome["steps"],
                "dev": outcome["dev"],
                "test": outcome["test"],
                "clock": {"seconds": round(time.monotonic() - started, 1)},
            }
        )
        state.generator = dict(generator.bit_generator.state)
        state.phase = "done" if last else "label"
        if last or self.settings.annotator == "person":
            self.export(fitted)
        self.draw(state)
        self.save(state)
        for checkpoints in point.rglob("checkpoints"):  # the state is safe: they have served
            shutil.rmtree(checkpoints, ignore_errors=True)
        self.say(f"round {state.round}: {self.told(state.curve[-1])}")

    def told(self, point: dict[str, Any]) -> str:
        """Sizes and score of a point of the curve, in words."""
        sizes = " and ".join(f"{point[x]} {x}" for x in self.counts)
        found = point["test"] or point["dev"]
        score = f", {shown(self.metric)} {found[self.metric]:.4f}" if found else ""
        return f"{sizes} {self.rows}{score}"

    def restore(self, state: State) -> None:
        """Makes the model of the last round again, by the same training."""
        self.say(f"the model of {self.folder} is gone: it is made again")
        again = self.folder / "points" / "again"
        self.export(self.fit(state, again)[0])
        shutil.rmtree(again, ignore_errors=True)

    def reveal(self, state: State) -> None:
        """Takes the labels of the last query in, and prepares the next training."""
        asked = {*state.queries[-1]}
        state.pool = [one for one in state.pool if one not in asked]
        state.round += 1
        state.phase = "train"
        generator = _generator(state)
        self.prepare(state, generator)
        state.generator = dict(generator.bit_generator.state)
        self.save(state)

    # ---- a person

    def waiting(self, state: State) -> list[str]:
        """The ids of the rows that wait for a person.

        Raises:
            InputError: none do.
        """
        if state.phase != "label":
            raise InputError(
                f"{self.folder} waits for no labels: "
                + ("it is done." if state.phase == "done" else "go on with `mixtext active run`.")
            )
        return state.queries[-1]

    def query_file(self, state: State) -> Path:
        """Where the form of the last query is written, unless another file is named."""
        return self.folder / f"query-{state.round + 1:02d}{self.suffixes[0]}"

    def labels_file(self, round_: int) -> Path:
        """Where a person's labels of a round are kept."""
        return self.folder / "labels" / f"round-{round_:02d}{self.suffixes[0]}"

    def ask(self, state: State, out: Path) -> None:
        """Writes the rows that wait for a person to a form to fill in.

        A file that is there is never written over.

        Raises:
            InputError: as `waiting`; another suffix; or there is a file that is not this very form.
        """
        ids = self.waiting(state)
        if out.suffix.lower() not in self.suffixes:
            raise InputError(
                f"{out} is to hold {self.rows} to label, which are written as "
                f"{' or '.join(self.suffixes)}: name such a file with --out."
            )
        form = self.form(ids, out)
        if not out.exists():
            write_text(out, form)
        elif not out.is_file() or out.read_bytes() != form.encode("utf-8", "surrogatepass"):
            raise InputError(
                f"{out} is there and may hold labels: give it to `mixtext active label`, or name "
                "another file with --out."
            )

    def take(self, file: Path, options: ReadOptions = UNSAID) -> None:
        """Checks a person's labels of the last query and keeps them.

        Args:
            file: the form, filled in.
            options: where it is written otherwise than a form: its columns, its encoding.

        Raises:
            InputError: rows are missing, changed, or not labelled; a label is unknown; another
                process is at work in the folder.
        """
        with locked(self.folder):
            state = self.saved()
            kept = self.filled(self.waiting(state), file, options)
            write_text(self.labels_file(state.round + 1), kept)

    # ---- what is seen

    def draw(self, state: State) -> None:
        """Writes the learning curve for TensorBoard, all anew."""
        for old in self.folder.glob(EVENTS):
            old.unlink()
        shutil.rmtree(self.folder / "tensorboard", ignore_errors=True)  # of earlier versions
        with SummaryWriter(str(self.folder)) as writer:
            for point in state.curve:
                for part in ("dev", "test"):
                    for name, value in point[part].items():
                        writer.add_scalar(f"curve_{part}/{name}", value, point["labelled"])
                self.draw_more(writer, point)

    def say(self, text: str) -> None:
        """Prints a line, unless quiet."""
        if not self.quiet:
            print(text, file=sys.stderr)


def shown(metric: str) -> str:
    """A metric as people read it."""
    return metric.replace("f1", "F1")


def _generator(state: State) -> np.random.Generator:
    generator = np.random.default_rng()
    generator.bit_generator.state = state.generator
    return generator
