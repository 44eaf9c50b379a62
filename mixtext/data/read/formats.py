"""Rows of each file format: `(position, cells by column name)`, with columns and bytes checked.

What the cells mean, texts, labels and ids, is the business of `readers`.
"""

import csv
import difflib
import json
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mixtext.data.read.options import ReadOptions
from mixtext.errors import InputError

INSTALL = "install it with: pip install datasets pyarrow"
_FIELD_LIMIT = 2**31 - 1  # characters; csv's own limit of 131,072 refuses long documents

Rows = Generator[tuple[int, dict[str, Any]], None, None]


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

    def require(self, wanted: list[str], there: list[str], where: str) -> None:
        """Checks that each wanted column is there once."""
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
            listing = ", ".join(f"'{x}'" for x in there)
            raise InputError(f"{where} has no column '{column}' but {listing}: {advice}.")


@dataclass
class Decoder:
    """Bytes to text, counting what it had to replace; `option` is what a message calls `errors`."""

    errors: str
    option: str = "encoding_errors"
    replaced: int = 0

    def __call__(self, raw: bytes, place: str) -> str:
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError as error:
            if self.errors == "strict":
                raise InputError(
                    f"{place}: byte {error.start + 1} is not valid UTF-8 "
                    f"(0x{raw[error.start]:02x}): save the file as UTF-8, or set "
                    f"{self.option} to 'replace' to replace and count such characters."
                ) from None
        text = raw.decode("utf-8", "replace")
        self.replaced += text.count("\ufffd") - raw.count(b"\xef\xbf\xbd")
        return text

    def mend(self, text: str, place: str) -> str:
        """Treats half a surrogate pair, which JSON can spell but UTF-8 cannot, like a bad byte."""
        if text.isascii():
            return text
        return self(text.encode("utf-8", "surrogatepass"), place)


def delimited_rows(
    path: Path, delimiter: str, quoted: bool, header: bool, columns: Columns, decode: Decoder
) -> Rows:
    """Rows of a CSV or TSV file; the position is the line where the row begins, from 1."""

    def lines() -> Iterator[str]:
        with path.open("rb") as file:
            for number, raw in enumerate(file, start=1):
                if number == 1:
                    raw = raw.removeprefix(b"\xef\xbb\xbf")
                yield decode(raw, f"{path}, line {number}")

    # strict: a quote that is never closed is an error and not one cell as long as the file.
    reader = csv.reader(
        lines(),
        delimiter=delimiter,
        quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE,
        strict=True,
    )
    names: list[str] | None = None
    limit = csv.field_size_limit(_FIELD_LIMIT)
    try:
        while True:
            line = reader.line_num + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                raise InputError(
                    f"{path}, line {line}: the row that begins here cannot be read ({error}): "
                    "check its quotes and line ends."
                ) from None
            if not cells:
                continue  # a blank line
            if names is None:
                names = (
                    [x.strip() for x in cells] if header else [str(i) for i in range(len(cells))]
                )
                columns.require(columns.wanted(), names, f"{path}, line {line}")
                if header:
                    continue
            if len(cells) != len(names):
                raise InputError(
                    f"{path}, line {line}: the row that begins here has {len(cells)} cells but "
                    f"the first has {len(names)}: quote cells that hold a '{delimiter}'."
                )
            yield line, dict(zip(names, cells, strict=True))
    finally:
        csv.field_size_limit(limit)


def json_rows(path: Path, columns: Columns, decode: Decoder) -> Rows:
    """Rows of a JSON lines file; a row may leave the label out."""
    labelled = False
    seen: dict[str, None] = {}
    with path.open("rb") as file:
        for line, raw in enumerate(file, start=1):
            place = f"{path}, line {line}"
            content = decode(raw.removeprefix(b"\xef\xbb\xbf") if line == 1 else raw, place)
            if not content.strip():
                continue
            try:
                cells = json.loads(content)
            except (ValueError, RecursionError) as error:
                raise InputError(
                    f"{place} is not valid JSON ({error}): write one object a line."
                ) from None
            if not isinstance(cells, dict):
                raise InputError(
                    f"{place} is not a JSON object: write one a line, such as "
                    '{"text": "…", "label": "…"}.'
                )
            labelled = labelled or columns.label in cells
            seen.update(dict.fromkeys(cells))
            optional = {columns.label} - set(columns.text) - set(columns.pair)
            columns.require([x for x in columns.wanted() if x not in optional], list(cells), place)
            yield line, cells
    if seen and columns.label is not None and not labelled:
        columns.require([columns.label], list(seen), str(path))


def parquet_rows(path: Path, columns: Columns) -> Rows:
    """Rows of a Parquet file; the position is the row's number from 0."""
    try:
        from pyarrow import ArrowException, parquet
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
    except ArrowException as error:
        raise InputError(
            f"{path} is not a readable Parquet file ({error}): save it anew."
        ) from None


def documents_below(root: Path) -> list[Path]:
    """The files below the class folders, sorted by path; hidden ones and loose ones left out."""
    files = (x for x in root.glob("*/**/*") if x.is_file())
    found = [x for x in files if not any(y.startswith(".") for y in x.relative_to(root).parts)]
    if not found:
        raise InputError(
            f"{root} holds no documents: make one folder a class below it and put one file a "
            "document into each."
        )
    return sorted(found, key=lambda x: x.relative_to(root).as_posix())


def folder_rows(root: Path, documents: list[Path], columns: Columns, decode: Decoder) -> Rows:
    """Rows of a folder of documents; the position is the index into `documents`."""
    columns.require(columns.wanted(), ["text", "label", "id"], str(root))
    for i, document in enumerate(documents):
        raw = document.read_bytes().removeprefix(b"\xef\xbb\xbf")
        below = document.relative_to(root)
        content = decode(raw, str(document)).strip()
        yield i, {"text": content, "label": below.parts[0], "id": below.as_posix()}
