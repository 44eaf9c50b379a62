"""Processes that share a batch have the loss and the gradient of one that has it all.

As a script, this file is what each of them runs.
"""

import copy
import json
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mixtext.methods import METHODS
from mixtext.methods.base import Progress
from mixtext.tagging.rows import TaggedBatch, TaggedRows
from mixtext.tagging.seqmix import PlainTagging
from mixtext.tagging.tagger import Tagger
from mixtext.training.distributed import in_pairs, joined, number, processes, shared_loss

LATE = Progress(step=9, total_steps=10, epoch=9.0, epochs=10.0)


def all_of(method, model, loss, batch, share):
    """Loss, metrics, guesses, gradients and memory of one batch, by name."""
    outcome = loss(batch, LATE, np.random.default_rng(0))
    (outcome.loss * share).backward()
    gradients = {k: p.grad for k, p in model.named_parameters() if p.grad is not None}
    values = {"loss": outcome.loss.detach(), **outcome.metrics, **gradients}
    values |= dict(model.named_buffers())
    if outcome.guesses is not None:
        values["guesses"] = outcome.guesses
    return {k: torch.as_tensor(v, dtype=torch.float64) for k, v in values.items()}


def compare(cases, out):
    """What each process does: the losses of a file of cases, by itself and with the others."""
    differences = {}
    with joined():
        for name, (method, model, batch) in torch.load(cases, weights_only=False).items():
            method.start(model)
            other = copy.deepcopy(model.double())
            alone = all_of(method, model, partial(method.loss, model), batch, 1)
            shared = all_of(method, other, shared_loss(method, other), batch, processes())
            assert alone.keys() == shared.keys() and len(alone) > 3
            differences[name] = max((alone[k] - shared[k]).abs().max().item() for k in alone)
        Path(f"{out}-{number()}").write_text(json.dumps(differences))


def with_layers(method, layers):
    return replace(method, layers=layers) if hasattr(method, "layers") else method


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 3])
def test_every_loss_is_that_of_one_process(count, make_model, make_batch, torchrun, tmp_path):
    cases = {}
    lengths = np.random.default_rng(0).integers(2, 9, 17).tolist()

    def add(name, method, kind="bert", layers=(0, 1, 2), **settings):
        # 5 labelled rows, 4 unlabelled ones with two views each: no number that divides.
        rows = {"labelled": 5, "views": 2} if method.unlabelled else {}
        batch = make_batch(kind, lengths if method.unlabelled else lengths[:5], **rows)
        if isinstance(batch.rows, torch.Tensor):
            batch = replace(batch, rows=batch.rows.double())
        cases[name] = with_layers(method, layers), make_model(kind, **settings), batch

    for name, method in METHODS.items():
        if method.steps and method.divides and "texts" in method.rows:
            add(name, method())
    add("one layer", METHODS["mixtext"](margin_weight=1.0, idle_rows=True, separate=True))
    add("teacher", METHODS["mixtext"](teacher=0.9, align=True, per_row=True, original_weight=0.5))
    add("branches", METHODS["mixtext"](), branches="independent", layers=(1,))
    add("clean", METHODS["tmix"](clean=True, per_row=True))
    add("sure", METHODS["fixmatch"](threshold=0.38))  # of two texts in four
    add("frozen", METHODS["mixtext"](teacher=0.9))
    cases["frozen"][1].encoder.freeze(1)
    add("words", METHODS["word_mixup"](), "kim_cnn")
    add("states", METHODS["manifold_mixup"](), "lstm", layers=(1,))
    for kind in ("mlp", "small_cnn"):
        add(kind, METHODS["mixup"](), kind)
        add(f"{kind} inside", METHODS["manifold_mixup"](per_row=True), kind, layers=(1, 2))
    batch = make_batch("bert", lengths[:5])
    rows, case = batch.rows, torch.randint(5, batch.rows.ids.shape)
    tags = torch.softmax(torch.randn(*rows.ids.shape, 4), -1) * (rows.side == 0)[..., None]
    tagged = TaggedRows(rows.ids, rows.mask, rows.types, rows.side, case=case)
    tagger = Tagger(make_model("bert").encoder, 4, dropout=0.0, case=True)
    cases["tags"] = PlainTagging(), tagger, TaggedBatch(tagged, tags, batch.row_ids, batch.hidden)

    torch.save(cases, tmp_path / "cases")
    torchrun(count, __file__, tmp_path / "cases", tmp_path / "found")
    for process in range(count):
        found = json.loads((tmp_path / f"found-{process}").read_text())
        assert found.keys() == cases.keys()
        assert {k: v for k, v in found.items() if not v < 1e-12} == {}


@given(st.integers(1, 40), st.integers(1, 5), st.randoms())
def test_partners_are_at_hand(rows, share, random):
    partner = random.sample(range(rows), rows)
    order = in_pairs(partner)
    assert sorted(order) == list(range(rows))
    for first in range(0, rows, share):
        own = {*order[first : first + share]}
        assert len({partner[row] for row in own} - own) <= 2


if __name__ == "__main__":
    compare(*sys.argv[1:])
