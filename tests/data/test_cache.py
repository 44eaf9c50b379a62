"""The cache: made once, checked, bounded, never in the way."""

import json
import multiprocessing
import os

import numpy as np
import pytest

from mixtext.data import cache
from mixtext.data.cache import Columns, kept
from mixtext.errors import InputError


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MIXTEXT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


class Maker:
    """Makes two arrays and counts how often."""

    def __init__(self, size=100):
        self.size, self.calls = size, 0

    def __call__(self, columns):
        self.calls += 1
        for start in range(0, self.size, 30):
            part = np.arange(start, min(start + 30, self.size))
            columns.add("x", part.astype(np.int32))
            columns.add("y", part.astype(np.uint8))
        columns.add("none", np.empty(0, np.float64))
        return {"size": self.size, "words": ["é"]}


def check(found, size=100):
    arrays, about = found
    assert arrays["x"].tolist() == list(range(size)) and arrays["x"].dtype == np.int32
    assert arrays["y"].dtype == np.uint8 and len(arrays["none"]) == 0
    assert about == {"size": size, "words": ["é"]}


def files(folder):
    return sorted(x for x in folder.rglob("*") if x.is_file() and x.name != "lock")


def test_made_once_for_what_it_depends_on(folder):
    make = Maker()
    for _ in range(3):
        check(kept("numbers", ["a", 1], make))
    assert make.calls == 1
    check(kept("numbers", ["a", 2], make))
    check(kept("others", ["a", 1], make))
    check(kept("numbers", ["a1"], make))  # parts are not run together
    assert make.calls == 4
    arrays, _ = kept("numbers", ["a", 1], make)
    with pytest.raises(ValueError, match="read-only"):
        arrays["x"][0] = 7  # nobody can change what all share


def test_code_of_another_version_makes_anew(monkeypatch):
    make = Maker()
    kept("numbers", [], make)
    monkeypatch.setattr(cache, "_code", lambda: "another")
    check(kept("numbers", [], make))
    assert make.calls == 2


def cut(path):
    path.write_bytes(path.read_bytes()[:-1])


def flip(path):
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 1
    path.write_bytes(whole)


def no_list(path):
    path.write_text("[]")


@pytest.mark.parametrize("spoil", [cut, flip, os.remove, no_list])
@pytest.mark.parametrize("name", ["x", "about.json"])
def test_what_is_damaged_is_made_anew(folder, name, spoil):
    make = Maker()
    kept("numbers", [], make)
    spoil(next(x for x in files(folder) if x.name == name))
    check(kept("numbers", [], make))
    check(kept("numbers", [], make))
    assert make.calls <= 2  # a flipped bit of about.json may leave what counts as it was


def test_a_missing_array_is_made_anew(folder):
    make = Maker()
    kept("numbers", [], make)
    about = next(x for x in files(folder) if x.name == "about.json")
    saved = json.loads(about.read_text())
    saved["arrays"]["x"].pop("type")
    about.write_text(json.dumps(saved))
    check(kept("numbers", [], make))
    assert make.calls == 2


def test_without_a_place_to_write_it_is_made_each_time(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("MIXTEXT_CACHE", str(tmp_path / "file" / "cache"))
    make = Maker()
    for _ in range(2):
        check(kept("numbers", [], make))
    assert (tmp_path / "file").read_text() == "in the way" and make.calls == 2


def test_a_cache_on_a_disk_that_is_only_read_is_read(folder, monkeypatch):
    make = Maker()
    kept("numbers", [], make)

    def refuse(*args, **kwargs):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(os, "utime", refuse)
    monkeypatch.setattr(cache, "make_folder", refuse)
    check(kept("numbers", [], make))
    assert make.calls == 1


def test_a_disk_that_is_full(folder, monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache, "write_json", refuse)
    check(kept("numbers", [], Maker()))
    assert files(folder) == []


def test_what_making_refuses_is_told_and_leaves_nothing(folder):
    def make(columns):
        columns.add("x", np.arange(3))
        raise InputError("no such text.")

    with pytest.raises(InputError, match="no such text"):
        kept("numbers", [], make)
    assert files(folder) == []


def test_it_is_off_where_it_may_hold_nothing(folder, monkeypatch):
    monkeypatch.setenv("MIXTEXT_CACHE_GB", "0")
    make = Maker()
    for _ in range(2):
        check(kept("numbers", [], make))
    assert make.calls == 2 and not folder.exists()


@pytest.mark.parametrize("said", ["ten", "-1", "inf", "nan"])
def test_a_bound_that_is_no_number(monkeypatch, said):
    monkeypatch.setenv("MIXTEXT_CACHE_GB", said)
    with pytest.raises(InputError, match=f"MIXTEXT_CACHE_GB is '{said}': set it to a number"):
        kept("numbers", [], Maker())


def test_the_longest_unused_goes_first(folder, monkeypatch):
    size = 1000 * 5  # bytes of one, beside its about.json of some 400
    monkeypatch.setenv("MIXTEXT_CACHE_GB", str(3.5 * size / 1e9))
    makers = [Maker(1000) for _ in range(4)]
    for number in (0, 1, 2):
        kept("numbers", [number], makers[number])
        about = max(folder.rglob("about.json"), key=lambda x: x.stat().st_mtime_ns)
        os.utime(about, (number, number))
    kept("numbers", [0], makers[0])  # used again, and so the newest
    kept("numbers", [3], makers[3])
    assert sum(x.stat().st_size for x in files(folder)) < 3.5 * size
    for number in (0, 2, 3, 1):
        check(kept("numbers", [number], makers[number]), 1000)
    assert [one.calls for one in makers] == [1, 2, 1, 1]


def test_what_a_kill_has_left_is_cleared_away(folder):
    half = folder / "numbers" / "aa" / ".aa00.half"
    half.mkdir(parents=True)
    (half / "x").write_bytes(b"1234")
    kept("numbers", [], Maker())
    assert not half.exists()


def make_slowly(columns):
    with open(os.environ["CALLS"], "a") as calls:
        calls.write("x")
    return Maker()(columns)


def take(_):
    check(kept("numbers", [], make_slowly))


def test_processes_side_by_side_make_it_once(tmp_path, monkeypatch):
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    with multiprocessing.get_context("fork").Pool(4) as pool:
        pool.map(take, range(8), chunksize=1)
    assert (tmp_path / "calls").read_text() == "x"


def test_columns_in_memory():
    columns = Columns()
    about = Maker()(columns)
    check((columns.finish(about), about))
