"""States of frozen blocks in a file: each row's computed once, cut off, damaged, out of room."""

import copy

import pytest
import torch
from transformers import BertConfig, BertModel, ElectraConfig, ElectraModel

from mixtext.data.batches import Padded
from mixtext.models.classifier import Classifier
from mixtext.models.encoder import MixableEncoder
from mixtext.models.heads import MlpHead
from mixtext.models.states import KeptStates
from mixtext.run import Run

SHAPE = {
    "vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2,
    "intermediate_size": 24, "max_position_embeddings": 40, "pad_token_id": 0,
    "initializer_range": 0.4,
}  # fmt: skip
LENGTHS = torch.tensor([9, 4, 6, 2, 5])
IDS = torch.randint(4, 40, (5, 12), generator=torch.Generator().manual_seed(1))
ROWS = Padded(IDS * (torch.arange(12) < LENGTHS[:, None]), torch.arange(12) < LENGTHS[:, None])


def part(rows, width):
    """Some of the rows, so many tokens wide."""
    return Padded(ROWS.ids[rows, :width], ROWS.mask[rows, :width])


class Counted:
    """A classifier that keeps states in a file, and the rows of which it has computed some."""

    def __init__(self, path, length=0, use_mask=True, model=BertModel, config=BertConfig, **more):
        torch.manual_seed(0)
        encoder = MixableEncoder(model(config(**SHAPE, **more)))
        encoder.freeze(2)
        self.model = Classifier(encoder, MlpHead(16, 3, 0), use_mask=use_mask)
        self.model.kept = KeptStates()
        self.model.kept.go_on(path, length)
        self.rows = []
        encoder.blocks[0].register_forward_hook(lambda *x: self.rows.append(len(x[2])))

    def states(self, rows):
        return self.model.begun(rows).states

    @property
    def length(self):
        return self.model.kept.length


def plain(counted, rows):
    mask = rows.mask if counted.model.use_mask else None
    return counted.model.encoder.begin(rows.ids, mask, None)


def test_a_row_is_computed_once_and_again_where_it_is_wider(tmp_path):
    counted = Counted(tmp_path / "states")
    first = part([0, 1, 2], 9)
    expected = plain(counted, first)
    counted.rows.clear()
    assert torch.equal(counted.states(first), expected)
    assert torch.equal(counted.states(first), expected) and counted.rows == [3]
    assert torch.equal(counted.states(part([2, 1], 7)), expected[[2, 1], :7])
    assert counted.rows == [3]
    mixed = part([3, 1, 4], 9)  # one of them is known
    torch.testing.assert_close(counted.states(mixed), plain(counted, mixed))
    assert counted.rows[:2] == [3, 2]
    counted.rows.clear()
    wide = part([0, 1, 2, 3, 4], 12)  # states at padding, too
    torch.testing.assert_close(counted.states(wide), plain(counted, wide))
    assert torch.equal(counted.states(first), counted.states(wide)[:3, :9])
    assert counted.rows == [5, 5]


def test_without_a_mask_padding_is_part_of_a_row(tmp_path):
    counted = Counted(tmp_path / "states", use_mask=False)
    for width in (12, 9, 12):
        rows = part([0, 1, 2], width)
        torch.testing.assert_close(counted.states(rows), plain(counted, rows))
    assert len(counted.rows) == 3 + 2  # `plain` each time, and each width once


def test_token_types_tell_rows_apart(tmp_path):
    counted = Counted(tmp_path / "states")
    one, other = torch.zeros_like(ROWS.ids), ROWS.mask.long()
    for types in (one, other, one):
        rows = Padded(ROWS.ids, ROWS.mask, types)
        expected = counted.model.encoder.begin(rows.ids, rows.mask, types)
        assert torch.equal(counted.states(rows), expected)
    assert len(counted.rows) == 3 + 2


def test_the_number_type_stays(tmp_path):
    """ELECTRA with narrow embeddings has bfloat16 states where it computes in bfloat16."""
    counted = Counted(tmp_path / "s", model=ElectraModel, config=ElectraConfig, embedding_size=8)
    with torch.autocast("cpu", torch.bfloat16):
        expected = plain(counted, ROWS)
        assert expected.dtype == torch.bfloat16
        for _ in range(2):
            assert torch.equal(counted.states(ROWS), expected)
    assert counted.rows == [5, 5]


def test_a_copy_of_the_model_reads_what_the_model_has(tmp_path):
    counted = Counted(tmp_path / "states")
    counted.states(ROWS)
    teacher = copy.deepcopy(counted.model)
    assert torch.equal(teacher.begun(ROWS).states, counted.states(ROWS))
    assert counted.rows == [5]


def test_what_goes_on_is_cut_to_what_was_there(tmp_path):
    path = tmp_path / "states"
    counted = Counted(path)
    early, late = part([0, 1], 9), part([2, 3, 4], 9)
    expected = counted.states(early)
    length = counted.length
    counted.states(late)
    with path.open("ab") as file:
        file.write(b"half of a row")

    again = Counted(path, length)
    assert path.stat().st_size == again.length == length
    assert torch.equal(again.states(early), expected) and not again.rows
    again.states(late)
    assert again.rows == [3] and again.length == counted.length == path.stat().st_size


@pytest.mark.parametrize("where", ["gone", "cut", 2, 20, 24, 100, -1])
def test_what_is_damaged_is_made_anew(where, tmp_path):
    path = tmp_path / "states"
    counted = Counted(path)
    counted.states(part([0], 9))
    first = counted.length
    counted.states(part([1, 2], 9))
    length = counted.length
    raw = bytearray(path.read_bytes())
    if where == "gone":
        path.unlink()
    elif where == "cut":
        path.write_bytes(raw[:-5])
    else:
        raw[first + where if where > 0 else where] ^= 64
        path.write_bytes(raw)

    again = Counted(path, length)
    rows = part([0, 1, 2], 9)
    torch.testing.assert_close(again.states(rows), plain(again, rows))
    left = {"gone": 0, "cut": 2, -1: 2}.get(where, 1)  # the last row but where it is said
    assert again.rows[0] == 3 - left
    again.rows.clear()
    again.states(rows)
    assert not again.rows


def test_without_room_rows_are_computed_each_time(tmp_path, monkeypatch):
    path = tmp_path / "states"
    counted = Counted(path)
    known, other = part([0, 1], 9), part([2, 3], 9)
    counted.states(known)
    length = counted.length
    monkeypatch.setenv("MIXTEXT_CACHE_GB", str(1.5 * length / 1e9))
    assert torch.equal(counted.states(other), counted.states(other))
    assert counted.rows == [2, 2, 2] and path.stat().st_size == counted.length == length
    monkeypatch.delenv("MIXTEXT_CACHE_GB")
    counted.states(known)
    counted.states(other)
    assert counted.rows == [2, 2, 2, 2] and counted.length == 2 * length

    full = Counted(tmp_path / "no such folder" / "states")
    assert torch.equal(full.states(known), full.states(known)) and full.rows == [2, 2]


KEPT = ("method=mixtext", "mixtext.layers=[7, 9]", "mixtext.contrast_passes=3", "model.freeze=6")


def test_a_run_ends_as_without_and_computes_less(tiny, tmp_path, monkeypatch):
    """Labelled rows and dev are met again, and the pool in a second pass."""
    recipe = tiny(*KEPT, "views.copies=0", "training.steps=14", "training.precision=float32")
    weights, computed = [], []
    for keeps in (True, False):
        if not keeps:
            monkeypatch.setattr("mixtext.run.keeps_states", lambda recipe, views: False)
        run = Run.prepare(recipe)
        rows = []
        block = run.trainer.model.encoder.blocks[0]
        block.register_forward_hook(lambda *x, rows=rows: rows.append(len(x[2])))
        (tmp_path / str(keeps)).mkdir()
        run.trainer.fit(tmp_path / str(keeps), run.class_names, {}, quiet=True)
        assert not (tmp_path / str(keeps) / "states").exists()
        weights.append(run.trainer.model.state_dict())
        computed.append(sum(rows))
    torch.testing.assert_close(weights[0], weights[1], rtol=1e-4, atol=1e-5)
    assert computed[0] < computed[1] / 2


@pytest.mark.parametrize(
    ("settings", "keeps"),
    [
        (("views.copies=0",), True),
        (("views.rate=0.1",), False),
        (("method=supervised",), True),
        (("views.copies=0", "model.freeze=0"), False),
    ],
)
def test_nothing_is_kept_of_rows_that_do_not_come_again(tiny, settings, keeps):
    assert (Run.prepare(tiny(*KEPT, *settings)).trainer.model.kept is not None) == keeps


def test_deleted_it_keeps_nothing(tmp_path):
    counted = Counted(tmp_path / "states")
    counted.states(ROWS)
    counted.model.kept.delete()
    assert not [*tmp_path.iterdir()]
    counted.states(ROWS)
    assert counted.rows == [5, 5] and not [*tmp_path.iterdir()]
