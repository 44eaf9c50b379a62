"""The optimiser against AdamW written out in NumPy, schedules and step counts in closed form."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from mixtext.errors import InputError
from mixtext.training.device import choose_device
from mixtext.training.optimiser import make_optimiser, set_rates
from mixtext.training.settings import Plan, TrainingSettings, plan_steps, rate

SETTINGS = TrainingSettings(lr_encoder=1e-2, lr_head=1e-1, warmup=0, weight_decay=0)
SHAPES = {"encoder.weight": (3, 2), "encoder.bias": (3,), "head.weight": (2, 3), "head.bias": (2,)}


class Model(nn.Module):
    """Stands for a classifier: an encoder and a head, float64."""

    def __init__(self):
        super().__init__()
        self.encoder, self.head = nn.Linear(2, 3).double(), nn.Linear(3, 2).double()
        generator = torch.Generator().manual_seed(0)
        for p in self.parameters():
            p.data = torch.randn(p.shape, generator=generator, dtype=torch.float64)


def given_gradients(steps, scale):
    generator = np.random.default_rng(1)
    return [{n: scale * generator.normal(size=s) for n, s in SHAPES.items()} for _ in range(steps)]


def by_torch(settings, gradients, total):
    model = Model()
    optimiser = make_optimiser(model, settings)
    trail = []
    for step, gradient in enumerate(gradients):
        set_rates(optimiser, settings, step, total)
        for name, p in model.named_parameters():
            p.grad = torch.from_numpy(gradient[name])
        optimiser.step()
        optimiser.zero_grad()
        trail.append({n: p.detach().numpy().copy() for n, p in model.named_parameters()})
    return trail


def by_hand(settings, gradients, total):
    """AdamW step by step: β = 0.9 and 0.999, decay first, eps where the setting says."""
    weights = {n: p.detach().numpy().copy() for n, p in Model().named_parameters()}
    m = {n: np.zeros(s) for n, s in SHAPES.items()}
    v = {n: np.zeros(s) for n, s in SHAPES.items()}
    trail = []
    for t, gradient in enumerate(gradients, 1):
        factor = warmed_linear(t - 1, settings.warmup, total) if settings.warmup else 1.0
        for name, g in gradient.items():
            lr = settings.lr_head if name.startswith("head") else settings.lr_encoder
            lr *= factor
            if name.endswith("weight"):
                weights[name] = weights[name] * (1 - lr * settings.weight_decay)
            m[name] = 0.9 * m[name] + 0.1 * g
            v[name] = 0.999 * v[name] + 0.001 * g * g
            correct_m, correct_v = 1 - 0.9**t, 1 - 0.999**t
            if settings.eps_before_bias_correction:
                # pytorch_transformers: denominator √v + eps, step size lr·√(1 − β₂ᵗ)/(1 − β₁ᵗ).
                update = (
                    math.sqrt(correct_v) / correct_m * m[name] / (np.sqrt(v[name]) + settings.eps)
                )
            else:
                update = (m[name] / correct_m) / (np.sqrt(v[name] / correct_v) + settings.eps)
            weights[name] = weights[name] - lr * update
        trail.append({n: w.copy() for n, w in weights.items()})
    return trail


def warmed_linear(step, warmup, total):
    """Rises to 1 over the warm-up, then falls to 0 at `total`."""
    rising = warmup * total
    return (step + 1) / (rising + 1) if step < rising else (total - step) / (total - rising)


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize(
    "changes",
    [
        {"eps": 1e-6},
        {"eps": 0.5},
        {"eps": 1e-2, "weight_decay": 0.3},
        {"eps": 1e-2, "weight_decay": 0.1, "warmup": 0.25, "schedule": "linear"},
    ],
    ids=["official", "large_eps", "decay", "schedule"],
)
def test_adamw_by_hand(before, changes):
    settings = replace(SETTINGS, eps_before_bias_correction=before, **changes)
    gradients = given_gradients(steps=8, scale=0.02)
    found, expected = by_torch(settings, gradients, 8), by_hand(settings, gradients, 8)
    for step in range(8):
        for name in SHAPES:
            np.testing.assert_allclose(found[step][name], expected[step][name], rtol=0, atol=1e-12)


def test_where_eps_is_added_matters():
    # Otherwise the test above could not tell the two apart.
    gradients = given_gradients(steps=1, scale=1e-3)
    settings = replace(SETTINGS, eps=1e-6)
    plain = by_hand(settings, gradients, 1)[0]["head.weight"]
    other = replace(settings, eps_before_bias_correction=True)
    assert np.abs(plain - by_hand(other, gradients, 1)[0]["head.weight"]).max() > 1e-4


def test_groups():
    model, settings = Model(), replace(SETTINGS, weight_decay=0.2)
    groups = {
        (g["part"], g["weight_decay"]): g for g in make_optimiser(model, settings).param_groups
    }
    assert groups.keys() == {(part, decay) for part in ("encoder", "head") for decay in (0.2, 0.0)}
    for (part, decay), group in groups.items():
        module = getattr(model, part)
        (p,) = group["params"]
        assert p is (module.weight if decay else module.bias)
        assert group["lr"] == (1e-2 if part == "encoder" else 1e-1)


def test_frozen_weights_are_left_out():
    model = Model()
    model.encoder.requires_grad_(False)
    optimiser = make_optimiser(model, SETTINGS)
    assert {group["part"] for group in optimiser.param_groups} == {"head"}
    before = model.encoder.weight.clone()
    model.head(model.encoder(torch.ones(1, 2).double())).sum().backward()
    optimiser.step()
    assert torch.equal(model.encoder.weight, before)


def test_rates_depend_on_the_step_alone():
    settings = replace(
        SETTINGS, schedule="cosine", warmup=0.2, eps=1e-4, eps_before_bias_correction=True
    )

    def rates(*steps):
        optimiser = make_optimiser(Model(), settings)
        for step in steps:
            set_rates(optimiser, settings, step, 50)
        return [(group["lr"], group["eps"]) for group in optimiser.param_groups]

    assert rates(0, 1, 2, 30) == rates(30) != rates(29)
    for lr, eps in rates(30):
        peak = 1e-2 if lr < 1e-2 else 1e-1
        assert lr == pytest.approx(peak * 0.5 * (1 + math.cos(math.pi * 20 / 40)))
        assert eps == pytest.approx(1e-4 / math.sqrt(1 - 0.999**31))


# ---- schedules


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
def test_schedule_without_warm_up(schedule):
    settings, total = replace(SETTINGS, schedule=schedule), 40
    form = {
        "constant": lambda share: 1.0,
        "linear": lambda share: 1 - share,
        "cosine": lambda share: math.cos(math.pi * share / 2) ** 2,
    }[schedule]
    for step in range(total):
        assert rate(settings, step, total) == pytest.approx(form(step / total))
    assert rate(settings, 0, total) == 1


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
@pytest.mark.parametrize(("warmup", "total"), [(0.1, 100), (0.25, 8), (0.5, 10), (0.06, 50)])
def test_warm_up(schedule, warmup, total):
    settings = replace(SETTINGS, schedule=schedule, warmup=warmup)
    rising = round(warmup * total)
    factors = [rate(settings, step, total) for step in range(total)]
    # Equal steps from above 0 to the peak, which the first step after the warm-up has.
    assert factors[:rising] == pytest.approx([(s + 1) / (rising + 1) for s in range(rising)])
    assert factors[rising] == pytest.approx(1)
    assert min(factors) > 0 and max(factors) <= 1
    after = factors[rising:]
    assert after == sorted(after, reverse=True)
    if schedule == "linear":
        steps = len(after)
        assert after == pytest.approx([1 - k / steps for k in range(steps)])
    if schedule == "cosine":
        assert after[len(after) // 2] == pytest.approx(
            0.5 * (1 + math.cos(math.pi * (len(after) // 2) / len(after)))
        )


@pytest.mark.parametrize("total", [1, 2, 3, 7, 30, 33])
@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.3, 0.99])
@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
def test_every_step_trains(total, warmup, schedule):
    settings = replace(SETTINGS, schedule=schedule, warmup=warmup)
    factors = [rate(settings, step, total) for step in range(total)]
    assert all(0 < factor <= 1 for factor in factors)
    top = factors.index(max(factors))
    assert factors[: top + 1] == sorted(factors[: top + 1])
    assert factors[top:] == sorted(factors[top:], reverse=True)


# ---- how long


@pytest.mark.parametrize(
    ("changes", "rows", "plan"),
    [
        # One pass over 40 rows in batches of 8 is 5 steps.
        ({"steps": 200, "evaluate_every": 20}, 40, Plan(200, 5, 20, 20)),
        ({"steps": 200, "evaluate_every": 0}, 40, Plan(200, 5, 5, 5)),
        ({"steps": 0, "epochs": 3, "evaluate_every": 0}, 40, Plan(15, 5, 5, 5)),
        ({"steps": 0, "epochs": 3, "evaluate_every": 0}, 41, Plan(18, 6, 6, 6)),
        # An official epoch is a number of steps, not a pass.
        (
            {"steps": 0, "epochs": 20, "steps_per_epoch": 1000, "evaluate_every": 0},
            40,
            Plan(20_000, 1000, 1000, 1000),
        ),
        ({"steps": 0, "epochs": 2, "accumulate": 2, "evaluate_every": 0}, 40, Plan(6, 3, 3, 3)),
        ({"steps": 10, "evaluate_every": 50}, 40, Plan(10, 5, 10, 10)),
        ({"steps": 10, "evaluate_every": 4, "checkpoint_every": 3}, 40, Plan(10, 5, 4, 3)),
        ({"steps": 7, "evaluate_every": 0}, 3, Plan(7, 1, 1, 1)),
    ],
)
def test_plan(changes, rows, plan):
    settings = replace(TrainingSettings(batch=8), **changes)
    assert plan_steps(settings, rows) == plan


# ---- refusals


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"steps": 200, "epochs": 2}, ["training.steps is 200", "training.epochs is 2"]),
        ({"batch": 0}, ["training.batch is 0"]),
        ({"accumulate": 0}, ["training.accumulate is 0"]),
        ({"log_every": 0}, ["training.log_every is 0"]),
        ({"eval_batch": 0}, ["training.eval_batch is 0"]),
        ({"batch": 10**9}, ["training.batch is 1000000000"]),
        ({"batch_unlabelled": 10**9}, ["training.batch_unlabelled is 1000000000"]),
        ({"accumulate": 10**9}, ["training.accumulate is 1000000000"]),
        ({"batch": 2**16, "accumulate": 2**16}, ["training.accumulate is 65536", "4,294,967,296"]),
        ({"eval_batch": 10**9}, ["training.eval_batch is 1000000000"]),
        ({"seed": -1}, ["training.seed is -1"]),
        ({"weight_decay": -0.1}, ["training.weight_decay is -0.1"]),
        ({"clip": -1.0}, ["training.clip is -1.0"]),
        ({"patience": -1}, ["training.patience is -1"]),
        ({"lr_encoder": 0.0}, ["training.lr_encoder is 0.0"]),
        ({"lr_head": -1.0}, ["training.lr_head is -1.0"]),
        ({"lr_head": float("nan")}, ["training.lr_head is nan"]),
        ({"eps": 0.0}, ["training.eps is 0.0"]),
        ({"warmup": 1.0}, ["training.warmup is 1.0"]),
        ({"warmup": -0.1}, ["training.warmup is -0.1"]),
    ],
)
def test_settings_out_of_range(changes, words):
    with pytest.raises(InputError) as error:
        replace(TrainingSettings(), **changes)
    sentence = str(error.value)
    assert all(word in sentence for word in words) and sentence.endswith(".")


def test_devices():
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(InputError, match=r"training\.device 'abacus' is not available here"):
        choose_device("abacus")
