"""The same units as tasks of a Ray cluster (optional: `pip install ray`). Gives the same store.

Ray workers need this package and the models; the process that calls writes the store alone.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from backtranslate.jobs import perform
from backtranslate.translator import BacktranslateError

# Times that a task is done again when its worker or machine dies.
RETRIES = 5


class RayTasks:
    """An executor (see `jobs.py`) that hands its jobs to Ray.

    Uses the Ray that this process is connected to; else connects to the cluster that the address
    names, and without one starts a local Ray.

    Args:
        address: such as `auto` or `ray://host:10001`; empty for RAY_ADDRESS or a local Ray.
        gpus: GPUs a task, 0 for none; a fraction lets several tasks share one.

    Raises:
        BacktranslateError: Ray is not installed, or the cluster does not answer.
    """

    def __init__(self, address: str = "", gpus: float = 0.0) -> None:
        """Connects."""
        try:
            import ray
        except ImportError as error:
            raise BacktranslateError(
                "ray is not installed: pip install ray, or use --workers."
            ) from error
        self._ray = ray
        if not ray.is_initialized():
            try:
                ray.init(address=address or None, log_to_driver=False)
            except (ConnectionError, RuntimeError, ValueError) as error:
                raise BacktranslateError(
                    f"no Ray at {address or 'this machine'}: {error}"
                ) from error
        self._task = ray.remote(num_gpus=gpus, max_retries=RETRIES)(_perform)

    def __call__(self, jobs: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
        """Yields each job with its answer, as they come.

        Raises:
            BacktranslateError: a job failed, or its workers died `RETRIES` times.
        """
        # Two tasks a core keep all busy; more would only hold texts in Ray's memory.
        most = 2 * max(1, int(self._ray.cluster_resources().get("CPU", 1)))
        waiting = iter(jobs)
        running: dict[Any, Any] = {}
        while True:
            for job in waiting:
                running[self._task.remote(job)] = job
                if len(running) >= most:
                    break
            if not running:
                return
            for done in self._ray.wait(list(running))[0]:
                job = running.pop(done)
                try:
                    refusal, answer = self._ray.get(done)
                except self._ray.exceptions.RayError as error:
                    lines = str(error).strip().splitlines() or [type(error).__name__]
                    raise BacktranslateError(f"a Ray task failed: {lines[-1]}") from error
                if refusal:
                    raise BacktranslateError(refusal)
                yield job, answer


def _perform(job: Any) -> tuple[str, Any]:
    """Does a job; a refusal travels as a sentence, so that Ray adds no traceback to it."""
    try:
        return "", perform(job)
    except BacktranslateError as error:
        return str(error) or "refused", None
