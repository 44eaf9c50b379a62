"""What a second gives, against scikit-learn's own cross-validation."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import PredefinedSplit, cross_val_predict

from mixtext.glance import FOLDS, right_in_turn, right_on


@pytest.fixture
def rows():
    """30 vectors of length 1 around three directions, and their classes."""
    draw = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], 10)
    vectors = np.eye(3, 8)[labels] + draw.normal(scale=0.9, size=(30, 8))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True), labels


def test_each_row_is_guessed_from_the_others(rows):
    vectors, labels = rows
    folds = np.arange(30) % FOLDS  # of rows that are sorted by class
    told = cross_val_predict(
        LogisticRegression(max_iter=1000), vectors, labels, cv=PredefinedSplit(folds)
    )
    right = right_in_turn(vectors, labels, 30, vectors[:0], 3)["frozen"]
    assert 10 < right.sum() < 30 and np.array_equal(right, told == labels)


def test_rows_that_say_the_classes_are_always_learned_from(rows):
    vectors, labels = rows
    both = np.concatenate([vectors, vectors]), np.concatenate([labels, labels])
    assert right_in_turn(*both, 2, vectors, 3)["frozen"].shape == (2,)
    alone = right_in_turn(vectors[[0, 10]], labels[[0, 10]], 2, vectors, 3)
    assert alone["frozen"].shape == alone["centroids"].shape == (0,)  # no other row of its class
    helped = right_in_turn(
        np.concatenate([vectors[[0, 10]], np.eye(3, 8)]), np.array([0, 1, 0, 1, 2]), 2, vectors, 3
    )
    by_hand = right_on(
        vectors[[0]], labels[[0]], np.concatenate([vectors[[10]], np.eye(3, 8)]),
        np.array([1, 0, 1, 2]), vectors, 3,
    )  # fmt: skip
    assert all(helped[name][0] == by_hand[name][0] for name in by_hand)
