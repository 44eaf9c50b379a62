"""From token states to logits: pooling, and the head of TMix."""

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


def first_pool(states: Tensor, mask: Tensor | None = None) -> Tensor:
    """State of the first position, `(B, T, H)` → `(B, H)`; `mask` has no part in it."""
    return states[:, 0]


POOLS = {"mean": mean_pool, "first": first_pool}


class MlpHead(nn.Sequential):
    """Linear(hidden, width) → Tanh → Linear(width, classes), the head of TMix (arXiv 2004.12239).

    `(B, hidden)` → logits `(B, classes)`.
    """

    def __init__(self, hidden: int, classes: int, width: int = 128) -> None:
        super().__init__(nn.Linear(hidden, width), nn.Tanh(), nn.Linear(width, classes))
        self.classes = classes
