"""Kills, workers and shards: whatever happens on the way, the same store comes out."""

import contextlib
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from backtranslate import backends, jobs
from backtranslate.driver import make_views
from backtranslate.jobs import Settings
from backtranslate.manifest import read_manifest
from backtranslate.pipeline import derive_seed
from backtranslate.store import Corpus, merge, read_records, shard_path
from backtranslate.translator import BacktranslateError
from backtranslate.workers import Processes

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]

# A translator that shuffles words by the seed and by what else is in the batch: whoever changes a
# batch changes the views. It is a program of its own, since worker processes import it anew.
JOB = """
import os, random, sys, time
from backtranslate import backends
from backtranslate.cli import main
from backtranslate.translator import BacktranslateError

class Shuffles:
    limit = 60

    def __init__(self, source, target):
        self.description = f"shuffles {source}-{target}"

    def length(self, text):
        return len(text)

    def translate(self, pieces, decoding, seed):
        time.sleep(float(os.environ.get("SLOW", "0")))
        mark = os.environ.get("DIES", "")
        if any("deadly" in piece for piece in pieces) and not os.path.exists(mark):
            if "once" in mark:
                open(mark, "w").close()
            os.kill(os.getpid(), 9)
        if any("broken" in piece for piece in pieces):
            raise ValueError("a bug")
        draw = random.Random(f"{seed}{pieces}{decoding}{self.description}")
        answers = []
        for piece in pieces:
            words = piece.split()
            draw.shuffle(words)
            answers.append(" ".join(words))
        return answers

def load(backend, source, target, models="", device="auto"):
    if backend != "shuffles":
        return real(backend, source, target, models, device)
    if target == "xx":
        raise BacktranslateError("shuffles has no model for xx.")
    return Shuffles(source, target)

if "shuffles" not in backends.BACKENDS:
    real, backends.load = backends.load, load
    backends.BACKENDS["shuffles"] = "shuffles"
if __name__ == "__main__":
    sys.exit(main())
"""


@pytest.fixture
def job(tmp_path):
    """Runs the command line in a process of its own: (arguments, environment) → Popen."""
    program = tmp_path / "job.py"
    program.write_text(JOB)
    started = []

    def start(*arguments, **environment):
        process = subprocess.Popen(
            [sys.executable, str(program), *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        with contextlib.suppress(OSError):
            process.kill()
        process.communicate()


@pytest.fixture
def shuffles(monkeypatch):
    """The same translator in this process."""
    monkeypatch.setattr(backends, "load", backends.load)
    monkeypatch.setattr(backends, "BACKENDS", dict(backends.BACKENDS))
    monkeypatch.setattr(jobs, "_loaded", {})
    exec(compile(JOB, "job.py", "exec"), {"__name__": "job"})


def texts(count=120):
    words = ["red", "green", "blue", "cats", "dogs", "walk", "run", "over", "the", "old", "bridge"]
    draw = random.Random(5)
    rows = []
    for number in range(count):
        sentences = [" ".join(draw.choices(words, k=draw.randrange(3, 9))) for _ in range(2)]
        rows.append((f"row {number}", ". ".join(s.capitalize() for s in sentences) + "."))
    rows[7] = ("row 7", "")
    rows[8] = ("row 8", "😀 \0\n")
    return Corpus([id_ for id_, _ in rows], [text for _, text in rows])


def write(path, corpus):
    lines = [{"id": i, "text": t} for i, t in zip(corpus.ids, corpus.texts, strict=True)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def options(path, folder, *more):
    return [
        path,
        "--backend",
        "shuffles",
        "--pivots",
        "de,ru",
        "--chunk",
        10,
        "--out",
        folder,
        *more,
    ]


def settings(**changes):
    given = {"backend": "shuffles", "pivots": ("de", "ru"), "chunk": 10}
    return Settings(**{**given, **changes})


def merged(folder, corpus):
    merge([folder], corpus, folder / "views.jsonl")
    return (folder / "views.jsonl").read_bytes()


# --- kills


@pytest.mark.parametrize("workers", [1, 2])
def test_five_kills_leave_the_store_of_an_unbroken_run(job, shuffles, tmp_path, workers):
    corpus = texts(240)
    path = write(tmp_path / "texts.jsonl", corpus)
    make_views(corpus, settings(copies=2), tmp_path / "whole")
    whole = shard_path(tmp_path / "whole", 0, 1).read_bytes()

    store = shard_path(tmp_path / "killed", 0, 1)
    arguments = options(path, tmp_path / "killed", "--copies", 2, "--workers", workers)
    draw = random.Random(workers)
    for _ in range(5):
        before = store.stat().st_size if store.exists() else 0
        process = job(*arguments, SLOW="0.01")
        # A random share of what there is to write, then a random moment.
        wanted = before + draw.random() * len(whole) / 8
        while process.poll() is None and not (store.exists() and store.stat().st_size > wanted):
            time.sleep(0.002)
        time.sleep(draw.random() * 0.05)
        assert process.poll() is None, process.communicate()
        process.kill()
        process.wait()
        assert store.stat().st_size < len(whole), "the kill came too late to prove anything"
    last = job(*arguments)
    out, err = last.communicate(timeout=120)
    assert last.returncode == 0, err
    assert merged(tmp_path / "killed", corpus) == merged(tmp_path / "whole", corpus)
    assert sorted(store.read_bytes().splitlines()) == sorted(whole.splitlines())
    assert store.samefile(store.parent / "views.jsonl")
    assert "960 views in" in out


def test_a_second_run_does_only_what_is_missing(shuffles, tmp_path):
    corpus = texts(35)
    assert make_views(corpus, settings(), tmp_path) == 70
    whole = shard_path(tmp_path, 0, 1).read_bytes()
    assert make_views(corpus, settings(), tmp_path) == 0
    lines = whole.splitlines(keepends=True)
    # A chunk of which only a part was kept comes back the same, though it depends on its batch.
    shard_path(tmp_path, 0, 1).write_bytes(b"".join(lines[:13]) + lines[13][:20])
    assert make_views(corpus, settings(), tmp_path) == 57
    assert shard_path(tmp_path, 0, 1).read_bytes() == whole


def test_nothing_is_loaded_when_nothing_is_missing(shuffles, tmp_path):
    def never(jobs):
        assert not list(jobs)
        return iter(())

    make_views(texts(20), settings(), tmp_path)
    assert make_views(texts(20), settings(), tmp_path, never) == 0


def test_pivots_and_copies_can_be_added_later(shuffles, tmp_path):
    corpus = texts(25)
    make_views(corpus, settings(pivots=("de",)), tmp_path / "grown")
    assert make_views(corpus, settings(copies=2), tmp_path / "grown") == 75
    make_views(corpus, settings(copies=2), tmp_path / "whole")
    assert merged(tmp_path / "grown", corpus) == merged(tmp_path / "whole", corpus)


# --- workers and shards


def test_workers_and_shards_give_the_same_views(job, shuffles, tmp_path):
    corpus = texts()
    path = write(tmp_path / "texts.jsonl", corpus)
    make_views(corpus, settings(), tmp_path / "one")
    expected = merged(tmp_path / "one", corpus)

    process = job(*options(path, tmp_path / "two", "--workers", 2))
    assert process.wait(120) == 0, process.communicate()
    assert (tmp_path / "two" / "views.jsonl").read_bytes() == expected

    shards = [  # a folder that all share, at the same time
        job(*options(path, tmp_path / "three", "--num-shards", 3, "--shard", shard))
        for shard in range(3)
    ]
    for process in shards:
        assert process.wait(120) == 0, process.communicate()
    assert merged(tmp_path / "three", corpus) == expected
    sizes = [len(list(read_records(shard_path(tmp_path / "three", s, 3)))) for s in range(3)]
    assert sizes == [80, 80, 80]


@pytest.mark.skipif(not shutil.which("apertium"), reason="apertium is not installed")
def test_a_real_backend_gives_the_same_views_however_it_is_run(job, tmp_path):
    corpus = texts(60)
    path = write(tmp_path / "texts.jsonl", corpus)
    arguments = [path, "--backend", "apertium", "--pivots", "spa", "--chunk", 10]
    first = job(*arguments, "--out", tmp_path / "one")
    err = first.communicate(timeout=300)[1]
    if "has no mode" in err:
        pytest.skip("apertium has no pair eng-spa here")
    assert first.returncode == 0, err
    expected = (tmp_path / "one" / "views.jsonl").read_bytes()
    statuses = {json.loads(line)["status"] for line in expected.splitlines()}
    assert {"ok", "bypassed"} <= statuses

    killed = job(*arguments, "--out", tmp_path / "two", "--workers", 2)
    store = shard_path(tmp_path / "two", 0, 1)
    while killed.poll() is None and not (store.exists() and store.stat().st_size):
        time.sleep(0.002)
    assert killed.poll() is None
    killed.kill()
    killed.wait()
    last = job(*arguments, "--out", tmp_path / "two", "--workers", 2)
    assert last.wait(300) == 0, last.communicate()
    assert (tmp_path / "two" / "views.jsonl").read_bytes() == expected


def test_a_killed_workers_chunk_is_done_again(job, shuffles, tmp_path, monkeypatch):
    corpus = texts(40)
    corpus = Corpus(corpus.ids, [*corpus.texts[:-5], *["A deadly text."] * 5])
    path = write(tmp_path / "texts.jsonl", corpus)
    mark = tmp_path / "once"
    process = job(*options(path, tmp_path / "two", "--workers", 2), DIES=str(mark))
    assert process.wait(120) == 0, process.communicate()
    assert mark.exists()
    make_views(corpus, settings(), tmp_path / "one")  # the mark is unset, but the file is there
    assert merged(tmp_path / "two", corpus) == merged(tmp_path / "one", corpus)


@pytest.fixture(autouse=True)
def not_deadly(tmp_path, monkeypatch):
    """Deadly texts do no harm to the process of the tests."""
    monkeypatch.setenv("DIES", str(tmp_path))


def test_a_chunk_that_kills_every_worker_is_a_sentence(job, tmp_path):
    corpus = texts(40)
    corpus = Corpus(corpus.ids, [*corpus.texts[:-5], *["A deadly text."] * 5])
    path = write(tmp_path / "texts.jsonl", corpus)
    process = job(*options(path, tmp_path / "out", "--workers", 2), DIES="/always/there/never")
    _, err = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "3 workers were killed, one after another" in err


def test_a_bug_in_a_worker_shows_its_traceback(job, tmp_path):
    path = write(tmp_path / "texts.jsonl", Corpus(["a"], ["A broken text."]))
    process = job(*options(path, tmp_path / "out", "--workers", 2))
    _, err = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "ValueError: a bug" in err


def test_workers_end_with_their_parent(job, tmp_path):
    path = write(tmp_path / "texts.jsonl", texts(100))
    process = job(*options(path, tmp_path / "out", "--workers", 2), SLOW="0.3")
    store = shard_path(tmp_path / "out", 0, 1)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    if not children.exists():
        pytest.skip("this system does not list the children of a process")
    while process.poll() is None and not (store.exists() and store.stat().st_size):
        time.sleep(0.01)
    workers = [int(pid) for pid in children.read_text().split()]
    assert len(workers) >= 2
    process.send_signal(signal.SIGKILL)
    process.wait()
    end = time.monotonic() + 20
    while any(alive(pid) for pid in workers) and time.monotonic() < end:
        time.sleep(0.05)
    assert not any(alive(pid) for pid in workers)


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")")[-1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_processes_without_a_job_start_nothing():
    with Processes(2) as processes:
        assert list(processes([])) == []


# --- settings and manifest


def test_the_seed_the_preset_and_the_budget_matter_and_are_kept(shuffles, tmp_path):
    corpus = texts(20)
    seen = set()
    for number, changes in enumerate([{}, {"seed": 1}, {"preset": "beam"}, {"token_budget": 100}]):
        folder = tmp_path / str(number)
        make_views(corpus, settings(**changes), folder)
        seen.add(merged(folder, corpus))
        with pytest.raises(BacktranslateError, match="choose another folder"):
            make_views(corpus, settings(seed=9), folder)
    assert len(seen) == 4
    manifest = read_manifest(tmp_path / "0")
    assert manifest["decoding"] == {"sampling": True, "temperature": 0.9, "beam": 5}
    assert manifest["pivots"]["ru"] == {
        "copies": 1,
        "translators": ["shuffles en-ru", "shuffles ru-en"],
    }
    assert manifest["made_with"]["python"]


def test_copies_differ(shuffles, tmp_path):
    corpus = texts(20)
    make_views(corpus, settings(copies=2, pivots=("de",)), tmp_path)
    views = [line.record["text"] for line in read_records(shard_path(tmp_path, 0, 1))]
    assert views[:20] != views[20:]


def test_a_missing_model_is_told_before_anything_is_made(shuffles, tmp_path):
    with pytest.raises(BacktranslateError, match="no model for xx"):
        make_views(texts(20), settings(pivots=("de", "xx")), tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"backend": "babelfish"}, "no backend 'babelfish': choose from"),
        ({"preset": "best"}, "no preset 'best': choose from paper, diverse, beam"),
        ({"pivots": ()}, "name at least one"),
        ({"pivots": ("de", "")}, "name at least one"),
        ({"pivots": ("de", "de")}, "must be different"),
        ({"pivots": ("en",)}, "none the source"),
        ({"copies": 0}, "copies is 0"),
        ({"workers": -1}, "workers is -1"),
        ({"seed": -1}, "seed is -1"),
        ({"num_shards": 2, "shard": 2}, "of 2 shards, choose 0 to 1"),
        ({"shard": -1}, "choose 0 to 0"),
        ({"copies": 2, "preset": "beam"}, "the same view again"),
        ({"copies": 2, "backend": "apertium"}, "the same view again"),
    ],
)
def test_contradictions_are_refused(shuffles, changes, message):
    with pytest.raises(BacktranslateError, match=message):
        settings(**changes)


def test_seeds_depend_on_every_part():
    seeds = {derive_seed(s, p, c, n) for s in (0, 1) for p in "ab" for c in (0, 1) for n in (0, 10)}
    assert len(seeds) == 16
    assert all(0 <= seed < 2**31 for seed in seeds)


# --- progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_on_a_terminal_and_elsewhere(shuffles, tmp_path):
    plain, terminal = io.StringIO(), Terminal()
    make_views(texts(30), settings(), tmp_path / "a", progress=plain)
    assert "60 of 60 views" in plain.getvalue()
    assert "sentences/s, 0 min 00 s left" in plain.getvalue()
    make_views(texts(30), settings(), tmp_path / "b", progress=terminal)
    assert "60/60" in terminal.getvalue()
    assert "sentences/s" in terminal.getvalue()
