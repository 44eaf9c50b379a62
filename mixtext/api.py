"""Recipes and models of either kind: classifiers and regression, or taggers (`task = "tagging"`).

recipe = load_recipe("mine.toml")
result = train(recipe)
result.test, result.predictor.predict(["some text"])
load("runs/mine").predict(["another"])
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mixtext import inference
from mixtext.data.corpus import Corpus
from mixtext.errors import InputError
from mixtext.inference import Predictor
from mixtext.recipe import Recipe, build_recipe, found_beside
from mixtext.run import Run, train_classifier
from mixtext.run_folder import Result
from mixtext.settings import near, read_toml
from mixtext.tagging.entities import TagPredictor, is_tagger, load_tagger
from mixtext.tagging.recipe import TaggingRecipe
from mixtext.tagging.run import TaggerRun, train_tagger


def load_recipe(path: str | Path, overrides: Sequence[str] = ()) -> Recipe | TaggingRecipe:
    """Reads a recipe file; its `task` says of which kind it is.

    Args:
        path: the TOML file; relative paths in it are looked for beside it.
        overrides: `name=…`, `method=…` or `table.field=value`, later ones win. A value is written
            as in TOML; what is no TOML value is taken as a string.

    Raises:
        InputError: missing or malformed file, unknown task or key, wrong type, contradiction.
    """
    values = read_toml(path)
    task = values.get("task", Recipe.task)
    folder = Path(path).parent
    if task == TaggingRecipe.task:
        values = found_beside(TaggingRecipe, values, folder)
        return build_recipe(TaggingRecipe, values, overrides, str(path))
    if task != Recipe.task:
        raise InputError(
            f"{path}: task is {task!r}{near(str(task), [TaggingRecipe.task])}: write "
            f'task = "{TaggingRecipe.task}", or leave it out to classify.'
        )
    return build_recipe(Recipe, found_beside(Recipe, values, folder), overrides, str(path))


def prepare(recipe: Recipe | TaggingRecipe) -> Run | TaggerRun:
    """Makes a recipe ready, as `train` does before it begins: `describe` and `estimate` it.

    Raises:
        InputError: bad input.
    """
    if isinstance(recipe, TaggingRecipe):
        return TaggerRun.prepare(recipe)
    return Run.prepare(recipe)


def train(
    recipe: Recipe | TaggingRecipe | str | Path | None = None,
    *,
    corpus: Corpus | None = None,
    test: Corpus | None = None,
    folder: str | Path | None = None,
    resume: bool = False,
    quiet: bool = False,
    need_model: bool = True,
) -> Result[Predictor] | Result[TagPredictor]:
    """Trains a recipe and returns what came out: metrics, and the trained model.

    Args:
        recipe: what to do, or the path of its file; None: MixText with default settings.
        corpus: training rows, instead of the ones that `recipe.data` names; not for taggers.
        test: test rows, with `corpus`.
        folder: the run folder; None: `runs/<recipe.name>`.
        resume: go on with an unfinished run; one that is finished is returned as it is.
        quiet: print nothing.
        need_model: a finished run whose model is gone makes it again; False: it is given back.

    Raises:
        InputError: bad input, or a folder that may not be gone on with; nothing that was made
            before is lost.
        Diverged: the loss is no number any more; the last good checkpoint is kept.

    Example:
        ```python
        corpus = Corpus.from_lists(texts, labels)  # a label of None is an unlabelled row
        result = train(Recipe(name="mine"), corpus=corpus)
        result.test["accuracy"], result.predictor.predict(["some text"])
        ```
    """
    if isinstance(recipe, str | Path):
        recipe = load_recipe(recipe)
    recipe = recipe or Recipe()
    folder = Path(folder or Path("runs") / recipe.name)
    if isinstance(recipe, TaggingRecipe):
        if corpus is not None or test is not None:
            raise InputError(
                "corpus and test are given, but a tagger learns from the CoNLL files that its "
                "recipe names: leave them out."
            )
        return train_tagger(recipe, folder, resume, quiet, need_model)
    return train_classifier(recipe, folder, corpus, test, resume, quiet, need_model)


def load(run: str | Path, device: str = "auto", precision: str = "") -> Predictor | TagPredictor:
    """Loads the model of a run folder, or an exported model folder, ready to predict.

    Args:
        run: the folder.
        device: `auto`, or torch's name for one.
        precision: `float32` or `bfloat16`; if not given, as `training.precision` said, which is
            bfloat16 where that is fast. Answers then differ in the third digit.

    Raises:
        InputError: there is no finished model there, or no such precision.
    """
    if precision not in ("", "float32", "bfloat16"):
        raise InputError(f"precision is {precision!r}: give 'float32' or 'bfloat16', or none.")
    found = load_tagger(run, device) if is_tagger(run) else inference.load(run, device)
    return replace(found, precision=precision) if precision else found
