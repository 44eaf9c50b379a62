"""From settings to tagged sentences: which are labelled, which make the pool."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, ClassVar, Literal, get_args

import numpy as np
from annotated_types import Ge

from mixtext.data.corpus import MISSING
from mixtext.data.read.options import (
    HEARD,
    UNSAID,
    ReadOptions,
    refuse_unknown_encoding,
)
from mixtext.errors import InputError
from mixtext.settings import Cell, Settings
from mixtext.tagging.conll import read_conll
from mixtext.tagging.corpus import TaggedCorpus, align_tags, check_entities
from mixtext.tagging.tags import OUTSIDE, OnFault, Scheme


@dataclass(frozen=True)
class TagDataSettings(Settings):
    """The CoNLL files and what is labelled in them.

    Attributes:
        corpus: path of the training sentences.
        pool: path of sentences without labels, to query; empty: those of `corpus` that are not
            labelled, or not labelled at the start.
        dev: path of sentences to select weights on; empty: none.
        test: path of the test sentences; empty: none.
        token: column of the tokens, a number from 0 or a name.
        tag: column of the tags, a number (from the end if negative) or a name.
        columns: names of the columns, where the files do not name them.
        scheme: of the tags: `bio`, `iob1`, `bioes`, `bilou` or, where
            they are types alone, `io`.
        on_fault: `repair` and count tags that the scheme does not allow where they stand, such as
            an entity that begins with I-, or `refuse` them.
        encoding: of the files, such as `cp1252`; empty: UTF-8 or, where a mark says so, UTF-16.
        encoding_errors: `strict` refuses broken characters, `replace` replaces them.
        labelled: sentences that are labelled at the start, drawn by `split_seed`; 0: all that have
            labels.
        pool_size: sentences of the pool, drawn likewise; 0: all.
        split_seed: of these draws.
    """

    name: ClassVar[str] = "data"
    paths: ClassVar[tuple[str, ...]] = ("corpus", "pool", "dev", "test")

    corpus: str = ""
    pool: str = ""
    dev: str = ""
    test: str = ""
    token: Cell = "0"
    tag: Cell = "-1"
    columns: tuple[Cell, ...] = ()
    scheme: Scheme = "bio"
    on_fault: OnFault = "repair"
    encoding: str = ""
    encoding_errors: Literal["strict", "replace"] = "strict"
    labelled: Annotated[int, Ge(0)] = 0
    pool_size: Annotated[int, Ge(0)] = 0
    split_seed: Annotated[int, Ge(0)] = 0

    def __post_init__(self) -> None:
        """Refuses an encoding that there is not."""
        super().__post_init__()
        refuse_unknown_encoding(self.encoding, self.called("encoding"))


@dataclass(frozen=True)
class TagData:
    """What a tagger learns from and is scored on; all parts have the same tag names.

    Attributes:
        seed: the sentences that are labelled at the start.
        pool: the sentences that may be queried, with their gold labels where `corpus` has some.
        parts: `dev` and `test`, where there are such.
        notes: sentences about what was found.
    """

    seed: TaggedCorpus
    pool: TaggedCorpus
    parts: dict[str, TaggedCorpus]
    notes: list[str]


def load_tag_data(settings: TagDataSettings) -> TagData:
    """Reads and splits the sentences.

    A sentence that occurs twice is taken once: to label it again would be a waste, and no sentence
    of the seed set is in the pool under another id.

    Raises:
        InputError: bad files, too few sentences, no entity at all.
    """
    corpus = read_tagged(settings, settings.corpus)
    notes = _found(corpus)
    parts = {}
    for part in ("dev", "test"):
        if path := getattr(settings, part):
            parts[part] = align_tags(corpus, read_tagged(settings, path))
            notes += _found(parts[part])
            if not parts[part].labelled.any():
                raise InputError(f"{path} has no labelled sentence to score on: add tags.")
    labelled = np.flatnonzero(corpus.labelled)
    once = _first_of_each(corpus, labelled)
    if len(once) < len(labelled):
        notes.append(f"{len(labelled) - len(once)} training sentences occur again: left out")
    order = np.random.default_rng([settings.split_seed, 5]).permutation(once)
    count = settings.labelled or len(order)
    if count > len(order):
        raise InputError(
            f"data.labelled is {count}, but {settings.corpus} has {len(order)} different labelled "
            "sentences: lower it."
        )
    blank = _first_of_each(corpus, np.flatnonzero(~corpus.labelled))
    seed = corpus.select(order[:count])
    rest = corpus.select([*order[count:], *blank])
    check_entities(seed)
    if settings.pool:
        pool = read_tagged(settings, settings.pool, labels=False)
        pool = replace(pool, tag_names=corpus.tag_names)
        known = {tuple(words) for words in seed.sentences}
        new = [i for i in _first_of_each(pool, np.arange(len(pool)))
               if tuple(pool.sentences[i]) not in known]  # fmt: skip
        rest = pool.select(np.random.default_rng([settings.split_seed, 6]).permutation(new))
        rest = replace(rest, ids=[f"pool/{one}" for one in rest.ids])
    pool_size = settings.pool_size or len(rest)
    if pool_size > len(rest):
        raise InputError(
            f"data.pool_size is {pool_size}, but only {len(rest)} sentences are left for the pool: "
            "lower it."
        )
    return TagData(seed, rest.select(range(pool_size)), parts, notes)


def read_tagged(
    settings: TagDataSettings,
    path: str,
    labels: bool = True,
    called: Callable[[str], str] | None = None,
) -> TaggedCorpus:
    """Reads a CoNLL file as the settings say; without `labels` its tags are not looked at.

    `called` is what messages call the options, if not fields of a recipe.
    """
    return read_conll(
        path,
        _column(settings.tag) if labels else None,
        _column(settings.token),
        columns=settings.columns,
        scheme=settings.scheme,
        on_fault=settings.on_fault,
        encoding=settings.encoding,
        encoding_errors=settings.encoding_errors,
        called=called or settings.called,
    )


def discover(
    corpus: str, options: ReadOptions = UNSAID, test: str = ""
) -> tuple[TagDataSettings, TaggedCorpus, TaggedCorpus | None]:
    """Reads CoNLL files of which no recipe says how: the scheme is the one that fits best.

    Returns:
        What a recipe would say, the sentences, and those of `test` if it is given.

    Raises:
        InputError: as `read_conll`, `heed` and `align_tags`.
    """
    plain = heed(TagDataSettings(corpus=corpus, test=test), options, corpus)
    called = called_of(options)
    settings, train = read_by_tags(plain, corpus, called)
    if not test:
        return settings, train, None
    return settings, train, align_tags(train, read_tagged(settings, test, called=called))


def read_by_tags(
    plain: TagDataSettings, corpus: str, called: Callable[[str], str]
) -> tuple[TagDataSettings, TaggedCorpus]:
    """Reads a CoNLL file by the scheme that fits its tags best, whatever the settings say of it.

    That is the one with the fewest tags that would have to be repaired; of equals the first of
    BIO, IOB1, BIOES, BILOU and, where nothing else fits and some tag is O, IO.

    Raises:
        InputError: as `read_conll`; no scheme fits.
    """
    found: list[tuple[TagDataSettings, TaggedCorpus]] = []
    refused: InputError | None = None
    for scheme in get_args(Scheme):
        if scheme == "io" and found:  # it takes any tag without a prefix
            break
        settings = replace(plain, scheme=scheme)
        try:
            read = read_tagged(settings, corpus, called=called)
        except InputError as error:  # such as a tag that this scheme does not have
            refused = refused or error
            continue
        if scheme != "io" or _has_outside(read):  # parts of speech are no entities
            found.append((settings, read))
        if found and not found[-1][1].repaired:
            break
    if not found:
        assert refused is not None
        raise refused
    return min(found, key=lambda one: one[1].repaired)


def _has_outside(corpus: TaggedCorpus) -> bool:
    outside = corpus.tag_names.index(OUTSIDE) if OUTSIDE in corpus.tag_names else MISSING
    return any(bool((tags == outside).any()) for tags in corpus.tags if outside != MISSING)


def called_of(options: ReadOptions) -> Callable[[str], str]:
    """What the user calls the settings of a CoNLL file who gave options for them."""
    names = {"token": "text", "tag": "label"}
    return lambda name: options.called(names.get(name, name))


def heed(settings: TagDataSettings, options: ReadOptions, path: str | Path) -> TagDataSettings:
    """The settings with what options of a command say of a CoNLL file put in.

    Raises:
        InputError: an option that has no meaning there, tokens in two columns.
    """
    options.refuse_unheard(HEARD["conll"], f"{path} is a CoNLL file, where it has no meaning")
    if len(options.text) > 1:
        raise InputError(
            f"{options.called('text')} is {list(options.text)}, but the tokens of {path} are in "
            "one column: name it alone."
        )
    return replace(
        settings,
        token=options.text[0] if options.text else settings.token,
        tag=options.label or settings.tag,
        encoding=options.encoding or settings.encoding,
        encoding_errors=options.encoding_errors or settings.encoding_errors,
    )


def _column(text: str) -> int | str:
    return int(text) if text.lstrip("-").isdigit() else text


def _found(corpus: TaggedCorpus) -> list[str]:
    counts = {
        f"tags of {corpus.source} were at odds with their scheme: repaired": corpus.repaired,
        f"characters of {corpus.source} were not valid UTF-8 and were replaced": (
            corpus.replacements
        ),
    }
    return [*corpus.notes, *(f"{count} {what}" for what, count in counts.items() if count)]


def _first_of_each(corpus: TaggedCorpus, rows: np.ndarray) -> np.ndarray:
    seen: dict[tuple[str, ...], int] = {}
    for row in rows.tolist():
        seen.setdefault(tuple(corpus.sentences[row]), row)
    return np.array([*seen.values()], dtype=np.int64)
