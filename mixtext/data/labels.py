"""Labels: classes by number or name, or scores; out of cells, checked, and which are missing."""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import numpy as np

from mixtext.errors import InputError

MISSING = -1  # label of a row whose class is not known
# What may stand for a label that is not there, but is a class of some corpora: noted, no more.
DOUBTFUL = {
    *("none", "null", "nan", "nil", "n/a", "n.a.", "na", "nat", "?", "-", "--", "unknown"),
    *("undefined", "missing", "unlabeled", "unlabelled", "unannotated", "no label", "todo", "tbd"),
}


def target_of(labels: np.ndarray) -> Literal["classes", "scores"]:
    """What labels as in `Corpus.labels` are: int64 numbers of classes, or float64 scores."""
    return "scores" if labels.dtype.kind == "f" else "classes"


def has_label(labels: np.ndarray) -> np.ndarray:
    """Which rows have a label, bool, shape `(N,)`; of classes or scores, as in `Corpus.labels`."""
    return ~np.isnan(labels) if target_of(labels) == "scores" else labels >= 0


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
    labels: Sequence[str | float | None],
    label_names: Sequence[str] | None,
    row_ids: Sequence[str],
    where: str,
) -> tuple[np.ndarray, list[str]]:
    """Turns labels into indices.

    Args:
        labels: N names, whole numbers, or what `plain_label` takes for missing.
        label_names: the C names; None: the distinct labels, sorted.
        row_ids: N ids, for messages.
        where: how messages call the corpus.

    Returns:
        The indices, int64, shape `(N,)`, -1 = missing, and the C names.

    Raises:
        InputError: a label that is not among the names, or a name given twice.
    """
    plain = [plain_label(x) for x in labels]
    for row, label in enumerate(plain):
        if not (label is None or isinstance(label, str | int)):
            raise InputError(
                f"row '{row_ids[row]}' of {where} has the label {label!r}: a label is a class, "
                "so give its name, a whole number, or None."
            )
    if label_names is None:
        plain = [None if x is None else name_of(x) for x in plain]
        names = sorted_names({x for x in plain if x is not None})
    else:
        names = [str(x) for x in label_names]
    index = {name: i for i, name in enumerate(names)}
    if len(index) != len(names):
        twice = next(x for x in names if names.count(x) > 1)
        raise InputError(f"label_names of {where} holds '{twice}' twice: name each class once.")
    numbers = np.full(len(plain), MISSING, dtype=np.int64)
    for row, label in enumerate(plain):
        if label is None:
            continue
        found = index.get(label) if isinstance(label, str) else _in_range(label, len(names))
        if found is None:
            raise InputError(
                f"row '{row_ids[row]}' of {where} has the label {label!r}, which is not among the "
                f"label names {listing(names)}: correct the label or add its name."
            )
        numbers[row] = found
    return numbers, names


def name_of(label: str | float) -> str:
    """A label as a name; true and false as JSON writes them."""
    return str(label).lower() if isinstance(label, bool) else str(label)


def sorted_names(names: Iterable[str]) -> list[str]:
    """Distinct names in sorted order; by value where all of them are whole numbers."""
    distinct = set(names)
    try:
        return sorted(distinct, key=lambda x: (int(x), x))
    except ValueError:
        return sorted(distinct)


def plain_label(label: Any) -> Any:
    """A label of a column of any kind, a whole number as an int, and None where it is missing.

    Missing are None, NaN (pandas' NA and NaT too), the number -1 and a string of blanks.
    """
    if isinstance(label, str):
        return label if label.strip() else None
    if label is None or type(label).__name__ in ("NAType", "NaTType"):
        return None
    if isinstance(label, float | np.floating) and not math.isfinite(label):
        return None if math.isnan(label) else label
    if isinstance(label, np.bool_):
        return bool(label)
    if isinstance(label, bool) or not isinstance(label, int | float | np.integer | np.floating):
        return label
    if label != int(label):
        return label
    return None if label == MISSING else int(label)


def _in_range(label: int, classes: int) -> int | None:
    return label if 0 <= label < classes else None


def listing(names: Sequence[str], most: int = 10) -> str:
    """Names for a message: the first few, and how many more there are."""
    shown = ", ".join(f"'{x}'" for x in names[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")


def alike(names: Iterable[str]) -> list[list[str]]:
    """Groups of names that differ only in case, accents' form, white space or invisible signs."""
    groups: dict[str, list[str]] = {}
    for name in names:
        seen = [x for x in unicodedata.normalize("NFC", name) if not _is_invisible(x)]
        groups.setdefault("".join("".join(seen).split()).casefold(), []).append(name)
    return [group for group in groups.values() if len(group) > 1]


def _is_invisible(sign: str) -> bool:
    """A format or control sign that is no white space, or what chooses the form of an emoji."""
    kind = unicodedata.category(sign)
    return kind == "Cf" or (kind == "Cc" and not sign.isspace()) or sign in "\ufe0e\ufe0f"


def shown(name: str) -> str:
    """A name for the screen: line breaks and other signs that cannot be seen are escaped."""
    return "".join(x if x.isprintable() else ascii(x)[1:-1] for x in name)


class Cells:
    """What turns cells of the label column into labels has in common: which ones are missing.

    Attributes:
        column: the column.
        missing: spellings of a missing label.
        called: what a message calls the options of these names.
        taken: how many cells of each spelling were taken as missing.
    """

    def __init__(
        self, column: str | None, missing: Sequence[str], called: Callable[[str], str]
    ) -> None:
        self.column, self.missing, self.called = column, frozenset(missing), called
        self.taken: Counter[str] = Counter()

    def is_missing(self, label: str) -> bool:
        """Whether a cell's content is one of the spellings, which is then counted."""
        if label not in self.missing:
            return False
        self.taken[label] += 1
        return True

    def notes(self) -> list[str]:
        """Sentences about the cells that were taken as missing."""
        return [
            f"{count:,} rows with the label {label!r} are taken as rows without one "
            f"({self.called('missing')} says which labels are)"
            for label, count in self.taken.items()
        ]


class Labeller(Cells):
    """Turns label cells into names, indices or None, as `Corpus.from_lists` takes them."""

    def __init__(
        self,
        column: str | None,
        names: Sequence[str] | None,
        first: int,
        missing: Sequence[str] = (),
        called: Callable[[str], str] = str,
    ) -> None:
        super().__init__(column, missing, called)
        if names is None and first != 0:
            raise InputError(
                f"{called('first_label')} is {first} but {called('label_names')} is not given: "
                f"give the names that the numbers stand for, or leave {called('first_label')} out."
            )
        self.names = None if names is None else [str(x) for x in names]
        self.first = first
        self.index = {x: i for i, x in enumerate(self.names or ())}
        # A name that is a number leaves no way to tell a name from an index.
        self.numbers = not any(_is_whole(x) for x in self.index)

    def __call__(self, cell: Any, place: str) -> str | int | None:
        if cell is None or (isinstance(cell, float) and math.isnan(cell)):
            return None
        if not isinstance(cell, str | int | float):
            raise InputError(f"{place}: '{self.column}' is {cell!r}, not a label: give one class.")
        label = str(cell).strip().strip("\ufeff")
        if not label:
            return None
        if label in self.index:
            return self.index[label]
        label = name_of(cell).strip().strip("\ufeff")
        # Tables that turn a column with gaps into floating point write 1.0 for class 1.
        label = re.sub(r"(?<=\d)\.0$", "", label) if _is_number(label) else label
        if self.names is None:
            # Whether −1 is missing, the other labels tell: see `settle`.
            return None if label != "-1" and self.is_missing(label) else label
        if label in self.index:
            return self.index[label]
        if self.is_missing(label):
            return None
        listing = ", ".join(f"'{x}'" for x in self.names)
        if self.numbers and _is_whole(label):
            number = int(label) - self.first
            if 0 <= number < len(self.names):
                return number
            raise InputError(
                f"{place}: the label {label} in '{self.column}' is outside {self.first} to "
                f"{self.first + len(self.names) - 1}, the numbers of {listing}: correct it, or "
                f"set {self.called('first_label')} to the number of the first name."
            )
        raise InputError(
            f"{place}: the label '{label}' in '{self.column}' is not among {listing}: correct it "
            f"or add it to {self.called('label_names')}."
        )

    def settle(self, labels: list[str | int | None]) -> list[str | int | None]:
        """Takes −1 as missing, unless it is the rival of 1 or another number is below 0."""
        others = {x for x in labels if isinstance(x, str)} - {"-1"}
        is_class = others == {"1"} or any(_is_whole(x) and int(x) < 0 for x in others)
        if is_class or self.names is not None:
            return labels
        return [None if x == "-1" and self.is_missing("-1") else x for x in labels]

    def doubts(self, found: Iterable[str]) -> list[str]:
        """Sentences about classes that nobody has named and that may stand for a missing label."""
        return [
            f"{name!r} is read as a class; if it stands for a missing label, set "
            f"{self.called('missing')} to it"
            for name in found
            if self.names is None and name.casefold() in DOUBTFUL
        ]

    def check(self, labels: set[str | int | None], where: str) -> None:
        """Refuses a column of scores, whose distinct values would each become a class."""
        names = [x for x in labels if isinstance(x, str)]
        if names and all(map(_is_number, names)) and not all(map(_is_whole, names)):
            score = next(x for x in sorted(names) if not _is_whole(x))
            raise InputError(
                f"{where}: '{self.column}' holds scores such as {score}, not classes: set "
                f"{self.called('scores')} to their least and most, such as 0 and 5, for "
                f"regression, name another column, or give {self.called('label_names')} if these "
                "are names."
            )


class Scorer(Cells):
    """Turns label cells into scores in a range, or None, as `Corpus.from_lists` takes them."""

    def __init__(
        self,
        column: str,
        scores: Sequence[float],
        missing: Sequence[str] = (),
        called: Callable[[str], str] = str,
    ) -> None:
        super().__init__(column, missing, called)
        self.least, self.most = scores

    def __call__(self, cell: Any, place: str) -> float | None:
        if cell is None or (isinstance(cell, float) and math.isnan(cell)):
            return None
        text = str(cell).strip().strip("\ufeff")
        if not text:
            return None
        is_number = not isinstance(cell, bool) and _is_number(text)
        if is_number and self.least <= float(text) <= self.most:
            return float(text)
        if self.is_missing(text):
            return None
        if not is_number:
            raise InputError(
                f"{place}: '{self.column}' is {cell!r}, not a score: give a number, or leave the "
                "cell empty where it is missing."
            )
        raise InputError(
            f"{place}: the score {text} in '{self.column}' is outside {self.least:g} to "
            f"{self.most:g}: correct it, or widen {self.called('scores')}."
        )


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", text) is not None


def _is_whole(text: str) -> bool:
    return re.fullmatch(r"[+-]?\d+", text) is not None
