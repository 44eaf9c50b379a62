"""Many processes on one machine. One that is killed is replaced, and its job is done again."""

import collections
import contextlib
import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any

from backtranslate.jobs import Job, perform
from backtranslate.translator import BacktranslateError

# A job that has killed so many workers will kill the next one too.
DEATHS = 3


class Processes:
    """An executor (see `jobs.py`) of worker processes that keep their models from job to job.

    Use as a context manager; workers are started with the first job and end with the block.

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
        for connection, process in self._running.items():
            connection.close()
            process.terminate()
            process.join()
        self._running.clear()

    def __call__(self, jobs: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
        """Yields each job with its answer, as they come.

        Raises:
            BacktranslateError: a job failed, or killed `DEATHS` workers.
            RuntimeError: an error that should not be; holds the worker's traceback.
        """
        waiting = collections.deque(enumerate(jobs))
        deaths: collections.Counter[int] = collections.Counter()
        busy: dict[Connection, tuple[int, Job]] = {}
        while waiting or busy:
            for _ in range(len(self._running), min(self.workers, len(waiting) + len(busy))):
                self._start()
            for connection in [c for c in self._running if c not in busy]:
                if waiting:
                    busy[connection] = waiting.popleft()
                    # One that died idle is found out below: its end of the pipe is closed.
                    with contextlib.suppress(OSError):
                        connection.send(busy[connection][1])
            for ready in wait(list(busy)):
                assert isinstance(ready, Connection)
                number, job = busy.pop(ready)
                try:
                    kind, answer = ready.recv()
                except (EOFError, OSError):
                    self._bury(ready)
                    deaths[number] += 1
                    if deaths[number] == DEATHS:
                        raise BacktranslateError(
                            f"{DEATHS} workers were killed, one after another, at the same texts "
                            f"through {job.pivot}: is the memory full? Use fewer workers or a "
                            "smaller token budget; what was made before is safe."
                        ) from None
                    waiting.appendleft((number, job))
                    continue
                if kind == "refused":
                    raise BacktranslateError(answer)
                if kind == "error":
                    raise RuntimeError(f"a worker failed:\n{answer}")
                yield job, answer

    def _start(self) -> None:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_serve, args=(theirs, self.workers), daemon=True)
        process.start()
        theirs.close()  # or its end would stay open here when the worker dies
        self._running[ours] = process

    def _bury(self, connection: Connection) -> None:
        process = self._running.pop(connection)
        connection.close()
        process.kill()
        process.join()


def _serve(connection: Connection, workers: int) -> None:
    """A worker's life: take a job, answer, until the pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends us
    # Threads of all workers together should not outnumber the cores.
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // workers)))
    threading.Thread(target=_die_with_parent, daemon=True).start()
    while True:
        try:
            job = connection.recv()
        except (EOFError, OSError):
            return
        answer: tuple[str, Any]
        try:
            answer = ("done", perform(job))
        except BacktranslateError as error:
            answer = ("refused", str(error))
        except Exception:
            answer = ("error", traceback.format_exc())
        try:
            connection.send(answer)
        except OSError:
            return


def _die_with_parent() -> None:
    """A parent killed by SIGKILL tells nobody: without this, workers would finish their jobs."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
