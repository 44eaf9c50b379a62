"""Guess, sharpen and align against the official code's numbers and their closed forms."""

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from mixtext.pseudo_labels import align, guess, sharpen

GOLDEN = json.loads(
    (Path(__file__).parent / "golden" / "mixtext" / "golden.json").read_text(encoding="utf-8")
)
CASES = [(case, result) for case in GOLDEN["label_guess"] for result in case["results"]]


def name(value):
    if "T" in value:
        return "de{w_de}-ru{w_ru}-ori{w_ori}-T{T}".format(**value)
    return None


@pytest.mark.parametrize(("case", "result"), CASES, ids=name)
def test_official_guesses(case, result):
    views = ("de", "ru", "ori")
    each = [torch.softmax(torch.tensor(case[f"logits_{v}"]), -1) for v in views]
    averaged = guess(each, [result[f"w_{v}"] for v in views])
    assert_close(averaged, torch.tensor(result["p"]), atol=1e-6, rtol=1e-5)
    sharpened = sharpen(averaged, result["T"])
    assert_close(sharpened, torch.tensor(result["targets_u"]), atol=1e-6, rtol=1e-5)


@st.composite
def simplex(draw, classes=4):
    seed, rows = draw(st.integers(0, 10_000)), draw(st.integers(1, 5))
    numbers = torch.randn(rows, classes, generator=torch.Generator().manual_seed(seed))
    return torch.softmax(2 * numbers.double(), -1)


# ---- guess


def test_guess_by_hand():
    a, b = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    assert_close(guess([a, b], [1, 3]), torch.tensor([[0.25, 0.75]]))
    assert_close(guess([a, b], [0.5, 0.5]), torch.tensor([[0.5, 0.5]]))
    assert torch.equal(guess([a], [7.0]), a)


@given(simplex(), st.floats(0.1, 5), st.floats(0.1, 5), st.floats(0.1, 10))
@settings(max_examples=30, deadline=None)
def test_guess_is_a_mean(p, one, two, scale):
    q = p.flip(-1)
    mean = guess([p, q], [one, two])
    assert_close(mean.sum(-1), torch.ones(len(p)).double())
    assert (mean >= torch.minimum(p, q) - 1e-12).all()
    assert (mean <= torch.maximum(p, q) + 1e-12).all()
    assert_close(guess([p, q], [one * scale, two * scale]), mean)  # only the ratio counts
    assert_close(guess([q, p], [two, one]), mean)
    assert_close(guess([p, p], [one, two]), p)


def test_a_view_of_weight_zero_has_no_say():
    p, broken = torch.tensor([[0.2, 0.8]]), torch.full((1, 2), float("nan"))
    assert_close(guess([broken, p], [0, 2]), p)


@pytest.mark.parametrize("weights", [[1.0], [1.0, -0.5], [0.0, 0.0], [1.0, 1.0, 1.0]])
def test_weights_that_do_not_fit(weights):
    with pytest.raises(ValueError):
        guess([torch.ones(1, 1)] * 2, weights)


# ---- sharpen


def test_sharpen_by_hand():
    # Squares of 0.2, 0.3, 0.5 are 4, 9, 25 of 38.
    sharpened = sharpen(torch.tensor([[0.2, 0.3, 0.5]]), 0.5)
    assert_close(sharpened, torch.tensor([[4.0, 9.0, 25.0]]) / 38)


@given(simplex(), st.floats(0.2, 1))
@settings(max_examples=40, deadline=None)
def test_sharpen_is_the_formula(p, temperature):
    power = p ** (1 / temperature)
    assert_close(sharpen(p, temperature), power / power.sum(-1, keepdim=True))
    assert_close(sharpen(p, 1.0), p)
    # Sharper: the top class gains, and stays on top.
    assert (sharpen(p, temperature).max(-1).values >= p.max(-1).values - 1e-12).all()
    assert torch.equal(sharpen(p, temperature).argmax(-1), p.argmax(-1))


@pytest.mark.parametrize("temperature", [1e-2, 1e-4])
def test_sharpen_towards_temperature_zero_is_one_hot(temperature):
    # 0.3 ** 10000 is 0 in any float: without logarithms the row would be 0 / 0.
    p = torch.tensor([[0.3, 0.26, 0.24, 0.2], [0.1, 0.1, 0.1, 0.7]])
    expected = torch.tensor([[1.0, 0, 0, 0], [0, 0, 0, 1.0]])
    assert_close(sharpen(p, temperature), expected, atol=1e-5, rtol=0)


def test_sharpen_keeps_ties_and_zeros():
    p = torch.tensor([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]])
    assert_close(sharpen(p, 0.01), p)


# ---- align


@given(simplex())
@settings(max_examples=30, deadline=None)
def test_align_to_the_mean_itself_changes_nothing(p):
    prior = torch.tensor([0.1, 0.2, 0.3, 0.4]).double()
    assert_close(align(p, prior, prior), p)
    assert_close(align(p, prior, torch.flip(prior, (0,))).sum(-1), torch.ones(len(p)).double())


def test_align_by_hand():
    # Class 0 is guessed too often by half, class 1 half as often as it should be.
    found = align(torch.tensor([[0.6, 0.4]]), torch.tensor([0.75, 0.25]), torch.tensor([0.5, 0.5]))
    assert_close(found, torch.tensor([[0.4, 0.8]]) / 1.2)


def test_align_survives_a_class_that_was_never_guessed():
    found = align(torch.tensor([[1.0, 0.0]]), torch.tensor([1.0, 0.0]), torch.tensor([0.5, 0.5]))
    assert_close(found, torch.tensor([[1.0, 0.0]]))


def test_align_takes_a_mean_below_one_in_a_million_for_one_in_a_million():
    # A class that was never guessed is raised a great deal when it is, but not without bound.
    def row(*values):
        return torch.tensor(values, dtype=torch.float64)

    p = row(1 - 1e-6, 1e-6)
    for mean, floored in ((0.0, 1e-6), (1e-8, 1e-6), (2e-6, 2e-6)):
        scaled = p / row(1 - mean, floored)
        found = align(p[None], row(1 - mean, mean), row(0.5, 0.5))[0]
        assert_close(found, scaled / scaled.sum(), atol=1e-12, rtol=0)


@given(simplex())
@settings(max_examples=20, deadline=None)
def test_no_rows(p):
    none = p[:0]
    assert guess([none, none], [1, 1]).shape == (0, 4)
    assert sharpen(none, 0.5).shape == (0, 4)
    assert align(none, p[0], p[0]).shape == (0, 4)
