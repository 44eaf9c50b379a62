"""SetFit as a job, see `jobs.py`: its own library, in its own environment, trains and scores."""

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mixtext.data.prepare import Data, prepare_data
from mixtext.errors import InputError
from mixtext.files import read_json, write_text
from mixtext.jobs import Job
from mixtext.recipe import AnyRecipe, Recipe, dump_recipe
from mixtext.run_folder import open_folder

ROOT = Path(__file__).resolve().parents[1]
PYTHON = ROOT / ".venv-setfit" / "bin" / "python"  # where SetFit is not beside this package
SCRIPT = ROOT / "experiments" / "run_setfit.py"


def interpreter() -> Path:
    """The Python that has SetFit: this one, or that of .venv-setfit.

    Raises:
        InputError: neither has it.
    """
    if find_spec("setfit"):
        return Path(sys.executable)
    if PYTHON.is_file():
        return PYTHON
    raise InputError(
        f"SetFit is not installed, neither here nor in {PYTHON.parents[1]}: `./run.sh setfit "
        "--help` installs it; or choose the other sweeps by --only."
    )


def setfit_data(recipe: AnyRecipe) -> Data:
    """The rows that SetFit learns from and is scored on.

    Raises:
        InputError: they are not what it takes, or as of `prepare_data`.
    """
    if isinstance(recipe, Recipe):
        data = prepare_data(recipe.data, need_unlabelled=False)
        if data.train.rows == "texts" and data.train.target == "classes" and data.test is not None:
            return data
    raise InputError("SetFit takes texts with classes, and here a test part: choose such data.")


@dataclass(frozen=True)
class SetFitJob(Job):
    """SetFit on the rows of a recipe, whose method is not looked at.

    Its run folder holds recipe.toml, environment.json and result.json, and no model.
    """

    def check(self) -> None:
        """Refuses what `do` would refuse."""
        interpreter()
        with open_folder(self.folder, self.recipe, resume=True):
            setfit_data(self.recipe)

    def do(self) -> dict[str, Any]:
        """Has it done by the script; a finished one gives what it gave."""
        with tempfile.TemporaryDirectory() as place:
            recipe = Path(place) / "recipe.toml"
            write_text(recipe, dump_recipe(self.recipe))
            done = subprocess.run(
                [interpreter(), SCRIPT, recipe, "--run", self.folder],
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                capture_output=True,
                text=True,
                check=False,
            )
        if done.returncode:
            said = done.stderr.strip().splitlines() or [f"SetFit ended by {done.returncode}"]
            raise InputError(said[-1].removeprefix("run_setfit: "))
        return read_json(self.folder / self.RESULT)
