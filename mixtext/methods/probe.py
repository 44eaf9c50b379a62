"""What leaves the encoder as it is: a head fitted to its vectors in one go, without a step."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from annotated_types import Ge

from mixtext.data.batches import Batch, Feed
from mixtext.deferred import torch
from mixtext.methods.base import FeedOf, Method
from mixtext.methods.contrast import encode_all

if TYPE_CHECKING:
    from mixtext.models.classifier import Classifier
    from mixtext.models.settings import ModelSettings

UNGUESSED = -30.0  # logit of a class that no row was given to


@dataclass(frozen=True)
class Probe(Method):
    """The base of methods that fit an affine head to the vectors of a frozen encoder.

    Vectors are means over a text's tokens, scaled to length 1, whatever [model] says of pooling
    and head. There are no steps: what [training] says of them, and of learning rates, waits.
    """

    targets: ClassVar[tuple[str, ...]] = ("classes",)
    steps: ClassVar[bool] = False

    def model_settings(self, settings: ModelSettings) -> ModelSettings:
        """An affine head on vectors of length 1."""
        return replace(settings, pool="unit", head_width=0, dropout=0.0)

    @abstractmethod
    def fit(
        self, vectors: np.ndarray, labels: np.ndarray, pool: np.ndarray, classes: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Fits weights (C, H) and biases (C,) of an affine head.

        Args:
            vectors: (N, H) of the labelled rows, each of length 1.
            labels: (N,) their classes.
            pool: (U, H) of unlabelled rows, each of length 1; none where `unlabelled` is False.
            classes: C.
        """

    def warm_up(
        self, model: Classifier, feed: FeedOf[Batch], generator: np.random.Generator
    ) -> None:
        """Writes the head; all the training there is."""
        assert isinstance(feed, Feed)
        rows = feed.labelled.rows
        vectors = encode_all(model, feed.source, rows, feed.pad_to)  # (N, H)
        pool = vectors[:0]
        if self.unlabelled and feed.unlabelled is not None:
            picked = feed.unlabelled.rows[: self.most()]
            pool = encode_all(model, feed.source, picked, feed.pad_to)  # (U, H)
        classes = model.head.outputs
        fitted = self.fit(vectors.cpu().numpy(), feed.labels[rows], pool.cpu().numpy(), classes)
        for parameter, values in zip(model.head.parameters(), fitted, strict=True):
            parameter.data.copy_(torch.from_numpy(values))

    def most(self) -> int | None:
        """Unlabelled rows that are looked at; None: all."""
        return None


@dataclass(frozen=True)
class PoolProbe(Probe):
    """A probe that looks at unlabelled rows too.

    Attributes:
        pool: so many of them at most, to be done in seconds; 0: all.
    """

    unlabelled: ClassVar[bool] = True

    pool: Annotated[int, Ge(0)] = 5000

    def most(self) -> int | None:
        """As the setting says."""
        return self.pool or None


def regression_head(
    vectors: np.ndarray, labels: np.ndarray, classes: int, strength: float
) -> tuple[np.ndarray, np.ndarray]:
    """Weights (C, H) and biases (C,) of scikit-learn's logistic regression.

    Args:
        vectors: (N, H).
        labels: (N,) classes, of which at least one occurs.
        classes: C; one that does not occur is never told.
        strength: C of scikit-learn: the inverse weight of ½‖weights‖².
    """
    from sklearn.linear_model import LogisticRegression

    weight = np.zeros((classes, vectors.shape[1]))
    bias = np.full(classes, UNGUESSED)
    there = np.unique(labels)
    if len(there) == 1:
        bias[there] = 0.0
        return weight, bias
    fitted = LogisticRegression(C=strength, max_iter=1000).fit(vectors, labels)
    if len(there) == 2:  # scikit-learn has one row: of the second class against the first
        half = fitted.coef_[0] / 2, fitted.intercept_[0] / 2
        weight[there], bias[there] = np.stack([-half[0], half[0]]), np.array([-half[1], half[1]])
    else:
        weight[there], bias[there] = fitted.coef_, fitted.intercept_
    return weight, bias
