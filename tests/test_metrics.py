"""Scores worked out by hand."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, pearsonr
from seqeval.metrics import classification_report, f1_score, precision_score, recall_score
from seqeval.metrics.sequence_labeling import get_entities

from mixtext.errors import InputError
from mixtext.metrics import classification_metrics, guess_metrics, interval
from mixtext.tagging.metrics import entity_spans, span_metrics


def one_hot(predicted, classes, top=0.7):
    p = np.full((len(predicted), classes), (1 - top) / (classes - 1))
    p[np.arange(len(predicted)), predicted] = top
    return p


def test_all_right_and_all_wrong():
    gold = np.array([0, 1, 1])
    scores = classification_metrics(gold, one_hot(gold, 2))
    assert scores == {
        "accuracy": 1.0,
        "macro_f1": 1.0,
        "loss": pytest.approx(-math.log(0.7)),
    }
    scores = classification_metrics(gold, one_hot(1 - gold, 2))
    assert (scores["accuracy"], scores["macro_f1"]) == (0.0, 0.0)
    assert scores["loss"] == pytest.approx(-math.log(0.3))


def test_three_classes():
    # Class 0: 2 of 2 found, 1 false; class 1: 1 of 2 found; class 2: 1 of 1 found, 0 false.
    gold, predicted = np.array([0, 0, 1, 1, 2]), np.array([0, 0, 0, 1, 2])
    scores = classification_metrics(gold, one_hot(predicted, 3, 0.8))
    assert scores["accuracy"] == pytest.approx(4 / 5)
    f1 = [2 * 2 / (2 * 2 + 1), 2 * 1 / (2 * 1 + 1), 1.0]
    assert scores["macro_f1"] == pytest.approx(sum(f1) / 3)
    assert scores["loss"] == pytest.approx(-(4 * math.log(0.8) + math.log(0.1)) / 5)


def test_macro_f1_is_over_the_classes_in_gold_or_predictions():
    # Class 2 is predicted once and has no gold row: its F1 is 0; class 3 is in neither.
    gold, predicted = np.array([0, 0, 1, 1]), np.array([0, 0, 1, 2])
    scores = classification_metrics(gold, one_hot(predicted, 4))
    assert scores["macro_f1"] == pytest.approx((1 + 2 / 3 + 0) / 3)


def test_accuracy_of_always_the_majority():
    gold = np.array([0] * 9 + [1])
    scores = classification_metrics(gold, one_hot(np.zeros(10, dtype=int), 2))
    assert scores["accuracy"] == pytest.approx(0.9)
    assert scores["macro_f1"] == pytest.approx((18 / 19) / 2)


def test_a_probability_of_zero_costs_a_finite_loss():
    scores = classification_metrics(np.array([1]), np.array([[1.0, 0.0]]))
    assert scores["loss"] == pytest.approx(-math.log(1e-12))


def test_certainty_of_guesses():
    guesses = np.array([[1.0, 0.0, 0.0, 0.0], [0.25] * 4, [0.5, 0.5, 0.0, 0.0]])
    scores = guess_metrics(guesses, np.array([-1, -1, -1]), list("abcd"))
    assert scores == {
        "confidence": pytest.approx((1 + 0.25 + 0.5) / 3),
        "entropy": pytest.approx((0 + math.log(4) + math.log(2)) / 3, abs=1e-9),
    }


def test_accuracy_of_guesses_counts_only_rows_with_gold_labels():
    guesses = one_hot(np.array([0, 1, 1, 2, 0]), 3)
    gold = np.array([0, 1, 0, -1, -1])
    scores = guess_metrics(guesses, gold, ["sun", "moon", "rain"])
    assert scores["accuracy"] == pytest.approx(2 / 3)
    assert scores["accuracy/sun"] == pytest.approx(1 / 2)
    assert scores["accuracy/moon"] == 1.0
    assert "accuracy/rain" not in scores  # no gold row of that class


# ---- entities

TAGS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
TAGGED = st.lists(st.lists(st.sampled_from(TAGS), min_size=1, max_size=8), min_size=1, max_size=5)


@given(TAGGED, st.randoms(use_true_random=False))
def test_span_scores_agree_with_seqeval(gold, random):
    predicted = [[t if random.random() < 0.6 else random.choice(TAGS) for t in s] for s in gold]
    scores = span_metrics(gold, predicted)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # seqeval warns where there is nothing to divide by
        report = classification_report(gold, predicted, output_dict=True, zero_division=0)
        theirs = [f(gold, predicted) for f in (precision_score, recall_score, f1_score)]
    assert [scores[k] for k in ("precision", "recall", "f1")] == pytest.approx(theirs)
    by_type = {k.removeprefix("f1/"): v for k, v in scores.items() if k.startswith("f1/")}
    supported = {
        k: v["f1-score"] for k, v in report.items() if k in ("PER", "LOC") and v["support"]
    }
    assert by_type == pytest.approx(supported)


@given(TAGGED)
def test_entity_spans_agree_with_seqeval(sentences):
    for tags in sentences:
        theirs = [(kind, start, end + 1) for kind, start, end in get_entities(tags)]
        assert [tuple(span) for span in entity_spans(tags)] == theirs


def test_spans_by_hand():
    gold = [["B-PER", "I-PER", "O", "B-LOC"]]
    predicted = [["B-PER", "I-PER", "O", "B-PER"]]  # one right of two, one of two found
    assert span_metrics(gold, predicted) == {
        "precision": 0.5,
        "recall": 0.5,
        "f1": 0.5,
        "f1/LOC": 0.0,
        "f1/PER": pytest.approx(2 / 3),
    }
    cut_short = [["B-PER", "O", "O", "O"]]
    assert span_metrics(gold, cut_short)["f1"] == 0.0  # both ends must be right
    nothing = [["O"] * 4]
    assert span_metrics(nothing, nothing) == {"precision": 0.0, "recall": 0.0, "f1": 0.0}


def test_spans_of_other_lengths_are_refused():
    with pytest.raises(InputError, match="one tag for each token"):
        span_metrics([["O", "O"]], [["O"]])


@pytest.mark.parametrize(("right", "rows"), [(0, 5), (3, 7), (80, 100), (999, 1000)])
def test_interval_of_an_accuracy_is_that_of_wilson(right, rows):
    wanted = binomtest(right, rows).proportion_ci(method="wilson")
    assert interval("accuracy", right / rows, rows) == pytest.approx((wanted.low, wanted.high))


def test_interval_of_a_correlation_is_that_of_fisher():
    generator = np.random.default_rng(0)
    x = generator.normal(size=50)
    found = pearsonr(x, x + generator.normal(size=50))
    wanted = found.confidence_interval(0.95)
    low, high = interval("pearson", found.statistic, 50)
    assert (low, high) == pytest.approx((wanted.low, wanted.high))
    wider = interval("spearman", found.statistic, 50)
    assert wider[0] < low and wider[1] > high
    assert interval("spearman", 0.0, 50) == pytest.approx(interval("pearson", 0.0, 50))


def test_no_interval_where_none_is_known():
    assert interval("macro_f1", 0.5, 100) is None and interval("loss", 0.5, 100) is None
    assert interval("accuracy", 0.5, 0) is None and interval("pearson", 0.5, 3) is None
    assert interval("spearman", 1.0, 100) is None
