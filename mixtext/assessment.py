"""How good the answers of a model are: by class, confusion, calibration, examples."""

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from mixtext.data.corpus import Corpus
from mixtext.metrics import metrics_of

BINS = 10  # of the confidence, equally wide
EXAMPLES = 20  # of mistakes, and as many of right answers at most
LONG = 160  # characters of a text

Example = tuple[str, str, str, float, str]


@dataclass(frozen=True)
class Assessment:
    """What an evaluation found out.

    Attributes:
        source: where the rows come from.
        rows: labelled rows, which were scored.
        unlabelled: rows without a label, which were not.
        metrics: as `metrics_of`.
        label_names: C classes; none where the target is scores.
        scores: (C, 4) precision, recall, F1 and gold rows of each class.
        confusion: (C, C) rows by gold class and predicted class.
        bins: (B, 3) mean confidence, accuracy and rows of each bin of confidence that has rows.
        mistakes: id, gold, predicted, confidence and text of rows that were answered wrongly, the
            surest first; in regression id, gold, predicted, error and text, the largest first.
        right: the same of rows that were answered rightly; in regression the smallest errors.
        unit: what `scores`, `confusion` and `bins` count: rows or, of taggers, words.
    """

    source: str
    rows: int
    unlabelled: int
    metrics: dict[str, float]
    label_names: list[str]
    scores: np.ndarray
    confusion: np.ndarray
    bins: np.ndarray
    mistakes: list[Example]
    right: list[Example]
    unit: str = "rows"

    @property
    def lacking(self) -> list[str]:
        """Classes of which there is no row."""
        return [x for x, n in zip(self.label_names, self.confusion.sum(1), strict=True) if not n]

    @property
    def calibration_error(self) -> float:
        """Expected calibration error: mean distance of confidence and accuracy, over the bins."""
        confidence, accuracy, rows = self.bins.T
        return float((np.abs(confidence - accuracy) * rows).sum() / rows.sum())

    def plain(self) -> dict[str, Any]:
        """The numbers, ready for JSON."""
        values: dict[str, Any] = {
            "rows": self.rows,
            "unlabelled": self.unlabelled,
            **self.metrics,
        }
        if not self.label_names:
            return values
        names = ("precision", "recall", "f1", "rows")
        return {
            **values,
            "calibration_error": self.calibration_error,
            "lacking": self.lacking,
            "classes": {
                label: dict(zip(names, [*map(float, row[:3]), int(row[3])], strict=True))
                for label, row in zip(self.label_names, self.scores, strict=True)
            },
            "confusion": self.confusion.tolist(),
        }

    def saved(self) -> dict[str, Any]:
        """All of it, ready for JSON; `from_saved` reads it back."""
        return {
            k: v.tolist() if isinstance(v, np.ndarray) else v
            for k, v in dataclasses.asdict(self).items()
        }

    @classmethod
    def from_saved(cls, values: dict[str, Any]) -> "Assessment":
        """What `saved` gave.

        Raises:
            ValueError, TypeError: it did not give this.
        """
        count = len(values.get("label_names", ()))
        shapes = {"scores": (count, 4), "confusion": (count, count), "bins": (-1, 3)}
        arrays = {k: np.array(values[k]).reshape(v) for k, v in shapes.items() if k in values}
        parts: dict[str, Any] = {**values, **arrays}
        for kind in ("mistakes", "right"):
            parts[kind] = [
                (str(a), str(b), str(c), float(d), str(e)) for a, b, c, d, e in values.get(kind, ())
            ]
        return cls(**parts)


def assess(corpus: Corpus, outputs: np.ndarray, unlabelled: int = 0) -> Assessment:
    """Compares the answers of a model with the labels.

    Args:
        corpus: N rows, all labelled.
        outputs: (N, C) probabilities, columns as `corpus.label_names`, or (N, 1) scores.
        unlabelled: rows that were left out.
    """
    gold, shown = corpus.labels, texts_of(corpus)
    source = corpus.source or corpus.name or "the data"
    metrics = metrics_of(corpus.target, gold, outputs)
    if corpus.target == "scores":
        errors = outputs[:, 0] - gold
        order = np.argsort(-np.abs(errors), kind="stable")
        worst, best = (
            [
                (corpus.ids[i], f"{gold[i]:g}", f"{outputs[i, 0]:.4g}", float(errors[i]), shown[i])
                for i in some[:EXAMPLES]
            ]
            for some in (order, order[::-1])
        )
        none = np.zeros((0, 0))
        return Assessment(
            source, len(corpus), unlabelled, metrics, [], none, none, np.zeros((0, 3)), worst, best
        )
    names = corpus.label_names
    predicted, confidence = outputs.argmax(1), outputs.max(1)
    order = np.argsort(-confidence, kind="stable")
    mistaken, hit = (
        [
            (corpus.ids[i], names[gold[i]], names[predicted[i]], float(confidence[i]), shown[i])
            for i in order[(predicted == gold)[order] == right][:EXAMPLES]
        ]
        for right in (False, True)
    )
    return Assessment(
        source,
        len(corpus),
        unlabelled,
        metrics,
        names,
        *by_class(gold, predicted, len(names)),
        calibration_bins(confidence, predicted == gold),
        mistaken,
        hit,
    )


def by_class(
    gold: np.ndarray, predicted: np.ndarray, classes: int
) -> tuple[np.ndarray, np.ndarray]:
    """(C, 4) precision, recall, F1 and gold rows of each class, and the (C, C) confusion."""
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    each = np.arange(classes)
    scores = precision_recall_fscore_support(gold, predicted, labels=each, zero_division=0)
    return np.stack(scores).T, confusion_matrix(gold, predicted, labels=each)


def texts_of(corpus: Corpus) -> list[str]:
    """The rows as they are shown: text, both texts of a pair, or the id of a vector."""
    seconds = corpus.pairs or [""] * len(corpus)
    rows = zip(corpus.texts or corpus.ids, seconds, strict=True)
    return [cut(f"{x} ‖ {y}" if y else x) for x, y in rows]


def cut(text: str) -> str:
    """A text, or its beginning."""
    return text if len(text) <= LONG else text[: LONG - 1] + "…"


def calibration_bins(confidence: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Mean confidence, accuracy and rows of each of `BINS` equally wide bins that has rows, (B, 3).

    Args:
        confidence: (N,) probability of the answer, in [0, 1].
        right: (N,) whether the answer was right.
    """
    place = np.minimum((confidence * BINS).astype(int), BINS - 1)
    rows = np.bincount(place, minlength=BINS)
    filled = rows > 0
    sums = [np.bincount(place, x, minlength=BINS)[filled] for x in (confidence, right)]
    return np.stack([*(x / rows[filled] for x in sums), rows[filled]], axis=1)
