"""What a file of rows is, where neither options nor its suffix say: its format, its separator."""

import csv
import json
import re
import zipfile
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from itertools import islice
from pathlib import Path

from mixtext.data.read.characters import Decoder, open_bytes

SEPARATORS = ",;\t|"
SNIFFED = 200  # lines that are looked at
FASTTEXT = "__label__"
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?', re.I)  # Excel's


def head_of(path: Path, decode: Decoder) -> list[str]:
    """The first lines of a file, decoded so that nothing is refused; "" stands for its end."""
    with closing(replace(decode, errors="replace").lines(path)) as lines:
        return [line for _, line in islice(lines, SNIFFED)]


def said_separator(line: str) -> str:
    """What a first line `sep=;` says; "" if it is none."""
    found = _SEPARATOR_LINE.fullmatch(line.rstrip("\r\n"))
    return found[1] if found else ""


def separator_of(head: Sequence[str], wanted: Sequence[str], header: bool, usual: str) -> str:
    """What separates the cells of a table.

    With a header the separator that gives most of the wanted columns, of equals the usual one;
    else the usual one, if it cuts all lines into equally many cells, or what `csv.Sniffer` finds.

    Args:
        head: first lines of the file.
        wanted: columns that should be there.
        header: the first line names columns.
        usual: separator that the suffix promises.
    """
    lines = [line for line in head if line.strip()]
    if not lines:
        return usual
    if header:
        names = lines[1 if said_separator(lines[0]) else 0 :][:1] or [""]
        found = {x: _columns_found(names[0], x, wanted) for x in (usual, *SEPARATORS)}
        if best := max(found.values()):
            return next(x for x, count in found.items() if count == best)
    if _even(lines, usual):
        return usual
    try:
        sniffed = csv.Sniffer().sniff("".join(lines[:-1] or lines), SEPARATORS).delimiter
    except csv.Error:
        return usual
    return sniffed if _even(lines, sniffed) else usual


def _columns_found(line: str, separator: str, wanted: Sequence[str]) -> int:
    [names] = _cut([line], separator) or [[]]
    return len({x.strip() for x in names} & set(wanted))


def _even(lines: Sequence[str], separator: str) -> bool:
    """Whether the separator cuts all rows into the same number of cells, at least two."""
    # Without the last line, which may be half a row.
    widths = {len(cells) for cells in _cut(lines[:-1] or lines, separator) if cells}
    return len(widths) == 1 and widths.pop() > 1


def _cut(lines: Sequence[str], separator: str) -> list[list[str]]:
    try:
        return list(csv.reader(lines, delimiter=separator))
    except csv.Error:  # such as a cell that is longer than csv's limit
        return []


def format_of(path: Path, wanted: Sequence[str], header: bool, decode: Decoder) -> str:
    """The format that the content of a file tells; "" if it could be anything."""
    with open_bytes(path) as file:
        magic = file.peek(4)[:4]
    if magic == b"PAR1":
        return "parquet"
    if magic == b"PK\x03\x04" and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if any(name.endswith(".npy") for name in archive.namelist()):
                return "npz"
    with closing(replace(decode, errors="replace").pieces(path)) as pieces:
        if next((x for x in pieces if x.strip()), "").lstrip().startswith("["):
            return "json"  # perhaps all of it in one line
    head = head_of(path, decode)
    lines = [line.strip() for line in head if line.strip()]
    if not lines:
        return ""
    if lines[0].startswith(("[", "{")):
        return "jsonl" if is_json_lines(lines) else "json"
    if all(line.startswith(FASTTEXT) for line in lines):
        return "lines"
    usual = said_separator(lines[0])
    if usual:
        return "csv"
    separator = separator_of(head, wanted, header, ",")
    found = _columns_found(lines[0], separator, wanted) if header else _even(lines, separator)
    if found:
        return "tsv" if separator == "\t" else "csv"
    firsts = Counter(line.partition(" ")[0].partition("\t")[0] for line in lines)
    repeated = len(firsts) > 1 and 3 * len(firsts) <= len(lines) and min(firsts.values()) > 1
    return "lines" if repeated and all(len(line.split()) > 1 for line in lines) else ""


def is_json_lines(lines: Sequence[str]) -> bool:
    """Whether the first lines of a file that begins like JSON are values of their own."""
    try:
        first = json.loads(lines[0])
    except ValueError:
        return False
    if not isinstance(first, dict):
        return False
    values = [*first.values()]
    is_one = any(isinstance(x, list) for x in values) or all(isinstance(x, dict) for x in values)
    return len(lines) > 1 or not is_one
