"""Predictions of a model on tokenised rows."""

import numpy as np
import torch

from mixtext.data.batches import Tokens, in_length_order, pad
from mixtext.models.classifier import TextClassifier
from mixtext.training.settings import autocast


@torch.no_grad()
def probabilities(
    model: TextClassifier,
    tokens: Tokens,
    rows: np.ndarray,
    *,
    batch: int = 64,
    pad_to: int = 0,
    precision: str = "auto",
) -> np.ndarray:
    """Class probabilities of `rows`, (N, C) float32, in the order of `rows`; dropout is off."""
    device = next(model.parameters()).device
    training = model.training
    model.eval()
    result: np.ndarray | None = None
    for places in in_length_order(tokens.lengths[rows], batch):
        padded = pad([tokens.row(i) for i in rows[places]], tokens.pad_id, pad_to).to(device)
        with autocast(precision, device):
            logits = model(padded.ids, padded.mask, types=padded.types)
        p = torch.softmax(logits.float(), dim=-1).cpu().numpy()
        if result is None:
            result = np.empty((len(rows), p.shape[1]), dtype=np.float32)
        result[places] = p
    model.train(training)
    return result if result is not None else np.empty((0, 0), dtype=np.float32)
