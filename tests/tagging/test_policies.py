"""Query policies: worked examples and what must hold of any probabilities."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixtext.errors import InputError
from mixtext.tagging.policies import (
    highest,
    informativeness,
    least_confidence,
    token_entropy,
    vote_entropy,
)

HAND = json.loads(
    (Path(__file__).parents[1] / "golden" / "seqmix" / "hand_example.json").read_text()
)
P = np.array([[0.7, 0.3], [0.5, 0.5]])
AAB = np.array([[0, 0], [0, 0], [1, 0]])  # three members, two words: AAB and AAA


def rng(seed=0):
    return np.random.default_rng(seed)


def random_probabilities(seed, count=6):
    generator = rng(seed)
    return [generator.dirichlet(np.ones(4), generator.integers(1, 8)) for _ in range(count)]


def test_worked_examples():
    assert least_confidence(P) == pytest.approx(0.8)
    assert token_entropy(P) == pytest.approx(0.65201, abs=5e-6)
    assert vote_entropy(AAB) == pytest.approx(0.31826, abs=5e-6)


def test_the_reference_file_says_the_same():
    p = np.array(HAND["LC"]["probs"])
    assert least_confidence(p) == pytest.approx(HAND["LC"]["lc"])
    assert token_entropy(p) == pytest.approx(HAND["LC"]["nte"])
    votes = np.array(HAND["vote_entropy"]["votes"]).T  # theirs are by word
    assert vote_entropy(votes) == pytest.approx(HAND["vote_entropy"]["ve"])


def test_a_certain_model_has_no_entropy_and_no_nan():
    certain = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]], dtype=np.float32)
    assert token_entropy(certain) == 0
    assert least_confidence(certain) == 0


@given(st.integers(0, 2**32 - 1), st.integers(2, 5))
def test_a_unanimous_committee_is_at_peace(seed, members):
    votes = np.tile(rng(seed).integers(0, 4, size=9), (members, 1))
    assert vote_entropy(votes) == 0


@given(st.integers(0, 2**32 - 1))
def test_bounds(seed):
    for p in random_probabilities(seed):
        assert 0 <= token_entropy(p) <= np.log(4) + 1e-12
        assert 0 <= least_confidence(p) <= len(p) * 0.75
    votes = rng(seed).integers(0, 4, size=(3, 7))
    assert 0 <= vote_entropy(votes) <= np.log(3) + 1e-12
    assert vote_entropy(votes) == pytest.approx(vote_entropy(votes[[2, 0, 1]]))


def test_entropy_is_normalised_and_confidence_is_not():
    assert token_entropy(np.tile(P, (5, 1))) == pytest.approx(token_entropy(P))
    assert least_confidence(np.tile(P, (5, 1))) == pytest.approx(5 * least_confidence(P))


def test_informativeness_by_each_policy():
    members = [random_probabilities(seed) for seed in (0, 0, 0)]
    first = members[0]
    assert informativeness("least_confidence", members, 6, rng()).tolist() == [
        least_confidence(p) for p in first
    ]
    assert informativeness("token_entropy", members[:1], 6, rng()).tolist() == [
        token_entropy(p) for p in first
    ]
    assert (
        informativeness("committee", members, 6, rng()).tolist() == [0.0] * 6
    )  # three times the same
    flipped = [1 - p for p in first]
    split = informativeness("committee", [first, first, flipped], 6, rng())
    assert split == pytest.approx(-(2 / 3 * np.log(2 / 3) + 1 / 3 * np.log(1 / 3)))
    drawn = informativeness("random", [], 500, rng())
    assert len(set(drawn.tolist())) == 500
    assert informativeness("random", [], 500, rng()).tolist() == drawn.tolist()


def test_wrong_settings():
    with pytest.raises(InputError, match="no query policy 'best'"):
        informativeness("best", [], 3, rng())
    with pytest.raises(InputError, match="committee of one"):
        informativeness("committee", [random_probabilities(0)], 6, rng())


def test_highest():
    assert highest(np.array([1.0, 3.0, 2.0, 3.0]), 3).tolist() == [1, 3, 2]
    assert highest(np.array([1.0]), 5).tolist() == [0]
    assert highest(np.array([]), 5).tolist() == []
