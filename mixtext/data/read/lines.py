"""Rows to predict: from any file of rows, or one text a line, or JSON lines of texts or pairs."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from mixtext.data.corpus import Corpus
from mixtext.data.read.characters import Decoder
from mixtext.data.read.options import UNSAID, ReadOptions
from mixtext.data.read.readers import read_corpus, told_format
from mixtext.errors import InputError


def read_unlabelled(file: Path | None, pairs: bool, options: ReadOptions = UNSAID) -> Corpus:
    """Reads rows to predict.

    What `read_corpus` knows by its suffix, or by `options.format`, it reads, and nobody looks for
    labels. Standard input, any other file and, where no columns are said, JSON lines hold one row
    a line, empty lines apart: a line that begins with a brace is a JSON object with "text" and,
    for pairs, "pair", and what else it holds is ignored; any other line is a text as it stands.

    Args:
        file: UTF-8, with or without a byte-order mark; None: standard input.
        pairs: every line must have a second text; else none may have one.
        options: how it is read.

    Raises:
        InputError: as `read_corpus`; no such file, bad bytes, a line that is not of this form (by
            its number), or no text at all.
    """
    by_line = frozenset({"encoding_errors"})
    if file is None:
        options.refuse_unheard(by_line, "standard input is read line by line")
    elif told_format(file) not in ("", "jsonl") or options.given().keys() - by_line:
        return read_corpus(file, replace(options, labels=False))
    elif not file.is_file():
        raise InputError(f"{file} does not exist: give a file with one text a line.")
    name = str(file) if file else "standard input"
    data = file.read_bytes() if file else sys.stdin.buffer.read()
    decode = Decoder.of(options)
    texts, seconds = [], []
    for number, raw in enumerate(data.removeprefix(b"\xef\xbb\xbf").splitlines(), 1):
        where = f"{name}, line {number}"
        if line := decode(raw, where).strip():
            text, second = _row(line, where, pairs)
            texts.append(text)
            seconds.append(second)
    if not texts:
        raise InputError(f"{name} holds no text: give one text a line.")
    return Corpus.from_lists(texts, pairs=seconds if pairs else None, name=name)


def _row(line: str, where: str, pairs: bool) -> tuple[Any, Any]:
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
    row = (cells.get("text"), cells.get("pair", "-"))
    for field, value in zip(("text", "pair"), row, strict=True):
        if not isinstance(value, str) or not value.strip():
            raise InputError(f'{where} has no "{field}" or an empty one: give it as a string.')
    return row
