"""The contrastive start: its loss and its head in closed form, and what it leaves alone."""

import copy
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression
from torch.testing import assert_close

from mixtext.data.batches import Feed, Vectors
from mixtext.data.views import WordDropout
from mixtext.errors import InputError
from mixtext.losses import supervised_contrast
from mixtext.methods.base import Progress
from mixtext.methods.contrast import class_rows, contrast, encode_all, fit_head
from mixtext.methods.mixtext import MixText
from mixtext.mixing.interpolate import Mix
from mixtext.pseudo_labels import class_frequencies, seeded_clusters
from mixtext.training.device import autocast


@pytest.fixture
def feed():
    """30 vectors of three classes, labelled, and 30 more that are not."""
    generator = np.random.default_rng(0)
    labels = np.tile(np.arange(3), 20)
    values = generator.normal(size=(60, 6)).astype(np.float32) + labels[:, None].astype(np.float32)
    rows = np.arange(60)
    ids = [str(i) for i in rows]
    return Feed(
        Vectors(values),
        labels,
        ids,
        rows[:30],
        rows[30:],
        WordDropout(0.1, 0),
        batch=6,
        batch_unlabelled=6,
        seed=0,
    )


def test_loss_by_hand():
    """Two likes at right angles to the third row, which is alone in its class."""
    vectors = torch.tensor([[2.0, 0.0], [3.0, 0.0], [0.0, 1.0]])
    loss = supervised_contrast(vectors, torch.tensor([0, 0, 1]), temperature=0.5)
    each = math.log(1 + math.exp(-2))  # −log(e² / (e² + e⁰)); the third row counts 0
    assert loss.item() == pytest.approx(2 * each / 3)


def test_loss_of_equal_vectors_is_the_logarithm_of_the_others():
    loss = supervised_contrast(torch.ones(5, 4), torch.tensor([0, 0, 1, 1, 1]))
    assert loss.item() == pytest.approx(math.log(4))


def test_loss_looks_at_directions_alone():
    generator = torch.Generator().manual_seed(0)
    vectors, labels = torch.randn(8, 5, generator=generator), torch.tensor([0, 1, 2, 3] * 2)
    lengths = torch.rand(8, 1, generator=generator) + 0.5
    turned = torch.linalg.qr(torch.randn(5, 5, generator=generator)).Q
    expected = supervised_contrast(vectors, labels)
    assert_close(supervised_contrast(vectors * lengths, labels), expected)
    assert_close(supervised_contrast(vectors @ turned, labels), expected)


def test_loss_has_a_finite_gradient():
    vectors = torch.randn(6, 4).requires_grad_()
    supervised_contrast(vectors, torch.tensor([0, 0, 1, 1, 2, 3])).backward()
    assert torch.isfinite(vectors.grad).all()


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_start_pulls_classes_together_in_either_type(make_model, feed, precision):
    model = make_model("mlp")

    def apart():
        """How much nearer likes are than others, by cosine."""
        vectors = F.normalize(encode_all(model, feed.source, feed.labelled.rows), dim=1)
        labels = torch.from_numpy(feed.labels[feed.labelled.rows])
        like, cosines = labels[:, None] == labels, vectors @ vectors.T
        return (cosines[like].mean() - cosines[~like].mean()).item()

    before = apart()
    with autocast(precision, torch.device("cpu")):
        contrast(model, feed, 200, 1e-2, np.random.default_rng(0))
    assert apart() > before + 0.3


def test_rows_of_every_class_alike():
    labels = np.array([0] * 20 + [1] * 5 + [2] * 1 + [0] * 4)
    rows = np.arange(26)  # the last four are not labelled
    picked = class_rows(rows, labels, np.random.default_rng(0), most=12)
    assert np.bincount(labels[picked]).tolist() == [4, 4, 1]
    assert len(set(picked)) == len(picked) and picked.max() < 26


def test_many_classes_give_two_rows_each():
    labels = np.repeat(np.arange(50), 10)
    picked = class_rows(np.arange(500), labels, np.random.default_rng(0), most=30)
    assert len(picked) == 30 and len(set(picked)) == 30
    assert set(np.bincount(labels[picked])) == {0, 2}


def test_the_head_is_logistic_regression(make_model, feed):
    model = make_model("mlp")
    vectors = encode_all(model, feed.source, feed.labelled.rows)
    unit = vectors.norm(dim=1).mean()
    fit_head(model, feed)
    labels = feed.labels[feed.labelled.rows]
    theirs = LogisticRegression(C=1.0, tol=1e-8, max_iter=5000).fit(vectors / unit, labels)
    with torch.no_grad():
        ours = torch.softmax(model.head(vectors), -1).numpy()
    np.testing.assert_allclose(ours, theirs.predict_proba(vectors / unit), atol=1e-3)


def test_the_head_learns_from_clusters_too(make_model, feed):
    """With the pool it answers for the pool as the clusters do."""
    model = make_model("mlp")
    pool = encode_all(model, feed.source, feed.unlabelled.rows)
    seeds = encode_all(model, feed.source, feed.labelled.rows)
    guesses = seeded_clusters(pool, seeds, torch.from_numpy(feed.labels[feed.labelled.rows]))

    def distance():
        with torch.no_grad():
            return (torch.softmax(model.head(pool), -1) - guesses).abs().mean().item()

    fit_head(model, feed)
    alone = distance()
    fit_head(model, feed, pool=30)
    assert distance() < 0.8 * alone


def test_one_round_of_clusters_by_hand():
    pool = torch.tensor([[3.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    seeds = torch.tensor([[2.0, 0.0], [0.0, 1.0], [0.0, 5.0]])
    guesses = seeded_clusters(pool, seeds, torch.tensor([0, 1, 1]), concentration=2.0, rounds=1)
    sure = 1 / (1 + math.exp(-2))
    assert_close(guesses, torch.tensor([[sure, 1 - sure], [1 - sure, sure], [0.5, 0.5]]))


def test_clusters_find_rare_classes():
    """Nine in ten of the pool are of one class; seeds are as many of each, and poor ones."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.tensor([0] * 270 + [1] * 30)
    centres = torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.4, 0.9, 0.0, 0.0]])
    pool = centres[labels] + 0.2 * torch.randn(300, 4, generator=generator)
    known = torch.tensor([0, 0, 1, 1])
    seeds = centres[known] + 0.2 * torch.randn(4, 4, generator=generator)
    guesses = seeded_clusters(pool, seeds, known)
    assert (guesses.argmax(1) == labels).float().mean() > 0.95
    assert guesses[:, 1].mean().item() == pytest.approx(0.1, abs=0.03)
    assert_close(guesses.sum(1), torch.ones(300))


def test_labels_as_they_come_say_how_frequent_classes_are():
    """The pool shows nothing, and the clusters of as many labels a class cannot know."""
    pool = torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, 2.0]])
    seeds = torch.tensor([[1.0, 0.0, 0.0], *[[0.0, 1.0, 0.0]] * 6])
    known = torch.tensor([0] + [1] * 6)
    told = class_frequencies(known, 2)
    guesses = seeded_clusters(pool, seeds, known, rounds=1, frequencies=told)
    assert_close(guesses, torch.tensor([[2 / 9, 7 / 9]] * 2))
    assert class_frequencies(known[:2], 2) is None  # as many of each: somebody chose them
    even = seeded_clusters(pool, seeds[:2], known[:2], rounds=1)
    assert_close(even, torch.full((2, 2), 0.5))


def test_a_rare_class_is_not_lost_among_others():
    """One row in twenty, hardly apart: without what the labels say it would take a fifth."""
    generator = torch.Generator().manual_seed(3)
    labels = (torch.arange(2000) % 20 == 0).long()
    centres = torch.zeros(2, 16)
    centres[:, 0], centres[1, 1] = 1.0, 0.6
    vectors = centres[labels] + 0.3 * torch.randn(2000, 16, generator=generator)
    seeds, known = vectors[:100], labels[:100]
    told = class_frequencies(known, 2)
    share = seeded_clusters(vectors[100:], seeds, known, frequencies=told)[:, 1].mean().item()
    few = torch.cat([(known == c).nonzero()[:5, 0] for c in (0, 1)])
    free = seeded_clusters(vectors[100:], seeds[few], known[few])[:, 1].mean().item()
    assert abs(share - 0.05) < abs(free - 0.05)
    assert share == pytest.approx(0.05, abs=0.05)


def test_clusters_do_not_care_which_class_is_which():
    generator = torch.Generator().manual_seed(1)
    pool, seeds = torch.randn(20, 5, generator=generator), torch.randn(6, 5, generator=generator)
    labels, order = torch.tensor([0, 1, 2, 0, 1, 2]), torch.tensor([2, 0, 1])
    expected = seeded_clusters(pool, seeds, labels)
    assert_close(seeded_clusters(pool, seeds, order[labels])[:, order], expected)


def test_a_head_with_a_hidden_layer_is_fitted_too(make_model, feed):
    model = make_model("mlp", width=8)
    labels = torch.from_numpy(feed.labels[feed.labelled.rows])
    vectors = encode_all(model, feed.source, feed.labelled.rows)

    def loss():
        with torch.no_grad():
            return torch.nn.functional.cross_entropy(model.head(vectors), labels).item()

    before = loss()
    fit_head(model, feed)
    assert loss() < 0.8 * before


def test_the_start_draws_classes_together(make_model, feed):
    """And leaves the head alone; the same generator gives the same weights."""
    labels = torch.from_numpy(feed.labels[feed.labelled.rows])
    losses, weights = [], []
    for _ in range(2):
        model = make_model("mlp")
        head = copy.deepcopy(model.head.state_dict())
        before = supervised_contrast(encode_all(model, feed.source, feed.labelled.rows), labels)
        contrast(model, feed, 30, 1e-2, np.random.default_rng(1))
        after = supervised_contrast(encode_all(model, feed.source, feed.labelled.rows), labels)
        losses.append((before.item(), after.item()))
        weights.append(model.encoder.state_dict())
        assert_close(model.head.state_dict(), head)
        assert model.training
    assert losses[0][1] < 0.7 * losses[0][0]
    assert_close(weights[0], weights[1], rtol=0, atol=0)


def test_the_pool_has_no_part_in_it(make_model, feed):
    hidden = np.where(np.arange(60) < 30, feed.labels, -1)
    values = feed.source.values.copy()
    values[30:] = np.nan
    blind = copy.copy(feed)
    blind.labels, blind.source = hidden, Vectors(values)
    weights = []
    for given in (feed, blind):
        model = make_model("mlp")
        MixText(contrast_passes=3).warm_up(model, given, np.random.default_rng(0))
        weights.append(model.state_dict())
    assert_close(weights[0], weights[1], rtol=0, atol=0)


@pytest.mark.parametrize(("passes", "decay"), [(3, 0.9), (0, 0.1)])
def test_a_teacher_that_knows_something_does_not_hurry(make_model, feed, passes, decay):
    """After the first step: 0.9 of what it was, and without a start (1 + 0) / (10 + 0)."""
    model, method = make_model("mlp"), MixText(teacher=0.9, contrast_passes=passes)
    method.start(model)
    method.warm_up(model, feed, np.random.default_rng(0))
    teacher = dict(model.memory.teacher.named_parameters())
    old = {name: weight.clone() for name, weight in teacher.items()}
    with torch.no_grad():
        for weight in (*model.encoder.parameters(), *model.head.parameters()):
            weight.add_(1.0)
    method.after_step(model, Progress(0, 10, 0.0))
    for name, weight in model.named_parameters():
        if name in old:
            assert_close(teacher[name], decay * old[name] + (1 - decay) * weight)


def test_the_teacher_begins_there(make_model, feed):
    model, method = make_model("mlp"), MixText(teacher=0.9, contrast_passes=3)
    method.start(model)
    first = copy.deepcopy(model.memory.teacher.state_dict())
    method.warm_up(model, feed, np.random.default_rng(0))
    teacher = model.memory.teacher
    assert_close(
        dict(teacher.named_parameters()),
        dict(model.encoder.named_parameters(prefix="encoder"))
        | dict(model.head.named_parameters(prefix="head")),
    )
    assert any(not torch.equal(first[name], w) for name, w in teacher.state_dict().items())


def test_without_steps_nothing_changes(make_model, feed):
    model = make_model("mlp")
    before = copy.deepcopy(model.state_dict())
    MixText().warm_up(model, feed, np.random.default_rng(0))
    assert_close(model.state_dict(), before, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("field", "bad"), [("contrast_passes", -1), ("contrast_rate", 0.0), ("cluster", -1)]
)
def test_ranges(field, bad):
    with pytest.raises(InputError, match=field):
        MixText(**{field: bad})


def test_clusters_need_the_start():
    with pytest.raises(InputError, match="contrast_passes is 0: clusters are classes only after"):
        MixText(cluster=30)


def test_alignment_aims_at_the_shares_of_the_clusters(make_model, feed):
    model, method = make_model("mlp"), MixText(align=True, contrast_passes=3, cluster=30)
    method.start(model)
    assert_close(model.memory.shares, torch.full((3,), 1 / 3))
    method.warm_up(model, feed, np.random.default_rng(0))
    pool = encode_all(model, feed.source, feed.unlabelled.rows)
    seeds = encode_all(model, feed.source, feed.labelled.rows)
    guesses = seeded_clusters(pool, seeds, torch.from_numpy(feed.labels[feed.labelled.rows]))
    assert_close(model.memory.shares, guesses.mean(0))
    assert_close(model.memory.guess_mean, guesses.mean(0))


def test_adjusted_logits_are_shifted_by_the_ratio_of_frequencies(make_model, feed):
    """The fitted head is where the gradient of the shifted loss, written anew, is zero."""
    model = make_model("mlp")
    shares, shift = fit_head(model, feed, pool=30, adjust=True)
    assert_close(shift, math.log(1 / 3) - shares.log())  # ten labelled rows of each class
    rows = feed.labelled.rows
    seeds = encode_all(model, feed.source, rows)
    pool = encode_all(model, feed.source, feed.unlabelled.rows)
    labels = torch.from_numpy(feed.labels[rows])
    guesses = seeded_clusters(pool, seeds, labels)
    unit = seeds.norm(dim=1).sum() + pool.norm(dim=1).sum()
    unit = unit / (len(seeds) + len(pool))
    weight, bias = [p.detach().clone() for p in model.head.parameters()]
    scaled = (weight * unit).requires_grad_()
    logits = torch.cat([seeds, pool]) / unit @ scaled.T + bias
    logits[: len(seeds)] = logits[: len(seeds)] + shift
    targets = torch.cat([torch.nn.functional.one_hot(labels, 3).float(), guesses])
    loss = -(targets * torch.log_softmax(logits, 1)).sum() + scaled.square().sum() / 2
    loss.backward()
    assert scaled.grad.abs().max() < 1e-2


def test_mixed_rows_are_shifted_by_their_labelled_part(make_model, feed):
    model = make_model("mlp")
    shift = torch.tensor([0.5, -1.0, 2.0])
    plain = MixText(layers=(0,), unlabelled_weight=0.0)
    adjusted = MixText(
        layers=(0,), unlabelled_weight=0.0, adjust=True, contrast_passes=1, cluster=30
    )
    adjusted.start(model)
    model.memory.shift.copy_(shift)
    batch = feed.batch(0, np.random.default_rng(0))
    B, R = len(batch.labels), len(batch.labels) + batch.unlabelled
    # Row 0 with an unlabelled one, the other labelled rows with one another.
    partner = torch.tensor([R - 1, *range(2, B), 1, *range(B, R)])
    draw = Mix(torch.tensor(0.7), partner), 0
    progress = Progress(0, 10, 0.0)
    found = adjusted.loss(model, batch, progress, np.random.default_rng(0), draw).loss
    with torch.no_grad():
        own = torch.full((B, 1), 1.0)
        own[0] = 0.7
        logits = model(batch.rows, *draw)[:B] + own * shift
    guesses, _ = plain.guess(model, batch)
    targets = torch.cat([torch.nn.functional.one_hot(batch.labels, 3).float(), guesses])
    mixed = 0.7 * targets[:B] + 0.3 * targets[partner[:B]]
    wanted = -(mixed * torch.log_softmax(logits, 1)).sum(1).mean()
    assert_close(found.detach(), wanted)


def test_adjusting_needs_the_clusters():
    with pytest.raises(InputError, match=r"mixtext\.cluster is 0: clusters say how frequent"):
        MixText(adjust=True, contrast_passes=1)
