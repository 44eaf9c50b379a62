"""What a person meets first: the names of the package, its version, and how soon it answers."""

import ast
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

import mixtext
from mixtext.cli import main

ROOT = Path(__file__).resolve().parents[1]
SLOW = ("torch", "transformers", "scipy", "sklearn", "matplotlib", "tensorboard")

# Runs a command, then names what it has loaded of the packages that take long.
LISTS_LOADED = f"""
import sys
from mixtext.cli import main
try:
    code = main(sys.argv[1:])
except SystemExit as done:
    code = done.code
print(*(name for name in {SLOW} if name in sys.modules), file=sys.stderr)
sys.exit(code)
"""


def python(code, *arguments):
    """Runs Python on `code` in the repository; what it wrote to both streams, and the seconds."""
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr, time.perf_counter() - began


def test_every_name_is_there_and_is_the_one_that_type_checkers_see():
    tree = ast.parse(Path(mixtext.__file__).read_text(encoding="utf-8"))
    shown = {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for branch in tree.body
        if isinstance(branch, ast.If)
        for node in branch.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert {*shown, "__version__"} == set(mixtext.__all__) <= set(dir(mixtext))
    for name, home in shown.items():
        found = getattr(mixtext, name)
        assert home == f"{found.__module__}.{found.__qualname__}"


def test_a_name_that_is_not_there():
    with pytest.raises(AttributeError, match="'no_such_name'"):
        mixtext.no_such_name  # noqa: B018


@pytest.mark.parametrize(
    "arguments", ["--version", "train --version", "--version table runs", "--quiet --version"]
)
def test_version(arguments, capsys):
    assert main(arguments.split()) == 0
    assert capsys.readouterr().out == f"mixtext {mixtext.__version__}\n"
    assert re.fullmatch(r"\d+\.\d+\.\d+", mixtext.__version__)


@pytest.mark.parametrize(
    "given, spins",
    [({}, "1000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "active"}, "None")],
    ids=["nothing", "a count", "a policy"],
)
def test_waiting_threads_spin_shortly_unless_told_otherwise(given, spins):
    code = "import os, mixtext; print(os.environ.get('GOMP_SPINCOUNT'))"
    unset = {k: v for k, v in os.environ.items() if k not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    run = [sys.executable, "-c", code]
    done = subprocess.run(run, env={**unset, **given}, capture_output=True, text=True, check=True)
    assert done.stdout == f"{spins}\n"


def test_importing_the_package_loads_nothing():
    code = "import sys; old = set(sys.modules); import mixtext; print(*set(sys.modules) - old)"
    loaded = python(code)[0].split()
    others = {x for x in loaded if x.split(".")[0] not in sys.stdlib_module_names}
    assert others == {"mixtext", "mixtext.registration"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["--version"],
        ["--help"],
        ["train", "--help"],
        ["datasets"],
        ["methods"],
        ["methods", "--settings"],
        ["recipe-fields"],
    ],
    ids=" ".join,
)
def test_what_only_lists_waits_for_nothing(arguments):
    """Under a second on a free core; the bound here is for a machine that others use too."""
    said, loaded, seconds = python(LISTS_LOADED, *arguments)
    assert said and loaded == "\n"
    assert seconds < 5
