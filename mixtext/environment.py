"""environment.json, what a run depends on: written as it begins, compared where it goes on."""

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from mixtext import __version__
from mixtext.errors import InputError, reading
from mixtext.files import WAY_OUT, checksum, read_json
from mixtext.training.distributed import processes

PACKAGES = (
    *("mixtext", "torch", "transformers", "tokenizers", "numpy", "scikit-learn", "nltk"),
    "safetensors",
)


def environment(
    device: object, data: dict[str, str | None], files: dict[str, Path | str]
) -> dict[str, Any]:
    """What environment.json holds: versions, threads, and checksums of all that a run depends on.

    Args:
        device: that it trains on.
        data: checksums of the parts of the data, None for one that is not there.
        files: files and folders by what they are; a name, where a model is in no folder here.
    """
    return {
        "python": platform.python_version(),
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
        "commit": commit(),
        "device": str(device),
        "threads": torch.get_num_threads(),
        "processes": processes(),
        "data": data,
        "files": {what: _described(place) for what, place in files.items()},
    }


def _described(place: Path | str) -> dict[str, str]:
    told = checksum(place) if isinstance(place, Path) else ""
    return {"path": str(place), "sha256": told}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # mixtext itself, run from a checkout
        return ""


def made_by() -> dict[str, str]:
    """What a result says of the code: its version and, from a git checkout, its commit."""
    return {"version": __version__} | ({"commit": of} if (of := commit()) else {})


def commit() -> str:
    """The commit of the checkout that this code is in, with + if it was changed; empty without."""
    root = Path(__file__).resolve().parents[1]
    if not (root / ".git").exists():
        return ""
    command = ["git", "-C", str(root), "describe", "--always", "--exclude=*", "--dirty=+"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def refuse_changes(folder: Path, now: dict[str, Any]) -> list[str]:
    """Refuses to go on with a run when what it depends on has changed since it began.

    What environment.json does not name, because an earlier version wrote it, is not compared.

    Returns:
        Notes on what has changed but may: versions and the number of threads.

    Raises:
        InputError: the data or a file has changed, or environment.json is damaged.
    """
    path = folder / "environment.json"
    with reading(path, WAY_OUT):
        return _changes(folder, path, now)


def _changes(folder: Path, path: Path, now: dict[str, Any]) -> list[str]:
    before = read_json(path)
    data, files = before.get("data"), before.get("files", {})
    if not isinstance(data, dict) or not isinstance(files, dict):
        raise InputError(f"{path} is damaged: {WAY_OUT}.")
    changed = [f"the {x} data" for x, sha in data.items() if sha != now["data"].get(x)]
    changed += [f"the {x} ({now['files'][x]['path']})" for x, was in files.items()
                if x in now["files"] and was["sha256"] != now["files"][x]["sha256"]]  # fmt: skip
    if changed:
        raise InputError(
            f"{changed[0]} of run folder {folder} have changed since it began: bring them back, or "
            "start anew in another folder with --run."
        )
    if (were := before.get("processes", 1)) != processes():
        raise InputError(
            f"run folder {folder} was begun by {were} process{'es' * (were > 1)}, not by "
            f"{processes()}, and another number draws other dropout: start as many (torchrun's "
            "--nproc-per-node), or start anew in another folder with --run."
        )
    then, is_ = (
        {**x.get("packages", {}), "commit": x.get("commit"), "threads": x.get("threads")}
        for x in (before, now)
    )
    return [
        f"{what} was {then[what]} when {folder} began and is {is_[what]} now"
        for what in is_
        if then.get(what) and is_[what] and then[what] != is_[what]
    ]
