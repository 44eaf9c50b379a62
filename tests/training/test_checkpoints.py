"""Checkpoints: whole and on the disk before they are named, refused where one bit is another."""

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from mixtext.errors import InputError
from mixtext.training.checkpoints import Checkpoints

ROOT = Path(__file__).parents[2]


def parts():
    torch.manual_seed(0)
    model = nn.Linear(2, 2)
    optimiser = torch.optim.AdamW(model.parameters())
    model(torch.ones(1, 2)).sum().backward()
    optimiser.step()
    return model, optimiser, np.random.default_rng(0)


@pytest.fixture
def saved(tmp_path):
    """Checkpoints with one that has been saved."""
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    checkpoints.tidy()
    model, optimiser, generator = parts()
    best = checkpoints.save_best(1, model)
    checkpoints.save(2, model, optimiser, generator, {"metrics_bytes": 0}, best)
    return checkpoints


def files(checkpoints):
    return [path for path in sorted(checkpoints.folder.rglob("*")) if path.is_file()]


@pytest.mark.slow
def test_another_bit_is_refused(saved):
    """Wherever it is: of each file, the first, the last and some in between."""
    draw = np.random.default_rng(0)
    tried = 0
    for path in files(saved):
        raw = path.read_bytes()
        for place in {0, 8 * len(raw) - 1, *draw.integers(8 * len(raw), size=40).tolist()}:
            spoiled = bytearray(raw)
            spoiled[place // 8] ^= 1 << place % 8
            path.write_bytes(spoiled)
            before = {x: x.read_bytes() for x in files(saved)}
            try:
                saved.load(*parts())
            except InputError as refusal:
                assert str(saved.folder) in str(refusal), refusal
            else:  # blanks of index.json, which say nothing
                was, is_ = json.loads(raw), json.loads(bytes(spoiled))
                assert path.name == "index.json" and was == is_, (path, place)
            assert {x: x.read_bytes() for x in files(saved)} == before
            tried += 1
        path.write_bytes(raw)
    assert tried > 200
    assert saved.load(*parts()) == {"step": 2, "metrics_bytes": 0}


def test_checkpoints_of_version_0_1_have_no_checksums(saved):
    index = json.loads(saved.index_path.read_text())
    saved.index_path.write_text(json.dumps({x: index[x] for x in ("last", "best")}))
    assert saved.load(*parts())["step"] == 2
    saved.save(3, *parts(), {}, index["best"])
    assert set(saved.saved()["sha256"]) == {
        str(x.relative_to(saved.folder)) for x in files(saved) if x.name != "index.json"
    }


def test_all_is_on_the_disk_before_it_is_named(tmp_path, monkeypatch):
    """A power cut may lose what was not synced; so the index is renamed after everything else."""
    checkpoints = Checkpoints(tmp_path / "run" / "checkpoints")
    log = []
    real_sync, real_replace = os.fsync, os.replace

    def sync(number):
        log.append(("sync", os.readlink(f"/proc/self/fd/{number}")))
        real_sync(number)

    def replace(old, new):
        log.append(("rename", str(new)))
        real_replace(old, new)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(os, "replace", replace)
    checkpoints.tidy()
    best = checkpoints.save_best(1, nn.Linear(2, 2))
    checkpoints.save(2, *parts(), {}, best)
    folder = str(checkpoints.folder)
    step = f"{folder}/step-000002"
    named = len(log) - 1 - log[::-1].index(("rename", f"{folder}/index.json"))
    assert log[named + 1] == ("sync", folder)  # the rename itself
    before = log[:named]
    renamed = before.index(("rename", step))
    assert ("sync", folder) in before[renamed:]
    half = f"{folder}/.step-000002.half"
    names = {*os.listdir(step)}
    assert len(names) == 4
    assert {("sync", f"{half}/{name}") for name in names} | {("sync", half)} <= {*before[:renamed]}
    assert ("rename", f"{folder}/{best}") in before
    assert ("sync", str(tmp_path)) in before and ("sync", str(tmp_path / "run")) in before


def test_one_place_renames_files():
    """And syncs them and their folders: see `backtranslate/files.py`."""
    renames = re.compile(r"os\.(replace|rename)\b|\.rename\(|shutil\.move|\.replace\((path|out)\b")
    found = [
        str(path.relative_to(ROOT))
        for top in ("mixtext", "backtranslate")
        for path in (ROOT / top).rglob("*.py")
        if renames.search(path.read_text(encoding="utf-8"))
    ]
    assert found == ["backtranslate/files.py"]
