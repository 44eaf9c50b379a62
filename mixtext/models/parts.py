"""Long and short rows of a mixed batch as tensors of their own, which compute less padding."""

from collections.abc import Callable
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

TWO = 1.1  # the time that tokens take in two tensors, by that in one
Parts = list[tuple[Tensor, int]]  # rows of a tensor of their own, and its width


def parts_of(union: Tensor, met: Tensor | slice, rows: int) -> tuple[Parts, Parts]:
    """Long and short rows, below a mix and above it.

    Below, a row is as wide as all that it is mixed with: what padding becomes there is mixed in as
    well. Above, it is as wide as the union.

    Args:
        union: masks of the mixed rows, `(B, T)`.
        met: the rows of the trunk that they are mixed with.
        rows: those of the trunk, of which the first B are kept.
    """
    widths = (union.bool() * torch.arange(1, union.shape[1] + 1)).amax(1)  # (B,)
    needed = torch.zeros(rows, dtype=torch.int64)
    needed[: len(widths)] = widths
    needed.scatter_reduce_(0, torch.arange(rows)[met], widths, "amax")
    return _in_two(needed), _in_two(widths)


def _in_two(widths: Tensor) -> Parts:
    """The widest rows and the others apart, where that saves enough; else all rows."""
    widths, order = widths.clamp(min=1).sort(descending=True, stable=True)
    sizes = torch.arange(1, len(widths) + 1)  # of the first part
    time = TWO * (sizes * widths[0] + (len(widths) - sizes) * widths.roll(-1))
    time[-1] /= TWO  # all in the first part
    cut = int(time.argmin()) + 1
    ends = [0, len(widths)] if cut == len(widths) else [0, cut, len(widths)]
    return [(order[i:j], int(widths[i])) for i, j in pairwise(ends)]


def compute_apart(
    parts: Parts, given: list[Tensor | None], compute: Callable[..., Tensor]
) -> Tensor:
    """Computes `(R, T, H)` by parts of tensors `(R, T, …)`; zeros behind what is computed."""
    assert given[0] is not None
    done = []
    for rows, width in parts:
        states = compute(*(x if x is None else x[rows, :width] for x in given))
        done.append(F.pad(states, (0, 0, 0, given[0].shape[1] - width)))
    return torch.cat(done)[torch.cat([rows for rows, _ in parts]).argsort()]
