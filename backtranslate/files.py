"""Files and folders written whole or not at all, and on the disk before they count."""

import contextlib
import ctypes
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

HERE, EXCHANGE = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of linux/fs.h


@contextlib.contextmanager
def aside(path: Path) -> Iterator[Path]:
    """A place beside `path` to write a file or a folder to, which then takes the place of `path`.

    When the block ends, what was written is on the disk and stands at `path` by one rename: whoever
    reads finds the old or the new, whole. When it raises, `path` is as it was; of a process that is
    killed the next one clears away what was half written. Writers of one folder wait for each
    other; so no two of these blocks may stand in one another for places in the same folder.

    Yields:
        The place, where nothing is: make a file or a folder there.
    """
    half = path.with_name(f".{path.name}.half")
    make_folder(path.parent)
    with _alone(path.parent):
        remove(half)
        try:
            yield half
            sync(half)
            _put(half, path)
            sync_entry(path.parent)
        finally:
            remove(half)


def make_folder(folder: Path) -> None:
    """Makes a folder, and those that it is in, and waits until they are on the disk."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync_entry(folder.parent)


def sync(path: Path) -> None:
    """Waits until a file, or a folder with all that is in it, is on the disk."""
    if path.is_dir():
        for inner in path.iterdir():
            sync(inner)
    sync_entry(path)


def remove(path: Path) -> None:
    """Deletes a file or a folder, if it is there; of a link, the link."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def sync_entry(path: Path) -> None:
    """Waits until a file, or the list of what is in a folder, is on the disk."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    number = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # some network file systems lock no folders
            fcntl.flock(number, fcntl.LOCK_EX)
        yield
    finally:
        os.close(number)


def _put(new: Path, path: Path) -> None:
    """Renames `new` to `path`; a folder that is there goes where `new` was, in the same step."""
    if not (path.is_dir() and new.is_dir()):
        os.replace(new, path)
    elif not _exchange(new, path):
        # A file system that cannot exchange: between these two lines a kill leaves no folder.
        old = path.with_name(f".{path.name}.old")
        remove(old)
        os.rename(path, old)
        os.rename(new, path)
        remove(old)


def _exchange(one: Path, other: Path) -> bool:
    """Exchanges two places in one step; False where the system cannot."""
    rename = getattr(ctypes.CDLL(None), "renameat2", None)
    return rename is not None and not rename(
        HERE, os.fsencode(one), HERE, os.fsencode(other), EXCHANGE
    )
