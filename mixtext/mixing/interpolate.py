"""Interpolation: who mixes with whom, by how much, and the mixing itself.

Every method of the mixup family is `interpolate(x, mix)` on another `x`: input vectors, word
vectors, hidden states, sentence vectors, soft labels or scores.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from mixtext.deferred import Tensor, torch
from mixtext.errors import InputError

POOLED: Literal["pooled"] = "pooled"  # the place between pooling and head, as a layer to mix at
Layer = int | Literal["pooled"]


@dataclass(frozen=True)
class Mix:
    """One draw: row i becomes `lam * x[i] + (1 - lam) * x[partner[i]]`.

    Attributes:
        lam: weight of the row itself, in [0, 1]; shape `()` for the batch or `(B,)` one a row.
        partner: index of the row that each row mixes with, int64, shape `(B,)`.
        extra: rows behind these B that are partners alone, and for which nothing comes out.
    """

    lam: Tensor
    partner: Tensor
    extra: int = 0

    def to(self, device: torch.device | str) -> Mix:
        """The same draw on another device."""
        return Mix(self.lam.to(device), self.partner.to(device), self.extra)


def draw_lam(
    alpha: float, keep_main: bool, generator: np.random.Generator, rows: int | None = None
) -> np.ndarray:
    """Draws λ ~ Beta(alpha, alpha), float64, shape `()` or, with `rows`, `(rows,)`.

    Args:
        alpha: Beta parameter, > 0. Large: close to 1/2. Small: close to 0 or 1.
        keep_main: λ ← max(λ, 1 − λ), so that a row stays nearest to itself (MixMatch, MixText).
        generator: source of randomness.
        rows: draw one λ a row instead of one a batch.

    Raises:
        InputError: alpha is not positive.
    """
    if not alpha > 0:
        raise InputError(f"alpha is {alpha}: the Beta distribution needs alpha > 0.")
    lam = np.asarray(generator.beta(alpha, alpha, size=rows))
    return np.maximum(lam, 1 - lam) if keep_main else lam


def draw_partner(groups: list[int], generator: np.random.Generator) -> np.ndarray:
    """Draws a partner for each row: a random permutation inside each group of neighbouring rows.

    Args:
        groups: sizes of the groups; `[B]` mixes all rows, `[B, U]` mixes the first B among
            themselves and the next U among themselves. A group of one row maps to itself.
        generator: source of randomness.

    Returns:
        int64 indices, shape `(sum(groups),)`.
    """
    starts = np.cumsum([0, *groups[:-1]])
    return np.concatenate(
        [start + generator.permutation(n) for start, n in zip(starts, groups, strict=True)]
    ).astype(np.int64)


def draw_mix(
    rows: int,
    alpha: float,
    keep_main: bool,
    generator: np.random.Generator,
    per_row: bool = False,
) -> Mix:
    """Draws λ and a random partner for a batch of `rows` rows (see `draw_lam`, `draw_partner`)."""
    lam = draw_lam(alpha, keep_main, generator, rows if per_row else None)
    partner = draw_partner([rows], generator)
    return Mix(torch.as_tensor(lam, dtype=torch.float32), torch.as_tensor(partner))


def blend(a: Tensor, b: Tensor, lam: Tensor) -> Tensor:
    """`lam * a + (1 - lam) * b` with `lam` of shape `()` or `(B,)`, in the dtype of `a`."""
    lam = lam.to(a.dtype)
    if lam.ndim:
        lam = lam.reshape(-1, *[1] * (a.ndim - 1))
    return lam * a + (1 - lam) * b


def interpolate(x: Tensor, mix: Mix) -> Tensor:
    """Mixes rows of `x` (B + extra, ...) with their partners: mixup, eq. 1 (arXiv 1710.09412)."""
    return blend(x[: len(mix.partner)], x[mix.partner], mix.lam)
