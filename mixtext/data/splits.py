"""Splits of the training corpus: a small labelled set, an unlabelled pool, a dev set.

All functions give row numbers, so a split can be stored, compared and applied to views alike.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields

import numpy as np

from mixtext.data.corpus import Corpus
from mixtext.data.labels import has_label, target_of
from mixtext.errors import InputError

# The official code cuts every shuffled class at fixed places: 500 rows for labels, then the
# pool, then the rest for labels, and the last 2,000 for dev.
OFFICIAL_HEAD, OFFICIAL_POOL, OFFICIAL_DEV = 500, 5000, 2000
OFFICIAL_POOL_OF_TEN = 10000  # with exactly 10 classes (Yahoo!) the rest starts 5,000 rows later

_NOISE = 1  # keeps the stream of corrupted labels apart from that of the split


Key = str | tuple[str, str] | bytes


@dataclass(frozen=True, eq=False)
class Split:
    """Row numbers into the training corpus, int64, no row in two of them.

    Attributes:
        labelled: rows whose labels may be used, shape `(C * labels_per_class,)`, or more where
            all or a share of them are.
        unlabelled: rows whose labels must not be used, shape `(U,)`.
        dev: rows to choose checkpoints and settings by, shape `(C * dev_per_class,)`.
        templates: rows that say the classes, see `data/templates.py`; they are no labels that
            somebody gave.
    """

    labelled: np.ndarray
    unlabelled: np.ndarray
    dev: np.ndarray
    templates: np.ndarray = field(default_factory=lambda: np.empty(0))

    def __post_init__(self) -> None:
        for part in fields(self):
            object.__setattr__(self, part.name, np.asarray(getattr(self, part.name), np.int64))

    @property
    def learned(self) -> np.ndarray:
        """The labelled rows and, behind them, those of templates."""
        return np.concatenate([self.labelled, self.templates])


def split(
    labels: np.ndarray,
    labels_per_class: int,
    dev_per_class: int = 0,
    unlabelled_per_class: int | None = None,
    *,
    pool: str = "balanced",
    seed: int = 0,
    need_unlabelled: bool = False,
    label_names: Sequence[str] | None = None,
    labelled_share: float = 1.0,
    dev_share: float = 0.0,
) -> Split:
    """Draws a class-balanced labelled set and dev set, and an unlabelled pool from the rest.

    Label budgets nest: with one seed, the labelled rows for 3 a class are the first rows of those
    for 10 a class, dev is the same, and the pool changes only where the larger budget takes rows
    from it. So a curve over budgets shows the labels' worth and not another draw. Shares nest as
    budgets do.

    Scores have no classes: all rows with a score are one class, and any pool is natural.

    The two pools:
        balanced: the same number from every class, as in the paper. It uses the labels of the
            pool, which a real task does not have. With None it is as large as the smallest
            class's rest. Rows without a label cannot be balanced: if no labelled row is left over
            they are the pool, if some are left over the draw is refused.
        natural: C * unlabelled_per_class rows of the rest whatever their class, rows without a
            label among them. With None it is all the rest.

    Args:
        labels: classes of the corpus, -1 = missing, or scores, NaN = missing; shape `(N,)`.
        labels_per_class: labelled rows a class; 0: `labelled_share` of all but dev, however many
            a class has. What is left is the pool's.
        dev_per_class: dev rows a class, ≥ 0.
        unlabelled_per_class: pool rows a class, ≥ 0; None: as many as there are.
        pool: "balanced" or "natural".
        seed: seed of the draw.
        need_unlabelled: refuse an empty pool.
        label_names: the C names, for messages, and so that a class without rows is noticed.
        labelled_share: with `labels_per_class` 0, the share of each class's rows behind dev that
            are labelled, in (0, 1], rounded up.
        dev_share: share of each class's labelled rows that is dev instead, in [0, 1), to the
            nearest row, at least one. What is labelled and what is dev together is what would be
            labelled without it.

    Raises:
        InputError: a class with too few rows, fewer than two classes, a pool smaller than asked
            for, or empty where one is needed.
    """
    labels, names = _classes(labels, label_names)
    if len(names) == 1:
        pool = "natural"
    generator = np.random.default_rng(seed)
    # Every draw comes before any number is looked at, so that budgets share them.
    shuffled = [generator.permutation(np.flatnonzero(labels == c)) for c in range(len(names))]
    everyone = generator.permutation(len(labels))
    everything = labels_per_class == 0
    first = dev_per_class + (labels_per_class or 1)
    for name, rows in zip(names, shuffled, strict=True):
        if len(rows) < first:
            raise InputError(
                f"class '{name}' has {len(rows)} labelled rows, too few for labels_per_class "
                f"{labels_per_class or '0 (all, at least 1)'} and dev_per_class "
                f"{dev_per_class}: lower one of them"
                + ("." if everything else ", or take all labels with labels_per_class = 0.")
            )
    dev = [rows[:dev_per_class] for rows in shuffled]
    if everything:
        ends = [
            dev_per_class + _share(labelled_share, len(rows) - dev_per_class) for rows in shuffled
        ]
    else:
        ends = [first] * len(shuffled)
    given = [rows[dev_per_class:end] for rows, end in zip(shuffled, ends, strict=True)]
    # Backwards: a larger budget takes rows from the front, so the pool is hit last.
    rest = [rows[end:][::-1] for rows, end in zip(shuffled, ends, strict=True)]
    if dev_share:
        sizes = [max(1, round(dev_share * len(rows))) for rows in given]
        for name, rows, size in zip(names, given, sizes, strict=True):
            if size >= len(rows):
                raise InputError(
                    f"class '{name}' has {len(rows)} labels, and dev_share {dev_share} leaves none "
                    "of them to learn from: lower it or add labels."
                )
        dev = [rows[-size:] for rows, size in zip(given, sizes, strict=True)]
        given = [rows[:-size] for rows, size in zip(given, sizes, strict=True)]
    join = np.concatenate if everything else _by_turns
    split_dev = np.concatenate(dev) if everything and dev_share else _by_turns(dev)
    labelled = join(given)
    free = everyone[~np.isin(everyone, np.concatenate([split_dev, labelled]))]
    if pool == "natural":
        unlabelled = _first(free, unlabelled_per_class, len(names), "pool 'natural'")
    elif len(missing := free[labels[free] < 0]) == 0:
        unlabelled = _balanced(rest, unlabelled_per_class, names)
    elif len(missing) == len(free):
        unlabelled = _first(missing, unlabelled_per_class, len(names), "the rows without a label")
    else:
        raise InputError(
            f"pool 'balanced' needs the labels of the pool, but {len(missing)} of its {len(free)} "
            "rows have none: choose pool 'natural'."
        )
    if need_unlabelled and len(unlabelled) == 0:
        if len(free):
            way_out = "choose pool 'natural'"  # a class has no row left, others have
        elif everything:
            way_out = "give labels_per_class, so that other rows go without their labels"
        else:
            way_out = "lower labels_per_class or dev_per_class"
        raise InputError(
            "the unlabelled pool is empty but the method needs one: add texts without labels, or "
            f"{way_out}."
        )
    return Split(labelled, unlabelled, split_dev)


def hold_out(
    labels: np.ndarray, per_class: int, seed: int = 0, label_names: Sequence[str] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Cuts a class-balanced part out, for a corpus without an official test part.

    Args:
        labels: classes, -1 = missing, or scores, NaN = missing; shape `(N,)`.
        per_class: rows a class in the part, of scores rows in all, ≥ 1.
        seed: seed of the draw.
        label_names: the C names, for messages.

    Returns:
        The rest, with all rows without a label, and the part: row numbers in ascending order,
        int64.

    Raises:
        InputError: a class that would have no row left, or fewer than two classes.
    """
    labels, names = _classes(labels, label_names)
    generator = np.random.default_rng(seed)
    held = []
    for c, name in enumerate(names):
        rows = generator.permutation(np.flatnonzero(labels == c))
        if len(rows) <= per_class:
            raise InputError(
                f"class '{name}' has {len(rows)} rows, so holding {per_class} out leaves none: "
                "lower test_per_class or add rows."
            )
        held.append(rows[:per_class])
    part = np.sort(np.concatenate(held))
    return np.setdiff1d(np.arange(len(labels)), part), part


def corrupt_labels(
    labels: np.ndarray, rows: np.ndarray, share: float, classes: int, seed: int = 0
) -> np.ndarray:
    """Replaces the labels of some rows by noise (mixup, arXiv 1710.09412, section 4.4).

    The noise is a class drawn uniformly from all, so one in C rows keeps its label by chance. With
    one seed a larger share corrupts the rows of a smaller one, and those alike, and others too.

    Args:
        labels: classes of the corpus, int64, shape `(N,)`.
        rows: the labelled rows; no other is touched.
        share: share of `rows` that is replaced, in [0, 1], to the nearest row.
        classes: C.
        seed: seed of the draw.

    Returns:
        The labels with the noise, a copy.
    """
    generator = np.random.default_rng([seed, _NOISE])
    # Drawn for the whole corpus, so that neither share nor label budget moves anything.
    order, noise = generator.permutation(len(labels)), generator.integers(classes, size=len(labels))
    chosen = order[np.isin(order, rows)][: round(share * len(rows))]
    corrupted = labels.copy()
    corrupted[chosen] = noise[chosen]
    return corrupted


def official_split(
    labels: np.ndarray,
    labels_per_class: int,
    unlabelled_per_class: int = OFFICIAL_POOL,
    seed: int = 0,
    label_names: Sequence[str] | None = None,
) -> Split:
    """The split of the official MixText code, row for row (GT-SALT/MixText, f17198d).

    Each class is shuffled by NumPy's legacy generator and cut: labelled from idx[:500] and then
    idx[5500:-2000], pool from idx[500:5500], dev idx[-2000:]. With exactly 10 classes the second
    piece starts at 10500. The three lists are then shuffled. The official code always uses seed 0.
    Rows without a label are in none of them.

    Args:
        labels: classes of the official train file in its own order, shape `(N,)`.
        labels_per_class: labelled rows a class, ≥ 1.
        unlabelled_per_class: pool rows a class, at most 5,000, or 10,000 with 10 classes.
        seed: seed of the legacy generator.
        label_names: the C names, for messages.

    Raises:
        InputError: a class with fewer than 7,500 rows, or with too few for `labels_per_class`, or
            a pool that would reach into the labelled rows.
    """
    labels, names = _classes(labels, label_names)
    if len(names) == 1:
        raise InputError(
            "the official split is one of classes, but the labels are scores: use the ordinary "
            "split."
        )
    most = OFFICIAL_POOL_OF_TEN if len(names) == 10 else OFFICIAL_POOL
    if not 0 <= unlabelled_per_class <= most:
        raise InputError(
            f"unlabelled_per_class is {unlabelled_per_class}: the official split of {len(names)} "
            f"classes has a pool of 0 to {most} rows a class; lower it or use the ordinary split."
        )
    restart = OFFICIAL_HEAD + most
    needed = OFFICIAL_HEAD + max(OFFICIAL_POOL, unlabelled_per_class) + OFFICIAL_DEV
    if labels_per_class > OFFICIAL_HEAD:
        needed = max(needed, restart + labels_per_class - OFFICIAL_HEAD + OFFICIAL_DEV)
    # The legacy generator is part of what is reproduced; it is local, so nothing else sees it.
    generator = np.random.RandomState(seed)
    parts: tuple[list[np.ndarray], ...] = ([], [], [])
    for c, name in enumerate(names):
        rows = np.flatnonzero(labels == c)
        if len(rows) < needed:
            raise InputError(
                f"class '{name}' has {len(rows)} rows but the official split with "
                f"labels_per_class {labels_per_class} needs at least {needed} in every class: "
                "use the full train file or the ordinary split."
            )
        generator.shuffle(rows)
        candidates = np.concatenate([rows[:OFFICIAL_HEAD], rows[restart:-OFFICIAL_DEV]])
        parts[0].append(candidates[:labels_per_class])
        parts[1].append(rows[OFFICIAL_HEAD : OFFICIAL_HEAD + unlabelled_per_class])
        parts[2].append(rows[-OFFICIAL_DEV:])
    labelled, unlabelled, dev = (np.concatenate(x) for x in parts)
    for part in (labelled, unlabelled, dev):
        generator.shuffle(part)
    return Split(labelled, unlabelled, dev)


def duplicates(train: Corpus, test: Corpus) -> list[tuple[int, int]]:
    """Pairs of rows with the same text, pair of texts (spaces and line ends apart) or vector.

    Returns:
        Every `(train_row, test_row)`, ordered by test row and then by train row.
    """
    rows: dict[Key, list[int]] = {}
    for i, key in enumerate(row_keys(train)):
        rows.setdefault(key, []).append(i)
    return [(i, j) for j, key in enumerate(row_keys(test)) for i in rows.get(key, ())]


def drop_duplicates(corpus: Corpus) -> tuple[Corpus, int]:
    """Keeps the first row of every text, pair of texts (spaces and line ends apart) or vector.

    Returns:
        The corpus without the others, and how many they were.
    """
    seen: dict[Key, int] = {}
    for i, key in enumerate(row_keys(corpus)):
        seen.setdefault(key, i)
    return corpus.select(seen.values()), len(corpus) - len(seen)


def row_keys(corpus: Corpus) -> list[Key]:
    """What makes a row the same as another: text or texts, normalised, or vector; N of them."""
    if corpus.vectors is not None:
        # + 0 makes -0 into 0, whose bytes differ.
        return [x.tobytes() for x in corpus.vectors + 0.0]
    if corpus.pairs is None:
        return [normalise(x) for x in corpus.texts]
    both = zip(corpus.texts, corpus.pairs, strict=True)
    return [(normalise(x), normalise(y)) for x, y in both]


def normalise(text: str) -> str:
    """The text with every run of white space made one space and none at its ends."""
    return " ".join(text.split())


def _classes(labels: np.ndarray, label_names: Sequence[str] | None) -> tuple[np.ndarray, list[str]]:
    """Classes 0 to C - 1, of which there must be two, and their names.

    Scores are one class, so that a split treats them as it treats classes.
    """
    labels = np.asarray(labels)
    if target_of(labels) == "scores":
        return np.where(has_label(labels), 0, -1), ["any score"]
    classes = int(labels.max(initial=-1)) + 1
    names = [str(c) for c in range(classes)] if label_names is None else list(label_names)
    if classes > len(names):
        raise InputError(
            f"a row has label {classes - 1} but there are {len(names)} label_names: name them all."
        )
    if len(names) < 2:
        raise InputError(
            f"the labels hold {len(names)} class(es), but a classifier needs two: check the label "
            "column."
        )
    return labels, names


def _share(share: float, rows: int) -> int:
    """The share of the rows, rounded up; 0.1 of 30 is 3, whatever floating point makes of it."""
    return math.ceil(round(share * rows, 9))


def _by_turns(groups: list[np.ndarray]) -> np.ndarray:
    """Equal groups merged in turns, so that a smaller budget is a prefix of a larger one."""
    return np.stack(groups).T.reshape(-1)


def _balanced(rest: list[np.ndarray], per_class: int | None, names: list[str]) -> np.ndarray:
    smallest = min(range(len(rest)), key=lambda c: len(rest[c]))
    most = len(rest[smallest])
    if per_class is not None and per_class > most:
        raise InputError(
            f"class '{names[smallest]}' has {most} rows left for the pool, fewer than "
            f"unlabelled_per_class {per_class}: lower it, or choose pool 'natural'."
        )
    size = most if per_class is None else per_class
    return _by_turns([rows[:size] for rows in rest])


def _first(rows: np.ndarray, per_class: int | None, classes: int, what: str) -> np.ndarray:
    wanted = len(rows) if per_class is None else classes * per_class
    if wanted > len(rows):
        raise InputError(
            f"{what}: {len(rows)} rows are left but unlabelled_per_class {per_class} with "
            f"{classes} classes asks for {wanted}: lower it."
        )
    return rows[:wanted]
