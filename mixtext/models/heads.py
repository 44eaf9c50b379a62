"""From states to outputs: pooling, and the head."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def mean_pool(states: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean of the states over a text's tokens, `(B, T, H)` → `(B, H)`.

    Args:
        states: token states, `(B, T, H)`.
        mask: 1 or True where there is a token, `(B, T)`; None takes every position. A row without
            a token gives zeros.
    """
    if mask is None:
        return states.mean(1)
    total = (states * mask.unsqueeze(-1).to(states.dtype)).sum(1)  # (B, H)
    return total / mask.sum(1, keepdim=True).clamp(min=1).to(states.dtype)


def unit_pool(states: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean of the states over a text's tokens, scaled to length 1, as sentence encoders compare."""
    return F.normalize(mean_pool(states, mask), dim=1)


def max_pool(states: Tensor, mask: Tensor | None = None) -> Tensor:
    """Largest state over a text's tokens, for each of H apart (max over time, Kim 2014)."""
    if mask is not None:
        states = states.masked_fill(~mask.bool().unsqueeze(-1), torch.finfo(states.dtype).min)
    return states.amax(1)


def first_pool(states: Tensor, mask: Tensor | None = None) -> Tensor:
    """State of the first position, `(B, T, H)` → `(B, H)`; `mask` has no part in it."""
    return states[:, 0]


def last_pool(states: Tensor, mask: Tensor | None = None) -> Tensor:
    """State of each text's last token, `(B, T, H)` → `(B, H)`; padding is on the right."""
    if mask is None:
        return states[:, -1]
    last = (mask.sum(1) - 1).clamp(min=0)  # (B,)
    return states[torch.arange(len(states), device=states.device), last]


POOLS = {
    "mean": mean_pool,
    "unit": unit_pool,
    "max": max_pool,
    "first": first_pool,
    "last": last_pool,
}


class MlpHead(nn.Sequential):
    """Linear(hidden, width) → Tanh → Linear(width, outputs), the head of TMix (arXiv 2004.12239).

    `(B, hidden)` → logits, or scores, `(B, outputs)`. Width 0: one affine layer, nothing between.
    """

    def __init__(self, hidden: int, outputs: int, width: int = 128) -> None:
        if width:
            super().__init__(nn.Linear(hidden, width), nn.Tanh(), nn.Linear(width, outputs))
        else:
            super().__init__(nn.Linear(hidden, outputs))
        self.outputs = outputs
