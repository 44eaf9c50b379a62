"""Kim's CNN and the LSTM: the reference vectors, and what mixing and padding must leave alone."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from mixtext.errors import InputError
from mixtext.mixing.interpolate import Mix, interpolate
from mixtext.models.folder import load_small
from mixtext.models.words import KimCnn, Lstm

GOLDEN = Path(__file__).parents[1] / "golden" / "mixup" / "kim_cnn_word_sen_mixup.json"
SPEC = json.loads(GOLDEN.read_text(encoding="utf-8"))
KINDS = (KimCnn, Lstm)
VOCAB, WIDTH = 11, 4
IDS = torch.tensor([[2, 3, 4, 5, 6, 7], [8, 9, 0, 0, 0, 0], [3, 3, 10, 2, 0, 0]])
MASK = IDS != 0
PARTNER = torch.tensor([1, 2, 0])


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Matrices this small are slower on many threads, and far slower on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def tensor(values):
    return torch.tensor(values, dtype=torch.float64)


def make(kind, tune=True, width=WIDTH):
    torch.manual_seed(3)
    return kind(torch.randn(VOCAB, width), tune).double()


def golden_encoder():
    """The reference's CNN of 2 maps a width, with its weights."""
    encoder = KimCnn(tensor(SPEC["embedding"]), tune=True, maps=SPEC["maps"]).double()
    for linear, width in zip(encoder.convolutions, SPEC["widths"], strict=True):
        # Reference weights are (maps, width, D): flattened, a map's window after window.
        linear.weight.data = tensor(SPEC["conv_w"][str(width)]).flatten(1)
        linear.bias.data = tensor(SPEC["conv_b"][str(width)])
    return encoder


def head(vector):
    """The reference's affine head."""
    return F.linear(vector, tensor(SPEC["out_w"]), tensor(SPEC["out_b"]))


def golden_batch():
    ids = torch.tensor([SPEC["ids_a"], SPEC["ids_b"]])
    return ids, Mix(tensor(SPEC["lam"]), torch.tensor([1, 0]))


def close(got, want, atol=1e-12):
    want = want if isinstance(want, torch.Tensor) else tensor(want)
    torch.testing.assert_close(got, want, rtol=0, atol=atol)


def test_plain_features_equal_the_reference():
    ids, _ = golden_batch()
    features = golden_encoder()(ids)[0].amax(1)
    close(features, [SPEC["feature_a"], SPEC["feature_b"]])
    close(head(features), [SPEC["logits_a"], SPEC["logits_b"]])


def test_word_mixup_equals_the_reference():
    encoder, (ids, mix), want = golden_encoder(), golden_batch(), SPEC["word_mixup"]
    with encoder.watch() as seen:
        states, _ = encoder(ids, mix=mix, layer=0)
    close(interpolate(seen[0], mix)[0], want["mixed_embedding"])
    feature = states.amax(1)[:1]
    close(feature[0], want["feature"])
    close(head(feature)[0], want["logits"])
    close(F.cross_entropy(head(feature), tensor([SPEC["mixed_target"]])), want["soft_ce"])


def test_sentence_mixup_equals_the_reference_and_mixing_the_logits():
    encoder, (ids, mix), want = golden_encoder(), golden_batch(), SPEC["sen_mixup"]
    features = encoder(ids)[0].amax(1)
    feature = interpolate(features, mix)[:1]
    close(feature[0], want["feature"])
    close(head(feature)[0], want["logits"])
    close(F.cross_entropy(head(feature), tensor([SPEC["mixed_target"]])), want["soft_ce"])
    close(interpolate(head(features), mix)[0], want["logits"])  # SPEC["identity"]


def test_sizes_of_the_paper():
    want = SPEC["real_shapes"]
    encoder = KimCnn(torch.zeros(7, want["embed"]), tune=False)
    counts = [sum(p.numel() for p in linear.parameters()) for linear in encoder.convolutions]
    assert counts == list(want["conv_params"].values())
    trained = sum(p.numel() for p in encoder.parameters() if p.requires_grad)
    assert trained == want["conv_params_total"]
    assert [want["batch"], encoder.hidden_size] == want["sentence_vector"]
    states, _ = encoder(torch.ones(2, want["seq_len"], dtype=torch.int64))
    written = (states != 0).any(0)  # (T, H): where there is a window at all
    for number, (rows, maps, positions) in enumerate(want["conv_out"].values()):
        assert rows == want["batch"]
        group = written[:, number * maps : (number + 1) * maps]
        assert group[:positions].any(1).all()
        assert not group[positions:].any()
    # Shorter texts are padded to the widest window.
    assert encoder(torch.ones(2, 1, dtype=torch.int64))[0].shape[1] == want["min_seq_len"]


def test_without_a_mask_the_cnn_is_three_valid_convolutions():
    encoder = make(KimCnn)
    vectors = encoder.words(IDS).transpose(1, 2)  # (B, D, T)
    got, mask = encoder(IDS)
    assert mask is None
    for number, (width, linear) in enumerate(zip((3, 4, 5), encoder.convolutions, strict=True)):
        weight = linear.weight.view(100, width, WIDTH).transpose(1, 2)  # as conv1d has it
        maps = F.conv1d(vectors, weight, linear.bias).relu().transpose(1, 2)
        group = got[:, :, number * 100 : (number + 1) * 100]
        close(group[:, : maps.shape[1]], maps)
        assert not group[:, maps.shape[1] :].any()


def test_with_a_mask_the_cnn_reads_zeros_beyond_a_text():
    """A text of n words then gives what it gives alone, zero-padded so that n windows fit."""
    encoder = make(KimCnn)
    states, mask = encoder(IDS, MASK)
    assert torch.equal(mask, MASK)
    for row, present, got in zip(IDS, MASK, states, strict=True):
        n = int(present.sum())
        alone = F.pad(row[:n], (0, 4)).unsqueeze(0)
        # Windows of width w begin at n + 5 - w positions of the padded text; n of them count.
        close(got[:n], encoder(alone)[0][0, :n])
        assert not got[n:].any()


def test_the_lstm_is_one_layer_of_100_from_left_to_right():
    encoder = make(Lstm)
    assert encoder.hidden_size == 100 and encoder.layers == 1
    states, _ = encoder(IDS, MASK)
    assert states.shape == (3, 6, 100)
    weights = {k.removeprefix("lstm."): v for k, v in encoder.state_dict().items()}
    hidden = cell = torch.zeros(3, 100, dtype=torch.float64)
    for t in range(IDS.shape[1]):  # Hochreiter and Schmidhuber's equations, with a forget gate
        gates = encoder.words(IDS[:, t]) @ weights["weight_ih_l0"].T + weights["bias_ih_l0"]
        gates = gates + hidden @ weights["weight_hh_l0"].T + weights["bias_hh_l0"]
        entry, forget, news, out = gates.chunk(4, dim=1)
        cell = forget.sigmoid() * cell + entry.sigmoid() * news.tanh()
        hidden = out.sigmoid() * cell.tanh()
        close(states[:, t], hidden)


rows = st.lists(st.lists(st.integers(1, VOCAB - 1), max_size=7), min_size=1, max_size=4)


@pytest.mark.parametrize("layer", [None, 0, 1])
@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=25, deadline=None)
@given(rows=rows, extra=st.integers(0, 6), filler=st.integers(0, VOCAB - 1), lam=st.floats(0, 1))
def test_padding_width_and_filler_have_no_part_in_a_text(kind, layer, rows, extra, filler, lam):
    encoder = make(kind)
    longest = max(1, *map(len, rows), 1)

    def encode(width, filler):
        ids = torch.tensor([row + [filler] * (width - len(row)) for row in rows])
        mask = torch.arange(width) < torch.tensor([len(row) for row in rows]).unsqueeze(1)
        mix = Mix(tensor(lam), torch.arange(len(rows)).roll(1)) if layer is not None else None
        return encoder(ids, mask, mix, layer)

    states, mask = encode(longest, 0)
    wide, wide_mask = encode(longest + extra, filler)
    assert torch.equal(wide_mask[:, :longest], mask) and not wide_mask[:, longest:].any()
    close(wide[:, :longest] * mask.unsqueeze(-1), states * mask.unsqueeze(-1))
    assert torch.isfinite(states).all()
    if kind is KimCnn:  # any max over time may ignore the mask
        assert (states >= 0).all() and not wide[~wide_mask].any()


@pytest.mark.parametrize("mask", [MASK, None], ids=["masked", "unmasked"])
@pytest.mark.parametrize("branches", ["shared", "independent"])
@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("kind", KINDS)
def test_a_mix_mixes_where_it_says_with_the_union_of_the_masks(kind, layer, branches, mask):
    encoder = make(kind)
    mix = Mix(tensor([0.9, 0.3, 0.5]), PARTNER)
    got, union = encoder(IDS, mask, mix, layer, None, branches)
    assert union is None if mask is None else torch.equal(union, mask | mask[PARTNER])
    if layer == 1:
        own = encoder(IDS, mask)[0]
        want = [lam * own[i] + (1 - lam) * own[PARTNER[i]] for i, lam in enumerate(mix.lam)]
        close(got, torch.stack(want))
    else:  # a row at a time, as a word vector of its own at every position
        for i, lam in enumerate(mix.lam):
            a, b = encoder.words(IDS[i]), encoder.words(IDS[PARTNER[i]])
            alone = kind(torch.cat([torch.zeros(1, WIDTH), lam * a + (1 - lam) * b]), True)
            alone.double().load_state_dict(
                {**encoder.state_dict(), "words.weight": alone.words.weight}
            )
            ids = torch.arange(1, 7).unsqueeze(0)
            close(got[i : i + 1], alone(ids, None if union is None else union[i : i + 1])[0])


@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("kind", KINDS)
def test_lam_one_gives_the_plain_result_bit_for_bit(kind, layer):
    encoder = make(kind).float()
    own = torch.arange(3)
    for mask, partner in ((None, PARTNER), (torch.ones_like(MASK), PARTNER), (MASK, own)):
        plain, _ = encoder(IDS, mask)
        mixed, _ = encoder(IDS, mask, Mix(torch.tensor(1.0), partner), layer)
        assert torch.equal(mixed, plain)


@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("kind", KINDS)
def test_a_row_that_is_its_own_partner_stays_as_it_is(kind, layer):
    encoder = make(kind)
    plain, _ = encoder(IDS, MASK)
    # λ·x + (1 − λ)·x is x, exactly at λ = 1/2, else up to rounding.
    half, _ = encoder(IDS, MASK, Mix(tensor(0.5), torch.arange(3)), layer)
    assert torch.equal(half, plain)
    mixed, _ = encoder(IDS, MASK, Mix(tensor(0.3), torch.arange(3)), layer)
    close(mixed, plain, atol=1e-14)


@pytest.mark.parametrize("optimiser", [torch.optim.Adam, torch.optim.AdamW])
@pytest.mark.parametrize("tune", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_tune_trains_the_vectors_of_words_that_occur_and_fix_trains_none(kind, tune, optimiser):
    encoder = make(kind, tune)
    trained = [p for p in encoder.parameters() if p.requires_grad]
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    steps = optimiser(trained, lr=0.1, weight_decay=0.0)
    for _ in range(2):
        steps.zero_grad()
        encoder(IDS, None)[0].sum().backward()  # without a mask padding is read too
        steps.step()
    moved = (encoder.words.weight != before["words.weight"]).any(1)
    occurring = torch.zeros(VOCAB, dtype=torch.bool)
    occurring[IDS.unique()[1:]] = True  # all but padding
    assert torch.equal(moved, occurring if tune else torch.zeros_like(moved))
    assert not encoder.words.weight[0].any()
    others = [name for name in before if name != "words.weight"]
    assert all((encoder.state_dict()[name] != before[name]).any() for name in others)


@pytest.mark.parametrize("kind", KINDS)
def test_the_callers_matrix_is_left_alone_and_its_padding_row_not_used(kind):
    matrix = np.ones((VOCAB, WIDTH), dtype=np.float32)
    encoder = kind(matrix, True)
    assert not encoder.words.weight[0].any() and (encoder.words.weight[1:] == 1).all()
    with torch.no_grad():
        encoder.words.weight += 1
    assert (matrix == 1).all()


@pytest.mark.parametrize("tune", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_watch_gives_the_gradient_by_the_word_vectors(kind, tune):
    encoder = make(kind, tune)
    with encoder.watch() as seen:
        states, _ = encoder(IDS, MASK)
    encoder(IDS, MASK)
    (vectors,) = seen  # only the forward inside is watched
    assert torch.equal(vectors, encoder.words.weight[IDS])
    loss = (states * MASK.unsqueeze(-1)).square().sum()
    (gradient,) = torch.autograd.grad(loss, vectors)
    assert not gradient[~MASK].any()

    def loss_at(vectors):
        states = encoder.encode(vectors * MASK.unsqueeze(-1), MASK)
        return (states * MASK.unsqueeze(-1)).square().sum()

    step = torch.randn(vectors.shape, generator=torch.Generator().manual_seed(0)).double()
    step, base = step * 1e-6, vectors.detach()
    with torch.no_grad():
        difference = (loss_at(base + step) - loss_at(base - step)) / 2
    torch.testing.assert_close((gradient * step).sum(), difference, rtol=1e-4, atol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_watch_shows_the_vectors_before_a_mix(kind):
    encoder = make(kind)
    with encoder.watch() as seen:
        encoder(IDS, MASK, Mix(tensor(0.3), PARTNER), 0)
        encoder(IDS[:1], MASK[:1])
    assert torch.equal(seen[0], encoder.words.weight[IDS])
    assert torch.equal(seen[1], encoder.words.weight[IDS[:1]])


@pytest.mark.parametrize("tune", [True, False])
@pytest.mark.parametrize("kind", [lambda *a: KimCnn(*a, widths=(2, 3), maps=5), Lstm])
def test_saved_and_loaded_it_gives_the_same(kind, tune, tmp_path):
    encoder = kind(torch.randn(VOCAB, WIDTH), tune)
    encoder.save(tmp_path)
    loaded = load_small(tmp_path)
    assert type(loaded) is type(encoder)
    assert loaded.hidden_size == encoder.hidden_size
    assert loaded.words.weight.requires_grad is tune
    assert torch.equal(loaded(IDS, MASK)[0], encoder(IDS, MASK)[0])


@pytest.mark.parametrize(
    ("layer", "mix", "branches", "words"),
    [
        (2, Mix(torch.tensor(0.5), PARTNER), "shared", "layer 2"),
        (-1, Mix(torch.tensor(0.5), PARTNER), "shared", "layer -1"),
        (None, Mix(torch.tensor(0.5), PARTNER), "shared", "needs a layer"),
        (0, Mix(torch.tensor(0.5), PARTNER[:2]), "shared", r"\(2,\) partners"),
        (0, Mix(torch.rand(2), PARTNER), "shared", r"shape \(2,\)"),
        (0, Mix(torch.tensor(0.5), PARTNER), "both", "branches is 'both'"),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_a_mix_that_cannot_be_is_refused(kind, layer, mix, branches, words):
    with pytest.raises(InputError, match=words):
        make(kind)(IDS, MASK, mix, layer, None, branches)


def test_a_broken_folder_is_refused_by_the_name_of_its_file(tmp_path):
    make(KimCnn).save(tmp_path)
    about = json.loads((tmp_path / "encoder.json").read_text(encoding="utf-8"))

    def refused(words):
        with pytest.raises(InputError, match=words) as error:
            load_small(tmp_path)
        assert "\n" not in str(error.value)

    for broken in ("{", "[]", "{}", '{"kind": "tree"}', json.dumps(about | {"width": "x"})):
        (tmp_path / "encoder.json").write_text(broken, encoding="utf-8")
        refused("encoder.json does not describe")
    (tmp_path / "encoder.json").write_text(json.dumps(about | {"width": 5}), encoding="utf-8")
    refused("encoder.safetensors cannot be read, or does not fit")
    (tmp_path / "encoder.json").write_text(json.dumps(about), encoding="utf-8")
    (tmp_path / "encoder.safetensors").write_bytes(b"no tensors")
    refused("encoder.safetensors cannot be read")
    (tmp_path / "encoder.safetensors").unlink()
    refused("holds no encoder.safetensors")
