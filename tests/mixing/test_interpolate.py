"""Draws and interpolation: the papers' arithmetic, moments of the Beta law, properties."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from mixtext.errors import InputError
from mixtext.losses import consistency_kl, soft_cross_entropy
from mixtext.mixing.interpolate import Mix, blend, draw_lam, draw_mix, draw_partner, interpolate

GOLDEN = Path(__file__).parents[1] / "golden" / "mixup"
INPUT = json.loads((GOLDEN / "input_mixup.json").read_text(encoding="utf-8"))
BETA = json.loads((GOLDEN / "beta_facts.json").read_text(encoding="utf-8"))["alpha"]
CONVENTIONS, EDGES = INPUT["partner_conventions"], INPUT["edge_cases"]


def f64(values):
    return torch.tensor(values, dtype=torch.float64)


X, PERM, LAM = f64(INPUT["x"]), torch.tensor(INPUT["perm"]), f64(INPUT["lam"])
Y = torch.nn.functional.one_hot(torch.tensor(INPUT["y"]), INPUT["num_classes"]).double()


# ---- against the reference vectors


@pytest.mark.parametrize(
    ("lam", "perm", "expected"),
    [
        (INPUT["lam"], INPUT["perm"], INPUT["mixed_x"]),
        (INPUT["per_sample"]["lam"], INPUT["perm"], INPUT["per_sample"]["mixed_x"]),
        *[
            (INPUT["lam"], CONVENTIONS[name]["perm"], CONVENTIONS[name]["mixed_x"])
            for name in ("official_randperm", "timm_flip", "torchvision_roll1")
        ],
        (
            CONVENTIONS["keep_main_max_lambda"]["lam"],
            INPUT["perm"],
            CONVENTIONS["keep_main_max_lambda"]["mixed_x"],
        ),
        (1.0, INPUT["perm"], EDGES["lam_1_is_identity"]),
        (0.0, INPUT["perm"], EDGES["lam_0_is_permuted"]),
    ],
    ids=["batch", "row", "randperm", "flip", "roll", "keep_main", "lam_1", "lam_0"],
)
def test_mixed_inputs(lam, perm, expected):
    mixed = interpolate(X, Mix(f64(lam), torch.tensor(perm)))
    assert_close(mixed, f64(expected), atol=1e-12, rtol=0)
    single = interpolate(X.float(), Mix(f64(lam).float(), torch.tensor(perm)))
    assert_close(single, f64(expected).float(), atol=1e-5, rtol=0)


def test_mixed_targets():
    mixed = interpolate(Y, Mix(LAM, PERM))
    assert_close(mixed, f64(INPUT["mixed_target"]), atol=1e-12, rtol=0)
    rows = INPUT["per_sample"]
    mixed = interpolate(Y, Mix(f64(rows["lam"]), PERM))
    assert_close(mixed, f64(rows["mixed_target"]), atol=1e-12, rtol=0)


def test_smoothed_labels_mix_like_any_target():
    smooth = INPUT["timm_label_smoothing"]
    on, off = 1 - smooth["smoothing"], smooth["smoothing"] / INPUT["num_classes"]
    flip = torch.tensor(CONVENTIONS["timm_flip"]["perm"])
    mixed = interpolate(Y * on + off, Mix(LAM, flip))
    assert_close(mixed, f64(smooth["mixed_target_flip"]), atol=1e-12, rtol=0)


def test_losses_of_the_mixed_batch():
    # Two labels weighted by λ and one soft label are the same loss. The losses work in float32.
    logits = f64(INPUT["logits"])
    for lam, expected in (
        (LAM, INPUT["soft_ce_mean"]),
        (f64(INPUT["per_sample"]["lam"]), INPUT["per_sample"]["two_label_ce_mean"]),
    ):
        targets = interpolate(Y, Mix(lam, PERM))
        assert soft_cross_entropy(logits, targets).item() == pytest.approx(expected, abs=1e-5)
    rows = INPUT["two_label_ce_per_sample"]
    targets = interpolate(Y, Mix(LAM, PERM))
    for i, expected in enumerate(rows):
        one = soft_cross_entropy(logits[i : i + 1], targets[i : i + 1]).item()
        assert one == pytest.approx(expected, abs=1e-5)
    kl = consistency_kl(logits, targets).item()
    assert kl == pytest.approx(INPUT["kl_batchmean_soft_target"], abs=1e-5)


# ---- λ


def beta_moments(alpha):
    """Variance of λ; mean and variance of m = max(λ, 1 − λ); fourth central moment of λ."""
    second = 1 / (4 * (2 * alpha + 1))
    log_beta = 2 * math.lgamma(alpha) - math.lgamma(2 * alpha)
    top = 0.5 + math.exp(-2 * alpha * math.log(2) - log_beta) / alpha
    # (m − 1/2)² = (λ − 1/2)², so var(m) = var(λ) − (E m − 1/2)².
    fourth = 3 / (16 * (2 * alpha + 1) * (2 * alpha + 3))
    return second, top, second - (top - 0.5) ** 2, fourth


@pytest.mark.parametrize("alpha", BETA)
def test_lam_has_the_moments_of_the_beta_law(alpha):
    facts, alpha, n = BETA[alpha], float(alpha), 40_000
    variance, top, top_variance, fourth = beta_moments(alpha)
    assert variance == pytest.approx(facts["var"], abs=1e-12)
    assert top == pytest.approx(facts["e_max"], abs=1e-12)

    lam = draw_lam(alpha, False, np.random.default_rng(1), rows=n)
    assert lam.dtype == np.float64 and lam.shape == (n,)
    # Five standard errors: a correct sampler fails one seed in a million.
    assert abs(lam.mean() - facts["mean"]) < 5 * math.sqrt(variance / n)
    spread = ((lam - 0.5) ** 2).mean()
    assert abs(spread - facts["var"]) < 5 * math.sqrt((fourth - variance**2) / n)

    main = draw_lam(alpha, True, np.random.default_rng(2), rows=n)
    assert main.min() >= 0.5 and main.max() <= 1
    assert abs(main.mean() - facts["e_max"]) < 5 * math.sqrt(top_variance / n)


def test_one_lam_for_the_batch():
    # Drawn one at a time, λ follows the same law (a sampler that is uniform at every α would not).
    generator, n, alpha = np.random.default_rng(3), 4000, 16.0
    lam = np.array([draw_lam(alpha, False, generator) for _ in range(n)])
    assert lam.shape == (n,)
    variance, _, _, fourth = beta_moments(alpha)
    assert abs(((lam - 0.5) ** 2).mean() - variance) < 5 * math.sqrt((fourth - variance**2) / n)


def test_keep_main_takes_the_larger_share_of_the_same_draw():
    plain = draw_lam(0.4, False, np.random.default_rng(7), rows=100)
    main = draw_lam(0.4, True, np.random.default_rng(7), rows=100)
    assert (plain < 0.5).any() and (plain > 0.5).any()
    np.testing.assert_array_equal(main, np.where(plain < 0.5, 1 - plain, plain))


@pytest.mark.parametrize("alpha", [0, -1.0, float("nan")])
def test_alpha_must_be_positive(alpha):
    with pytest.raises(InputError, match=rf"alpha is {alpha}: .* needs alpha > 0\.$"):
        draw_lam(alpha, True, np.random.default_rng(0))
    with pytest.raises(InputError, match="alpha"):
        draw_mix(4, alpha, True, np.random.default_rng(0))


# ---- partners


@given(st.lists(st.integers(0, 9), min_size=1, max_size=6), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_partners_are_a_permutation_inside_each_group(groups, seed):
    partner = draw_partner(groups, np.random.default_rng(seed))
    assert partner.dtype == np.int64 and partner.shape == (sum(groups),)
    start = 0
    for size in groups:
        inside = partner[start : start + size]
        assert sorted(inside) == list(range(start, start + size))
        if size == 1:
            assert inside[0] == start
        start += size


def test_every_partner_is_as_likely():
    n, draws = 5, 4000
    generator = np.random.default_rng(11)
    counts = np.zeros((n, n))
    for _ in range(draws):
        counts[np.arange(n), draw_partner([n], generator)] += 1
    share = 1 / n
    error = math.sqrt(share * (1 - share) / draws)
    assert np.abs(counts / draws - share).max() < 5 * error


@pytest.mark.parametrize("rows", [1, 2, 7, 8])
@pytest.mark.parametrize("per_row", [False, True])
def test_draw_mix_fits_its_batch(rows, per_row):
    mix = draw_mix(rows, 2.0, True, np.random.default_rng(0), per_row)
    assert mix.lam.shape == ((rows,) if per_row else ())
    assert mix.lam.dtype == torch.float32 and mix.partner.dtype == torch.int64
    assert sorted(mix.partner.tolist()) == list(range(rows))
    assert (mix.lam >= 0.5).all() and (mix.lam <= 1).all()
    x = torch.randn(rows, 3, 2, generator=torch.Generator().manual_seed(0))
    mixed = interpolate(x, mix)
    for i in range(rows):
        lam = mix.lam[i] if per_row else mix.lam
        assert_close(mixed[i], lam * x[i] + (1 - lam) * x[mix.partner[i]])
    if rows == 1:
        assert_close(mixed, x)


def test_the_generator_alone_decides():
    one, two, other = (draw_mix(50, 2.0, False, np.random.default_rng(s)) for s in (4, 4, 5))
    assert torch.equal(one.partner, two.partner) and torch.equal(one.lam, two.lam)
    assert not torch.equal(one.partner, other.partner) and not torch.equal(one.lam, other.lam)


# ---- interpolation


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("lam_dtype", [torch.float64, torch.float32])
def test_states_keep_their_dtype(dtype, lam_dtype):
    x = X.to(dtype)
    for lam in (torch.tensor(0.3, dtype=lam_dtype), torch.full((4,), 0.3, dtype=lam_dtype)):
        assert interpolate(x, Mix(lam, PERM)).dtype == dtype
        assert blend(x, x.flip(0), lam).dtype == dtype


def test_gradient_reaches_both_partners_in_their_shares():
    x = X.clone().requires_grad_()
    weight = torch.arange(12, dtype=torch.float64).reshape(4, 3)
    (interpolate(x, Mix(LAM, PERM)) * weight).sum().backward()
    # Row i serves once as itself (λ) and once as the partner of the row whose partner is i.
    expected = LAM * weight + (1 - LAM) * weight[PERM.argsort()]
    assert_close(x.grad, expected, atol=1e-12, rtol=0)


@st.composite
def batches(draw, simplex=False):
    rows, width = draw(st.integers(1, 7)), draw(st.integers(1, 4))
    low, high = (0.01, 1) if simplex else (-1e3, 1e3)
    numbers = st.floats(low, high, allow_nan=False)
    line = st.lists(numbers, min_size=width, max_size=width)
    x = f64(draw(st.lists(line, min_size=rows, max_size=rows)))
    if simplex:
        x = x / x.sum(-1, keepdim=True)
    share = st.floats(0, 1, allow_nan=False)
    per_row = st.lists(share, min_size=rows, max_size=rows)
    lam = f64(draw(st.one_of(share, per_row)))
    partner = torch.tensor(draw(st.lists(st.integers(0, rows - 1), min_size=rows, max_size=rows)))
    return x, Mix(lam, partner)


@given(batches())
@settings(max_examples=80, deadline=None)
def test_a_mixed_row_lies_between_its_parents(batch):
    x, mix = batch
    mixed, other = interpolate(x, mix), x[mix.partner]
    assert (mixed >= torch.minimum(x, other) - 1e-9).all()
    assert (mixed <= torch.maximum(x, other) + 1e-9).all()


@given(batches(simplex=True))
@settings(max_examples=80, deadline=None)
def test_mixed_labels_stay_on_the_simplex(batch):
    y, mix = batch
    mixed = interpolate(y, mix)
    assert (mixed >= 0).all()
    assert_close(mixed.sum(-1), torch.ones(len(y), dtype=torch.float64), atol=1e-12, rtol=0)


@given(batches())
@settings(max_examples=40, deadline=None)
def test_lam_one_is_the_identity_and_lam_zero_the_partner(batch):
    x, mix = batch
    for shape in ((), (len(x),)):
        ones = torch.ones(shape, dtype=torch.float64)
        assert torch.equal(interpolate(x, Mix(ones, mix.partner)), x)
        assert torch.equal(interpolate(x, Mix(0 * ones, mix.partner)), x[mix.partner])
