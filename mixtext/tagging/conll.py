"""Tagged sentences, and the CoNLL files they are read from and written to.

A CoNLL file has one token a line, its columns separated by blanks (by tabs, if the first line of
tokens has one), and an empty line after each sentence. Its columns can be named by a line
`# global.columns = FORM POS TAG` before the tokens, or by a header. A line that begins with `#` is
a comment where its columns are not those of the tokens, or where it says what comments say, such as
`# text = …`; `# sent_id = …` names the next sentence. Any other `#` is a token.
"""

import hashlib
import re
import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np

from mixtext.data.corpus import MISSING
from mixtext.data.labels import alike
from mixtext.data.read.characters import MARK, Decoder
from mixtext.data.read.formats import CONLL, names_of_tagged
from mixtext.data.read.readers import told_format
from mixtext.errors import InputError, reads
from mixtext.tagging.tags import (
    NAMELESS,
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

DOCUMENT_MARK = "-DOCSTART-"
HEADER = "# global.columns ="
SENTENCE_ID = "# sent_id ="
UNLABELLED = "?"  # stands where a tag is to be filled in
SNIFFED = 200  # lines that tell whether a file is CoNLL, where its suffix does not
LONG = 100  # tokens: where a single sentence has more, the empty lines may be missing
_TAG = re.compile(r"O|[BIELSU]-\S+|\?")
_BARE = {*"OBIELSU"}
_BLANKS = re.compile(r"[ \t]+")  # no-break spaces are part of a token
_COMMENT = re.compile(r"#\s*(id\b|newdoc\b|newpar\b|https?:|[\w.:]+\s*=)")


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
            marked.append(_Sentence(list(tokens), None if its is None else list(its), places))
        return _build(marked, row_ids, tag_names, scheme, on_fault, name, where)


@dataclass
class _Sentence:
    """A sentence on its way in: tokens, raw tags or None, and how a message calls each token."""

    tokens: list[str]
    tags: list[str] | None
    places: list[str]


def _build(
    marked: list[_Sentence],
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


@reads()
def read_conll(
    path: str | Path,
    tag: int | str | None = -1,
    token: int | str = 0,
    *,
    columns: Sequence[str] = (),
    scheme: Scheme = "bio",
    on_fault: OnFault = "repair",
    tag_names: Sequence[str] | None = None,
    encoding: str = "",
    encoding_errors: str = "strict",
    called: Callable[[str], str] = str,
    name: str = "",
) -> TaggedCorpus:
    """Reads a CoNLL file; see the head of this module for its form.

    Args:
        path: the file.
        tag: column of the tags: a number from 0 (from the end if negative) or a name; None: the
            sentences are not labelled. A sentence whose tags are all `?` is not labelled either.
        token: column of the tokens.
        columns: names of the columns from the left, where the file does not name them.
        scheme: of the tags in the file.
        on_fault: see `TaggedCorpus.from_lists`.
        tag_names: the BIO tags, `O` first; None: those of the entity types that occur.
        encoding: of the file; "": UTF-8, or UTF-16 where its mark says so.
        encoding_errors: `strict` refuses broken characters and names the line; `replace` replaces
            them.
        called: what messages call the options of these names.
        name: what tables call the corpus; empty: the file's name.

    Raises:
        InputError: no such file or column, a line with another number of columns, a tag that is
            unknown or refused, no sentence at all.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path} does not exist: give the path of a CoNLL file.")
    decode = Decoder(encoding_errors, encoding, called)
    file = _Lines(path, decode, tuple(columns))
    marked: list[_Sentence] = []
    ids: list[str] = []
    skipped = 0
    sentence_id = ""
    current = _Sentence([], None if tag is None else [], [])

    def finish() -> None:
        nonlocal current, sentence_id
        if not current.tokens:
            return
        blanks = [n for n, x in enumerate(current.tags or ()) if x == UNLABELLED]
        if current.tags is not None and blanks:
            if len(blanks) < len(current.tags):
                raise InputError(
                    f"{current.places[blanks[0]]}: its tag is still {UNLABELLED!r} while others "
                    "of its sentence are filled in; fill it in too."
                )
            current.tags = None
        marked.append(current)
        ids.append(sentence_id or str(len(ids)))
        current, sentence_id = _Sentence([], None if tag is None else [], []), ""

    comments = 0
    for line, cells in file.rows():
        if isinstance(cells, str):  # a comment or a document mark
            finish()
            skipped += cells == DOCUMENT_MARK
            comments += cells != DOCUMENT_MARK
            if cells.startswith(SENTENCE_ID):
                sentence_id = cells.removeprefix(SENTENCE_ID).strip()
            continue
        if not cells:
            finish()
            continue
        word = cells[file.column(token, "token", len(cells))]
        if not word.strip():
            raise InputError(f"{path}, line {line} has an empty token: fill it or leave it out.")
        current.tokens.append(word)
        current.places.append(f"{path}, line {line}")
        if tag is not None and current.tags is not None:
            current.tags.append(cells[file.column(tag, "tag", len(cells))])
    finish()
    if not marked:
        raise InputError(f"{path} holds no sentence: give one token a line.")
    where = str(path)
    corpus = _build(marked, ids, tag_names, scheme, on_fault, name or path.stem, where, called)
    notes = list(file.notes)
    seen = {one for sentence in marked for one in sentence.tags or ()}
    if bare := sorted(seen & _BARE - {OUTSIDE}) if scheme != "io" else []:
        notes.append(
            f"tags of {path} without a type ({', '.join(bare)}) are read as of the type {NAMELESS}"
        )
    if scheme == "io" and seen:
        notes.append(f"tags of {path} are types alone: neighbours of one type are one entity")
    notes += [
        f"the entity types {', '.join(map(ascii, group))} of {path} differ only in case, accents' "
        "form, white space or invisible signs: if they are one, write them alike there"
        for group in alike(kinds_of(corpus.tag_names))
    ]
    if comments:
        notes.append(f"{comments:,} lines of {path} that begin with # are read as comments")
    first = corpus.sentences[0]
    if first == [str(n + 1) for n in range(len(first))] and len(first) > 1:
        option = called("token")
        notes.append(f"the tokens of {path} look like numbers of tokens: name another {option}")
    if len(corpus) == 1 and len(first) > LONG:
        notes.append(
            f"{path} holds one sentence of {len(first):,} tokens: put an empty line "
            "after each sentence if they are more"
        )
    return replace(
        corpus,
        source=str(path),
        skipped=skipped,
        replacements=decode.replaced,
        notes=tuple(notes),
    )


@reads()
def is_conll(path: str | Path, format: str = "") -> bool:
    """Whether a file is to be read as CoNLL.

    By the format if one is said, else by a suffix of `CONLL_SUFFIXES`. Where the suffix says
    nothing, as in `train.txt`, or that cells are separated by tabs, by what stands in it: the first
    lines have equally many columns, at least two, one of them of tags alone (O, B-…, I-…; or O, B,
    I), in a `.tsv` not only of O.
    """
    path = Path(path)
    told = told_format(path, format)
    is_table = told == "tsv" and not format
    if told and not is_table:
        return told == "conll"
    if not path.is_file():
        return False
    try:
        lines = islice(_Lines(path, Decoder("replace"), ()).rows(), SNIFFED)
        tokens = [cells for _, cells in lines if cells and not isinstance(cells, str)]
    except InputError:
        return False
    columns = [{*cells} for cells in zip(*tokens, strict=True)]
    return len(columns) > 1 and any(
        all(map(_TAG.fullmatch, cells)) or ("O" in cells and _BARE.issuperset(cells))
        for cells in columns
        if not (is_table and cells == {OUTSIDE})
    )


class _Lines:
    """The lines of one file, cut into columns and checked to have equally many."""

    def __init__(self, path: Path, decode: Decoder, columns: tuple[str, ...]) -> None:
        self.path, self.decode, self.columns = path, decode, columns
        self.notes: list[str] = []

    def rows(self) -> Iterable[tuple[int, list[str] | str]]:
        """Line number and cells; none where a sentence ends; comments and document marks whole."""
        width, first, tabs, header = 0, 0, False, False
        waiting: list[
            tuple[int, str]
        ] = []  # lines with # before the first token, whose width they need
        for number, raw in self.decode.lines(self.path):
            line = raw.removeprefix(MARK).rstrip()
            if line.startswith(HEADER) and not width:
                header = True
                self.columns = self.columns or tuple(line.removeprefix(HEADER).split())
                continue
            if not line:
                yield number, []
                continue
            if header and line.startswith("# "):
                yield number, line
                continue
            if DOCUMENT_MARK in line.split():  # no token, so its columns need not be theirs
                yield number, DOCUMENT_MARK
                continue
            if not width:
                if line.startswith("#"):
                    waiting.append((number, line))
                    continue
                self._refuse_others(line, number)
                tabs = "\t" in line
                cells = self._cut(line, tabs)
                width, first = len(cells), number
                for early, comment in waiting:
                    its = self._cut(comment, tabs)
                    yield early, comment if self._is_comment(comment, its, width) else its
                if names_of_tagged(cells):
                    self.columns = self.columns or tuple(cells)
                    shown = ", ".join(cells)
                    self.notes.append(f"line {number} of {self.path} ({shown}) is read as a header")
                    continue
            cells = self._cut(line, tabs)
            if line.startswith("#") and self._is_comment(line, cells, width):
                yield number, line
                continue
            if len(cells) != width:
                raise InputError(
                    f"{self.path}, line {number} has {len(cells)} columns, but line {first} has "
                    f"{width}: give every token as many."
                )
            if self.columns and len(self.columns) != width:
                raise InputError(
                    f"{self.path}, line {number} has {width} columns, but {len(self.columns)} are "
                    f"named ({', '.join(self.columns)}): name each of them."
                )
            yield number, cells

    @staticmethod
    def _cut(line: str, tabs: bool) -> list[str]:
        cells = line.split("\t") if tabs else _BLANKS.split(line.lstrip(" \t"))
        return [cell.strip() for cell in cells]

    @staticmethod
    def _is_comment(line: str, cells: list[str], width: int) -> bool:
        return len(cells) != width or bool(_COMMENT.match(line))

    def _refuse_others(self, line: str, number: int) -> None:
        """Refuses JSON and tables, by the first line of a token."""
        looks = "JSON" if line.startswith(("{", "[{")) else ""
        if names_of_tagged(x.strip(' "') for x in line.split(",")):
            looks = "a CSV table"
        if looks:
            raise InputError(f"{self.path}, line {number} looks like {looks}, but {CONLL}.")

    def column(self, wanted: int | str, what: str, width: int) -> int:
        """The number of a column that is given by number or name."""
        if isinstance(wanted, str):
            if wanted in self.columns:
                return self.columns.index(wanted)
            named = f"its columns are {', '.join(self.columns)}: name one of these"
            raise InputError(
                f"{self.path} has no column {wanted!r} for the {what}; "
                + (named if self.columns else "its columns have no names: give a number from 0")
                + f" for {self.decode.called(what)}."
            )
        if not -width <= wanted < width:
            raise InputError(
                f"{self.path} has {width} columns, so there is no column {wanted} for the {what}: "
                f"give a number from 0 to {width - 1}, or below 0 to count from the end."
            )
        return wanted


def conll_text(corpus: TaggedCorpus) -> str:
    """A corpus as the lines of a CoNLL file, `FORM TAG` with ids; `?` stands for missing tags.

    `read_conll` with `tag="TAG"` reads it back.

    Raises:
        InputError: a token that the columns cannot hold.
    """
    lines = [f"{HEADER} FORM TAG"]
    for row, tokens in enumerate(corpus.sentences):
        lines.append(f"{SENTENCE_ID} {corpus.ids[row]}")
        for token, tag in zip(tokens, corpus.tags[row], strict=True):
            if not token.strip() or any(x in token for x in "\t\n\r"):
                raise InputError(
                    f"sentence '{corpus.ids[row]}' has the token {token!r}, which a CoNLL file "
                    "cannot hold: leave blanks at its edges, tabs and line ends out."
                )
            lines.append(f"{token}\t{UNLABELLED if tag == MISSING else corpus.tag_names[tag]}")
        lines.append("")
    return "\n".join(lines) + "\n"


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
