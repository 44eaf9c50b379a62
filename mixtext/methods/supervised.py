"""Plain fine-tuning on the labelled rows: the baseline of every table."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch.nn.functional as F

from mixtext.data.batches import Batch
from mixtext.methods.base import Method, Outcome, Progress
from mixtext.models.classifier import TextClassifier


@dataclass(frozen=True)
class Supervised(Method):
    """Cross-entropy on labelled rows; unlabelled rows are not used."""

    name: ClassVar[str] = "supervised"
    paper: ClassVar[str] = "the papers' BERT baseline"

    def loss(
        self,
        model: TextClassifier,
        batch: Batch,
        progress: Progress,
        generator: np.random.Generator,
    ) -> Outcome:
        """Mean cross-entropy of the labelled rows."""
        rows = batch.rows
        logits = model(rows.ids, rows.mask, types=rows.types)  # (B, C)
        loss = F.cross_entropy(logits.float(), batch.labels)
        return Outcome(loss, {"loss/labelled": loss.detach()})
