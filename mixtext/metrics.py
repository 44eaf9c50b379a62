"""Metrics: predictions against gold labels.

scikit-learn and scipy are imported where they are used: together they take a second to load.
"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np


def classification_metrics(gold: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    """Accuracy, macro-F1 and mean log loss.

    Args:
        gold: (N,) int64 class indices.
        probabilities: (N, C).

    Returns:
        `accuracy` and `macro_f1` in [0, 1]; `loss` in nats. Macro-F1 averages over the classes
        that occur in `gold` or are predicted, as scikit-learn's.
    """
    from sklearn.metrics import f1_score

    predicted = probabilities.argmax(1)
    picked = probabilities[np.arange(len(gold)), gold]
    return {
        "accuracy": float((predicted == gold).mean()),
        "macro_f1": float(f1_score(gold, predicted, average="macro", zero_division=0)),
        "loss": float(-np.log(np.maximum(picked, 1e-12)).mean()),
    }


def regression_metrics(gold: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Rank and linear correlation, and mean squared error.

    Args:
        gold: (N,) scores.
        predicted: (N,) scores.

    Returns:
        `spearman` and `pearson` in [−1, 1], 0 where either side is constant; `loss`, the mean
        squared error.
    """
    from scipy.stats import pearsonr, spearmanr

    constant = np.ptp(gold) == 0 or np.ptp(predicted) == 0
    return {
        "spearman": 0.0 if constant else float(spearmanr(gold, predicted).statistic),
        "pearson": 0.0 if constant else float(pearsonr(gold, predicted).statistic),
        "loss": float(np.square(gold - predicted).mean()),
    }


def metrics_of(target: str, gold: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Metrics by the target, the one that chooses weights first.

    Args:
        target: of the corpus, `classes` or `scores`.
        gold: (N,) classes or scores.
        predicted: (N, C) probabilities, or (N, 1) scores.
    """
    if target == "scores":
        return regression_metrics(gold, predicted[:, 0])
    return classification_metrics(gold, predicted)


def interval(metric: str, value: float, rows: int) -> tuple[float, float] | None:
    """The 95 % confidence interval of a metric over rows that were drawn at random.

    Of `accuracy` Wilson's (1927); of `pearson` Fisher's, of `spearman` the same with the standard
    error of Bonett and Wright (2000). None for other metrics, and where there are too few rows.
    """
    z = 1.959963984540054  # of the normal distribution at 97.5 %
    if metric == "accuracy" and rows > 0:
        middle = (value + z * z / (2 * rows)) / (1 + z * z / rows)
        variance = value * (1 - value) / rows + z * z / (4 * rows * rows)
        half = z * math.sqrt(variance) / (1 + z * z / rows)
        return middle - half, middle + half
    if metric in ("pearson", "spearman") and rows > 3 and abs(value) < 1:
        wider = 1 + value * value / 2 if metric == "spearman" else 1.0
        half = z * math.sqrt(wider / (rows - 3))
        return math.tanh(math.atanh(value) - half), math.tanh(math.atanh(value) + half)
    return None


def guess_metrics(
    guesses: np.ndarray, gold: np.ndarray, class_names: list[str]
) -> dict[str, float]:
    """What is known of pseudo-labels: their certainty and, where gold labels exist, their accuracy.

    Args:
        guesses: (N, C) soft labels.
        gold: (N,) class indices, −1 where the gold label is unknown.
        class_names: C names.

    Returns:
        `confidence` (mean of the largest entry), `entropy` (nats) and, for rows with gold labels,
        `accuracy` and `accuracy/<class>` in [0, 1].
    """
    metrics = {
        "confidence": float(guesses.max(1).mean()),
        "entropy": float(-(guesses * np.log(np.maximum(guesses, 1e-12))).sum(1).mean()),
    }
    right = guesses.argmax(1) == gold
    if (gold >= 0).any():
        metrics["accuracy"] = float(right[gold >= 0].mean())
        for c, name in enumerate(class_names):
            if (gold == c).any():
                metrics[f"accuracy/{name}"] = float(right[gold == c].mean())
    return metrics


def numbers_by_class(line: dict[str, Any]) -> Iterator[tuple[str, str, float]]:
    """Class, what the number is (`guess/accuracy`, `dev/f1`), and the number, of a line.

    Args:
        line: one of metrics.jsonl.
    """
    part = "" if line["kind"] == "train" else f"{line['kind']}/"
    for name, value in line.items():
        label = class_of(f"{part}{name}")
        if label is not None and value is not None:
            yield label, f"{part}{name}".removesuffix(f"/{label}"), value


def class_of(tag: str) -> str | None:
    """The class whose number it is: `guess/accuracy/CLASS`, `dev/f1/CLASS`."""
    parts = tag.split("/", 2)
    return parts[2] if len(parts) == 3 else None
