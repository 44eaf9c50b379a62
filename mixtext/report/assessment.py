"""How good the answers of a model are: by class, confusion, calibration, mistakes; as a report."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mixtext.data.corpus import Corpus
from mixtext.errors import InputError
from mixtext.files import write_text
from mixtext.metrics import metrics_of
from mixtext.report.page import (
    Block,
    Heading,
    Picture,
    Sentence,
    Table,
    to_html,
    to_markdown,
)

BINS = 10  # of the confidence, equally wide
MISTAKES = 20
WIDE = 20  # classes beyond which only the most frequent confusions are shown, not the matrix
LONG = 160  # characters of a text


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
    """

    source: str
    rows: int
    unlabelled: int
    metrics: dict[str, float]
    label_names: list[str]
    scores: np.ndarray
    confusion: np.ndarray
    bins: np.ndarray
    mistakes: list[tuple[str, str, str, float, str]]

    @property
    def lacking(self) -> list[str]:
        """Classes of which there is no row."""
        return [x for x, n in zip(self.label_names, self.confusion.sum(1), strict=True) if not n]

    @property
    def calibration_error(self) -> float:
        """Expected calibration error: mean distance of confidence and accuracy, over the bins."""
        confidence, accuracy, rows = self.bins.T
        return float((np.abs(confidence - accuracy) * rows).sum() / self.rows)

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

    def blocks(self) -> list[Block]:
        """The report."""
        without = f", {self.unlabelled:,} without a label left out" if self.unlabelled else ""
        blocks: list[Block] = [Sentence(f"{self.rows:,} rows of {self.source} scored{without}.")]
        numbers = dict(self.metrics)
        if self.label_names:
            numbers["calibration error"] = self.calibration_error
        blocks.append(Table(["metric", "value"], [[k, float(v)] for k, v in numbers.items()]))
        if not self.label_names:
            head = ["id", "gold", "predicted", "error", "text"]
            return [*blocks, Heading("Largest errors"), Table(head, self.mistakes)]
        if self.lacking:
            blocks.append(
                Sentence(
                    f"No row of {', '.join(self.lacking)}: macro-F1 is over the classes in gold or "
                    "predictions."
                )
            )
        predicted = self.confusion.sum(0)
        by_class = [
            [name, *map(float, row[:3]), int(row[3]), int(n)]
            for name, row, n in zip(self.label_names, self.scores, predicted, strict=True)
        ]
        head = ["class", "precision", "recall", "F1", "rows", "predicted"]
        blocks += [Heading("Classes"), Table(head, by_class), *self._confusions()]
        bars = [
            [float(conf), float(right), int(rows), "█" * round(20 * right)]
            for conf, right, rows in self.bins
        ]
        blocks += [
            Heading("Calibration"),
            Sentence(
                f"Expected calibration error {self.calibration_error:.4f}, over {BINS} bins of the "
                "confidence; a model is calibrated where accuracy equals confidence."
            ),
            Picture(reliability(self.bins)),
            Table(["confidence", "accuracy", "rows", "plot of the accuracy"], bars),
            Heading("Most confident mistakes"),
        ]
        if not self.mistakes:
            return [*blocks, Sentence("None.")]
        return [*blocks, Table(["id", "gold", "predicted", "confidence", "text"], self.mistakes)]

    def _confusions(self) -> list[Block]:
        names = self.label_names
        if len(names) <= WIDE:
            rows = [[n, *map(int, row)] for n, row in zip(names, self.confusion, strict=True)]
            return [Heading("Confusion"), Table(["gold \\ predicted", *names], rows, shade=True)]
        wrong = self.confusion - np.diag(np.diag(self.confusion))
        most = [x for x in np.argsort(-wrong, axis=None, kind="stable")[:WIDE] if wrong.flat[x]]
        pairs = [(*divmod(int(x), len(names)), int(wrong.flat[x])) for x in most]
        table = [[names[gold], names[told], count] for gold, told, count in pairs]
        return [
            Heading("Most frequent confusions"),
            Table(["gold", "predicted", "rows"], table) if table else Sentence("None."),
        ]


def assess(corpus: Corpus, outputs: np.ndarray, unlabelled: int = 0) -> Assessment:
    """Compares the answers of a model with the labels.

    Args:
        corpus: N rows, all labelled.
        outputs: (N, C) probabilities, columns as `corpus.label_names`, or (N, 1) scores.
        unlabelled: rows that were left out.
    """
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    gold, seconds = corpus.labels, corpus.pairs or [""] * len(corpus)
    texts = corpus.texts or corpus.ids
    shown = [f"{x} ‖ {y}" if y else x for x, y in zip(texts, seconds, strict=True)]
    shown = [x if len(x) <= LONG else x[: LONG - 1] + "…" for x in shown]
    source = corpus.source or corpus.name or "the data"
    metrics = metrics_of(corpus.target, gold, outputs)
    if corpus.target == "scores":
        errors = outputs[:, 0] - gold
        worst = np.argsort(-np.abs(errors), kind="stable")[:MISTAKES]
        wrong = [
            (corpus.ids[i], f"{gold[i]:g}", f"{outputs[i, 0]:.4g}", float(errors[i]), shown[i])
            for i in worst
        ]
        none = np.zeros((0, 0))
        return Assessment(source, len(corpus), unlabelled, metrics, [], none, none, none, wrong)
    names = corpus.label_names
    predicted, confidence = outputs.argmax(1), outputs.max(1)
    each = np.arange(len(names))
    scores = precision_recall_fscore_support(gold, predicted, labels=each, zero_division=0)
    mistaken = [i for i in np.argsort(-confidence, kind="stable") if predicted[i] != gold[i]]
    return Assessment(
        source,
        len(corpus),
        unlabelled,
        metrics,
        names,
        np.stack(scores).T,
        confusion_matrix(gold, predicted, labels=each),
        calibration_bins(confidence, predicted == gold),
        [
            (corpus.ids[i], names[gold[i]], names[predicted[i]], float(confidence[i]), shown[i])
            for i in mistaken[:MISTAKES]
        ],
    )


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


def reliability(bins: np.ndarray) -> str:
    """The reliability plot of `calibration_bins` as SVG."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4, 4), layout="constrained")
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color="0.7", linestyle="--")
    axes.plot(bins[:, 0], bins[:, 1], marker="o")
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="confidence", ylabel="accuracy")
    picture = io.StringIO()
    with rc_context({"svg.hashsalt": "mixtext"}):
        figure.savefig(picture, format="svg", metadata={"Date": None})
    return picture.getvalue()[picture.getvalue().index("<svg") :]


def write_report(blocks: list[Block], path: Path, title: str) -> list[Path]:
    """Writes a report as HTML or Markdown, by the suffix; without one of these, both beside.

    Returns:
        The files.

    Raises:
        InputError: a file that is there already.
    """
    known = path.suffix.lower() in (".html", ".md")
    files = [path] if known else [path.with_name(path.name + x) for x in (".html", ".md")]
    for file in files:
        if file.exists():
            raise InputError(f"{file} exists already: name another file with --report.")
    for file in files:
        is_html = file.suffix.lower() == ".html"
        write_text(
            file, to_html(blocks, title) if is_html else f"# {title}\n\n{to_markdown(blocks)}"
        )
    return files
