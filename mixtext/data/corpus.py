"""What a corpus is: texts or pairs of texts, labels that may be missing, and stable row ids."""

import hashlib
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mixtext.errors import InputError

MISSING = -1  # label of a row whose class is not known


@dataclass(frozen=True, eq=False)
class Corpus:
    """N rows. Build one with `Corpus.from_lists`, which checks it; the constructor trusts you.

    Texts stay Python lists: a NumPy array of strings gives every row the length of the longest,
    which for a million documents is tens of gigabytes.

    Attributes:
        texts: the documents, or the first texts of the pairs, N of them.
        labels: class of each row as an index into `label_names`, -1 = missing, int64, shape `(N,)`.
        label_names: names of the classes, C of them, in the order of the model's outputs.
        ids: N unique row ids that stay the same when rows are selected, dropped or reordered.
        pairs: the second texts, N of them; None for single texts.
        name: what tables call this corpus.
        replacements: characters that were not valid UTF-8 and were replaced by U+FFFD, in the
            whole source; a selection of rows keeps the number.
        source: where the rows were read from: a path or a hub name.
    """

    texts: list[str]
    labels: np.ndarray
    label_names: list[str]
    ids: list[str]
    pairs: list[str] | None = None
    name: str = ""
    replacements: int = 0
    source: str = ""

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def classes(self) -> int:
        """Number of classes, C. A class counts even where no row of it is present."""
        return len(self.label_names)

    def select(self, indices: Iterable[int] | np.ndarray) -> "Corpus":
        """The rows at `indices`, in that order, with their ids and all the label names.

        Args:
            indices: row numbers, shape `(M,)`; M = 0 gives an empty corpus.
        """
        rows = [int(i) for i in indices]
        return replace(
            self,
            texts=[self.texts[i] for i in rows],
            labels=self.labels[rows] if rows else self.labels[:0],
            ids=[self.ids[i] for i in rows],
            pairs=None if self.pairs is None else [self.pairs[i] for i in rows],
        )

    def checksum(self) -> str:
        """SHA-256 over ids, texts, pairs, labels and label names, as 64 hex digits.

        Name and source are left out: the same rows from another folder are the same data.
        """
        digest = hashlib.sha256()
        for part in (self.ids, self.texts, self.pairs, self.label_names):
            # The counts and lengths keep ["ab"] apart from ["a", "b"], and None from [].
            digest.update(struct.pack("<q", -1 if part is None else len(part)))
            for item in part or ():
                raw = item.encode("utf-8", "surrogatepass")
                digest.update(struct.pack("<q", len(raw)))
                digest.update(raw)
        digest.update(np.ascontiguousarray(self.labels, dtype="<i8").tobytes())
        return digest.hexdigest()

    def extended(self, other: "Corpus") -> "Corpus":
        """This corpus and the texts of another behind it, whose labels are taken away.

        Raises:
            InputError: one holds pairs and the other single texts; an id that both have.
        """
        if (self.pairs is None) != (other.pairs is None):
            raise InputError(f"{other.source or other.name}: pairs and single texts do not mix.")
        ids = [*self.ids, *(f"{other.name}/{x}" for x in other.ids)]
        _check_unique(ids, f"corpus '{self.name}' with '{other.name}'")
        return replace(
            self,
            texts=[*self.texts, *other.texts],
            labels=np.concatenate([self.labels, np.full(len(other), MISSING, dtype=np.int64)]),
            ids=ids,
            pairs=None if other.pairs is None else [*(self.pairs or ()), *other.pairs],
            replacements=self.replacements + other.replacements,
        )

    @classmethod
    def from_lists(
        cls,
        texts: Sequence[str],
        labels: Sequence[str | int | None] | np.ndarray | None = None,
        ids: Sequence[str] | None = None,
        label_names: Sequence[str] | None = None,
        pairs: Sequence[str] | None = None,
        name: str = "",
    ) -> "Corpus":
        """Checks the rows and builds a corpus.

        Args:
            texts: N documents.
            labels: N classes: names, numbers, or None for a missing one; None: all missing.
                With `label_names`, a number is an index into them and -1 is missing. Without,
                the distinct labels become the names, sorted (numbers by value), and the number
                -1 is missing too.
            ids: N unique row ids; None: "0", "1", …
            label_names: names of the classes, in the order of the model's outputs.
            pairs: N second texts.
            name: what tables call this corpus.

        Raises:
            InputError: no rows; lengths that differ; an id twice; a text that is empty or blank;
                a label that is not among `label_names`.
        """
        texts = list(texts)
        where = f"corpus '{name}'" if name else "the corpus"
        if not texts:
            raise InputError(f"{where} has no rows: give it at least one text.")
        for field, values in (("labels", labels), ("ids", ids), ("pairs", pairs)):
            if values is not None and len(values) != len(texts):
                raise InputError(
                    f"{where} has {len(texts)} texts but {len(values)} {field}: give one a row."
                )
        row_ids = [str(i) for i in range(len(texts))] if ids is None else [str(i) for i in ids]
        _check_unique(row_ids, where)
        seconds = None if pairs is None else list(pairs)
        _check_text(texts, row_ids, "text", where)
        if seconds is not None:
            _check_text(seconds, row_ids, "second text", where)
        numbers, names = encode_labels(
            [None] * len(texts) if labels is None else list(labels), label_names, row_ids, where
        )
        return cls(texts, numbers, names, row_ids, seconds, name)


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
                f"label names {_listing(names)}: correct the label or add its name."
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


def check_same_labels(train: Corpus, test: Corpus) -> None:
    """Checks that train and test number their classes alike.

    Raises:
        InputError: a label name that train lacks, or the same names in another order or number.
    """
    if train.label_names == test.label_names:
        return
    _check_known(train, test)
    raise InputError(
        f"train has the label names {_listing(train.label_names)} and test "
        f"{_listing(test.label_names)}: a class must have the same number in both, "
        "so read both with the same label_names."
    )


def align_labels(train: Corpus, test: Corpus) -> Corpus:
    """The test corpus with its labels renumbered by the names of train.

    A test file need not hold every class, so the names read from it alone may be fewer.

    Raises:
        InputError: a label name of test that train lacks.
    """
    _check_known(train, test)
    number = {name: i for i, name in enumerate(train.label_names)}
    table = np.array([number[x] for x in test.label_names] + [MISSING], dtype=np.int64)
    return replace(test, labels=table[test.labels], label_names=list(train.label_names))


def _check_known(train: Corpus, test: Corpus) -> None:
    unknown = [x for x in test.label_names if x not in train.label_names]
    if unknown:
        raise InputError(
            f"test has the label {_listing(unknown)} that train lacks (train has "
            f"{_listing(train.label_names)}): remove those rows from {test.source or 'test'} or "
            "add such rows to train."
        )


def _check_unique(ids: list[str], where: str) -> None:
    seen: dict[str, int] = {}
    for row, name in enumerate(ids):
        if name in seen:
            raise InputError(
                f"rows {seen[name]} and {row} of {where} have the same id '{name}' (rows count "
                "from 0): give every row its own id."
            )
        seen[name] = row


def _check_text(texts: list[str], ids: list[str], what: str, where: str) -> None:
    empty = []
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise InputError(
                f"the {what} of row '{ids[row]}' of {where} is {text!r}, not a string: "
                "convert it or drop the row."
            )
        if not text.strip():
            empty.append(ids[row])
    if empty:
        raise InputError(
            f"{len(empty)} row(s) of {where} have an empty {what}, the first with the ids "
            f"{_listing(empty)}: fill them or leave them out."
        )


def _is_missing(label: str | int | None) -> bool:
    return label is None or (not isinstance(label, str) and int(label) == MISSING)


def _in_range(label: int | None, classes: int) -> int | None:
    return int(label) if label is not None and 0 <= int(label) < classes else None


def _listing(names: Sequence[str], most: int = 10) -> str:
    shown = ", ".join(f"'{x}'" for x in names[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")
