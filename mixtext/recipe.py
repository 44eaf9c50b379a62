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
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mixtext.data.settings import DataSettings, ViewSettings
from mixtext.errors import InputError
from mixtext.methods import METHODS
from mixtext.methods.base import Method
from mixtext.methods.mixtext import MixText
from mixtext.models.settings import ModelSettings
from mixtext.toml_tables import (
    coerce,
    dump_table,
    near,
    override,
    read_table,
    read_toml,
    refuse_unknown,
    to_toml,
)
from mixtext.training.settings import TrainingSettings


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
    return make_recipe(read_toml(path), overrides, str(path))


def make_recipe(
    values: dict[str, Any], overrides: Sequence[str] = (), where: str = "recipe"
) -> Recipe:
    """Builds a recipe from nested dicts as `load_recipe` does from a file."""
    values = override(values, overrides)
    refuse_unknown(values, ["name", "method", *TABLES, *METHODS], where)
    method = values.get("method", "mixtext")
    if not isinstance(method, str) or method not in METHODS:
        raise InputError(
            f"{where}: method is {method!r}{near(str(method), list(METHODS))}; "
            f"methods are {', '.join(METHODS)}."
        )
    for other in METHODS:  # tables that wait are checked too: a typing error should not wait
        if other in values:
            settings = read_table(METHODS[other], values[other], other, where)
            if other == method:
                chosen = settings
    if method not in values:
        chosen = METHODS[method]()
    tables: dict[str, Any] = {
        name: read_table(_class(f), values[name], name, where)
        for name, f in TABLES.items()
        if name in values
    }
    name = coerce(values.get("name", "run"), str, f"{where}: name")
    return Recipe(name=name, method=chosen, **tables)


def dump_recipe(recipe: Recipe) -> str:
    """The recipe as TOML with every field written out; `load_recipe` reads it back."""
    lines = [f"name = {to_toml(recipe.name)}", f"method = {to_toml(recipe.method.name)}"]
    for name in (*TABLES, recipe.method.name):
        table = recipe.method if name == recipe.method.name else getattr(recipe, name)
        lines += dump_table(name, table)
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
