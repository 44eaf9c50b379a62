"""A local Ray of two workers gives the store that one process gives, killed workers or not."""

import os
from pathlib import Path

import pytest

from backtranslate import backends, jobs
from backtranslate.driver import make_views
from backtranslate.jobs import Settings
from backtranslate.store import Corpus, merge
from backtranslate.translator import BacktranslateError

ray = pytest.importorskip("ray", reason="ray is not installed: pip install ray")

ROOT = Path(__file__).resolve().parents[2]

# What a batch holds and its seed decide the answers: a changed chunk would be seen.
WORDS = """
import os, random, time
from backtranslate import backends
from backtranslate.translator import BacktranslateError

class Shuffles:
    limit = 60

    def __init__(self, source, target):
        self.description = f"shuffles {source}-{target}"

    def length(self, text):
        return len(text)

    def translate(self, pieces, decoding, seed):
        mark = os.environ.get("DIES", "")
        for piece in pieces:
            if mark and "deadly" in piece and not os.path.exists(mark):
                open(mark, "w").close()
                os.kill(os.getpid(), 9)
        draw = random.Random(f"{seed}{pieces}{self.description}")
        return [" ".join(draw.sample(piece.split(), len(piece.split()))) for piece in pieces]

def load(backend, source, target, models="", device="auto"):
    if target == "xx":
        raise BacktranslateError("shuffles has no model for xx.")
    return Shuffles(source, target)

def install():
    backends.BACKENDS["shuffles"] = "shuffles"
    backends.load = load
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A local Ray with two workers that know the translator."""
    folder = tmp_path_factory.mktemp("ray")
    (folder / "ray_words.py").write_text(WORDS)
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        runtime_env={
            "env_vars": {
                "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)]),
                "DIES": str(folder / "died"),
            },
            "worker_process_setup_hook": "ray_words.install",
        },
    )
    yield folder
    ray.shutdown()


@pytest.fixture
def execute(cluster, monkeypatch):
    """Ray tasks; the translator is known in this process too."""
    from backtranslate.ray import RayTasks

    monkeypatch.setattr(backends, "load", backends.load)
    monkeypatch.setattr(backends, "BACKENDS", dict(backends.BACKENDS))
    monkeypatch.setattr(jobs, "_loaded", {})
    monkeypatch.delenv("DIES", raising=False)
    words: dict = {}
    exec(WORDS, words)
    words["install"]()
    return RayTasks()


TEXTS = Corpus(
    [str(n) for n in range(60)],
    [f"Some words and number {n}. A second one follows it." for n in range(60)],
)


def settings(pivots=("de",), **changes):
    return Settings("shuffles", pivots, chunk=5, **changes)


def views(folder, corpus):
    merge([folder], corpus, folder / "views.jsonl")
    return (folder / "views.jsonl").read_bytes()


def test_ray_gives_the_same_views(execute, tmp_path):
    wanted = settings(("de", "ru"), copies=2)
    assert make_views(TEXTS, wanted, tmp_path / "ray", execute) == 240
    assert make_views(TEXTS, wanted, tmp_path / "ray", execute) == 0
    make_views(TEXTS, wanted, tmp_path / "here")
    assert views(tmp_path / "ray", TEXTS) == views(tmp_path / "here", TEXTS)


def test_a_killed_workers_chunk_is_done_again(execute, cluster, tmp_path):
    corpus = Corpus(TEXTS.ids, [*TEXTS.texts[:30], "One deadly text is here.", *TEXTS.texts[31:]])
    make_views(corpus, settings(), tmp_path / "ray", execute)
    assert (cluster / "died").exists()
    make_views(corpus, settings(), tmp_path / "here")
    assert views(tmp_path / "ray", corpus) == views(tmp_path / "here", corpus)


def test_shards_over_ray(execute, tmp_path):
    for shard in range(2):
        make_views(TEXTS, settings(num_shards=2, shard=shard), tmp_path / "ray", execute)
    make_views(TEXTS, settings(), tmp_path / "here")
    assert views(tmp_path / "ray", TEXTS) == views(tmp_path / "here", TEXTS)


def test_refusals_come_through(execute, tmp_path):
    with pytest.raises(BacktranslateError, match=r"^shuffles has no model for xx\.$"):
        make_views(TEXTS, settings(("xx",)), tmp_path, execute)
