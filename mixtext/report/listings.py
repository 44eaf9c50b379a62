"""What there is to choose from, in words taken from the docstrings of the code itself."""

import dataclasses
import inspect
import json
import re
import typing

from mixtext.data.catalogue import CATALOGUE
from mixtext.methods import METHODS
from mixtext.recipe import Recipe


def list_methods(settings: bool = False) -> str:
    """Paper, tasks and what is mixed, of every method; with `settings`, each setting as well."""
    lines = []
    for method in METHODS.values():
        names = [f.name for f in dataclasses.fields(method)]
        lines += [
            method.name,
            f"  paper    {method.paper}",
            f"  tasks    {', '.join(method.tasks)}",
            f"  mixes    {method.mixes}",
            f"  settings {', '.join(names) or 'none'}",
        ]
        if settings:
            lines += [f"    {line}" for line in fields_of(method)]
    return "\n".join(lines)


def list_datasets() -> str:
    """The data sets that are known by name: classes, columns of the text, where they come from."""
    lines = []
    for name, entry in CATALOGUE.items():
        hub = f"--root FOLDER, or hub {entry.hub}"
        where = f"package {entry.package}" if entry.package else hub
        lines.append(
            f"{name:<14} {len(entry.label_names):>3} classes  text: {' + '.join(entry.text)}  "
            f"({where})"
        )
    return "\n".join(lines)


def list_recipe_fields() -> str:
    """Every field of a recipe but those of the methods."""
    lines = []
    for f in dataclasses.fields(Recipe):
        if dataclasses.is_dataclass(f.type) and f.name != "method":
            lines.append(f"[{f.name}]")
            lines += [f"  {line}" for line in fields_of(typing.cast(type, f.type))]
    return "\n".join([*lines, "Settings of the methods: mixtext methods --settings"])


def fields_of(cls: type) -> list[str]:
    """`name = default: meaning` of each field of a dataclass, from the class's docstring."""
    document = inspect.cleandoc(cls.__doc__ or "")
    attributes = document.partition("Attributes:")[2]
    meanings = {
        name: " ".join(text.split())
        for name, text in re.findall(r"^    (\w+): (.*?)(?=^    \w+: |\Z)", attributes, re.S | re.M)
    }
    lines = []
    for f in dataclasses.fields(cls):
        default = list(f.default) if isinstance(f.default, tuple) else f.default
        lines.append(f"{f.name} = {json.dumps(default)}: {meanings.get(f.name, '')}")
    return lines
