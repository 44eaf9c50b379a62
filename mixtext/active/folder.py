"""Runs of active learning, of either kind: begun, gone on with, opened by another command."""

from pathlib import Path

from mixtext.active.rounds import Rounds
from mixtext.active.sentences import SentenceRounds
from mixtext.active.texts import TextRounds
from mixtext.environment import refuse_changes
from mixtext.errors import InputError
from mixtext.recipe import Recipe, build_recipe
from mixtext.run_folder import open_folder
from mixtext.settings import read_toml
from mixtext.tagging.recipe import TaggingRecipe


def rounds_of(recipe: Recipe | TaggingRecipe, folder: Path, quiet: bool = False) -> Rounds:
    """Loads what a recipe names, for a run of active learning in a folder."""
    if isinstance(recipe, TaggingRecipe):
        return SentenceRounds.of(recipe, folder, quiet)
    return TextRounds.of(recipe, folder, quiet)


def begin_active(
    recipe: Recipe | TaggingRecipe, folder: Path, resume: bool = False, quiet: bool = False
) -> Rounds:
    """Makes the folder of a run of active learning, or with `resume` opens the one it holds.

    Raises:
        InputError: bad input, or a folder that may not be gone on with; nothing is written then.
    """
    with open_folder(folder, recipe, resume) as opened:
        if not opened.is_new and (folder / "metrics.jsonl").is_file():
            raise InputError(
                f"{folder} holds a plain training: name another folder with --run for the rounds."
            )
        run = rounds_of(recipe, folder, quiet)
        if opened.is_new:
            run.check()
        notes = opened.begin(recipe, run.environment())
    for note in [*run.notes, *notes]:
        run.say(f"note  {note}")
    return run


def open_active(folder: Path, quiet: bool = False) -> Rounds:
    """The run of active learning that a folder holds; another process may be at work in it.

    Raises:
        InputError: it holds none, or what it depends on has changed.
    """
    saved = folder / "recipe.toml"
    if not saved.is_file() or (folder / "metrics.jsonl").is_file():
        raise InputError(
            f"{folder} holds no run of active learning: begin one with `mixtext active run`."
        )
    values = read_toml(saved)
    recipe: Recipe | TaggingRecipe
    if values.get("task") == TaggingRecipe.task:
        recipe = build_recipe(TaggingRecipe, values, where=str(saved))
    else:
        recipe = build_recipe(Recipe, values, where=str(saved))
    run = rounds_of(recipe, folder, quiet)
    for note in refuse_changes(folder, run.environment()):
        run.say(f"note  {note}")
    return run
