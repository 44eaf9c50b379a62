"""The tagger: shapes, what the head sees, gradients from soft labels."""

import numpy as np
import pytest
import torch

from mixtext.errors import InputError
from mixtext.tagging.rows import SoftSentences, TaggedFeed, tokenise_sentences
from mixtext.tagging.settings import TaggerSettings
from mixtext.tagging.tagger import build_tagger


@pytest.fixture(scope="module")
def made(encoder):
    settings = TaggerSettings(encoder=encoder, max_length=16, overlap=4)
    model, tokenizer = build_tagger(settings, tags=3, seed=0)
    return model.eval(), tokenizer


def test_one_row_of_logits_for_each_token(made):
    model, tokenizer = made
    rows = tokenise_sentences(tokenizer, [["cat", "dog"], ["cat"]], 16).rows([0, 1])
    logits = model(rows)
    assert logits.shape == (2, 4, 3)
    alone = model(tokenise_sentences(tokenizer, [["cat"]], 16).rows([0]))
    assert torch.allclose(logits[1, :3], alone[0], atol=1e-5)  # padding changes nothing


def test_the_head_sees_the_letter_case_that_the_encoder_does_not(made):
    model, tokenizer = made
    rows = tokenise_sentences(tokenizer, [["cat"], ["CAT"]], 16).rows([0, 1])
    assert torch.equal(rows.ids[0], rows.ids[1])
    logits = model(rows)
    difference = model.head.weight[:, -5 + 1] - model.head.weight[:, -5]  # upper less lower
    assert torch.allclose(logits[1, 1] - logits[0, 1], difference, atol=1e-5)
    assert torch.allclose(logits[1, 0], logits[0, 0], atol=1e-5)  # [CLS] has no case


def test_without_case_the_head_is_as_wide_as_the_encoder(encoder):
    settings = TaggerSettings(encoder=encoder, max_length=16, overlap=4, case=False)
    model, _ = build_tagger(settings, tags=3, seed=0)
    assert model.head.weight.shape == (3, 16)


def test_one_seed_one_head(encoder):
    settings = TaggerSettings(encoder=encoder, max_length=16, overlap=4)
    heads = [build_tagger(settings, 3, seed)[0].head.weight for seed in (1, 1, 2)]
    assert torch.equal(heads[0], heads[1]) and not torch.equal(heads[0], heads[2])


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        ({"max_length": 2}, "model.max_length is 2"),
        ({"max_length": 16, "overlap": 9}, "model.overlap is 9"),
        ({"dropout": 1.0}, "model.dropout is 1.0"),
    ],
)
def test_settings_out_of_range(settings, part):
    with pytest.raises(InputError, match=part):
        TaggerSettings(**settings)


def test_rows_longer_than_the_encoder_takes(encoder):
    with pytest.raises(InputError, match="takes at most 64 tokens"):
        build_tagger(TaggerSettings(encoder=encoder, max_length=65), 3, 0)


def test_batches_fit_the_model(made):
    model, tokenizer = made
    tokens = tokenise_sentences(tokenizer, [["cat"] * 40], 16, 4)
    train = SoftSentences([["cat"] * 40], [np.eye(3, dtype=np.float32)[[0] * 40]], ["i"])
    feed = TaggedFeed(tokens, train, batch=4, seed=0)
    batch = feed.batch(0, np.random.default_rng(0))
    assert model(batch.rows).shape == batch.targets.shape


def test_frozen_embeddings_stay_and_the_rest_learns(encoder):
    settings = TaggerSettings(encoder=encoder, max_length=16, overlap=4, freeze_embeddings=True)
    model, tokenizer = build_tagger(settings, tags=3, seed=0)
    rows = tokenise_sentences(tokenizer, [["cat", "dog"]], 16).rows([0])
    model(rows).square().sum().backward()
    assert model.encoder.model.get_input_embeddings().weight.grad is None
    assert model.encoder.model.encoder.layer[0].output.dense.weight.grad.abs().max() > 0
