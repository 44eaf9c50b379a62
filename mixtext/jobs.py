"""Jobs: runs that somebody else orders, checked and done here, or in processes beside this one.

A run that fails answers with its reason instead of an error, so that the others go on. Who does
the jobs is up to an executor: `run_here`, `Processes`, or `ray.RayTasks`.
"""

import collections
import contextlib
import multiprocessing
import os
import shutil
import signal
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch

from mixtext.active.folder import begin_active, rounds_of
from mixtext.api import prepare, train
from mixtext.errors import InputError, disk_trouble
from mixtext.files import read_json
from mixtext.models.folder import has_model
from mixtext.recipe import Recipe
from mixtext.run_folder import open_folder
from mixtext.tagging.recipe import TaggingRecipe
from mixtext.training.loop import Diverged


@dataclass(frozen=True)
class Job:
    """One run: a training.

    Attributes:
        name: what it is called when it is told of.
        recipe: what to do.
        folder: its run folder; checkpoints in it go when it is finished.
        keep_model: keep the exported model too.
    """

    name: str
    recipe: Recipe | TaggingRecipe
    folder: Path
    keep_model: bool = False

    RESULT: ClassVar[str] = "result.json"

    @property
    def finished(self) -> bool:
        """Something came out of it; of what recipe, `do` looks at."""
        told = (self.folder / self.RESULT).is_file()
        return told and not (self.keep_model and not has_model(self.folder))

    def check(self) -> None:
        """Refuses what `do` would refuse; makes back-translations that the recipe asks for."""
        with open_folder(self.folder, self.recipe, resume=True):
            prepare(self.recipe)

    def do(self) -> dict[str, Any]:
        """Runs it, or goes on with it; a finished one gives what it gave."""
        values = train(
            self.recipe,
            folder=self.folder,
            resume=True,
            quiet=True,
            need_model=self.keep_model,
        ).values
        self.tidy()
        return values

    def tidy(self) -> None:
        """Leaves what is to be kept of a finished run."""
        for part in ("checkpoints", "model")[: 2 - self.keep_model]:
            shutil.rmtree(self.folder / part, ignore_errors=True)


@dataclass(frozen=True)
class RoundsJob(Job):
    """Rounds of active learning; what comes out is their curve."""

    RESULT: ClassVar[str] = "curve.json"

    def check(self) -> None:
        """See `Job.check`."""
        with open_folder(self.folder, self.recipe, resume=True):
            if self.recipe.active.annotator == "person":
                raise InputError(
                    "active.annotator is 'person', for whom nobody waits here: set it to 'gold', "
                    "or call `mixtext active run`."
                )
            rounds_of(self.recipe, self.folder, quiet=True).check()

    def do(self) -> dict[str, Any]:
        """See `Job.do`."""
        run = begin_active(self.recipe, self.folder, resume=True, quiet=True)
        run.go_on(need_model=self.keep_model)
        self.tidy()
        return read_json(self.folder / self.RESULT)


Step = Literal["check", "do"]


@dataclass(frozen=True)
class Answer:
    """What a job came to.

    Attributes:
        values: what its result.json holds, of `do`.
        reason: why it failed; empty where it did not.
    """

    values: dict[str, Any] | None = None
    reason: str = ""


# Takes a step of jobs and yields each job with its answer, in any order.
Executor = Callable[[Step, Sequence[Job]], Iterator[tuple[Job, Answer]]]


def perform(step: Step, job: Job) -> Answer:
    """Does one step of a job in this process."""
    try:
        if step == "check":
            job.check()
            return Answer()
        return Answer(job.do())
    except (InputError, Diverged) as error:
        return Answer(reason=str(error))
    except Exception as error:
        if said := disk_trouble(error):
            return Answer(reason=said)
        place = traceback.extract_tb(error.__traceback__)[-1]
        told = " ".join(str(error).split()) or "no message"
        return Answer(reason=f"{type(error).__name__}: {told} ({place.filename}:{place.lineno})")


def run_here(step: Step, jobs: Sequence[Job]) -> Iterator[tuple[Job, Answer]]:
    """The plainest executor: one job after another, in this process."""
    for job in jobs:
        yield job, perform(step, job)


class Processes:
    """An executor of worker processes, each of which computes with one thread.

    Use as a context manager; workers are started with the first job and end with the block. They
    end with this process too, however it ends.

    Args:
        workers: how many, ≥ 1.
    """

    def __init__(self, workers: int) -> None:
        """Starts nothing yet."""
        self.workers = workers
        # Not fork: torch's threads and CUDA do not survive it.
        self._context = multiprocessing.get_context("spawn")
        self._running: dict[Connection, Any] = {}

    def __enter__(self) -> "Processes":
        return self

    def __exit__(self, *_: object) -> None:
        for connection in [*self._running]:
            self._bury(connection)

    def __call__(self, step: Step, jobs: Sequence[Job]) -> Iterator[tuple[Job, Answer]]:
        """Yields each job with its answer, as they come; a worker that dies is replaced."""
        waiting = collections.deque(jobs)
        busy: dict[Connection, Job] = {}
        while waiting or busy:
            for _ in range(len(self._running), min(self.workers, len(waiting) + len(busy))):
                self._start()
            for connection in [c for c in self._running if c not in busy]:
                if waiting:
                    busy[connection] = waiting.popleft()
                    # One that died idle is found out below: its end of the pipe is closed.
                    with contextlib.suppress(OSError):
                        connection.send((step, busy[connection]))
            for ready in wait(list(busy)):
                assert isinstance(ready, Connection)
                job = busy.pop(ready)
                try:
                    answer = ready.recv()
                except (EOFError, OSError):
                    answer = Answer(reason=_death(self._bury(ready)))
                yield job, answer

    def _start(self) -> None:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_serve, args=(theirs,))
        before = os.environ.get("OMP_NUM_THREADS")
        os.environ["OMP_NUM_THREADS"] = "1"  # is read as torch and NumPy are loaded
        try:
            process.start()
        finally:
            del os.environ["OMP_NUM_THREADS"]
            if before is not None:
                os.environ["OMP_NUM_THREADS"] = before
        theirs.close()  # or its end would stay open here when the worker dies
        self._running[ours] = process

    def _bury(self, connection: Connection) -> int:
        """Ends a worker; its exit code, negative for a signal that had ended it."""
        process = self._running.pop(connection)
        connection.close()
        process.join(0.5)  # one whose pipe broke is about to end by itself
        if process.is_alive():
            process.kill()
            process.join()
        return int(process.exitcode)


def _death(code: int) -> str:
    if code == -signal.SIGKILL:
        return "its process was killed, as one is where the memory is full: use fewer --jobs."
    by = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    return f"its process ended by {by}."


def _serve(connection: Connection) -> None:
    """A worker's life: take a job, answer, until the pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends us
    torch.set_num_threads(1)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    while True:
        try:
            step, job = connection.recv()
            connection.send(perform(step, job))
        except (EOFError, OSError):
            return


def _die_with_parent() -> None:
    """A parent killed by SIGKILL tells nobody: without this, workers would finish their runs."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
