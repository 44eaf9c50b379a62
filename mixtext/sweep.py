"""Sweeps: every combination of some fields of a recipe, one run each, some side by side.

    runs/digits/
      supervised-0.2-3/   a run folder; the values that vary make its name
      results.jsonl       the results of all that are finished, one line each, in the recipe's order

Combinations that are refused are named before the first run starts, a run that fails is told with
its reason, and neither stops the others. Killed? Sweep again: finished runs are kept, unfinished
ones go on.
"""

import itertools
import json
import sys
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mixtext.api import load_recipe
from mixtext.errors import InputError
from mixtext.files import locked, make_folder, write_text
from mixtext.jobs import Executor, Job, Processes, perform, run_here
from mixtext.ray import RayTasks

RESULTS = "results.jsonl"


def parse_axis(text: str) -> list[tuple[str, list[str]]]:
    """One axis of a sweep: its values, each as a label and the overrides that it stands for.

    Args:
        text: `table.field=a,b,c`, or `first+second=a,b,c` for fields that take the same value, such
            as `data.split_seed+training.seed=0,1,2`. Values that hold commas are written as one
            TOML list: `manifold_mixup.layers=[[0], [0, 1, 2]]`.

    Raises:
        InputError: no `=`, or no value.
    """
    keys, equals, values = text.partition("=")
    if values.strip().startswith("["):
        try:
            parts = [json.dumps(v) for v in tomllib.loads(f"v = {values}")["v"]]
        except tomllib.TOMLDecodeError:
            raise InputError(
                f"--vary {text!r}: {values} is not a list as TOML writes it."
            ) from None
    else:
        parts = [x.strip() for x in values.split(",") if x.strip()]
    if not equals or not parts:
        raise InputError(f"--vary {text!r} is not of the form table.field=value,value,…")
    axis = []
    for part in parts:
        label = "".join(x if x.isalnum() or x in "._" else "_" for x in part).strip("_")
        axis.append((label, [f"{key.strip()}={part}" for key in keys.split("+")]))
    return axis


@dataclass(frozen=True)
class Swept:
    """What came out of a sweep.

    Attributes:
        results: of the finished runs, in the order of the combinations.
        failed: reasons by the names of the combinations that were refused or failed.
    """

    results: list[dict[str, Any]]
    failed: dict[str, str]


@contextmanager
def executor(jobs: int = 1, ray: bool = False) -> Iterator[Executor]:
    """Whoever does the runs: this process, `jobs` others of one thread each, or a Ray cluster.

    Raises:
        InputError: there cannot be so many processes, or no Ray.
    """
    if jobs < 1:
        raise InputError(f"--jobs is {jobs}: it must be at least 1.")
    if ray and jobs > 1:
        raise InputError(
            "--jobs and --ray are given: a Ray cluster says itself how many runs it takes; leave "
            "one of them out."
        )
    if ray:
        with RayTasks() as tasks:
            yield tasks
    elif jobs > 1:
        with Processes(jobs) as processes:
            yield processes
    else:
        yield run_here


def sweep(
    recipe: str | Path,
    fixed: Sequence[str],
    vary: Sequence[str],
    folder: str | Path,
    keep_models: bool = False,
    execute: Executor = run_here,
    kind: type[Job] = Job,
) -> Swept:
    """Trains every combination and gathers the results.

    Args:
        recipe: a TOML file.
        fixed: overrides that all runs share. `{table.field}` in them becomes the value of a field
            that varies: `model.start=runs/plain/{training.seed}`.
        vary: axes, see `parse_axis`; the last one varies fastest.
        folder: takes the run folders and `results.jsonl`.
        keep_models: keep the exported models; checkpoints of finished runs are never kept.
        execute: who does the runs, see `executor`.
        kind: what a run is: a training, rounds of active learning, SetFit.

    Raises:
        InputError: bad axes, or every combination is refused; the folder holds something else, or
            another process is at work in it.
    """
    folder = Path(folder).absolute()
    axes = [parse_axis(text) for text in vary]
    jobs: list[Job] = []
    order: list[str] = []
    failed: dict[str, str] = {}
    for choice in itertools.product(*axes):
        name = "-".join(label for label, _ in choice)
        name = name if name.strip(".") else "run"
        if name in order:
            raise InputError(f"two combinations are called {name!r}: vary other values.")
        order.append(name)
        varied = [override for _, each in choice for override in each]
        overrides = list(fixed)
        for key, _, value in (override.partition("=") for override in varied):
            overrides = [x.replace(f"{{{key}}}", value) for x in overrides]
        try:
            loaded = load_recipe(recipe, [*overrides, *varied])
        except InputError as error:
            failed[name] = str(error)
        else:
            jobs.append(kind(name, loaded, folder / name, keep_models))
    if not jobs:
        raise _all_refused(failed)
    results = folder / RESULTS
    if results.exists() and not any(folder.glob("*/recipe.toml")):
        raise InputError(f"{results} is there, but no run of a sweep: name another with --run.")
    if (folder / "recipe.toml").exists():
        raise InputError(f"{folder} is a run of its own: name another folder with --run.")
    make_folder(folder)
    with locked(folder):
        return _run_all(jobs, order, failed, folder, execute)


def _run_all(
    jobs: Sequence[Job],
    order: Sequence[str],
    failed: dict[str, str],
    folder: Path,
    execute: Executor,
) -> Swept:
    done: dict[str, dict[str, Any]] = {}

    def in_order() -> list[dict[str, Any]]:
        return [done[name] for name in order if name in done]

    def write() -> None:
        lines = [json.dumps(one, ensure_ascii=False) + "\n" for one in in_order()]
        write_text(folder / RESULTS, "".join(lines))

    for job in jobs:
        if job.finished:
            answer = perform("do", job)
            if answer.values is None:
                failed[job.name] = answer.reason
            else:
                done[job.name] = answer.values
                _tell(f"{len(done)}/{len(order)} {job.name}: {_scores(answer.values)} (finished)")
    missing = [job for job in jobs if not job.finished]
    for job, answer in execute("check", missing):
        if answer.reason:
            failed[job.name] = answer.reason
    for name in (name for name in order if name in failed):
        _tell(f"refused {name}: {failed[name]}")
    missing = [job for job in missing if job.name not in failed]
    if not missing and not done:
        raise _all_refused(failed)
    if done:
        write()
    for job, answer in execute("do", missing):
        if answer.values is None:
            failed[job.name] = answer.reason
            told = f"failed: {answer.reason}"
        else:
            done[job.name] = answer.values
            write()
            told = _scores(answer.values)
        _tell(f"{len(done) + len(failed)}/{len(order)} {job.name}: {told}")
    return Swept(in_order(), {name: failed[name] for name in order if name in failed})


def _all_refused(failed: dict[str, str]) -> InputError:
    first, *others = dict.fromkeys(failed.values())
    more = f" {len(others)} other reasons stand above." if len(others) > 1 else ""
    return InputError(first + (more or (f" Another: {others[0]}" if others else "")))


def _scores(values: dict[str, Any]) -> str:
    last = values["curve"][-1] if "curve" in values else values
    metrics = last["test"] or last["dev"]
    return "  ".join(f"{key} {value:.4f}" for key, value in metrics.items())


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
