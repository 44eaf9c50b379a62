"""Where views are kept: append-only JSON lines that survive kills, full disks and many machines.

A store is a folder:

    manifest.json               what the views are made of; another manifest is refused
    views-00000-of-00002.jsonl  one file a shard, one record a line:
                                {id, sha1 of source, pivot, copy, text, pivot_text, status}
    views.jsonl                 all of them in the order of the texts, once they are complete; where
                                there is one shard, its file is the same on the disk: a hard link
    complete.json               checksums of the texts and all files as they were found complete

A record counts once its line ends. What a killed run left half written is dropped and made again.
"""

import contextlib
import fcntl
import functools
import hashlib
import json
import os
import shutil
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple

from backtranslate.files import aside, sync_entry
from backtranslate.manifest import (
    MANIFEST,
    check_manifest,
    read_manifest,
    replace_file,
    short,
    views_of,
    writing,
)
from backtranslate.pipeline import View
from backtranslate.reading import reading
from backtranslate.translator import BacktranslateError

MERGED, COMPLETE = "views.jsonl", "complete.json"


def sha1(text: str) -> str:
    """SHA-1 of a text's UTF-8 bytes, hexadecimal; lone surrogates are passed on as they are."""
    return hashlib.sha1(text.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True)
class Corpus:
    """The source texts and their ids, in order. No id stands twice.

    Attributes:
        ids: (N,) ids.
        texts: (N,) texts.
    """

    ids: Sequence[str]
    texts: Sequence[str]

    def __post_init__(self) -> None:
        if len(set(self.ids)) != len(self.ids):
            seen: set[str] = set()
            twice = next(id_ for id_ in self.ids if id_ in seen or seen.add(id_))  # type: ignore[func-returns-value]
            raise BacktranslateError(
                f"id {twice!r} stands twice: give every text an id of its own."
            )

    def __len__(self) -> int:
        return len(self.ids)

    def describe(self) -> dict[str, Any]:
        """Number of texts and a checksum over ids and texts, for the manifest."""
        return {"texts": len(self), "sha1": self._sha1}

    @functools.cached_property
    def _sha1(self) -> str:
        digest = hashlib.sha1()
        for id_, text in zip(self.ids, self.texts, strict=True):
            digest.update(f"{len(id_)} {id_}{sha1(text)}".encode("utf-8", "surrogatepass"))
        return digest.hexdigest()


def record(id_: str, source: str, pivot: str, copy: int, view: View) -> dict[str, Any]:
    """One line of a store or of a views file."""
    return {
        "id": id_,
        "sha1": sha1(source),
        "pivot": pivot,
        "copy": copy,
        "text": view.text,
        "pivot_text": view.pivot_text,
        "status": view.status,
    }


def encode(entry: Mapping[str, Any]) -> bytes:
    """A record as one line of UTF-8; only one with lone surrogates is written with escapes."""
    try:
        return (json.dumps(entry, ensure_ascii=False) + "\n").encode()
    except UnicodeEncodeError:
        return (json.dumps(entry) + "\n").encode()


# --- shards


def shard_path(folder: Path, shard: int, shards: int) -> Path:
    """File of shard number `shard` of `shards`."""
    return folder / f"views-{shard:05d}-of-{shards:05d}.jsonl"


class Line(NamedTuple):
    """A record and where it stands: line number from 1, offsets in bytes of its begin and end."""

    number: int
    begin: int
    end: int
    record: dict[str, Any]


def read_records(path: Path) -> Iterator[Line]:
    """Reads the records of a shard or a views file; a torn last line is left out.

    Raises:
        BacktranslateError: a broken line that others follow.
    """
    broken = end = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if broken:
                raise BacktranslateError(
                    f"{path}, line {broken} is no record of a view: the file was damaged; delete "
                    "the line, and a second run makes what is missing."
                )
            begin, end = end, end + len(line)
            if (entry := _parse(line)) is None:
                broken = number
            else:
                yield Line(number, begin, end, entry)


def _parse(line: bytes) -> dict[str, Any] | None:
    if not line.endswith(b"\n"):
        return None
    try:
        entry = json.loads(line)
        fields = [entry[key] for key in ("id", "sha1", "pivot", "text", "pivot_text", "status")]
        return (
            entry if all(isinstance(f, str) for f in [*fields, str(int(entry["copy"]))]) else None
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def refuse_foreign(out: Path, *sources: Path) -> None:
    """Refuses to write views over a file that holds none, or that is one of the sources.

    Raises:
        BacktranslateError: names the file.
    """
    if any(out.exists() and source.exists() and out.samefile(source) for source in sources):
        raise BacktranslateError(f"{out} is read and would be written over: choose another --out.")
    if out.exists() and not out.is_file():
        raise BacktranslateError(f"{out} is no file: choose another --out.")
    if out.is_file() and out.stat().st_size:
        with out.open("rb") as file:
            first = file.readline()
        if _parse(first) is None:
            raise BacktranslateError(
                f"{out} is there already and holds no views: move it away, or choose another --out."
            )


class Index:
    """Which record stands where: for each view and text, the file and the offset of its line."""

    def __init__(self, corpus: Corpus) -> None:
        """Begins empty."""
        self.corpus = corpus
        self._position = {id_: i for i, id_ in enumerate(corpus.ids)}
        # (pivot, copy) → for each text the file's number and the offset; −1 where there is none.
        self._places: dict[tuple[str, int], tuple[array[int], array[int]]] = {}
        self.files: list[Path] = []

    def add_file(self, path: Path) -> int:
        """Takes in a shard; returns where its last whole line ends.

        Raises:
            BacktranslateError: a broken line, an id that the corpus lacks, a source text that has
                changed since, or a view that stands twice.
        """
        self.files.append(path)
        end = 0
        for number, begin, end, entry in read_records(path):  # noqa: B007
            where = f"{path}, line {number}: "
            i = self._position.get(entry["id"])
            if i is None:
                raise BacktranslateError(f"{where}id {entry['id']!r} is not among the texts.")
            if entry["sha1"] != sha1(self.corpus.texts[i]):
                raise BacktranslateError(
                    f"{where}the text of id {entry['id']!r} has changed since its view was made: "
                    "choose another folder."
                )
            if self.has(entry["pivot"], entry["copy"], i):
                raise BacktranslateError(
                    f"{where}id {entry['id']!r} has view {entry['pivot']}/{entry['copy']} twice."
                )
            self.add(entry["pivot"], entry["copy"], i, begin)
        return end

    def add(self, pivot: str, copy: int, i: int, offset: int) -> None:
        """Notes a record of the file that was added last."""
        if (pivot, copy) not in self._places:
            blank = array("q", [-1]) * len(self.corpus)
            self._places[pivot, copy] = (blank, array("q", blank))
        files, offsets = self._places[pivot, copy]
        files[i], offsets[i] = len(self.files) - 1, offset

    def has(self, pivot: str, copy: int, i: int) -> bool:
        """Whether text number i has the view."""
        place = self._places.get((pivot, copy))
        return place is not None and place[0][i] >= 0

    def read(self, views: Iterable[tuple[str, int]], rows: Iterable[int]) -> Iterator[bytes]:
        """The lines of the given texts in that order, all views of a text together."""
        wanted = [self._places[view] for view in views if view in self._places]
        with contextlib.ExitStack() as stack:
            opened = [stack.enter_context(path.open("rb")) for path in self.files]
            for i in rows:
                for files, offsets in wanted:
                    if files[i] >= 0:
                        file = opened[files[i]]
                        file.seek(offsets[i])
                        yield file.readline()


class Shard:
    """One shard's file, open for appending by this process alone.

    Use as a context manager. `index` knows what is there.
    """

    def __init__(self, folder: Path, corpus: Corpus, shard: int, shards: int) -> None:
        """Opens the file, drops a torn last line and reads what is there.

        Raises:
            BacktranslateError: another process writes this shard; or see `Index.add_file`.
            WriteError: the file cannot be made.
        """
        self.folder, self.path = folder, shard_path(folder, shard, shards)
        self.index = Index(corpus)
        with reading(self.path, BacktranslateError), writing(folder):
            self._file: IO[bytes] = self.path.open("ab", buffering=0)
            sync_entry(folder)
        try:
            if not _lock(self._file, self.path):
                raise BacktranslateError(
                    f"{self.path} is being written by another process: wait for it, or give each "
                    "process a shard of its own."
                )
            self._end = self.index.add_file(self.path)
            self._file.truncate(self._end)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> "Shard":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def append(self, entries: Sequence[Mapping[str, Any]], rows: Sequence[int]) -> None:
        """Adds records, and returns when they are on the disk.

        Args:
            entries: records that the shard lacks.
            rows: number of each record's text in the corpus.

        Raises:
            WriteError: the disk is full. None of the records counts, all earlier ones do.
        """
        lines = [encode(entry) for entry in entries]
        data = memoryview(b"".join(lines))
        with writing(self.folder):
            if os.fstat(self._file.fileno()).st_nlink > 1:  # views.jsonl stays as it is
                self._copy()
            try:
                while data:
                    data = data[self._file.write(data) :]
                os.fsync(self._file.fileno())
            except OSError:
                with contextlib.suppress(OSError):  # a full disk can still shorten a file
                    self._file.truncate(self._end)
                raise
        for entry, i, line in zip(entries, rows, lines, strict=True):
            self.index.add(entry["pivot"], entry["copy"], i, self._end)
            self._end += len(line)

    def _copy(self) -> None:
        """Makes the file one of its own, whose lock this process holds before anyone sees it."""
        with aside(self.path) as half:
            shutil.copyfile(self.path, half)
            own = half.open("ab", buffering=0)
            fcntl.flock(own, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._file.close()
        self._file = own


def _lock(file: IO[bytes], path: Path) -> bool:
    """Locks a shard's file; False where another process has it, or has put another in its place."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return os.path.samestat(os.fstat(file.fileno()), path.stat())


# --- one file of all shards


def merge(folders: Sequence[Path], corpus: Corpus, out: Path) -> int:
    """Proves a store complete and writes its views to one file in the order of the corpus.

    Args:
        folders: one store, or the folders of several machines that hold one shard or more each.
        corpus: the source texts: every record's checksum is checked against them.
        out: the views file; replaced whole or not at all, and left alone where it is that already.

    Returns:
        Number of views written.

    Raises:
        BacktranslateError: no store, other texts, manifests that differ, a missing shard, a view
            that is missing or stands twice, a damaged file.
        WriteError: the disk is full.
    """
    manifests = [(folder, read_manifest(folder)) for folder in folders]
    for folder, manifest in manifests:
        if manifest is None:
            raise BacktranslateError(f"{folder} is no store of views: it has no {MANIFEST}.")
    first = manifests[0][1]
    assert first is not None
    for folder, manifest in manifests:
        assert manifest is not None
        check_manifest(folder, manifest, {**first, "corpus": corpus.describe()})
        if manifest["pivots"] != first["pivots"]:
            raise BacktranslateError(
                f"{folder} holds views through {short(list(manifest['pivots']))}, and "
                f"{folders[0]} through {short(list(first['pivots']))}: finish all shards first."
            )
    views = views_of(first)
    here = len(folders) == 1 and out == folders[0] / MERGED
    if here and is_complete(folders[0], corpus):
        return len(views) * len(corpus)
    index = Index(corpus)
    for shard in range(first["shards"]):
        paths = [shard_path(folder, shard, first["shards"]) for folder in folders]
        paths = [path for path in paths if path.is_file()]
        if not paths:
            raise BacktranslateError(
                f"{folders[0]}: shard {shard} of {first['shards']} is missing: run it with "
                f"--num-shards {first['shards']} --shard {shard}."
            )
        for path in paths:
            index.add_file(path)
    for pivot, copy in views:
        missing = [i for i in range(len(corpus)) if not index.has(pivot, copy, i)]
        if missing:
            raise BacktranslateError(
                f"{folders[0]}: view {pivot}/{copy} is missing for {len(missing)} of {len(corpus)} "
                f"texts (first: id {corpus.ids[missing[0]]!r}): run the same command again to make "
                "them."
            )
    if not _holds(out, index.read(views, range(len(corpus)))):
        with writing(out.parent):
            replace_file(out, index.read(views, range(len(corpus))))
    if here:
        with contextlib.suppress(OSError):  # without these it takes more room and time, no more
            if first["shards"] == 1:
                _share(out, shard_path(folders[0], 0, 1))
            sums = json.dumps({"texts": corpus.describe(), "sha256": _checksums(folders[0])})
            replace_file(folders[0] / COMPLETE, [f"{sums}\n".encode()])
    return len(views) * len(corpus)


def is_complete(folder: Path, corpus: Corpus) -> bool:
    """Whether a store is as it was when it was found complete, with views of these very texts."""
    try:
        if not (folder / COMPLETE).is_file():
            return False
        found = json.loads((folder / COMPLETE).read_bytes())
        return bool(found == {"texts": corpus.describe(), "sha256": _checksums(folder)})
    except (OSError, ValueError, RecursionError):
        return False


def _checksums(folder: Path) -> dict[str, str]:
    """SHA-256 of manifest, shards and views file; what is one file on the disk is read once.

    Raises:
        OSError: one of them is missing, or no file that ends.
    """
    known: dict[tuple[int, int], str] = {}
    found = {}
    for path in [folder / MANIFEST, *sorted(folder.glob("views*.jsonl"))]:
        if not path.is_file():
            raise FileNotFoundError(path)
        with path.open("rb") as file:
            about = os.fstat(file.fileno())
            place = about.st_dev, about.st_ino
            if place not in known:
                known[place] = hashlib.file_digest(file, "sha256").hexdigest()
        found[path.name] = known[place]
    return found


def _share(out: Path, shard: Path) -> None:
    """Puts the views file in the place of the only shard's file, if that holds just as much."""
    with shard.open("ab") as file:
        if not _lock(file, shard) or out.samefile(shard):
            return
        if file.tell() == out.stat().st_size:  # nobody has added anything
            with aside(shard) as half:
                os.link(out, half)


def _holds(path: Path, lines: Iterable[bytes]) -> bool:
    """Whether a file consists of these lines."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return all(file.readline() == line for line in lines) and not file.read(1)
