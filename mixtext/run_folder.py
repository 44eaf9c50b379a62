"""The folder of a run, whatever its kind: opened, refused, gone on with, filled.

RUN/
  recipe.toml        the recipe with every field written out
  environment.json   versions, and checksums of all that the run depends on
  lock               held by the process that is at work here
  metrics.jsonl      every number, one line an interval: the truth
  events.out.*       the same for the eye: TensorBoard's files
  answers.json       how the answers on test, else dev, were: by class, and examples
  checkpoints/       the last state and the best weights
  states             up to the end: states of frozen blocks, see `models/states.py`
  result.json        what came out
  model/             the model, a Hugging Face folder, see `models/folder.py`

Nothing in a folder is changed before all that can be refused has been looked at.
"""

import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Generic, TypeVar

from mixtext.environment import made_by, refuse_changes
from mixtext.errors import InputError
from mixtext.files import WAY_OUT, locked, make_folder, read_json, write_json, write_text
from mixtext.models.folder import has_model
from mixtext.recipe import AnyRecipe, build_recipe, dump_recipe, flat
from mixtext.settings import read_toml
from mixtext.training.distributed import alike, first_alone, number, of_first, processes
from mixtext.training.loop import Trainer

P = TypeVar("P")  # a predictor

SAMPLE = 128  # rows of dev that tell how long scoring takes
# What a run that was killed as it began leaves at most.
BEGUN = {"lock", "environment.json", ".environment.json.half", ".recipe.toml.half"}
BEGUN |= {"environment.json.tmp", "recipe.toml.tmp"}  # of earlier versions


def budget(labels: dict[str, int]) -> str:
    """What result.json says under `labels`, in words."""
    learned, chosen = labels["learned_from"], labels["chosen_by"]
    return f"{learned + chosen:,} labels: {learned:,} to learn from, {chosen:,} to choose by"


# ---- the folder


@dataclass
class RunFolder:
    """A run folder, opened by `open_folder`.

    Attributes:
        path: the folder.
        is_new: no run has begun in it.
        result: what result.json holds, None where the run is not finished.
    """

    path: Path
    is_new: bool
    result: dict[str, Any] | None
    lock: ExitStack

    def begin(self, recipe: AnyRecipe, environment: dict[str, Any]) -> list[str]:
        """Makes and locks a new folder; of an old one refuses what has changed.

        Args:
            recipe: the recipe.
            environment: see `environment`.

        Returns:
            Notes, see `refuse_changes`.
        """
        saved, about = self.path / "recipe.toml", self.path / "environment.json"
        if not self.is_new:
            alone = {x.name for x in self.path.iterdir()} <= BEGUN | {"recipe.toml"}
            if about.is_file() or not alone:  # an earlier version wrote the recipe first
                return refuse_changes(self.path, environment)
        else:
            make_folder(self.path)
            self.lock.enter_context(locked(self.path))
            if saved.is_file():
                raise InputError(
                    f"another process has begun a run in {self.path} meanwhile: add --resume to "
                    "go on with it, or name another folder with --run."
                )
        write_json(about, environment)
        if not saved.is_file():  # else it is the user's own
            write_text(saved, dump_recipe(recipe))
        return []


def _is_blank(path: Path) -> bool:
    """Whether a run can begin here: there is nothing but what one that was killed has left."""
    if not path.is_dir() or {x.name for x in path.iterdir()} - BEGUN:
        return False
    about = path / "environment.json"
    return not about.is_file() or "packages" in read_json(about)


@contextmanager
def open_folder(
    path: Path, recipe: AnyRecipe, resume: bool, need_model: bool = False
) -> Iterator[RunFolder]:
    """Opens a run folder and, where a run has begun in it that is not finished, locks it.

    Args:
        path: the folder; it need not exist, and is made by `RunFolder.begin`.
        recipe: what is to be run.
        resume: the folder may hold this very run.
        need_model: a run whose model is gone counts as not finished.

    Raises:
        InputError: the folder holds something else, or a run that may not be gone on with; another
            process is at work in it; one of its files is damaged.
    """
    saved, finished = path / "recipe.toml", path / "result.json"
    with ExitStack() as lock:
        if not saved.is_file():
            if path.exists() and not _is_blank(path):
                raise InputError(f"{path} exists and is not a run folder: name another with --run.")
            yield RunFolder(path, True, None, lock)
            return
        if not saved.read_bytes().strip():
            raise InputError(f"{saved} is empty: {WAY_OUT}.")
        # Loaded, not word for word: a run of an earlier version lacks fields that came since.
        if build_recipe(type(recipe), read_toml(saved), where=str(saved)) != recipe:
            raise InputError(
                f"run folder {path} already holds another recipe ({saved}): "
                "name another folder with --run."
            )
        whole = finished.is_file() and not (need_model and not has_model(path))
        if not (resume and whole):
            lock.enter_context(locked(path))
        if not resume:
            raise InputError(
                f"run folder {path} already holds this run: add --resume to go on with it, or name "
                "another folder with --run."
            )
        yield RunFolder(path, False, read_json(finished) if whole else None, lock)


# ---- a run in it


@dataclass(frozen=True)
class Result(Generic[P]):
    """What came out of a run.

    Attributes:
        folder: the run folder.
        values: what result.json holds: metrics, steps, sizes, seeds, settings.
    """

    folder: Path
    values: dict[str, Any]
    load: Callable[[], P] = field(repr=False, compare=False)

    def __getitem__(self, name: str) -> Any:
        """One of `values`."""
        return self.values[name]

    @property
    def dev(self) -> dict[str, float]:
        """Metrics on dev, by name; empty without such a part."""
        return dict(self.values["dev"])

    @property
    def test(self) -> dict[str, float]:
        """Metrics on test, by name; empty without such a part."""
        return dict(self.values["test"])

    @cached_property
    def predictor(self) -> P:
        """The trained model, ready for new rows; of a run that was finished before, loaded now."""
        return self.load()


@dataclass
class PreparedRun(ABC, Generic[P]):
    """A recipe made ready: data loaded, model built, trainer set up; bad input was refused.

    Attributes:
        recipe: the recipe.
        data: its data, split.
        tokenizer: the model's; None for vectors.
        trainer: scores the parts of `sizes` and, as `sample`, the first rows of dev.
        class_names: names of the classes or tags, in the order of the model's outputs.
        sizes: rows that are scored, by part: `dev` and `test`, where there are such.
    """

    recipe: AnyRecipe
    data: Any
    tokenizer: Any
    trainer: Trainer
    class_names: list[str]
    sizes: dict[str, int]

    @abstractmethod
    def describe(self) -> str:
        """The plan in words: data, method, steps."""

    @abstractmethod
    def environment(self) -> dict[str, Any]:
        """See `environment`."""

    @abstractmethod
    def about(self) -> dict[str, Any]:
        """What result.json says of recipe and data."""

    @abstractmethod
    def export(self, folder: Path) -> None:
        """Writes the model folder."""

    @abstractmethod
    def predictor(self) -> P:
        """The model as it is now, ready for new rows."""

    @property
    def model(self) -> Any:
        """The weights that are scored, in evaluation mode."""
        return self.trainer.method.evaluated(self.trainer.model).eval()

    def rivals(self) -> str:
        """What the same labels give without training, in words; empty where nothing tells."""
        return ""

    def estimate(self) -> float:
        """Seconds that the training will take, from three timed steps and a scored sample of dev.

        The steps are real ones: throw the run away afterwards.
        """
        trainer, plan = self.trainer, self.trainer.plan
        seconds = 0.0
        if plan.total:
            times = []
            for step in range(4):  # the first warms up
                start = time.monotonic()
                trainer.step(step, lambda outcome, batch: None)
                times.append(time.monotonic() - start)
            seconds = sorted(times[1:])[1] * plan.total
        if dev := self.sizes.get("dev"):
            start = time.monotonic()
            trainer.measure(trainer.model, "sample")
            a_row = (time.monotonic() - start) / min(dev, SAMPLE)
            evaluations = plan.total // max(1, plan.evaluate)
            seconds += a_row * (dev * evaluations + self.sizes.get("test", 0))
        return seconds

    def fit(self, folder: Path, quiet: bool = False) -> dict[str, Any]:
        """Trains in a run folder, see `train_in`; writes result and model, gives the result."""
        started = time.time()
        outcome = self.trainer.fit(folder, self.class_names, flat(self.recipe), quiet)
        if not number():
            self.export(folder / "model")
            clock = {"seconds": round(time.time() - started, 1)}
            result = {**self.about(), **outcome, "mixtext": made_by(), "clock": clock}
            write_json(folder / "result.json", result)
        alike(None)
        return read_json(folder / "result.json")  # as whoever reads it later finds it


def train_in(
    folder: Path,
    recipe: AnyRecipe,
    prepare: Callable[[], PreparedRun[P]],
    load: Callable[[Path], P],
    resume: bool,
    quiet: bool,
    need_model: bool = True,
) -> Result[P]:
    """Trains a recipe of any kind in a run folder; a run that is finished is given back.

    Args:
        folder: the run folder.
        recipe: what to do.
        prepare: makes it ready.
        load: loads the model of a run folder.
        resume: go on with an unfinished run.
        quiet: print nothing.
        need_model: of a finished run whose model is gone, make the model again: from its last
            checkpoint, or without one by the same training, which gives the same.
    """
    if number():  # beside the process that opens the folder, which does as follows
        finished: Any = of_first(None)
        if finished:
            return Result(folder, finished, partial(load, folder))
        with first_alone():
            run = prepare()
        values = run.fit(folder, quiet=True)
        return Result(folder, values, run.predictor)
    with open_folder(folder, recipe, resume, need_model) as opened:
        if (finished := of_first(opened.result)) is not None:
            return Result(folder, finished, partial(load, folder))
        if (folder / "active.json").is_file():
            raise InputError(
                f"{folder} holds rounds of active learning: go on with them by `mixtext active "
                "run`, or name another folder with --run."
            )
        with first_alone():
            run = prepare()
            notes = opened.begin(recipe, run.environment())
        if (folder / "result.json").is_file():
            notes.append(f"the model of {folder} is gone: it is made again")
        if processes() > 1:
            notes.append(f"{processes()} processes share the rows of each batch")
        if not quiet:
            lines = [run.describe(), *(f"note      {note}" for note in notes)]
            print("\n".join(lines), file=sys.stderr)
        values = run.fit(folder, quiet)
        predictor = run.predictor()
        return Result(folder, values, lambda: predictor)
