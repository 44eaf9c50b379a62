"""Labels spread over the graph of nearest neighbours, then logistic regression on all rows.

Zhou et al., NIPS 2003 ("Learning with local and global consistency"): each row takes over what its
neighbours say, labelled rows keep a share of their own. What comes out is scaled so that classes
are as frequent in the pool as among the labels (class mass normalisation, Zhu et al., ICML 2003),
else one class takes it all. The graph tells nothing of new rows; the regression does.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge, Gt, Interval

from mixtext.methods.probe import PoolProbe, regression_head


@dataclass(frozen=True)
class LabelSpreading(PoolProbe):
    """scikit-learn's `LabelSpreading`, class mass normalised, and `LogisticRegression` on it.

    Attributes:
        neighbours: of each row in the graph.
        clamping: α: share that a row takes from its neighbours, the rest is its own label's.
        strength: C of the regression, see `frozen`.
    """

    name: ClassVar[str] = "label_spreading"
    paper: ClassVar[str] = "Zhou et al., NIPS 2003"

    neighbours: Annotated[int, Ge(1)] = 10
    clamping: Annotated[float, Interval(gt=0, lt=1)] = 0.95
    strength: Annotated[float, Gt(0)] = 1.0

    def fit(
        self, vectors: np.ndarray, labels: np.ndarray, pool: np.ndarray, classes: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """See `Probe.fit`."""
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.semi_supervised import LabelSpreading as Spreading

        everything = np.concatenate([vectors, pool])
        known = np.concatenate([labels, np.full(len(pool), -1)])
        near = min(self.neighbours, len(everything) - 1)
        spreading = Spreading(kernel="knn", n_neighbors=near, alpha=self.clamping, max_iter=200)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            warnings.simplefilter("ignore", RuntimeWarning)  # rows that no label reaches: 0 / 0
            spreading.fit(everything, known)
        told = np.nan_to_num(spreading.label_distributions_[len(vectors) :])  # (U, classes there)
        frequent = np.bincount(np.searchsorted(spreading.classes_, labels)) / len(labels)
        told *= frequent / np.maximum(told.mean(0), 1e-12)
        reached = told.sum(1) > 0
        guessed = spreading.classes_[told[reached].argmax(1)]
        return regression_head(
            np.concatenate([vectors, pool[reached]]),
            np.concatenate([labels, guessed]),
            classes,
            self.strength,
        )
