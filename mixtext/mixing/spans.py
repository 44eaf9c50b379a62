"""Span mixup: the least salient span of one text gives way to the most salient span of another.

SSMix (Findings of ACL 2021, arXiv 2106.08062), section 3. Everything here is arithmetic on token
ids. A row is one text, or the two texts of a pair, with special tokens and padding. The recipient
is the row itself, the donor its partner. Texts are counted in inner tokens: real, not special.

Shapes: B rows, T positions, S texts a row (1, or 2 for pairs), K the widest span of the batch.

    inner = inner_tokens(mask, special)                                # (1, B, T)
    partner = opposite_rows(len(ids))                                  # (B,)
    mixed, weight = mix_spans(ids, inner, partner, saliency(gradients))
    targets = interpolate(one_hot, Mix(1 - weight, partner))           # (B, C)
"""

from __future__ import annotations

import numpy as np

from mixtext.deferred import F, Tensor, torch
from mixtext.errors import InputError


def saliency(gradients: Tensor) -> Tensor:
    """‖∂L/∂e_t‖₂, the L2 norm of the loss's gradient by each token's embedding.

    Only the order inside a row counts, so neither the loss's scale nor the number of rows that it
    is averaged over matters. (The official code divides by the row's maximum.)

    Args:
        gradients: ∂L/∂e, shape `(B, T, H)`, of any float type; L is the cross-entropy of the row's
            own true label, e the output of the embedding layer.

    Returns:
        At least float32, shape `(B, T)`.
    """
    return gradients.to(torch.promote_types(gradients.dtype, torch.float32)).norm(dim=-1)


def inner_tokens(mask: Tensor, special: Tensor, sequence: Tensor | None = None) -> Tensor:
    """Which positions may be exchanged, text by text.

    Args:
        mask: 1 for real tokens, 0 for padding, shape `(B, T)`.
        special: 1 for special tokens, shape `(B, T)`; padding may be marked or not.
        sequence: for pairs, 0 where a token belongs to the first text and 1 for the second, shape
            `(B, T)`; what it says of special tokens is ignored. Token types will do where the
            model has them (BERT); those of RoBERTa are all 0 and will not.

    Returns:
        bool, shape `(1, B, T)` or, with `sequence`, `(2, B, T)`.
    """
    inner = mask.bool() & ~special.bool()
    if sequence is None:
        return inner[None]
    return torch.stack([inner & (sequence == text) for text in (0, 1)])


def opposite_rows(rows: int) -> Tensor:
    """The partner half a batch away: row i of the first half and row i of the second, both ways.

    With an odd number of rows every row still gives once and receives once; a single row is its
    own partner.

    Returns:
        int64 indices, shape `(rows,)`.
    """
    return (torch.arange(rows) + rows // 2) % max(1, rows)


def _share_of(tokens: Tensor, share: float, longest: int) -> Tensor:
    """max(1, int(share · n)) of each count, and 0 of an empty text."""
    if not 0 < share <= 1:
        raise InputError(f"share is {share}: a span is a share of the text, above 0 and at most 1.")
    # A table, since the product must be rounded as Python does it, on devices without float64 too:
    # 0.29 · 100 is just below 29 in float64, and 29 in float32.
    table = [0, *(max(1, int(share * n)) for n in range(1, longest + 1))]
    return torch.tensor(table, device=tokens.device)[tokens]


def span_lengths(
    inner: Tensor,
    partner: Tensor,
    share: float = 0.1,
    cap_at_donor: bool = True,
    min_tokens: int = 2,
) -> Tensor:
    """k = max(1, min(int(share · n_A), n_B)), and 0 where a text cannot be mixed.

    n_A and n_B count the recipient's and the donor's inner tokens of the same text. Texts are cut
    at the encoder's maximum length before they come here, so n_A counts what the encoder sees.

    Args:
        inner: from `inner_tokens`, shape `(S, B, T)`.
        partner: index of each row's donor, int64, shape `(B,)`.
        share: span length as a share of the recipient's text, in (0, 1]. Paper: λ0 = 0.1.
        cap_at_donor: False leaves n_B out, as the official code does, even for an empty donor.
        min_tokens: recipients with fewer inner tokens are left alone. With 1, as in the official
            code, a text of one token is replaced whole and its own label gets weight 0. Empty
            recipients are left alone whatever is set.

    Returns:
        int64, shape `(S, B)`.

    Raises:
        InputError: share is outside (0, 1].
    """
    tokens = inner.sum(-1)  # (S, B)
    lengths = _share_of(tokens, share, inner.shape[-1])
    if cap_at_donor:
        lengths = torch.minimum(lengths, tokens[:, partner])
    return lengths.masked_fill(tokens < min_tokens, 0)


def window_means(saliencies: Tensor, inner: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Mean saliency of the window that begins at each position, and whether it may be chosen.

    Args:
        saliencies: shape `(S, B, T)` or `(B, T)`.
        inner: shape `(S, B, T)`.
        lengths: the windows' width k, shape `(S, B)`. Stride 1.

    Returns:
        Means and a bool, both `(S, B, T)`; a window may be chosen if all its tokens are inner.
        The means of others are meaningless.
    """
    width = lengths[..., None]  # (S, B, 1)
    positions, widest = inner.shape[-1], int(lengths.max())
    saliencies, inside = F.pad(saliencies, (0, widest)), F.pad(inner, (0, widest))
    total = saliencies.new_zeros(inner.shape)
    free = (width > 0).expand(inner.shape)
    # Token by token, not by differences of a running sum: these would round equal windows
    # differently, and the first of equal windows is to win.
    for step in range(widest):
        beyond = step >= width
        total = total + saliencies[..., step : step + positions].masked_fill(beyond, 0)
        free = free & (inside[..., step : step + positions] | beyond)
    return total / width.clamp(min=1), free


def _random_saliencies(shape: torch.Size, generator: np.random.Generator, like: Tensor) -> Tensor:
    """Uniform saliencies: their extremum is a uniform choice, their k extrema are k of n at random.

    Float64 draws as their ranks, so that no two are equal and every device can hold them.
    """
    ranks = generator.random(tuple(shape)).argsort(-1).argsort(-1)
    return torch.as_tensor(ranks, device=like.device).float()


def _first_extremum(saliencies: Tensor, free: Tensor, largest: bool) -> tuple[Tensor, Tensor]:
    """Position (S, B) of the first extreme among the free ones, and whether there is one."""
    bound = float("-inf") if largest else float("inf")
    saliencies = saliencies.masked_fill(~free, bound)
    best = saliencies.argmax(-1) if largest else saliencies.argmin(-1)
    # A lookup, not `free.any`: after an overflow all are infinite and any position may win.
    return best, free.gather(-1, best[..., None])[..., 0]


def _exchange(
    ids: Tensor, inner: Tensor, partner: Tensor, lengths: Tensor, target: Tensor, source: Tensor
) -> tuple[Tensor, Tensor]:
    """Copies the first `lengths` of the donor's `source` positions to `target` (S, B, K)."""
    rows, positions = ids.shape
    used = torch.arange(target.shape[-1], device=ids.device) < lengths[..., None]  # (S, B, K)
    # Slots that are not used write to a column of their own, which is cut off again.
    target = target.masked_fill(~used, positions).transpose(0, 1).reshape(rows, -1)
    source = source.masked_fill(~used, 0).transpose(0, 1).reshape(rows, -1)  # (B, S·K)
    copied = ids[partner].gather(1, source)
    mixed = F.pad(ids, (0, 1)).scatter(1, target, copied)[:, :positions]
    weight = lengths.sum(0) / inner.sum((0, 2)).clamp(min=1)
    return mixed, weight.float()


def _without_own_partner(lengths: Tensor, partner: Tensor) -> Tensor:
    own = partner == torch.arange(len(partner), device=partner.device)
    return lengths.masked_fill(own, 0)


def mix_spans(
    ids: Tensor,
    inner: Tensor,
    partner: Tensor,
    saliencies: Tensor | np.random.Generator,
    share: float = 0.1,
    cap_at_donor: bool = True,
    min_tokens: int = 2,
) -> tuple[Tensor, Tensor]:
    """Copies the donor's most salient span over the recipient's least salient span, k tokens each.

    Only ids change: mask, token types and length stay the recipient's. Each text of a pair mixes
    with the same text of the partner. Windows that touch a special token are never chosen; the
    first of equal windows is. A text is left unmixed where it or the donor's has no window of
    width k, and where the row is its own partner.

    The official rule is `cap_at_donor=False, min_tokens=1`, at any share. For pairs the official
    code encodes each text alone: two calls on single texts.

    Args:
        ids: token ids, shape `(B, T)`.
        inner: from `inner_tokens`, shape `(S, B, T)`.
        partner: index of each row's donor, int64, shape `(B,)`.
        saliencies: shape `(B, T)`; or a generator, for the ablation without saliency: both
            spans are drawn uniformly from those that may be chosen. (In the official ablation the
            donor's span begins where the recipient's does.)
        share: see `span_lengths`.
        cap_at_donor: see `span_lengths`. False, as in the official code: a donor that has no window
            of width k gives the k tokens that begin with the special token before its text, special
            tokens and all; one shorter than k with its two special tokens leaves the row unmixed.
        min_tokens: see `span_lengths`.

    Returns:
        The mixed ids, shape `(B, T)`, and the weight of the donor's label, float32, shape `(B,)`,
        in [0, 1]: k / n_A, for pairs (k₁ + k₂) / (n₁ + n₂). The recipient's weight is 1 minus it.
        Rows left unmixed have 0.

    Raises:
        InputError: share is outside (0, 1].
    """
    if not ids.numel():
        return ids.clone(), torch.zeros(len(ids), device=ids.device)
    lengths = span_lengths(inner, partner, share, cap_at_donor, min_tokens)  # (S, B)
    lengths = _without_own_partner(lengths, partner)
    donor = inner[:, partner]  # (S, B, T)
    if isinstance(saliencies, np.random.Generator):
        draws = [_random_saliencies(inner.shape, saliencies, ids) for _ in range(2)]
        # The windows are drawn themselves: the means of random tokens are not uniform over windows.
        _, free = window_means(draws[0], inner, lengths)
        _, donor_free = window_means(draws[1], donor, lengths)
        means, donor_means = draws
    else:
        means, free = window_means(saliencies, inner, lengths)
        donor_means, donor_free = window_means(saliencies[partner], donor, lengths)
    to, found = _first_extremum(means, free, largest=False)
    start, donor_found = _first_extremum(donor_means, donor_free, largest=True)
    if not cap_at_donor:
        before = (donor.int().argmax(-1) - 1).clamp(min=0)  # (S, B), 0 for an empty donor
        fits = (lengths <= donor.sum(-1) + 2) & (before + lengths <= ids.shape[1])
        start = torch.where(donor_found, start, before)
        donor_found = donor_found | fits
    lengths = lengths.masked_fill(~(found & donor_found), 0)
    slots = torch.arange(int(lengths.max()), device=ids.device)  # (K,)
    target, source = to[..., None] + slots, start[..., None] + slots  # (S, B, K)
    return _exchange(ids, inner, partner, lengths, target, source)


def mix_positions(
    ids: Tensor,
    inner: Tensor,
    partner: Tensor,
    saliencies: Tensor | np.random.Generator,
    share: float = 0.1,
    min_tokens: int = 2,
) -> tuple[Tensor, Tensor]:
    """The ablation without spans: k single tokens are exchanged, wherever they stand.

    With saliency, the donor's k most salient tokens replace the recipient's k least salient ones;
    with a generator, both are drawn at random. Both keep the order of reading. (The official
    ablation takes the same random positions in both texts.)

    Args and returns: as for `mix_spans`; k never exceeds the donor's inner tokens.

    Raises:
        InputError: share is outside (0, 1].
    """
    if not ids.numel():
        return ids.clone(), torch.zeros(len(ids), device=ids.device)
    lengths = span_lengths(inner, partner, share, min_tokens=min_tokens)
    lengths = _without_own_partner(lengths, partner)
    donor = inner[:, partner]
    if isinstance(saliencies, np.random.Generator):
        least, most = (_random_saliencies(inner.shape, saliencies, ids) for _ in range(2))
    else:
        least, most = (x.expand(inner.shape) for x in (saliencies, saliencies[partner]))
    target = _k_extrema(least, inner, lengths, largest=False)
    source = _k_extrema(most, donor, lengths, largest=True)
    return _exchange(ids, inner, partner, lengths, target, source)


def _k_extrema(saliencies: Tensor, free: Tensor, lengths: Tensor, largest: bool) -> Tensor:
    """Positions (S, B, K) of the k first extreme saliencies, ascending; unused slots hold T."""
    order = saliencies.argsort(dim=-1, descending=largest, stable=True)
    # Free ones first, in a second step: a bound would tie with saliencies that overflowed.
    first = free.gather(-1, order).int().argsort(dim=-1, descending=True, stable=True)
    order = order.gather(-1, first)[..., : int(lengths.max())]
    used = torch.arange(order.shape[-1], device=order.device) < lengths[..., None]
    return order.masked_fill(~used, saliencies.shape[-1]).sort(-1).values


def replace_tokens(
    ids: Tensor,
    inner: Tensor,
    replacement: int,
    generator: np.random.Generator,
    share: float = 0.1,
) -> Tensor:
    """The UNK ablation: max(1, int(share · n)) random inner tokens of each text become one id.

    The label stays the row's own. Empty texts are left alone.

    Args:
        ids: token ids, shape `(B, T)`.
        inner: from `inner_tokens`, shape `(S, B, T)`.
        replacement: the id that is put in, in the paper that of [UNK].
        generator: source of randomness.
        share: share of each text's inner tokens, in (0, 1].

    Returns:
        Ids, shape `(B, T)`.

    Raises:
        InputError: share is outside (0, 1].
    """
    lengths = _share_of(inner.sum(-1), share, inner.shape[-1])  # (S, B)
    saliencies = _random_saliencies(inner.shape, generator, ids).masked_fill(~inner, float("inf"))
    chosen = saliencies.argsort(-1).argsort(-1) < lengths[..., None]  # rank < k, (S, B, T)
    return ids.masked_fill(chosen.any(0), replacement)
