"""Rows that are vectors or images: out of an `.npz` file, and scikit-learn's digits."""

import zipfile
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from mixtext.data.corpus import Corpus
from mixtext.data.labels import listing
from mixtext.data.read.options import HEARD, UNSAID, ReadOptions
from mixtext.errors import InputError

# What NumPy raises on a file that is no archive, or a damaged one.
_DAMAGED = (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile, zlib.error)


def read_vectors_file(path: str | Path, options: ReadOptions = UNSAID, *, name: str = "") -> Corpus:
    """Reads vectors or images from a file that `numpy.savez` wrote.

    Args:
        path: the `.npz` file: array `x`, numbers of shape `(N, D)` or `(N, height, width)`, and
            array `y`, N classes: numbers (-1 = missing) or names ("" = missing). Without `y` no
            row has a label.
        options: names of the classes, and whether to read them at all.
        name: what tables call the corpus; "": the file's name without its suffix.

    Raises:
        InputError: a file that is missing, not of this format, or without `x`; values that are
            missing or infinite, by row; labels that are no classes or of another number.
    """
    path = Path(path)
    options.refuse_unheard(HEARD["npz"], f"{path} holds vectors, where it has no meaning")
    if not path.exists():
        raise InputError(f"{path} does not exist: check the path of the corpus.")
    try:
        # Without pickle: an array of Python objects could run anything when it is read.
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in ("x", "y") if key in file}
            there = sorted(file)
    except _DAMAGED as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise InputError(
            f"{path} cannot be read ({reason}): write it with numpy.savez(path, x=…, y=…), without "
            "Python objects in the arrays."
        ) from None
    if "x" not in arrays:
        raise InputError(
            f"{path} has no array 'x' but {listing(there) or 'none'}: write it with "
            "numpy.savez(path, x=…, y=…)."
        )
    classes = _labels(arrays["y"], path) if options.labels and "y" in arrays else None
    names = options.label_names or None
    corpus = Corpus.from_vectors(arrays["x"], classes, label_names=names, name=str(path))
    return replace(corpus, name=name or path.stem, source=str(path))


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
