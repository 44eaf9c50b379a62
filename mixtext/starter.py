"""A first recipe for one's own data, with the numbers that the data ask for."""

import json
import shlex
from pathlib import Path

import numpy as np

from mixtext.data.catalogue import CATALOGUE
from mixtext.data.prepare import load_corpora
from mixtext.data.settings import DataSettings
from mixtext.errors import InputError
from mixtext.methods import METHODS

TEMPLATE = """\
# {name}: {rows:,} training rows, {classes} classes, {test}.
# Try it:   mixtext train {file} --dry-run
# Train:    mixtext train {file}
# All fields and what they mean: mixtext recipe-fields, mixtext methods --settings
name = {quoted}
method = "{method}"       # {methods}

[data]
corpus = {corpus}
{source}labels_per_class = {labels}     # labelled rows of each class that training sees
unlabelled_per_class = 0  # unlabelled rows of each class; 0: all that are left
dev_per_class = {dev}        # rows of each class set aside to choose the best weights
{test_line}pool = "{pool}"         # balanced over the classes, or natural: as the rows come
split_seed = 0            # another seed draws other labelled rows; report several

[views]
rate = 0.1                # word dropout; or file = "views.jsonl", such as back-translations

[model]
encoder = "minilm"        # a folder or a Hugging Face name; 12 layers mix at [7, 9, 12]
max_length = {length}          # tokens; median text {median}, one in ten over {long}

[training]
steps = {steps}
evaluate_every = {evaluate}
patience = 6              # stop after so many evaluations without a better dev score
batch = 8
batch_unlabelled = 16
lr_encoder = 5e-5
lr_head = 1e-3

[mixtext]
alpha = 16                # 0.2 to 0.4 from some 200 labels per class on
layers = [3, 4, 5]
temperature = 0.5         # lower: sharper guesses
teacher = 0.99            # an averaged copy of the model makes the guesses
align = {align}              # only where the unlabelled rows are balanced over the classes

[tmix]
alpha = 2
layers = [3, 4, 5]
"""


def starter_recipe(
    data: str,
    root: Path | None,
    test: str | None,
    text: tuple[str, ...],
    label: str,
    method: str = "mixtext",
) -> tuple[str, str]:
    """Reads the data and writes a recipe that fits them.

    Args:
        data: a file, a folder, or a name from the catalogue.
        root: folder of a catalogue data set.
        test: the test file, or None.
        text: columns of the text, or empty.
        label: column of the label, or empty.
        method: a name from `METHODS`.

    Returns:
        The recipe's name and its text.

    Raises:
        InputError: the data cannot be read, or have too few labels to learn and to be scored on.
    """
    if method not in METHODS:
        raise InputError(f"method is {method!r}: it must be one of {', '.join(METHODS)}.")
    settings = DataSettings(
        corpus=data, root=str(root or ""), test=test or "", text=text, label=label
    )
    train, held, _ = load_corpora(settings)
    counts = np.bincount(train.labels[train.labels >= 0], minlength=train.classes)
    smallest = int(counts.min()) if train.classes else 0
    if train.classes < 2 or smallest < 3:
        raise InputError(
            f"{data}: each of at least two classes needs 3 labelled rows or more, and the smallest "
            f"of {train.classes} has {smallest}: add labels or drop that class."
        )
    unlabelled = int((train.labels < 0).sum())
    # Rows of a class: a test part and a dev part where nothing is given, the rest to learn from.
    # Where unlabelled rows exist, all other labels can be learned from; else ten are kept.
    test_rows = 0 if held is not None else max(1, min(100, smallest // 5))
    dev = max(1, min(50, (smallest - test_rows) // 4))
    left = smallest - test_rows - dev
    labels = left if unlabelled else min(10, max(1, left // 2))
    words = np.array([len(x.split()) for x in train.texts])
    median, long = (int(1.3 * q) + 2 for q in np.percentile(words, [50, 90]))
    fitting = [n for n in (32, 64, 128, 256) if n >= long]
    length = fitting[0] if fitting else 256
    quotes = json.dumps
    source = "".join(
        f"{field} = {quotes(value)}\n"
        for field, value in (
            ("root", str(root or "")),
            ("test", test or ""),
            ("text", list(text)),
            ("label", label),
        )
        if value
    )
    name = data if data in CATALOGUE else Path(data).stem
    return name, TEMPLATE.format(
        name=name,
        quoted=quotes(name, ensure_ascii=False),
        file=shlex.quote(f"{name}.toml"),
        rows=len(train),
        classes=train.classes,
        test="no test file" if held is None else f"{len(held):,} test rows",
        method=method,
        methods=", ".join(METHODS),
        corpus=quotes(data),
        source=source,
        labels=labels,
        dev=dev,
        test_line=f"test_per_class = {test_rows}        # no test file: set aside\n"
        if held is None
        else "",
        pool="natural" if unlabelled else "balanced",
        align="false" if unlabelled else "true",
        length=length,
        median=median,
        long=long,
        steps=300,
        evaluate=20,
    )
