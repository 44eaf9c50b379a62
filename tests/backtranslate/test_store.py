"""The store: torn lines, doubles, gaps, other manifests, changed texts, a full disk."""

import fcntl
import json
import subprocess

import pytest

from backtranslate.manifest import WriteError, read_manifest, views_of, write_manifest
from backtranslate.pipeline import View
from backtranslate.store import (
    Corpus,
    Shard,
    encode,
    is_complete,
    merge,
    read_records,
    record,
    shard_path,
)
from backtranslate.translator import BacktranslateError

TEXTS = Corpus(["a", "b", "c"], ["one", "two\ud800", "drei\n\0 ж"])


def manifest(corpus=TEXTS, shards=1, copies=1, pivots=("de",), **changes):
    return {
        "backend": "words",
        "seed": 0,
        "shards": shards,
        "corpus": corpus.describe(),
        "pivots": {p: {"copies": copies, "translators": [f"en-{p}", f"{p}-en"]} for p in pivots},
        "models": "",
        "made_with": {},
        **changes,
    }


def entry(row, pivot="de", copy=0, corpus=TEXTS):
    text = corpus.texts[row]
    return record(corpus.ids[row], text, pivot, copy, View(f"{text}!", f"{text}?", "ok"))


def filled(folder, rows=(0, 1, 2), shard=0, shards=1, **options):
    write_manifest(folder, manifest(shards=shards, **options))
    with Shard(folder, TEXTS, shard, shards) as opened:
        opened.append([entry(row) for row in rows], list(rows))
    return shard_path(folder, shard, shards)


def test_records_come_back_as_they_were(tmp_path):
    path = filled(tmp_path)
    assert [line.record for line in read_records(path)] == [entry(row) for row in range(3)]
    assert "ж" in path.read_text("utf-8"), "readable where it can be"
    with Shard(tmp_path, TEXTS, 0, 1) as shard:
        assert all(shard.index.has("de", 0, row) for row in range(3))
        assert not shard.index.has("de", 1, 0)


@pytest.mark.parametrize("tail", [b'{"id": "c", "sha', b'{"id": "c"}', b"\0\0\0\0", b"\0\0\n"])
def test_a_torn_last_line_is_dropped(tmp_path, tail):
    path = filled(tmp_path, rows=[0, 1])
    whole = path.read_bytes()
    path.write_bytes(whole + tail)
    with Shard(tmp_path, TEXTS, 0, 1) as shard:
        assert not shard.index.has("de", 0, 2)
        assert path.read_bytes() == whole
        shard.append([entry(2)], [2])
    assert merge([tmp_path], TEXTS, tmp_path / "views.jsonl") == 3


def test_every_place_of_a_tear_is_survived(tmp_path):
    path = filled(tmp_path)
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with Shard(tmp_path, TEXTS, 0, 1) as shard:
            rows = [row for row in range(3) if not shard.index.has("de", 0, row)]
            shard.append([entry(row) for row in rows], rows)
        assert path.read_bytes() == whole


def test_damage_in_the_middle_is_told_by_line(tmp_path):
    path = filled(tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + b"rubbish\n" + lines[2])
    with pytest.raises(BacktranslateError, match="line 2 is no record"):
        Shard(tmp_path, TEXTS, 0, 1)


def test_doubles_changed_texts_and_strange_ids_are_refused(tmp_path):
    path = filled(tmp_path)
    whole = path.read_bytes()
    for line, message in [
        (encode(entry(1)), "line 4: id 'b' has view de/0 twice"),
        (encode({**entry(0), "id": "z"}), "line 4: id 'z' is not among the texts"),
        (encode({**entry(0, copy=1), "sha1": "0"}), "line 4: the text of id 'a' has changed"),
    ]:
        path.write_bytes(whole + line)
        with pytest.raises(BacktranslateError, match=message):
            Shard(tmp_path, TEXTS, 0, 1)
        with pytest.raises(BacktranslateError, match=message):
            merge([tmp_path], TEXTS, tmp_path / "views.jsonl")
    assert not (tmp_path / "views.jsonl").exists()


def test_two_processes_cannot_write_one_shard(tmp_path):
    filled(tmp_path)
    with (
        Shard(tmp_path, TEXTS, 0, 1),
        pytest.raises(BacktranslateError, match="written by another process"),
    ):
        Shard(tmp_path, TEXTS, 0, 1)


def test_ids_stand_once():
    with pytest.raises(BacktranslateError, match="id 'x' stands twice"):
        Corpus(["x", "y", "x"], ["1", "2", "3"])


# --- manifest


def test_another_manifest_is_refused(tmp_path):
    write_manifest(tmp_path, manifest())
    for change in [{"seed": 1}, {"backend": "x"}, {"shards": 2}, {"corpus": {"texts": 9}}]:
        (key,) = change
        with pytest.raises(BacktranslateError, match=f"made with {key} .*choose another folder"):
            write_manifest(tmp_path, manifest() | change)
    other = manifest()
    other["pivots"]["de"]["translators"] = ["other", "model"]
    with pytest.raises(BacktranslateError, match="through de made by"):
        write_manifest(tmp_path, other)
    write_manifest(tmp_path, manifest(made_with={"python": "4"}, models="elsewhere"))


def test_pivots_and_copies_can_be_added_and_never_go(tmp_path):
    write_manifest(tmp_path, manifest(copies=2))
    write_manifest(tmp_path, manifest(pivots=("ru", "de")))
    assert views_of(read_manifest(tmp_path)) == [("de", 0), ("de", 1), ("ru", 0)]


def test_rubbish_is_no_manifest(tmp_path):
    assert read_manifest(tmp_path) is None
    (tmp_path / "manifest.json").write_text("[]")
    with pytest.raises(BacktranslateError, match="is no manifest"):
        read_manifest(tmp_path)


# --- merge


def test_merge_puts_shards_of_many_machines_in_order(tmp_path):
    filled(tmp_path / "one", rows=[0, 2], shard=0, shards=2)
    filled(tmp_path / "two", rows=[1], shard=1, shards=2)
    out = tmp_path / "new" / "views.jsonl"
    assert merge([tmp_path / "two", tmp_path / "one"], TEXTS, out) == 3
    assert [line.record for line in read_records(out)] == [entry(row) for row in range(3)]


def test_merge_finds_what_is_missing(tmp_path):
    out = tmp_path / "views.jsonl"
    with pytest.raises(BacktranslateError, match="is no store"):
        merge([tmp_path], TEXTS, out)
    filled(tmp_path / "one", rows=[0, 2], shard=0, shards=2)
    with pytest.raises(BacktranslateError, match="shard 1 of 2 is missing"):
        merge([tmp_path / "one"], TEXTS, out)
    filled(tmp_path / "two", rows=[], shard=1, shards=2)
    with pytest.raises(BacktranslateError, match=r"de/0 is missing for 1 of 3 .* id 'b'"):
        merge([tmp_path / "one", tmp_path / "two"], TEXTS, out)
    filled(tmp_path / "three", rows=[1, 2], shard=1, shards=2)
    with pytest.raises(BacktranslateError, match="id 'c' has view de/0 twice"):
        merge([tmp_path / "one", tmp_path / "three"], TEXTS, out)
    filled(tmp_path / "four", rows=[1], shard=1, shards=2, seed=7)
    with pytest.raises(BacktranslateError, match="made with seed"):
        merge([tmp_path / "one", tmp_path / "four"], TEXTS, out)
    with pytest.raises(BacktranslateError, match="made with corpus"):
        merge([tmp_path / "one"], Corpus(["a"], ["one"]), out)
    assert not out.exists()


@pytest.mark.parametrize("turned", [False, True])
def test_folders_with_different_pivots_are_not_merged(tmp_path, turned):
    # Else the views of a pivot that the first folder lacks would be left out without a word.
    filled(tmp_path / "one", rows=[0, 2], shard=0, shards=2)
    filled(tmp_path / "two", rows=[1], shard=1, shards=2, pivots=("de", "ru"))
    folders = [tmp_path / "one", tmp_path / "two"]
    with pytest.raises(BacktranslateError, match="finish all shards first") as refusal:
        merge(folders[::-1] if turned else folders, TEXTS, tmp_path / "views.jsonl")
    assert '["de"]' in str(refusal.value) and '["de", "ru"]' in str(refusal.value)
    assert not (tmp_path / "views.jsonl").exists()


def both(row, **options):
    return [entry(row, pivot, **options) for pivot in ("de", "ru")]


def records(path):
    return [line.record for line in read_records(path)]


def test_a_finished_store_holds_its_views_once(tmp_path):
    shard, out = filled(tmp_path, rows=[2, 0, 1]), tmp_path / "views.jsonl"
    assert merge([tmp_path], TEXTS, out) == 3
    assert out.samefile(shard) and records(out) == [entry(row) for row in range(3)]
    # What is added later is not seen in it before all of it is there.
    write_manifest(tmp_path, manifest(pivots=("de", "ru")))
    before = out.read_bytes()
    with Shard(tmp_path, TEXTS, 0, 1) as opened:
        for row in (1, 0):
            opened.append([entry(row, "ru")], [row])
        assert out.read_bytes() == before and not out.samefile(shard)
        with pytest.raises(BacktranslateError, match="missing for 1 of 3"):
            merge([tmp_path], TEXTS, out)
        with pytest.raises(BacktranslateError, match="written by another process"):
            Shard(tmp_path, TEXTS, 0, 1)
        opened.append([entry(2, "ru")], [2])
    assert out.read_bytes() == before
    assert merge([tmp_path], TEXTS, out) == 6
    assert out.samefile(shard) and records(out) == [*both(0), *both(1), *both(2)]


def test_a_shard_that_is_being_written_is_not_replaced(tmp_path):
    shard, out = filled(tmp_path, rows=[2, 0, 1]), tmp_path / "views.jsonl"
    with Shard(tmp_path, TEXTS, 0, 1) as opened:
        assert merge([tmp_path], TEXTS, out) == 3
        assert not out.samefile(shard)
        opened.append([entry(1, "ru")], [1])
    assert records(shard)[-1] == entry(1, "ru") and len(records(out)) == 3


def test_a_file_that_was_replaced_while_it_was_opened_is_not_written(tmp_path, monkeypatch):
    filled(tmp_path, rows=[2, 0, 1])
    lock = fcntl.flock

    def late(file, how):
        monkeypatch.setattr(fcntl, "flock", lock)
        merge([tmp_path], TEXTS, tmp_path / "views.jsonl")
        lock(file, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with pytest.raises(BacktranslateError, match="written by another process"):
        Shard(tmp_path, TEXTS, 0, 1)


def test_without_hard_links_there_are_two(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr("os.link", refuse)
    shard, out = filled(tmp_path), tmp_path / "views.jsonl"
    assert merge([tmp_path], TEXTS, out) == 3
    assert not out.samefile(shard) and out.read_bytes() == shard.read_bytes()


def test_a_complete_store_is_known_by_its_checksums(tmp_path, monkeypatch):
    shard, out = filled(tmp_path), tmp_path / "views.jsonl"
    assert not is_complete(tmp_path, TEXTS)
    merge([tmp_path], TEXTS, out)
    assert is_complete(tmp_path, TEXTS)
    with monkeypatch.context() as patch:
        patch.setattr("backtranslate.store.Index", None)  # no record is looked at
        assert merge([tmp_path], TEXTS, out) == 3
    assert not is_complete(tmp_path, Corpus(TEXTS.ids, ["one", "two", "drei"]))
    assert not is_complete(tmp_path, Corpus(["a", "b"], TEXTS.texts[:2]))
    for path in (shard, out, tmp_path / "manifest.json", tmp_path / "complete.json"):
        whole = path.read_bytes()
        path.write_bytes(whole.replace(b"1", b"2", 1).replace(b"a", b"b", 1))
        assert not is_complete(tmp_path, TEXTS)
        path.write_bytes(whole)
        assert is_complete(tmp_path, TEXTS)
    (tmp_path / "complete.json").write_text("rubbish")
    assert merge([tmp_path], TEXTS, out) == 3 and is_complete(tmp_path, TEXTS)


# --- disks


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 64 KiB, and a function that makes it larger."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(size, *options):
        option = ",".join([f"size={size}", *options])
        command = ["mount", "-t", "tmpfs", "-o", option, "tmpfs", str(folder)]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    try:
        mounted = mount("64k")
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("a small disk can only be mounted by root")
    yield folder, lambda: mount("8m", "remount")
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_loses_nothing(small_disk):
    folder, enlarge = small_disk
    corpus = Corpus([str(i) for i in range(100)], [f"text {i} " + "x" * 1000 for i in range(100)])
    entries = [entry(row, corpus=corpus) for row in range(100)]
    write_manifest(folder, manifest(corpus))
    with (
        pytest.raises(WriteError, match=r"no space left .*make room and run the same command"),
        Shard(folder, corpus, 0, 1) as shard,
    ):
        for row in range(0, 100, 5):
            shard.append(entries[row : row + 5], range(row, row + 5))
    kept = [line.record for line in read_records(shard.path)]
    assert kept and len(kept) % 5 == 0 and kept == entries[: len(kept)]
    assert shard.path.read_bytes().endswith(b"\n")

    with (
        Shard(folder, corpus, 0, 1) as shard,
        pytest.raises(WriteError),  # still full
    ):
        shard.append(entries[len(kept) :], range(len(kept), 100))
    assert enlarge()
    with Shard(folder, corpus, 0, 1) as shard:
        rows = [row for row in range(100) if not shard.index.has("de", 0, row)]
        assert rows == list(range(len(kept), 100))
        shard.append([entries[row] for row in rows], rows)
    assert merge([folder], corpus, folder / "views.jsonl") == 100
    lines = (folder / "views.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line) for line in lines] == entries


def test_a_file_in_the_way_is_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError, match="cannot write to"):
        write_manifest(tmp_path / "file", manifest())
