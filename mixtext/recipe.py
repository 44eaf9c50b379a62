"""A recipe: a TOML file that says everything about a run, and the dataclasses it loads into.

    name = "bbc-mixtext"
    method = "mixtext"

    [data]                  # DataSettings
    [views]                 # ViewSettings
    [model]                 # ModelSettings
    [training]              # TrainingSettings
    [active]                # ActiveSettings: of `mixtext active run` alone
    [mixtext]               # settings of the method of that name

Every field can be set on the command line as `table.field=value`. `preset = "few_labels"` at the
top begins with the values of that name in `presets.py`. Relative paths in a recipe are looked for
beside it.

So that one recipe serves to compare methods, some settings may wait until `method` names one that
uses them: tables of other methods, which are checked all the same; [views], beside a method that
looks at none; `training.batch_unlabelled`, beside one that learns from labelled rows alone; all
that is about steps, beside one that takes none; and [active], which rounds alone hear. Any other
setting that nothing would listen to is refused.
"""

import dataclasses
import os
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any, ClassVar, TypeVar

from mixtext.data.read.entries import CATALOGUE
from mixtext.data.settings import DataSettings, ViewSettings
from mixtext.errors import InputError, reading
from mixtext.methods import METHODS
from mixtext.methods.base import Method, MethodOf
from mixtext.methods.mixtext import MixText
from mixtext.models.settings import VECTOR_ENCODERS, WORD_ENCODERS, ModelSettings
from mixtext.presets import PRESETS, begin_with
from mixtext.settings import (
    Settings,
    accept,
    dump_table,
    near,
    override,
    read_table,
    refuse_unheard,
    refuse_unknown,
    to_toml,
)
from mixtext.training.settings import ActiveSettings, TrainingSettings

R = TypeVar("R", bound="AnyRecipe")


@dataclass(frozen=True)
class AnyRecipe:
    """What all kinds of recipes have in common. Every further field is a table of its own name.

    Attributes:
        name: of the run; its folder is `runs/<name>` unless another is given.
        method: the method and its settings.
        task: the word in the file that tells the kind; empty: there is none.
        methods: the methods of this kind, by name.
        presets: what a recipe may begin with, by the name that its `preset` says.
    """

    task: ClassVar[str] = ""
    methods: ClassVar[Mapping[str, type[MethodOf]]]
    presets: ClassVar[Mapping[str, dict[str, Any]]] = {}

    name: str = "run"
    method: MethodOf = field(default_factory=MethodOf)

    def __post_init__(self) -> None:
        """Refuses a name whose folder would not be below `runs`."""
        parts = PurePath(self.name).parts
        if not parts or PurePath(self.name).is_absolute() or {"..", "\0"} & {*parts, *self.name}:
            raise InputError(
                f"name is {self.name!r}: it names the run's folder in runs, so it must be neither "
                "empty nor lead out of there."
            )

    @classmethod
    def tables(cls) -> dict[str, type[Settings]]:
        """The tables by name, without those of the methods."""
        hints = typing.get_type_hints(cls)
        names = [f.name for f in dataclasses.fields(cls) if f.name not in ("name", "method")]
        return {name: hints[name] for name in names}

    def parts(self) -> list[Settings]:
        """All settings: the tables, and the method."""
        return [*(getattr(self, name) for name in self.tables()), self.method]


@dataclass(frozen=True)
class Recipe(AnyRecipe):
    """Everything about a run on texts, pairs of texts or vectors.

    Attributes:
        name: see `AnyRecipe`.
        method: the method and its settings.
        data: corpus and split.
        views: where views of unlabelled texts come from.
        model: encoder and head.
        training: the loop.
        active: the rounds of active learning.
    """

    methods: ClassVar[Mapping[str, type[MethodOf]]] = METHODS
    presets: ClassVar[Mapping[str, dict[str, Any]]] = PRESETS

    method: Method = field(default_factory=MixText)
    data: DataSettings = field(default_factory=DataSettings)
    views: ViewSettings = field(default_factory=ViewSettings)
    model: ModelSettings = field(default_factory=ModelSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    active: ActiveSettings = field(default_factory=ActiveSettings)

    def __post_init__(self) -> None:
        """Refuses contradictions between tables, and settings that the encoder does not hear."""
        super().__post_init__()
        training, encoder = self.training, self.model.encoder
        if self.method.unlabelled and training.batch_unlabelled == 0:
            raise InputError(
                f"method is {self.method.name!r}, which learns from unlabelled rows, but "
                "training.batch_unlabelled is 0: raise it, or choose another method."
            )
        data = self.data
        no_dev = data.split == "seeded" and not (data.dev_share or data.dev_per_class)
        if training.patience and no_dev:
            raise InputError(
                f"training.patience is {training.patience} but data.dev_share is 0: early stopping "
                "needs labels to choose by; raise dev_share, or set patience to 0."
            )
        if training.test_at_every_tie and no_dev:
            raise InputError(
                "training.test_at_every_tie is true but data.dev_per_class is 0: without a dev set "
                "there are no ties; raise one or set the other to false."
            )
        if encoder not in WORD_ENCODERS:
            refuse_unheard(
                self.model,
                ("embedding", "vectors", "word_width", "vocabulary", "lowercase"),
                f"the encoder {encoder!r} has no word vectors to choose",
                f"set model.encoder to {' or '.join(WORD_ENCODERS)}",
            )
        if encoder in (*WORD_ENCODERS, *VECTOR_ENCODERS):
            because = f"the encoder {encoder!r} is trained whole, or not at all"
            refuse_unheard(self.model, ("freeze",), because, "set model.encoder to a transformer")
        if encoder in VECTOR_ENCODERS:
            other = "set model.encoder to one of texts"
            because = f"the encoder {encoder!r} reads vectors, which have no tokens"
            tokens = ("max_length", "special_tokens", "pad_to_max", "use_mask", "pool", "branches")
            refuse_unheard(self.model, tokens, because, other)
            refuse_unheard(training, ("by_length",), because, other)

    def waiting(self) -> list[str]:
        """Notes on settings that wait for a method that uses them."""
        method = self.method
        usual_views = ViewSettings(copies=self.views.copies)  # a number that presets set
        unused = ["views"] if self.views != usual_views and not method.views else []
        usual = self.training.batch_unlabelled in (0, TrainingSettings.batch_unlabelled)
        if not (usual or method.unlabelled):
            unused.append("batch_unlabelled")
        why = "looks at no views" if method.unlabelled else "learns from labelled rows alone"
        notes = [f"waiting: {' and '.join(unused)}; {method.name} {why}"] * bool(unused)
        if not method.steps:
            notes.append(
                "waiting: the steps of training, and pool, head and dropout of model; "
                f"{method.name} fits one affine layer to vectors of length 1"
            )
        if self.active != ActiveSettings():
            notes.append("waiting: active; `mixtext active run` asks for labels in rounds")
        return notes


def make_recipe(
    values: dict[str, Any], overrides: Sequence[str] = (), where: str = "recipe"
) -> Recipe:
    """Builds a recipe from nested dicts; errors as in `api.load_recipe`."""
    return build_recipe(Recipe, values, overrides, where)


def build_recipe(
    kind: type[R], values: dict[str, Any], overrides: Sequence[str] = (), where: str = "recipe"
) -> R:
    """Builds a recipe of any kind from nested dicts; every refusal begins with `where`."""
    with reading(where, "correct the recipe"):
        values = override(values, overrides)
        try:
            return _build(kind, values)
        except InputError as error:
            raise InputError(f"{where}: {error}") from None


def _build(kind: type[R], values: dict[str, Any]) -> R:
    tables, methods = kind.tables(), kind.methods
    if kind.presets and "preset" in values:
        preset = values["preset"]
        if not isinstance(preset, str) or preset not in kind.presets:
            known = ", ".join(kind.presets)
            raise InputError(
                f"preset is {preset!r}{near(str(preset), kind.presets)}; presets are {known}."
            )
        rest = {key: value for key, value in values.items() if key != "preset"}
        values = begin_with(kind.presets[preset], rest)
    refuse_unknown(values, ["task"] * bool(kind.task) + ["name", "method", *tables, *methods])
    if values.get("task", "") != kind.task:
        raise InputError(f"task is {values.get('task')!r}: it must be {kind.task!r}.")
    usual: Any = next(f.default_factory for f in dataclasses.fields(kind) if f.name == "method")
    method = values.get("method", usual.name)
    if not isinstance(method, str) or method not in methods:
        raise InputError(
            f"method is {method!r}{near(str(method), methods)}; methods are {', '.join(methods)}."
        )
    # Tables that wait are read too: a typing error should not wait.
    read: dict[str, Any] = {
        key: read_table(cls, values[key])
        for key, cls in {**tables, **methods}.items()
        if key in values
    }
    return kind(
        name=accept(values.get("name", "run"), str, "name"),
        method=read.get(method) or methods[method](),
        **{key: read[key] for key in tables if key in read},
    )


def found_beside(kind: type[AnyRecipe], values: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """A recipe file's values, with its relative paths as they are from the working directory.

    A path is looked for beside the recipe; one that is not there is left as it is, to be found, or
    not, from the working directory. Names of the catalogue are no paths.
    """
    found = dict(values)
    for name, table in kind.tables().items():
        given = values.get(name)
        if folder == Path() or not isinstance(given, Mapping):
            continue
        for field_ in table.paths:
            value = given.get(field_)
            if not isinstance(value, str) or not value or value in CATALOGUE or "\0" in value:
                continue
            if not Path(value).is_absolute() and reachable(folder / value):
                found[name] = {**found[name], field_: str(folder / value)}
    return found


def reachable(path: Path) -> bool:
    """Whether there is such a file or folder; False for what no path can be."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def name_for(data: Path) -> str:
    """What a recipe for data is called: for `train.csv` in a folder `reviews` it is reviews."""
    stem = data.name.removesuffix("".join(data.suffixes[-2:])) if data.is_file() else data.name
    parent = data.resolve().parent.name
    return parent if stem in ("train", "training", "data") and parent else stem


def path_from(path: Path, file: Path) -> str:
    """A path as a recipe in a file has it; an absolute one, or one from here, stays as it is."""
    folder = file.parent
    return str(path) if path.is_absolute() or folder == Path() else os.path.relpath(path, folder)


def dump_recipe(recipe: AnyRecipe) -> str:
    """The recipe as TOML with every field written out; `api.load_recipe` reads it back."""
    task = [f"task = {to_toml(recipe.task)}"] if recipe.task else []
    lines = [*task, f"name = {to_toml(recipe.name)}", f"method = {to_toml(recipe.method.name)}"]
    return "\n".join(sum(map(dump_table, recipe.parts()), lines)) + "\n"


def fields_of(recipe: AnyRecipe) -> dict[str, Any]:
    """Every field of its tables, with keys `table.field`."""
    return {
        f"{part.name}.{key}": value
        for part in recipe.parts()
        for key, value in dataclasses.asdict(part).items()
    }


def flat(recipe: AnyRecipe) -> dict[str, Any]:
    """The recipe as one dict: `fields_of`, and `name` and `method`."""
    return {"name": recipe.name, "method": recipe.method.name, **fields_of(recipe)}


def defaults(kind: type[AnyRecipe], method: str) -> dict[str, Any]:
    """The fields of a kind of recipe as they are by default, with keys `table.field`.

    A method that is not known, such as `setfit`, has none of its own.
    """
    tables = [*kind.tables().values(), *(m for name, m in kind.methods.items() if name == method)]
    return {
        f"{table.name}.{f.name}": f.default for table in tables for f in dataclasses.fields(table)
    }
