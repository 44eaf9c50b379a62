"""Checkpoints: safetensors and JSON, written whole or not at all.

    checkpoints/index.json             names the newest complete checkpoint and the best weights,
                                       with the SHA-256 of each of their files
    checkpoints/step-000120/           weights, optimiser, generators, state.json
    checkpoints/best-000100.safetensors

A checkpoint is written beside the last one and fsynced; then index.json is replaced in one
operation, and only then what it no longer names is deleted. Killed at any moment, index.json names
complete files. It is there before anything else, and then names nothing: so a missing one tells of
damage, not of a kill.
"""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mixtext.errors import InputError
from mixtext.files import (
    WAY_OUT,
    aside,
    checksum,
    load_tensors,
    make_folder,
    read_json,
    save_tensors,
    write_json,
)

SUMS = "sha256"


def classifier_weights(model: nn.Module) -> dict[str, Tensor]:
    """The weights that predictions need: all but what a method remembers for training."""
    return {k: v for k, v in model.state_dict().items() if not k.startswith("memory.")}


class Checkpoints:
    """The checkpoints of one run folder."""

    def __init__(self, folder: Path):
        """Names the folder `checkpoints/` of a run folder; `tidy` makes it."""
        self.folder = folder
        self.index_path = folder / "index.json"
        self.metrics = folder.parent / "metrics.jsonl"

    @property
    def finished(self) -> bool:
        """The run has a result; then its checkpoints may have been deleted."""
        return (self.folder.parent / "result.json").is_file()

    @property
    def index(self) -> dict[str, str]:
        """File names by role: `last` and `best`; empty before the first checkpoint; see `saved`."""
        return {role: name for role, name in self.saved().items() if role != SUMS}

    def saved(self) -> dict[str, Any]:
        """What index.json holds: `last`, `best`, and checksums by file, which version 0.1 lacked.

        Raises:
            InputError: index.json is damaged, or missing beside what a run has left.
        """
        if not self.index_path.is_file():
            # Runs of an earlier version had none before their first checkpoint, but the folder.
            whole = [*self.folder.glob("step-*/state.json")]
            lost = self.metrics.is_file() and not (self.folder.is_dir() or self.finished)
            if whole or lost:
                raise InputError(f"{self.index_path} is missing: {WAY_OUT}.")
            return {}
        index = read_json(self.index_path)
        roles, sums = {x: index[x] for x in index if x != SUMS}, index.get(SUMS, {})
        sound = roles.keys() <= {"last", "best"} and ("last" in roles or not index)
        names = [*roles.values(), *(sums.values() if isinstance(sums, dict) else [None])]
        if not (sound and all(isinstance(name, str) for name in names)):
            raise InputError(f"{self.index_path} is damaged: {WAY_OUT}.")
        return index

    def whole(self, name: str) -> Path:
        """A file of the folder, by its path there.

        Raises:
            InputError: it is not as it was written.
        """
        path, sums = self.folder / name, self.saved().get(SUMS)
        if sums is not None and path.is_file() and checksum(path) != sums.get(name):
            damaged = path if name in sums else self.index_path
            raise InputError(f"{damaged} is damaged: {WAY_OUT}.")
        return path

    def save(
        self,
        step: int,
        model: nn.Module,
        optimiser: torch.optim.Optimizer,
        generator: np.random.Generator,
        state: dict[str, Any],
        best: str | None,
    ) -> None:
        """Saves everything that the next step depends on.

        Args:
            step: steps done.
            model: weights, with what the method remembers.
            optimiser: its moments; learning rates follow from the step.
            generator: the run's numpy generator.
            state: plain values of the loop.
            best: name of the file of the best weights so far (`save_best` wrote it), or None.
        """
        name = f"step-{step:06d}"
        if self.index.get("last") == name:
            return  # already complete; writing over it would not be atomic
        moments = {
            f"{number}.{key}": value
            for number, entry in optimiser.state_dict()["state"].items()
            for key, value in entry.items()
        }
        generators = {"cpu": torch.get_rng_state()}
        if torch.cuda.is_available():
            generators |= {f"cuda{i}": s for i, s in enumerate(torch.cuda.get_rng_state_all())}
        numpy_state = generator.bit_generator.state
        with aside(self.folder / name) as half:
            half.mkdir()
            save_tensors(model.state_dict(), half / "weights.safetensors")
            save_tensors(moments, half / "optimiser.safetensors")
            save_tensors(generators, half / "generators.safetensors")
            write_json(half / "state.json", {"step": step, "numpy": numpy_state, **state})
            sums = {f"{name}/{path.name}": checksum(path) for path in sorted(half.iterdir())}
        index: dict[str, Any] = {"last": name}
        if best:
            index["best"] = best
            sums[best] = self.saved().get(SUMS, {}).get(best) or checksum(self.folder / best)
        write_json(self.index_path, {**index, SUMS: sums})
        self.tidy()

    def save_best(self, step: int, model: nn.Module) -> str:
        """Saves the weights that are best so far; they count once `save` has named them."""
        name = f"best-{step:06d}.safetensors"
        save_tensors(classifier_weights(model), self.folder / name)
        return name

    def tidy(self) -> None:
        """Makes the folder and its index, and deletes what the index does not name."""
        make_folder(self.folder)
        if not self.index_path.is_file():
            write_json(self.index_path, {})
        named = {"index.json", *self.index.values()}
        for path in self.folder.iterdir():
            if path.name not in named:
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)

    def load(
        self, model: nn.Module, optimiser: torch.optim.Optimizer, generator: np.random.Generator
    ) -> dict[str, Any] | None:
        """Puts the last checkpoint back in place; its state, or None where there is none yet.

        Nothing is deleted: that is for `tidy`, when all that a run needs has been found good.

        Raises:
            InputError: a file of it is missing or damaged, or does not fit the model.
        """
        last = self.index.get("last")
        if last is None:
            return None
        source = self.folder / last
        weights = load_tensors(self.whole(f"{last}/weights.safetensors"))
        saved = load_tensors(self.whole(f"{last}/optimiser.safetensors"))
        generators = load_tensors(self.whole(f"{last}/generators.safetensors"))
        state = read_json(self.whole(f"{last}/state.json"))
        self.best_weights()  # needed only at the end, but a fault should be told now
        written = self.metrics.stat().st_size if self.metrics.is_file() else 0
        if written < state.get("metrics_bytes", 0):
            raise InputError(f"{self.metrics} lacks what it had at {source.name}: {WAY_OUT}.")
        moments: dict[int, dict[str, Tensor]] = {}
        try:
            for name, value in saved.items():
                number, key = name.split(".", 1)
                moments.setdefault(int(number), {})[key] = value
            model.load_state_dict(weights)
            groups = optimiser.state_dict()["param_groups"]
            optimiser.load_state_dict({"state": moments, "param_groups": groups})
            torch.set_rng_state(generators["cpu"])
            for i in range(torch.cuda.device_count()):
                if f"cuda{i}" in generators:
                    torch.cuda.set_rng_state(generators[f"cuda{i}"], i)
            generator.bit_generator.state = state.pop("numpy")
        except (RuntimeError, KeyError, ValueError, TypeError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(":.")
            raise InputError(f"{source} does not fit this run ({reason}): {WAY_OUT}.") from None
        return state

    def best_weights(self) -> dict[str, Tensor] | None:
        """The best weights so far, or None where nothing was selected."""
        best = self.index.get("best")
        return None if best is None else load_tensors(self.whole(best))


class ReadCheckpoints(Checkpoints):
    """The same, for a process beside the one that writes them."""

    def save(self, *state: Any) -> None:
        """Nothing."""

    def save_best(self, step: int, model: nn.Module) -> str:
        """Nothing."""
        return ""

    def tidy(self) -> None:
        """Nothing."""
