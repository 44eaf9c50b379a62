"""A start: what is read and tokenised is kept for the next one, and changes nothing."""

import numpy as np
import pytest
import torch

from mixtext.data import prepare, tokenising
from mixtext.data.texts import StoredTexts
from mixtext.run import Run


@pytest.fixture
def kept(monkeypatch, tmp_path):
    monkeypatch.setenv("MIXTEXT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(prepare, "LARGE", 1)
    monkeypatch.setattr(tokenising, "FEW", 1)


def losses(run, steps=3):
    torch.manual_seed(0)  # dropout
    return [run.trainer.step(step, lambda outcome, batch: None) for step in range(steps)]


def test_the_second_start_neither_reads_nor_tokenises(tiny, kept, monkeypatch):
    recipe = tiny("method=mixtext", "views.copies=2")
    monkeypatch.setenv("MIXTEXT_CACHE_GB", "0")
    plain = Run.prepare(recipe)
    monkeypatch.delenv("MIXTEXT_CACHE_GB")
    Run.prepare(recipe)
    monkeypatch.setattr(prepare, "load_any", None)
    monkeypatch.setattr(tokenising, "_chunks", None)
    again = Run.prepare(recipe)
    assert isinstance(again.data.train.texts, StoredTexts)
    assert again.environment()["data"] == plain.environment()["data"]
    assert again.describe() == plain.describe()
    assert losses(again) == losses(plain)
    id_ = plain.data.train.ids[-1]
    assert again.trainer.text_of(id_) == plain.trainer.text_of(id_) == plain.data.train.texts[-1]
    for part in ("dev", "test"):
        one, other = (x.trainer.measure(x.trainer.model, part) for x in (plain, again))
        assert one == other
    # Other methods, seeds and, of most rows, splits share the tokens.
    Run.prepare(tiny("method=supervised", "training.seed=3", "data.split_seed=2"))


def test_only_the_rows_of_a_small_split_are_tokenised(tiny):
    run = Run.prepare(
        tiny("method=mixtext", "data.unlabelled_per_class=2", "data.labels_per_class=2")
    )
    split, tokens = run.data.split, run.sources["train"]
    rows = np.concatenate([split.labelled, split.unlabelled, split.dev])
    assert 2 * len(rows) < len(run.data.train)
    assert np.flatnonzero(tokens.lengths).tolist() == sorted(rows.tolist())
    losses(run)
    assert "0% reach that length" in run.describe()
