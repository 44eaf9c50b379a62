"""The manifest of a store: what its views are made of, so that only like is added to like."""

import contextlib
import errno
import fcntl
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from backtranslate.files import aside, make_folder
from backtranslate.reading import reading
from backtranslate.translator import BacktranslateError

MANIFEST = "manifest.json"

# What a manifest tells without binding later runs: the first run's versions and paths.
NOTES = ("made_with", "models")


class WriteError(BacktranslateError):
    """The disk is full or may not be written to. What was written before counts."""


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """The manifest of a store; None where there is none.

    Raises:
        BacktranslateError: the file is no manifest.
    """
    path = folder / MANIFEST
    if not path.exists():
        return None
    with reading(path, BacktranslateError):
        try:
            manifest = json.loads(path.read_bytes())
            pivots = manifest["pivots"].values()
            shapes = [(type(x["copies"]), type(x["translators"])) for x in pivots]
            if {*shapes} - {(int, list), (int, dict)} or type(manifest["shards"]) is not int:
                raise ValueError
        except (ValueError, LookupError, TypeError, AttributeError):
            raise BacktranslateError(f"{path} is no manifest of a store.") from None
        return manifest


def check_manifest(folder: Path, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Refuses to mix views that were made in different ways.

    Pivots that only one of the two has are no contradiction: a later run may add some.

    Raises:
        BacktranslateError: names what differs.
    """
    for key in sorted((found.keys() | wanted.keys()) - {"pivots", *NOTES}):
        if found.get(key) != wanted.get(key):
            raise BacktranslateError(
                f"{folder} holds views made with {key} {short(found.get(key))}, not "
                f"{short(wanted.get(key))}: choose another folder, or the settings of this one."
            )
    for pivot in found["pivots"].keys() & wanted["pivots"].keys():
        old, new = (side["pivots"][pivot]["translators"] for side in (found, wanted))
        if old != new:
            raise BacktranslateError(
                f"{folder} holds views through {pivot} made by {short(old)}, not {short(new)}: "
                "choose another folder, or the models of this one."
            )


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Makes the folder a store, or adds pivots and copies to the store that it is.

    Several machines may do this at once to a folder that they share.

    Returns:
        The manifest as it stands now.

    Raises:
        BacktranslateError: the folder holds views made in another way.
        WriteError: the disk is full.
    """
    with writing(folder):
        make_folder(folder)
        with (folder / ".lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            merged = dict(manifest)
            if found := read_manifest(folder):
                check_manifest(folder, found, manifest)
                pivots = {name: dict(pivot) for name, pivot in found["pivots"].items()}
                for name, pivot in manifest["pivots"].items():
                    copies = max(pivot["copies"], pivots.get(name, pivot)["copies"])
                    pivots[name] = {**pivot, "copies": copies}
                merged = {**found, "pivots": pivots}
            if merged != found:
                text = json.dumps(merged, indent=2, ensure_ascii=False) + "\n"
                replace_file(folder / MANIFEST, [text.encode()])
    return merged


def views_of(manifest: Mapping[str, Any]) -> list[tuple[str, int]]:
    """The (pivot, copy) pairs that every text has in a complete store."""
    return [
        (name, copy)
        for name, pivot in manifest["pivots"].items()
        for copy in range(pivot["copies"])
    ]


def replace_file(path: Path, lines: Iterable[bytes]) -> None:
    """Writes a file whole or not at all, and returns when it is on the disk."""
    with aside(path) as half, half.open("xb") as file:
        file.writelines(lines)


@contextlib.contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turns what the system says of a disk into a sentence."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise WriteError(
                f"no space left for {folder}: what was written before is safe; make room and run "
                "the same command again, it goes on from there."
            ) from error
        raise WriteError(f"cannot write to {folder}: {error.strerror or error}.") from error


def short(value: Any) -> str:
    """A value for a sentence, as JSON of at most 200 characters."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 200 else text[:200] + "…"
