"""k-means over labelled and unlabelled vectors, one cluster a class, seeded by the labelled rows.

Seeded k-means (Basu, Banerjee and Mooney, ICML 2002): Lloyd's iterations begin at the means of the
labelled rows of each class. Where the encoder's clusters are the classes, as with topics, it is
hard to beat with a few labels; where they are not, as with sentiment, it is worthless.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Gt

from mixtext.methods.probe import UNGUESSED, PoolProbe


@dataclass(frozen=True)
class Centroids(PoolProbe):
    """The nearest cluster's class, after k-means by scikit-learn.

    Attributes:
        concentration: κ: probabilities are softmax(−κ/2 · squared distance to each centre), which
            of directions on the sphere is softmax(κ · cosine). Which class is told does not depend
            on it.
    """

    name: ClassVar[str] = "centroids"
    paper: ClassVar[str] = "Basu et al., ICML 2002 (seeded k-means)"

    concentration: Annotated[float, Gt(0)] = 20.0

    def fit(
        self, vectors: np.ndarray, labels: np.ndarray, pool: np.ndarray, classes: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """See `Probe.fit`."""
        from sklearn.cluster import KMeans

        there = np.unique(labels)
        seeds = np.stack([vectors[labels == c].mean(0) for c in there])
        everything = np.concatenate([vectors, pool])
        centres = KMeans(len(there), init=seeds, n_init=1).fit(everything).cluster_centers_
        weight = np.zeros((classes, vectors.shape[1]))
        bias = np.full(classes, UNGUESSED)
        # −κ/2 · ‖x − c‖², without −κ/2 · ‖x‖², which all classes share.
        weight[there] = self.concentration * centres
        bias[there] = -self.concentration / 2 * np.square(centres).sum(1)
        return weight, bias
