"""Scores of predictions against gold labels."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import f1_score

from mixtext.errors import InputError


def classification_scores(gold: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    """Accuracy, macro-F1 and mean log loss.

    Args:
        gold: (N,) int64 class indices.
        probabilities: (N, C).

    Returns:
        `accuracy` and `macro_f1` in [0, 1]; `loss` in nats. Macro-F1 averages over the classes
        that occur in `gold`.
    """
    predicted = probabilities.argmax(1)
    picked = probabilities[np.arange(len(gold)), gold]
    return {
        "accuracy": float((predicted == gold).mean()),
        "macro_f1": float(
            f1_score(gold, predicted, average="macro", labels=np.unique(gold), zero_division=0)
        ),
        "loss": float(-np.log(np.maximum(picked, 1e-12)).mean()),
    }


def regression_scores(gold: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Rank and linear correlation, and mean squared error.

    Args:
        gold: (N,) scores.
        predicted: (N,) scores.

    Returns:
        `spearman` and `pearson` in [−1, 1], 0 where either side is constant; `loss`, the mean
        squared error.
    """
    constant = np.ptp(gold) == 0 or np.ptp(predicted) == 0
    return {
        "spearman": 0.0 if constant else float(spearmanr(gold, predicted).statistic),
        "pearson": 0.0 if constant else float(pearsonr(gold, predicted).statistic),
        "loss": float(np.square(gold - predicted).mean()),
    }


def scores_of(task: str, gold: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Scores of a task, the one that chooses weights first.

    Args:
        task: of the corpus.
        gold: (N,) classes, or scores for `regression`.
        predicted: (N, C) probabilities, or (N, 1) scores.
    """
    if task == "regression":
        return regression_scores(gold, predicted[:, 0])
    return classification_scores(gold, predicted)


def guess_scores(guesses: np.ndarray, gold: np.ndarray, class_names: list[str]) -> dict[str, float]:
    """What is known of pseudo-labels: their certainty and, where gold labels exist, their accuracy.

    Args:
        guesses: (N, C) soft labels.
        gold: (N,) class indices, −1 where the gold label is unknown.
        class_names: C names.

    Returns:
        `confidence` (mean of the largest entry), `entropy` (nats) and, for rows with gold labels,
        `accuracy` and `accuracy/<class>` in [0, 1].
    """
    scores = {
        "confidence": float(guesses.max(1).mean()),
        "entropy": float(-(guesses * np.log(np.maximum(guesses, 1e-12))).sum(1).mean()),
    }
    right = guesses.argmax(1) == gold
    if (gold >= 0).any():
        scores["accuracy"] = float(right[gold >= 0].mean())
        for c, name in enumerate(class_names):
            if (gold == c).any():
                scores[f"accuracy/{name}"] = float(right[gold == c].mean())
    return scores


class Span(NamedTuple):
    """An entity: tokens `start` to `stop` (exclusive) of a sentence."""

    kind: str
    start: int
    stop: int


def entity_spans(tags: Sequence[str]) -> list[Span]:
    """The entities in the BIO tags of a sentence.

    A tag that cannot go on an entity begins one, as in the CoNLL scorer: I-LOC after O or B-PER.
    """
    spans: list[Span] = []
    kind, start = "", 0
    for position, tag in enumerate([*tags, "O"]):
        prefix, _, its = tag.partition("-")
        if kind and (prefix != "I" or its != kind):
            spans.append(Span(kind, start, position))
            kind = ""
        if its and not kind:
            kind, start = its, position
    return spans


def span_scores(
    gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]
) -> dict[str, float]:
    """Precision, recall and F1 of entities; one counts when its type and both ends are right.

    Args:
        gold: BIO tags of N sentences.
        predicted: as many, as long.

    Returns:
        `f1`, `precision` and `recall` over all entities and, for each type in `gold`, `f1/<type>`,
        in [0, 1]; 0 where there is nothing to divide by.

    Raises:
        InputError: the sentences differ in number or length.
    """
    if [len(tags) for tags in gold] != [len(tags) for tags in predicted]:
        raise InputError("Gold and predicted tags differ in length: give one tag for each token.")
    true, guessed, right = Counter[str](), Counter[str](), Counter[str]()
    for one, other in zip(gold, predicted, strict=True):
        wanted, found = {*entity_spans(one)}, {*entity_spans(other)}
        for spans, count in ((wanted, true), (found, guessed), (wanted & found, right)):
            count.update(span.kind for span in spans)

    def f1(hits: int, of: int, made: int) -> float:
        return 2 * hits / max(1, of + made)

    hits = right.total()
    return {
        "f1": f1(hits, true.total(), guessed.total()),
        "precision": hits / max(1, guessed.total()),
        "recall": hits / max(1, true.total()),
        **{f"f1/{kind}": f1(right[kind], true[kind], guessed[kind]) for kind in sorted(true)},
    }
