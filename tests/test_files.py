"""Files and folders stand whole at their place, or what was there before."""

import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import time

import pytest
import torch

from backtranslate import files
from backtranslate.files import aside
from mixtext.errors import InputError
from mixtext.files import load_tensors, save_tensors


class Cut(BaseException):
    """Ends a writing."""


def write_folder(path, content):
    with aside(path) as half:
        half.mkdir()
        for name in ("one", "two"):
            (half / name).write_text(content)


def contents(folder):
    return {x.name: x.read_text() for x in folder.iterdir()}


@pytest.mark.parametrize("exchanges", [True, False])
def test_a_folder_takes_the_place_of_another(exchanges, tmp_path, monkeypatch):
    if not exchanges:
        monkeypatch.setattr(files, "_exchange", lambda one, other: False)
    for content in ("old", "new"):
        write_folder(tmp_path / "made" / "folder", content)
        assert contents(tmp_path / "made" / "folder") == {"one": content, "two": content}
        assert [x.name for x in (tmp_path / "made").iterdir()] == ["folder"]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_breaks_off_leaves_the_old(kind, tmp_path):
    place = tmp_path / kind
    make = place.write_text if kind == "file" else lambda text: write_folder(place, text)
    make("old")
    with pytest.raises(Cut), aside(place) as half:
        half.write_text("new") if kind == "file" else half.mkdir()
        raise Cut
    assert [x.name for x in tmp_path.iterdir()] == [kind]
    assert (place.read_text() if kind == "file" else contents(place)["one"]) == "old"


def test_a_link_in_the_way_is_not_followed(tmp_path):
    (tmp_path / "own").write_text("mine")
    (tmp_path / ".file.half").symlink_to(tmp_path / "own")
    (tmp_path / "file").symlink_to(tmp_path / "own")
    with aside(tmp_path / "file") as half:
        half.write_text("new")
    assert contents(tmp_path) == {"own": "mine", "file": "new"}


def test_the_folder_is_synced_after_the_rename(tmp_path, monkeypatch):
    """Or a power cut could take the rename back."""
    told = []
    real_sync, real_put = files.sync_entry, files._put
    monkeypatch.setattr(files, "sync_entry", lambda path: (told.append(path), real_sync(path)))
    monkeypatch.setattr(files, "_put", lambda new, path: (told.append("put"), real_put(new, path)))
    place = tmp_path / "folder"
    write_folder(place, "new")
    half = tmp_path / ".folder.half"
    assert {*told[:2]} == {half / "one", half / "two"}
    assert told[2:] == [half, "put", tmp_path]


def write_often(path, content):
    for _ in range(30):
        write_folder(path, content)


@pytest.mark.slow
def test_two_writers_wait_for_each_other(tmp_path):
    context = multiprocessing.get_context("fork")
    writers = [
        context.Process(target=write_often, args=(tmp_path / "folder", text)) for text in "ab"
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert len({*contents(tmp_path / "folder").values()}) == 1


REWRITES = """
import itertools, pathlib, sys
from backtranslate.files import aside
from mixtext.errors import InputError
from mixtext.files import load_tensors, save_tensors
for n in itertools.count():
    with aside(pathlib.Path(sys.argv[1])) as half:
        half.mkdir()
        for name in ("one", "two"):
            (half / name).write_text(str(n))
"""


@pytest.mark.slow
def test_kills_leave_the_old_or_the_new_folder(tmp_path):
    place = tmp_path / "folder"
    write_folder(place, "-1")
    for n in range(12):
        with subprocess.Popen([sys.executable, "-c", REWRITES, str(place)]) as writer:
            while contents_or_none(place) in (None, {"one": "-1", "two": "-1"}):
                assert writer.poll() is None
            time.sleep(n / 1000)
            os.kill(writer.pid, signal.SIGKILL)
        found = contents(place)
        assert len(found) == 2 and len({*found.values()}) == 1, found
        write_folder(place, "-1")
    assert [x.name for x in tmp_path.iterdir()] == ["folder"]


def contents_or_none(folder):
    """A reader may be between the folder's old name and its new one."""
    try:
        return contents(folder)
    except FileNotFoundError:
        return None


def test_tensors_are_read_by_whom_the_umask_lets(tmp_path):
    before = os.umask(0o027)
    try:
        save_tensors({"a": torch.zeros(3)}, tmp_path / "a")
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


def test_no_room_for_tensors_is_told_with_the_name(tmp_path):
    path, limits = tmp_path / "x.safetensors", resource.getrlimit(resource.RLIMIT_FSIZE)
    save_tensors({"a": torch.zeros(3)}, path)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(InputError, match=rf"{path} cannot be written: .*\.$"):
            save_tensors({"a": torch.ones(3000)}, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert torch.equal(load_tensors(path)["a"], torch.zeros(3))
    assert [x.name for x in tmp_path.iterdir()] == [path.name]
