"""A first recipe for one's own data, with the numbers that the data ask for."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mixtext.data.corpus import Corpus
from mixtext.data.inspection import strange_language
from mixtext.data.read.catalogue import CATALOGUE, load_any
from mixtext.data.read.options import UNSAID, ReadOptions
from mixtext.data.templates import USUAL, says_something, spoken
from mixtext.errors import InputError
from mixtext.methods import METHODS
from mixtext.models.pretrained import load_tokenizer
from mixtext.presets import PRESETS, fitting_preset
from mixtext.recipe import Recipe, name_for, path_from, reachable
from mixtext.run import check_method
from mixtext.settings import to_toml
from mixtext.training.settings import usual_steps

TEMPLATE = """\
# {name}: {rows:,} training rows, {labels_are}, {test}.
# {budget}.
# Try it:   mixtext train {file} --dry-run
# Train:    mixtext train {file}
# All fields and what they mean: mixtext recipe-fields, mixtext methods --settings
name = {quoted}
method = "{method}"       # {methods}
preset = "{preset}"     # settings that pay with such labels; "paper": MixText as published

[data]
corpus = {corpus}
{source}\
{labels_line}
{templates}\
{test_line}\
split_seed = 0            # of what is drawn: report several

[model]
encoder = "minilm"        # a folder or a Hugging Face name; 12 layers mix at [7, 9, 12]
{language}\
max_length = {length}          # tokens; median row {median}, one in ten over {long}

[training]
steps = {steps}                 # 0: by the labelled rows, here {usual:,}
batch = {batch}
{method_table}"""

ALL_LABELS = "labels_per_class = 0      # every label that is there; else so many of each class"
# For methods that need rows without labels, where all have one, and for the catalogue's corpora,
# whose labels stand for those that one would not have.
SOME_LABELS = "labels_per_class = {0}     # of each class; the other rows give their texts alone"
LENGTHS = (32, 64, 128, 256)
FEW = 20  # classes that are named in a line
SAMPLE = 2000  # rows whose tokens are counted
PRESET_ROWS = 600  # labelled rows up to which the preset's contrastive passes are affordable


def starter_recipe(
    data: str,
    options: ReadOptions = UNSAID,
    file: Path | None = None,
    *,
    root: Path | None = None,
    test: Path | None = None,
    method: str = "",
) -> tuple[str, str]:
    """Reads the data and writes a recipe that fits them.

    Every label is used where there are rows without; nothing is set aside to choose weights by.

    Args:
        data: a file, a folder, or a name from the catalogue.
        options: its columns, for regression its scores, and how it is read.
        file: where the recipe will be, which its paths are relative to; None: NAME.toml here.
        root: folder that holds a catalogue data set.
        test: the test file.
        method: a name from `METHODS`; "": mixtext, or supervised where nothing is unlabelled.

    Returns:
        The recipe's name and its text.

    Raises:
        InputError: the data cannot be read, are vectors, do not fit the method, or have too few
            labels to learn.
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
    labelled = int(train.labelled.sum())
    unlabelled = len(train) - labelled
    some = data in CATALOGUE and not regression
    method = method or ("mixtext" if (unlabelled or some) and not regression else "supervised")
    check_method(Recipe(method=METHODS[method]()), train)
    if regression and labelled < 2:
        raise InputError(
            f"{data}: 2 rows with a score are needed, and {labelled} have one: add some."
        )
    smallest = labelled if regression else _smallest_class(train)
    if not regression and (train.classes < 2 or smallest < 1):
        raise InputError(
            f"{data}: each of at least two classes needs a labelled row, and of "
            f"{train.classes} the smallest has {smallest}: add labels."
        )
    some = some or (METHODS[method].unlabelled and not unlabelled)
    if some and smallest < 2:
        raise InputError(
            f"{data}: all rows have labels, and {method} needs rows without, but the smallest "
            "class has 1 row: add rows without labels, or take another method: --method supervised."
        )
    each = min(10, smallest // 2)
    learned = each * train.classes if some else labelled
    batch = min(32, max(8, train.classes))
    balanced = some or regression
    preset = "few_labels" if balanced else fitting_preset(train.labels[train.labelled])
    tokenizer = load_tokenizer("minilm")
    strange = strange_language(train.texts, tokenizer, "minilm")
    words = CATALOGUE[data].class_words if data in CATALOGUE else ()
    templates, lines = _templates(train, words, USUAL[:1] if strange else USUAL)
    median, long = _token_quantiles(train, tokenizer)
    fitting = [n for n in LENGTHS if n >= long]
    places = {"root": root, "test": test}
    name = data if data in CATALOGUE else name_for(Path(data))
    file = file or Path(f"{name}.toml")
    said = {k: path_from(v, file) for k, v in places.items() if v} | options.given()
    is_path = reachable(Path(data)) and data not in CATALOGUE
    corpus = path_from(Path(data), file) if is_path else data
    return name, TEMPLATE.format(
        name=name,
        quoted=to_toml(name),
        file=shlex.quote(str(file)),
        rows=len(train),
        labels_are="with scores" if regression else f"{train.classes} classes",
        test="no test file" if held is None else f"{len(held):,} test rows",
        budget=f"{learned:,} labels: {learned:,} to learn from, 0 to choose by; "
        f"{len(train) - learned:,} unlabelled",
        method=method,
        methods=", ".join(m.name for m in METHODS.values() if m.takes(train.rows, train.target)),
        corpus=to_toml(corpus),
        source="".join(f"{k} = {to_toml(v)}\n" for k, v in said.items()),
        labels_line=SOME_LABELS.format(each) if some else ALL_LABELS,
        templates=lines,
        test_line="test_per_class = 0        # no test file: rows of each class to be scored on\n"
        if held is None
        else "",
        language="".join(f"# {note}\n" for note in strange),
        length=fitting[0] if fitting else LENGTHS[-1],
        median=median,
        long=long,
        steps=0,
        usual=usual_steps(learned + templates * train.classes, batch),
        batch=batch,
        preset=preset,
        method_table=_method_table(method, preset, learned),
    )


def _templates(train: Corpus, words: Sequence[str], usual: Sequence[str]) -> tuple[int, str]:
    """How many texts say each class, and the lines of the recipe that say so."""
    if train.rows != "texts" or train.target != "classes":
        return 0, ""
    said = list(words) or [spoken(name) for name in train.label_names]
    known = all(map(says_something, said))
    lines = "" if known else "# "
    lines += f"templates = {to_toml(list(usual))}  # learned too: {{}} is a class\n"
    if train.classes <= FEW:
        lines += f"# class_words = {to_toml(said)}  # said instead of names that tell little\n"
    return len(usual) * known, lines


def _method_table(method: str, preset: str, labelled: int) -> str:
    """What the preset has too much of where there are many labels."""
    passes = PRESETS["few_labels"]["mixtext"]["contrast_passes"]
    if method != "mixtext" or preset != "few_labels" or labelled <= PRESET_ROWS:
        return ""
    fewer = max(1, passes * PRESET_ROWS // labelled)
    return (
        f"\n[mixtext]\ncontrast_passes = {fewer}       # over the labelled rows, before the steps; "
        f"{passes} with few labels\n"
    )


def _smallest_class(train: Corpus) -> int:
    counts = np.bincount(train.labels[train.labelled], minlength=train.classes)
    return int(counts.min()) if train.classes else 0


def _token_quantiles(train: Corpus, tokenizer: Any) -> tuple[int, int]:
    """How many tokens of the encoder the median row has, and the longest but one in ten."""
    rows = np.random.default_rng(0).permutation(len(train))[:SAMPLE]
    texts = [train.texts[i] for i in rows]
    pairs = None if train.pairs is None else [train.pairs[i] for i in rows]
    lengths = [len(ids) for ids in tokenizer(texts, pairs, verbose=False)["input_ids"]]
    median, long = (int(q) for q in np.percentile(lengths, [50, 90]))
    return median, long
