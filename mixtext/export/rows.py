"""Rows to compare on: those that a run was scored on, or those of a file."""

from dataclasses import replace
from itertools import islice
from pathlib import Path

from mixtext.api import load_recipe
from mixtext.data.corpus import Corpus
from mixtext.data.prepare import prepare_data
from mixtext.data.read.lines import rows_to_predict
from mixtext.data.read.options import UNSAID
from mixtext.data.read.readers import read_corpus
from mixtext.errors import InputError
from mixtext.evaluation import usual_options
from mixtext.inference import unlabelled
from mixtext.models.folder import read_about, run_of
from mixtext.tagging.data import load_tag_data
from mixtext.tagging.recipe import TaggingRecipe

MOST = 1000


def rows_of_run(run: Path, most: int = MOST) -> Corpus | None:
    """The rows that a run was scored on: dev, else test, else those that it learned from.

    `run` is the run folder, or the model folder in it. None where they cannot be read again: the
    run was given lists, its files are not there any more, or the model has left its run.
    """
    recipe_file = run_of(run) / "recipe.toml"
    if not recipe_file.is_file():
        return None
    try:
        recipe = load_recipe(recipe_file)
        if isinstance(recipe, TaggingRecipe):
            data = load_tag_data(recipe.data)
            part = next((x for x in ("dev", "test") if x in data.parts), "")
            sentences = (data.parts[part] if part else data.seed).sentences[:most]
            rows = unlabelled([" ".join(words) for words in sentences])
        else:
            split = prepare_data(recipe.data, need_unlabelled=False)
            part, rows = "", split.train.select(split.split.labelled[:most])
            if len(split.split.dev):
                part, rows = "dev", split.train.select(split.split.dev[:most])
            elif split.test is not None:
                part, rows = "test", split.test.select(range(min(most, len(split.test))))
    except InputError:
        return None
    return replace(rows, name=part or "the labelled rows")


def rows_of_file(run: Path, file: Path, most: int = MOST) -> Corpus:
    """The first rows of a file, read as `mixtext predict RUN --file FILE` reads it.

    Raises:
        InputError: as `rows_to_predict` and `read_corpus`; no row with a text.
    """
    about = read_about(run)
    if about["rows"] == "vectors":
        rows = read_corpus(file, replace(UNSAID, labels=False))
        return rows.select(range(min(most, len(rows))))
    usual = UNSAID if about["target"] == "tags" else usual_options(run, str(file), UNSAID)
    pairs = about["rows"] == "pairs"
    found = rows_to_predict(file, pairs, UNSAID, usual)
    filled = [*islice((row for row in found if not row.is_blank), most)]
    if not filled:
        raise InputError(f"{file} holds no row with a text: give one that does with --data.")
    seconds = [row.pair or "" for row in filled] if pairs else None
    return replace(unlabelled([row.text for row in filled], seconds), name=str(file))
