"""States of frozen blocks: computed once, they serve for all that is computed above them."""

import numpy as np
import pytest
import torch
import transformers
from transformers import BertConfig, BertModel

from mixtext.data.batches import Batch, Padded, pad
from mixtext.data.views import Row
from mixtext.methods.base import Progress
from mixtext.methods.mixtext import MixText
from mixtext.mixing.interpolate import Mix
from mixtext.models.classifier import Classifier
from mixtext.models.encoder import MixableEncoder
from mixtext.models.heads import MlpHead
from mixtext.models.states import KeptStates

L, VOCAB = 3, 40
SHAPE = {
    "vocab_size": VOCAB, "hidden_size": 16, "num_hidden_layers": L, "num_attention_heads": 2,
    "intermediate_size": 24, "max_position_embeddings": 40, "pad_token_id": 0,
    "initializer_range": 0.4,
}  # fmt: skip
DISTIL = {"vocab_size": VOCAB, "dim": 16, "n_layers": L, "n_heads": 2, "hidden_dim": 24}
SPECIAL = {f"{name}_token_id": 1 for name in ("bos", "eos", "cls", "sep")}
FAMILIES = {
    "Bert": SHAPE,
    "Roberta": SHAPE,
    "Electra": SHAPE | {"embedding_size": 8},
    "DistilBert": DISTIL | {"initializer_range": 0.4},
    "ModernBert": SHAPE | SPECIAL | {"global_attn_every_n_layers": 2, "local_attention": 4},
    "MPNet": SHAPE,
    "DebertaV2": SHAPE | {"relative_attention": True, "pos_att_type": ["p2c", "c2p"]},
}
DROPS = ("hidden_dropout_prob", "attention_probs_dropout_prob", "dropout", "attention_dropout")


def encoder_of(family, blocks, dropout=0.0, **more):
    config = getattr(transformers, family + "Config")(**FAMILIES[family], **more)
    for name in DROPS:
        if hasattr(config, name):
            setattr(config, name, dropout)
    torch.manual_seed(0)
    encoder = MixableEncoder(getattr(transformers, family + "Model")(config).double()).train()
    encoder.freeze(blocks)
    return encoder


def some_rows():
    ids = torch.randint(4, VOCAB, (5, 9), generator=torch.Generator().manual_seed(1))
    mask = torch.arange(9) < torch.tensor([[9], [4], [6], [2], [5]])
    return ids * mask, mask


@pytest.mark.parametrize("blocks", [1, 2])
@pytest.mark.parametrize("family", FAMILIES)
def test_what_begins_with_them_is_the_whole(family, blocks):
    encoder = encoder_of(family, blocks)
    ids, mask = some_rows()
    kept = encoder.begin(ids, mask, None)
    assert kept.shape == (5, 9, 16) and not kept.requires_grad
    partner = torch.tensor([2, 0, 3, 1, 4])
    ways = [(None, None, "shared")]
    for layer in range(L + 1):
        mix = Mix(torch.tensor(0.3, dtype=torch.float64), partner)
        ways += [(mix, layer, "shared"), (mix, layer, "independent")]
    for mix, layer, branches in ways:
        found = []
        for states in (None, kept):
            encoder.zero_grad()
            out, union = encoder(ids, mask, mix, layer, branches=branches, states=states)
            (out * union.unsqueeze(-1)).square().sum().backward()
            found.append({n: p.grad for n, p in encoder.named_parameters() if p.grad is not None})
            found[-1]["out"] = out.detach()
        assert found[0].keys() == found[1].keys() and len(found[0]) > 5
        for name, value in found[0].items():
            scale = value.abs().max() + 1
            assert (found[1][name] - value).abs().max() <= 1e-6 * scale, (layer, branches, name)
    assert len(encoder.blocks) == L


@pytest.mark.parametrize("family", FAMILIES)
def test_kept_of_a_wider_batch_they_are_the_same(family, tmp_path):
    encoder = encoder_of(family, 2)
    ids, mask = some_rows()
    wide = torch.nn.functional.pad(ids, (0, 4)), torch.nn.functional.pad(mask, (0, 4))
    model = Classifier(encoder, MlpHead(16, 3, 0))
    model.kept = KeptStates()
    model.kept.go_on(tmp_path / "states", 0)
    model.begun(Padded(*wide))
    assert (model.kept.length > 0) == (family != "DebertaV2")
    for rows in (Padded(ids, mask), Padded(*wide)):
        states = model.begun(rows).states
        torch.testing.assert_close(states, encoder.begin(rows.ids, rows.mask, None))


def test_frozen_blocks_are_neither_run_again_nor_dropped_in():
    encoder = encoder_of("Bert", 2, dropout=0.4)
    ids, mask = some_rows()
    calls = []
    for block in encoder.blocks:
        block.register_forward_hook(lambda block, *_: calls.append(block))
    kept = encoder.begin(ids, mask, None)
    assert torch.equal(kept, encoder.begin(ids, mask, None))
    assert calls == [*encoder.blocks[:2]] * 2
    calls.clear()
    one, other = (encoder(ids, mask, states=kept)[0] for _ in range(2))
    assert calls == [encoder.blocks[2]] * 2 and not torch.equal(one, other)
    assert encoder.blocks[2].training and not encoder.blocks[1].training
    assert encoder.eval()(ids, mask)[0].equal(encoder(ids, mask, states=kept)[0])


def test_where_nothing_can_begin_with_them_there_are_none():
    ids, mask = some_rows()
    assert MixableEncoder(BertModel(BertConfig(**SHAPE))).begin(ids, mask, None) is None
    convolved = encoder_of("DebertaV2", 1, conv_kernel_size=3)
    assert convolved.begin(ids, mask, None) is None
    recomputing = encoder_of("Bert", 1)
    recomputing.enable_gradient_checkpointing()
    assert recomputing.begin(ids, mask, None) is None


def test_an_error_above_leaves_the_blocks_as_they_were():
    encoder = encoder_of("Bert", 1)
    ids, mask = some_rows()
    kept = encoder.begin(ids, mask, None)

    def fail(*_):
        raise RuntimeError("broken block")

    handle = encoder.blocks[2].register_forward_hook(fail)
    with pytest.raises(RuntimeError, match="broken block"):
        encoder(ids, mask, states=kept)
    handle.remove()
    assert len(encoder.blocks) == L
    assert torch.equal(encoder(ids, mask)[0], encoder(ids, mask, states=kept)[0])


@pytest.mark.parametrize("teacher", [0.0, 0.9])
def test_a_step_of_mixtext_runs_them_once_and_is_the_same(teacher, monkeypatch):
    encoder = encoder_of("Bert", 2).float()
    model = Classifier(encoder, MlpHead(16, 3, 0)).train()
    method = MixText(layers=(1, 2, 3), teacher=teacher, margin_weight=0.5)
    method.start(model)
    draw = np.random.default_rng(0)
    rows = []
    for _ in range(2 + 3 * 2):
        n = int(draw.integers(3, 10))
        rows.append(Row(draw.integers(1, VOCAB, n), np.arange(n), None, np.zeros(n, np.int8)))
    batch = Batch(pad(rows, 0), torch.tensor([0, 2]), 3, 1, np.zeros(3, int), list("abcde"))
    run = []
    for copy in (model, *([model.memory.teacher] if teacher else [])):
        copy.encoder.blocks[0].register_forward_hook(lambda _, args, __: run.append(len(args[0])))

    def losses(layer):
        run.clear()
        mix = Mix(torch.tensor(0.7), torch.randperm(8, generator=torch.Generator().manual_seed(2)))
        progress = Progress(5, 10, 0.5)
        model.zero_grad()
        loss = method.loss(model, batch, progress, np.random.default_rng(1), (mix, layer)).loss
        loss.backward()
        return loss.detach(), model.head[0].weight.grad.clone(), sum(run)

    begun = {layer: losses(layer) for layer in (1, 2, 3)}
    monkeypatch.setattr(Classifier, "begun", lambda self, rows: rows)
    for layer, (loss, gradient, rows_run) in begun.items():
        plain = losses(layer)
        torch.testing.assert_close((loss, gradient), plain[:2])
        assert plain[2] == 6 + 8 + 3  # guess, mix, margin
        assert rows_run == (2 * 8 if layer == 1 else 8)
