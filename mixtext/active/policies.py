"""Query policies: which rows of the pool to label next. The highest values are asked for.

| policy             | of a text                   | of a sentence of T words         | needs    |
|--------------------|-----------------------------|----------------------------------|----------|
| `random`           | a random number             | the same                         |          |
| `least_confidence` | 1 − max_c p_c               | its sum over words               | a model  |
| `margin`           | p of the second − the first |                                  | a model  |
| `entropy`          | −Σ_c p_c ln p_c             | `token_entropy`: mean over words | a model  |
| `committee`        | entropy of the votes (QBC)  | its mean over words              | M models |
| `diverse`          | nearest to a k-means centre |                                  | vectors  |

Entropies are in nats.
"""

import warnings
from collections.abc import Callable, Sequence

import numpy as np

from mixtext.errors import InputError


def least_confidence(probabilities: np.ndarray) -> np.ndarray:
    """1 − max_c p_c of `probabilities` (N, C), shape (N,)."""
    return np.asarray(1 - probabilities.max(axis=1))


def margin(probabilities: np.ndarray) -> np.ndarray:
    """How near the second class of each row comes to its first, in [−1, 0], shape (N,)."""
    second, first = np.sort(probabilities, axis=1)[:, -2:].T
    return np.asarray(second - first)


def entropy(probabilities: np.ndarray) -> np.ndarray:
    """−Σ_c p_c ln p_c of `probabilities` (N, C), shape (N,); 0 · ln 0 is 0."""
    p = probabilities.astype(np.float64)
    logs = np.log(p, out=np.zeros_like(p), where=p > 0)
    return np.asarray(-(p * logs).sum(axis=1))


def vote_entropy(votes: np.ndarray) -> np.ndarray:
    """−Σ_c (V_c/M) ln(V_c/M) of each row, V_c being how many of M members vote for c.

    Args:
        votes: the class that each member gives each row, int64, shape `(M, N)`.
    """
    shares = [(votes == one).mean(axis=0) for one in np.unique(votes)]
    return entropy(np.stack(shares, axis=1)) if shares else np.empty(0)


BY_MODEL: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "least_confidence": least_confidence,
    "margin": margin,
    "entropy": entropy,
}


def informativeness(
    policy: str, probabilities: Sequence[np.ndarray], count: int, generator: np.random.Generator
) -> np.ndarray:
    """How much asking for each of `count` texts would tell, shape `(count,)`.

    Args:
        policy: see the head of this module; not `diverse`.
        probabilities: of each member of the committee, `(count, C)`; `random` needs none, the
            others but `committee` look at the first member alone.
        count: number of texts.
        generator: of `random`.

    Raises:
        InputError: no such policy, or a committee of one.
    """
    if policy == "random":
        return generator.random(count)
    if policy in BY_MODEL:
        return BY_MODEL[policy](probabilities[0])
    if policy == "committee":
        _check_committee(probabilities)
        return vote_entropy(np.stack([p.argmax(axis=1) for p in probabilities]))
    raise InputError(
        f"there is no query policy {policy!r}: use random, {', '.join(BY_MODEL)}, committee or "
        "diverse."
    )


def informativeness_of_sentences(
    policy: str,
    probabilities: Sequence[Sequence[np.ndarray]],
    count: int,
    generator: np.random.Generator,
) -> np.ndarray:
    """The same of `count` sentences, by what is said of their words.

    Args:
        policy: see the head of this module.
        probabilities: for each member of the committee, for each sentence, `(T, C)`.
        count: number of sentences.
        generator: of `random`.

    Raises:
        InputError: no such policy, or a committee of one.
    """
    if policy == "random":
        return generator.random(count)
    if policy == "least_confidence":
        return np.array([least_confidence(p).sum() for p in probabilities[0]])
    if policy == "token_entropy":
        return np.array([entropy(p).mean() for p in probabilities[0]])
    if policy == "committee":
        _check_committee(probabilities)
        members = zip(*probabilities, strict=True)
        votes = (np.stack([p.argmax(axis=1) for p in one]) for one in members)
        return np.array([vote_entropy(each).mean() for each in votes])
    raise InputError(
        f"there is no query policy {policy!r}: use random, least_confidence, token_entropy or "
        "committee."
    )


def _check_committee(members: Sequence[object]) -> None:
    if len(members) < 2:
        raise InputError("a committee of one always agrees: set active.committee to 2 or more.")


def highest(values: np.ndarray, count: int) -> np.ndarray:
    """Positions of the `count` highest values, or of all if there are fewer; first ones on ties."""
    return np.argsort(-values, kind="stable")[:count]


def diverse(vectors: np.ndarray, count: int, generator: np.random.Generator) -> np.ndarray:
    """Positions of `count` rows, each the nearest to the centre of a cluster; large clusters first.

    Where there are fewer different vectors, the rest are drawn at random.

    Args:
        vectors: `(N, H)`, N ≥ `count`.
        count: clusters of k-means, ≥ 1.
        generator: of the first centres.
    """
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    seed = int(generator.integers(2**31))
    order = generator.permutation(len(vectors))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer different vectors than clusters
        fitted = KMeans(count, n_init=1, random_state=seed).fit(vectors)
    distance = ((vectors - fitted.cluster_centers_[fitted.labels_]) ** 2).sum(axis=1)
    sizes = np.bincount(fitted.labels_, minlength=count)
    clusters = [c for c in np.argsort(-sizes, kind="stable") if sizes[c]]
    nearest = [np.where(fitted.labels_ == c, distance, np.inf).argmin() for c in clusters]
    rest = order[~np.isin(order, nearest)]
    return np.concatenate([nearest, rest])[:count].astype(np.int64)
