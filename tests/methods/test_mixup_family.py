"""The methods that mix states: the papers' arithmetic, and what must hold for every draw.

Reference vectors are in float64, and so is everything that is compared with them, to 1e-12.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F
from torch.testing import assert_close

from mixtext.data.batches import Batch, Padded
from mixtext.errors import InputError
from mixtext.methods.base import LayerMix, Progress, soft_targets
from mixtext.methods.embed_mix import EmbedMix
from mixtext.methods.manifold_mixup import ManifoldMixup
from mixtext.methods.mixup import Mixup
from mixtext.methods.mixup_transformer import MixupTransformer
from mixtext.methods.sentence_mixup import SentenceMixup
from mixtext.methods.supervised import Supervised
from mixtext.methods.tmix import TMix
from mixtext.methods.word_mixup import WordMixup
from mixtext.mixing.interpolate import Mix, draw_mix, interpolate
from mixtext.models.classifier import POOLED, Classifier
from mixtext.models.heads import MlpHead
from mixtext.models.vectors import Mlp
from mixtext.models.words import KimCnn

GOLDEN = Path(__file__).parents[1] / "golden" / "mixup"
INPUT, KIM, LATE = (
    json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))
    for name in ("input_mixup", "kim_cnn_word_sen_mixup", "mixup_transformer")
)
TEXTS, VECTORS = ("bert", "kim_cnn", "lstm"), ("mlp", "small_cnn")
START, END = Progress(0, 10, 0.0), Progress(9, 10, 0.9)  # of one epoch, which mixes all along


def f64(values):
    return torch.tensor(values, dtype=torch.float64)


def batch_of(rows, labels):
    return Batch(rows, torch.as_tensor(labels), 0, 0, np.empty(0), [str(y) for y in labels])


def run(method, model, batch, mix=None, layer=0, seed=0, progress=END):
    """The outcome; `mix` and `layer` are drawn where no mix is given."""
    given = {}
    if mix is not None:
        layer = method.layer if type(method) in (Mixup, WordMixup, SentenceMixup) else layer
        given = {"draw": (mix, layer)} if isinstance(method, LayerMix) else {"mix": mix}
    return method.loss(model, batch, progress, np.random.default_rng(seed), **given)


def beside_clean(method):
    """Whether it trains on clean rows too, one to one."""
    return isinstance(method, EmbedMix) or getattr(method, "clean", False)


def gradients(model, loss):
    model.zero_grad(set_to_none=True)
    loss.backward()
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def assert_same_bits(model, one, other):
    """Two losses and all their gradients are equal, bit for bit."""
    assert torch.equal(one, other)
    first, second = gradients(model, one), gradients(model, other)
    assert first.keys() == second.keys() and first
    assert all(torch.equal(first[name], second[name]) for name in first)


def seen_by(module):
    """What the module is handed from now on."""
    seen = []
    module.register_forward_pre_hook(lambda _, args: seen.append(args[0].detach()))
    return seen


def affine_onto(features, wanted):
    """W with features · Wᵀ = wanted; there is one where features (B, H) has rank B."""
    return (torch.linalg.pinv(features) @ wanted).T


# ---- mixup and Manifold Mixup: the reference vectors


@pytest.fixture(params=["one λ a batch", "one λ a row"])
def golden_input(request):
    """A model, a batch and a draw whose mixed rows have the reference's logits.

    The reference gives logits by themselves, so the head is made to map the reference's mixed
    inputs to them: other inputs have other logits.
    """
    want = INPUT if request.param == "one λ a batch" else INPUT["per_sample"]
    torch.manual_seed(0)
    model = Classifier(Mlp(3, width=12, depth=1), MlpHead(12, 3, 0)).double()
    features = model.encoder(f64(want["mixed_x"]))[0].detach()
    model.head[0].weight.data = affine_onto(features, f64(INPUT["logits"]))
    model.head[0].bias.data.zero_()
    mix = Mix(f64(want["lam"]), torch.tensor(INPUT["perm"]))
    return model, batch_of(f64(INPUT["x"]), INPUT["y"]), mix, want


@pytest.mark.parametrize("method", [Mixup(), ManifoldMixup()], ids=["mixup", "manifold_mixup"])
def test_mixup_equals_the_reference(golden_input, method):
    model, batch, mix, want = golden_input
    inputs, states = seen_by(model.encoder.blocks[0]), seen_by(model.head)
    outcome = run(method, model, batch, mix)
    assert_close(inputs[0], f64(want["mixed_x"]), atol=1e-12, rtol=0)
    assert_close(model.head(states[0]), f64(INPUT["logits"]), atol=1e-12, rtol=0)
    assert outcome.loss.item() == pytest.approx(want["two_label_ce_mean"], abs=1e-12)
    assert outcome.draws["lam"] == mix.lam.reshape(-1).tolist()


def test_bce_of_softmax_equals_the_official_manifold_loss(golden_input):
    model, batch, mix, want = golden_input
    outcome = run(ManifoldMixup(labelled_loss="bce_of_softmax"), model, batch, mix)
    # The reference has one for the batch's λ; for λ of each row, the formula itself.
    targets, p = f64(want["mixed_target"]), f64(INPUT["logits"]).softmax(-1)
    expected = F.binary_cross_entropy(p, targets).item()
    if want is INPUT:
        official = INPUT["manifold_repo_bce_mean_over_batch_and_classes"]
        assert expected == pytest.approx(official, abs=1e-12)
    assert outcome.loss.item() == pytest.approx(expected, abs=1e-12)


# ---- wordMixup and senMixup: the reference vectors


@pytest.fixture
def golden_kim():
    """The reference's CNN as a classifier, and its two sentences, without a mask as it has none.

    Row 1 mixes with 1 − λ, so that both rows are the reference's mix.
    """
    encoder = KimCnn(f64(KIM["embedding"]), tune=True, maps=KIM["maps"])
    model = Classifier(encoder, MlpHead(encoder.hidden_size, 3, 0), pool="max").double()
    for linear, width in zip(encoder.convolutions, KIM["widths"], strict=True):
        linear.weight.data = f64(KIM["conv_w"][str(width)]).flatten(1)
        linear.bias.data = f64(KIM["conv_b"][str(width)])
    model.head[0].weight.data, model.head[0].bias.data = f64(KIM["out_w"]), f64(KIM["out_b"])
    batch = batch_of(
        Padded(torch.tensor([KIM["ids_a"], KIM["ids_b"]])), [KIM["label_a"], KIM["label_b"]]
    )
    return model, batch, Mix(f64([KIM["lam"], 1 - KIM["lam"]]), torch.tensor([1, 0]))


@pytest.mark.parametrize(
    ("method", "layer", "key"),
    [(WordMixup(), 0, "word_mixup"), (SentenceMixup(), POOLED, "sen_mixup")],
    ids=["word_mixup", "sentence_mixup"],
)
def test_word_and_sentence_mixup_equal_the_reference(golden_kim, method, layer, key):
    model, batch, mix = golden_kim
    want, features = KIM[key], seen_by(model.head)
    loss = run(method, model, batch, mix).loss.item()
    assert_close(features[0], f64([want["feature"]] * 2), atol=1e-12, rtol=0)
    logits = model(batch.rows, mix, layer)
    assert_close(logits, f64([want["logits"]] * 2), atol=1e-12, rtol=0)
    targets = interpolate(soft_targets(batch.labels, 3).double(), mix)
    assert_close(targets, f64([KIM["mixed_target"]] * 2), atol=1e-12, rtol=0)
    exact = F.cross_entropy(logits, targets).item()
    assert exact == pytest.approx(want["soft_ce"], abs=1e-12)
    assert loss == pytest.approx(want["soft_ce"], abs=1e-12)


# ---- Mixup-Transformer: the reference vectors


@pytest.fixture
def golden_late(make_model, make_batch):
    """(classification or regression) → a transformer with the reference's outputs, and a batch.

    What the transformer gives is mapped to the reference's pooled vectors by an affine map, which
    is made a part of the head: mixing goes through affine maps unchanged.
    """

    def make(task):
        want = LATE[task]
        model = make_model("bert", outputs=len(want["b"]), pool="first").double()
        rows = make_batch("bert", [3, 5, 2, 4]).rows
        states = model.encode(rows, None, None).detach()
        onto = affine_onto(states, f64(LATE["pooled"]))
        model.head[0].weight.data = f64(want["w"]) @ onto
        model.head[0].bias.data = f64(want["b"])
        labels = torch.tensor(want["y"])
        labels = labels if task == "classification" else f64(want["y"])
        return model, batch_of(rows, labels), onto, want

    return make


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_mixup_transformer_equals_the_reference(golden_late, task):
    model, batch, onto, want = golden_late(task)
    mix = Mix(f64(LATE["lam"]), torch.tensor(LATE["perm"]))
    pooled = seen_by(model.head)
    loss = run(MixupTransformer(), model, batch, mix).loss
    assert_close(pooled[0] @ onto.T, f64(LATE["mixed_pooled"]), atol=1e-12, rtol=0)
    outputs = f64(want["logits"] if task == "classification" else [[s] for s in want["pred"]])
    assert_close(model(batch.rows, mix, POOLED), outputs, atol=1e-12, rtol=0)
    expected = want["loss"] if task == "classification" else want["mse_on_mixed_label"]
    assert loss.item() == pytest.approx(expected, abs=1e-12)


def test_mixed_scores_have_the_gradient_of_two_weighted_errors(golden_late):
    model, batch, _, want = golden_late("regression")
    mix = Mix(f64(LATE["lam"]), torch.tensor(LATE["perm"]))
    one = run(MixupTransformer(), model, batch, mix).loss
    scores, y = model(batch.rows, mix, POOLED)[:, 0], batch.labels.double()
    errors = mix.lam * (scores - y) ** 2 + (1 - mix.lam) * (scores - y[mix.partner]) ** 2
    two = errors.mean()
    assert two.item() == pytest.approx(want["mse_two_label"], abs=1e-6)
    assert two.item() - one.item() == pytest.approx(want["constant_gap"], abs=1e-5)
    first, second = gradients(model, one), gradients(model, two)
    for name, value in first.items():
        assert_close(value, second[name], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("epochs", [int(e) for e in LATE["mixup_epochs_zero_based"]])
def test_the_first_half_of_the_epochs_is_plain(make_model, make_batch, epochs):
    model, batch = make_model("kim_cnn"), make_batch("kim_cnn", [3, 5])
    mixing = []
    for step in range(epochs * 3):  # three steps an epoch, as the loop counts them
        progress = Progress(step, epochs * 3, step / 3, epochs * 3 / 3)
        outcome = run(MixupTransformer(), model, batch, progress=progress)
        plain = run(Supervised(), model, batch).loss
        assert outcome.draws in ({}, {"lam": [0.5]})
        if outcome.draws:
            mixing.append(step // 3)
        else:
            assert torch.equal(outcome.loss, plain)
    assert mixing == [e for e in LATE["mixup_epochs_zero_based"][str(epochs)] for _ in range(3)]


@pytest.mark.parametrize(
    ("epochs", "first"), [(0.4, 0), (1.2, 1), (2.0, 1), (3.25, 2), (3.5, 2), (4.0, 2), (4.1, 2)]
)
def test_a_part_of_an_epoch_counts_as_a_whole_one(epochs, first):
    # Of E = ⌈epochs⌉ the first half, rounded down, is plain: ⌊E/2⌋ = 0, 1, 1, 2, 2, 2, 2.
    steps = np.arange(0, epochs, 0.05)
    mixed = [x for x in steps if MixupTransformer().mixing(Progress(0, 1, float(x), epochs))]
    assert mixed == [x for x in steps if x >= first]


def test_the_share_of_plain_epochs_is_a_setting():
    def mixed(share):
        method = MixupTransformer(plain_share=share)
        return [e for e in range(4) if method.mixing(Progress(e, 4, float(e), 4.0))]

    assert [mixed(share) for share in (0.0, 0.25, 1.0)] == [[0, 1, 2, 3], [1, 2, 3], []]


# ---- what holds for every draw


@st.composite
def draws(draw):
    """Lengths of 1 to 5 texts, and a mix of them, with one λ or one a row."""
    rows = draw(st.integers(1, 5))
    lengths = draw(st.lists(st.integers(1, 6), min_size=rows, max_size=rows))
    partner = torch.tensor(draw(st.permutations(range(rows))))
    lam = torch.tensor(draw(st.lists(st.floats(0, 1, width=32), min_size=rows, max_size=rows)))
    return lengths, Mix(lam if draw(st.booleans()) else lam[0], partner)


@pytest.mark.parametrize("kind", TEXTS)
@settings(max_examples=25, deadline=None)
@given(draws())
def test_sentence_mixup_with_an_affine_head_mixes_logits(make_model, make_batch, kind, drawn):
    (lengths, mix), model = drawn, make_model(kind).double()
    batch = make_batch(kind, lengths)
    logits = interpolate(model(batch.rows), mix)
    assert_close(model(batch.rows, mix, POOLED), logits, atol=1e-12, rtol=0)
    loss = run(SentenceMixup(), model, batch, mix).loss
    targets = interpolate(soft_targets(batch.labels, 3), mix).double()
    assert loss.item() == pytest.approx(F.cross_entropy(logits, targets).item(), abs=1e-5)


def test_sentence_mixup_is_not_mixing_logits_under_a_deep_head(make_model, make_batch):
    model, batch = make_model("bert", width=8).double(), make_batch("bert", [3, 5])
    mix = Mix(f64(0.5), torch.tensor([1, 0]))
    apart = model(batch.rows, mix, POOLED) - interpolate(model(batch.rows), mix)
    assert apart.abs().max() > 1e-3


@pytest.mark.parametrize("dropout", [0.0, 0.3])
@settings(max_examples=15, deadline=None)
@given(drawn=draws())
def test_three_names_of_mixing_embeddings(make_model, make_batch, dropout, drawn):
    (lengths, mix), model = drawn, make_model("bert", width=8, dropout=dropout)
    batch, losses = make_batch("bert", lengths), []
    for method in (WordMixup(), ManifoldMixup(layers=(0,)), TMix(layers=(0,))):
        torch.manual_seed(5)
        losses.append(run(method, model, batch, mix, layer=0).loss)
    assert_same_bits(model, losses[0], losses[1])
    torch.manual_seed(5)
    assert_same_bits(model, losses[2], run(WordMixup(), model, batch, mix).loss)


@pytest.mark.parametrize("per_row", [False, True])
def test_three_names_of_mixing_embeddings_draw_alike(make_model, make_batch, per_row):
    model, batch = make_model("bert"), make_batch("bert", [3, 5, 2, 4])
    settings = {"alpha": 0.7, "per_row": per_row}
    methods = (
        WordMixup(**settings),
        ManifoldMixup(layers=(0,), **settings),
        TMix(layers=(0,), keep_main=False, **settings),
    )
    drawn = [run(method, model, batch, seed=3) for method in methods]
    assert len({outcome.loss.item() for outcome in drawn}) == 1
    assert drawn[0].draws == drawn[1].draws == drawn[2].draws
    assert drawn[0].draws["layer"] == [0.0] and len(drawn[0].draws["lam"]) == (4 if per_row else 1)


# Every method that mixes states, and the places where it can.
PLACES = [
    *[(kind, WordMixup(), 0) for kind in TEXTS],
    *[(kind, SentenceMixup(), POOLED) for kind in TEXTS],
    *[(kind, MixupTransformer(), POOLED) for kind in TEXTS],
    *[(kind, EmbedMix(), 0) for kind in TEXTS],
    *[(kind, Mixup(), 0) for kind in VECTORS],
    *[
        (kind, ManifoldMixup(), layer)
        for kind, layers in (("bert", 2), ("kim_cnn", 1), ("lstm", 1), ("mlp", 2), ("small_cnn", 3))
        for layer in range(layers + 1)
    ],
    *[("bert", TMix(), layer) for layer in range(3)],
    ("kim_cnn", TMix(clean=True), 1),
]
every_place = pytest.mark.parametrize(
    ("kind", "method", "layer"), PLACES, ids=[f"{k}-{m.name}-{x}" for k, m, x in PLACES]
)


@every_place
@pytest.mark.parametrize("scores", [False, True])
@pytest.mark.parametrize("per_row", [False, True])
@pytest.mark.parametrize("own", [False, True])
def test_lam_one_is_plain_training(
    make_model, make_batch, kind, method, layer, scores, per_row, own
):
    # Above a mix a row sees the union of both masks: the lengths are equal, or each row is alone.
    # They are nearly equal even then: the bits of rows that are put apart are others.
    model = make_model(kind, outputs=1 if scores else 3, width=8)
    batch = make_batch(kind, [5, 4, 5] if own else [4, 4, 4], scores=scores)
    partner = torch.arange(3) if own else torch.tensor([1, 2, 0])
    mix = Mix(torch.ones(3) if per_row else torch.tensor(1.0), partner)
    plain = run(Supervised(), model, batch).loss
    assert_same_bits(model, plain, run(method, model, batch, mix, layer).loss)


@every_place
def test_lam_one_draws_the_dropout_of_plain_training(make_model, make_batch, kind, method, layer):
    # With shared branches B rows pass through the model once, mixed or not. Beside clean rows
    # there are two passes, with dropout of their own.
    if beside_clean(method):
        method = TMix()
    model, batch = make_model(kind, dropout=0.4), make_batch(kind, [4, 4, 4])
    mix, losses = Mix(torch.tensor(1.0), torch.tensor([1, 2, 0])), []
    for seed in (7, 7, 8):
        torch.manual_seed(seed)
        way = Supervised() if not losses else method
        losses.append(run(way, model, batch, mix if losses else None, layer).loss)
    assert losses[0].item() != losses[2].item()
    assert_same_bits(model, losses[0], losses[1])


@every_place
def test_any_other_lam_is_not(make_model, make_batch, kind, method, layer):
    model, batch = make_model(kind, width=8), make_batch(kind, [4, 4, 4])
    plain = run(Supervised(), model, batch).loss
    mix = Mix(torch.tensor(0.5), torch.tensor([1, 2, 0]))
    assert abs(run(method, model, batch, mix, layer).loss.item() - plain.item()) > 1e-4


@settings(max_examples=200, deadline=None)
@given(draws(), st.integers(0, 2))
def test_identical_labels_give_plain_targets(drawn, label):
    lengths, mix = drawn
    targets = soft_targets(torch.full((len(lengths),), label), 3)
    assert torch.equal(interpolate(targets, mix), targets)  # also where 1 − λ was rounded


@every_place
def test_identical_labels_give_plain_cross_entropy(make_model, make_batch, kind, method, layer):
    model, batch = make_model(kind), make_batch(kind, [4, 2, 5])
    batch.labels.fill_(2)
    mix = Mix(torch.tensor([0.9, 0.3, 0.6]), torch.tensor([2, 0, 1]))
    expected = F.cross_entropy(model(batch.rows, mix, layer), batch.labels)
    if beside_clean(method):
        expected = (expected + F.cross_entropy(model(batch.rows), batch.labels)) / 2
    assert_close(run(method, model, batch, mix, layer).loss, expected)


@every_place
def test_regression_mixes_scores(make_model, make_batch, kind, method, layer):
    model, batch = make_model(kind, outputs=1), make_batch(kind, [4, 2, 5], scores=True)
    lam, partner = torch.tensor([0.9, 0.3, 0.6]), torch.tensor([2, 0, 1])
    found = run(method, model, batch, Mix(lam, partner), layer).loss
    wanted = lam * batch.labels + (1 - lam) * batch.labels[partner]
    scores = model(batch.rows, Mix(lam, partner), layer)[:, 0]
    if layer == POOLED:  # the head is affine: the scores themselves are mixed
        plain = model(batch.rows)[:, 0]
        scores = lam * plain + (1 - lam) * plain[partner]
    expected = (scores - wanted).square().mean()
    if beside_clean(method):
        clean = (model(batch.rows)[:, 0] - batch.labels).square().mean()
        expected = (expected + clean) / 2
    assert_close(found, expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("kind", TEXTS)
def test_pooled_vectors_are_mixed_before_the_dropout(make_model, make_batch, kind):
    model, batch = make_model(kind, width=8), make_batch(kind, [4, 2, 5])
    mix, before = Mix(torch.tensor(0.7), torch.tensor([2, 0, 1])), seen_by(model.dropout)
    for method in (SentenceMixup(), MixupTransformer()):
        run(method, model, batch, mix)
        assert_close(before[-1], interpolate(model.encode(batch.rows, None, None), mix))


# ---- what is drawn


def test_mixup_transformer_takes_its_lam_and_draws_partners(make_model, make_batch):
    model, batch = make_model("kim_cnn"), make_batch("kim_cnn", [4, 2, 5, 3])
    drawn = [run(MixupTransformer(lam=0.8), model, batch, seed=s) for s in (0, 0, 1, 2)]
    assert all(outcome.draws["lam"] == pytest.approx([0.8]) for outcome in drawn)
    losses = [outcome.loss.item() for outcome in drawn]
    assert losses[0] == losses[1] and len(set(losses)) == 3


def test_beside_clean_rows_the_loss_is_the_mean_of_both(make_model, make_batch):
    model, batch = make_model("bert"), make_batch("bert", [4, 2, 5])
    mix = Mix(torch.tensor(0.7), torch.tensor([2, 0, 1]))
    plain = run(Supervised(), model, batch).loss
    mixed = run(WordMixup(), model, batch, mix).loss
    for method in (EmbedMix(), TMix(clean=True)):
        outcome = run(method, model, batch, mix, layer=0)
        assert_close(outcome.loss, (plain + mixed) / 2)
        assert outcome.metrics == {"loss/clean": plain, "loss/mixed": mixed}


def test_embed_mix_stays_nearest_to_the_row_itself(make_model, make_batch):
    model, batch = make_model("kim_cnn"), make_batch("kim_cnn", [4, 2])
    lams = [run(EmbedMix(), model, batch, seed=s).draws["lam"] for s in range(60)]
    assert all(len(lam) == 1 and 0.5 <= lam[0] <= 1 for lam in lams)
    # The same draws reach below 1/2 where nothing folds them over.
    folded = [draw_mix(2, 0.2, False, np.random.default_rng(s)).lam.item() for s in range(60)]
    assert min(folded) < 0.1
    assert [lam[0] for lam in lams] == pytest.approx([max(x, 1 - x) for x in folded], abs=1e-6)


@pytest.mark.parametrize("kind", ["bert", "small_cnn"])
def test_manifold_mixup_draws_from_its_layers_or_from_all(make_model, make_batch, kind):
    model, batch = make_model(kind), make_batch(kind, [4, 2])

    def drawn(method):
        return {run(method, model, batch, seed=s).draws["layer"][0] for s in range(60)}

    assert drawn(ManifoldMixup()) == set(range(model.encoder.layers + 1))
    assert drawn(ManifoldMixup(layers=(0, 2))) == {0, 2}


@pytest.mark.parametrize("method", [Mixup, WordMixup, SentenceMixup, ManifoldMixup, TMix])
def test_one_lam_a_row_where_asked(make_model, make_batch, method):
    kind = "mlp" if method is Mixup else "bert"
    model, batch = make_model(kind), make_batch(kind, [4, 2, 3])
    layers = {"layers": (0, 1)} if method is TMix else {}
    one = run(method(**layers), model, batch).draws["lam"]
    rows = run(method(per_row=True, **layers), model, batch).draws["lam"]
    assert len(one) == 1 and len(set(rows)) == 3


def test_layers_of_manifold_mixup_are_checked():
    with pytest.raises(InputError, match=r"manifold_mixup\.layers names layer 3, but the encoder"):
        ManifoldMixup(layers=(0, 3)).check(2, None)
    ManifoldMixup(layers=(0, 2)).check(2, None)
