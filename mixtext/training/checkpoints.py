"""Checkpoints: safetensors and JSON, written whole or not at all.

    checkpoints/index.json             names the newest complete checkpoint and the best weights
    checkpoints/step-000120/           weights, optimiser, generators, state.json
    checkpoints/best-000100.safetensors

A checkpoint is written beside the last one and fsynced; then index.json is replaced in one
operation, and only then what it no longer names is deleted. Killed at any moment, index.json names
complete files.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from mixtext.files import save_tensors, write_json


def classifier_weights(model: nn.Module) -> dict[str, Tensor]:
    """The weights that predictions need: all but what a method remembers for training."""
    return {k: v for k, v in model.state_dict().items() if not k.startswith("memory.")}


class Checkpoints:
    """The checkpoints of one run folder."""

    def __init__(self, folder: Path):
        """Opens `folder` (made when missing)."""
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.index_path = folder / "index.json"

    @property
    def index(self) -> dict[str, str]:
        """File names by role: `last` and `best`; empty before the first checkpoint."""
        if not self.index_path.is_file():
            return {}
        return dict(json.loads(self.index_path.read_text(encoding="utf-8")))

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
        target = self.folder / name
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        save_tensors(model.state_dict(), target / "weights.safetensors")
        moments = {
            f"{number}.{key}": value
            for number, entry in optimiser.state_dict()["state"].items()
            for key, value in entry.items()
        }
        save_tensors(moments, target / "optimiser.safetensors")
        generators = {"cpu": torch.get_rng_state()}
        if torch.cuda.is_available():
            generators |= {f"cuda{i}": s for i, s in enumerate(torch.cuda.get_rng_state_all())}
        save_tensors(generators, target / "generators.safetensors")
        numpy_state = generator.bit_generator.state
        write_json(target / "state.json", {"step": step, "numpy": numpy_state, **state})
        write_json(self.index_path, {"last": name, **({"best": best} if best else {})})
        self._delete_unnamed()

    def save_best(self, step: int, model: nn.Module) -> str:
        """Saves the weights that are best so far; they count once `save` has named them."""
        name = f"best-{step:06d}.safetensors"
        save_tensors(classifier_weights(model), self.folder / name)
        return name

    def _delete_unnamed(self) -> None:
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

        What a kill left beside it is deleted.
        """
        self._delete_unnamed()
        last = self.index.get("last")
        if last is None:
            return None
        source = self.folder / last
        model.load_state_dict(load_file(source / "weights.safetensors"))
        fresh = optimiser.state_dict()
        moments: dict[int, dict[str, Tensor]] = {}
        for name, value in load_file(source / "optimiser.safetensors").items():
            number, key = name.split(".", 1)
            moments.setdefault(int(number), {})[key] = value
        optimiser.load_state_dict({"state": moments, "param_groups": fresh["param_groups"]})
        generators = load_file(source / "generators.safetensors")
        torch.set_rng_state(generators["cpu"])
        for i in range(torch.cuda.device_count()):
            if f"cuda{i}" in generators:
                torch.cuda.set_rng_state(generators[f"cuda{i}"], i)
        state = json.loads((source / "state.json").read_text(encoding="utf-8"))
        generator.bit_generator.state = state.pop("numpy")
        return dict(state)

    def best_weights(self) -> dict[str, Tensor] | None:
        """The best weights so far, or None where nothing was selected."""
        best = self.index.get("best")
        return None if best is None else load_file(self.folder / best)
