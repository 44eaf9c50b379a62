"""What README, CONTRIBUTING and docs/results.md tell people to type is understood.

Commands stand in fences of `sh`, in indented lines and between backticks.
"""

import ast
import functools
import importlib
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from mixtext import cli
from mixtext.api import load_recipe
from mixtext.recipe import make_recipe
from mixtext.reproduce import read_plans

ROOT = Path(__file__).resolve().parents[1]
TEXT = "\n".join(
    (ROOT / name).read_text(encoding="utf-8")
    for name in ("README.md", "CONTRIBUTING.md", "docs/results.md")
)
RUN = (ROOT / "run.sh").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

STARTS = ("./run.sh", ".ci/", "mixtext ", ".venv/bin/", "pip install ", "apt-get ")
UNCHECKED = {  # of others, and nothing of ours stands behind them
    "apt-get install python3-venv",
    "pip install pre-commit",
    "pre-commit install",
    # Tested in test_cli.py: it prints and ends.
    "mixtext --tyro-print-completion bash '>' '~/.local/share/bash-completion/completions/mixtext'",
}


def commands():
    """Every command of these files with the variables set before it; sorted, once each."""
    fences = re.compile(r"^```(\w*)\n(.*?)^```", re.M | re.S)
    plain = fences.sub("", TEXT)
    lines = [text for kind, text in fences.findall(TEXT) if kind == "sh"]
    lines += re.findall(r"^    (\S.*)", plain, re.M)
    lines = "\n".join(lines).replace("\\\n", " ").splitlines()
    spans = [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", plain)]
    # A path between backticks is no command.
    lines += [x for x in spans if x.startswith(STARTS) and (" " in x or x == "./run.sh")]
    found = set()
    for line in lines:
        found |= set(shlex.join(shlex.split(line, comments=True)).split(" '&&' "))
    return sorted(found - {""})


def split(command):
    """A command's words, without the variables that are set for it."""
    words = shlex.split(command)
    while "=" in words[0] and words[0].split("=")[0].isupper():
        words = words[1:]
    return words


def run_sh_commands():
    """What run.sh itself knows, from its last `case`; all else goes to mixtext."""
    cases = RUN[RUN.rindex("case $command in") :]
    labels = re.findall(r"^    ([a-z-]+(?: \| [a-z-]+)*)\)$", cases, re.M)
    return {label for one in labels for label in one.split(" | ")}


@pytest.fixture
def parsed(monkeypatch):
    """Arguments → name and values that the command would be called with; nothing is run."""
    calls = []

    def silent(name, function):
        @functools.wraps(function)
        def call(*args, **kwargs):
            calls.append((name, kwargs))
            return 0

        return call

    for table in ("COMMANDS", "ACTIVE_COMMANDS"):
        real = getattr(cli, table)
        monkeypatch.setattr(cli, table, {name: silent(name, real[name]) for name in real})

    def parse(arguments):
        calls.clear()
        assert cli.main(arguments) == 0, arguments
        [call] = calls
        return call

    return parse


def check_mixtext(arguments, parsed):
    """The command's parser takes the arguments; recipes and overrides are read for real."""
    name, values = parsed(arguments)
    if name in ("train", "sweep") and "recipe" in values:
        path = ROOT / values["recipe"]
        overrides = values.get("overrides", ())
        load_recipe(path, overrides) if path.is_file() else make_recipe({}, overrides)
    if name == "reproduce" and values["table"] != "TABLE":
        only = tuple(values.get("only", ())) or ("",)
        assert any(plan.name.startswith(only) for plan in read_plans(values["table"]).plans)
    if name == "table":
        assert all((ROOT / run).is_file() for run in values["runs"] if run.suffix)
    if name == "backtranslate":
        backtranslate_options(values["options"])


def backtranslate_options(words):
    """Whether `python -m backtranslate` knows these options."""
    said = subprocess.run(
        [sys.executable, "-m", "backtranslate", "--help"],
        capture_output=True, text=True, check=True, cwd=ROOT,
    ).stdout  # fmt: skip
    for word in words:
        assert not word.startswith("--") or re.search(rf"{word}\b", said), word


@pytest.mark.parametrize("command", [x for x in commands() if x not in UNCHECKED])
def test_commands_are_understood(command, parsed, tmp_path):
    program, *words = split(command)
    if program == ".venv/bin/torchrun":  # a module, or a script
        module = "mixtext" in words
        program = "mixtext" if module else ".venv/bin/python"
        words = words[words.index("mixtext") + 1 :] if module else words[2:]
    if program == "./run.sh" and (not words or words[0] in run_sh_commands()):
        assert all((ROOT / word).exists() for word in words if word.startswith("tests/"))
        return
    if program in ("./run.sh", "mixtext"):
        return check_mixtext(words, parsed)
    if program == ".ci/run":
        assert (ROOT / program).is_file() and not words
        return
    if words[:2] == ["-m", "backtranslate"]:
        return backtranslate_options(words[2:])
    if program == ".venv/bin/python":
        source = (ROOT / words[0]).read_text(encoding="utf-8")
        assert all(f'"{word}"' in source for word in words[1:] if word.startswith("--"))
        return
    assert program in ("pip", ".venv/bin/pip") and words[0] == "install"
    extras = PROJECT["optional-dependencies"]
    known = {re.split(r"[\[<>=]", text)[0] for texts in extras.values() for text in texts}
    assert set(words[1:]) <= known


def test_the_commands_are_found():
    names = {" ".join(split(command)[:2]) for command in commands()}
    assert {"./run.sh", "./run.sh train", "./run.sh active", ".venv/bin/python -m"} < names


def test_a_wrong_command_is_noticed(parsed):
    for wrong in (["train"], ["predcit", "runs/x", "text"], ["table", "--no-such-option"]):
        with pytest.raises((SystemExit, AssertionError)):
            check_mixtext(wrong, parsed)
    with pytest.raises(AssertionError):
        backtranslate_options(["--no-such-option"])


# Commands that neither train nor need anything that is not here.
CHEAP = ("table experiments/", "methods", "recipe-fields", "datasets", "active plot experiments/")


@pytest.mark.parametrize(
    "command",
    [x for x in commands() if x.startswith(tuple(f"./run.sh {start}" for start in CHEAP))],
)
def test_cheap_commands_run(command, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(ROOT)
    words = [str(tmp_path / x) if x.endswith(".png") else x for x in split(command)[1:]]
    assert cli.main(words) == 0
    assert capsys.readouterr().out


@pytest.mark.parametrize("block", re.findall(r"^```python\n(.*?)^```", TEXT, re.M | re.S))
def test_python_is_right(block):
    for node in ast.walk(ast.parse(block)):
        if isinstance(node, ast.ImportFrom):
            module = importlib.import_module(node.module)
            assert all(hasattr(module, alias.name) for alias in node.names)
