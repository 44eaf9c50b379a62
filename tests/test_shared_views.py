"""A cache of views is made by one process a shard and read by as many as want to."""

import fcntl
import shutil
import subprocess
import sys

import numpy as np
import pytest

from backtranslate.cli import main as backtranslate
from backtranslate.store import shard_path
from mixtext.cli import main
from mixtext.data.corpus import Corpus
from mixtext.data.settings import ViewSettings
from mixtext.data.views import back_translate
from mixtext.errors import InputError

IDENTITY = ("--backend", "identity", "--pivots", "de")


def corpus_of(count):
    return Corpus.from_lists(
        [f"This is text {n}. It is one." for n in range(count)], [None] * count
    )


def cache(folder):
    return ViewSettings(backend="identity", pivots=("de",), cache=str(folder))


def rows(path, count):
    path.write_text("text\n" + "".join(f"This is text {n}. It is one.\n" for n in range(count)))
    return str(path)


def contents(folder):
    return {x.name: (x.stat().st_ino, x.read_bytes()) for x in folder.iterdir()}


def test_a_finished_cache_is_read_while_others_hold_it(tmp_path):
    corpus = corpus_of(5)
    path = back_translate(cache(tmp_path), corpus, np.arange(5))
    before = contents(path.parent)
    with shard_path(path.parent, 0, 1).open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert back_translate(cache(tmp_path), corpus, np.arange(5)) == path
    assert contents(path.parent) == before  # not even written anew


def test_an_unfinished_cache_has_one_writer(tmp_path):
    corpus = corpus_of(5)
    path = back_translate(cache(tmp_path), corpus, np.arange(5))
    shard = shard_path(path.parent, 0, 1)
    shard.write_bytes(b"".join(shard.read_bytes().splitlines(True)[:-1]))
    with shard.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(InputError, match="being written by another process"):
            back_translate(cache(tmp_path), corpus, np.arange(5))
    back_translate(cache(tmp_path), corpus, np.arange(5))
    assert len(shard.read_bytes().splitlines()) == 5


@pytest.mark.slow
def test_a_finished_cache_is_read_from_a_disk_that_may_not_be_written_to(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(disk)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a disk can only be mounted by root")
    try:
        corpus = corpus_of(5)
        path = back_translate(cache(disk), corpus, np.arange(5))
        command = ["backtranslate", rows(disk / "rows.csv", 5), "--out", str(disk / "own")]
        assert main([*command, *IDENTITY]) == 0
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        assert back_translate(cache(disk), corpus, np.arange(5)) == path
        assert main([*command, *IDENTITY]) == 0
        with pytest.raises(InputError, match="Read-only"):  # others are told why not
            back_translate(cache(disk), corpus, np.arange(4))
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_refused_texts_leave_a_store_as_it_was(tmp_path, capsys):
    out = tmp_path / "views"
    command = ["backtranslate", rows(tmp_path / "a.csv", 5), "--out", str(out), *IDENTITY]
    assert main([*command, "--num-shards", "2", "--shard", "0"]) == 0
    before = contents(out)
    for count, more in ((4, ()), (5, ("--num-shards", "2", "--shard", "2")), (5, ("--shard", "x"))):
        other = ["backtranslate", rows(tmp_path / "b.csv", count), "--out", str(out), *IDENTITY]
        assert main([*other, *more]) == 2
        assert contents(out) == before
    assert main([*command, "--num-shards", "2", "--shard", "1"]) == 0
    assert backtranslate(["merge", str(out / "texts.jsonl"), str(out)]) == 0
    fresh = ["backtranslate", rows(tmp_path / "a.csv", 5), "--out", str(tmp_path / "new")]
    assert main([*fresh, "--backend", "unheard-of", "--pivots", "de"]) == 2
    assert not (tmp_path / "new").exists()
    capsys.readouterr()


@pytest.mark.slow
def test_shards_that_start_together_do_not_meet(tmp_path):
    """Each is a process of its own, and all of them find an empty folder."""
    data = rows(tmp_path / "rows.csv", 3000)
    for attempt in range(2):
        out = tmp_path / f"views-{attempt}"
        command = [sys.executable, "-m", "mixtext", "backtranslate", data, "--out", str(out)]
        command += [*IDENTITY, "--num-shards", "3", "--shard"]
        shards = [
            subprocess.Popen([*command, str(k)], stderr=subprocess.PIPE, text=True)
            for k in range(3)
        ]
        said = [shard.communicate()[1] for shard in shards]
        assert [shard.returncode for shard in shards] == [0, 0, 0], said
        assert backtranslate(["merge", str(out / "texts.jsonl"), str(out)]) == 0
        assert len((out / "views.jsonl").read_bytes().splitlines()) == 3000
        assert [x.name for x in out.iterdir() if x.name.endswith(".half")] == []
