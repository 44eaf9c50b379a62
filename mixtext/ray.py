"""The same jobs as tasks of a Ray cluster (optional: `pip install ray`). Gives the same folders.

Ray's workers need this package, and see data and run folders under the same paths as this machine.
"""

import os
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from mixtext.errors import InputError
from mixtext.jobs import Answer, Job, Step, perform

# Times that a run goes on when its worker or machine has died.
RETRIES = 3


class RayTasks:
    """An executor (see `jobs.py`) that hands its jobs to Ray, each with one core.

    Uses the Ray that this process is connected to; else the cluster that RAY_ADDRESS names, and
    without one a local Ray. Where the cluster has GPUs, each run takes one, unless its
    training.device is `cpu`.

    Raises:
        InputError: Ray is not installed, or the cluster does not answer.
    """

    def __init__(self) -> None:
        """Connects."""
        try:
            import ray
        except ImportError:
            raise InputError("ray is not installed: pip install ray, or use --jobs.") from None
        self._ray = ray
        self._running: dict[Any, Job] = {}
        if not ray.is_initialized():
            try:
                ray.init(log_to_driver=False)
            except (ConnectionError, RuntimeError, ValueError) as error:
                where = os.environ.get("RAY_ADDRESS", "this machine")
                raise InputError(
                    f"no Ray at {where}: {error}: set RAY_ADDRESS to a cluster, or use --jobs."
                ) from None
        self._task = ray.remote(num_cpus=1, max_retries=RETRIES)(_perform)

    def __enter__(self) -> "RayTasks":
        return self

    def __exit__(self, *_: object) -> None:
        for task in self._running:
            self._ray.cancel(task, force=True)

    def __call__(self, step: Step, jobs: Sequence[Job]) -> Iterator[tuple[Job, Answer]]:
        """Yields each job with its answer, as they come."""
        gpus = min(1, int(self._ray.cluster_resources().get("GPU", 0)))
        for job in jobs:
            own = gpus if job.recipe.training.device != "cpu" else 0
            task = self._task.options(num_gpus=own).remote(step, job, os.getcwd())
            self._running[task] = job
        while self._running:
            for done in self._ray.wait(list(self._running))[0]:
                job = self._running.pop(done)
                try:
                    yield job, self._ray.get(done)
                except self._ray.exceptions.RayError as error:
                    lines = str(error).strip().splitlines() or [type(error).__name__]
                    yield job, Answer(reason=f"its Ray task failed: {lines[0]}")


def _perform(step: Step, job: Job, folder: str) -> Answer:
    """Does a step where the caller is, whose relative paths a recipe holds."""
    os.chdir(folder)
    torch.set_num_threads(1)
    return perform(step, job)
