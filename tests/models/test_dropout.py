"""Dropout on CPUs: what stays is drawn as it should be, and all else is as torch has it."""

import copy

import pytest
import torch
import torch.nn.functional as F
from transformers import BertConfig, BertModel

from mixtext.models.dropout import ATTENTION, Dropout, attend, draw_kept
from mixtext.models.encoder import MixableEncoder

P = 0.25


def tensors(*shape, dtype=torch.float64, count=3):
    generator = torch.Generator().manual_seed(0)
    drawn = [torch.randn(*shape, generator=generator, dtype=torch.float64) for _ in range(count)]
    return [x.to(dtype).requires_grad_() for x in drawn]


def masks(rows, length):
    seen = torch.ones(rows, 1, 1, length, dtype=torch.bool)
    seen[1, ..., length // 2 :] = False
    window = seen & (torch.arange(length)[:, None] - torch.arange(length)).abs().le(1)
    return {
        "none": None,
        "padding": seen,
        "window": window,
        "added": torch.zeros(seen.shape, dtype=torch.float64).masked_fill(~seen, -1e9),
        "one for all": window[1:2],
    }


def written_out(q, k, v, mask, kept):
    """Attention as its formula has it, with what stays given."""
    scores = q @ k.mT / q.shape[-1] ** 0.5
    if mask is not None and mask.dtype == torch.bool:
        weights = scores.masked_fill(~mask, -torch.inf).softmax(-1).nan_to_num(0)
    else:
        weights = (scores if mask is None else scores + mask).softmax(-1)
    return (weights * kept / (1 - P)) @ v


@pytest.mark.parametrize("length", [5, 300])  # of the longer, a head is a part of its own
@pytest.mark.parametrize("kind", ["none", "padding", "window", "added", "one for all"])
def test_attention_and_its_gradient_are_the_formula_s(kind, length, monkeypatch):
    monkeypatch.setattr("mixtext.models.dropout.CACHED", 1000)
    q, k, v = tensors(3, 2, length, 4)
    mask = masks(3, length)[kind]
    (weight,) = tensors(3, 2, length, 4, count=1)
    torch.manual_seed(1)
    found = attend(q, k, v, mask, P)
    torch.manual_seed(1)
    kept = draw_kept(torch.Size((6, length, length)), P).view(3, 2, length, length)
    wanted = written_out(q, k, v, mask, kept)
    torch.testing.assert_close(found, wanted)
    gradients = [torch.autograd.grad((x * weight).sum(), (q, k, v)) for x in (found, wanted)]
    torch.testing.assert_close(*gradients)


def test_the_mean_over_many_draws_is_attention_without_dropout():
    q, k, v = tensors(2, 2, 6, 4)
    mask = masks(2, 6)["padding"]
    torch.manual_seed(2)
    mean = sum(attend(q, k, v, mask, P).detach() for _ in range(4000)) / 4000
    torch.testing.assert_close(
        mean, F.scaled_dot_product_attention(q, k, v, mask), rtol=0, atol=0.05
    )


def test_under_autocast_it_is_as_near_to_float32_as_bfloat16_comes():
    q, k, v = tensors(2, 3, 40, 8, dtype=torch.float32)
    torch.manual_seed(3)
    exact = attend(q, k, v, None, P)
    torch.manual_seed(3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = attend(q, k, v, None, P)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), exact, rtol=0.03, atol=0.03)


def test_as_much_stays_as_should_and_each_draw_is_its_own():
    torch.manual_seed(4)
    first, second = (draw_kept(torch.Size((1000, 1001)), 0.1) for _ in range(2))
    for kept in (first, second):
        assert abs(kept.double().mean() - 0.9) < 5 * (0.09 / kept.numel()) ** 0.5
        columns = kept.double().mean(0)
        assert abs(columns - 0.9).max() < 6 * (0.09 / 1000) ** 0.5
    both = (first & second).double().mean()
    neighbours = (first[:, 1:] & first[:, :-1]).double().mean()
    for together in (both, neighbours):
        assert abs(together - 0.81) < 5 * (0.81 * 0.19 / first.numel()) ** 0.5


def test_hidden_states_are_dropped_scaled_and_followed_back():
    x = torch.ones(200, 300, requires_grad=True)
    drop = Dropout(P)
    y = drop(x)
    torch.testing.assert_close(y.unique(), torch.tensor([0, 1 / (1 - P)]))
    y.sum().backward()
    assert torch.equal(x.grad, y)
    assert drop.eval()(x) is x
    assert torch.equal(Dropout(0.0)(x), x)


def test_a_transformer_is_hastened_and_answers_as_before():
    config = BertConfig(
        vocab_size=30, hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=24, hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1,
        initializer_range=0.4,
    )  # fmt: skip
    torch.manual_seed(0)
    plain = BertModel(config).eval()
    encoder = MixableEncoder(copy.deepcopy(plain))
    ids = torch.randint(30, (4, 9))
    mask = torch.arange(9) < torch.tensor([[9], [4], [6], [1]])
    assert encoder.config._attn_implementation == ATTENTION
    assert torch.equal(encoder(ids, mask)[0], plain(ids, mask).last_hidden_state)
    assert ATTENTION not in encoder.config.to_json_string()
    drops = [x for x in encoder.modules() if isinstance(x, torch.nn.Dropout)]
    assert len(drops) == 7 and all(type(x) is Dropout and not x.training for x in drops)
    encoder.train()
    torch.manual_seed(5)
    one, other = encoder(ids, mask)[0], encoder(ids, mask)[0]
    torch.manual_seed(5)
    assert not torch.equal(one, other) and torch.equal(one, encoder(ids, mask)[0])
