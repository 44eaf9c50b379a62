"""Settings: frozen dataclasses, each a table of a recipe, with the range beside the field.

    batch: Annotated[int, Ge(1)] = 8
    warmup: Annotated[float, Interval(ge=0, lt=1)] = 0.1
    layers: tuple[Annotated[int, Ge(0)], ...] = ()
    schedule: Literal["constant", "linear", "cosine"] = "constant"

Type and range are checked whenever such an object is made, from a file or in Python. Below that,
TOML tables to settings and back: what all kinds of recipes have in common.
"""

import codecs
import dataclasses
import difflib
import json
import operator
import re
import sys
import tomllib
import typing
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from mixtext.errors import InputError, reads

S = TypeVar("S", bound="Settings")
Cell = Annotated[str, "or a number"]  # a column by name or number, a label: 1 is "1"
COMPARED = {"ge": operator.ge, "gt": operator.gt, "le": operator.le, "lt": operator.lt}
TYPES = {str: "a string", int: "a whole number", float: "a number", bool: "true or false"}
LARGEST = 2**32  # of whole numbers: nobody waits for more steps, rows or words
SIGNS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}


@dataclass(frozen=True)
class Settings:
    """Base of all tables of a recipe; none can be made with a value of a wrong type or range.

    Values that contradict each other are refused by the subclass, in a `__post_init__` that calls
    this one first.

    Attributes:
        name: of the table.
        paths: the fields that may be paths, see `recipe.found_beside`.
    """

    name: ClassVar[str]
    paths: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        """Refuses values that their annotations do not allow (InputError names the field)."""
        for field, hint in annotations(type(self)).items():
            value = accept(getattr(self, field), hint, self.called(field))
            object.__setattr__(self, field, value)

    def called(self, field: str) -> str:
        """What the user calls a field."""
        return f"{self.name}.{field}"


def annotations(cls: type[Settings]) -> dict[str, Any]:
    """The annotations of the fields of a table, ranges included."""
    hints = typing.get_type_hints(cls, include_extras=True)
    return {field.name: hints[field.name] for field in dataclasses.fields(cls)}


def accept(value: Any, hint: Any, where: str) -> Any:
    """The value of the setting `where` as its annotation wants it.

    Args:
        value: as TOML or Python has it; a lone value stands for a tuple of one.
        hint: str, int, float, bool, a Literal, one of these with a range, or `tuple[X, ...]`. A
            value of any other type, which no file could hold, is taken as it is.
        where: the setting, as `table.field`.

    Raises:
        InputError: another type, no finite number, none of the choices, or out of range.
    """
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        if hint == Cell and isinstance(value, Integral) and not isinstance(value, bool):
            value = str(int(value))
        value = accept(value, args[0], where)
        if not all(COMPARED[way](value, bound) for way, bound in _bounds(args[1:]).items()):
            raise InputError(f"{where} is {value}: it must be {range_of(hint)}.")
        return value
    if origin is Literal:
        if value in args:
            return value
        raise InputError(f"{where} is {value!r}: it must be {range_of(hint)}.")
    if origin is tuple:
        items = value if isinstance(value, list | tuple) else [value]
        return tuple(accept(item, args[0], f"{where}[{i}]") for i, item in enumerate(items))
    if hint is float and isinstance(value, Real) and not isinstance(value, bool):
        if not -sys.float_info.max <= value <= sys.float_info.max:  # type: ignore[operator]
            raise InputError(f"{where} is {value}: it must be a finite number.")
        return float(value)
    if hint is int and isinstance(value, Integral) and not isinstance(value, bool):
        if not -LARGEST <= value <= LARGEST:  # type: ignore[operator]
            raise InputError(f"{where} must be a whole number of at most {LARGEST:,}.")
        return int(value)
    if hint not in TYPES or (hint in (str, bool) and isinstance(value, hint)):
        return value
    quotes = isinstance(value, str) and hint is not str and _value(value) != value
    advice = f", so write {value} without quotes" if quotes else ""
    raise InputError(f"{where} is {value!r}: it must be {TYPES[hint]}{advice}.")


def range_of(hint: Any) -> str:
    """What an annotation allows, in words: `≥ 1`, `in [0, 1)`, `one of …`; empty: everything."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return f"one of {', '.join(map(repr, args))}"
    if origin is tuple:
        each = range_of(args[0])
        return each and f"each {each}"
    if origin is not Annotated or hint == Cell:
        return ""
    (low, least), *high = _bounds(args[1:]).items()
    if not high:
        return f"{SIGNS[low]} {least}"
    return f"in {'[' if low == 'ge' else '('}{least}, {high[0][1]}{']' if 'le' in high[0] else ')'}"


def _bounds(marks: Sequence[Any]) -> dict[str, Any]:
    """Bounds by their names in annotated-types, the lower one first."""
    found = ((way, getattr(mark, way, None)) for way in COMPARED for mark in marks)
    return {way: bound for way, bound in found if bound is not None}


def refuse_unheard(settings: Settings, fields: Iterable[str], because: str, else_: str) -> None:
    """Refuses settings that nothing listens to, where they are not as they are by default.

    Args:
        settings: the table.
        fields: those of it that are not heard.
        because: why not, as a part of a sentence.
        else_: what would make them heard, likewise, after "leave it out, or"; or empty.
    """
    for field in dataclasses.fields(settings):
        if field.name in fields and (value := getattr(settings, field.name)) != field.default:
            raise InputError(
                f"{settings.name}.{field.name} is {to_toml(value)}, but {because}: leave it out"
                + (f", or {else_}." if else_ else ".")
            )


@reads("correct the recipe")
def read_toml(path: str | Path) -> dict[str, Any]:
    """The values of a recipe file.

    Raises:
        InputError: there is no such file, or it is not TOML.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"recipe {path} does not exist: give the path of a TOML file.")
    raw = path.read_bytes()
    # Editors on Windows write a mark, and some of them UTF-16.
    wide = raw[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    try:
        text = raw.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"recipe {path} is not valid TOML: byte {error.start + 1} is no UTF-8; save it as such."
        ) from None
    try:
        return tomllib.loads(text.replace("\r\n", "\n").replace("\r", "\n"))
    except tomllib.TOMLDecodeError as error:
        hint = _hint(text, error)
        if path.suffix.lower() != ".toml" and not hint:
            hint = f"; `mixtext new-recipe {path}` writes a recipe for data"
        raise InputError(f"recipe {path} is not valid TOML: {error}{hint}.") from None


def _hint(text: str, error: tomllib.TOMLDecodeError) -> str:
    """What people often mean by a line that is no TOML, as the rest of a sentence."""
    found = re.search(r"line (\d+)", str(error))
    line = text.splitlines()[int(found[1]) - 1] if found else ""
    if set(line) & set("“”„‘’«»"):
        return ": write straight quotes, \" or ', around strings"
    if "\\" in line:
        return ": write / in paths, or single quotes around strings that hold a \\"
    if re.match(r"\s*[\w-]+\s*=\s*[A-Za-z./~]", line):
        return ": write quotes around what is no number, nor true or false"
    if re.search("overwrite|twice", str(error)):
        return ": keep one of them"
    return ""


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


def read_table(cls: type[S], values: Any) -> S:
    """A table as settings; unknown keys are refused too."""
    if not isinstance(values, dict):
        raise InputError(f"{cls.name!r} must be a table, like [{cls.name}].")
    refuse_unknown(values, annotations(cls), f"[{cls.name}] has the ")
    return cls(**values)


def refuse_unknown(values: Iterable[str], known: Iterable[str], what: str = "") -> None:
    """Refuses a key that is not known; the sentence begins with `what` and "unknown key"."""
    known = list(known)
    for key in values:
        if key not in known:
            raise InputError(
                f"{what}unknown key {key!r}{near(key, known)}; there are "
                f"{', '.join(known) or 'no settings'}."
            )


def dump_table(settings: Settings) -> list[str]:
    """The lines of a table with every field written out; nothing for settings without fields."""
    fields = dataclasses.asdict(settings)
    lines = (f"{key} = {to_toml(value)}" for key, value in fields.items())
    return ["", f"[{settings.name}]", *lines] if fields else []


def to_toml(value: Any) -> str:
    """A string, number, truth value or a sequence of them as TOML."""
    # JSON's strings, numbers, true and false, and lists of them, are TOML's as well.
    text = json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)
    return text.replace("\x7f", "\\u007f")  # but for this one, which TOML wants escaped


def near(key: str, known: Iterable[str]) -> str:
    """A question after the known key that is spelled most like this one, if any is."""
    folded = {x.casefold(): x for x in known}
    close = difflib.get_close_matches(key.casefold(), folded, 1)
    return f" (did you mean {folded[close[0]]!r}?)" if close else ""


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"v = {text}")["v"]
    except (ValueError, RecursionError):
        return text
