"""Rows that are hard on a method: alone, odd in number, of one token, of unknown words alone."""

import numpy as np
import pytest
import torch

from mixtext.data.corpus import Corpus
from mixtext.methods import METHODS
from mixtext.methods.base import Progress
from mixtext.run import Run

pytestmark = pytest.mark.slow

LAYERS = {"bert": 2, "kim_cnn": 1, "lstm": 1, "mlp": 2, "small_cnn": 3}
TEXTS = ("bert", "kim_cnn", "lstm")
ROWS = {  # lengths in words, and more arguments of `make_batch`; word 1 is the unknown one
    "one row": ([4], {}),
    "one row of one token": ([1], {}),
    "three rows": ([3, 6, 1], {}),
    "five rows": ([2, 5, 1, 1, 7], {}),
    "one token each": ([1, 1, 1, 1], {}),
    "one token each, no special tokens": ([1, 1, 1], {"specials": False}),
    "one long, others one token": ([30, 1, 1], {}),
    "unknown words alone": ([3, 1, 4], {"word": 1}),
}
PAIRS = {
    "a pair alone": ([(3, 4)], {}),
    "one side of one token": ([(1, 6), (5, 1), (4, 4)], {}),
    "both sides of one token": ([(1, 1), (1, 1)], {"specials": False}),
    "one side cut away": ([(6, 0), (5, 0), (4, 2)], {}),
    "unknown words alone": ([(2, 3), (1, 1)], {"word": 1}),
}


def methods_of(rows, target="classes"):
    return [name for name, m in METHODS.items() if m.takes(rows, target) and m.steps]


def settled(name, kind):
    """The method, with a layer that the encoder has, where it names layers."""
    settings = {"layers": (LAYERS[kind],)} if name in ("tmix", "mixtext") else {}
    method = METHODS[name](**settings)
    method.check(LAYERS[kind], 1)
    return method


def check(method, model, batch, seeds=2):
    """Every draw gives a finite loss and finite gradients, some of which are not zero."""
    method.start(model)
    for seed in range(seeds):
        model.zero_grad(set_to_none=True)
        outcome = method.loss(model, batch, Progress(5, 10, 0.5), np.random.default_rng(seed))
        assert outcome.loss.isfinite()
        outcome.loss.backward()
        found = [p.grad for p in model.parameters() if p.grad is not None]
        assert all(g.isfinite().all() for g in found)
        assert any(g.abs().max() > 0 for g in found)


def lengths_of(method, lengths):
    """The rows, and with them as many unlabelled ones, each with one view, where they are used."""
    if not METHODS[method].unlabelled:
        return {"lengths": lengths}
    return {"lengths": lengths * 3, "labelled": len(lengths), "views": 1}


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("kind", TEXTS)
@pytest.mark.parametrize("name", methods_of("texts"))
def test_texts(make_model, make_batch, name, kind, rows):
    lengths, more = ROWS[rows]
    batch = make_batch(kind, **lengths_of(name, lengths), **more)
    check(settled(name, kind), make_model(kind, width=5), batch)


@pytest.mark.parametrize("rows", PAIRS)
@pytest.mark.parametrize("kind", TEXTS)
@pytest.mark.parametrize("name", methods_of("pairs"))
def test_pairs(make_model, make_batch, name, kind, rows):
    lengths, more = PAIRS[rows]
    batch = make_batch(kind, **lengths_of(name, lengths), **more)
    check(settled(name, kind), make_model(kind, width=5), batch)


@pytest.mark.parametrize("rows", [*ROWS, *PAIRS])
@pytest.mark.parametrize("kind", TEXTS)
@pytest.mark.parametrize("name", methods_of("texts", "scores"))
def test_scores(make_model, make_batch, name, kind, rows):
    lengths, more = (ROWS | PAIRS)[rows]
    batch = make_batch(kind, lengths, scores=True, **more)
    check(settled(name, kind), make_model(kind, outputs=1, width=5), batch)


@pytest.mark.parametrize("rows", [1, 3, 5])
@pytest.mark.parametrize("kind", ["mlp", "small_cnn"])
@pytest.mark.parametrize("name", methods_of("vectors"))
def test_vectors(make_model, make_batch, name, kind, rows):
    check(settled(name, kind), make_model(kind, width=5), make_batch(kind, [1] * rows), seeds=6)


# 20 of the 30 rows have a score; 4 of them are for test and 3 for dev.
@pytest.mark.parametrize(("share", "labelled"), [(1.0, 13), (0.5, 7)])
def test_rows_without_a_score_never_enter_a_batch(tiny, draw_texts, share, labelled):
    texts, _ = draw_texts(10)
    scores = [None if n % 3 == 0 else n / 10 for n in range(30)]
    settings = (
        "labels_per_class=0",
        "dev_per_class=3",
        "test_per_class=4",
        f"labelled_share={share}",
    )
    recipe = tiny("method=word_mixup", "training.batch=3", *[f"data.{x}" for x in settings])
    run = Run.prepare(recipe, Corpus.from_lists(texts, scores=scores))
    feed, seen = run.trainer.feed, set()
    for k in range(20):
        batch = feed.batch(k, np.random.default_rng(0))
        assert batch.labels.dtype == torch.float32 and batch.labels.isfinite().all()
        seen |= set(batch.row_ids)
    assert len(seen) == labelled
    assert all(int(name) % 3 for name in seen)
    assert all(np.isfinite(run.data.train.labels[run.data.split.dev]))
    assert run.data.test.labelled.all()
