"""A first recipe for one's own data, with the numbers that the data ask for."""

import shlex
from pathlib import Path

import numpy as np

from mixtext.data.corpus import Corpus
from mixtext.data.read.catalogue import CATALOGUE, load_any
from mixtext.data.read.options import UNSAID, ReadOptions
from mixtext.errors import InputError
from mixtext.methods import METHODS
from mixtext.recipe import Recipe
from mixtext.run import check_method
from mixtext.settings import to_toml

TEMPLATE = """\
# {name}: {rows:,} training rows, {labels_are}, {test}.
# Try it:   mixtext train {file} --dry-run
# Train:    mixtext train {file}
# All fields and what they mean: mixtext recipe-fields, mixtext methods --settings
name = {quoted}
method = "{method}"       # {methods}

[data]
corpus = {corpus}
{source}\
labels_per_class = {labels}     # labelled rows {each} that training sees
unlabelled_per_class = 0  # unlabelled rows {each}; 0: all that are left
dev_per_class = {dev}        # rows {each} set aside to choose the best weights
{test_line}{pool_line}\
split_seed = 0            # another seed draws other rows: report several

[model]
encoder = "minilm"        # a folder or a Hugging Face name; 12 layers mix at [7, 9, 12]
max_length = {length}          # tokens; median row {median}, one in ten over {long}

[training]
steps = {steps}
evaluate_every = {evaluate}
patience = 6              # stop after so many evaluations without a better dev metric
batch = 8
batch_unlabelled = 16
lr_encoder = 5e-5
lr_head = 1e-3
"""

POOL = """\
pool = "{pool}"         # balanced over the classes, or natural: as the rows come
"""

# What regression has no use for: no method there learns from unlabelled rows.
UNLABELLED = """
[views]
rate = 0.1                # word dropout; or file = "views.jsonl", such as back-translations

[mixtext]
alpha = 16                # 0.2 to 0.4 from some 200 labels per class on
layers = [3, 4, 5]
temperature = 0.5         # lower: sharper guesses
teacher = 0.99            # an averaged copy of the model makes the guesses
align = {align}              # only where the unlabelled rows are balanced over the classes
"""

TMIX = """
[tmix]
alpha = 2
layers = [3, 4, 5]
"""


def starter_recipe(
    data: str,
    options: ReadOptions = UNSAID,
    *,
    root: Path | None = None,
    test: Path | None = None,
    method: str = "",
) -> tuple[str, str]:
    """Reads the data and writes a recipe that fits them.

    Args:
        data: a file, a folder, or a name from the catalogue.
        options: its columns, for regression its scores, and how it is read.
        root: folder that holds a catalogue data set.
        test: the test file.
        method: a name from `METHODS`; "": mixtext, or tmix for regression.

    Returns:
        The recipe's name and its text.

    Raises:
        InputError: the data cannot be read, are vectors, do not fit the method, or have too few
            labels to learn and to be scored on.
    """
    if method and method not in METHODS:
        raise InputError(f"method is {method!r}: it must be one of {', '.join(METHODS)}.")
    train, held = load_any(data, options, root=root, test=test)
    if train.rows == "vectors":
        raise InputError(
            f"{data} holds vectors, and new-recipe writes recipes for texts: write one "
            "by hand, with model.encoder = 'mlp' or 'small_cnn' and method = 'mixup'."
        )
    regression = train.target == "scores"
    method = method or ("tmix" if regression else "mixtext")
    check_method(Recipe(method=METHODS[method]()), train)
    labelled = int(train.labelled.sum())
    unlabelled = len(train) - labelled
    smallest = labelled if regression else _smallest_class(train)
    if regression and labelled < 3:
        raise InputError(
            f"{data}: 3 rows with a score are needed, and {labelled} have one: add some."
        )
    if not regression and (train.classes < 2 or smallest < 3):
        raise InputError(
            f"{data}: each of at least two classes needs 3 labelled rows or more, and "
            f"the smallest of {train.classes} has {smallest}: add labels or drop that class."
        )
    # Rows of a class, or in all: a test part and a dev part where nothing is given, the rest to
    # learn from. Where unlabelled rows exist, all other labels can be learned from, and so in
    # regression, where no method would use rows without; else ten are kept.
    most = 10 if regression else 1
    test_rows = 0 if held is not None else max(1, min(100 * most, smallest // 5))
    dev = max(1, min(50 * most, (smallest - test_rows) // 4))
    left = smallest - test_rows - dev
    labels = left if unlabelled or regression else min(10, max(1, left // 2))
    steps = min(2000, max(300, 3 * labels // 8)) if regression else 300  # 3 epochs of batches of 8
    median, long = _token_quantiles(train)
    fitting = [n for n in (32, 64, 128, 256) if n >= long]
    places = {"root": root, "test": test}
    said = {k: str(v) for k, v in places.items() if v} | options.given()
    source = "".join(f"{k} = {to_toml(v)}\n" for k, v in said.items())
    name = data if data in CATALOGUE else Path(data).stem
    recipe = TEMPLATE if regression else TEMPLATE + UNLABELLED
    return name, (recipe + TMIX).format(
        name=name,
        quoted=to_toml(name),
        file=shlex.quote(f"{name}.toml"),
        rows=len(train),
        labels_are="with scores" if regression else f"{train.classes} classes",
        test="no test file" if held is None else f"{len(held):,} test rows",
        method=method,
        methods=", ".join(m.name for m in METHODS.values() if m.takes(train.rows, train.target)),
        corpus=to_toml(data),
        source=source,
        each="in all" if regression else "of each class",
        labels=labels,
        dev=dev,
        test_line=f"test_per_class = {test_rows}        # no test file: set aside\n"
        if held is None
        else "",
        pool_line="" if regression else POOL.format(pool="natural" if unlabelled else "balanced"),
        align="false" if unlabelled else "true",
        length=fitting[0] if fitting else 256,
        median=median,
        long=long,
        steps=steps,
        evaluate=steps // 15,
    )


def _smallest_class(train: Corpus) -> int:
    counts = np.bincount(train.labels[train.labelled], minlength=train.classes)
    return int(counts.min()) if train.classes else 0


def _token_quantiles(train: Corpus) -> tuple[int, int]:
    """About how many tokens the median row and the longest but one in ten have."""
    words = [len(x.split()) for x in train.texts]
    special = 2
    if train.pairs is not None:
        words = [n + len(x.split()) for n, x in zip(words, train.pairs, strict=True)]
        special = 3
    median, long = (int(1.3 * q) + special for q in np.percentile(words, [50, 90]))
    return median, long
