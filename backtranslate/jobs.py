"""Jobs: what there is to do, and the doing of one in this process.

The unit of work is a fixed chunk of texts, one pivot and one copy. What comes out of it depends on
these, the texts and the settings alone. Who does a job is up to an executor: `run_here`,
`workers.Processes`, or `ray.RayTasks`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from backtranslate import backends
from backtranslate.pieces import sentences_of
from backtranslate.pipeline import View, derive_seed, round_trip
from backtranslate.translator import PRESETS, BacktranslateError, Translator

# Their copies would be the same view again: chance plays no part in what they do.
WITHOUT_CHANCE = ("identity", "apertium")


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
