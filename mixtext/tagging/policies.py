"""Query policies: which sentences of the pool a person should label next.

All rate sentences by what the model says of their words; the most informative are asked for.

| policy             | informativeness of a sentence of T words       | needs      |
|--------------------|------------------------------------------------|------------|
| `random`           | a random number                                | nothing    |
| `least_confidence` | Σ_t (1 − max_c p_tc)                            | one model  |
| `token_entropy`    | −(1/T) Σ_t Σ_c p_tc ln p_tc, normalised (NTE)  | one model  |
| `committee`        | (1/T) Σ_t entropy of the votes (QBC)           | M models   |
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from mixtext.errors import InputError

Policy = Literal["random", "least_confidence", "token_entropy", "committee"]


def least_confidence(probabilities: np.ndarray) -> float:
    """Σ_t (1 − max_c p_tc) of `probabilities` (T, C): grows with the length of the sentence."""
    return float((1 - probabilities.max(axis=1)).sum())


def token_entropy(probabilities: np.ndarray) -> float:
    """−(1/T) Σ_t Σ_c p_tc ln p_tc of `probabilities` (T, C), in nats; 0 · ln 0 is 0."""
    p = probabilities.astype(np.float64)
    logs = np.log(p, out=np.zeros_like(p), where=p > 0)
    return float(-(p * logs).sum(axis=1).mean())


def vote_entropy(votes: np.ndarray) -> float:
    """Mean over words of −Σ_c (V_tc/M) ln(V_tc/M), V_tc being how many of M members vote for c.

    Args:
        votes: the tag that each member gives each word, int64, shape `(M, T)`.
    """
    shares = np.stack([(votes == tag).mean(axis=0) for tag in np.unique(votes)], axis=1)  # (T, C)
    return token_entropy(shares)


def informativeness(
    policy: Policy,
    probabilities: Sequence[Sequence[np.ndarray]],
    count: int,
    generator: np.random.Generator,
) -> np.ndarray:
    """How much asking for each of `count` sentences would tell, shape `(count,)`.

    Args:
        policy: see the head of this module.
        probabilities: for each member of the committee, for each sentence, `(T, C)`; `random`
            needs none, the others but `committee` look at the first member alone.
        count: number of sentences.
        generator: of `random`.

    Raises:
        InputError: no such policy, or a committee of one.
    """
    if policy == "random":
        return generator.random(count)
    if policy == "least_confidence":
        return np.array([least_confidence(p) for p in probabilities[0]])
    if policy == "token_entropy":
        return np.array([token_entropy(p) for p in probabilities[0]])
    if policy == "committee":
        if len(probabilities) < 2:
            raise InputError("a committee of one always agrees: set active.committee to 2 or more.")
        members = zip(*probabilities, strict=True)
        return np.array([vote_entropy(np.stack([p.argmax(axis=1) for p in m])) for m in members])
    raise InputError(
        f"there is no query policy {policy!r}: use random, least_confidence, token_entropy or "
        "committee."
    )


def highest(values: np.ndarray, count: int) -> np.ndarray:
    """Positions of the `count` highest values, or of all if there are fewer; first ones on ties."""
    return np.argsort(-values, kind="stable")[:count]
