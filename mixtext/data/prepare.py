"""From settings to data that a run can learn from: corpora read, checked and split."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from mixtext.data.cache import Columns, kept
from mixtext.data.corpus import Corpus, align_labels
from mixtext.data.labels import has_label
from mixtext.data.read.catalogue import CATALOGUE, load_any, places
from mixtext.data.read.readers import read_corpus
from mixtext.data.settings import DataSettings
from mixtext.data.splits import (
    OFFICIAL_POOL,
    Split,
    corrupt_labels,
    drop_duplicates,
    duplicates,
    hold_out,
    official_split,
    split,
)
from mixtext.data.templates import with_templates
from mixtext.data.texts import store, stored
from mixtext.errors import InputError
from mixtext.files import checksum

LARGE = 8_000_000  # bytes of files whose rows are kept: smaller ones are read in a second
SPLIT = {
    *("labels_per_class", "labelled_share", "corrupt", "unlabelled_per_class", "dev_share"),
    *("dev_per_class", "pool", "split", "split_seed"),
}  # fields that corpora do not depend on


@dataclass(frozen=True)
class Data:
    """A corpus, split: what a run learns from and what it is scored on.

    Attributes:
        train: the training rows, those of templates last; `split` holds indices into them.
        test: the test rows, or None.
        split: labelled, unlabelled and dev rows.
        notes: sentences about what was found (duplicates, leaks, replaced characters) and about
            labels that were corrupted.
    """

    train: Corpus
    test: Corpus | None
    split: Split
    notes: list[str]


def load_corpora(
    settings: DataSettings, train: Corpus | None = None, test: Corpus | None = None
) -> tuple[Corpus, Corpus | None, list[str]]:
    """Reads train and test as the settings say, or takes the given ones, and makes them ready.

    The third part of what is returned is notes on what was found. Rows of templates are the last
    of train. Of large files, all of it is in the cache the second time, and texts stay on disk.
    """
    files = _large_files(settings) if train is None else []
    if not files:
        return _load_corpora(settings, train, test)

    def make(columns: Columns) -> dict[str, Any]:
        corpora = _load_corpora(settings)
        about = [None if x is None else _store(columns, x, n) for n, x in enumerate(corpora[:2])]
        return {"corpora": about, "notes": corpora[2]}

    plain: dict[str, Any] = {x.name: x.default for x in fields(settings) if x.name in SPLIT}
    told = repr(replace(settings, **plain)), Path(settings.corpus).exists()
    sums = [[str(path), _checksums(path)] for path in files]
    arrays, about = kept("corpora", [*told, sums], make)
    first, second = (
        None if x is None else _stored(arrays, x, n) for n, x in enumerate(about["corpora"])
    )
    assert first is not None
    return first, second, about["notes"]


def _large_files(settings: DataSettings) -> list[Path]:
    """The files and folders that the corpora come from, where they are large and hold texts."""
    at = {"root": settings.root or None, "test": settings.test or None}
    try:
        files = places(settings.corpus, **at)
        files += [Path(settings.unlabelled)] if settings.unlabelled and files else []
        inner = [x for path in files for x in (path.rglob("*") if path.is_dir() else [path])]
        size = sum(x.stat().st_size for x in inner if x.is_file())
    except (InputError, OSError):  # is told where they are read
        return []
    return files if size >= LARGE and files[0].suffix != ".npz" else []


def _checksums(path: Path) -> list[str]:
    below = sorted(x for x in path.rglob("*") if x.is_dir()) if path.is_dir() else []
    return [f"{x.relative_to(path)} {checksum(x)}" for x in (path, *below)]


def _store(columns: Columns, corpus: Corpus, number: int) -> dict[str, Any]:
    """Adds rows to columns; what else there is of them, as JSON has it."""
    for name in ("texts", "ids", "pairs"):
        if getattr(corpus, name) is not None:
            store(columns, f"{number}.{name}", getattr(corpus, name))
    columns.add(f"{number}.labels", corpus.labels)
    return {
        x: getattr(corpus, x) for x in ("label_names", "name", "replacements", "source", "notes")
    }


def _stored(arrays: dict[str, np.ndarray], about: dict[str, Any], number: int) -> Corpus:
    texts, ids, pairs = (
        stored(arrays, f"{number}.{name}") if f"{number}.{name}" in arrays else None
        for name in ("texts", "ids", "pairs")
    )
    assert texts is not None and ids is not None
    labels = np.array(arrays[f"{number}.labels"])
    return Corpus(texts, labels, ids=ids, pairs=pairs, **{**about, "notes": tuple(about["notes"])})


def _load_corpora(
    settings: DataSettings, train: Corpus | None = None, test: Corpus | None = None
) -> tuple[Corpus, Corpus | None, list[str]]:
    entry = CATALOGUE.get(settings.corpus) if train is None else None
    if train is None:
        train, test = load_any(
            settings.corpus, settings, root=settings.root or None, test=settings.test or None
        )
    notes = [*train.notes, *(test.notes if test is not None else ())]
    replaced = train.replacements + (test.replacements if test is not None else 0)
    if replaced:
        notes.append(f"{replaced} characters were not valid UTF-8 and were replaced")
    if settings.drop_duplicates:
        train, dropped = drop_duplicates(train)
        rows = "rows" if train.rows == "vectors" else "texts"
        notes.append(f"{dropped} duplicate {rows} left out of {train.name}")
    if test is None and settings.test_per_class:
        # One fixed test part for all split seeds: only what is learned from may vary.
        rest, held = hold_out(train.labels, settings.test_per_class, 0, train.label_names)
        train, test = train.select(rest), train.select(held)
    if settings.unlabelled:
        options = replace(settings, labels=False)
        more = read_corpus(settings.unlabelled, options, name="unlabelled")
        train, notes = train.extended(more), [*notes, *more.notes]
    if test is not None:
        test = align_labels(train, test)
        leaks = duplicates(train, test)
        if leaks:
            rows = "rows" if train.rows == "vectors" else "texts"
            notes.append(
                f"{len({t for _, t in leaks})} test {rows} are also in the training part, the "
                f"first as row {train.ids[leaks[0][0]]!r}"
            )
    if settings.templates:
        words = settings.class_words or (entry.class_words if entry else ())
        train = with_templates(train, settings.templates, words)
    return train, test, notes


def prepare_data(
    settings: DataSettings,
    need_unlabelled: bool,
    train: Corpus | None = None,
    test: Corpus | None = None,
    need_labels: bool = True,
) -> Data:
    """Loads the corpus that the settings name, or takes the given one, and splits it.

    Args:
        settings: see `DataSettings`.
        need_unlabelled: refuse an empty pool.
        train: the training rows, instead of those that the settings name.
        test: the test rows, with `train`.
        need_labels: refuse a class without a labelled row; else `data.label_names` may name such.

    Raises:
        InputError: bad rows, too few of them, one class only, a test part without labels, scores
            where classes are needed.
    """
    if train is None and test is not None:
        raise InputError("test is given without corpus: give both, or let the recipe name both.")
    train, test, notes = load_corpora(settings, train, test)
    if train.target == "scores":
        _check_regression(settings, train)
    elif train.classes < 2:
        if not (need_labels or train.classes):
            raise InputError(
                f"{train.source or train.name or 'the corpus'} has no labels at all: name the "
                "classes in data.label_names."
            )
        raise InputError(
            f"{train.source or train.name or 'the corpus'} has only one class "
            f"({', '.join(train.label_names) or 'no labels at all'}): a classifier needs two."
        )
    if test is not None and not test.labelled.any():
        raise InputError(
            f"the test part {test.source or test.name} has no labels to score with: add them, or "
            "leave it out."
        )
    drawn = len(train) - len(settings.templates) * train.classes
    labels = train.labels[:drawn]
    if not (need_labels or {*range(train.classes)} <= {*labels}):
        rows = _as_they_are(settings, labels, train.label_names)
    elif settings.split == "official":
        rows = official_split(
            labels,
            settings.labels_per_class,
            settings.unlabelled_per_class or OFFICIAL_POOL,
            label_names=train.label_names,
        )
    else:
        rows = split(
            labels,
            settings.labels_per_class,
            settings.dev_per_class,
            settings.unlabelled_per_class or None,
            pool=settings.pool,
            seed=settings.split_seed,
            need_unlabelled=need_unlabelled,
            label_names=train.label_names,
            labelled_share=settings.labelled_share,
            dev_share=settings.dev_share,
        )
        known = train.target == "classes" and (train.labels[rows.unlabelled] >= 0).any()
        if need_unlabelled and settings.pool == "balanced" and known:
            notes.append(
                "the pool is balanced by its labels, which a real task does not have and which are "
                "not counted: data.pool = 'natural' does without"
            )
    if settings.corrupt:
        noisy = corrupt_labels(
            train.labels, rows.labelled, settings.corrupt, train.classes, settings.split_seed
        )
        notes.append(
            f"{settings.corrupt:g} of the labels of {len(rows.labelled)} rows were drawn at random;"
            f" {(noisy != train.labels).sum()} of them are now others"
        )
        train = replace(train, labels=noisy)
    rows = replace(rows, templates=np.arange(drawn, len(train)))
    return Data(train, test, rows, notes)


def _as_they_are(settings: DataSettings, labels: np.ndarray, names: Sequence[str]) -> Split:
    """All that is labelled, whichever classes are there, and a natural pool of the rest."""
    for name, plain in (
        ("labels_per_class", 0), ("labelled_share", 1.0), ("dev_share", 0.0), ("dev_per_class", 0)
    ):  # fmt: skip
        value = getattr(settings, name)
        if value != plain:
            lacking = np.flatnonzero(~np.isin(np.arange(len(names)), labels))
            raise InputError(
                f"data.{name} is {value}, but class '{names[lacking[0]]}' has no "
                f"labelled row at all: set it to {plain:g}, or label some rows of each class."
            )
    known = has_label(labels)
    free = np.random.default_rng(settings.split_seed).permutation(np.flatnonzero(~known))
    most = len(names) * settings.unlabelled_per_class or len(free)
    return Split(np.flatnonzero(known), free[:most], np.empty(0))


def _check_regression(settings: DataSettings, train: Corpus) -> None:
    name = train.source or train.name or "the corpus"
    if not train.labelled.any():
        raise InputError(f"{name} has no scores at all: check the label column.")
    if settings.corrupt:
        raise InputError(
            f"data.corrupt is {settings.corrupt} but {name} has scores: labels are corrupted by "
            "another class, which scores do not have; set data.corrupt to 0."
        )
