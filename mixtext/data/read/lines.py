"""Rows to predict as they are typed or piped: one text a line, or JSON lines of texts or pairs."""

import json
import sys
from pathlib import Path
from typing import Any

from mixtext.errors import InputError


def read_lines(file: Path | None, pairs: bool) -> tuple[list[str], list[str] | None]:
    """Reads texts or pairs; empty lines are skipped.

    A line that begins with a brace is a JSON object with "text" and, for pairs, "pair"; what else
    it holds is ignored. Any other line is a text as it stands.

    Args:
        file: UTF-8, with or without a byte-order mark; None: standard input.
        pairs: every row must have a second text; else none may have one.

    Returns:
        N texts and, for pairs, N second texts, else None.

    Raises:
        InputError: no such file, bad bytes, a line that is not of this form (by its number), or no
            text at all.
    """
    if file is not None and not file.is_file():
        raise InputError(f"{file} does not exist: give a file with one text a line.")
    name = str(file) if file else "standard input"
    data = file.read_bytes() if file else sys.stdin.buffer.read()
    texts, seconds = [], []
    for number, raw in enumerate(data.splitlines(), 1):
        where = f"{name}, line {number}"
        try:
            line = raw.decode("utf-8-sig" if number == 1 else "utf-8").strip()
        except UnicodeDecodeError:
            raise InputError(f"{where} is not valid UTF-8: convert it.") from None
        if line:
            text, second = _row(line, where, pairs)
            texts.append(text)
            seconds.append(second)
    if not texts:
        raise InputError(f"{name} holds no text: give one text a line.")
    return texts, seconds if pairs else None


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
