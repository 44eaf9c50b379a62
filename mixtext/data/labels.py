"""Labels of a corpus: classes by number or name, or scores; and which of them are missing."""

import math
from collections.abc import Iterable, Sequence

import numpy as np

from mixtext.errors import InputError

MISSING = -1  # label of a row whose class is not known


def has_label(labels: np.ndarray) -> np.ndarray:
    """Which rows have a label, bool, shape `(N,)`; of classes or scores, as in `Corpus.labels`."""
    return ~np.isnan(labels) if labels.dtype.kind == "f" else labels >= 0


def encode_scores(
    scores: Sequence[float | None] | np.ndarray, row_ids: Sequence[str], where: str
) -> np.ndarray:
    """Checks scores; float64, shape `(N,)`, NaN = missing.

    Raises:
        InputError: a score that is infinite or no number.
    """
    numbers = np.full(len(scores), np.nan)
    for row, score in enumerate(scores):
        if score is None:
            continue
        is_number = isinstance(score, float | int | np.number) and not isinstance(score, bool)
        if not is_number or math.isinf(score):
            raise InputError(
                f"row '{row_ids[row]}' of {where} has the score {score!r}: a score is a finite "
                "number, so correct it, or give None where it is missing."
            )
        numbers[row] = score
    return numbers


def encode_labels(
    labels: Sequence[str | int | None],
    label_names: Sequence[str] | None,
    row_ids: Sequence[str],
    where: str,
) -> tuple[np.ndarray, list[str]]:
    """Turns labels into indices.

    Args:
        labels: N names, numbers or None for missing.
        label_names: the C names; None: the distinct labels, sorted.
        row_ids: N ids, for messages.
        where: how messages call the corpus.

    Returns:
        The indices, int64, shape `(N,)`, -1 = missing, and the C names.

    Raises:
        InputError: a label that is not among the names, or a name given twice.
    """
    for row, label in enumerate(labels):
        if not (label is None or isinstance(label, str | int | np.integer)):
            raise InputError(
                f"row '{row_ids[row]}' of {where} has the label {label!r}: a label is a class, "
                "so give its name, a whole number, or None."
            )
    if label_names is None:
        distinct = {str(x) for x in labels if not _is_missing(x)}
        names = sorted_names(distinct)
        labels = [None if _is_missing(x) else str(x) for x in labels]
    else:
        names = [str(x) for x in label_names]
    index = {name: i for i, name in enumerate(names)}
    if len(index) != len(names):
        twice = next(x for x in names if names.count(x) > 1)
        raise InputError(f"label_names of {where} holds '{twice}' twice: name each class once.")
    numbers = np.full(len(labels), MISSING, dtype=np.int64)
    for row, label in enumerate(labels):
        if _is_missing(label):
            continue
        found = index.get(label) if isinstance(label, str) else _in_range(label, len(names))
        if found is None:
            raise InputError(
                f"row '{row_ids[row]}' of {where} has the label {label!r}, which is not among the "
                f"label names {listing(names)}: correct the label or add its name."
            )
        numbers[row] = found
    return numbers, names


def sorted_names(names: Iterable[str]) -> list[str]:
    """Distinct names in sorted order; by value where all of them are whole numbers."""
    distinct = set(names)
    try:
        return sorted(distinct, key=lambda x: (int(x), x))
    except ValueError:
        return sorted(distinct)


def _is_missing(label: str | int | None) -> bool:
    return label is None or (not isinstance(label, str) and int(label) == MISSING)


def _in_range(label: int | None, classes: int) -> int | None:
    return int(label) if label is not None and 0 <= int(label) < classes else None


def listing(names: Sequence[str], most: int = 10) -> str:
    """Names for a message: the first few, and how many more there are."""
    shown = ", ".join(f"'{x}'" for x in names[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")
