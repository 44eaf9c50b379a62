"""MixText against the official code: four training steps on a tiny BERT, from batch to weights.

The reference is the official training loop (MixText, commit f17198d) without dropout: 4 labelled
and 8 unlabelled rows, α 16, T 0.5, guesses from the original text alone.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.testing import assert_close
from transformers import BertConfig, BertModel

from mixtext.data.batches import Batch, Padded
from mixtext.methods.base import Progress, soft_targets
from mixtext.methods.mixtext import MixText
from mixtext.mixing.interpolate import Mix, interpolate
from mixtext.models.classifier import Classifier
from mixtext.models.encoder import MixableEncoder
from mixtext.models.heads import MlpHead
from mixtext.training.optimiser import make_optimiser, set_rates
from mixtext.training.settings import TrainingSettings

GOLDEN = Path(__file__).parents[1] / "golden" / "mixtext"
SPEC = json.loads((GOLDEN / "golden.json").read_text(encoding="utf-8"))["train_mixtext"]
TENSORS = load_file(GOLDEN / "train_mixtext.safetensors")
B, BU = SPEC["B"], SPEC["Bu"]
MIXED = B + 3 * BU  # rows that reach a loss; the last BU are carried along idly
STEPS_PER_EPOCH, EPOCHS = 4, 20  # the run starts at epoch 2

METHOD = MixText(
    alpha=16,
    layers=(2, 3, 4),
    temperature=0.5,
    view_weights=(0, 0),
    original_weight=1,
    guess_dropout=True,
    unlabelled_weight=1,
    ramp=1.0,
    idle_rows=True,
    keep_main=True,
)
SETTINGS = TrainingSettings(
    batch=B,
    batch_unlabelled=BU,
    lr_encoder=5e-6,
    lr_head=5e-4,
    weight_decay=0,
    eps=1e-6,
    eps_before_bias_correction=True,
    schedule="constant",
    warmup=0,
    clip=0,
)


def weights(when):
    """The reference's weights `before` or `after`, under this library's names."""
    names = {"bert.": "encoder.model.", "linear.": "head."}
    found = {}
    for name, value in TENSORS.items():
        for official, own in names.items():
            if name.startswith(f"w_{when}.{official}"):
                found[own + name.removeprefix(f"w_{when}.{official}")] = value
    return found


def official_model(branches, attention):
    """A BERT with the reference's shapes and first weights; no dropout, no attention mask."""
    start = weights("before")
    words = start["encoder.model.embeddings.word_embeddings.weight"]
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=words.shape[1],
        num_hidden_layers=SPEC["num_hidden_layers"],
        num_attention_heads=4,
        intermediate_size=len(start["encoder.model.encoder.layer.0.intermediate.dense.bias"]),
        max_position_embeddings=len(start["encoder.model.embeddings.position_embeddings.weight"]),
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    config._attn_implementation = attention
    model = Classifier(
        MixableEncoder(BertModel(config)),
        MlpHead(words.shape[1], SPEC["n_labels"], len(start["head.0.bias"])),
        use_mask=False,
        branches=branches,
    )
    model.load_state_dict(start, strict=True)
    return model.train()


def official_batch(i):
    """Batch i: labelled, German and Russian views, originals."""
    names = ("inputs_x", "inputs_u", "inputs_u2", "inputs_ori")
    ids = torch.cat([TENSORS[f"step{i}.{name}"] for name in names])
    return Batch(
        rows=Padded(ids, ids != 0, None),
        labels=TENSORS[f"step{i}.targets_x"],
        unlabelled=BU,
        views=2,
        hidden=np.full(BU, -1),
        row_ids=[str(row) for row in range(B + BU)],
    )


def official_draw(i):
    """λ, partners and layer of step i. The log counts blocks from 0, `layer` counts states."""
    log = SPEC["log"][i]
    (partner,) = log["randperms"]
    idle = range(MIXED, MIXED + BU)
    mix = Mix(torch.tensor(log["l"], dtype=torch.float32), torch.tensor([*partner, *idle]))
    return mix, log["mix_layer"] + 1


def progress_at(i):
    done = 2 * STEPS_PER_EPOCH + i
    return Progress(done, EPOCHS * STEPS_PER_EPOCH, done / STEPS_PER_EPOCH)


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("branches", ["independent", "shared"])
def test_four_official_steps(branches, attention):
    model = official_model(branches, attention)
    optimiser = make_optimiser(model, SETTINGS)
    logits = []  # of every forward, in turn: guess, mixed rows, guess, …
    model.register_forward_hook(lambda module, args, output: logits.append(output.detach()))

    for i, log in enumerate(SPEC["log"]):
        batch, (mix, layer), progress = official_batch(i), official_draw(i), progress_at(i)
        set_rates(optimiser, SETTINGS, i, 1000)
        assert progress.epoch == log["epoch"]
        outcome = METHOD.loss(model, batch, progress, np.random.default_rng(0), draw=(mix, layer))

        guessing, mixing = logits[-2:]
        assert len(logits) == 2 * (i + 1)
        assert_close(guessing, TENSORS[f"step{i}.logits_ori"], atol=2e-5, rtol=0)
        assert_close(mixing, TENSORS[f"step{i}.mixed_logits"], atol=2e-5, rtol=0)

        targets = torch.cat(
            [soft_targets(batch.labels, SPEC["n_labels"]), outcome.guesses.repeat(4, 1)]
        )
        targets = interpolate(targets, mix)
        assert_close(targets[:B], TENSORS[f"step{i}.mixed_target_x"], atol=2e-6, rtol=0)
        assert_close(targets[B:MIXED], TENSORS[f"step{i}.mixed_target_u"], atol=2e-6, rtol=0)

        metrics = {name: float(value) for name, value in outcome.metrics.items()}
        assert metrics["loss/labelled"] == pytest.approx(log["Lx"], abs=2e-6)
        assert metrics["loss/unlabelled"] == pytest.approx(log["Lu"], abs=2e-6)
        assert metrics["ramp"] == pytest.approx(log["w"], abs=1e-12)
        assert outcome.loss.item() == pytest.approx(log["loss"], abs=3e-6)

        outcome.loss.backward()
        optimiser.step()
        optimiser.zero_grad()

    end = weights("after")
    assert end.keys() == model.state_dict().keys()
    for name, value in model.state_dict().items():
        assert_close(value, end[name], atol=1e-6, rtol=0, msg=lambda text, n=name: f"{n}: {text}")


def test_weights_moved_far_more_than_the_tolerance():
    # Otherwise the comparison of the last weights above would pass without any training.
    start, end = weights("before"), weights("after")
    for name in start:
        if "pooler" in name:  # the official code does not use BERT's pooler
            assert torch.equal(start[name], end[name])
        elif "key.bias" not in name:  # its gradient is zero but for rounding
            assert (start[name] - end[name]).abs().max() > 1e-5, name


def test_the_official_draw_permutes_all_but_the_idle_rows():
    generator = np.random.default_rng(5)
    for _ in range(20):
        mix, layer = METHOD.draw(official_batch(0), generator)
        assert sorted(mix.partner[:MIXED].tolist()) == list(range(MIXED))
        assert mix.partner[MIXED:].tolist() == list(range(MIXED, MIXED + BU))
        assert mix.lam.ndim == 0 and 0.5 <= mix.lam <= 1
        assert layer in METHOD.layers
