"""Guess and sharpen: soft labels for unlabelled texts from the model's own predictions."""

from __future__ import annotations

from collections.abc import Sequence

from mixtext.deferred import F, Tensor, torch


def guess(probabilities: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """Weighted mean of the predictions on a text and its views (arXiv 2004.12239, eq. 4).

    Args:
        probabilities: one (B, C) tensor for the original and one for each view.
        weights: their weights, same order, not negative, not all zero.

    Returns:
        (B, C), each row on the simplex.
    """
    total = sum(weights)
    if len(probabilities) != len(weights) or min(weights) < 0 or total <= 0:
        raise ValueError(f"{len(probabilities)} predictions need as many weights ≥ 0, sum > 0")
    pairs = zip(probabilities, weights, strict=True)
    return torch.stack([p * (w / total) for p, w in pairs if w]).sum(0)


def sharpen(probabilities: Tensor, temperature: float) -> Tensor:
    """ȳ^(1/T) / ‖ȳ^(1/T)‖₁, in logarithms so that a small T cannot underflow a whole row.

    T = 1 changes nothing, T → 0 gives one-hot labels. Shape (B, C) in and out.
    """
    return torch.softmax(torch.log(probabilities) / temperature, dim=-1)


def align(probabilities: Tensor, running_mean: Tensor, prior: Tensor) -> Tensor:
    """Distribution alignment, p · prior / running mean, renormalised (arXiv 1911.09785).

    Args:
        probabilities: (B, C) guesses.
        running_mean: (C,) mean of recent guesses.
        prior: (C,) the class frequencies that guesses should have on average.
    """
    scaled = probabilities * (prior / running_mean.clamp(min=1e-6))
    return scaled / scaled.sum(-1, keepdim=True)


def class_frequencies(labels: Tensor, classes: int) -> Tensor | None:
    """How frequent classes are by labels that have been drawn as they come, (C,), none of them 0.

    None where there are as many labels of each class, to within one: those have been chosen so, and
    say nothing of it.

    Args:
        labels: (N,) int64 classes.
        classes: C.
    """
    counts = torch.bincount(labels, minlength=classes).float()  # (C,)
    if counts.max() - counts.min() <= 1:
        return None
    return (counts + 1) / (counts + 1).sum()


def seeded_clusters(
    pool: Tensor,
    seeds: Tensor,
    labels: Tensor,
    concentration: float = 20.0,
    rounds: int = 30,
    frequencies: Tensor | None = None,
) -> Tensor:
    """Guesses from clusters of vectors, one a class, that the labelled rows seed.

    Expectation–maximisation of a mixture of von Mises–Fisher distributions (Banerjee et al., JMLR
    2005) of one fixed concentration κ, begun from the labelled rows, which keep their classes as in
    seeded k-means (Basu et al., ICML 2002). Shares matter: without them a rare class takes rows of
    its neighbours. Where the labels tell how frequent classes are, the shares are halfway between
    what the clusters and what the labels say, or a class of one row in twenty could be taken whole
    by the others, or grow to half of the pool.

    Args:
        pool: (U, H) vectors without labels.
        seeds: (N, H) vectors with.
        labels: (N,) int64 classes, each at least once.
        concentration: κ; the higher, the surer.
        rounds: of expectation and maximisation.
        frequencies: (C,) of the classes, where labels tell them, see `class_frequencies`.

    Returns:
        (U, C): softmax(κ·cosine to each cluster's direction + log of its share of the pool).
    """
    pool, seeds = F.normalize(pool, dim=1), F.normalize(seeds, dim=1)
    fixed = F.one_hot(labels).to(seeds.dtype).T @ seeds  # (C, H)
    directions, shares = F.normalize(fixed, dim=1), torch.full_like(fixed[:, 0], 1 / len(fixed))
    if frequencies is not None:
        shares = frequencies
    for _ in range(rounds):
        each = torch.softmax(concentration * pool @ directions.T + shares.log(), dim=1)  # (U, C)
        shares = (each.sum(0) + 1) / (len(pool) + len(fixed))  # one row more, so never 0
        if frequencies is not None:
            shares = (shares + frequencies) / 2
        directions = F.normalize(fixed + each.T @ pool, dim=1)
    return each
