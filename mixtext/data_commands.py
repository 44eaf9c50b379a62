"""Commands that look at data or list what there is. Each is a function, its help the docstring."""

import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from mixtext.errors import InputError

if TYPE_CHECKING:  # importing the data takes seconds, which `mixtext --help` should not cost
    from mixtext.data.settings import DataSettings

POSITIONAL = tyro.conf.Positional


@dataclass(frozen=True)
class Columns:
    """What a file holds; a name from the catalogue says most of it by itself.

    Attributes:
        text: columns of the text.
        pair: columns of the second text, for pairs.
        label: column of the label.
        scores: least and most score, where the labels are scores: --scores 0 5.
        header: the first line names the columns.
        encoding_errors: strict or replace.
    """

    text: tuple[str, ...] = ()
    pair: tuple[str, ...] = ()
    label: str = ""
    scores: tuple[float, ...] = ()
    header: bool = True
    encoding_errors: Literal["", "strict", "replace"] = ""

    def given(self) -> dict[str, Any]:
        """Those that are not as they are by default."""
        return {k: v for k, v in vars(self).items() if v != getattr(Columns, k)}

    def settings(
        self, corpus: str, root: Path | None = None, test: Path | None = None
    ) -> "DataSettings":
        """The same as a recipe says it, checked."""
        from mixtext.data.settings import DataSettings

        made = DataSettings(
            corpus=corpus, root=str(root or ""), test=str(test or ""), **self.given()
        )
        made.check()
        return made


Flat = tyro.conf.OmitArgPrefixes[Columns]  # --text, not --columns.text
UNSAID = Columns()


def inspect_data(
    data: Annotated[str, POSITIONAL],
    root: Path | None = None,
    test: Path | None = None,
    columns: Flat = UNSAID,
    encoder: str = "minilm",
    max_length: int = 64,
) -> int:
    """Look at a corpus before training: mixtext inspect-data FILE|FOLDER|NAME

    Counts by class, or the range of the scores; lengths, duplicates, leaks from train to test,
    texts that would be cut.

    Args:
        data: a file, a folder, or a name from the catalogue (`mixtext datasets`).
        root: folder that holds a catalogue data set.
        test: the test file.
        columns: What the file holds:
        encoder: whose tokenizer counts the tokens.
        max_length: tokens beyond which a text would be cut.
    """
    from mixtext.data.inspection import describe, inspect
    from mixtext.data.prepare import load_corpora
    from mixtext.models.pretrained import load_tokenizer

    corpus, held, _ = load_corpora(columns.settings(data, root, test))
    tokenizer = None if corpus.vectors is not None else load_tokenizer(encoder)
    print(describe(inspect(corpus, held, tokenizer, max_length)))
    return 0


def new_recipe(
    data: Annotated[str, POSITIONAL],
    out: Path | None = None,
    root: Path | None = None,
    test: Path | None = None,
    columns: Flat = UNSAID,
    method: str = "",
) -> int:
    """Write a commented recipe for your own data: mixtext new-recipe DATA [--out FILE]

    Reads the data once, so that what it writes fits: the label budget, the dev set and the text
    length follow from what is there. Texts, pairs (--pair) and scores (--scores).

    Args:
        data: a file, a folder, or a name from the catalogue.
        out: the file to write; if not given, NAME.toml here. An existing file is kept.
        root: folder that holds a catalogue data set.
        test: the test file; without one, a part of the data is set aside.
        columns: What the file holds:
        method: the method to begin with; if not given, mixtext, or tmix for scores.
    """
    from mixtext.starter import starter_recipe

    name, recipe = starter_recipe(columns.settings(data, root, test), method)
    out = out or Path(f"{name}.toml")
    if out.exists():
        raise InputError(f"{out} exists already: name another file with --out.")
    out.write_text(recipe, encoding="utf-8")
    print(f"wrote {out}; next: mixtext train {shlex.quote(str(out))} --dry-run")
    return 0


def methods(settings: bool = False) -> int:
    """List the methods: paper, tasks, what each mixes

    Args:
        settings: list every setting with its default and meaning.
    """
    from mixtext.report.listings import list_methods

    print(list_methods(settings, shutil.get_terminal_size((120, 24)).columns))
    return 0


def datasets() -> int:
    """List the catalogue: the data sets that are known by name"""
    from mixtext.report.listings import list_datasets

    print(list_datasets())
    return 0


def recipe_fields() -> int:
    """List every field of a recipe: type, default, meaning"""
    from mixtext.report.listings import list_recipe_fields

    print(list_recipe_fields())
    return 0
