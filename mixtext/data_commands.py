"""Commands that look at data or list what there is. Each is a function, its help the docstring."""

import json
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro

from mixtext.data.read.options import ReadOptions
from mixtext.errors import InputError
from mixtext.files import write_text

POSITIONAL = tyro.conf.Positional
JSON = Annotated[bool, tyro.conf.arg(name="json")]


class Flags(ReadOptions):
    """How rows are read, said on the command line."""

    def called(self, name: str) -> str:
        """What the user calls a field."""
        if getattr(ReadOptions, name, False) is True:
            name = f"no-{name}"
        return f"--{name.replace('_', '-')}"


def refuse_no_runs(runs: Sequence[Path]) -> None:
    """Refuses a command about runs that names none."""
    if not runs:
        raise InputError("no run was given: name at least one run folder.")


ReadFlags = tyro.conf.OmitArgPrefixes[Flags]  # --text, not --options.text
UNSAID = Flags()


def inspect_data(
    data: Annotated[str, POSITIONAL],
    root: Path | None = None,
    test: Path | None = None,
    read: ReadFlags = UNSAID,
    encoder: str = "minilm",
    max_length: int = 64,
    as_json: JSON = False,
) -> int:
    """Look at a corpus before training: mixtext inspect-data FILE|FOLDER|NAME

    Counts by class, or the range of the scores; lengths, duplicates, leaks from train to test,
    texts that would be cut. Of a CoNLL file (.conll, .bio, .iob and the like, --format conll, or
    any whose lines end in a tag) entities by type, the tag scheme, tags at odds with it.

    Args:
        data: a file, a folder, or a name from the catalogue (`mixtext datasets`).
        root: folder that holds a catalogue data set.
        test: the test file.
        read: How it is read:
        encoder: whose tokenizer counts the tokens.
        max_length: tokens beyond which a text would be cut.
        as_json: print the numbers as one JSON object; notes go to standard error.
    """
    from mixtext.data.inspection import describe, inspect
    from mixtext.data.read.catalogue import load_any
    from mixtext.models.pretrained import load_tokenizer

    if _is_conll(data, root, read):
        from mixtext.tagging.data import discover
        from mixtext.tagging.inspection import describe_tagged, inspect_tagged

        settings, train, tagged = discover(data, read, str(test or ""))
        report = inspect_tagged(train, tagged, load_tokenizer(encoder), max_length)
        _print_found(report, describe_tagged(report, settings.scheme), as_json, train, tagged)
        return 0
    corpus, held = load_any(data, read, root=root, test=test)
    tokenizer = None if corpus.rows == "vectors" else load_tokenizer(encoder)
    report = inspect(corpus, held, tokenizer, max_length)
    _print_found(report, describe(report), as_json, corpus, held)
    return 0


def _print_found(report: dict[str, Any], described: str, as_json: bool, *parts: Any) -> None:
    """Prints a report and the notes on corpora, parts that are None left out."""
    print(json.dumps(report, ensure_ascii=False) if as_json else described)
    for note in dict.fromkeys(note for part in parts if part is not None for note in part.notes):
        print(f"note: {note}", file=sys.stderr if as_json else sys.stdout)


def new_recipe(
    data: Annotated[str, POSITIONAL],
    out: Path | None = None,
    root: Path | None = None,
    test: Path | None = None,
    read: ReadFlags = UNSAID,
    method: str = "",
) -> int:
    """Write a commented recipe for your own data: mixtext new-recipe DATA [--out FILE]

    Reads the data once, so that what it writes fits: every label is used, and the length of texts
    and of the training follow from what is there. Texts, pairs (--pair) and scores (--scores).

    Args:
        data: a file, a folder, or a name from the catalogue.
        out: the file to write; if not given, NAME.toml here. An existing file is kept.
        root: folder that holds a catalogue data set.
        test: the test file; without one nothing is scored unless the recipe sets rows aside.
        read: How it is read:
        method: the method to begin with; if not given, mixtext, supervised for scores and where no
            row is without a label, seqmix for tags.
    """
    if _is_conll(data, root, read):
        from mixtext.tagging.starter import starter_tagging_recipe

        name, recipe = starter_tagging_recipe(data, read, out, test=str(test or ""), method=method)
    else:
        from mixtext.starter import starter_recipe

        name, recipe = starter_recipe(data, read, out, root=root, test=test, method=method)
    out = out or Path(f"{name}.toml")
    if out.exists() or out.is_symlink():
        raise InputError(f"{out} exists already: name another file with --out.")
    write_text(out, recipe)
    said = [line[2:] for line in recipe.splitlines() if line.startswith("# ")]
    print("\n".join(line for line in said if " labels: " in line or "tokens a word" in line))
    print(f"wrote {out}; next: mixtext train {shlex.quote(str(out))} --dry-run")
    return 0


def _is_conll(data: str, root: Path | None, read: Flags) -> bool:
    from mixtext.data.read.catalogue import CATALOGUE
    from mixtext.tagging.conll import is_conll

    if data in CATALOGUE or not is_conll(data, read.format):
        return False
    if root is not None:
        raise InputError(
            f"--root is given but {data} is a CoNLL file, where it has no meaning: leave it out."
        )
    return True


def methods(settings: bool = False, as_json: JSON = False) -> int:
    """List the methods: paper, rows and targets that it takes, what it mixes

    Args:
        settings: list every setting with its default and meaning.
        as_json: print one JSON array, settings included.
    """
    from mixtext.report.listings import list_methods, methods_found

    if as_json:
        print(json.dumps(methods_found(), ensure_ascii=False))
        return 0
    print(list_methods(settings, shutil.get_terminal_size((120, 24)).columns))
    return 0


def datasets(as_json: JSON = False) -> int:
    """List the catalogue: the data sets that are known by name

    Args:
        as_json: print one JSON array.
    """
    from mixtext.report.listings import datasets_found, list_datasets

    print(json.dumps(datasets_found(), ensure_ascii=False) if as_json else list_datasets())
    return 0


def recipe_fields(as_json: JSON = False) -> int:
    """List every field of a recipe: default, range, meaning

    Args:
        as_json: print one JSON array.
    """
    from mixtext.report.listings import list_recipe_fields, recipe_fields_found

    found = json.dumps(recipe_fields_found(), ensure_ascii=False) if as_json else ""
    print(found or list_recipe_fields())
    return 0
