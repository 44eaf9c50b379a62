"""The recipe of a tagger: of plain training, and of the rounds of active learning.

task = "tagging"
name = "conll"
method = "seqmix"       # or "supervised": the same without generated sentences

[data]                  # TagDataSettings
[model]                 # TaggerSettings
[training]              # TrainingSettings
[seqmix]                # SeqMix
[active]                # ActiveSettings: of `mixtext active run` alone
"""

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

from mixtext.errors import InputError
from mixtext.tagging.data import TagDataSettings
from mixtext.tagging.seqmix import SeqMix
from mixtext.tagging.settings import ActiveSettings, TaggerSettings
from mixtext.toml_tables import (
    coerce,
    dump_table,
    override,
    read_table,
    read_toml,
    refuse_unknown,
    to_toml,
)
from mixtext.training.settings import TrainingSettings

MethodName = Literal["supervised", "seqmix"]
TABLES = {
    "data": TagDataSettings,
    "model": TaggerSettings,
    "training": TrainingSettings,
    "seqmix": SeqMix,
    "active": ActiveSettings,
}


@dataclass(frozen=True)
class TaggingRecipe:
    """Everything about a run of the task `tagging`.

    Attributes:
        name: of the run; its folder is `runs/<name>` unless another is given.
        method: `seqmix` adds generated sentences, `supervised` does not.
        data: the sentences.
        model: the tagger.
        training: the loop.
        seqmix: how sentences are generated.
        active: the rounds of active learning.
    """

    name: str = "run"
    method: MethodName = "supervised"
    data: TagDataSettings = field(default_factory=TagDataSettings)
    model: TaggerSettings = field(default_factory=TaggerSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    seqmix: SeqMix = field(default_factory=SeqMix)
    active: ActiveSettings = field(default_factory=ActiveSettings)

    def __post_init__(self) -> None:
        """Refuses values out of range."""
        for table in TABLES:
            getattr(self, table).check()
        if self.training.select != "auto":
            raise InputError(
                f"training.select is {self.training.select!r}, but taggers are selected by F1: "
                "leave it at 'auto'."
            )
        if self.training.patience and not self.data.dev:
            raise InputError(
                f"training.patience is {self.training.patience} but data.dev is empty: early "
                "stopping needs a dev set; name one or set the other to 0."
            )

    @property
    def mixing(self) -> SeqMix:
        """SeqMix's settings, with a rate of 0 where nothing is to be generated."""
        return self.seqmix if self.method == "seqmix" else replace(self.seqmix, rate=0.0)


def is_tagging(values: dict[str, Any]) -> bool:
    """Whether the values of a recipe file are of this task."""
    return values.get("task") == "tagging"


def load_tagging_recipe(path: str | Path, overrides: tuple[str, ...] = ()) -> TaggingRecipe:
    """Reads a recipe file of this task; errors as in `load_recipe`."""
    return make_tagging_recipe(read_toml(path), overrides, str(path))


def make_tagging_recipe(
    values: dict[str, Any], overrides: tuple[str, ...] = (), where: str = "recipe"
) -> TaggingRecipe:
    """Builds a recipe from nested dicts."""
    values = override(values, overrides)
    refuse_unknown(values, ["task", "name", "method", *TABLES], where)
    if not is_tagging(values):
        raise InputError(f'{where}: task is {values.get("task")!r}: it must be "tagging".')
    method = values.get("method", "supervised")
    if method not in get_args(MethodName):
        raise InputError(
            f"{where}: method is {method!r}: for the task tagging it must be one of "
            f"{', '.join(get_args(MethodName))}."
        )
    tables: dict[str, Any] = {
        name: read_table(cls, values[name], name, where)
        for name, cls in TABLES.items()
        if name in values
    }
    name = coerce(values.get("name", "run"), str, f"{where}: name")
    return TaggingRecipe(name=name, method=method, **tables)


def dump_tagging_recipe(recipe: TaggingRecipe) -> str:
    """The recipe as TOML with every field written out; `load_tagging_recipe` reads it back."""
    lines = ['task = "tagging"', f"name = {to_toml(recipe.name)}"]
    lines.append(f"method = {to_toml(recipe.method)}")
    for name in TABLES:
        lines += dump_table(name, getattr(recipe, name))
    return "\n".join(lines) + "\n"


def flat(recipe: TaggingRecipe) -> dict[str, Any]:
    """The recipe as one dict with keys `table.field`."""
    values: dict[str, Any] = {"name": recipe.name, "method": recipe.method}
    for name in TABLES:
        values |= {f"{name}.{k}": v for k, v in asdict(getattr(recipe, name)).items()}
    return values
