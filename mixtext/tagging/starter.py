"""A first recipe for one's own tagged sentences, with the numbers that they ask for."""

import shlex
from pathlib import Path

import numpy as np

from mixtext.data.read.options import UNSAID, ReadOptions
from mixtext.errors import InputError
from mixtext.recipe import name_for, path_from
from mixtext.settings import to_toml
from mixtext.tagging.corpus import check_entities
from mixtext.tagging.data import discover
from mixtext.tagging.metrics import entity_spans
from mixtext.tagging.seqmix import METHODS
from mixtext.tagging.tags import kinds_of

TEMPLATE = """\
# {name}: {sentences:,} sentences with tags, {entities:,} entities, {test}.
# {sentences:,} labels: {sentences:,} to learn from, 0 to choose by; {unlabelled:,} unlabelled.
# Try it:   mixtext train {file} --dry-run
# Train:    mixtext train {file}
# All fields and what they mean: mixtext recipe-fields, mixtext methods --settings
task = "tagging"
name = {quoted}
method = "{method}"         # {methods}

[data]
corpus = {corpus}
{test_line}\
# dev = "dev.conll"       # sentences to choose the best weights on, with training.patience
token = {token}               # column of the tokens, a number from 0 or a name
tag = {tag}                # column of the tags, from the end if negative: {kinds}
scheme = "{scheme}"            # of the tags, as found: bio, iob1, bioes, bilou or io
{decoding}\
labelled = 0              # sentences labelled at the start; 0: all, else the rest is a pool to ask
                          # from, for: mixtext active run {file}

[model]
encoder = "minilm"        # a folder or a Hugging Face name; minilm is uncased, hence the next line
case = true               # tell the head the letter case of each word
max_length = {length}           # tokens; median sentence {median}, one in ten over {long}

[training]
steps = {steps}
evaluate_every = {evaluate}
batch = 16
lr_encoder = 3e-4
lr_head = 2e-3
schedule = "linear"

[seqmix]
rate = 0.2                # generated sentences, as a share of the labelled ones
window = 5                # words that are mixed, so many in a row
threshold = 0.6           # least share of them that are part of an entity; lower where few are
"""


def starter_tagging_recipe(
    data: str,
    options: ReadOptions = UNSAID,
    file: Path | None = None,
    *,
    test: str = "",
    method: str = "",
) -> tuple[str, str]:
    """Reads CoNLL files and writes a recipe that fits them.

    Args:
        data: the CoNLL file of training sentences.
        options: its columns, and what is done about broken UTF-8.
        file: where the recipe will be, which its paths are relative to; None: NAME.toml here.
        test: the CoNLL file of test sentences; "": none.
        method: "supervised" or "seqmix"; "": seqmix.

    Returns:
        The recipe's name and its text.

    Raises:
        InputError: the files cannot be read or hold no entity; another method.
    """
    if method and method not in METHODS:
        raise InputError(
            f"method is {method!r}, but {data} is a CoNLL file: for the task tagging it must be "
            f"one of {', '.join(METHODS)}."
        )
    settings, train, held = discover(data, options, test)
    check_entities(train)
    tagged = np.flatnonzero(train.labelled).tolist()
    # Some 1.3 tokens a word, and two special ones.
    words = [len(sentence) for sentence in train.sentences]
    median, long = (int(1.3 * q) + 2 for q in np.percentile(words, [50, 90]))
    fitting = [n for n in (64, 128, 256) if n >= long]
    # Three passes, where these are neither too few for a new head nor too many for a start.
    steps = min(3000, max(120, 3 * len(tagged) // 16))
    name = name_for(Path(data))
    file = file or Path(f"{name}.toml")
    said = {key: options.given().get(key) for key in ("encoding", "encoding_errors")}
    return name, TEMPLATE.format(
        name=name,
        quoted=to_toml(name),
        file=shlex.quote(str(file)),
        sentences=len(tagged),
        unlabelled=len(train) - len(tagged),
        entities=sum(len(entity_spans(train.named(row))) for row in tagged),
        test="no test file" if held is None else f"{len(held):,} test sentences",
        method=method or "seqmix",
        methods=", ".join(METHODS),
        corpus=to_toml(path_from(Path(data), file)),
        test_line=f"test = {to_toml(path_from(Path(test), file))}\n"
        if test
        else '# test = "test.conll"\n',
        token=to_toml(settings.token),
        tag=to_toml(settings.tag),
        kinds=", ".join(kinds_of(train.tag_names)),
        scheme=settings.scheme,
        decoding="".join(f"{key} = {to_toml(value)}\n" for key, value in said.items() if value),
        length=fitting[0] if fitting else 256,
        median=median,
        long=long,
        steps=steps,
        evaluate=steps // 15,
    )
