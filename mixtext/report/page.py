"""A small report, of headings, sentences, tables and pictures, as text, Markdown or HTML."""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mixtext.data.labels import shown
from mixtext.markdown import escaped, markdown_table

MADE = '<meta name="generator" content="mixtext">'  # tells our pages from the user's
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; margin: 1rem 0; display: block; overflow-x: auto }
th, td { padding: .2rem .6rem; border-bottom: 1px solid #ddd; text-align: left }
td:first-child { white-space: nowrap }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums }
svg { max-width: 100%; height: auto }
.pictures { display: flex; flex-wrap: wrap; gap: 1rem }
nav a { margin-right: 1rem }
h2 { margin-top: 3rem; border-top: 1px solid #ddd; padding-top: 1rem }
"""


@dataclass(frozen=True)
class Heading:
    """A heading; level 2 of the page or, of a part of it, 3."""

    text: str
    level: int = 2


@dataclass(frozen=True)
class Sentence:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Table:
    """A table; cells that are no strings are numbers, and `shade` colours them by their share.

    Attributes:
        head: names of the columns.
        rows: the cells.
        shade: colour the numbers of a row by their share of its sum.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[Any]]
    shade: bool = False


@dataclass(frozen=True)
class Picture:
    """An SVG picture, which stands in HTML alone."""

    svg: str


Block = Heading | Sentence | Table | Picture


def to_text(blocks: Sequence[Block]) -> str:
    """The report for a terminal: columns aligned, numbers to the right."""
    parts = []
    for block in blocks:
        if isinstance(block, Table):
            cells = [
                [shown(x) for x in block.head],
                *([_cell(x) for x in row] for row in block.rows),
            ]
            widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
            right = _numeric(block)
            parts.append(
                "\n".join(
                    "  ".join(
                        x.rjust(w) if r else x.ljust(w)
                        for x, w, r in zip(row, widths, right, strict=True)
                    ).rstrip()
                    for row in cells
                )
            )
        elif not isinstance(block, Picture):
            parts.append(shown(block.text))
    return "\n\n".join(parts)


def to_markdown(blocks: Sequence[Block]) -> str:
    """The report as Markdown."""
    parts = []
    for block in blocks:
        if isinstance(block, Heading):
            parts.append(f"{'#' * block.level} {escaped(block.text)}")
        elif isinstance(block, Sentence):
            parts.append(escaped(block.text))
        elif isinstance(block, Table):
            lines = [[_cell(x) for x in row] for row in (block.head, *block.rows)]
            parts.append(markdown_table(lines, _numeric(block)))
    return "\n\n".join(parts) + "\n"


def to_html(blocks: Sequence[Block], title: str) -> str:
    """The report as one HTML file that loads nothing; links to its headings stand first."""
    parts: list[str] = []
    links: list[str] = []
    for number, block in enumerate(blocks):
        if isinstance(block, Heading):
            text, h = html.escape(shown(block.text)), f"h{block.level}"
            parts.append(f'<{h} id="b{number}">{text}</{h}>')
            if block.level == 2:
                links.append(f'<a href="#b{number}">{text}</a>')
        elif isinstance(block, Sentence):
            parts.append(f"<p>{html.escape(shown(block.text))}</p>")
        elif isinstance(block, Picture):
            before, after = blocks[max(0, number - 1) : number], blocks[number + 1 : number + 2]
            opened = "" if any(isinstance(x, Picture) for x in before) else '<div class="pictures">'
            closed = "" if any(isinstance(x, Picture) for x in after) else "</div>"
            parts.append(f"{opened}{block.svg}{closed}")
        else:
            right = _numeric(block)
            names = zip(block.head, right, strict=True)
            lines = ["".join(f"<th{_class(r)}>{html.escape(shown(x))}</th>" for x, r in names)]
            for row in block.rows:
                total = sum(x for x in row if not isinstance(x, str)) or 1
                lines.append(
                    "".join(
                        f"<td{_class(r)}{_shade(x, total) if block.shade else ''}>"
                        f"{html.escape(_cell(x))}</td>"
                        for x, r in zip(row, right, strict=True)
                    )
                )
            parts.append("<table>" + "".join(f"<tr>{x}</tr>\n" for x in lines) + "</table>")
    name, nav = html.escape(shown(title)), f"<nav>{' '.join(links)}</nav>\n"
    return (
        f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n{MADE}\n'
        f"<title>{name}</title>\n"
        f"<style>{STYLE}</style>\n<h1>{name}</h1>\n{nav}" + "\n".join(parts) + "\n</html>\n"
    )


def _numeric(table: Table) -> list[bool]:
    columns = zip(*table.rows, strict=True) if table.rows else [["-"] for _ in table.head]
    return [not any(isinstance(x, str) for x in column) for column in columns]


def _cell(value: str | int | float) -> str:
    if isinstance(value, str):
        return shown(value)
    return f"{value:.4f}" if isinstance(value, float) else f"{value:,}"


def _class(number: bool) -> str:
    return ' class="number"' if number else ""


def _shade(value: str | int | float, total: float) -> str:
    if isinstance(value, str) or not value:
        return ""
    return f' style="background: rgb(70 130 180 / {value / total:.2f})"'
