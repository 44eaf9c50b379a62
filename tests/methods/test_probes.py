"""Heads on frozen vectors: what scikit-learn says of the same vectors is what the run says."""

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import normalize

from mixtext.api import load, train
from mixtext.cli import main
from mixtext.errors import InputError
from mixtext.methods.centroids import Centroids
from mixtext.methods.contrast import encode_all
from mixtext.methods.frozen import Frozen
from mixtext.methods.label_spreading import LabelSpreading
from mixtext.methods.probe import regression_head
from mixtext.models.heads import mean_pool, unit_pool
from mixtext.recipe import dump_recipe, make_recipe
from mixtext.run import Run

PROBES = (Frozen, Centroids, LabelSpreading)


def draw(rows, classes=3, width=6, seed=0, spread=0.3):
    """Unit vectors around one direction a class, and their classes, in turns."""
    generator = np.random.default_rng(seed)
    directions = np.linalg.qr(generator.normal(size=(width, width)))[0][:classes]
    labels = np.arange(rows) % classes
    return normalize(directions[labels] + spread * generator.normal(size=(rows, width))), labels


def vectors_of(run, rows):
    """Unit vectors of training rows by a recipe's own encoder."""
    return encode_all(run.trainer.model, run.feed.source, rows).numpy().astype(np.float64)


def test_a_unit_vector_is_the_mean_scaled():
    states, mask = np.random.default_rng(0).normal(size=(2, 3, 4)), [[1, 1, 0], [1, 1, 1]]
    states, mask = torch.tensor(states), torch.tensor(mask)
    unit = unit_pool(states, mask)
    assert torch.allclose(unit.norm(dim=1), torch.ones(2, dtype=unit.dtype))
    mean = mean_pool(states, mask)
    assert torch.allclose(unit * mean.norm(dim=1, keepdim=True), mean)


def test_frozen_is_scikit_learns_logistic_regression(tiny):
    run = Run.prepare(tiny("method=frozen"))
    method, feed = run.trainer.method, run.feed
    method.warm_up(run.trainer.model, feed, None)
    rows = feed.labelled.rows
    vectors = vectors_of(run, rows)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    own = LogisticRegression(C=1.0, max_iter=1000).fit(vectors, feed.labels[rows])
    held = run.data.split.dev
    wanted = own.predict_proba(vectors_of(run, held))
    model = run.predictor().outputs(run.data.train.select(held))
    assert np.allclose(model, wanted, atol=1e-3)
    assert (model.argmax(1) == wanted.argmax(1)).all()


def test_two_classes_and_classes_that_do_not_occur():
    vectors, labels = draw(40, classes=2)
    weight, bias = regression_head(vectors, labels, 2, 1.0)
    own = LogisticRegression(C=1.0, max_iter=1000).fit(vectors, labels)
    logits = vectors @ weight.T + bias
    assert np.allclose(logits[:, 1] - logits[:, 0], own.decision_function(vectors))
    weight, bias = regression_head(vectors, 2 * labels, 3, 1.0)
    assert set((vectors @ weight.T + bias).argmax(1)) == {0, 2}
    weight, bias = regression_head(vectors, 0 * labels + 1, 3, 1.0)
    assert set((vectors @ weight.T + bias).argmax(1)) == {1}


def test_centroids_tell_the_nearest_centre_of_scikit_learns_k_means():
    pool, _ = draw(300, seed=1, spread=0.5)
    vectors, labels = draw(9, seed=2)
    weight, bias = Centroids().fit(vectors, labels, pool, 3)
    seeds = np.stack([vectors[labels == c].mean(0) for c in range(3)])
    own = KMeans(3, init=seeds, n_init=1).fit(np.concatenate([vectors, pool]))
    assert ((pool @ weight.T + bias).argmax(1) == own.predict(pool)).all()
    # Probabilities are those of the distances.
    distances = np.square(pool[:, None] - own.cluster_centers_).sum(2)
    logits = pool @ weight.T + bias
    shift = logits + Centroids().concentration / 2 * distances
    assert np.allclose(shift, shift[:, :1])


def test_unlabelled_rows_mend_a_bad_label_where_clusters_are_classes():
    pool, truth = draw(600, seed=3, spread=0.2)
    vectors, labels = draw(12, seed=3, spread=0.2)
    labels = labels.copy()
    labels[0] = 1  # of four rows of class 0 one says 1
    for method in (Centroids(), LabelSpreading()):
        weight, bias = method.fit(vectors, labels, pool, 3)
        assert ((pool @ weight.T + bias).argmax(1) == truth).mean() > 0.95, method.name


def test_label_spreading_follows_strips_that_two_labels_alone_cut_across():
    # Two parallel strips; the labelled rows are at opposite ends of them.
    along = np.linspace(-1, 1, 200)
    one = np.ones(200)
    pool = normalize(np.concatenate([np.stack([along, y * one, one], 1) for y in (0.2, -0.2)]))
    truth = np.repeat([0, 1], 200)
    picked = [0, 399]
    spread = LabelSpreading(strength=1000.0)
    found = []
    for weight, bias in (
        spread.fit(pool[picked], truth[picked], pool, 2),
        regression_head(pool[picked], truth[picked], 2, 1000.0),
    ):
        found.append(((pool @ weight.T + bias).argmax(1) == truth).mean())
    assert found[0] > 0.98 and found[1] < 0.7


@pytest.mark.parametrize("method", PROBES)
def test_fits_at_once_and_leaves_the_encoder_as_it_was(tiny, tmp_path, method):
    recipe = tiny(f"method={method.name}")
    before = Run.prepare(recipe).trainer.model.encoder.state_dict()
    result = train(recipe, folder=tmp_path / "a", quiet=True)
    assert result["steps"] == result["planned_steps"] == 0
    assert set(result.dev) == set(result.test) == {"accuracy", "macro_f1", "loss"}
    after = result.predictor.model.encoder.state_dict()
    assert all((after[key] == value).all() for key, value in before.items())
    again = train(recipe, folder=tmp_path / "b", quiet=True)
    texts = ["the old dog", "bread and soup"]
    wanted = result.predictor.probabilities(texts)
    assert (again.predictor.probabilities(texts) == wanted).all()
    assert np.allclose(load(tmp_path / "a").probabilities(texts), wanted, atol=1e-6)
    assert (result["unlabelled"] > 0) == method.unlabelled


def test_settings_of_steps_wait_with_a_note_and_a_dry_run_tells(tiny, tmp_path, capsys):
    recipe = tiny("method=frozen", "model.pool=max")
    file = tmp_path / "r.toml"
    file.write_text(dump_recipe(recipe), encoding="utf-8")
    assert main(["train", str(file), "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "no step: a head is fitted" in out and "waiting: the steps of training" in out


def test_refused_settings():
    for change in ("frozen.strength=0", "centroids.concentration=0", "label_spreading.clamping=1",
                   "label_spreading.neighbours=0", "centroids.pool=-1"):  # fmt: skip
        with pytest.raises(InputError) as caught:
            make_recipe({"method": change.split(".")[0]}, [change])
        assert change.split("=")[0] in str(caught.value)
