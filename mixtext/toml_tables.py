"""TOML tables to frozen dataclasses and back: what all kinds of recipes have in common."""

import dataclasses
import difflib
import json
import math
import tomllib
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

from mixtext.errors import InputError

T = TypeVar("T")


def read_toml(path: str | Path) -> dict[str, Any]:
    """The values of a recipe file.

    Raises:
        InputError: there is no such file, or it is not TOML.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"recipe {path} does not exist: give the path of a TOML file.")
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"recipe {path} is not valid TOML: {error}.") from None


def override(values: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """A copy of `values` with `key=value` and `table.field=value` put in; later ones win.

    A value is written as in TOML; what is no TOML value is taken as a string.
    """
    values = {k: dict(v) if isinstance(v, dict) else v for k, v in values.items()}
    for one in overrides:
        key, equals, text = one.partition("=")
        if not equals:
            raise InputError(f"override {one!r} is not of the form table.field=value.")
        table, dot, name = key.strip().partition(".")
        if dot:
            inner = values.setdefault(table, {})
            if not isinstance(inner, dict):
                raise InputError(f"override {one!r}: {table!r} is not a table.")
            inner[name] = _value(text)
        else:
            values[table] = _value(text)
    return values


def refuse_unknown(values: dict[str, Any], known: Sequence[str], where: str) -> None:
    """Refuses a key that a recipe does not have."""
    for key in values:
        if key not in known:
            raise InputError(f"{where} has the unknown key {key!r}{near(key, known)}.")


def read_table(cls: type[T], values: Any, table: str, where: str) -> T:
    """A table as a settings dataclass; unknown keys and values of the wrong type are refused."""
    if not isinstance(values, dict):
        raise InputError(f"{where}: {table!r} must be a table, like [{table}].")
    hints = typing.get_type_hints(cls)
    known = [f.name for f in dataclasses.fields(cls)]  # type: ignore[arg-type]
    for key in values:
        if key not in known:
            raise InputError(
                f"{where}: [{table}] has the unknown key {key!r}{near(key, known)}; it knows "
                f"{', '.join(known) or 'no settings'}."
            )
    return cls(**{k: coerce(v, hints[k], f"{where}: {table}.{k}") for k, v in values.items()})


def coerce(value: Any, hint: Any, where: str) -> Any:
    """Checks a TOML value against a type: str, int, float, bool, Literal or tuple[X, ...]."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        if value in args:
            return value
        choices = ", ".join(map(repr, args))
        raise InputError(f"{where} is {value!r}: it must be one of {choices}.")
    if origin is tuple:
        items = value if isinstance(value, list | tuple) else [value]
        return tuple(coerce(item, args[0], where) for item in items)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"{where} is {value}: it must be a finite number.")
    if isinstance(value, hint) and not (hint is int and isinstance(value, bool)):
        return value
    names = {str: "a string", int: "a whole number", float: "a number", bool: "true or false"}
    raise InputError(f"{where} is {value!r}: it must be {names.get(hint, hint)}.")


def dump_table(name: str, settings: Any) -> list[str]:
    """The lines of a table with every field written out; nothing for settings without fields."""
    fields = dataclasses.asdict(settings)
    return ["", f"[{name}]", *(f"{k} = {to_toml(v)}" for k, v in fields.items())] if fields else []


def to_toml(value: Any) -> str:
    """A string, number, truth value or a sequence of them as TOML."""
    # JSON's strings, numbers, true and false, and lists of them, are TOML's as well.
    text = json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)
    return text.replace("\x7f", "\\u007f")  # but for this one, which TOML wants escaped


def near(key: str, known: Sequence[str]) -> str:
    """A question after the known key that is spelled most like this one, if any is."""
    close = difflib.get_close_matches(key, known, 1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"v = {text}")["v"]
    except tomllib.TOMLDecodeError:
        return text
