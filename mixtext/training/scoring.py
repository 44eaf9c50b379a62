"""Outputs of a model on tokenised rows or vectors."""

from typing import Any

import numpy as np
import torch

from mixtext.data.batches import Source, in_length_order
from mixtext.errors import InputError
from mixtext.models.classifier import Classifier
from mixtext.training.device import autocast
from mixtext.training.distributed import added_up, own_part


@torch.no_grad()
def predict_rows(
    model: Classifier,
    source: Source,
    rows: np.ndarray,
    *,
    batch: int = 64,
    pad_to: int = 0,
    precision: str = "auto",
    again: bool = False,
) -> np.ndarray:
    """Class probabilities of `rows`, (N, C) float32, in the order of `rows`; dropout is off.

    A model with one output is one of regression: the scores that it tells, (N, 1) float32.
    `again`: they are scored more than once, so that states of frozen blocks are worth keeping.
    """
    device = next(model.parameters()).device
    training = model.training
    model.eval()
    result = np.zeros((len(rows), model.head.outputs), dtype=np.float32)
    for places in own_part(in_length_order(source.lengths[rows], batch)):
        picked: list[Any] = [source.row(i) for i in rows[places]]
        padded = source.collate(picked, pad_to).to(device)
        with autocast(precision, device):
            outputs = model(model.begun(padded) if again else padded).float()  # (B, C)
        answers = outputs if outputs.shape[1] == 1 else torch.softmax(outputs, dim=-1)
        result[places] = answers.cpu().numpy()
    model.train(training)
    return added_up(result)


def refuse_no_numbers(answers: np.ndarray) -> None:
    """Refuses what no file of answers can hold.

    Raises:
        InputError: an answer is infinite or no number.
    """
    if not np.isfinite(answers).all():
        raise InputError(
            "the model answers with something that is no number (NaN or infinity): its weights are "
            "damaged; train it again, or give another run."
        )
