"""The losses against the official code's numbers, closed forms and properties."""

import json
import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from mixtext.losses import (
    LABELLED_LOSSES,
    MARGINS,
    bce_of_softmax,
    consistency_kl,
    consistency_squared,
    entropy_margin,
    soft_cross_entropy,
    soft_log_sigmoid,
    squared_error,
    squared_norm_margin,
)

GOLDEN = json.loads(
    (Path(__file__).parent / "golden" / "mixtext" / "golden.json").read_text(encoding="utf-8")
)
INPUTS = GOLDEN["semiloss_inputs"]
WITH_TARGETS = (soft_cross_entropy, soft_log_sigmoid, consistency_kl, consistency_squared)
WITH_MARGIN = (squared_norm_margin, entropy_margin)


@pytest.mark.parametrize(
    "term",
    GOLDEN["semiloss"],
    ids=lambda t: f"case{t['case']}-method{t['mix_method']}-{t['mixed']}",
)
def test_official_loss_terms(term):
    given = {name: torch.tensor(value) for name, value in INPUTS[term["case"]].items()}
    labelled, margin, margin_of = soft_cross_entropy, entropy_margin, "outputs_u"
    if term["mix_method"] == 2:
        margin = squared_norm_margin
        if not term["mixed"]:
            labelled, margin_of = soft_log_sigmoid, "outputs_u_2"
    found = {
        "Lx": labelled(given["outputs_x"], given["targets_x"]),
        "Lu": consistency_kl(given["outputs_u"], given["targets_u"]),
        "Lu2": margin(given[margin_of], term["margin"]),
    }
    for name, value in found.items():
        assert value.item() == pytest.approx(term[name], rel=2e-6, abs=1e-6), name
    ramp = min(1.0, term["epoch"] / term["epochs"])
    assert term["w"] == ramp * term["lambda_u"]
    assert term["w2"] == ramp * term["lambda_u_hinge"]


def test_the_vectors_tell_the_variants_apart():
    # Each pair of variants differs on some case, so the test above cannot pass with a wrong one.
    for a, b in ((soft_cross_entropy, soft_log_sigmoid), (soft_cross_entropy, consistency_kl)):
        x, y = torch.tensor(INPUTS[0]["outputs_x"]), torch.tensor(INPUTS[0]["targets_u"][:3])
        assert abs(a(x, y) - b(x, y)) > 0.01
    u = torch.tensor(INPUTS[0]["outputs_u"])
    assert abs(squared_norm_margin(u, 0.7) - entropy_margin(u, 0.7)) > 0.01


# ---- by hand


def test_even_logits():
    logits, y = torch.zeros(3, 4), torch.tensor([[1.0, 0, 0, 0]] * 2 + [[0.5, 0.5, 0, 0]])
    assert soft_cross_entropy(logits, y).item() == pytest.approx(math.log(4))
    # KL = log 4 − H(y), H = 0, 0, log 2.
    kl = (2 * math.log(4) + math.log(2)) / 3
    assert consistency_kl(logits, y).item() == pytest.approx(kl)
    assert soft_log_sigmoid(logits, y).item() == pytest.approx(math.log(2))
    assert squared_norm_margin(logits, 0.7).item() == pytest.approx(0.7 - 0.25)
    assert squared_norm_margin(logits, 0.2).item() == 0
    assert entropy_margin(logits, 0.7).item() == pytest.approx(math.log(4) - 0.7)
    assert entropy_margin(logits, 1.4).item() == 0


def test_the_hinge_works_row_by_row():
    # p = (1/2, 1/2) and p = (1, 0): squared norms 1/2 and 1, entropies log 2 and 0.
    logits = torch.tensor([[0.0, 0.0], [200.0, 0.0]])
    assert squared_norm_margin(logits, 0.7).item() == pytest.approx((0.7 - 0.5) / 2)
    assert entropy_margin(logits, 0.5).item() == pytest.approx((math.log(2) - 0.5) / 2)


def test_hard_labels_give_the_usual_cross_entropy():
    logits = torch.randn(6, 5, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 4, 2, 2, 1, 3])
    found = soft_cross_entropy(logits, F.one_hot(labels, 5).float())
    assert_close(found, F.cross_entropy(logits, labels))


# ---- properties


def random_case(seed=0, rows=5, classes=4):
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(rows, classes, generator=generator)
    return logits, torch.softmax(torch.randn(rows, classes, generator=generator), -1)


@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(2, 8))
@settings(max_examples=30, deadline=None)
def test_cross_entropy_and_kl_have_one_gradient(seed, rows, classes):
    logits, y = random_case(seed, rows, classes)
    gradients = []
    for loss in (soft_cross_entropy, consistency_kl):
        z = logits.clone().requires_grad_()
        loss(z, y).backward()
        gradients.append(z.grad)
    assert_close(gradients[0], gradients[1], atol=1e-7, rtol=1e-5)
    expected = (torch.softmax(logits, -1) - y) / rows
    assert_close(gradients[0], expected, atol=1e-6, rtol=1e-5)
    # They differ by the entropy of the targets.
    entropy = -(y * y.log()).sum(-1).mean()
    difference = soft_cross_entropy(logits, y) - consistency_kl(logits, y)
    assert_close(difference, entropy, atol=1e-5, rtol=1e-5)


@given(st.integers(0, 10_000), st.floats(-50, 50))
@settings(max_examples=30, deadline=None)
def test_kl_is_not_negative_and_zero_only_at_the_target(seed, shift):
    logits, y = random_case(seed)
    assert consistency_kl(logits, y).item() >= 0
    assert consistency_kl(y.log() + shift, y).item() == pytest.approx(0, abs=2e-5)
    assert consistency_kl(y.log() + torch.eye(5, 4), y).item() > 1e-3


@pytest.mark.parametrize("gap", [104.0, 1e4])
def test_a_wide_gap_between_logits_stays_finite(gap):
    # The official form, log of the softmax, is infinite from a gap of about 104 on.
    z = torch.tensor([[gap, 0.0, 0.0]], requires_grad=True)
    y = torch.tensor([[0.0, 0.25, 0.75]])
    entropy = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))
    assert soft_cross_entropy(z, y).item() == pytest.approx(gap, rel=1e-6)
    kl = consistency_kl(z, y)
    assert kl.item() == pytest.approx(gap - entropy, rel=1e-6)
    kl.backward()
    assert_close(z.grad, torch.tensor([[1.0, -0.25, -0.75]]))
    assert squared_norm_margin(z, 0.7).item() == 0
    assert entropy_margin(z, 0.1).item() == 0
    assert soft_log_sigmoid(-z, torch.tensor([[1.0, 0, 0]])).item() == pytest.approx(gap, rel=1e-6)
    for margin in WITH_MARGIN:
        z.grad = None
        margin(z, 0.7).backward()
        assert torch.isfinite(z.grad).all()


def test_an_empty_batch_gives_zero_with_a_gradient():
    layer = torch.nn.Linear(3, 2)
    for loss in (*WITH_TARGETS, *WITH_MARGIN):
        layer.zero_grad()
        second = torch.zeros(0, 2) if loss in WITH_TARGETS else 0.7
        value = loss(layer(torch.zeros(0, 3)), second)
        assert value.item() == 0 and value.shape == ()
        value.backward()
        assert layer.weight.grad.abs().max() == 0


def test_the_mean_is_over_rows():
    logits, y = random_case()
    for loss in WITH_TARGETS:
        rows = [loss(logits[i : i + 1], y[i : i + 1]) for i in range(len(y))]
        assert_close(loss(logits, y), torch.stack(rows).mean())
    for loss in WITH_MARGIN:
        rows = [loss(logits[i : i + 1], 0.6) for i in range(len(y))]
        assert_close(loss(logits, 0.6), torch.stack(rows).mean())


def test_weights_of_rows():
    # A row of weight 0 is as if it had no loss, and still one of the rows.
    logits, y = random_case()
    weights = torch.linspace(0, 2, len(y))
    for loss in (soft_cross_entropy, consistency_kl):
        rows = torch.stack([loss(logits[i : i + 1], y[i : i + 1]) for i in range(len(y))])
        assert_close(loss(logits, y, weights), (weights * rows).mean())
        assert_close(loss(logits, y, weights > 0), rows[1:].sum() / len(y))
        assert torch.equal(loss(logits, y, torch.ones(len(y))), loss(logits, y))


def test_low_precision_logits_are_summed_in_float32():
    logits, y = random_case()
    low = logits.bfloat16()
    for loss in WITH_TARGETS:
        assert loss(low, y).dtype == torch.float32
        assert_close(loss(low, y), loss(low.float(), y))


def test_float64_logits_stay_in_float64():
    logits, y = (x.double() for x in random_case())
    scores = logits[:, :1]
    found = [loss(logits, y) for loss in (*WITH_TARGETS, bce_of_softmax)]
    found += [margin(logits, 0.6) for margin in WITH_MARGIN] + [squared_error(scores, y[:, :1])]
    log_p, p = logits.log_softmax(-1), logits.softmax(-1)
    wanted = [
        -(y * log_p).sum(-1).mean(),
        -(y * F.logsigmoid(logits)).sum(-1).mean(),
        (y * (y.log() - log_p)).sum(-1).mean(),
        (y - p).square().sum(-1).mean(),
        F.binary_cross_entropy(p, y),
        (0.6 - p.square().sum(-1)).clamp(min=0).mean(),
        (-(p * log_p).sum(-1) - 0.6).clamp(min=0).mean(),
        (scores - y[:, :1]).square().mean(),
    ]
    for value, expected in zip(found, wanted, strict=True):
        assert value.dtype == torch.float64
        assert_close(value, expected, atol=1e-13, rtol=0)


def test_variants_by_name():
    assert LABELLED_LOSSES["softmax"] is soft_cross_entropy
    assert LABELLED_LOSSES["sigmoid"] is soft_log_sigmoid
    assert MARGINS["squared_norm"] is squared_norm_margin
    assert MARGINS["entropy"] is entropy_margin
