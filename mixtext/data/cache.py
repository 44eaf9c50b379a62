"""Arrays that are made once and kept on disk, under an address made of all that they depend on.

    CACHE/tokens/3f/lock               held while one of this kind and first digits is made
    CACHE/tokens/3f/3f…/about.json     what it is, and of each array its type and SHA-256
    CACHE/tokens/3f/3f…/ids            one array, memory-mapped by all who use it

Nothing depends on the cache. What is damaged or of another version is made anew, and where nothing
can be written (no room, no right, a disk that is only read) arrays are made in memory, each time.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import IO, Any

import numpy as np

from mixtext.errors import InputError
from mixtext.files import aside, checksum, locked, make_folder, remove, write_json

ABOUT = "about.json"
USUAL_GB = 10.0


class Columns:
    """Flat arrays that grow, in the files of a folder or in memory."""

    def __init__(self, folder: Path | None = None):
        """Begins without any; the folder is there and empty."""
        self.folder = folder
        self.parts: dict[str, list[np.ndarray]] = {}
        self.files: dict[str, IO[bytes]] = {}
        self.about: dict[str, dict[str, str]] = {}
        self.sums: dict[str, Any] = {}

    def add(self, name: str, values: np.ndarray) -> None:
        """Adds values of one dimension behind those of that name; their type is always the same."""
        if self.folder is None:
            self.parts.setdefault(name, []).append(values)
            return
        if name not in self.files:
            self.files[name] = (self.folder / name).open("xb")
            self.about[name] = {"type": values.dtype.str}
            self.sums[name] = hashlib.sha256()
        raw = memoryview(np.ascontiguousarray(values).data).cast("B") if len(values) else b""
        self.files[name].write(raw)
        self.sums[name].update(raw)

    def finish(self, about: dict[str, Any]) -> dict[str, np.ndarray]:
        """The arrays, by name; of a folder, none: its files are then complete."""
        if self.folder is None:
            return {name: np.concatenate(parts) for name, parts in self.parts.items()}
        self.close()
        for name, digest in self.sums.items():
            self.about[name]["sha256"] = digest.hexdigest()
        write_json(self.folder / ABOUT, {"about": about, "arrays": self.about})
        return {}

    def close(self) -> None:
        """Closes the files."""
        for file in self.files.values():
            file.close()


Kept = tuple[dict[str, np.ndarray], dict[str, Any]]


def kept(kind: str, depends: Iterable[object], make: Callable[[Columns], dict[str, Any]]) -> Kept:
    """Arrays, by name, and plain values about them: from the cache, or made now and kept there.

    Args:
        kind: a folder of the cache.
        depends: all that the arrays depend on but the code of `mixtext/data`, which is added.
        make: adds the arrays and returns the values, as JSON has them; may be called twice.

    Raises:
        InputError: as `make`; or a variable of the environment that says how is wrong.
    """
    root = cache_folder()
    if root is not None:
        told = json.dumps([kind, _code(), *map(str, depends)])
        address = hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest()
        entry = root / kind / address[:2] / address
        found = _read(entry)
        if found is None:
            with suppress(OSError):
                found = _make(entry, make)
                _make_room(root, entry)
        if found is not None:
            return found
    columns = Columns()
    about = make(columns)
    return columns.finish(about), about


def cache_folder() -> Path | None:
    """The folder of the cache, there or not; None where there is to be none."""
    if not most_bytes():
        return None
    with suppress(RuntimeError):  # there is no home
        usual = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        return Path(os.environ.get("MIXTEXT_CACHE") or Path(usual) / "mixtext").absolute()
    return None


def most_bytes() -> float:
    """What the cache may hold; 0: nothing is kept.

    Raises:
        InputError: MIXTEXT_CACHE_GB is no such number.
    """
    said = os.environ.get("MIXTEXT_CACHE_GB", "")
    try:
        most = float(said or USUAL_GB)
        if not 0 <= most < float("inf"):
            raise ValueError
    except ValueError:
        raise InputError(
            f"the environment variable MIXTEXT_CACHE_GB is {said!r}: set it to a number of "
            "gigabytes, 0 to keep no cache."
        ) from None
    return most * 1e9


def digest_of(*arrays: np.ndarray) -> str:
    """SHA-256 of arrays of numbers."""
    digest = hashlib.sha256()
    for values in arrays:
        digest.update(f"{values.dtype.str} {values.shape} ".encode())
        digest.update(np.ascontiguousarray(values).data)
    return digest.hexdigest()


@cache
def _code() -> str:
    """SHA-256 of the code that makes what is kept here."""
    here = Path(__file__).parent
    texts = [(str(x.relative_to(here)), x.read_bytes()) for x in sorted(here.rglob("*.py"))]
    return hashlib.sha256(repr(texts).encode()).hexdigest()


def _read(entry: Path) -> Kept | None:
    """What is kept at an address; None where that is nothing, or not as it was written."""
    try:
        saved = json.loads((entry / ABOUT).read_bytes())
        arrays = {}
        for name, told in saved["arrays"].items():
            if checksum(entry / name) != told["sha256"]:
                return None
            size = (entry / name).stat().st_size
            arrays[name] = np.empty(0, np.dtype(told["type"]))
            if size:  # nothing else can be mapped; as a plain array, whose slices cost less
                mapped = np.memmap(entry / name, arrays[name].dtype, "r")
                arrays[name] = mapped.view(np.ndarray)
        about = dict(saved["about"])
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None
    with suppress(OSError):
        os.utime(entry / ABOUT)  # the least recently used goes first
    return arrays, about


def _make(entry: Path, make: Callable[[Columns], dict[str, Any]]) -> Kept | None:
    make_folder(entry.parent)
    with locked(entry.parent, wait=True):
        found = _read(entry)  # another process may have been faster
        if found is None:
            with aside(entry) as half:
                half.mkdir()
                columns = Columns(half)
                try:
                    columns.finish(make(columns))
                finally:
                    columns.close()
            found = _read(entry)
    return found


def _make_room(root: Path, newest: Path) -> None:
    """Deletes what has not been used for longest until the rest fits, and what a kill has left."""
    for half in root.glob("*/*/.*.half"):
        _delete(half)
    used = {}
    for about in root.glob(f"*/*/*/{ABOUT}"):
        size = sum(file.stat().st_size for file in about.parent.iterdir())
        used[about.parent] = (about.stat().st_mtime, size)
    total, most = sum(size for _, size in used.values()), most_bytes()
    for entry in sorted(used, key=lambda x: used[x]):
        if total > most and entry != newest:
            _delete(entry)
            total -= used[entry][1]


def _delete(entry: Path) -> None:
    with suppress(InputError), locked(entry.parent):  # else it is just being made
        remove(entry)
