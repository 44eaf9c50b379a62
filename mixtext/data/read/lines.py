"""Rows to predict, one after another: of any file of rows, or one text a line, or JSON lines."""

import json
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mixtext.data.read.characters import MARK, Decoder
from mixtext.data.read.options import HEARD, UNSAID, ReadOptions
from mixtext.data.read.readers import format_of_rows, open_rows, texts_of, told_format
from mixtext.data.read.sniff import FASTTEXT, format_of, head_of
from mixtext.errors import InputError

_BYTES = frozenset({"encoding", "encoding_errors"})


@dataclass(frozen=True)
class Row:
    """A row to predict: its id, its text and, of pairs, its second text; a text may be blank."""

    id: str
    text: str
    pair: str | None = None

    @property
    def is_blank(self) -> bool:
        """Whether there is nothing to predict."""
        return not self.text.strip() or (self.pair is not None and not self.pair.strip())


def rows_to_predict(
    file: Path | None, pairs: bool, options: ReadOptions = UNSAID, usual: ReadOptions = UNSAID
) -> Iterator[Row]:
    """Rows to predict, read as they are asked for; one for each row, blank ones too.

    What `read_corpus` reads is read here, told by its suffix, by `options.format` or by its first
    lines, and nobody looks for labels. Standard input, any other file and, where no columns are
    said, JSON lines hold one row a line: a line that begins with a brace is a JSON object with
    "text" and, for pairs, "pair", and what else it holds is ignored; any other line is a text as it
    stands.

    Args:
        file: a file or folder; None: standard input.
        pairs: every line must have a second text; else none may have one.
        options: how it is read.
        usual: how the model's own data were read, which is tried first where `options` says less.

    Raises:
        InputError: as `read_corpus`; no such file, bad bytes, a line that is not of this form (by
            its number), or no row at all.
    """
    options = replace(options, labels=False)
    if file is None:
        options.refuse_unheard(_BYTES | {"labels"}, "standard input is read line by line")
        yield from _lines(file, pairs, options)
        return
    if not file.exists():
        raise InputError(f"{file} does not exist: give a file with one text a line, or of rows.")
    if options.format == "texts" and not pairs:
        options.refuse_unheard(HEARD["texts"], f"{file} is read as texts, where it has no meaning")
        yield from _lines(file, pairs, options)
        return
    columns = _fitting(file, options, usual)
    if (
        columns is None
        and not (options.given().keys() - _BYTES - {"labels"})
        and _by_line(file, options)
    ):
        yield from _lines(file, pairs, options)
    else:
        yield from _rows(file, pairs, columns or options)


def _fitting(file: Path, options: ReadOptions, usual: ReadOptions) -> ReadOptions | None:
    """The options with what was usual for the model's data, if the file has such columns."""
    try:
        kind = format_of_rows(file, options)
        if kind == "texts" and not options.format:  # whose blank lines are to be answered too
            return None
        heard = HEARD[kind]
        said = {k: v for k, v in usual.given().items() if k in heard and k != "labels"}
        both = options.over(replace(UNSAID, **said))
        if both.given() == options.given():
            return None
        with closing(open_rows(file, both).rows) as rows:
            next(rows, None)
    except InputError:
        return None
    return both


def _by_line(file: Path, options: ReadOptions) -> bool:
    """Whether a file is read line by line, where no columns are said."""
    kind = told_format(file)
    if kind in ("", "json"):
        decode = Decoder.of(options)
        kind = format_of(file, ["text"], True, decode)
        if kind in ("csv", "tsv"):  # but for a line that is the one word "text"
            first = next((x for x in head_of(file, decode) if x.strip()), "")
            return first.strip() == "text"
        if kind == "lines":
            return not head_of(file, decode)[0].startswith(FASTTEXT)
    return kind in ("", "jsonl")


def _rows(file: Path, pairs: bool, options: ReadOptions) -> Iterator[Row]:
    opened = open_rows(file, options)
    kinds = ("texts", "pairs") if opened.columns.pair else ("pairs", "texts")
    if bool(opened.columns.pair) != pairs:
        kinds = ("pairs", "texts") if opened.columns.pair else ("texts", "pairs")
        raise InputError(
            f"the model was trained on {kinds[1]}, but {file} holds {kinds[0]}: give rows of the "
            f"same kind (of pairs name both columns, {options.called('text')} and "
            f"{options.called('pair')})."
        )
    number = -1
    with closing(opened.rows) as rows:
        for number, (position, cells) in enumerate(rows):
            first, second = texts_of(cells, opened, opened.place(position))
            id_ = number if options.id == "" else cells[options.id]
            yield Row("" if id_ is None else str(id_), first, second if pairs else None)
    if number < 0:
        raise InputError(f"{file} has no rows: check that it is the right, complete file.")


def _lines(file: Path | None, pairs: bool, options: ReadOptions) -> Iterator[Row]:
    name = str(file) if file else "standard input"
    lines = Decoder.of(options).lines(file or sys.stdin.buffer, name)
    number = 0
    with closing(lines):
        for number, raw in lines:
            line = raw.removeprefix(MARK).strip()
            is_plain = options.format == "texts"
            text, second = (line, "") if is_plain else _row(line, f"{name}, line {number}", pairs)
            yield Row(str(number - 1), text, second if pairs else None)
    if not number:
        raise InputError(f"{name} holds no text: give one text a line.")


def _row(line: str, where: str, pairs: bool) -> tuple[str, str]:
    if not line:
        return "", ""
    cells: dict[str, Any] = {"text": line}
    if line.startswith("{"):
        try:
            cells = json.loads(line)
        except ValueError:
            raise InputError(
                f'{where} begins like JSON but is no object with a "text": correct it.'
            ) from None
    if pairs and "pair" not in cells:
        raise InputError(
            f'{where} has no "pair", but the model was trained on pairs: write '
            '{"text": "…", "pair": "…"}.'
        )
    if "pair" in cells and not pairs:
        raise InputError(
            f'{where} has a "pair", but the model was trained on single texts: leave it out.'
        )
    row = (cells.get("text", 0), cells.get("pair", ""))
    for field, value in zip(("text", "pair"), row, strict=True):
        if value is not None and not isinstance(value, str):
            raise InputError(f'{where} has no "{field}" that is a text: give it as a string.')
    return row[0] or "", row[1] or ""
