"""Span mixup: the official code's outputs, the example by hand, a slow search, properties."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close
from transformers import BertConfig, BertForSequenceClassification

from mixtext.errors import InputError
from mixtext.losses import soft_cross_entropy
from mixtext.mixing.interpolate import Mix, interpolate
from mixtext.mixing.spans import (
    inner_tokens,
    mix_positions,
    mix_spans,
    opposite_rows,
    replace_tokens,
    saliency,
    span_lengths,
    window_means,
)

GOLDEN = Path(__file__).parents[1] / "golden" / "ssmix"
HAND = json.loads((GOLDEN / "hand_example.json").read_text(encoding="utf-8"))
OFFICIAL = {"cap_at_donor": False, "min_tokens": 1}
PAD, CLS, SEP = 0, 101, 102


@pytest.fixture(scope="module")
def official():
    with np.load(GOLDEN / "A_single.npz", allow_pickle=False) as file:
        return {name: torch.from_numpy(file[name]) for name in file.files}


@pytest.fixture(scope="module")
def stacked(official):
    """Both halves of the official batch as one: ids, inner tokens, saliency, partner."""
    ids, mask = (
        torch.cat([official[f"in{half}_{name}"] for half in (1, 2)])
        for name in ("input_ids", "attention_mask")
    )
    inner = inner_tokens(mask, (ids == CLS) | (ids == SEP))
    scores = torch.cat([official["sal1"], official["sal2"]])
    return ids, inner, scores, opposite_rows(16)


def changed(before, after):
    return torch.nonzero(before != after).flatten().tolist()


# ---- against the official code


def test_the_official_rule_gives_the_official_spans(official, stacked):
    ids, inner, scores, partner = stacked
    mixed, weight = mix_spans(ids, inner, partner, scores, **OFFICIAL)
    assert torch.equal(mixed, torch.cat([official["mix1_input_ids"], official["mix2_input_ids"]]))
    assert_close(1 - weight, torch.cat([official["ratio1"], official["ratio2"]]))


def test_official_defects_are_reproduced_and_gone_by_default(stacked):
    ids, inner, scores, partner = stacked
    old, old_weight = mix_spans(ids, inner, partner, scores, **OFFICIAL)
    new, new_weight = mix_spans(ids, inner, partner, scores)
    # A text of one token is replaced whole: row 0 of the first half, row 1 of the second.
    for row in (0, 9):
        assert inner[0, row].sum() == 1
        assert len(changed(ids[row], old[row])) == 1
        assert old_weight[row] == 1
        assert torch.equal(new[row], ids[row])
        assert new_weight[row] == 0
    # The other way round one token gives way of two: both rules agree.
    assert inner[0, 1].sum() == 2
    assert old_weight[1] == new_weight[1] == 0.5
    assert torch.equal(old[1], new[1])
    # A donor of 11 or 10 tokens cannot give 12: special tokens get into the text.
    for row, tokens in ((6, 11), (7, 10)):
        donor = ids[partner[row]]
        span = changed(ids[row], old[row])
        assert len(span) == 12
        assert old[row, span].tolist() == donor[:12].tolist()
        assert old[row, span[0]] == CLS
        assert (SEP in old[row, span]) == (row == 7)
        assert len(changed(ids[row], new[row])) == tokens
        assert new_weight[row] == torch.tensor(tokens / 126)
    assert torch.equal((new == CLS) | (new == SEP), (ids == CLS) | (ids == SEP))
    # All others had no defect and are the same.
    rest = [row for row in range(16) if row not in (0, 9, 6, 7)]
    assert torch.equal(old[rest], new[rest])
    assert_close(old_weight[rest], new_weight[rest])


def test_saliencies_logits_and_losses_of_the_tiny_bert(official, stacked):
    config = json.loads((GOLDEN / "tiny_bert_config.json").read_text(encoding="utf-8"))
    model = BertForSequenceClassification(BertConfig(**config, attn_implementation="eager")).eval()
    with np.load(GOLDEN / "tiny_bert_weights.npz", allow_pickle=False) as file:
        state = {name: torch.from_numpy(file[name]) for name in file.files}
    lost = model.load_state_dict(state, strict=False)
    assert not lost.missing_keys
    assert set(lost.unexpected_keys) <= {"bert.embeddings.position_ids"}
    embedded = []
    model.bert.embeddings.register_forward_hook(lambda _, __, output: embedded.append(output))

    def logits(ids, half):
        return model(
            input_ids=ids,
            attention_mask=official[f"in{half}_attention_mask"],
            token_type_ids=official[f"in{half}_token_type_ids"],
        ).logits

    found = []
    for half in (1, 2):
        out = logits(official[f"in{half}_input_ids"], half)
        assert_close(out, official[f"logits_{half - 1}"], atol=2e-5, rtol=0)
        loss = torch.nn.functional.cross_entropy(out, official[f"t{half}"].long())
        assert loss.item() == pytest.approx(official["loss_list"][half - 1].item(), abs=1e-5)
        found.append(saliency(torch.autograd.grad(loss, embedded[-1])[0]))
        relative = found[-1] / found[-1].amax(1, keepdim=True)
        assert_close(relative, official[f"sal{half}"], atol=2e-5, rtol=1e-3)
    assert all(weight.grad is None for weight in model.parameters())

    # The whole way with our own saliencies: the spans, the mixed logits and the mixed losses.
    ids, inner, _, partner = stacked
    mixed, weight = mix_spans(ids, inner, partner, torch.cat(found), **OFFICIAL)
    labels = torch.cat([official["t1"], official["t2"]])
    targets = torch.nn.functional.one_hot(labels, config["num_labels"]).float()
    targets = interpolate(targets, Mix(1 - weight, partner))
    for half, rows in ((1, slice(0, 8)), (2, slice(8, 16))):
        assert torch.equal(mixed[rows], official[f"mix{half}_input_ids"])
        out = logits(mixed[rows], half)
        assert_close(out, official[f"logits_{half + 1}"], atol=2e-5, rtol=0)
        loss = soft_cross_entropy(out, targets[rows]).item()
        assert loss == pytest.approx(official["loss_list"][half + 1].item(), abs=1e-5)
    assert official["loss_total"].item() == pytest.approx(official["loss_list"].mean().item())


# ---- by hand


def hand_rows():
    """The two texts of the example as a batch, and their saliencies."""
    ids = torch.tensor([HAND["ids1"], HAND["ids2"] + [PAD] * 5])
    scores = torch.tensor([HAND["sal1"], HAND["sal2"] + [9.0] * 5])
    inner = inner_tokens(ids != PAD, (ids == CLS) | (ids == SEP))
    return ids, inner, torch.tensor([1, 0]), scores


def test_the_example_by_hand():
    ids, inner, partner, scores = hand_rows()
    assert span_lengths(inner, partner, share=0.3).tolist() == [[HAND["k"], 1]]
    means, free = window_means(scores, inner, torch.tensor([[3, 3]]))
    for row, pool in enumerate((HAND["pool1_inner"], HAND["pool2_inner"])):
        assert changed(free[0, row], torch.zeros(12)) == [int(start) for start in pool]
        assert_close(means[0, row][free[0, row]], torch.tensor(list(pool.values())))
    mixed, weight = mix_spans(ids, inner, partner, scores, share=0.3)
    assert mixed[0].tolist() == HAND["mixed"]
    assert 1 - weight[0].item() == pytest.approx(HAND["ratio"])
    targets = interpolate(torch.eye(3)[[HAND["y1"], HAND["y2"]]], Mix(1 - weight, partner))
    loss = soft_cross_entropy(torch.tensor([HAND["probs"]]).log(), targets[:1])
    assert loss.item() == pytest.approx(HAND["mixed_ce"], abs=1e-6)


def test_the_weight_of_a_pair_by_hand():
    pair = HAND["pair"]
    special = torch.tensor([1] + [0] * pair["nA"] + [1] + [0] * pair["nB"] + [1]).expand(2, -1)
    sequence = torch.tensor([0] * (pair["nA"] + 2) + [1] * (pair["nB"] + 1)).expand(2, -1)
    inner = inner_tokens(torch.ones_like(special), special, sequence)
    partner = opposite_rows(2)
    assert span_lengths(inner, partner)[:, 0].tolist() == [pair["kA"], pair["kB"]]
    ids = torch.arange(special.numel()).reshape(2, -1)
    _, weight = mix_spans(ids, inner, partner, torch.rand(ids.shape))
    assert_close(1 - weight, torch.full((2,), pair["ratio"]))


def test_saliency_is_the_norm_over_the_hidden_size():
    gradients = torch.tensor([[[3.0, 4.0], [0.0, -2.0]]])
    assert saliency(gradients).tolist() == [[5.0, 2.0]]
    assert saliency(gradients.bfloat16()).dtype == torch.float32
    assert saliency(gradients.double()).dtype == torch.float64


def test_opposite_rows():
    assert opposite_rows(6).tolist() == [3, 4, 5, 0, 1, 2]
    assert sorted(opposite_rows(5).tolist()) == [0, 1, 2, 3, 4]
    assert all(i != j for i, j in enumerate(opposite_rows(5).tolist()))
    assert opposite_rows(1).tolist() == [0]
    assert opposite_rows(0).tolist() == []


@pytest.mark.parametrize(("share", "tokens"), [(0.29, 100), (0.1, 30), (0.7, 10), (1.0, 9)])
def test_lengths_round_as_python_does(share, tokens):
    inner = torch.ones(1, 2, tokens, dtype=torch.bool)
    assert span_lengths(inner, opposite_rows(2), share).tolist() == [[int(share * tokens)] * 2]


@pytest.mark.parametrize("share", [0.0, -0.1, 1.1, float("nan")])
def test_a_share_outside_its_range_is_refused(share):
    ids, inner, partner, scores = hand_rows()
    for call in (
        lambda: mix_spans(ids, inner, partner, scores, share),
        lambda: mix_positions(ids, inner, partner, scores, share),
        lambda: replace_tokens(ids, inner, 100, np.random.default_rng(0), share),
    ):
        with pytest.raises(InputError, match="share"):
            call()


# ---- properties, on random batches


@st.composite
def batches(draw):
    """ids, mask, special, sequence or None, partner, scores (often equal), share."""
    rows, pairs = draw(st.integers(1, 5)), draw(st.booleans())
    lengths = st.lists(st.integers(0, 9), min_size=1 + pairs, max_size=1 + pairs)
    texts = [draw(lengths) for _ in range(rows)]
    longest = max(1 + sum(n + 1 for n in text) for text in texts) + draw(st.integers(0, 3))
    ids = torch.full((rows, longest), PAD)
    mask, special, sequence = (torch.zeros_like(ids) for _ in range(3))
    for row, text in enumerate(texts):
        end = 1 + sum(n + 1 for n in text)
        mask[row, :end] = 1
        ids[row, :end] = 1000 * (row + 1) + torch.arange(end)  # no token stands in two places
        sequence[row, text[0] + 2 : end] = 1
        for place, token in ((0, CLS), (text[0] + 1, SEP), (end - 1, SEP)):
            ids[row, place], special[row, place] = token, 1
    partner = torch.tensor(draw(st.lists(st.integers(0, rows - 1), min_size=rows, max_size=rows)))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    scores = torch.tensor(generator.integers(0, draw(st.integers(1, 6)), ids.shape) / 4).float()
    share = draw(st.sampled_from([0.05, 0.1, 0.3, 0.5, 0.75, 1.0]))
    return ids, mask, special, sequence if pairs else None, partner, scores, share


def slow_mix(ids, inner, partner, scores, share, cap_at_donor=True, min_tokens=2):
    """The same rule for one row after the other: a search over all windows."""
    mixed, weights = ids.tolist(), []
    for row, other in enumerate(partner.tolist()):
        copied = total = 0
        for text in inner:
            own, donor = (changed(text[i], torch.zeros(ids.shape[1])) for i in (row, other))
            total += len(own)
            k = max(1, int(share * len(own)))
            if cap_at_donor:
                k = min(k, len(donor))
            if row == other or not own or len(own) < min_tokens or not k:
                continue
            to = min(range(len(own) - k + 1), key=lambda s: sum(scores[row, own[s : s + k]]))
            if k <= len(donor):
                starts = range(len(donor) - k + 1)
                start = max(starts, key=lambda s: sum(scores[other, donor[s : s + k]]))
                start = donor[start]
            elif k <= len(donor) + 2:
                start = donor[0] - 1 if donor else 0
            else:
                continue
            copied += k
            mixed[row][own[to] : own[to] + k] = ids[other, start : start + k].tolist()
        weights.append(copied / max(1, total))
    return torch.tensor(mixed), torch.tensor(weights)


@settings(max_examples=150, deadline=None)
@given(batches())
def test_the_slow_search_finds_the_same(batch):
    ids, mask, special, sequence, partner, scores, share = batch
    inner = inner_tokens(mask, special, sequence)
    for rule in ({}, {"min_tokens": 1}, OFFICIAL):
        mixed, weight = mix_spans(ids, inner, partner, scores, share, **rule)
        expected, expected_weight = slow_mix(ids, inner, partner, scores, share, **rule)
        assert torch.equal(mixed, expected)
        assert_close(weight, expected_weight)


@settings(max_examples=150, deadline=None)
@given(batches(), st.booleans(), st.booleans())
def test_what_holds_for_every_batch(batch, spans, salient):
    ids, mask, special, sequence, partner, scores, share = batch
    inner = inner_tokens(mask, special, sequence)
    given = [x.clone() for x in (ids, inner, partner, scores)]
    mix = mix_spans if spans else mix_positions
    mixed, weight = mix(ids, inner, partner, scores if salient else np.random.default_rng(3), share)
    assert all(torch.equal(x, y) for x, y in zip((ids, inner, partner, scores), given, strict=True))
    assert mixed.shape == ids.shape
    assert mixed.dtype == ids.dtype
    assert weight.dtype == torch.float32
    assert ((weight >= 0) & (weight <= 1)).all()
    outside = ~inner.any(0)
    assert torch.equal(mixed[outside], ids[outside])
    lengths = span_lengths(inner, partner, share)
    for row, other in enumerate(partner.tolist()):
        copied = 0
        for text, k in zip(inner, lengths[:, row].tolist(), strict=True):
            places = [p for p in changed(ids[row], mixed[row]) if text[row, p]]
            sources = [ids[other].tolist().index(token) for token in mixed[row, places]]
            assert all(text[other, source] for source in sources)
            assert sources == sorted(sources)
            assert len(places) == (0 if row == other else k)
            if spans and places:
                assert places[-1] - places[0] == sources[-1] - sources[0] == k - 1
            if text[row].sum() < 2 or not text[other].any():
                assert not places
            copied += len(places)
        assert weight[row].item() == pytest.approx(copied / max(1, int(inner[:, row].sum())))
    if not salient:
        again = mix(ids, inner, partner, np.random.default_rng(3), share)
        assert torch.equal(again[0], mixed)


@settings(max_examples=60, deadline=None)
@given(batches())
def test_replaced_tokens(batch):
    ids, mask, special, sequence, _, _, share = batch
    inner = inner_tokens(mask, special, sequence)
    mixed = replace_tokens(ids, inner, 100, np.random.default_rng(0), share)
    for row in range(len(ids)):
        for text in inner:
            tokens = int(text[row].sum())
            replaced = (mixed[row, text[row]] == 100).sum()
            assert replaced == (max(1, int(share * tokens)) if tokens else 0)
    assert torch.equal(mixed[mixed != 100], ids[mixed != 100])
    assert torch.equal(mixed[~inner.any(0)], ids[~inner.any(0)])


def test_single_positions_go_by_saliency():
    ids, inner, partner, scores = hand_rows()
    mixed, weight = mix_positions(ids, inner, partner, scores, share=0.3)
    # Least salient of the first: 7 (.05), 2 (.1), 8 (.1). Most of the second: 3 (.9), 2 (.5), 5.
    assert changed(ids[0], mixed[0]) == [2, 7, 8]
    assert mixed[0, [2, 7, 8]].tolist() == [32, 33, 35]
    assert_close(weight[0], torch.tensor(0.3))


def test_random_spans_and_positions_are_uniform():
    rows, tokens = 4000, 6
    ids = torch.arange(rows * (tokens + 2)).reshape(rows, -1)
    special = torch.zeros_like(ids)
    special[:, [0, -1]] = 1
    inner, partner = inner_tokens(torch.ones_like(ids), special), opposite_rows(rows)
    mixed, _ = mix_spans(ids, inner, partner, np.random.default_rng(0), share=0.5)
    starts = Counter((mixed != ids).int().argmax(1).tolist())
    assert sorted(starts) == [1, 2, 3, 4]
    assert all(abs(n - rows / 4) < 5 * (rows * 3 / 16) ** 0.5 for n in starts.values())
    mixed, _ = mix_positions(ids, inner, partner, np.random.default_rng(0), share=0.5)
    unk = replace_tokens(ids, inner, -1, np.random.default_rng(0), share=0.5)
    for out in (mixed, unk):
        counts = (out != ids).sum(0)
        assert counts[[0, -1]].tolist() == [0, 0]
        assert ((counts[1:-1] - rows / 2).abs() < 5 * (rows / 4) ** 0.5).all()


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_saliencies_that_overflowed_touch_no_special_token(bad):
    ids, inner, partner, scores = hand_rows()
    for mix in (mix_spans, mix_positions):
        mixed, _ = mix(ids, inner, partner, torch.full_like(scores, bad), share=0.3)
        assert torch.equal(mixed[~inner[0]], ids[~inner[0]])
        assert not torch.isin(mixed[inner[0]], torch.tensor([PAD, CLS, SEP])).any()


def test_special_tokens_inside_a_text_split_it():
    ids, inner, partner, scores = hand_rows()
    inner[0, 1, 3] = False  # the donor's middle token: no window of three is left
    mixed, weight = mix_spans(ids, inner, partner, scores, share=0.3)
    assert torch.equal(mixed[0], ids[0])
    assert weight[0] == 0
    mixed, weight = mix_spans(ids, inner, partner, scores, share=0.2)
    assert mixed[0].tolist() == [*HAND["ids1"][:7], 31, 32, *HAND["ids1"][9:]]
    assert_close(weight[0], torch.tensor(0.2))


def test_identical_labels_give_the_plain_loss(stacked):
    ids, inner, scores, partner = stacked
    _, weight = mix_spans(ids, inner, partner, scores)
    targets = torch.eye(3)[[1] * 16]
    assert_close(interpolate(targets, Mix(1 - weight, partner)), targets)


def test_an_empty_batch():
    ids = torch.zeros(0, 5, dtype=torch.long)
    inner = inner_tokens(ids, ids)
    for mix in (mix_spans, mix_positions):
        mixed, weight = mix(ids, inner, opposite_rows(0), torch.zeros(0, 5))
        assert mixed.shape == (0, 5)
        assert weight.shape == (0,)
