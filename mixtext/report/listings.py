"""What there is to choose from, in words taken from the docstrings of the code itself."""

import dataclasses
import inspect
import json
import re
import textwrap
from collections.abc import Sequence
from typing import Any

from mixtext.data.read.catalogue import CATALOGUE
from mixtext.methods import METHODS
from mixtext.methods.base import MethodOf
from mixtext.recipe import Recipe
from mixtext.settings import Settings, annotations, range_of
from mixtext.tagging.recipe import TaggingRecipe
from mixtext.tagging.seqmix import SeqMix

# SeqMix goes with recipes of its own, for tagging.
LISTED: tuple[type[MethodOf], ...] = (*METHODS.values(), SeqMix)


def list_methods(settings: bool = False, width: int = 120) -> str:
    """A table of the methods: paper, rows and targets taken, what is mixed, names of the settings.

    Args:
        settings: below it, every setting with its default and meaning.
        width: characters of a line; below 100 the columns would be too narrow to read.
    """
    rows = [("method", "paper", "rows", "targets", "mixes", "settings")]
    for method in LISTED:
        names = [f.name for f in dataclasses.fields(method)]
        takes = ", ".join(method.rows), ", ".join(method.targets)
        rows.append((method.name, method.paper, *takes, method.mixes, ", ".join(names) or "none"))
    lines = aligned(rows, max(100, width))
    if settings:
        for method in LISTED:
            if explained := field_lines(method):
                lines += ["", f"[{method.name}]", *(f"    {line}" for line in explained)]
    return "\n".join(lines)


def methods_found() -> list[dict[str, Any]]:
    """What `list_methods` tells, ready for JSON."""
    return [
        {
            "method": method.name,
            "paper": method.paper,
            "rows": list(method.rows),
            "targets": list(method.targets),
            "mixes": method.mixes,
            "settings": explained(method),
        }
        for method in LISTED
    ]


def aligned(rows: Sequence[Sequence[str]], width: int) -> list[str]:
    """Lines of a table whose cells are wrapped so that no line is longer than `width`.

    The first column keeps its width and no word is broken. What is left of the line is shared by
    the square root of each column's longest cell: one long cell then neither starves the other
    columns nor becomes a long ribbon.
    """
    columns = list(zip(*rows, strict=True))
    first, *needs = (max(map(len, column)) for column in columns)
    rest = width - first - 2 * len(needs)
    if sum(needs) > rest:
        words = [max(len(x) for cell in column for x in cell.split() or [""]) for column in columns]
        least = words[1:]
        roots = [(need - x) ** 0.5 for need, x in zip(needs, least, strict=True)]
        spare = max(0, rest - sum(least)) / (sum(roots) or 1)
        shares = (int(x + spare * root) for x, root in zip(least, roots, strict=True))
        needs = [min(need, share) for need, share in zip(needs, shares, strict=True)]
    widths = [first, *needs]
    lines = []
    for number, row in enumerate(rows):
        cells = [
            textwrap.wrap(cell, widths[i], break_on_hyphens=False) or [""]
            for i, cell in enumerate(row)
        ]
        for depth in range(max(map(len, cells))):
            parts = [cell[depth] if depth < len(cell) else "" for cell in cells]
            lines.append("  ".join(x.ljust(widths[i]) for i, x in enumerate(parts)).rstrip())
        if number == 0:
            lines.append("  ".join("-" * n for n in widths))
    return lines


def list_datasets() -> str:
    """The data sets that are known by name: task, columns of the text, where they come from."""
    lines = []
    width = max(map(len, CATALOGUE))
    for name, entry in CATALOGUE.items():
        task = f"{len(entry.label_names):>3} classes"
        if entry.scores:
            task = "scores {:g}–{:g}".format(*entry.scores)
        rows = " | ".join(" + ".join(columns) for columns in (entry.text, entry.pair) if columns)
        kind = "pairs" if entry.pair else "text"
        what = "vectors" if entry.read else f"{kind}: {rows}"
        hub = f"--root FOLDER, or hub {entry.hub}"
        where = f"package {entry.package}" if entry.package else hub
        lines.append(f"{name:<{width}} {task:<11}  {what}  ({where})")
    return "\n".join(lines)


def datasets_found() -> list[dict[str, Any]]:
    """What `list_datasets` tells, ready for JSON."""
    return [
        {
            "name": name,
            "classes": list(entry.label_names),
            "scores": list(entry.scores),
            "rows": "vectors" if entry.read else "pairs" if entry.pair else "texts",
            "text": list(entry.text),
            "pair": list(entry.pair),
            "package": entry.package,
            "hub": entry.hub,
        }
        for name, entry in CATALOGUE.items()
    ]


def list_recipe_fields() -> str:
    """Every field of a recipe, and of one for tagging, but those of the methods."""
    lines = []
    for cls in Recipe.tables().values():
        lines += _table(cls)
    lines += ["", 'Where task = "tagging", [training] as above and these:']
    for name, cls in TaggingRecipe.tables().items():
        if cls is not Recipe.tables().get(name):
            lines += _table(cls)
    return "\n".join([*lines, "", "Settings of the methods: mixtext methods --settings"])


def recipe_fields_found() -> list[dict[str, Any]]:
    """What `list_recipe_fields` tells, ready for JSON; `task`: where a field is, "" for both."""
    tables, tagging = Recipe.tables(), TaggingRecipe.tables()
    found = []
    for name in dict.fromkeys([*tables, *tagging]):
        one, other = tables.get(name), tagging.get(name)
        shared = [("", one)] if one is other else [("classification", one), ("tagging", other)]
        for task, cls in shared:
            for field in explained(cls) if cls is not None else ():
                found.append({"task": task, "table": name, **field})
    return found


def _table(cls: type[Settings]) -> list[str]:
    return [f"[{cls.name}]", *(f"  {line}" for line in field_lines(cls))]


def field_lines(cls: type[Settings]) -> list[str]:
    """`name = default, range: meaning` of each field of a table, from its docstrings."""
    lines = []
    for field in explained(cls):
        value = ", ".join(filter(None, (json.dumps(field["default"]), field["range"])))
        lines.append(f"{field['name']} = {value}: {field['meaning']}")
    return lines


def explained(cls: type[Settings]) -> list[dict[str, Any]]:
    """`name`, `default`, `range` and `meaning` of each field of a table, from its docstrings."""
    meanings = {}
    for one in reversed(cls.__mro__):
        attributes = inspect.cleandoc(one.__doc__ or "").partition("Attributes:")[2]
        for name, text in re.findall(
            r"^    (\w+): (.*?)(?=^    \w+: |\Z)", attributes, re.S | re.M
        ):
            meanings[name] = " ".join(text.split())
    return [
        {
            "name": f.name,
            "default": list(f.default) if isinstance(f.default, tuple) else f.default,
            "range": range_of(annotations(cls)[f.name]).replace("'", '"'),
            "meaning": meanings.get(f.name, ""),
        }
        for f in dataclasses.fields(cls)
    ]
