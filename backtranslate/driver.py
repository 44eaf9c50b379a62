"""From texts and settings to a complete store, by as many processes and machines as there are.

The unit of work is a fixed chunk of texts, one pivot and one copy. What comes out of it depends on
these, the texts and the settings alone, so that kills, workers, shards and Ray all give the same
store. Who does a unit is up to an executor: `run_here`, `workers.Processes`, or `ray.RayTasks`.
"""

import importlib.metadata
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO

from tqdm import tqdm

from backtranslate import backends
from backtranslate.manifest import check_manifest, read_manifest, write_manifest
from backtranslate.pieces import sentences_of
from backtranslate.pipeline import View, derive_seed, round_trip
from backtranslate.store import Corpus, Shard, record
from backtranslate.translator import PRESETS, BacktranslateError, Translator

# Their copies would be the same view again: chance plays no part in what they do.
WITHOUT_CHANCE = ("identity", "apertium")
PACKAGES = ("torch", "transformers", "ctranslate2", "fairseq", "fairseq-fixed")
SECONDS_A_LINE = 10.0


@dataclass(frozen=True)
class Settings:
    """What a store is made of, and by whom.

    Attributes:
        backend: a name from `backends.BACKENDS`.
        pivots: languages to go through; each gives views of its own.
        source: language of the texts.
        copies: views of each text through each pivot, ≥ 1; more than one needs sampling.
        preset: how words are chosen: a name from `PRESETS`.
        models: where the backend's models are; empty means the backend's default.
        device: `auto`, `cpu`, `cuda`, `cuda:1` …
        seed: of sampling, ≥ 0.
        token_budget: size of a batch in the backend's units; 0 means four pieces of the greatest
            length, which is 1,024 tokens for neural backends.
        chunk: texts a unit of work, ≥ 1; what a killed process loses at most. Larger ones sort and
            batch better.
        workers: processes on this machine, ≥ 1, each with models of its own.
        num_shards: parts that the work is divided into over machines, ≥ 1.
        shard: the part to do here, from 0.
    """

    backend: str
    pivots: tuple[str, ...]
    source: str = "en"
    copies: int = 1
    preset: str = "paper"
    models: str = ""
    device: str = "auto"
    seed: int = 0
    token_budget: int = 0
    chunk: int = 256
    workers: int = 1
    num_shards: int = 1
    shard: int = 0

    def __post_init__(self) -> None:
        """Refuses what cannot work, by one sentence."""
        if self.backend not in backends.BACKENDS:
            known = ", ".join(sorted(backends.BACKENDS))
            raise BacktranslateError(f"there is no backend {self.backend!r}: choose from {known}.")
        if self.preset not in PRESETS:
            raise BacktranslateError(
                f"there is no preset {self.preset!r}: choose from {', '.join(PRESETS)}."
            )
        if not self.pivots or not all(self.pivots):
            raise BacktranslateError("pivots is empty: name at least one language to go through.")
        if len(set(self.pivots)) < len(self.pivots) or self.source in self.pivots:
            raise BacktranslateError(
                f"pivots {', '.join(self.pivots)} must be different, and none the source language "
                f"{self.source!r}."
            )
        for name in ("copies", "chunk", "workers", "num_shards"):
            if getattr(self, name) < 1:
                raise BacktranslateError(f"{name} is {getattr(self, name)}: it must be at least 1.")
        for name in ("seed", "token_budget"):
            if getattr(self, name) < 0:
                raise BacktranslateError(
                    f"{name} is {getattr(self, name)}: it must not be negative."
                )
        if not 0 <= self.shard < self.num_shards:
            raise BacktranslateError(
                f"shard is {self.shard}: of {self.num_shards} shards, choose 0 to "
                f"{self.num_shards - 1}."
            )
        if self.copies > 1 and (
            self.backend in WITHOUT_CHANCE or not PRESETS[self.preset].sampling
        ):
            raise BacktranslateError(
                f"copies is {self.copies}, but backend {self.backend} with preset {self.preset} "
                "leaves nothing to chance and would give the same view again: use copies 1, or a "
                "neural backend that samples."
            )


@dataclass(frozen=True)
class Unit:
    """A chunk of texts through one pivot, once: `texts` are rows `first`, `first + 1`, …"""

    settings: Settings
    pivot: str
    copy: int
    first: int
    texts: tuple[str, ...]


@dataclass(frozen=True)
class Done:
    """What a unit gives: a view for each text, and the number of sentences in them."""

    views: list[View]
    sentences: int


@dataclass(frozen=True)
class Question:
    """Asks whoever has the models what they are."""

    settings: Settings
    pivot: str


Job = Unit | Question
# Takes jobs and yields each with its answer, in any order.
Executor = Callable[[Sequence[Any]], Iterator[tuple[Any, Any]]]


_loaded: dict[tuple[str, ...], tuple[Translator, Translator]] = {}


def translators(settings: Settings, pivot: str) -> tuple[Translator, Translator]:
    """The two directions of a pivot, loaded once a process and kept until another pivot's turn."""
    key = (settings.backend, settings.source, pivot, settings.models, settings.device)
    if key not in _loaded:
        _loaded.clear()  # before loading: two pairs may be more than the memory holds
        there = backends.load(settings.backend, settings.source, pivot, *key[3:])
        back = backends.load(settings.backend, pivot, settings.source, *key[3:])
        _loaded[key] = there, back
    return _loaded[key]


def perform(job: Job) -> Any:
    """Does a job in this process.

    Returns:
        `Done` for a unit; for a question the descriptions of the two translators.

    Raises:
        BacktranslateError: the backend cannot be loaded or does not work.
    """
    settings = job.settings
    forward, backward = translators(settings, job.pivot)
    if isinstance(job, Question):
        return [forward.description, backward.description]
    seed = derive_seed(settings.seed, job.pivot, job.copy, job.first)
    decoding = PRESETS[settings.preset]
    views = round_trip(list(job.texts), forward, backward, decoding, seed, settings.token_budget)
    return Done(views, sum(len(sentences_of(text)) for text in job.texts))


def run_here(jobs: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
    """The plainest executor: one job after another, in this process."""
    for job in jobs:
        yield job, perform(job)


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
        if settings.workers == 1:
            execute = run_here
        else:
            from backtranslate.workers import Processes

            with Processes(settings.workers) as processes:
                return make_views(corpus, settings, folder, processes, progress)
    if not len(corpus):
        raise BacktranslateError("there are no texts: nothing to do.")
    found = read_manifest(folder)
    if found is not None:
        check_manifest(folder, found, manifest_of(settings, corpus, {}))
    # Every pivot's models are loaded before the first chunk, so that one that is missing is told at
    # once and not hours later; not at all when a run finds nothing to do.
    described = found is not None and _covers(found, settings)
    if not described:
        _describe(corpus, settings, folder, execute)
    with Shard(folder, corpus, settings.shard, settings.num_shards) as shard:
        units = [unit for unit in _units(corpus, settings) if _missing(shard, unit)]
        if units and described:
            _describe(corpus, settings, folder, execute)
        total = sum(len(_missing(shard, unit)) for unit in units)
        bar = _Progress(total, progress)
        for job, done in execute(units):
            rows = _missing(shard, job)
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


def _missing(shard: Shard, unit: Unit) -> list[int]:
    """Rows of a unit whose view is not in the store."""
    rows = range(unit.first, unit.first + len(unit.texts))
    return [i for i in rows if not shard.index.has(unit.pivot, unit.copy, i)]


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
