"""What a corpus is: texts, pairs or vectors, labels that may be missing, and stable row ids."""

import hashlib
import struct
from collections.abc import Iterable, Sequence, Sized
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from mixtext.data.columns import column
from mixtext.data.labels import (
    MISSING,
    encode_labels,
    encode_scores,
    has_label,
    listing,
    target_of,
)
from mixtext.data.texts import picked, update
from mixtext.errors import InputError


@dataclass(frozen=True, eq=False)
class Corpus:
    """N rows. Build one with `from_lists` or `from_vectors`; the constructor checks nothing.

    Texts are Python lists or, of large files, `StoredTexts` on disk: a NumPy array of strings gives
    every row the length of the longest, which for a million documents is tens of gigabytes.

    Attributes:
        texts: the documents, or the first texts of the pairs, N of them; none where the rows are
            vectors.
        labels: shape `(N,)`. For classes the index into `label_names`, int64, -1 = missing; for
            regression the score, float64, NaN = missing. Ask `labelled` which rows have one.
        label_names: names of the classes, C of them, in the order of the model's outputs; none
            for regression.
        ids: N unique row ids that stay the same when rows are selected, dropped or reordered.
        pairs: the second texts, N of them; None without.
        vectors: the rows themselves where they are not texts: float32, shape `(N, D)` or
            `(N, height, width)`; None for texts.
        name: what tables call this corpus.
        replacements: characters that were not valid UTF-8 and were replaced by U+FFFD, in the
            whole source; a selection of rows keeps the number.
        source: where the rows were read from: a path or a hub name.
        notes: sentences about what was found in it.
    """

    texts: Sequence[str]
    labels: np.ndarray
    label_names: list[str]
    ids: Sequence[str]
    pairs: Sequence[str] | None = None
    vectors: np.ndarray | None = None
    name: str = ""
    replacements: int = 0
    source: str = ""
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def rows(self) -> Literal["texts", "pairs", "vectors"]:
        """What a row is."""
        if self.vectors is not None:
            return "vectors"
        return "texts" if self.pairs is None else "pairs"

    @property
    def target(self) -> Literal["classes", "scores"]:
        """What is asked of a row: its class, or, in regression, its score."""
        return target_of(self.labels)

    @property
    def task(self) -> str:
        """Rows and target in the one word by which files of all versions group runs."""
        if self.target == "scores":
            return "regression"
        return {"texts": "single", "pairs": "pair", "vectors": "vectors"}[self.rows]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a row of vectors, `(D,)` or `(height, width)`; of texts empty."""
        return () if self.vectors is None else self.vectors.shape[1:]

    @property
    def labelled(self) -> np.ndarray:
        """Which rows have a label, bool, shape `(N,)`."""
        return has_label(self.labels)

    @property
    def classes(self) -> int:
        """Number of classes, C. A class counts even where no row of it is present."""
        return len(self.label_names)

    def select(self, indices: Iterable[int] | np.ndarray) -> "Corpus":
        """The rows at `indices`, in that order, with their ids and all the label names.

        Args:
            indices: row numbers, shape `(M,)`; M = 0 gives an empty corpus.
        """
        given = indices if isinstance(indices, np.ndarray) else [int(i) for i in indices]
        rows = np.asarray(given, dtype=np.int64)
        return replace(
            self,
            texts=self.texts and picked(self.texts, rows),
            labels=self.labels[rows],
            ids=picked(self.ids, rows),
            pairs=None if self.pairs is None else picked(self.pairs, rows),
            vectors=None if self.vectors is None else self.vectors[rows],
        )

    def checksum(self) -> str:
        """SHA-256 over ids, texts, pairs, vectors, labels and label names, as 64 hex digits.

        Name and source are left out: the same rows from another folder are the same data.
        """
        digest = hashlib.sha256()
        for part in (self.ids, self.texts, self.pairs, self.label_names):
            # The counts and lengths keep ["ab"] apart from ["a", "b"], and None from [].
            digest.update(struct.pack("<q", -1 if part is None else len(part)))
            update(digest, part or ())
        if self.target == "scores":
            # NaN has many bit patterns, and 0 and -0 are the same score.
            scores = np.where(self.labelled, self.labels + 0.0, np.nan)
            digest.update(b"scores" + scores.astype("<f8").tobytes())
        else:
            digest.update(np.ascontiguousarray(self.labels, dtype="<i8").tobytes())
        if self.vectors is not None:
            shape = self.vectors.shape
            digest.update(b"vectors" + struct.pack(f"<{len(shape)}q", *shape))
            digest.update(np.ascontiguousarray(self.vectors, dtype="<f4").tobytes())
        return digest.hexdigest()

    def extended(self, other: "Corpus") -> "Corpus":
        """This corpus and the rows of another behind it, whose labels are taken away.

        Raises:
            InputError: rows of another kind (single texts, pairs, vectors of some size); an id
                that both have.
        """
        _check_same_rows(self, other, self.name or "the corpus", other.source or other.name)
        ids = [*self.ids, *(f"{other.name}/{x}" for x in other.ids)]
        _check_unique(ids, f"corpus '{self.name}' with '{other.name}'")
        return replace(
            self,
            texts=[*self.texts, *other.texts],
            labels=np.concatenate([self.labels, _missing(len(other), self.target)]),
            ids=ids,
            pairs=None if other.pairs is None else [*(self.pairs or ()), *other.pairs],
            vectors=None
            if self.vectors is None or other.vectors is None
            else np.concatenate([self.vectors, other.vectors]),
            replacements=self.replacements + other.replacements,
        )

    @classmethod
    def from_lists(
        cls,
        texts: Iterable[str],
        labels: Iterable[str | float | None] | None = None,
        ids: Iterable[str] | None = None,
        label_names: Sequence[str] | None = None,
        pairs: Iterable[str] | None = None,
        name: str = "",
        scores: Iterable[float | None] | None = None,
    ) -> "Corpus":
        """Checks the rows and builds a corpus of texts.

        Columns are lists, arrays, pandas Series or columns of `datasets`, see `columns.column`.

        Args:
            texts: N documents; a lone string is one.
            labels: N classes: names or whole numbers; None, NaN, -1 or "" where one is missing.
                None: all are missing. With `label_names`, a number is an index into them.
                Without, the distinct labels become the names, sorted (numbers by value).
            ids: N unique row ids; None: "0", "1", …
            label_names: names of the classes, in the order of the model's outputs.
            pairs: N second texts.
            name: what tables call this corpus.
            scores: N numbers instead of labels, which makes the task regression; None or NaN for
                a missing one.

        Raises:
            InputError: no rows; a table of several columns; lengths that differ; an id twice; a
                text that is empty or blank; a label that is not among `label_names`; a score that
                is no finite number; labels and scores both.
        """
        where = f"corpus '{name}'" if name else "the corpus"
        texts = column(texts, f"the texts of {where}")
        if not texts:
            raise InputError(f"{where} has no rows: give it at least one text.")
        if scores is not None and not (labels is None and label_names is None):
            raise InputError(
                f"{where} is given scores and {'label_names' if labels is None else 'labels'}: "
                "scores are for regression, labels for classes, so leave one out."
            )
        seconds = None if pairs is None else column(pairs, f"the second texts of {where}")
        classes = None if labels is None else column(labels, f"the labels of {where}", "label")
        numbers = None if scores is None else column(scores, f"the scores of {where}", "label")
        names = None if ids is None else column(ids, f"the ids of {where}", "id")
        row_ids = _row_ids(
            len(texts), "texts", where, names, labels=classes, pairs=seconds, scores=numbers
        )
        _check_text(texts, row_ids, "text", where)
        if seconds is not None:
            _check_text(seconds, row_ids, "second text", where)
        if numbers is not None:
            encoded = encode_scores(numbers, row_ids, where)
            return cls(texts, encoded, [], row_ids, seconds, name=name)
        if classes is None:
            classes = [None] * len(texts)
        encoded, names = encode_labels(classes, label_names, row_ids, where)
        return cls(texts, encoded, names, row_ids, seconds, name=name)

    @classmethod
    def from_vectors(
        cls,
        vectors: np.ndarray,
        labels: Iterable[str | float | None] | None = None,
        ids: Sequence[str] | None = None,
        label_names: Sequence[str] | None = None,
        name: str = "",
    ) -> "Corpus":
        """Checks the rows and builds a corpus of vectors or images.

        Args:
            vectors: numbers, shape `(N, D)` or `(N, height, width)`; kept as float32.
            labels, ids, label_names, name: as in `from_lists`.

        Raises:
            InputError: no rows, another rank, a value that is missing (NaN) or infinite; lengths
                that differ; an id twice; a label that is not among `label_names`.
        """
        where = f"corpus '{name}'" if name else "the corpus"
        values = np.asarray(vectors)
        if values.ndim not in (2, 3) or 0 in values.shape:
            raise InputError(
                f"the vectors of {where} have the shape {values.shape}: give at least one row, "
                "as (rows, values) or (rows, height, width)."
            )
        if values.dtype.kind not in "fiub":
            raise InputError(
                f"the vectors of {where} are of type {values.dtype}, not numbers: convert them."
            )
        classes = None if labels is None else column(labels, f"the labels of {where}", "label")
        row_ids = _row_ids(len(values), "vectors", where, ids, labels=classes)
        with np.errstate(over="ignore"):  # too large for float32 becomes infinite, seen below
            values = values.astype(np.float32)
        bad = np.flatnonzero(~np.isfinite(values.reshape(len(values), -1)).all(axis=1))
        if len(bad):
            raise InputError(
                f"{len(bad)} row(s) of {where} hold values that are missing or infinite, the "
                f"first with the ids {listing([row_ids[i] for i in bad[:10]])}: fill them or "
                "leave these rows out."
            )
        if classes is None:
            classes = [None] * len(values)
        numbers, names = encode_labels(classes, label_names, row_ids, where)
        return cls([], numbers, names, row_ids, vectors=values, name=name)


def align_labels(train: Corpus, test: Corpus) -> Corpus:
    """The test corpus with its labels renumbered by the names of train; scores stay as they are.

    A test file need not hold every class, so the names read from it alone may be fewer.

    Raises:
        InputError: other rows or another target; a label name of test that train lacks.
    """
    _check_alike(train, test)
    if train.target == "scores":
        # A test part without labels was read as one of classes.
        return test if test.labelled.any() else replace(test, labels=_missing(len(test), "scores"))
    return renumber_labels(test, train.label_names)


def renumber_labels(corpus: Corpus, label_names: Sequence[str]) -> Corpus:
    """The corpus with its labels numbered by other names, such as those of a trained model.

    Raises:
        InputError: a label name that is not among them.
    """
    _check_known(label_names, corpus)
    number = {name: i for i, name in enumerate(label_names)}
    table = np.array([number[x] for x in corpus.label_names] + [MISSING], dtype=np.int64)
    # Scores get here only where all of them are missing.
    labels = corpus.labels if corpus.target == "classes" else _missing(len(corpus), "classes")
    return replace(corpus, labels=table[labels], label_names=list(label_names))


def _check_alike(train: Corpus, test: Corpus) -> None:
    name = test.source or test.name
    _check_same_rows(train, test, "train", f"test {name}" if name else "test")
    if train.target != test.target and test.labelled.any():
        raise InputError(
            f"train has {train.target} for labels and test {name} has {test.target}: read both "
            "alike, with the range of the scores given for both or for neither."
        )


def _check_same_rows(train: Corpus, other: Corpus, name: str, other_name: str) -> None:
    """Checks that both hold single texts, both pairs, or both vectors of one shape."""
    words = {"texts": "single texts", "pairs": "pairs of texts", "vectors": "vectors of shape "}
    kinds = [words[x.rows] + (str(x.shape) if x.shape else "") for x in (train, other)]
    if kinds[0] != kinds[1]:
        raise InputError(
            f"{name} holds {kinds[0]} but {other_name} holds {kinds[1]}: they do not mix, so read "
            "both from the same columns."
        )


def _check_known(label_names: Sequence[str], test: Corpus) -> None:
    unknown = [x for x in test.label_names if x not in label_names]
    if unknown:
        raise InputError(
            f"test has the label {listing(unknown)} that train lacks (train has "
            f"{listing(label_names)}): remove those rows from {test.source or 'test'} or "
            "add such rows to train."
        )


def _missing(rows: int, target: str) -> np.ndarray:
    """Labels of rows that have none."""
    return np.full(rows, np.nan) if target == "scores" else np.full(rows, MISSING, dtype=np.int64)


def _row_ids(
    rows: int, unit: str, where: str, ids: Sequence[str] | None, **columns: Sized | None
) -> list[str]:
    """Checks that every column has a value a row; gives the ids, checked, or "0", "1", …"""
    columns["ids"] = ids
    for field, values in columns.items():
        if values is not None and len(values) != rows:
            raise InputError(
                f"{where} has {rows} {unit} but {len(values)} {field}: give one a row."
            )
    row_ids = [str(i) for i in range(rows)] if ids is None else [str(i) for i in ids]
    _check_unique(row_ids, where)
    return row_ids


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
            f"{listing(empty)}: fill them or leave them out."
        )
