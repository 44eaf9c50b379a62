"""Tagged sentences, checked: what CoNLL files are read into, and lists."""

import hashlib
import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mixtext.data.corpus import MISSING
from mixtext.errors import InputError
from mixtext.tagging.tags import (
    OUTSIDE,
    ZERO,
    OnFault,
    Scheme,
    bio_names,
    kinds_of,
    scheme_of,
    split_tag,
    to_bio,
)


@dataclass(frozen=True, eq=False)
class TaggedCorpus:
    """N sentences. Build one with `from_lists` or `read_conll`, which check it.

    Attributes:
        sentences: the tokens of each sentence, N lists, none of them empty.
        tags: for each sentence the indices of its tokens' tags in `tag_names`, int64, shape
            `(T,)`; all −1 where the sentence is not labelled.
        tag_names: names of the BIO tags, C of them, `O` first.
        ids: N unique sentence ids that stay the same when sentences are selected.
        name: what tables call this corpus.
        source: where the sentences were read from.
        repaired: tags that their scheme did not allow where they stood and that were repaired, in
            the whole source.
        skipped: document marks that were left out, in the whole source.
        replacements: characters that were not valid UTF-8 and were replaced, in the whole source.
        notes: sentences about what else was found in the source.
    """

    sentences: list[list[str]]
    tags: list[np.ndarray]
    tag_names: list[str]
    ids: list[str]
    name: str = ""
    source: str = ""
    repaired: int = 0
    skipped: int = 0
    replacements: int = 0
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.sentences)

    @property
    def labelled(self) -> np.ndarray:
        """Which sentences are labelled, bool, shape `(N,)`."""
        return np.array([bool((tags >= 0).all()) for tags in self.tags], dtype=bool)

    def named(self, row: int) -> list[str]:
        """The tag names of sentence `row`, which must be labelled."""
        return [self.tag_names[tag] for tag in self.tags[row]]

    def select(self, indices: Iterable[int] | np.ndarray) -> "TaggedCorpus":
        """The sentences at `indices`, in that order, with their ids and all the tag names."""
        rows = [int(i) for i in indices]
        return replace(
            self,
            sentences=[self.sentences[i] for i in rows],
            tags=[self.tags[i] for i in rows],
            ids=[self.ids[i] for i in rows],
        )

    def checksum(self) -> str:
        """SHA-256 over ids, tokens, tags and tag names, as 64 hex digits; not the name."""
        digest = hashlib.sha256()
        for part in (self.ids, self.tag_names, *self.sentences):
            # The counts and lengths keep ["ab"] apart from ["a", "b"].
            digest.update(struct.pack("<q", len(part)))
            for item in part:
                raw = item.encode("utf-8", "surrogatepass")
                digest.update(struct.pack("<q", len(raw)))
                digest.update(raw)
        for tags in self.tags:
            digest.update(np.ascontiguousarray(tags, dtype="<i8").tobytes())
        return digest.hexdigest()

    @classmethod
    def from_lists(
        cls,
        sentences: Sequence[Sequence[str]],
        tags: Sequence[Sequence[str] | None] | None = None,
        ids: Sequence[str] | None = None,
        tag_names: Sequence[str] | None = None,
        scheme: Scheme = "bio",
        on_fault: OnFault = "repair",
        name: str = "",
    ) -> "TaggedCorpus":
        """Checks the sentences and builds a corpus.

        Args:
            sentences: the tokens of N sentences.
            tags: for each sentence one tag a token, or None where it is not labelled; None: no
                sentence is.
            ids: N unique sentence ids; None: "0", "1", …
            tag_names: the BIO tags, `O` first; None: those of the entity types that occur.
            scheme: of `tags`.
            on_fault: repair and count a tag that the scheme does not allow where it stands, as an
                entity that begins with I-, or refuse it.
            name: what tables call this corpus.

        Raises:
            InputError: no sentences, an empty sentence or token, lengths that differ, an id twice,
                a tag that is unknown or refused.
        """
        where = f"corpus '{name}'" if name else "the corpus"
        if not sentences:
            raise InputError(f"{where} has no sentences: give it at least one.")
        given = [None] * len(sentences) if tags is None else list(tags)
        row_ids = [str(i) for i in (range(len(sentences)) if ids is None else ids)]
        for what, values in (("tag lists", given), ("ids", row_ids)):
            if len(values) != len(sentences):
                raise InputError(
                    f"{where} has {len(sentences)} sentences but {len(values)} {what}: give each "
                    "sentence one."
                )
        marked = []
        for row, (tokens, its) in enumerate(zip(sentences, given, strict=True)):
            spot = f"sentence '{row_ids[row]}' of {where}"
            if not tokens or not all(isinstance(x, str) and x.strip() for x in tokens):
                raise InputError(f"{spot} is empty or has an empty token: fill it or leave it out.")
            if its is not None and len(its) != len(tokens):
                raise InputError(
                    f"{spot} has {len(tokens)} tokens but {len(its)} tags: give each token one."
                )
            places = [f"token {n + 1} ('{token}') of {spot}" for n, token in enumerate(tokens)]
            marked.append(Sentence(list(tokens), None if its is None else list(its), places))
        return build(marked, row_ids, tag_names, scheme, on_fault, name, where)


@dataclass
class Sentence:
    """A sentence on its way in: tokens, raw tags or None, and how a message calls each token."""

    tokens: list[str]
    tags: list[str] | None
    places: list[str]


def build(
    marked: list[Sentence],
    ids: list[str],
    tag_names: Sequence[str] | None,
    scheme: Scheme,
    on_fault: OnFault,
    name: str,
    where: str,
    called: Callable[[str], str] = str,
) -> TaggedCorpus:
    """Checks and converts the tags of sentences whose shape is sound."""
    seen: set[str] = set()
    for one in ids:
        if one in seen:
            raise InputError(f"two sentences of {where} have the id '{one}': give each its own.")
        seen.add(one)
    repaired = 0
    bio: list[list[str] | None] = []
    for sentence in marked:
        if sentence.tags is None:
            bio.append(None)
            continue
        for place, tag in zip(sentence.places, sentence.tags, strict=True):
            try:
                split_tag(tag, scheme)
            except InputError as error:
                fits = scheme_of({x for one in marked for x in one.tags or ()})
                advice = f"set {called('scheme')} to '{fits}'" if fits else "correct it"
                advice += f", or name another column with {called('tag')}"
                advice = "" if tag == ZERO else f": {advice}."
                raise InputError(f"{place}: {str(error).rstrip('.')}{advice or '.'}") from None
        converted, faults = to_bio(sentence.tags, scheme)
        if faults and on_fault == "refuse":
            fault = faults[0]
            raise InputError(
                f"{sentence.places[fault.position]}: {fault.reason}, which the scheme {scheme} "
                "does not allow; correct it, name the right scheme, or let such tags be repaired."
            )
        repaired += len(faults)
        bio.append(converted)
    if tag_names is None:
        found = {tag for tags in bio for tag in tags or ()}
        names = bio_names(kinds_of(sorted(found))) if found else []
    else:
        names = list(tag_names)
    number = {tag: i for i, tag in enumerate(names)}
    numbers = []
    for sentence, tags in zip(marked, bio, strict=True):
        for place, tag in zip(sentence.places, tags or (), strict=False):
            if tag not in number:
                raise InputError(
                    f"{place}: the tag {tag!r} is not among the known ones "
                    f"({', '.join(names)}): correct it."
                )
        row = [MISSING] * len(sentence.tokens) if tags is None else [number[tag] for tag in tags]
        numbers.append(np.array(row, dtype=np.int64))
    return TaggedCorpus(
        [sentence.tokens for sentence in marked], numbers, names, ids, name, repaired=repaired
    )


def align_tags(train: TaggedCorpus, other: TaggedCorpus) -> TaggedCorpus:
    """The other corpus with its tags renumbered by the names of train.

    Raises:
        InputError: an entity type that train does not have.
    """
    unknown = [kind for kind in kinds_of(other.tag_names) if kind not in kinds_of(train.tag_names)]
    if unknown:
        raise InputError(
            f"{other.source or other.name or 'a corpus'} has the entity type "
            f"{', '.join(map(repr, unknown))}, which the training sentences lack (they have "
            f"{', '.join(kinds_of(train.tag_names)) or 'none'}): correct it, or add examples."
        )
    table = [train.tag_names.index(name) for name in other.tag_names]
    numbers = np.array([*table, MISSING], dtype=np.int64)
    tags = [numbers[row] for row in other.tags]
    return replace(other, tags=tags, tag_names=list(train.tag_names))


def check_entities(corpus: TaggedCorpus) -> None:
    """Refuses a corpus without any entity, from which a tagger would learn to say O.

    Raises:
        InputError: there is none.
    """
    outside = corpus.tag_names.index(OUTSIDE) if OUTSIDE in corpus.tag_names else MISSING
    if not any(bool(((tags >= 0) & (tags != outside)).any()) for tags in corpus.tags):
        raise InputError(
            f"{corpus.source or corpus.name or 'the corpus'} has no entity at all: name the column "
            "of the tags, or give sentences that have some."
        )
