"""A recipe: a TOML file that says everything about a run, and the dataclasses it loads into.

    name = "bbc-mixtext"
    method = "mixtext"

    [data]                  # DataSettings
    [views]                 # ViewSettings
    [model]                 # ModelSettings
    [training]              # TrainingSettings
    [mixtext]               # settings of the method of that name; tables of other methods may
                            # stand beside it and wait until `method` names them

Every field can be set on the command line as `table.field=value`.
"""

import dataclasses
import difflib
import json
import math
import tomllib
import typing
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from mixtext.data.settings import DataSettings, ViewSettings
from mixtext.errors import InputError
from mixtext.methods import METHODS
from mixtext.methods.base import Method
from mixtext.methods.mixtext import MixText
from mixtext.models.build import ModelSettings
from mixtext.training.settings import TrainingSettings

T = TypeVar("T")


@dataclass(frozen=True)
class Recipe:
    """Everything about a run.

    Attributes:
        name: of the run; its folder is `runs/<name>` unless another is given.
        method: the method and its settings.
        data: corpus and split.
        views: where views of unlabelled texts come from.
        model: encoder and head.
        training: the loop.
    """

    name: str = "run"
    method: Method = field(default_factory=MixText)
    data: DataSettings = field(default_factory=DataSettings)
    views: ViewSettings = field(default_factory=ViewSettings)
    model: ModelSettings = field(default_factory=ModelSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)

    def __post_init__(self) -> None:
        """Refuses values out of range and contradictions between tables."""
        self.data.check()
        self.views.check()
        self.model.check()
        self.training.check()
        if self.method.unlabelled and self.training.batch_unlabelled == 0:
            raise InputError(
                f"method is {self.method.name!r}, which learns from unlabelled rows, but "
                "training.batch_unlabelled is 0: raise it, or choose another method."
            )
        no_dev = self.data.split == "seeded" and not self.data.dev_per_class
        if self.training.patience and no_dev:
            raise InputError(
                f"training.patience is {self.training.patience} but data.dev_per_class is 0: "
                "early stopping needs a dev set; raise one or set the other to 0."
            )


TABLES = {f.name: f for f in dataclasses.fields(Recipe) if f.name not in ("name", "method")}


def load_recipe(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Reads a recipe file.

    Args:
        path: the TOML file.
        overrides: `name=…`, `method=…` or `table.field=value`, later ones win. A value is written
            as in TOML; what is no TOML value is taken as a string.

    Raises:
        InputError: missing or malformed file, unknown key, wrong type, contradiction.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"recipe {path} does not exist: give the path of a TOML file.")
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"recipe {path} is not valid TOML: {error}.") from None
    return make_recipe(values, overrides, str(path))


def make_recipe(
    values: dict[str, Any], overrides: Sequence[str] = (), where: str = "recipe"
) -> Recipe:
    """Builds a recipe from nested dicts as `load_recipe` does from a file."""
    values = {k: dict(v) if isinstance(v, dict) else v for k, v in values.items()}
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals:
            raise InputError(f"override {override!r} is not of the form table.field=value.")
        table, dot, name = key.strip().partition(".")
        if dot:
            inner = values.setdefault(table, {})
            if not isinstance(inner, dict):
                raise InputError(f"override {override!r}: {table!r} is not a table.")
            inner[name] = _value(text)
        else:
            values[table] = _value(text)
    known = ["name", "method", *TABLES, *METHODS]
    for key in values:
        if key not in known:
            raise InputError(f"{where} has the unknown key {key!r}{_near(key, known)}.")
    method = values.get("method", "mixtext")
    if not isinstance(method, str) or method not in METHODS:
        raise InputError(
            f"{where}: method is {method!r}{_near(str(method), list(METHODS))}; "
            f"methods are {', '.join(METHODS)}."
        )
    for other in METHODS:  # tables that wait are checked too: a typing error should not wait
        if other in values:
            settings = _table(METHODS[other], values[other], other, where)
            if other == method:
                chosen = settings
    if method not in values:
        chosen = METHODS[method]()
    tables: dict[str, Any] = {
        name: _table(_class(f), values[name], name, where)
        for name, f in TABLES.items()
        if name in values
    }
    name = _coerce(values.get("name", "run"), str, f"{where}: name")
    return Recipe(name=name, method=chosen, **tables)


def dump_recipe(recipe: Recipe) -> str:
    """The recipe as TOML with every field written out; `load_recipe` reads it back."""
    lines = [f"name = {_toml(recipe.name)}", f"method = {_toml(recipe.method.name)}"]
    for name in (*TABLES, recipe.method.name):
        table = recipe.method if name == recipe.method.name else getattr(recipe, name)
        fields = dataclasses.asdict(table)
        if fields:
            lines += ["", f"[{name}]", *(f"{k} = {_toml(v)}" for k, v in fields.items())]
    return "\n".join(lines) + "\n"


def flat(recipe: Recipe) -> dict[str, Any]:
    """The recipe as one dict with keys `table.field`."""
    values: dict[str, Any] = {"name": recipe.name, "method": recipe.method.name}
    for name in (*TABLES, recipe.method.name):
        table = recipe.method if name == recipe.method.name else getattr(recipe, name)
        values |= {f"{name}.{k}": v for k, v in dataclasses.asdict(table).items()}
    return values


def changed(recipe: Recipe) -> dict[str, Any]:
    """The fields that are not as they are by default, with keys `table.field`; without `name`."""
    default = flat(Recipe(method=type(recipe.method)()))
    return {k: v for k, v in flat(recipe).items() if v != default[k] and k != "name"}


def _class(f: dataclasses.Field) -> type:
    assert isinstance(f.type, type)
    return f.type


def _toml(value: Any) -> str:
    # JSON's strings, numbers, true and false, and lists of them, are TOML's as well.
    text = json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)
    return text.replace("\x7f", "\\u007f")  # but for this one, which TOML wants escaped


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"v = {text}")["v"]
    except tomllib.TOMLDecodeError:
        return text


def _near(key: str, known: list[str]) -> str:
    close = difflib.get_close_matches(key, known, 1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _table(cls: type[T], values: Any, table: str, where: str) -> T:
    if not isinstance(values, dict):
        raise InputError(f"{where}: {table!r} must be a table, like [{table}].")
    hints = typing.get_type_hints(cls)
    known = [f.name for f in dataclasses.fields(cls)]  # type: ignore[arg-type]
    for key in values:
        if key not in known:
            raise InputError(
                f"{where}: [{table}] has the unknown key {key!r}{_near(key, known)}; it knows "
                f"{', '.join(known) or 'no settings'}."
            )
    return cls(**{k: _coerce(v, hints[k], f"{where}: {table}.{k}") for k, v in values.items()})


def _coerce(value: Any, hint: Any, where: str) -> Any:
    """Checks a TOML value against a type: str, int, float, bool, Literal or tuple[X, ...]."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        if value in args:
            return value
        choices = ", ".join(map(repr, args))
        raise InputError(f"{where} is {value!r}: it must be one of {choices}.")
    if origin is tuple:
        items = value if isinstance(value, list | tuple) else [value]
        return tuple(_coerce(item, args[0], where) for item in items)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"{where} is {value}: it must be a finite number.")
    if isinstance(value, hint) and not (hint is int and isinstance(value, bool)):
        return value
    names = {str: "a string", int: "a whole number", float: "a number", bool: "true or false"}
    raise InputError(f"{where} is {value!r}: it must be {names.get(hint, hint)}.")
