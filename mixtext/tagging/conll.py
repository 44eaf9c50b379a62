"""CoNLL files: tagged sentences are read from them and written to them.

A CoNLL file has one token a line, its columns separated by blanks (by tabs, if the first line of
tokens has one), and an empty line after each sentence. Its columns can be named by a line
`# global.columns = FORM POS TAG` before the tokens, or by a header. A line that begins with `#` is
a comment where its columns are not those of the tokens, or where it says what comments say, such as
`# text = …`; `# sent_id = …` names the next sentence. Any other `#` is a token.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

from mixtext.data.corpus import MISSING
from mixtext.data.labels import alike
from mixtext.data.read.characters import MARK, Decoder
from mixtext.data.read.formats import CONLL, names_of_tagged
from mixtext.data.read.readers import told_format
from mixtext.errors import InputError, reads
from mixtext.tagging.corpus import Sentence, TaggedCorpus, build
from mixtext.tagging.tags import NAMELESS, OUTSIDE, OnFault, Scheme, kinds_of

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
    marked: list[Sentence] = []
    ids: list[str] = []
    skipped = 0
    sentence_id = ""
    current = Sentence([], None if tag is None else [], [])

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
        current, sentence_id = Sentence([], None if tag is None else [], []), ""

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
    corpus = build(marked, ids, tag_names, scheme, on_fault, name or path.stem, where, called)
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
