"""Plain fine-tuning on the labelled rows: the baseline of every table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from mixtext.data.batches import Batch
from mixtext.methods.base import Method, Outcome, Progress, plain_outcome

if TYPE_CHECKING:
    from mixtext.models.classifier import Classifier


@dataclass(frozen=True)
class Supervised(Method):
    """Cross-entropy, or squared error, on labelled rows; unlabelled rows are not used."""

    name: ClassVar[str] = "supervised"
    paper: ClassVar[str] = "the papers' baseline"
    rows: ClassVar[tuple[str, ...]] = ("texts", "pairs", "vectors")

    def loss(
        self,
        model: Classifier,
        batch: Batch,
        progress: Progress,
        generator: np.random.Generator,
    ) -> Outcome:
        """Mean loss of the labelled rows."""
        return plain_outcome(model, batch)
