"""The classifier against the official code's numbers, and its pooling."""

import copy
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import BertConfig, BertModel

from mixtext.data.batches import Padded
from mixtext.errors import InputError
from mixtext.mixing.interpolate import Mix, interpolate
from mixtext.models.classifier import Classifier
from mixtext.models.encoder import MixableEncoder
from mixtext.models.heads import MlpHead, first_pool, last_pool, max_pool, mean_pool

GOLDEN = Path(__file__).parents[1] / "golden" / "mixtext"
SPEC = json.loads((GOLDEN / "golden.json").read_text(encoding="utf-8"))["enc3_f32"]
IO = load_file(GOLDEN / "enc3_f32.io.safetensors")
# (layer in the vectors, where 0 means "after block 0"; name of λ in the vectors; λ)
MIXES = [(layer, str(lam).replace(".", "p"), lam) for layer in (-1, 0, 1, 2) for lam in (0.5, 0.9)]
BRANCHES = ("shared", "independent")


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Matrices this small are slower on many threads, and far slower on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def golden_model(use_mask=False, branches="shared"):
    """The reference's tiny BERT and head, with its weights; the official code uses no mask."""
    dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    model = Classifier(
        MixableEncoder(BertModel(BertConfig(**SPEC["config"], **dropout))),
        MlpHead(48, SPEC["n_labels"], SPEC["head_hidden"]),
        use_mask=use_mask,
        branches=branches,
    )
    weights = load_file(GOLDEN / "enc3_f32.weights.safetensors")
    own = {our_name(name): value for name, value in weights.items()}
    model.load_state_dict(own, strict=True)
    return model


def our_name(name):
    return name.replace("bert.", "encoder.model.", 1).replace("linear.", "head.", 1)


def golden_mix(lam):
    return Mix(torch.tensor(lam), IO["perm"])


def close(got, want):
    torch.testing.assert_close(got, want, rtol=0, atol=2e-5)


def test_vectors_are_what_the_readme_says():
    assert SPEC["mix_layers"] == [-1, 0, 1, 2]
    assert torch.equal(IO["input_ids2"], IO["input_ids"][IO["perm"]])


def test_plain_forward_equals_the_official_code():
    model = golden_model()
    ids, mask = IO["input_ids"], IO["single_masked.attention_mask"]
    states, _ = model.encoder(ids)
    close(states, IO["single.sequence_output"])
    close(mean_pool(states), IO["single.mean_pooled"])
    close(model(Padded(ids)), IO["single.logits"])
    close(model(Padded(ids, mask)), IO["single.logits"])  # use_mask=False
    # The official code leaves a layer beyond the encoder unmixed; here that is asked for openly.
    close(model(Padded(ids), mix=None), IO["mix.layer1000.lam0p3.logits"])
    close(model.encoder(ids, mask)[0], IO["single_masked.sequence_output"])
    types = IO["single_masked_tt.token_type_ids"]
    close(model.encoder(ids, mask, types=types)[0], IO["single_masked_tt.sequence_output"])


@pytest.mark.parametrize("branches", BRANCHES)
@pytest.mark.parametrize(("layer", "name", "lam"), MIXES)
def test_mixed_forward_equals_the_official_code(layer, name, lam, branches):
    model = golden_model(branches=branches)
    ids, key = IO["input_ids"], f"mix.layer{layer}.lam{name}"
    states, _ = model.encoder(ids, None, golden_mix(lam), layer + 1, branches=branches)
    close(states, IO[f"{key}.sequence_output"])
    mask = IO["single_masked.attention_mask"]
    close(model(Padded(ids, mask), golden_mix(lam), layer + 1), IO[f"{key}.logits"])


@pytest.mark.parametrize("branches", BRANCHES)
@pytest.mark.parametrize(("layer", "name", "lam"), MIXES)
def test_mix_with_masks_equals_the_authors_advice(layer, name, lam, branches):
    model = golden_model(use_mask=True, branches=branches)
    ids, mask = IO["input_ids"], IO["single_masked.attention_mask"]
    states, union = model.encoder(ids, mask, golden_mix(lam), layer + 1, branches=branches)
    key = f"derived_ormask.layer{layer}.lam{name}"
    close(states, IO[f"{key}.sequence_output"])
    close(mean_pool(states, union), IO[f"{key}.masked_mean"])
    close(
        model(Padded(ids, mask), golden_mix(lam), layer + 1),
        model.head(IO[f"{key}.masked_mean"]).detach(),
    )


@pytest.mark.parametrize("checkpointed", [False, True])
@pytest.mark.parametrize("branches", BRANCHES)
def test_gradients_equal_the_official_code(branches, checkpointed):
    model = golden_model(branches=branches).train()
    if checkpointed:
        model.encoder.enable_gradient_checkpointing()
    mix, layer = golden_mix(SPEC["grad_lam"]), SPEC["grad_mix_layer"] + 1
    log_p = model(Padded(IO["input_ids"]), mix=mix, layer=layer).log_softmax(-1)  # (B, C)
    loss = -(IO["grad.target"] * log_p).sum(-1).mean()
    loss.backward()
    close(loss.detach().reshape(1), IO["grad.loss"])
    want = {our_name(k[11:]): v for k, v in IO.items() if k.startswith("grad.param.")}
    got = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    assert got.keys() == want.keys()
    assert {our_name(n) for n in SPEC["params_without_grad"]}.isdisjoint(got)
    for name in want:
        torch.testing.assert_close(got[name], want[name], rtol=1e-3, atol=1e-6, msg=name)


def test_use_mask_reaches_attention_and_pooling():
    ids, mask = IO["input_ids"], IO["single_masked.attention_mask"]
    masked = golden_model(use_mask=True)
    states, _ = masked.encoder(ids, mask)
    close(masked(Padded(ids, mask)), masked.head(mean_pool(states, mask)))
    assert (masked(Padded(ids, mask)) - golden_model()(Padded(ids, mask))).abs().max() > 1e-3
    # A row's logits must not depend on how far it is padded.
    row, length = 3, int(IO["lengths"][3])
    alone = masked(Padded(ids[row : row + 1, :length]))
    close(alone, masked(Padded(ids, mask))[row : row + 1])


def test_first_token_pool_and_copy():
    model = golden_model(use_mask=True)
    model.pool = "first"
    ids, mask = IO["input_ids"], IO["single_masked.attention_mask"]
    mix = golden_mix(0.7)
    states, _ = model.encoder(ids, mask, mix, 2)
    close(model(Padded(ids, mask), mix, 2), model.head(states[:, 0]))
    assert torch.equal(
        copy.deepcopy(model)(Padded(ids, mask), mix, 2), model(Padded(ids, mask), mix, 2)
    )


def test_the_encoders_own_pooler():
    golden = golden_model()
    golden.encoder.pooler.requires_grad_(False)  # as `load_encoder` leaves it
    model = Classifier(golden.encoder, golden.head, pool="pooler")
    ids, mask = IO["input_ids"], IO["single_masked.attention_mask"]
    pooled = model.encoder.model(input_ids=ids, attention_mask=mask).pooler_output
    close(model(Padded(ids, mask)), model.head(pooled))
    mix = golden_mix(0.3)
    close(model(Padded(ids, mask), mix, "pooled"), model.head(interpolate(pooled, mix)))
    model(Padded(ids, mask)).sum().backward()
    assert all(
        p.grad is not None and p.grad.abs().sum() > 0 for p in model.encoder.pooler.parameters()
    )
    bare = BertModel(BertConfig(**SPEC["config"]), add_pooling_layer=False)
    with pytest.raises(InputError, match="has none"):
        Classifier(MixableEncoder(bare), golden.head, pool="pooler")


def test_max_and_last_pool_by_hand():
    states = torch.tensor([[[1.0, -5.0], [3.0, -7.0], [8.0, 9.0]]]).repeat(3, 1, 1)
    mask = torch.tensor([[1, 1, 0], [1, 1, 1], [1, 0, 0]])
    assert torch.equal(max_pool(states, mask), torch.tensor([[3.0, -5.0], [8.0, 9.0], [1.0, -5.0]]))
    assert torch.equal(max_pool(states), torch.tensor([[8.0, 9.0]] * 3))
    assert torch.equal(
        last_pool(states, mask), torch.tensor([[3.0, -7.0], [8.0, 9.0], [1.0, -5.0]])
    )
    assert torch.equal(last_pool(states), torch.tensor([[8.0, 9.0]] * 3))
    assert (
        last_pool(states, mask * 0).isfinite().all() and max_pool(states, mask * 0).isfinite().all()
    )


def test_unknown_pool_or_branches_is_refused():
    model = golden_model()
    with pytest.raises(InputError, match="pool is 'middle': it must be one of mean, unit"):
        Classifier(model.encoder, model.head, pool="middle")
    with pytest.raises(InputError, match="branches is 'two'"):
        Classifier(model.encoder, model.head, branches="two")


def test_mean_pool_by_hand():
    states = torch.tensor([[[1.0, 10.0], [3.0, 30.0], [8.0, 80.0]]]).repeat(3, 1, 1)
    mask = torch.tensor([[1, 1, 0], [1, 1, 1], [0, 0, 0]])
    want = torch.tensor([[2.0, 20.0], [4.0, 40.0], [0.0, 0.0]])
    assert torch.equal(mean_pool(states, mask), want)
    assert torch.equal(mean_pool(states, mask.bool()), want)
    assert torch.equal(mean_pool(states), want[1].expand(3, 2))
    assert torch.equal(first_pool(states, mask), torch.tensor([[1.0, 10.0]] * 3))
    assert mean_pool(states.bfloat16(), mask).dtype == torch.bfloat16


def test_head_has_the_papers_shape():
    head = MlpHead(48, 10)
    assert [tuple(p.shape) for p in head.parameters()] == [(128, 48), (128,), (10, 128), (10,)]
    x = torch.randn(3, 48)
    assert torch.equal(head(x), head[2](torch.tanh(head[0](x))))
