"""The methods that guess labels without mixing: their formulas, written anew with numpy."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from mixtext.api import train
from mixtext.errors import InputError
from mixtext.methods.base import Progress
from mixtext.methods.fixmatch import FixMatch
from mixtext.methods.mean_teacher import MeanTeacher
from mixtext.methods.pseudo_label import PseudoLabel
from mixtext.methods.softmatch import SoftMatch
from mixtext.methods.supervised import Supervised
from mixtext.methods.uda import UDA
from mixtext.run import Run

START, HALF = Progress(0, 10, 0.0), Progress(5, 10, 0.5)
ALL = (PseudoLabel(), MeanTeacher(), UDA(), FixMatch(), SoftMatch())
THRESHOLDS = [(PseudoLabel, {}), (UDA, {"annealing": "none"}), (FixMatch, {})]
B, BU = 4, 6


def names(value):
    return getattr(value, "name", None)


@pytest.fixture
def model(make_model):
    """Outputs in float64, so that closed forms hold to many digits."""
    return make_model("bert").double()


@pytest.fixture
def batch_of(make_batch):
    """K → a batch of four labelled rows, and six unlabelled ones with K views each."""

    def make(views=1):
        lengths = np.random.default_rng(views).integers(2, 9, B + BU * (views + 1)).tolist()
        return make_batch("bert", lengths, labelled=B, views=views)

    return make


def run(method, model, batch, progress=HALF):
    return method.loss(model, batch, progress, np.random.default_rng(0))


def softmax(logits):
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def predictions(model, batch):
    """Probabilities of the labelled rows, of the views [K, Bu, C], and of the originals."""
    with torch.no_grad():
        p = softmax(model(batch.rows).numpy())
    return p[:B], p[B : len(p) - BU].reshape(batch.views, BU, p.shape[1]), p[-BU:]


def labelled_loss(p, batch):
    return -np.log(p[np.arange(B), batch.labels.numpy()]).mean()


def hard_loss(p, guesses, weights):
    """Σ weight · −log p[guessed class], by the number of rows."""
    return (weights * -np.log(p[np.arange(len(p)), guesses.argmax(1)])).mean()


def gradients(model, loss):
    model.zero_grad(set_to_none=True)
    loss.backward()
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def middle(confidence):
    """A threshold that half of the rows pass."""
    low, high = np.sort(confidence)[len(confidence) // 2 - 1 :][:2]
    return (low + high) / 2


# ---- formulas


def test_pseudo_label_by_hand(model, batch_of):
    batch = batch_of(1)
    labelled, _, p = predictions(model, batch)
    threshold = middle(p.max(1))
    used = p.max(1) > threshold
    assert 0 < used.sum() < BU
    method = PseudoLabel(threshold=threshold, unlabelled_weight=2.5, wait=0.2, ramp=0.4)
    outcome = run(method, model, batch, HALF)
    assert outcome.metrics["ramp"] == pytest.approx(0.75)
    expected = labelled_loss(labelled, batch) + 0.75 * 2.5 * hard_loss(p, p, used)
    assert outcome.loss.item() == pytest.approx(expected, rel=1e-12)
    assert outcome.metrics["guess/used"].item() == pytest.approx(used.mean())
    assert_close(outcome.guesses.numpy(), p)


@pytest.mark.parametrize("views", [0, 1, 3])
def test_fixmatch_by_hand(model, batch_of, views):
    batch = batch_of(views)
    labelled, strong, p = predictions(model, batch)
    threshold = middle(p.max(1))
    used = p.max(1) >= threshold
    outcome = run(FixMatch(threshold=threshold, unlabelled_weight=0.7), model, batch)
    each = [hard_loss(q, p, used) for q in (strong if views else [p])]
    expected = labelled_loss(labelled, batch) + 0.7 * np.mean(each)
    assert outcome.loss.item() == pytest.approx(expected, rel=1e-12)
    assert outcome.metrics["guess/used"].item() == pytest.approx(0.5)


def test_at_the_threshold_itself_fixmatch_learns_and_pseudo_label_does_not(model, batch_of):
    batch = batch_of(0)
    with torch.no_grad():
        *_, p = predictions(model, batch)
        exact = torch.softmax(model(batch.originals), -1).amax(-1).max().item()
    assert exact == pytest.approx(p.max())
    outcomes = [run(kind(threshold=exact), model, batch) for kind in (FixMatch, PseudoLabel)]
    assert [x.metrics["guess/used"].item() * BU for x in outcomes] == pytest.approx([1, 0])


@pytest.mark.parametrize("views", [0, 1, 2])
@pytest.mark.parametrize("annealing", ["none", "linear", "log", "exp"])
def test_uda_by_hand(model, batch_of, annealing, views):
    batch = batch_of(views)
    labelled, strong, p = predictions(model, batch)
    threshold = middle(p.max(1))
    used = p.max(1) > threshold
    target = p ** (1 / 0.4)
    target /= target.sum(1, keepdims=True)
    divergences = [used * (target * np.log(target / q)).sum(1) for q in (strong if views else [p])]
    alpha = {"none": 1, "linear": 0.5, "log": 1 - np.exp(-2.5), "exp": np.exp(-2.5)}[annealing]
    most = alpha * (1 - 1 / 3) + 1 / 3
    right = labelled[np.arange(B), batch.labels.numpy()]
    kept = right <= most
    loss_x = -np.log(right[kept]).mean() if kept.any() else 0.0
    method = UDA(threshold=threshold, annealing=annealing, unlabelled_weight=1.5)
    outcome = run(method, model, batch)
    expected = loss_x + 1.5 * np.mean(divergences)
    assert outcome.loss.item() == pytest.approx(expected, rel=1e-9)
    assert outcome.metrics["annealing/threshold"] == pytest.approx(most)
    assert outcome.metrics["annealing/kept"].item() == pytest.approx(kept.mean())
    assert_close(outcome.guesses.numpy(), target)


@pytest.mark.parametrize(
    ("annealing", "start", "end"),
    [("linear", 0, 1), ("log", 0, 1 - np.exp(-5)), ("exp", np.exp(-5), 1)],
)
def test_annealing_goes_from_chance_to_one(annealing, start, end):
    for classes in (2, 3, 50):
        found = [UDA(annealing=annealing).most(x, classes) for x in np.linspace(0, 1, 9)]
        assert found[0] == pytest.approx(1 / classes + start * (1 - 1 / classes))
        assert found[-1] == pytest.approx(1 / classes + end * (1 - 1 / classes))
        assert (np.diff(found) > 0).all()
    halfway = {name: UDA(annealing=name).most(0.5, 4) for name in ("exp", "linear", "log")}
    assert sorted(halfway, key=halfway.get) == ["exp", "linear", "log"]


def test_rows_that_are_right_already_are_left_out(model, batch_of):
    # At the start η is 1/C: with each row's label its likeliest class, no row is left.
    batch = batch_of(1)
    labelled, *_ = predictions(model, batch)
    batch = replace(batch, labels=torch.from_numpy(labelled.argmax(1)))
    outcome = run(UDA(annealing="linear", unlabelled_weight=0.0), model, batch, START)
    assert outcome.loss.item() == outcome.metrics["annealing/kept"].item() == 0
    assert all(not g.any() for g in gradients(model, outcome.loss).values())


@pytest.mark.parametrize("align", [True, False])
@pytest.mark.parametrize("decay", [0.999, 0.3])
def test_softmatch_weighs_a_sequence_of_batches(model, align, decay):
    method = SoftMatch(align=align, decay=decay)
    method.start(model)
    generator = np.random.default_rng(1)
    average, mean, variance = np.full(3, 1 / 3), 1 / 3, 1.0
    for step in range(12):
        p = softmax(generator.normal([1, 0, 0], 1.5, size=(BU, 3)))
        m = min(decay, (1 + step) / (10 + step))
        q = p
        if align:
            average = m * average + (1 - m) * p.mean(0)
            q = p / average / 3
            q /= q.sum(1, keepdims=True)
        sure = q.max(1)
        mean = m * mean + (1 - m) * sure.mean()
        variance = m * variance + (1 - m) * ((sure - sure.mean()) ** 2).sum() / (BU - 1)
        gauss = np.exp(-((sure - mean) ** 2) / (2 * variance))
        expected = np.where(sure < mean, gauss, 1.0)
        assert expected.max() == 1 > expected.min()
        memory = model.memory
        found = method.weigh(torch.from_numpy(p), memory, m)
        assert_close(found.numpy(), expected, atol=1e-7, rtol=0)
    assert memory.confidence_mean.item() == pytest.approx(mean, abs=1e-7)
    assert memory.confidence_variance.item() == pytest.approx(variance, abs=1e-7)


@pytest.mark.parametrize("views", [0, 2])
def test_softmatch_by_hand(model, batch_of, views):
    batch, method = batch_of(views), SoftMatch(unlabelled_weight=0.8, ramp=1.0)
    method.start(model)
    labelled, strong, p = predictions(model, batch)
    twin = copy.deepcopy(model.memory)
    weights = method.weigh(torch.from_numpy(p), twin, 0.4).numpy()
    outcome = run(method, model, batch, HALF)  # (1 + 5) / (10 + 5) = 0.4
    each = [hard_loss(q, p, weights) for q in (strong if views else [p])]
    expected = labelled_loss(labelled, batch) + 0.4 * np.mean(each)
    assert outcome.loss.item() == pytest.approx(expected, rel=1e-9)
    assert outcome.metrics["guess/used"].item() == pytest.approx(weights.mean(), rel=1e-6)


def test_softmatch_takes_one_row_and_equal_rows(model):
    method = SoftMatch()
    method.start(model)
    one = torch.tensor([[0.5, 0.3, 0.2]]).double()
    for rows in (one, one.repeat(5, 1)):
        for _ in range(300):  # with equal rows the variance goes to 0
            weights = method.weigh(rows, model.memory, 0.8)
        assert weights.isfinite().all()
        assert_close(weights, torch.ones(len(rows)).double(), atol=1e-3, rtol=0)


@pytest.mark.parametrize("views", [0, 2])
@pytest.mark.parametrize("distance", ["squared", "kl"])
def test_mean_teacher_by_hand(model, batch_of, distance, views):
    batch = batch_of(views)
    method = MeanTeacher(distance=distance, unlabelled_weight=3.0, ramp=0.8)
    method.start(model)
    with torch.no_grad():
        model.head[0].weight.mul_(0.5)  # the teacher keeps what was there
    labelled, strong, p = predictions(model, batch)
    taught, _, guesses = predictions(model.memory.teacher, batch)
    pairs = [(labelled, taught), *((q, guesses) for q in (strong if views else [p]))]
    if distance == "squared":
        each = [((q - t) ** 2).sum(1) for q, t in pairs]
    else:
        each = [(t * np.log(t / q)).sum(1) for q, t in pairs]
    ramp = np.exp(-5 * (1 - 0.5 / 0.8) ** 2)
    expected = labelled_loss(labelled, batch) + ramp * 3 * np.concatenate(each).mean()
    outcome = run(method, model, batch)
    assert outcome.metrics["ramp"] == pytest.approx(ramp)
    assert outcome.loss.item() == pytest.approx(expected, rel=1e-9)
    assert_close(outcome.guesses.numpy(), guesses)


def test_mean_teachers_weights_follow(model, batch_of):
    method = MeanTeacher(decay=0.6)
    method.start(model)
    teacher = method.evaluated(model)
    old = [p.detach().clone() for p in teacher.parameters()]
    own = [p for name, p in model.named_parameters() if not name.startswith("memory.")]
    with torch.no_grad():
        for p in own:
            p.add_(1)
    assert all(torch.equal(a, b) for a, b in zip(old, teacher.parameters(), strict=True))
    for step, decay in ((0, 0.1), (200, 0.6)):
        method.after_step(model, Progress(step, 400, 0.0))
        old = [decay * a + (1 - decay) * p.detach() for a, p in zip(old, own, strict=True)]
        for a, b in zip(old, teacher.parameters(), strict=True):
            assert_close(b.detach(), a)
    assert all(p.grad is None and not p.requires_grad for p in teacher.parameters())
    run(method, model, batch_of(1)).loss.backward()
    assert all(p.grad is None for p in teacher.parameters())


def test_mean_teacher_and_model_have_dropout_of_their_own(make_model, batch_of):
    batch, losses = batch_of(0), {}
    for dropout in (0.0, 0.3):
        model = make_model("bert", dropout=dropout)
        MeanTeacher().start(model)
        losses[dropout] = run(MeanTeacher(), model, batch).metrics["loss/unlabelled"].item()
        assert model.training and not model.memory.teacher.encoder.training
    assert losses[0.0] < 1e-10 and losses[0.3] > 1e-3


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        (PseudoLabel(wait=0.25, ramp=0.5), lambda x: np.clip((x - 0.25) / 0.5, 0, 1)),
        (PseudoLabel(wait=0.5, ramp=0.0), lambda x: x >= 0.5),
        (PseudoLabel(wait=0.0, ramp=0.0), np.ones_like),
        (MeanTeacher(ramp=0.5), lambda x: np.exp(-5 * (1 - np.clip(x / 0.5, 0, 1)) ** 2)),
        (MeanTeacher(ramp=0.0), np.ones_like),
        (SoftMatch(ramp=0.8), lambda x: np.clip(x / 0.8, 0, 1)),
        (SoftMatch(ramp=0.0), np.ones_like),
        (FixMatch(), np.ones_like),
        (UDA(), np.ones_like),
    ],
)
def test_the_weight_of_guesses_rises(make_model, batch_of, method, expected):
    model, batch = make_model("bert"), batch_of(1)
    method.start(model)
    found = []
    for step in range(9):
        outcome = run(method, model, batch, Progress(step, 8, 0.0))
        parts = [outcome.metrics[f"loss/{x}"].item() for x in ("labelled", "unlabelled")]
        weight = outcome.metrics["ramp"] * method.unlabelled_weight
        assert outcome.loss.item() == pytest.approx(parts[0] + weight * parts[1], rel=1e-5)
        found.append(outcome.metrics["ramp"])
    assert_close(np.array(found), np.asarray(expected(np.arange(9) / 8), dtype=float))


# ---- what must hold whatever the numbers are


@pytest.mark.parametrize(
    "method",
    [
        *(kind(threshold=1.01, **more) for kind, more in THRESHOLDS),
        *(kind(unlabelled_weight=0.0, **more) for kind, more in THRESHOLDS),
        MeanTeacher(unlabelled_weight=0.0),
        SoftMatch(unlabelled_weight=0.0),
    ],
    ids=names,
)
@pytest.mark.parametrize("views", [0, 2])
def test_without_guesses_it_is_plain_training(model, batch_of, method, views):
    batch = batch_of(views)
    plain = replace(batch, rows=batch.rows[torch.arange(B)], unlabelled=0, views=0)
    expected = gradients(model, run(Supervised(), model, plain).loss)
    method.start(model)
    found = gradients(model, run(method, model, batch).loss)
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        assert_close(found[name], value, atol=1e-12, rtol=1e-9)


@pytest.mark.parametrize("views", [0, 2])
@pytest.mark.parametrize("kind", [FixMatch, UDA], ids=names)
def test_texts_that_do_not_count_are_not_encoded_to_learn(model, batch_of, kind, views):
    batch = batch_of(views)
    *_, p = predictions(model, batch)
    used = torch.from_numpy(p.max(1) > middle(p.max(1)))
    method = kind(threshold=middle(p.max(1)), unlabelled_weight=1.5)
    encoded = []
    handle = model.register_forward_pre_hook(lambda _, args: encoded.append(len(args[0])))
    found = gradients(model, run(method, model, batch).loss)
    handle.remove()
    assert encoded == [BU, B + BU // 2 * batch.copies]
    # Without them in the batch it is the same step, but for what the mean is over.
    kept = torch.cat([torch.ones(B, dtype=torch.bool), used.repeat(views + 1)])
    fewer = replace(batch, rows=batch.rows[kept], unlabelled=BU // 2)
    method = replace(method, unlabelled_weight=1.5 / 2)
    expected = gradients(model, run(method, model, fewer).loss)
    for name, value in expected.items():
        assert_close(found[name], value, atol=1e-12, rtol=1e-9)


@pytest.mark.parametrize("method", ALL, ids=names)
def test_guesses_carry_no_gradient_and_hidden_labels_no_news(model, batch_of, method):
    batch, thresholdless = batch_of(2), {"threshold": 0.0} if hasattr(method, "threshold") else {}
    method = replace(method, **thresholdless)
    method.start(model)
    if isinstance(method, MeanTeacher):
        with torch.no_grad():
            model.head[0].weight.mul_(0.5)
    state = copy.deepcopy(model.state_dict())
    outcome = run(method, model, batch)
    assert not outcome.guesses.requires_grad
    assert all(not torch.is_tensor(x) or not x.requires_grad for x in outcome.metrics.values())
    first = gradients(model, outcome.loss)
    model.load_state_dict(state)
    told = replace(batch, hidden=np.arange(BU) % 3)
    again = run(method, model, told)
    assert again.loss.item() == outcome.loss.item()
    second = gradients(model, again.loss)
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("method", [FixMatch(threshold=0.0), UDA(threshold=0.0)], ids=names)
def test_only_the_views_learn(model, batch_of, method):
    # A gradient that reached the original would change the original's embeddings.
    batch = batch_of(1)
    method = replace(method, unlabelled_weight=50.0)
    only = 59  # a word that an original alone has
    ids = batch.rows.ids.clone()
    ids[ids == only] = only - 1
    ids[-BU:, 1] = only
    batch = replace(batch, rows=replace(batch.rows, ids=ids))
    gradient = gradients(model, run(method, model, batch).loss)
    words = next(value for name, value in gradient.items() if "word_embeddings" in name)
    assert not words[only].any() and words[only - 1].any()


@pytest.mark.parametrize("method", ALL, ids=names)
def test_gradients_survive_autocast(make_model, batch_of, method):
    # Autocast keeps the low-precision weights of the guess; without care they carry no gradient.
    found = []
    for dtype in (torch.float32, torch.bfloat16):
        model = make_model("bert")
        method.start(model)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
            loss = run(method, model, batch_of(1)).loss
        assert loss.dtype == torch.float32
        found.append(gradients(model, loss))
    assert found[0].keys() == found[1].keys()


@pytest.mark.parametrize("method", ALL, ids=names)
def test_values_out_of_range_are_refused(method):
    bad = {"unlabelled_weight": -1, "threshold": -0.1, "temperature": 0, "decay": 1, "ramp": 2}
    bad |= {"wait": 1, "annealing": "cosine", "distance": "cosine"}
    fields = [name for name in bad if hasattr(method, name)]
    assert len(fields) >= 2
    for name in fields:
        with pytest.raises(InputError, match=rf"^{method.name}\.{name} is .*: it must be"):
            replace(method, **{name: bad[name]})


# ---- in a run


@pytest.mark.slow
@pytest.mark.parametrize("method", ALL, ids=names)
def test_a_run_shows_what_becomes_of_the_guesses(tiny, tmp_path, method):
    overrides = (f"method={method.name}", "training.steps=4", "views.copies=2")
    result = train(tiny(*overrides), folder=tmp_path, quiet=True)
    assert result["steps"] == 4 and result["unlabelled"] > 0
    assert result["views"] == ("word dropout + word dropout" if method.views else "none")
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    shown = {"loss/labelled", "loss/unlabelled", "ramp", "guess/used", "guess/accuracy"}
    assert all(f'"{tag}": ' in lines[0] for tag in shown | {"guess/confidence"})


def test_views_wait_for_a_method_that_looks_at_them(tiny):
    # A file that is not there: nobody opens it.
    waits = tiny("method=pseudo_label", "views.file=none.jsonl", "training.batch_unlabelled=3")
    assert waits.waiting() == ["waiting: views; pseudo_label looks at no views"]
    described = Run.prepare(waits).describe()
    assert "views: none" in described and "pseudo_label looks at no views" in described
    heard = tiny("method=fixmatch", "views.file=none.jsonl")
    assert heard.waiting() == []
    with pytest.raises(InputError, match=r"none\.jsonl"):
        Run.prepare(heard)
    alone = tiny("views.rate=0.2", "training.batch_unlabelled=3").waiting()
    words = "views and batch_unlabelled; supervised learns from labelled rows alone"
    assert alone == [f"waiting: {words}"]
    with pytest.raises(InputError, match=r"batch_unlabelled is 0"):
        tiny("method=pseudo_label", "training.batch_unlabelled=0")
