"""States of frozen blocks, kept in a file: a row's are computed when it is first met, later read.

A row is known by its tokens: labelled, unlabelled, a stored view, dev. States at its padding belong
to it, since a mix takes them in. So they are as wide as the batch was that the row was first met
in, and computed anew where another is wider.

In the last bits they depend on the rows that they were computed with, so a file serves one run, and
grows only at its end: a checkpoint says how long it was, and a run that goes on from there cuts it
to that length. It then computes what the unbroken run computes, and among the same rows.
"""

import os
import struct
import zlib
from collections.abc import Callable
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from mixtext.data.cache import most_bytes

# Before the states of a row: checksum of all that follows; its key, width, H, bytes of a number.
HEADER = struct.Struct("=I16sIII")
TYPES = {2: torch.bfloat16, 4: torch.float32, 8: torch.float64}  # by their bytes

Begin = Callable[[Tensor, Tensor | None, Tensor | None], Tensor | None]


class _Place(NamedTuple):
    start: int  # in the file, bytes
    width: int  # tokens, T
    hidden: int  # H
    size: int  # of a number, bytes

    @property
    def bytes(self) -> int:
        return self.width * self.hidden * self.size

    @property
    def end(self) -> int:
        return self.start + self.bytes


class KeptStates:
    """What `MixableEncoder.begin` makes of rows on a CPU, each row once; a copy is the same one.

    Attributes:
        path: the file; None: nothing is kept, each row is computed each time.
        length: bytes of the file that are good.
    """

    def __init__(self) -> None:
        """Keeps nothing before `go_on`."""
        self.path: Path | None = None
        self.length = 0
        self._places: dict[bytes, _Place] = {}
        self._mapped = np.empty(0, dtype=np.uint8)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """A copy of a model, a teacher, has the same frozen blocks."""
        return self

    def go_on(self, path: Path, length: int) -> None:
        """Keeps states in a file from now on.

        Args:
            path: the file, there or not.
            length: what of it counts, in bytes. Of a damaged one less does.
        """
        self.path, self.length, self._places = path, 0, {}
        self._mapped = self._mapped[:0]
        with suppress(OSError, struct.error), path.open("rb") as file:
            while self.length < length:
                header = file.read(HEADER.size)
                told, key, *shape = HEADER.unpack(header)
                place = _Place(self.length + HEADER.size, *shape)
                states = file.read(place.bytes) if place.end <= length else b""
                if zlib.crc32(states, zlib.crc32(header[4:])) != told:
                    break
                self._places[key], self.length = place, place.end
        with suppress(OSError):
            path.touch()
            os.truncate(path, self.length)

    def delete(self) -> None:
        """Deletes the file and keeps nothing any more."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)
        self.path, self.length, self._places = None, 0, {}

    def of(
        self, begin: Begin, ids: Tensor, mask: Tensor | None, types: Tensor | None
    ) -> Tensor | None:
        """States `(B, T, H)` of rows: those that are kept, and `begin`'s of the others."""
        if self.path is None:
            return begin(ids, mask, types)
        keys, width = _keys(ids, mask, types), ids.shape[1]
        new = [i for i, key in enumerate(keys) if not self._has(key, width)]
        made: dict[int, Tensor] = {}
        if new:
            some = [None if x is None else x[new] for x in (mask, types)]
            states = begin(ids[new], *some)
            if states is None:
                return None
            made = dict(zip(new, states, strict=True))
        kept = {i: self._read(key, width) for i, key in enumerate(keys) if i not in made}
        self._write({keys[i]: states for i, states in made.items()})
        return torch.stack([made[i] if i in made else kept[i] for i in range(len(keys))])

    def _has(self, key: bytes, width: int) -> bool:
        return key in self._places and self._places[key].width >= width

    def _read(self, key: bytes, width: int) -> Tensor:
        place = self._places[key]
        if place.end > len(self._mapped):
            assert self.path is not None
            self._mapped = np.memmap(self.path, np.uint8, "c")  # torch wants it writable
        states = torch.from_numpy(self._mapped[place.start : place.end]).view(TYPES[place.size])
        return states.view(place.width, place.hidden)[:width]

    def _write(self, rows: dict[bytes, Tensor]) -> None:
        """Adds rows to the file, where there is room; else they are computed again."""
        assert self.path is not None
        parts: list[bytes] = []
        places, length = {}, self.length
        for key, states in rows.items():
            raw = states.contiguous().view(torch.uint8).numpy().tobytes()
            width, hidden = states.shape
            place = _Place(length + HEADER.size, width, hidden, states.itemsize)
            header = HEADER.pack(0, key, *place[1:])[4:]
            parts += [struct.pack("=I", zlib.crc32(raw, zlib.crc32(header))), header, raw]
            places[key], length = place, place.end
        if parts and length <= most_bytes():
            with suppress(OSError), self.path.open("r+b") as file:
                file.seek(self.length)
                file.writelines(parts)
                file.flush()
                self._places |= places
                self.length = length


def _keys(ids: Tensor, mask: Tensor | None, types: Tensor | None) -> list[bytes]:
    """What tells rows apart: their tokens, and without a mask their padding, which is seen too."""
    width = ids.shape[1]
    lengths = [width] * len(ids) if mask is None else mask.sum(1).tolist()
    parts = [x.numpy() for x in (ids, types) if x is not None]
    return [
        blake2b(b"".join(x[i, :n].tobytes() for x in parts), digest_size=16).digest()
        for i, n in enumerate(lengths)
    ]
