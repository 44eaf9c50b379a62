"""Files: written whole or not at all, read or refused with a sentence, folders held by a lock."""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backtranslate.files import aside as aside
from backtranslate.files import make_folder as make_folder
from backtranslate.files import remove as remove
from backtranslate.files import sync_entry as sync_entry
from mixtext.errors import InputError, reads, reason_of

if TYPE_CHECKING:
    from torch import Tensor

WAY_OUT = "bring it back from a copy, or begin anew in another folder"


def write_text(path: Path, text: str) -> None:
    """Writes a file atomically, see `aside`; lines end as they do in `text`."""
    with aside(path) as half, half.open("x", encoding="utf-8", newline="") as file:
        file.write(text)


def write_json(path: Path, value: Any) -> None:
    """Writes JSON atomically."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


@reads(WAY_OUT)
def read_json(path: Path) -> dict[str, Any]:
    """Reads a JSON object that a run has written.

    Raises:
        InputError: the file is missing, empty or damaged.
    """
    if not path.is_file():
        raise InputError(f"{path} is missing: {WAY_OUT}.")
    raw = path.read_bytes()
    try:
        value = json.loads(raw)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise InputError(f"{path} is {'damaged' if raw.strip() else 'empty'}: {WAY_OUT}.")
    return value


def save_tensors(tensors: dict[str, "Tensor"], path: Path) -> None:
    """Saves tensors atomically, see `aside`. Tied tensors are stored twice.

    Raises:
        InputError: there is no room for them.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file  # loads torch, which takes seconds

    whole = {name: t.detach().cpu().clone().contiguous() for name, t in tensors.items()}
    with aside(path) as half:
        try:
            save_file(whole, half)
            usual_mode(half)
        except SafetensorError as error:  # a full disk
            raise InputError(f"{path} cannot be written: {reason_of(error)}.") from None


def usual_mode(path: Path) -> None:
    """Lets those read and write a file whom the umask lets; safetensors lets its owner alone."""
    os.umask(umask := os.umask(0))
    path.chmod(0o666 & ~umask)


@reads(WAY_OUT)
def load_tensors(path: Path) -> dict[str, "Tensor"]:
    """Loads tensors that a run has saved.

    Raises:
        InputError: the file is missing, cut off or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise InputError(f"{path} is missing: {WAY_OUT}.")
    try:
        return load_file(path)
    except (SafetensorError, ValueError):
        raise InputError(f"{path} is damaged: {WAY_OUT}.") from None


def checksum(path: Path) -> str:
    """SHA-256 of a file; of a folder, that of the names and contents of the files right in it.

    Hidden files and folders in the folder do not count.
    """
    if path.is_file():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    parts = [x for x in path.iterdir() if x.is_file() and not x.name.startswith(".")]
    lines = [f"{part.name} {checksum(part)}\n" for part in sorted(parts)]
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


@contextmanager
def locked(folder: Path, wait: bool = False) -> Iterator[None]:
    """Keeps a folder for this process alone, by a lock on the file `lock` in it, which stays there.

    The kernel lets go of the lock when the process ends, however it ends.

    Args:
        folder: the folder.
        wait: until another process has let go of it.

    Raises:
        InputError: another process holds it.
    """
    with (folder / "lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                f"another process is at work in {folder}: wait until it has ended, or take "
                "another folder."
            ) from None
        yield
