"""Encoders of vectors: mixing at a layer is what two explicit branches give, and no more."""

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mixtext.errors import InputError
from mixtext.mixing.interpolate import Mix
from mixtext.models.folder import load_small
from mixtext.models.vectors import Mlp, SmallCnn

GOLDEN = json.loads(
    (Path(__file__).parent.parent / "golden" / "mixup" / "input_mixup.json").read_text("utf-8")
)


def build(kind):
    torch.manual_seed(0)
    encoder = Mlp(64, width=12, depth=3) if kind == "mlp" else SmallCnn((8, 8))
    return encoder.double()


ENCODERS = {kind: build(kind) for kind in ("mlp", "small_cnn")}
EVERY_LAYER = [(k, n) for k, x in ENCODERS.items() for n in range(x.layers + 1)]


@st.composite
def batches(draw):
    """Images, partners (any rows, not only permutations) and one λ a batch or a row."""
    rows = draw(st.integers(1, 5))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 99)))
    x = torch.randn(rows, 8, 8, generator=generator, dtype=torch.float64)
    partner = torch.randint(0, rows, (rows,), generator=generator)
    shape = () if draw(st.booleans()) else (rows,)
    return x, partner, torch.rand(shape, generator=generator, dtype=torch.float64)


def from_layer(encoder, states, layer):
    for block in encoder.blocks[layer:]:
        states = block(states)
    return states


@settings(max_examples=40, deadline=None)
@given(batches(), st.sampled_from(EVERY_LAYER))
def test_a_mix_is_two_branches_up_to_the_layer_and_one_above(case, place):
    x, partner, lam = case
    kind, layer = place
    encoder = ENCODERS[kind]
    states = x.reshape(len(x), *encoder.shape)
    for block in encoder.blocks[:layer]:
        states = block(states)
    weight = lam.reshape(-1, *[1] * (states.ndim - 1))
    mixed = weight * states + (1 - weight) * states[partner]
    want = from_layer(encoder, mixed, layer)
    got, mask = encoder(x, Mix(lam, partner), layer)
    assert mask is None and got.shape == (len(x), encoder.hidden_size)
    torch.testing.assert_close(got, want, rtol=1e-12, atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(batches(), st.sampled_from(EVERY_LAYER))
def test_lam_one_and_own_partners_change_no_bit(case, place):
    x, partner, lam = case
    kind, layer = place
    encoder = ENCODERS[kind]
    plain, _ = encoder(x)
    assert torch.equal(encoder(x, Mix(torch.ones_like(lam), partner), layer)[0], plain)
    assert torch.equal(encoder(x, Mix(lam, torch.arange(len(x))), layer)[0], plain)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("case", ["batch", "rows"])
def test_layer_0_mixes_the_inputs_as_the_reference_does(dtype, case):
    """Encoding mixed inputs is mixing at layer 0, on the reference's rows, λ and partners."""
    torch.manual_seed(1)
    encoder = Mlp(3, width=5).to(dtype)
    x = torch.tensor(GOLDEN["x"], dtype=dtype)
    part = GOLDEN if case == "batch" else GOLDEN["per_sample"]
    mix = Mix(torch.tensor(part["lam"], dtype=torch.float64), torch.tensor(GOLDEN["perm"]))
    want, _ = encoder(torch.tensor(part["mixed_x"], dtype=dtype))
    got, _ = encoder(x, mix, 0)
    tolerance = 1e-12 if dtype == torch.float64 else 1e-5
    torch.testing.assert_close(got, want, rtol=0, atol=tolerance)
    assert not torch.allclose(got, encoder(x)[0])


def test_layer_states_are_what_the_blocks_give():
    torch.manual_seed(0)
    mlp = Mlp(3, width=4, depth=2)
    x = torch.randn(2, 3)
    weights = [mlp.blocks[k][0] for k in range(2)]
    by_hand = torch.relu(
        torch.relu(x @ weights[0].weight.T + weights[0].bias) @ weights[1].weight.T
    )
    assert (mlp.layers, mlp.hidden_size) == (2, 4)
    with torch.no_grad():
        weights[1].bias.zero_()
    torch.testing.assert_close(mlp(x)[0], by_hand)
    cnn = SmallCnn((5, 4))
    assert (cnn.layers, cnn.hidden_size) == (3, 128)
    sizes = [tuple(x.shape) for x in cnn.parameters() if x.ndim > 1]
    assert sizes == [(32, 1, 3, 3), (64, 32, 3, 3), (128, 64 * 2 * 2)]


def test_gradients_reach_the_blocks_below_the_mix():
    encoder = build("small_cnn")
    x = torch.randn(3, 8, 8, dtype=torch.float64)
    mix = Mix(torch.tensor(0.4), torch.tensor([1, 2, 0]))
    encoder(x, mix, 3)[0].sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in encoder.parameters())


def test_vectors_and_images_are_the_same_to_an_mlp():
    x = torch.randn(2, 8, 8, dtype=torch.float64)
    encoder = ENCODERS["mlp"]
    assert torch.equal(encoder(x)[0], encoder(x.reshape(2, 64))[0])


@pytest.mark.parametrize("kind", ENCODERS)
def test_saved_and_loaded_it_is_the_same(kind, tmp_path):
    encoder = build(kind).float()
    encoder.save(tmp_path)
    again = load_small(tmp_path)
    x = torch.randn(3, 8, 8)
    assert type(again) is type(encoder)
    assert torch.equal(again(x)[0], encoder(x)[0])
    assert json.loads((tmp_path / "encoder.json").read_text())["kind"] == kind


def refusal(function, *arguments, **options):
    with pytest.raises(InputError) as error:
        function(*arguments, **options)
    return str(error.value)


def test_what_does_not_fit_is_refused():
    encoder = ENCODERS["mlp"]
    x = torch.zeros(2, 64, dtype=torch.float64)
    mix = Mix(torch.tensor(0.5), torch.tensor([1, 0]))
    assert "layer 4: this encoder has 3 layers" in refusal(encoder, x, mix, 4)
    assert "layer -1" in refusal(encoder, x, mix, -1)
    assert "needs a layer" in refusal(encoder, x, mix)
    assert "(2,) partners" in refusal(encoder, x[:1], mix, 0)
    assert "λ of shape (3,)" in refusal(encoder, x, Mix(torch.ones(3), mix.partner), 0)
    assert "64 values a row" in refusal(encoder, torch.zeros(2, 63))
    assert "shape (4,)" in refusal(SmallCnn, (4,))
    assert "shape (1, 9)" in refusal(SmallCnn, (1, 9))
    assert "depth is 0" in refusal(Mlp, 3, depth=0)


def test_a_folder_without_an_encoder_is_refused(tmp_path):
    assert "holds no encoder.json" in refusal(load_small, tmp_path)
    Mlp(3, width=2).save(tmp_path)
    (tmp_path / "encoder.json").write_text('{"kind": "mlp", "inputs": 4, "width": 2, "depth": 2}')
    assert "encoder.safetensors cannot be read" in refusal(load_small, tmp_path)
    (tmp_path / "encoder.json").write_text('{"kind": "tree"}')
    assert "'tree'" in refusal(load_small, tmp_path)
    (tmp_path / "encoder.json").write_text("[]")
    assert "encoder.json does not describe" in refusal(load_small, tmp_path)
    Mlp(3, width=2).save(tmp_path)
    (tmp_path / "encoder.safetensors").write_bytes(b"no weights")
    assert "encoder.safetensors cannot be read" in refusal(load_small, tmp_path)
