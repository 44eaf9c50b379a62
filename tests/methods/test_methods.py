"""Supervised, TMix and MixText on a tiny random BERT: what enters a loss, and what must not."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close
from transformers import BertConfig, BertModel

from mixtext.data.batches import Batch, Padded, pad
from mixtext.data.views import Row
from mixtext.errors import InputError
from mixtext.losses import squared_norm_margin
from mixtext.methods import METHODS
from mixtext.methods.base import Method, Progress, soft_targets
from mixtext.methods.mixtext import MixText
from mixtext.methods.supervised import Supervised
from mixtext.methods.tmix import TMix
from mixtext.mixing.interpolate import Mix
from mixtext.models.classifier import Classifier
from mixtext.models.encoder import MixableEncoder
from mixtext.models.heads import MlpHead
from mixtext.training.optimiser import make_optimiser, set_rates
from mixtext.training.settings import TrainingSettings

VOCAB, CLASSES, LAYERS = 50, 3, 2
START, HALF, END = Progress(0, 10, 0.0), Progress(5, 10, 0.5), Progress(10, 10, 1.0)
MIXTEXT = MixText(layers=(1, 2), alpha=2.0)


def tiny_model(dropout=0.0, branches="shared"):
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=VOCAB,
        hidden_size=16,
        num_hidden_layers=LAYERS,
        num_attention_heads=2,
        intermediate_size=24,
        max_position_embeddings=20,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
        initializer_range=0.4,  # large, so that predictions differ from row to row
    )
    encoder = MixableEncoder(BertModel(config, add_pooling_layer=False))
    return Classifier(encoder, MlpHead(16, CLASSES, 8), branches=branches).train()


def tiny_batch(labelled=4, unlabelled=3, views=2, seed=0, tokens=0):
    """Random rows of `tokens` tokens, or of 3 to 9."""
    generator = np.random.default_rng(seed)
    rows = []
    for _ in range(labelled + unlabelled * (views + 1)):
        n = tokens or int(generator.integers(3, 10))
        zeros = np.zeros(n, np.int8)
        rows.append(Row(generator.integers(1, VOCAB, n), np.arange(n), zeros, zeros))
    return Batch(
        rows=pad(rows, 0),
        labels=torch.from_numpy(generator.integers(0, CLASSES, labelled)),
        unlabelled=unlabelled,
        views=views,
        hidden=generator.integers(0, CLASSES, unlabelled),
        row_ids=[str(i) for i in range(labelled + unlabelled)],
    )


def change_rows(batch, first, last):
    """The same batch with other tokens in rows first..last."""
    ids = batch.rows.ids.clone()
    ids[first:last] = (ids[first:last] + 7) % VOCAB
    return replace(batch, rows=replace(batch.rows, ids=ids))


def no_mix(rows):
    """Each row is its own partner: whatever λ is, nothing mixes."""
    return Mix(torch.tensor(0.6), torch.arange(rows)), 1


def full_lam(rows):
    """Each row has another partner, of which it takes nothing."""
    return Mix(torch.tensor(1.0), torch.arange(rows).roll(1)), 1


def run(method, model, batch, progress=HALF, seed=0, **more):
    return method.loss(model, batch, progress, np.random.default_rng(seed), **more)


def gradients(model, loss):
    model.zero_grad(set_to_none=True)
    loss.backward()
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def predictions(model, batch):
    """Softmax of the plain forward, dropout off, without a gradient."""
    training = model.training
    model.eval()
    with torch.no_grad():
        logits = model(batch.rows)
    model.train(training)
    return torch.softmax(logits, -1)


def record_forwards(model):
    """Ids of the rows of every forward to come, and whether the model was in train mode."""
    seen = []
    model.register_forward_pre_hook(lambda module, args: seen.append((args[0], module.training)))
    return seen


# ---- what all methods share


def test_progress():
    assert (START.fraction, HALF.fraction, END.fraction) == (0, 0.5, 1)
    assert Progress(12, 10, 1.2).fraction == 1 and Progress(0, 0, 0).fraction == 0


def test_methods_by_name():
    assert {name: cls.name for name, cls in METHODS.items()} == {n: n for n in METHODS}
    assert set(METHODS) >= {"supervised", "tmix", "mixtext"}


@pytest.mark.parametrize("branches", ["shared", "independent"])
@pytest.mark.parametrize("method", (Supervised, TMix, MixText))
def test_the_generator_alone_decides(method, branches):
    model = tiny_model(branches=branches)
    settings = {} if method is Supervised else {"layers": (0, 1, 2), "alpha": 1.0}
    batch = tiny_batch() if method.unlabelled else tiny_batch(unlabelled=0)
    losses = [run(method(**settings), model, batch, seed=s).loss.item() for s in (0, 0, 1, 2)]
    assert losses[0] == losses[1]
    if method is not Supervised:
        assert len(set(losses)) == 3


# ---- TMix


# Rows are of one length where λ = 1: above the mix a row sees the union of both masks, and so, for
# any λ, also the positions that only its partner has.
@pytest.mark.parametrize(("draw", "tokens"), [(no_mix, 0), (full_lam, 6)])
@pytest.mark.parametrize("labelled", [1, 2, 5])
def test_tmix_without_a_partner_is_supervised(labelled, draw, tokens):
    model, batch = tiny_model(), tiny_batch(labelled, unlabelled=0, tokens=tokens)
    plain = run(Supervised(), model, batch).loss
    mixed = run(TMix(), model, batch, draw=draw(labelled)).loss
    assert_close(mixed, plain, atol=1e-6, rtol=0)
    expected, found = gradients(model, plain), gradients(model, mixed)
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        assert_close(found[name], value, atol=1e-6, rtol=1e-5)


def test_supervised_by_hand():
    model, batch = tiny_model(), tiny_batch(5, unlabelled=0)
    picked = predictions(model, batch)[torch.arange(5), batch.labels]
    assert_close(run(Supervised(), model, batch).loss.detach(), -picked.log().mean())


def test_tmix_at_the_last_layer_by_hand():
    # Mixing after the last layer mixes the states that are pooled: the forward can be redone here.
    model, batch = tiny_model(), tiny_batch(3, unlabelled=0)
    model.use_mask = False
    partner, lam = torch.tensor([1, 2, 0]), torch.tensor([0.9, 0.6, 0.75])
    outcome = run(TMix(), model, batch, draw=(Mix(lam, partner), LAYERS))
    states, _ = model.encoder(batch.rows.ids, types=batch.rows.types)
    pooled, y = states.mean(1), soft_targets(batch.labels, CLASSES)
    share = lam[:, None]
    logits = model.head(share * pooled + (1 - share) * pooled[partner])
    targets = share * y + (1 - share) * y[partner]
    expected = -(targets * torch.log_softmax(logits, -1)).sum(-1).mean()
    assert_close(outcome.loss, expected)
    assert outcome.draws["lam"] == pytest.approx([0.9, 0.6, 0.75])
    assert outcome.draws["layer"] == [LAYERS]
    assert outcome.metrics["loss/labelled"].requires_grad is False


def test_tmix_draws_from_its_settings():
    model, batch = tiny_model(), tiny_batch(3, unlabelled=0)
    draws = [run(TMix(layers=(0, 2)), model, batch, seed=s).draws for s in range(12)]
    assert {draw["layer"][0] for draw in draws} == {0, 2}
    assert all(len(draw["lam"]) == 1 and draw["lam"][0] >= 0.5 for draw in draws)
    lam = run(TMix(per_row=True, layers=(1,)), model, batch).draws["lam"]
    assert len(lam) == 3 == len(set(lam))
    plain = [run(TMix(keep_main=False, layers=(1,)), model, batch, seed=s) for s in range(12)]
    assert min(outcome.draws["lam"][0] for outcome in plain) < 0.5


# ---- MixText: guess


def test_guess_by_hand():
    model, batch = tiny_model(dropout=0.3), tiny_batch(4, 3, 2)
    method = MixText(view_weights=(1.0, 0.5), original_weight=2.0, temperature=0.5)
    guesses, metrics = method.guess(model, batch)
    first, second, original = predictions(model, batch)[4:].split(3)
    expected = ((first + 0.5 * second + 2 * original) / 3.5) ** 2
    assert_close(guesses, expected / expected.sum(-1, keepdim=True))
    top = [p.argmax(-1) for p in (first, second, original)]
    agree = ((top[0] == top[1]) & (top[0] == top[2])).float().mean()
    assert metrics["guess/agreement"] == pytest.approx(agree.item())
    assert model.training


@pytest.mark.parametrize("weights", [(0, 0, 1), (1, 0, 1), (0, 1, 0), (1, 1, 0)])
def test_a_view_of_weight_zero_is_not_predicted(weights):
    *views, original = weights
    method = replace(MIXTEXT, view_weights=tuple(map(float, views)), original_weight=original)
    model, batch = tiny_model(), tiny_batch(4, 3, 2)
    before, _ = method.guess(model, batch)
    seen = record_forwards(model)
    for k, weight in enumerate(weights):
        first = 4 + 3 * k
        after, _ = method.guess(model, change_rows(batch, first, first + 3))
        assert torch.equal(before, after) == (weight == 0)
    assert {len(ids) for ids, _ in seen} == {3 * sum(map(bool, weights))}
    # It is trained on nevertheless.
    for k in range(3):
        first = 4 + 3 * k
        changed = run(method, model, change_rows(batch, first, first + 3)).loss
        assert changed.item() != run(method, model, batch).loss.item()


@pytest.mark.parametrize("use_mask", [True, False])
def test_guesses_are_as_wide_as_their_rows_unless_padding_is_seen(use_mask):
    model, batch = tiny_model(), tiny_batch(4, 3, 2, tokens=5)
    model.use_mask = use_mask
    method = replace(MIXTEXT, original_weight=0.0)
    ids, mask = (F.pad(x, (0, 4)) for x in (batch.rows.ids, batch.rows.mask))
    wider = replace(batch, rows=Padded(ids, mask))
    seen = []
    hook = model.encoder.register_forward_pre_hook(lambda module, args: seen.append(args[0].shape))
    before = method.guess(model, batch)[0]
    after = method.guess(model, wider)[0]
    hook.remove()
    assert [width for _, width in seen] == ([5, 5] if use_mask else [5, 9])
    assert torch.allclose(before, after, atol=1e-6) == use_mask


def test_guess_weights_default_to_one_each():
    model, batch = tiny_model(), tiny_batch(2, 3, 2)
    even, _ = MixText(view_weights=(1.0, 1.0)).guess(model, batch)
    assert_close(MixText().guess(model, batch)[0], even)


def test_guesses_carry_no_gradient():
    model, batch = tiny_model(), tiny_batch()
    outcome = run(MIXTEXT, model, batch)
    assert not outcome.guesses.requires_grad
    # The gradient is that of the loss with the guesses held fast.
    found = gradients(model, outcome.loss)
    draw = MIXTEXT.draw(batch, np.random.default_rng(0))
    fixed = outcome.guesses.clone()

    class Fixed(MixText):
        def guess(self, model, batch):
            return fixed, {}

    expected = gradients(model, run(Fixed(layers=(1, 2), alpha=2.0), model, batch, draw=draw).loss)
    for name, value in expected.items():
        assert_close(found[name], value, atol=1e-7, rtol=1e-6)


@pytest.mark.parametrize("dropout", [False, True])
def test_guess_mode(dropout):
    model, batch = tiny_model(dropout=0.4), tiny_batch()
    method = replace(MIXTEXT, guess_dropout=dropout)
    seen = record_forwards(model)
    one, two = method.guess(model, batch)[0], method.guess(model, batch)[0]
    assert [training for _, training in seen] == [dropout] * 2
    assert torch.equal(one, two) != dropout
    assert model.training and model.encoder.model.embeddings.dropout.training
    run(method, model, batch)
    assert seen[-1][1]  # the mixed rows are always predicted with dropout


def test_guessing_under_autocast_leaves_the_gradients_alone():
    # Autocast keeps the low-precision weights of the guess; without care they carry no gradient.
    model, batch = tiny_model(), tiny_batch()
    expected = gradients(model, run(MIXTEXT, model, batch).loss)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = run(MIXTEXT, model, batch).loss
    assert loss.dtype == torch.float32
    found = gradients(model, loss)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        if value.norm() > 1e-3:
            assert torch.cosine_similarity(value.flatten(), found[name].flatten(), 0) > 0.9, name


# ---- MixText: mix and loss


def test_hidden_labels_never_reach_the_loss():
    model, batch = tiny_model(), tiny_batch()
    other = replace(batch, hidden=(batch.hidden + 1) % CLASSES)
    unknown = replace(batch, hidden=np.full(3, -1))
    for method in (MIXTEXT, replace(MIXTEXT, align=True, teacher=0.9, margin_weight=1.0)):
        method.start(model)
        memory = copy.deepcopy(model.state_dict())
        results = []
        for given in (batch, other, unknown):
            model.load_state_dict(memory)
            outcome = run(method, model, given)
            results.append((outcome.loss.item(), gradients(model, outcome.loss)))
        for loss, gradient in results[1:]:
            assert loss == results[0][0]
            assert all(torch.equal(gradient[n], g) for n, g in results[0][1].items())


@pytest.mark.parametrize("idle", [False, True])
def test_separate_mixing_keeps_labelled_and_unlabelled_apart(idle):
    method = replace(MIXTEXT, separate=True, idle_rows=idle)
    generator, batch = np.random.default_rng(0), tiny_batch(4, 3, 2)
    rows = 16 if idle else 13
    moved = np.zeros(rows, dtype=int)
    for _ in range(50):
        partner = method.draw(batch, generator)[0].partner.numpy()
        assert sorted(partner[:4]) == list(range(4))
        assert sorted(partner[4:]) == list(range(4, rows))
        moved += partner != np.arange(rows)
    assert moved.min() > 0  # idle rows among them: the official code permutes them too


def test_mixing_the_union_pairs_labelled_with_unlabelled():
    batch, generator = tiny_batch(4, 3, 2), np.random.default_rng(0)
    partners = [MIXTEXT.draw(batch, generator)[0].partner.numpy() for _ in range(20)]
    assert any((p[:4] >= 4).any() for p in partners)
    assert all(sorted(p) == list(range(13)) for p in partners)


def test_settings_of_the_draw():
    batch, generator = tiny_batch(4, 3, 2), np.random.default_rng(0)
    mixes = [MIXTEXT.draw(batch, generator) for _ in range(30)]
    assert {layer for _, layer in mixes} == {1, 2}
    assert all(mix.lam.ndim == 0 and mix.lam >= 0.5 for mix, _ in mixes)
    wild = replace(MIXTEXT, keep_main=False)
    assert min(wild.draw(batch, generator)[0].lam for _ in range(30)) < 0.5
    rows = replace(MIXTEXT, per_row=True, idle_rows=True).draw(batch, generator)[0].lam
    assert rows.shape == (16,) and len(set(rows.tolist())) == 16


def test_loss_without_mixing_by_hand():
    # Supervised loss of the labelled rows, KL of guess and prediction for all others.
    model, batch = tiny_model(), tiny_batch(4, 3, 2)
    method = replace(MIXTEXT, unlabelled_weight=0.3, ramp=0.8)
    outcome = run(method, model, batch, HALF, draw=no_mix(13))
    p = predictions(model, batch)
    expected_x = run(Supervised(), model, labelled_part(batch)).loss.item()
    target = outcome.guesses.repeat(3, 1)
    expected_u = (target * (target.log() - p[4:].log())).sum(-1).mean().item()
    assert outcome.metrics["loss/labelled"].item() == pytest.approx(expected_x, abs=1e-5)
    assert outcome.metrics["loss/unlabelled"].item() == pytest.approx(expected_u, abs=1e-5)
    ramp = 0.5 / 0.8
    assert outcome.metrics["ramp"] == pytest.approx(ramp)
    assert outcome.loss.item() == pytest.approx(expected_x + ramp * 0.3 * expected_u, abs=1e-5)
    assert "loss/margin" not in outcome.metrics


def labelled_part(batch):
    n, rows = len(batch.labels), batch.rows
    rows = replace(rows, ids=rows.ids[:n], mask=rows.mask[:n], types=rows.types[:n])
    return replace(batch, rows=rows, unlabelled=0, views=0, hidden=batch.hidden[:0])


@pytest.mark.parametrize(
    ("ramp", "progress", "expected"),
    [
        (0.0, START, 1.0),
        (0.0, END, 1.0),
        (1.0, START, 0.0),
        (1.0, HALF, 0.5),
        (1.0, END, 1.0),
        (0.25, HALF, 1.0),
        (0.25, Progress(1, 10, 0.1), 0.4),
    ],
)
def test_ramp(ramp, progress, expected):
    model, batch = tiny_model(), tiny_batch()
    outcome = run(replace(MIXTEXT, ramp=ramp, unlabelled_weight=2.0), model, batch, progress)
    assert outcome.metrics["ramp"] == pytest.approx(expected)
    parts = (outcome.metrics[name].item() for name in ("loss/labelled", "loss/unlabelled"))
    labelled, unlabelled = parts
    assert unlabelled > 0.01
    assert outcome.loss.item() == pytest.approx(labelled + expected * 2 * unlabelled, rel=1e-5)


@pytest.mark.parametrize("kind", ["squared_norm", "entropy"])
def test_margin_acts_when_it_has_a_weight(kind):
    model, batch = tiny_model(), tiny_batch(4, 3, 2)
    margin = 0.95 if kind == "squared_norm" else 0.05
    plain = run(MIXTEXT, model, batch)
    method = replace(MIXTEXT, margin_weight=2.0, margin=margin, margin_kind=kind)
    outcome = run(method, model, batch)
    p = predictions(model, batch)[-3:]  # of the originals, unmixed whatever was drawn
    if kind == "squared_norm":
        expected = (margin - (p * p).sum(-1)).clamp(min=0).mean().item()
    else:
        expected = (-(p * p.log()).sum(-1) - margin).clamp(min=0).mean().item()
    assert expected > 0.01
    assert outcome.metrics["loss/margin"].item() == pytest.approx(expected, abs=1e-5)
    added = (outcome.loss - plain.loss).item()
    assert added == pytest.approx(2 * expected, abs=1e-5)
    # Its gradient asks for confidence: a small step along it lowers the margin term.
    rows = batch.rows
    logits = model(rows)[-3:]
    before = squared_norm_margin(logits, 0.95)
    gradient = gradients(model, before)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name in gradient:
                weight -= 1e-3 * gradient[name]
        after = squared_norm_margin(model(rows)[-3:], 0.95)
    assert after < before


def test_the_margin_is_trained_on_unmixed_originals():
    # Beside the loss without it, its gradient is that of a plain pass over the originals.
    model, batch = tiny_model(), tiny_batch(4, 3, 2)
    method = replace(MIXTEXT, margin_weight=2.0, margin=0.95)
    seen = record_forwards(model)
    found = gradients(model, run(method, model, batch).loss)
    passes = [(len(rows), training) for rows, training in seen]
    assert passes == [(9, False), (13, True), (3, True)]  # guess, mixed rows, originals
    assert torch.equal(seen[-1][0].ids, batch.rows.ids[-3:])
    del seen[:]
    expected = gradients(model, run(MIXTEXT, model, batch).loss)
    assert len(seen) == 2  # without a weight there is no pass for it
    margin = gradients(model, squared_norm_margin(model(batch.rows)[-3:], 0.95))
    assert max(value.abs().max() for value in margin.values()) > 0.01
    for name, value in expected.items():
        assert_close(found[name], value + 2 * margin[name], atol=1e-5, rtol=1e-4)


def test_labelled_loss_variant():
    model, batch = tiny_model(), tiny_batch(4, 3, 2)
    method = replace(MIXTEXT, labelled_loss="sigmoid")
    outcome = run(method, model, batch, draw=no_mix(13))
    rows = batch.rows
    with torch.no_grad():
        logits = model(rows)[:4]
    expected = -torch.sigmoid(logits).log()[torch.arange(4), batch.labels].mean()
    assert_close(outcome.metrics["loss/labelled"], expected)


def test_idle_rows_have_no_loss_where_they_are_partners():
    # Mixed separately they lend their states and guesses, and are asked for nothing themselves.
    model, batch = tiny_model(), tiny_batch()
    method = replace(MIXTEXT, idle_rows=True, separate=True)
    partner = torch.tensor([1, 2, 3, 0, *range(13, 16), *range(7, 13), *range(4, 7)])
    plain = torch.where(partner < 13, partner, partner - 3)  # an idle row is its original again
    lent = run(method, model, batch, draw=(Mix(torch.tensor(0.6), partner), 1))
    own = run(MIXTEXT, model, batch, draw=(Mix(torch.tensor(0.6), plain[:13]), 1))
    assert_close(lent.loss, own.loss, atol=1e-6, rtol=0)


def test_idle_rows_change_nothing_without_dropout():
    model, batch = tiny_model(), tiny_batch()
    mix, layer = MIXTEXT.draw(batch, np.random.default_rng(3))
    plain = run(MIXTEXT, model, batch, draw=(mix, layer))
    carried = Mix(mix.lam, torch.cat([mix.partner, torch.arange(13, 16)]))
    seen = record_forwards(model)
    idle = run(replace(MIXTEXT, idle_rows=True), model, batch, draw=(carried, layer))
    ids = seen[-1][0].ids
    assert len(ids) == 16 and torch.equal(ids[13:], ids[10:13])
    assert_close(idle.loss, plain.loss, atol=1e-6, rtol=0)


@pytest.mark.parametrize("labelled", [1, 3])
@pytest.mark.parametrize("unlabelled", [1, 2])
@pytest.mark.parametrize("views", [0, 1, 3])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"separate": True, "per_row": True, "keep_main": False},
        {"idle_rows": True, "teacher": 0.5, "align": True, "margin_weight": 1.0},
    ],
    ids=["plain", "separate", "everything"],
)
def test_all_shapes_of_batches(labelled, unlabelled, views, changes):
    method = replace(MIXTEXT, **changes)
    method.check(LAYERS, views)
    model, batch = tiny_model(), tiny_batch(labelled, unlabelled, views)
    method.start(model)
    outcome = run(method, model, batch)
    assert torch.isfinite(outcome.loss)
    assert outcome.guesses.shape == (unlabelled, CLASSES)
    assert_close(outcome.guesses.sum(-1), torch.ones(unlabelled))
    assert all(torch.isfinite(g).all() for g in gradients(model, outcome.loss).values())
    assert ("guess/agreement" in outcome.metrics) == (views > 0)


# ---- teacher


def test_without_teacher_and_alignment_nothing_is_remembered():
    model = tiny_model()
    MIXTEXT.start(model)
    assert model.memory is None and MIXTEXT.evaluated(model) is model
    before = {name: value.clone() for name, value in model.state_dict().items()}
    MIXTEXT.after_step(model, HALF)
    assert before.keys() == model.state_dict().keys()
    assert all(torch.equal(before[n], v) for n, v in model.state_dict().items())


def test_teacher():
    method, settings = replace(MIXTEXT, teacher=0.5), TrainingSettings(warmup=0, lr_encoder=1e-2)
    model, batch = tiny_model(), tiny_batch()
    method.start(model)
    teacher = method.evaluated(model)
    assert teacher is model.memory.teacher and teacher is not model
    weights = {n: p for n, p in model.named_parameters() if not n.startswith("memory.")}
    followers = dict(teacher.named_parameters())
    assert weights.keys() == followers.keys()
    assert all(torch.equal(weights[n], followers[n]) for n in weights)
    assert_close(predictions(teacher, batch), predictions(model, batch))

    optimiser = make_optimiser(model, settings)
    trained = {id(p) for group in optimiser.param_groups for p in group["params"]}
    assert trained == {id(p) for p in weights.values()}
    assert not any(p.requires_grad for p in followers.values())

    for step, decay in ((0, 1 / 10), (1, 2 / 11), (100, 0.5)):
        old = {n: p.detach().clone() for n, p in followers.items()}
        set_rates(optimiser, settings, step, 10)
        run(method, model, batch).loss.backward()
        assert all(p.grad is None for p in followers.values())
        optimiser.step()
        optimiser.zero_grad()
        # The optimiser's step leaves the teacher alone; after_step moves it towards the model.
        assert all(torch.equal(old[n], followers[n]) for n in old)
        method.after_step(model, Progress(step, 200, 0.0))
        for n in old:
            expected = decay * old[n] + (1 - decay) * weights[n].detach()
            assert_close(followers[n].detach(), expected, atol=1e-6, rtol=1e-5)
    name = "head.0.weight"
    assert not torch.equal(weights[name], followers[name])


def test_the_teacher_guesses():
    method = replace(MIXTEXT, teacher=0.9)
    model, batch = tiny_model(dropout=0.3), tiny_batch()
    method.start(model)
    model.train()  # as the loop does; guesses are made without dropout all the same
    before = method.guess(model, batch)[0]
    with torch.no_grad():
        for p in model.head.parameters():
            p.mul_(-3)
    assert_close(method.guess(model, batch)[0], before)
    with torch.no_grad():
        for p in model.memory.teacher.head.parameters():
            p.mul_(-3)
    assert not torch.allclose(method.guess(model, batch)[0], before, atol=0.05)


# ---- alignment


def test_alignment_evens_out_what_is_guessed():
    method = replace(MIXTEXT, align=True, temperature=1.0, view_weights=(0.0, 0.0))
    model, batch = tiny_model(), tiny_batch(2, 8, 2)
    with torch.no_grad():
        model.head[2].bias += torch.tensor([1.5, 0.0, 0.0])  # class 0 is guessed too often
    plain = replace(method, align=False).guess(model, batch)[0]
    method.start(model)
    assert_close(model.memory.guess_mean, torch.full((CLASSES,), 1 / CLASSES))
    first = method.guess(model, batch)[0]
    # By hand: running mean after one step, then p / mean, renormalised.
    mean = 0.9 / CLASSES + 0.1 * plain.mean(0)
    assert_close(model.memory.guess_mean, mean)
    scaled = plain / mean
    assert_close(first, scaled / scaled.sum(-1, keepdim=True))
    for _ in range(60):
        last = method.guess(model, batch)[0]
    assert_close(model.memory.guess_mean, plain.mean(0), atol=1e-3, rtol=0)

    def unevenness(guesses):
        return (guesses.mean(0) - 1 / CLASSES).abs().max()

    assert unevenness(last) < unevenness(first) < unevenness(plain)
    assert unevenness(last) < 0.5 * unevenness(plain)


def test_memory_is_in_the_state_dict():
    method = replace(MIXTEXT, teacher=0.9, align=True)
    model, other, batch = tiny_model(), tiny_model(), tiny_batch()
    method.start(model)
    method.guess(model, batch)
    with torch.no_grad():
        model.memory.teacher.head[0].weight.add_(1)
    method.start(other)
    other.load_state_dict(model.state_dict(), strict=True)
    assert_close(other.memory.guess_mean, model.memory.guess_mean)
    assert_close(method.guess(other, batch)[0], method.guess(model, batch)[0])


# ---- refusals


def refusal(method, layers=6, views=2):
    with pytest.raises(InputError) as error:
        method.check(layers, views)
    sentence = str(error.value)
    assert sentence.endswith(".") and "\n" not in sentence and "None" not in sentence
    assert sentence.count(". ") == 0  # one sentence
    return sentence


@pytest.mark.parametrize("method", [TMix, MixText])
def test_layers_and_alpha_are_checked(method):
    name = method.name
    method().check(6, 2)
    method(layers=(0, 6)).check(6, 2)
    assert f"{name}.layers names layer 7" in refusal(method(layers=(3, 7)))
    assert f"{name}.layers names layer 4" in refusal(method(layers=(4,)), layers=3)
    assert f"{name}.layers is empty" in refusal(method(layers=()))
    for field, bad in (("alpha", 0.0), ("alpha", -2.0), ("alpha", float("nan")), ("layers", -1)):
        with pytest.raises(InputError, match=rf"{name}\.{field}(\[0\])? is {bad}: it must be"):
            method(**{field: bad})


def test_view_weights_are_checked():
    MixText(view_weights=(1.0, 0.0)).check(6, 2)
    MixText(view_weights=(0.0, 0.0)).check(6, 2)
    MixText(original_weight=0.0).check(6, 1)
    assert "has 1 weights but there are 2 views" in refusal(MixText(view_weights=(1.0,)))
    assert "are all 0" in refusal(MixText(view_weights=(0.0, 0.0), original_weight=0.0))
    assert "are all 0" in refusal(MixText(original_weight=0.0), views=0)


def test_supervised_has_nothing_to_refuse():
    Supervised().check(0, None)
    assert not Supervised.unlabelled and not TMix.unlabelled and MixText.unlabelled
    with pytest.raises(NotImplementedError):
        Method().loss(None, None, START, None)
