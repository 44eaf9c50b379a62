"""From texts and settings to a complete store, by as many processes and machines as there are.

Kills, workers, shards and Ray all give the same store, since each job does by itself (`jobs.py`).
"""

import importlib.metadata
import platform
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from tqdm import tqdm

from backtranslate.jobs import Executor, Question, Settings, Unit, run_here
from backtranslate.manifest import MANIFEST, check_manifest, read_manifest, write_manifest
from backtranslate.store import Corpus, Index, Shard, is_complete, record, shard_path
from backtranslate.translator import PRESETS, BacktranslateError
from backtranslate.workers import Processes

PACKAGES = ("torch", "transformers", "ctranslate2", "fairseq", "fairseq-fixed")
SECONDS_A_LINE = 10.0


def manifest_of(settings: Settings, corpus: Corpus, descriptions: dict[str, Any]) -> dict[str, Any]:
    """What a store with these settings is made of; `descriptions` of each pivot's translators."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "format": 1,
        "backend": settings.backend,
        "source": settings.source,
        "decoding": asdict(PRESETS[settings.preset]),
        "seed": settings.seed,
        "chunk": settings.chunk,
        "token_budget": settings.token_budget,
        "shards": settings.num_shards,
        "corpus": corpus.describe(),
        "pivots": {
            pivot: {"copies": settings.copies, "translators": translators_}
            for pivot, translators_ in descriptions.items()
        },
        "models": settings.models,
        "made_with": {
            "python": platform.python_version(),
            **versions,
            "machine": platform.machine(),
            "device": settings.device,
        },
    }


def make_views(
    corpus: Corpus,
    settings: Settings,
    folder: Path,
    execute: Executor | None = None,
    progress: TextIO | None = None,
) -> int:
    """Makes the views that this shard of a store lacks.

    Args:
        corpus: the texts.
        settings: see `Settings`.
        folder: of the store; made when it is not there.
        execute: who does the work; without one, `settings.workers` processes.
        progress: where progress is shown; nowhere when left out.

    Returns:
        Number of views made now; 0 when all were there.

    Raises:
        BacktranslateError: the store holds views of another kind; the backend fails; another
            process writes the shard.
        WriteError: the disk is full; what was written before counts.
    """
    if execute is None:
        if settings.workers > 1:
            with Processes(settings.workers) as processes:
                return make_views(corpus, settings, folder, processes, progress)
        execute = run_here
    if not len(corpus):
        raise BacktranslateError("there are no texts: nothing to do.")
    strays = sorted(folder.glob("views-*-of-*.jsonl"))  # a manifest is written before them
    found = read_manifest(folder)
    if found is not None:
        check_manifest(folder, found, manifest_of(settings, corpus, {}))
    elif strays:
        raise BacktranslateError(
            f"{strays[0]} is there, but no {MANIFEST} that says what it is made of: bring that "
            "back, or choose another folder."
        )
    # Every pivot's models are loaded before the first chunk, so that one that is missing is told at
    # once and not hours later; not at all when a run finds nothing to do.
    described = found is not None and _covers(found, settings)
    if described and is_complete(folder, corpus):
        return 0
    if not described:
        _describe(corpus, settings, folder, execute)
    try:
        shard = Shard(folder, corpus, settings.shard, settings.num_shards)
    except BacktranslateError:  # in use, or on a disk that may not be written to
        if described and _finished(corpus, settings, folder):
            return 0
        raise
    with shard:
        units = [unit for unit in _units(corpus, settings) if _missing(shard.index, unit)]
        if units and described:
            _describe(corpus, settings, folder, execute)
        total = sum(len(_missing(shard.index, unit)) for unit in units)
        bar = _Progress(total, progress)
        for job, done in execute(units):
            rows = _missing(shard.index, job)
            entries = []
            for i in rows:
                view = done.views[i - job.first]
                entries.append(record(corpus.ids[i], corpus.texts[i], job.pivot, job.copy, view))
            shard.append(entries, rows)
            bar.add(len(rows), done.sentences)
        bar.close()
    return total


def _covers(manifest: dict[str, Any], settings: Settings) -> bool:
    """Whether a store was already set up for all that the settings want."""
    pivots = manifest["pivots"]
    return manifest.get("models") == settings.models and all(
        pivot in pivots and pivots[pivot]["copies"] >= settings.copies for pivot in settings.pivots
    )


def _describe(corpus: Corpus, settings: Settings, folder: Path, execute: Executor) -> None:
    """Loads each pivot's models once and writes into the manifest what they are."""
    # The first pivot last: its models are then at hand for the first chunk.
    questions = [Question(settings, pivot) for pivot in reversed(settings.pivots)]
    answers = {job.pivot: answer for job, answer in execute(questions)}
    ordered = {pivot: answers[pivot] for pivot in settings.pivots}
    write_manifest(folder, manifest_of(settings, corpus, ordered))


def _units(corpus: Corpus, settings: Settings) -> Iterator[Unit]:
    """The units of this shard, in a fixed order."""
    starts = range(0, len(corpus), settings.chunk)
    for pivot in settings.pivots:
        for copy in range(settings.copies):
            # Every n-th chunk: texts in a corpus are often sorted, and shards should cost alike.
            for first in starts[settings.shard :: settings.num_shards]:
                texts = tuple(corpus.texts[first : first + settings.chunk])
                yield Unit(settings, pivot, copy, first, texts)


def _finished(corpus: Corpus, settings: Settings, folder: Path) -> bool:
    """Whether the shard lacks nothing; it is read without a lock, since records only ever come."""
    path = shard_path(folder, settings.shard, settings.num_shards)
    if not path.is_file():
        return False
    index = Index(corpus)
    index.add_file(path)
    return not any(_missing(index, unit) for unit in _units(corpus, settings))


def _missing(index: Index, unit: Unit) -> list[int]:
    """Rows of a unit whose view is not in the store."""
    rows = range(unit.first, unit.first + len(unit.texts))
    return [i for i in rows if not index.has(unit.pivot, unit.copy, i)]


class _Progress:
    """A bar on a terminal, a line now and then elsewhere: done, sentences/s, time left."""

    def __init__(self, total: int, out: TextIO | None) -> None:
        self.total, self.out = total, out
        self.done = self.sentences = 0
        self.start = self.last = time.monotonic()
        self.bar = None
        if total and out is not None and out.isatty():
            self.bar = tqdm(total=total, unit="view", file=out, dynamic_ncols=True)

    def add(self, views: int, sentences: int) -> None:
        """Notes a unit."""
        self.done += views
        self.sentences += sentences
        now = time.monotonic()
        speed = self.sentences / max(now - self.start, 1e-9)
        if self.bar is not None:
            self.bar.set_postfix_str(f"{speed:,.1f} sentences/s", refresh=False)
            self.bar.update(views)
        elif self.out is not None and (
            now - self.last >= SECONDS_A_LINE or self.done == self.total
        ):
            self.last = now
            left = (now - self.start) * (self.total - self.done) / max(self.done, 1)
            print(
                f"{self.done:,} of {self.total:,} views, {speed:,.1f} sentences/s, "
                f"{_duration(left)} left",
                file=self.out,
                flush=True,
            )

    def close(self) -> None:
        """Ends the bar's line."""
        if self.bar is not None:
            self.bar.close()


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"
