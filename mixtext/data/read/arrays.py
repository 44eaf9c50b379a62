"""Rows that are vectors or images: out of an `.npz` file, and scikit-learn's digits."""

import math
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from mixtext.data.corpus import Corpus
from mixtext.data.labels import listing
from mixtext.data.read.options import HEARD, UNSAID, ReadOptions
from mixtext.errors import InputError

_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def read_vectors_file(path: str | Path, options: ReadOptions = UNSAID, *, name: str = "") -> Corpus:
    """Reads vectors or images from a file that `numpy.savez` wrote.

    Args:
        path: the `.npz` file: array `x`, numbers of shape `(N, D)` or `(N, height, width)`, and
            array `y`, N classes: numbers (-1 = missing) or names ("" = missing). Without `y` no
            row has a label.
        options: names of the classes, whether to read them at all, and how large the arrays may be.
        name: what tables call the corpus; "": the file's name without its suffix.

    Raises:
        InputError: a file that is missing, not of this format, without `x`, or with arrays that
            are too large; values that are missing or infinite, by row; labels that are no classes
            or of another number.
    """
    path = Path(path)
    options.refuse_unheard(HEARD["npz"], f"{path} holds vectors, where it has no meaning")
    if not path.exists():
        raise InputError(f"{path} does not exist: check the path of the corpus.")
    most = round(options.unpacked_gib * 2**30)
    try:
        with zipfile.ZipFile(path) as archive:
            there = [x.removesuffix(".npy") for x in archive.namelist()]
            wanted = [x for x in ("x", "y") if x in there and (x == "x" or options.labels)]
            large = sum(archive.getinfo(f"{x}.npy").file_size for x in wanted)
            arrays = {} if large > most else {x: _array(archive, x) for x in wanted}
    except Exception as error:  # a damaged archive raises nearly anything
        reason = " ".join(str(error).split()).rstrip(".")[:200] or type(error).__name__
        raise InputError(
            f"{path} cannot be read ({reason}): write it with numpy.savez(path, x=…, y=…), without "
            "Python objects in the arrays."
        ) from None
    if large > most:
        raise InputError(
            f"the arrays of {path} unpack to {large / 2**30:,.1f} GiB, more than "
            f"{options.called('unpacked_gib')} = {options.unpacked_gib:g} allows: raise it if you "
            "trust the file and have the memory."
        )
    if "x" not in arrays:
        raise InputError(
            f"{path} has no array 'x' but {listing(sorted(there)) or 'none'}: write it with "
            "numpy.savez(path, x=…, y=…)."
        )
    classes = _labels(arrays["y"], path) if "y" in arrays else None
    names = options.label_names or None
    corpus = Corpus.from_vectors(arrays["x"], classes, label_names=names, name=str(path))
    return replace(corpus, name=name or path.stem, source=str(path))


def _array(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    """One array, if its header is true: NumPy makes room for what that says before it reads."""
    member = archive.getinfo(f"{name}.npy")
    with archive.open(member) as file:
        version = npy.read_magic(file)
        if version not in _HEADERS:
            raise ValueError(f"the array {name!r} is not one of numbers or strings")
        shape, _, dtype = _HEADERS[version](file)
        said, there = math.prod(shape) * dtype.itemsize, member.file_size - file.tell()
    # Python objects have a size of their own; they are refused below.
    if said != there and not dtype.hasobject:
        raise ValueError(f"the array {name!r} says that it has {said} bytes, and has {there}")
    with archive.open(member) as file:
        # Without pickle: an array of Python objects could run anything when it is read.
        return npy.read_array(file, allow_pickle=False)


def _labels(y: np.ndarray, path: Path) -> list[str | int | None]:
    if y.ndim != 1 or y.dtype.kind not in "iufU":
        raise InputError(
            f"the array 'y' of {path} has the shape {y.shape} and type {y.dtype}: give one class "
            "a row, as a whole number or a string."
        )
    if y.dtype.kind == "U":
        return [str(x) if str(x).strip() else None for x in y]
    odd = np.flatnonzero(y != np.floor(y))  # NaN too
    if len(odd):
        raise InputError(
            f"the array 'y' of {path} has {len(odd)} value(s) that are no classes, the first "
            f"{y[odd[0]]} in row {odd[0]} (rows count from 0): give whole numbers, -1 where the "
            "class is missing."
        )
    return [int(x) for x in y]


def read_digits() -> Corpus:
    """The handwritten digits that come with scikit-learn: 1,797 images, 8 × 8, 0 to 9.

    Pixels are scaled from 0 … 16 to [0, 1].
    """
    # Only here: importing scikit-learn takes a second.
    from sklearn.datasets import load_digits

    digits = load_digits()
    return Corpus.from_vectors(
        digits.images / 16, digits.target, label_names=[str(x) for x in range(10)]
    )
