"""Markdown that holds whatever the names in it are."""

import re
from collections.abc import Sequence

from mixtext.data.labels import shown


def markdown_table(rows: Sequence[Sequence[str]], numbers: Sequence[bool] = ()) -> str:
    """A table; its first row is the head.

    Args:
        rows: cells, whose line breaks, `|` and `<` are escaped.
        numbers: columns that are set to the right.
    """
    marks = ["---:" if number else "---" for number in numbers or [False] * len(rows[0])]
    lines = [[escaped(cell) for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in (lines[0], marks, *lines[1:]))


def escaped(text: str) -> str:
    """Text on one line that opens no HTML and closes no cell."""
    return shown(text).replace("|", "\\|").replace("<", "&lt;")


def literal(text: str) -> str:
    """Text in which nothing is marked up."""
    return re.sub(r"([\\`*_\[\]#~])", r"\\\1", text)
