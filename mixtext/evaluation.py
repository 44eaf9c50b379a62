"""A trained model on other rows: how a file is read as its run's data were, and scored."""

from pathlib import Path

import numpy as np

from mixtext.data.corpus import Corpus, renumber_labels
from mixtext.data.read.entries import CATALOGUE
from mixtext.data.read.options import HEARD, ReadOptions
from mixtext.data.read.readers import told_format
from mixtext.errors import InputError
from mixtext.inference import Predictor
from mixtext.metrics import metrics_of
from mixtext.models.folder import run_of
from mixtext.recipe import Recipe, build_recipe
from mixtext.settings import read_toml


def evaluate(predictor: Predictor, corpus: Corpus) -> dict[str, float]:
    """Scores a trained model on the labelled rows of a corpus.

    Raises:
        InputError: as `labelled_rows`.
    """
    corpus = labelled_rows(predictor, corpus)
    return metrics_of(predictor.target, corpus.labels, predictor.outputs(corpus))


def labelled_rows(predictor: Predictor, corpus: Corpus) -> Corpus:
    """The rows of a corpus that have a label, numbered as the model numbers its classes.

    Raises:
        InputError: the target is not the model's, a label is not known to the model, or there is
            no label at all.
    """
    if corpus.target != predictor.target:
        raise InputError(
            f"{corpus.source or corpus.name or 'the corpus'} has {corpus.target}, but the model "
            f"was trained to tell {predictor.target}: give rows that have such."
        )
    if predictor.target == "classes":
        corpus = renumber_labels(corpus, predictor.label_names)
    rows = np.flatnonzero(corpus.labelled)
    if not len(rows):
        raise InputError(f"{corpus.source or corpus.name} has no labelled rows to score.")
    return corpus.select(rows)


def usual_options(run: Path, data: str, said: ReadOptions) -> ReadOptions:
    """What is said of a file and, where nothing is, what a run's recipe says of its own data.

    That is the names of columns and labels and, for a file of the same format, how it is written.
    Ids are left out: a file to be scored may have none.

    Args:
        run: the run folder, or the model folder in it; without a recipe nothing is added.
        data: the file or folder.
        said: options for it.
    """
    saved = run_of(run) / "recipe.toml"
    if not saved.is_file():
        return said
    settings = build_recipe(Recipe, read_toml(saved), where=str(saved)).data
    corpus = settings.corpus
    own: ReadOptions = settings.over(CATALOGUE[corpus]) if corpus in CATALOGUE else settings
    kind = told_format(Path(data), said.format)
    left_out = {"id", "format", "labels"}
    if told_format(Path(settings.corpus), settings.format) != kind:
        left_out |= {"header", "separator", "quoted", "encoding", "encoding_errors"}
    heard = (HEARD[kind] if kind else HEARD["jsonl"]) - left_out
    usual = ReadOptions(**{k: v for k, v in own.given().items() if k in heard})
    return said.over(usual)
