"""Sweeps: every combination of some fields of a recipe, one run each, in one process.

    runs/digits/
      supervised-0.2-3/   a run folder; the values that vary make its name
      results.jsonl       the results of all of them, one line each

Killed? Sweep again: finished runs are kept, the unfinished one goes on.
"""

import itertools
import json
import shutil
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mixtext.api import load_recipe, train
from mixtext.errors import InputError
from mixtext.files import locked, make_folder, write_text
from mixtext.recipe import Recipe
from mixtext.tagging.recipe import TaggingRecipe

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


def sweep(
    recipe: str | Path,
    fixed: Sequence[str],
    vary: Sequence[str],
    folder: str | Path,
    keep_models: bool = False,
    quiet: bool = True,
) -> list[dict[str, Any]]:
    """Trains every combination and gathers the results.

    Args:
        recipe: a TOML file.
        fixed: overrides that all runs share. `{table.field}` in them becomes the value of a field
            that varies: `model.start=runs/plain/{training.seed}`.
        vary: axes, see `parse_axis`; the last one varies fastest.
        folder: takes the run folders and `results.jsonl`.
        keep_models: keep the exported models; checkpoints of finished runs are never kept.
        quiet: print one line a run, not its progress.

    Returns:
        The results, in the order of the combinations.

    Raises:
        InputError: bad input, before the first run begins where it concerns the recipe; another
            process is at work in the folder.
    """
    folder = Path(folder)
    axes = [parse_axis(text) for text in vary]
    plans = []
    for choice in itertools.product(*axes):
        name = "-".join(label for label, _ in choice)
        name = name if name.strip(".") else "run"
        varied = [override for _, each in choice for override in each]
        overrides = list(fixed)
        for key, _, value in (override.partition("=") for override in varied):
            overrides = [x.replace(f"{{{key}}}", value) for x in overrides]
        overrides += varied
        plans.append((name, load_recipe(recipe, overrides)))
    names = [name for name, _ in plans]
    if len(set(names)) < len(names):
        twice = next(x for x in names if names.count(x) > 1)
        raise InputError(f"two combinations are called {twice!r}: vary other values.")
    results = folder / RESULTS
    if results.exists() and not any(folder.glob("*/recipe.toml")):
        raise InputError(f"{results} is there, but no run of a sweep: name another with --run.")
    make_folder(folder)
    with locked(folder):
        return _train_all(plans, folder, keep_models, quiet)


def _train_all(
    plans: list[tuple[str, Recipe | TaggingRecipe]], folder: Path, keep_models: bool, quiet: bool
) -> list[dict[str, Any]]:
    results = []
    for number, (name, loaded) in enumerate(plans, 1):
        result = train(loaded, folder=folder / name, resume=True, quiet=quiet).values
        for part in ("checkpoints", "model")[: 2 - keep_models]:
            shutil.rmtree(folder / name / part, ignore_errors=True)
        results.append(result)
        metrics = result["test"] or result["dev"]
        shown = "  ".join(f"{key} {value:.4f}" for key, value in metrics.items())
        print(f"{number}/{len(plans)} {name}: {shown}", file=sys.stderr, flush=True)
        lines = [json.dumps(x, ensure_ascii=False) for x in results]
        write_text(folder / RESULTS, "\n".join(lines) + "\n")
    return results
