"""Texts that stay on disk: a sequence of strings over one memory-mapped array of UTF-8."""

import hashlib
import struct
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, overload

import numpy as np

from mixtext.data.cache import Columns

CHUNK = 20_000  # texts that are in memory at a time


class StoredTexts(Sequence[str]):
    """N texts in bytes, of which those are made strings that are asked for."""

    def __init__(self, raw: np.ndarray, ends: np.ndarray, rows: np.ndarray | None = None):
        """Takes what `store` has written.

        Args:
            raw: the texts one behind another, UTF-8, uint8.
            ends: where each of them ends, int64.
            rows: which of them these are, in their order; None: all.
        """
        self.raw, self.ends, self.rows = raw, ends, rows

    def __len__(self) -> int:
        return len(self.ends if self.rows is None else self.rows)

    @overload
    def __getitem__(self, i: int) -> str: ...
    @overload
    def __getitem__(self, i: slice) -> list[str]: ...
    def __getitem__(self, i: int | slice) -> str | list[str]:
        """One text, or a list of some."""
        if isinstance(i, slice):
            return [self[row] for row in range(*i.indices(len(self)))]
        if not -len(self) <= i < len(self):
            raise IndexError(f"text {i} of {len(self)}")
        row = int(i % len(self) if self.rows is None else self.rows[i])
        start = int(self.ends[row - 1]) if row else 0
        return self.raw[start : int(self.ends[row])].tobytes().decode("utf-8", "surrogatepass")

    def __iter__(self) -> Iterator[str]:
        if self.rows is not None:
            yield from (self[i] for i in range(len(self.rows)))
            return
        for first in range(0, len(self.ends), CHUNK):
            raw, ends = self.part(first, first + CHUNK)
            whole, start = raw.tobytes(), 0
            for end in ends.tolist():
                yield whole[start:end].decode("utf-8", "surrogatepass")
                start = end

    def part(self, first: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """Bytes of some texts in a row, all rows counted, and where each of them ends there."""
        start = int(self.ends[first - 1]) if first else 0
        ends = self.ends[first:stop] - start
        return self.raw[start : start + int(ends[-1]) if len(ends) else start], ends

    def select(self, rows: np.ndarray) -> "StoredTexts":
        """Some of the texts, in that order, by their numbers."""
        return StoredTexts(self.raw, self.ends, rows if self.rows is None else self.rows[rows])

    def index(self, value: Any, start: int = 0, stop: int | None = None) -> int:
        """Number of the first text that is `value`.

        Raises:
            ValueError: none is.
        """
        if self.rows is not None or start or stop is not None or not value:
            return super().index(value, start, len(self) if stop is None else stop)
        whole, wanted = self.raw.tobytes(), value.encode("utf-8", "surrogatepass")
        place = whole.find(wanted)
        while place >= 0:
            row = int(np.searchsorted(self.ends, place, side="right"))
            if self[row] == value:
                return row
            place = whole.find(wanted, place + 1)
        raise ValueError(f"{value!r} is not there")


def picked(texts: Sequence[str], rows: np.ndarray) -> Sequence[str]:
    """Some texts, in that order, by their numbers; those on disk stay there."""
    return texts.select(rows) if isinstance(texts, StoredTexts) else [texts[i] for i in rows]


def store(columns: Columns, name: str, texts: Sequence[str]) -> None:
    """Adds texts to columns, where `stored` finds them."""
    behind, left = 0, iter(texts)
    columns.add(f"{name}.ends", np.empty(0, np.int64))
    columns.add(name, np.empty(0, np.uint8))
    while part := [x.encode("utf-8", "surrogatepass") for x in islice(left, CHUNK)]:
        ends = behind + np.cumsum([len(x) for x in part])
        columns.add(name, np.frombuffer(b"".join(part), np.uint8))
        columns.add(f"{name}.ends", ends.astype(np.int64))
        behind = int(ends[-1])


def stored(arrays: dict[str, np.ndarray], name: str) -> StoredTexts:
    """The texts that `store` added under a name."""
    return StoredTexts(arrays[name], arrays[f"{name}.ends"])


def update(digest: Any, texts: Sequence[str]) -> None:
    """Adds each text, behind the number of its bytes, to a checksum of hashlib's."""
    if isinstance(texts, StoredTexts) and texts.rows is None:
        for first in range(0, len(texts), CHUNK):
            raw, ends = texts.part(first, first + CHUNK)
            starts = np.concatenate([[0], ends[:-1]])
            counts = (starts + 8 * np.arange(len(ends)))[:, None] + np.arange(8)
            both = np.empty(len(raw) + 8 * len(ends), np.uint8)
            is_text = np.ones(len(both), bool)
            is_text[counts] = False
            both[counts] = (ends - starts).astype("<i8")[:, None].view(np.uint8)
            both[is_text] = raw
            digest.update(both.data)
        return
    for text in texts:
        whole = text.encode("utf-8", "surrogatepass")
        digest.update(struct.pack("<q", len(whole)))
        digest.update(whole)


def digest_of_texts(texts: Sequence[str]) -> str:
    """SHA-256 of texts, wherever they are."""
    digest = hashlib.sha256()
    update(digest, texts)
    return digest.hexdigest()
