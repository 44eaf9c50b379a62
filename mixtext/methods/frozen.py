"""Logistic regression on the vectors of a frozen encoder: what a second gives.

Alain and Bengio 2016 (arXiv 1610.01644) call it a linear probe. With a few labels a class it is
what a practitioner tries first (Reimers and Gurevych, EMNLP 2019, arXiv 1908.10084, section 5), and
what anything that trains for minutes must beat.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Gt

from mixtext.methods.probe import Probe, regression_head


@dataclass(frozen=True)
class Frozen(Probe):
    """Logistic regression on the labelled rows; unlabelled rows are not used.

    Attributes:
        strength: C of scikit-learn's `LogisticRegression`: lower holds the weights closer to 0.
    """

    name: ClassVar[str] = "frozen"
    paper: ClassVar[str] = "Alain and Bengio 2016 (arXiv 1610.01644)"

    strength: Annotated[float, Gt(0)] = 1.0

    def fit(
        self, vectors: np.ndarray, labels: np.ndarray, pool: np.ndarray, classes: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """See `Probe.fit`."""
        return regression_head(vectors, labels, classes, self.strength)
