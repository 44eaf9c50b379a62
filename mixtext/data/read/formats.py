"""Rows of each file format: `(position, cells by column name)`, with columns and bytes checked.

What the cells mean, texts, labels and ids, is the business of `readers`.
"""

import csv
import difflib
import json
import re
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

from mixtext.data.read.characters import MARK, Decoder
from mixtext.data.read.options import ReadOptions
from mixtext.data.read.sniff import FASTTEXT, head_of, said_separator, separator_of
from mixtext.errors import InputError, reason_of

INSTALL = "install it with: pip install datasets pyarrow"
SYSTEM = {"__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini"}  # what zips and folders bring along
_NUMBERS = "0123456789+-.eE"
_BLANK = re.compile(r"[ \t\n\r]*")  # white space as JSON has it
_FIELD_LIMIT = 2**31 - 1  # characters; csv's own limit of 131,072 refuses long documents

Rows = Generator[tuple[int, dict[str, Any]], None, None]


_TAGS = {"tag", "tags", "ner", "ner_tag", "ner_tags", "label", "labels", "entity"}
_TOKENS = {"token", "tokens", "word", "words", "form"}
CONLL = (
    "taggers learn from CoNLL files: write one token and its tag a line, with a blank between, and "
    "an empty line after each sentence"
)


def names_of_tagged(columns: Iterable[str]) -> bool:
    """Whether columns of these names hold words and their tags."""
    names = {x.lower() for x in columns}
    return bool(names & _TAGS and names & _TOKENS)


@dataclass(frozen=True)
class Columns:
    """Which columns are read, by name; no label: nobody looks for one.

    `called` is what the user calls the options that name them.
    """

    text: tuple[str, ...]
    pair: tuple[str, ...]
    label: str | None
    id: str | None
    called: Callable[[str], str]

    @classmethod
    def of(cls, options: ReadOptions) -> "Columns":
        """The columns that the options name, or the usual ones."""
        label = (options.label or "label") if options.labels else None
        text = options.text or ("text",)
        return cls(text, options.pair, label, options.id or None, options.called)

    def wanted(self) -> list[str]:
        """Every column that must be there."""
        return [x for x in (*self.text, *self.pair, self.label, self.id) if x is not None]

    def require(self, wanted: list[str], there: list[str], where: str, cut: bool = False) -> None:
        """Checks that each wanted column is there once; `cut`: a separator told them apart."""
        for column in wanted:
            if there.count(column) == 1:
                continue
            if column in there:
                raise InputError(f"{where} has two columns '{column}': rename one of them.")
            use = "text" if column in self.text else "pair" if column in self.pair else ""
            use = use or ("label" if column == self.label else "id")
            folded = {x.lower(): x for x in there}
            close = difflib.get_close_matches(column.lower(), folded, n=1)
            right = f"did you mean '{folded[close[0]]}'" if close else "name one of these"
            advice = f"{right} for {self.called(use)}"
            if use == column == "label":
                advice += f", or say with {self.called('labels')} that the rows have no labels"
            if cut and len(there) == 1 and not there[0].replace(" ", "").isalnum():
                advice += f", or what separates the cells with {self.called('separator')}"
            listing = ", ".join(f"'{x}'" for x in there)
            if use == "text" and names_of_tagged(there):
                raise InputError(
                    f"{where} has the columns {listing}, which look like words and their tags, "
                    f"but {CONLL}. For texts with one label each, {advice}."
                )
            raise InputError(f"{where} has no column '{column}' but {listing}: {advice}.")


def delimited_rows(
    path: Path, usual: str, options: ReadOptions, columns: Columns, decode: Decoder
) -> Rows:
    """Rows of a CSV or TSV file; the position is the line where the row begins, from 1.

    Args:
        path: the file.
        usual: the separator that its suffix promises, a comma or a tab.
        options: whether there is a header, which separator, whether cells are quoted.
        columns: those that are read.
        decode: turns bytes into text.
    """
    header = options.header
    quoted = (options.quoted or ("no" if usual == "\t" else "yes")) == "yes"
    head = head_of(path, decode)
    said = said_separator(head[0]) if head else ""
    told = said or separator_of(head, columns.wanted(), header, usual)
    separator = options.separator or told
    lines = decode.lines(path)
    skipped = 1 if said else 0
    # strict: a quote that is never closed is an error and not one cell as long as the file.
    reader = csv.reader(
        (line for _, line in islice(lines, skipped, None)),
        delimiter=separator,
        quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE,
        strict=True,
    )
    names: list[str] | None = None
    limit = csv.field_size_limit(_FIELD_LIMIT)
    try:
        while True:
            line = reader.line_num + skipped + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                advice = f", or set {columns.called('quoted')} to 'no'" if quoted else ""
                raise InputError(
                    f"{path}, line {line}: the row that begins here cannot be read ({error}): "
                    f"check its quotes and line ends{advice}."
                ) from None
            if not cells:
                continue  # a blank line
            if names is None:
                names = (
                    [x.strip() for x in cells] if header else [str(i) for i in range(len(cells))]
                )
                columns.require(columns.wanted(), names, f"{path}, line {line}", cut=True)
                if header:
                    continue
            if len(cells) != len(names):
                shown = "tab" if separator == "\t" else f"'{separator}'"
                raise InputError(
                    f"{path}, line {line}: the row that begins here has {len(cells)} cells but "
                    f"the first has {len(names)}: quote cells that hold a {shown}, or name another "
                    f"separator with {columns.called('separator')}."
                )
            yield line, dict(zip(names, cells, strict=True))
    finally:
        lines.close()
        csv.field_size_limit(limit)


def json_rows(path: Path, columns: Columns, decode: Decoder) -> Rows:
    """Rows of a JSON lines file; a row may leave the label out.

    Of objects in a row a column is called `outer.inner`, here and in `json_array_rows`.
    """

    def objects() -> Iterator[tuple[int, str, Any]]:
        with closing(decode.lines(path)) as lines:
            for line, content in lines:
                place = f"{path}, line {line}"
                content = content.removeprefix(MARK)
                if not content.strip():
                    continue
                try:
                    yield line, place, json.loads(content)
                except (ValueError, RecursionError) as error:
                    raise InputError(
                        f"{place} is not valid JSON ({error}): write one object a line."
                    ) from None

    yield from _object_rows(path, objects(), columns, "write one a line")


def json_array_rows(path: Path, columns: Columns, decode: Decoder) -> Rows:
    """Rows of a JSON file that holds an array of objects, perhaps as one field of an object.

    The position is the row's number from 0. An array is read bit by bit, of UTF-8; an object that
    holds one is held in memory.
    """
    pieces = decode.pieces(path)
    head = next((x for x in pieces if x.strip()), "")
    values: Iterable[Any] = array_values(chain([head], pieces))
    try:
        if not head.lstrip().startswith("["):
            values = _array_in(path, json.loads("".join([head, *pieces])))
        objects = ((i, f"{path}, row {i}", row) for i, row in enumerate(values))
        yield from _object_rows(path, objects, columns, "write one for each row")
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{path} is not valid JSON ({error}): write an array of objects, or one object a line "
            f"and set {columns.called('format')} to 'jsonl'."
        ) from None


def _array_in(path: Path, value: Any) -> list[Any]:
    fields = value if isinstance(value, dict) else {}
    arrays = {k: x for k, x in fields.items() if isinstance(x, list)}
    rows = {k: x for k, x in arrays.items() if x and isinstance(x[0], dict)} or arrays
    if len(rows) == 1:
        return next(iter(rows.values()))
    write = 'write one such as [{"text": "…", "label": "…"}]'
    if len(rows) > 1:
        names = ", ".join(f"'{x}'" for x in rows)
        raise InputError(f"{path} holds the arrays {names}: {write}, in a file of its own.")
    if any(isinstance(x, dict) for x in fields.values()):
        write = 'write an array of rows, such as pandas\' to_json(…, orient="records")'
        raise InputError(f"{path} holds a table by its columns, as it seems: {write}.")
    raise InputError(f"{path} holds no array of rows: {write}.")


def array_values(pieces: Iterator[str]) -> Iterator[Any]:
    """The values of a JSON array, one after another, from pieces of its text.

    No more is held than one value and the piece that it ends in, about.

    Raises:
        ValueError: it is not valid.
    """
    decode = json.JSONDecoder().raw_decode
    text, at, before = "", 0, 0  # what is held, where in it, and how much was held before

    def more() -> bool:
        """Reads as much again as is held; False at the end."""
        nonlocal text, at, before
        held, new = text[at:], []
        for piece in pieces:
            new.append(piece)
            if sum(map(len, new)) > len(held):
                break
        before, at, text = before + at, 0, "".join([held, *new])
        return bool(new)

    def sign() -> str:
        """The next sign that is no white space; empty at the end."""
        nonlocal at
        while True:
            at = _BLANK.match(text, at).end()  # type: ignore[union-attr]
            if at < len(text) or not more():
                return text[at : at + 1]

    def wrong(what: str, where: int) -> ValueError:
        return ValueError(f"{what} at character {before + where + 1}")

    sign()
    at += 1  # the bracket
    end = sign()
    while end != "]":
        try:
            sign()
            value, stop = decode(text, at)
        except json.JSONDecodeError as error:
            found = wrong(error.msg, error.pos)
            if more():
                continue
            raise found from None
        if text[stop : stop + 1] in _NUMBERS and more():
            continue  # a number may go on, or what is held ends here
        at = stop
        yield value
        end = sign()
        if end not in ("]", ","):
            raise wrong("Expecting ',' delimiter", at)
        at += end == ","
    at += 1
    if sign():
        raise wrong("Extra data", at)


def _object_rows(
    path: Path, objects: Iterable[tuple[int, str, Any]], columns: Columns, advice: str
) -> Rows:
    labelled = False
    seen: dict[str, None] = {}
    optional = {columns.label} - set(columns.text) - set(columns.pair)
    required = [x for x in columns.wanted() if x not in optional]
    for position, place, cells in objects:
        if not isinstance(cells, dict):
            raise InputError(
                f'{place} is not a JSON object: {advice}, such as {{"text": "…", "label": "…"}}.'
            )
        cells = _flat(cells)
        labelled = labelled or columns.label in cells
        seen.update(dict.fromkeys(cells))
        columns.require(required, list(cells), place)
        yield position, cells
    if seen and columns.label is not None and not labelled:
        columns.require([columns.label], list(seen), str(path))


def _flat(cells: dict[str, Any]) -> dict[str, Any]:
    """An object with what objects in it hold as well, called `outer.inner`."""
    inner = [(k, x) for k, x in cells.items() if isinstance(x, dict)]
    return cells | {f"{k}.{name}": x for k, one in inner for name, x in _flat(one).items()}


def labelled_line_rows(path: Path, columns: Columns, decode: Decoder) -> Rows:
    """Rows of a file whose lines are a label, a blank and a text; fastText's prefix is left out."""
    with closing(decode.lines(path)) as lines:
        for line, content in lines:
            label, *rest = content.removeprefix(MARK).split(maxsplit=1)[:2] or ("",)
            if not label:
                continue
            text = rest[0].strip() if rest else ""
            if label.startswith(FASTTEXT) and text.startswith(FASTTEXT):
                raise InputError(
                    f"{path}, line {line} has more than one label: a text has one class here, so "
                    "leave the others out."
                )
            yield line, {"label": label.removeprefix(FASTTEXT), "text": text}


def text_line_rows(path: Path, decode: Decoder) -> Rows:
    """Rows of a file with one text a line; blank lines are left out."""
    with closing(decode.lines(path)) as lines:
        for line, content in lines:
            if text := content.removeprefix(MARK).strip():
                yield line, {"text": text}


def parquet_rows(path: Path, columns: Columns) -> Rows:
    """Rows of a Parquet file; the position is the row's number from 0."""
    try:
        from pyarrow import parquet
    except ImportError:
        raise InputError(f"reading {path} needs the package pyarrow: {INSTALL}.") from None
    try:
        with parquet.ParquetFile(path) as file:
            columns.require(columns.wanted(), list(file.schema_arrow.names), str(path))
            row = 0
            for batch in file.iter_batches(columns=sorted(set(columns.wanted()))):
                for cells in batch.to_pylist():
                    yield row, cells
                    row += 1
    except InputError:
        raise
    except Exception as error:  # pyarrow has a dozen kinds
        raise InputError(
            f"{path} is not a readable Parquet file ({reason_of(error)}): save it anew."
        ) from None


def documents_below(root: Path) -> tuple[list[Path], list[Path]]:
    """The files below the class folders, sorted by path, and those that a system left there.

    Hidden files and loose ones are in neither.
    """
    files = [x for x in root.glob("*/**/*") if x.is_file()]
    left = [x for x in files if SYSTEM & {*x.relative_to(root).parts} or x.name.startswith("._")]
    hidden = [x for x in files if any(y.startswith(".") for y in x.relative_to(root).parts)]
    found = sorted({*files} - {*left, *hidden}, key=lambda x: x.relative_to(root).as_posix())
    if not found:
        raise InputError(
            f"{root} holds no documents: make one folder a class below it and put one file a "
            "document into each."
        )
    return found, left


def folder_rows(root: Path, documents: list[Path], columns: Columns, decode: Decoder) -> Rows:
    """Rows of a folder of documents; the position is the index into `documents`."""
    columns.require(columns.wanted(), ["text", "label", "id"], str(root))
    for i, document in enumerate(documents):
        below = document.relative_to(root)
        content = decode.whole(document).strip()
        yield i, {"text": content, "label": below.parts[0], "id": below.as_posix()}
