"""Query policies: worked examples and what must hold of any probabilities."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixtext.active.policies import (
    diverse,
    entropy,
    highest,
    informativeness,
    informativeness_of_sentences,
    least_confidence,
    margin,
    vote_entropy,
)
from mixtext.errors import InputError

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
    assert least_confidence(P).sum() == pytest.approx(0.8)
    assert margin(P) == pytest.approx([-0.4, 0])
    assert entropy(P).mean() == pytest.approx(0.65201, abs=5e-6)
    assert vote_entropy(AAB).mean() == pytest.approx(0.31826, abs=5e-6)


def test_the_reference_file_says_the_same():
    p = np.array(HAND["LC"]["probs"])
    assert least_confidence(p).sum() == pytest.approx(HAND["LC"]["lc"])
    assert entropy(p).mean() == pytest.approx(HAND["LC"]["nte"])
    votes = np.array(HAND["vote_entropy"]["votes"]).T  # theirs are by word
    assert vote_entropy(votes).mean() == pytest.approx(HAND["vote_entropy"]["ve"])


def test_a_certain_model_has_no_entropy_and_no_nan():
    certain = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]], dtype=np.float32)
    assert entropy(certain).tolist() == [0, 0]
    assert least_confidence(certain).tolist() == [0, 0]
    assert margin(certain).tolist() == [-1, -1]


@given(st.integers(0, 2**32 - 1), st.integers(2, 5))
def test_a_unanimous_committee_is_at_peace(seed, members):
    votes = np.tile(rng(seed).integers(0, 4, size=9), (members, 1))
    assert not vote_entropy(votes).any()


@given(st.integers(0, 2**32 - 1))
def test_bounds(seed):
    for p in random_probabilities(seed):
        assert ((entropy(p) >= 0) & (entropy(p) <= np.log(4) + 1e-12)).all()
        assert ((least_confidence(p) >= 0) & (least_confidence(p) <= 0.75)).all()
        assert ((margin(p) >= -1) & (margin(p) <= 0)).all()
    votes = rng(seed).integers(0, 4, size=(3, 7))
    shares = vote_entropy(votes)
    assert ((shares >= 0) & (shares <= np.log(3) + 1e-12)).all()
    assert shares == pytest.approx(vote_entropy(votes[[2, 0, 1]]))


@given(st.integers(0, 2**32 - 1))
def test_of_two_classes_all_that_look_at_a_model_put_rows_in_one_order(seed):
    p = rng(seed).dirichlet(np.ones(2), 20)
    orders = [highest(each(p), 20).tolist() for each in (least_confidence, margin, entropy)]
    assert orders[0] == orders[1] == orders[2]


def test_informativeness_by_each_policy():
    members = [random_probabilities(seed) for seed in (0, 0, 0)]
    first = members[0]
    assert informativeness_of_sentences("least_confidence", members, 6, rng()).tolist() == [
        least_confidence(p).sum() for p in first
    ]
    assert informativeness_of_sentences("token_entropy", members[:1], 6, rng()).tolist() == [
        entropy(p).mean() for p in first
    ]
    assert (
        informativeness_of_sentences("committee", members, 6, rng()).tolist() == [0.0] * 6
    )  # three times the same
    flipped = [1 - p for p in first]
    split = informativeness_of_sentences("committee", [first, first, flipped], 6, rng())
    assert split == pytest.approx(-(2 / 3 * np.log(2 / 3) + 1 / 3 * np.log(1 / 3)))
    drawn = informativeness_of_sentences("random", [], 500, rng())
    assert len(set(drawn.tolist())) == 500
    assert informativeness_of_sentences("random", [], 500, rng()).tolist() == drawn.tolist()


def test_wrong_settings():
    with pytest.raises(InputError, match="no query policy 'best'"):
        informativeness_of_sentences("best", [], 3, rng())
    with pytest.raises(InputError, match="committee of one"):
        informativeness_of_sentences("committee", [random_probabilities(0)], 6, rng())


def test_texts_are_told_by_their_own_probabilities():
    p = np.array([[0.5, 0.5, 0.0], [0.4, 0.3, 0.3], [0.9, 0.1, 0.0]])
    picks = {one: highest(informativeness(one, [p], 3, rng()), 1)[0]
             for one in ("least_confidence", "margin", "entropy")}  # fmt: skip
    assert picks == {"least_confidence": 1, "margin": 0, "entropy": 1}
    assert not informativeness("committee", [p, p, p], 3, rng()).any()
    other = np.array([[0.5, 0.5, 0.0], [0.1, 0.3, 0.6], [0.9, 0.1, 0.0]])
    split = informativeness("committee", [p, p, other], 3, rng())
    assert split == pytest.approx([0, -(2 / 3 * np.log(2 / 3) + 1 / 3 * np.log(1 / 3)), 0])
    assert len(set(informativeness("random", [], 50, rng()).tolist())) == 50
    with pytest.raises(InputError, match="no query policy 'best'"):
        informativeness("best", [], 3, rng())
    with pytest.raises(InputError, match="committee of one"):
        informativeness("committee", [p], 3, rng())


def test_diverse_rows_are_one_of_each_cluster_next_to_its_centre():
    sizes, centres = [9, 5, 7, 6], 10 * np.eye(4, 6)
    of = np.repeat(np.arange(4), sizes)
    vectors = (centres[of] + 0.5 * rng(1).normal(size=(27, 6))).astype(np.float32)
    found = diverse(vectors, 4, rng())
    assert of[found].tolist() == [0, 2, 3, 1]  # large clusters first
    for row in found:
        centre = vectors[of == of[row]].mean(axis=0)
        distances = np.linalg.norm(vectors[of == of[row]] - centre, axis=1)
        assert np.linalg.norm(vectors[row] - centre) == pytest.approx(distances.min())
    assert diverse(vectors, 4, rng()).tolist() == found.tolist()


def test_diverse_rows_are_as_many_as_asked_for_where_vectors_are_alike():
    found = diverse(np.ones((6, 3), dtype=np.float32), 5, rng())
    assert len(set(found.tolist())) == 5
    assert sorted(diverse(np.eye(3, dtype=np.float32), 3, rng()).tolist()) == [0, 1, 2]


def test_highest():
    assert highest(np.array([1.0, 3.0, 2.0, 3.0]), 3).tolist() == [1, 3, 2]
    assert highest(np.array([1.0]), 5).tolist() == [0]
    assert highest(np.array([]), 5).tolist() == []
