"""Texts that say what each class is: labelled rows for which no text had to be labelled.

`This sentence is {}.`, said of each class: the patterns and verbalizers of PET (Schick and Schütze
2021, arXiv 2001.07676), as rows to learn from, as SetFit (arXiv 2209.11055) has them where there is
no label at all. With a handful of labels they say which difference is meant.
"""

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mixtext.data.corpus import Corpus
from mixtext.errors import InputError

PLACE = "{}"  # of the class in a template
NUMBERED = re.compile(r"^(label|class|category|type|group|topic)? ?\d*$", re.IGNORECASE)
WORD = re.compile(r"[a-z]{3}|[^\W\d_a-z]{2}|[\u3040-\u9fff]", re.IGNORECASE)
USUAL = ("{}", "This sentence is {}.", "a text about {}")


def spoken(name: str) -> str:
    """The name of a class as it would stand in a text: blanks for underscores and hyphens."""
    return " ".join(name.replace("_", " ").replace("-", " ").split())


def says_something(name: str) -> bool:
    """Whether the name of a class is a word, as far as letters tell: not `1`, `LABEL_0` or `b`."""
    letters = NUMBERED.sub("", spoken(name))
    return bool(WORD.search(letters))


def with_templates(train: Corpus, templates: Sequence[str], words: Sequence[str]) -> Corpus:
    """The corpus with a labelled row of each class behind it for every template.

    Args:
        train: single texts with classes.
        templates: T texts, each with one `{}`.
        words: what stands there for each class, C of them; none: the names of the classes, spoken.

    Returns:
        T·C more rows: those of the first template, in the order of `label_names`, then the next's.

    Raises:
        InputError: other rows or scores, a template without its place, words that are not one for
            each class.
    """
    if train.rows != "texts" or train.target != "classes":
        raise InputError(
            f"data.templates says classes in texts, but {train.name or 'the corpus'} holds "
            f"{train.rows} with {train.target}: leave it out."
        )
    for template in templates:
        if template.count(PLACE) != 1:
            raise InputError(
                f"data.templates holds {template!r}: write {PLACE} once, where the class stands."
            )
    if words and len(words) != train.classes:
        raise InputError(
            f"data.class_words has {len(words)} words for {train.classes} classes: give one each, "
            f"in the order {', '.join(train.label_names)}."
        )
    said = list(words) or [spoken(name) for name in train.label_names]
    more = len(templates) * train.classes
    ids = [f"template {n}/{name}" for n in range(len(templates)) for name in train.label_names]
    return replace(
        train,
        texts=[*train.texts, *(x.replace(PLACE, one) for x in templates for one in said)],
        labels=np.concatenate([train.labels, np.arange(more) % max(1, train.classes)]),
        ids=[*train.ids, *ids],
    )
