"""A look at tagged sentences before training: entities, scheme, repeats, leaks, what is cut."""

from collections import Counter
from typing import Any

import numpy as np

from mixtext.data.inspection import numbers, quantiles
from mixtext.tagging.corpus import TaggedCorpus
from mixtext.tagging.metrics import entity_spans
from mixtext.tagging.rows import token_counts
from mixtext.tagging.tags import kinds_of


def inspect_tagged(
    train: TaggedCorpus, test: TaggedCorpus | None, tokenizer: Any, max_length: int
) -> dict[str, Any]:
    """Counts what can go wrong with tagged sentences.

    Args:
        train: the training sentences.
        test: the test sentences, or None.
        tokenizer: a fast Hugging Face tokenizer.
        max_length: tokens of a row, special ones included; longer sentences are cut into windows.

    Returns:
        Plain numbers, strings and lists, ready for JSON: `train` and `test` (None without one),
        each as `_part` makes it, and `leaks`, the number of test sentences that are in train.
    """
    known = {tuple(words) for words in train.sentences}
    return {
        "train": _part(train, tokenizer, max_length),
        "test": None if test is None else _part(test, tokenizer, max_length),
        "leaks": None if test is None else sum(tuple(x) in known for x in test.sentences),
        "max_length": max_length,
    }


def describe_tagged(report: dict[str, Any], scheme: str) -> str:
    """Lines of text for the command line, from what `inspect_tagged` returns."""
    lines = []
    for name in ("train", "test"):
        part = report[name]
        if part is None:
            continue
        kinds = part["entities"]
        lines.append(
            f"{name}: {part['sentences']:,} sentences, {part['words']:,} words, "
            f"{sum(kinds.values()):,} entities of {len(kinds)} types"
        )
        width = max(map(len, kinds), default=0)
        lines += [f"  {kind:<{width}}  {count:>9,}" for kind, count in kinds.items()]
        lines += [
            f"  tag scheme: {scheme}; tags at odds with it, repaired: {part['repaired']:,}",
            f"  without tags: {part['missing_tags']:,}",
            f"  words a sentence: {numbers(part['lengths'])}",
            f"  tokens a sentence: {numbers(part['tokens'])}",
            f"  longer than {report['max_length']} tokens, cut into windows: "
            f"{part['cut'] / part['sentences']:.1%} ({part['cut']:,} sentences)",
            f"  repeats of an earlier sentence: {part['duplicates']:,}",
            f"  sentences that are tagged in more than one way: {part['conflicts']:,}",
            f"  document marks left out: {part['skipped']:,}",
            f"  characters replaced while decoding: {part['replacements']:,}",
        ]
    if report["leaks"] is not None:
        lines.append(f"test sentences that are in train: {report['leaks']:,}")
    return "\n".join(lines)


def _part(corpus: TaggedCorpus, tokenizer: Any, max_length: int) -> dict[str, Any]:
    """The numbers of one corpus.

    `entities` maps types to entities; `lengths` and `tokens` hold minimum, median, 95th percentile
    and maximum of the words and tokens of a sentence; `cut` counts sentences of more than
    `max_length` tokens; `duplicates` counts sentences that repeat an earlier one; `conflicts`
    counts distinct sentences with two or more taggings, missing ones apart.
    """
    labelled = np.flatnonzero(corpus.labelled).tolist()
    counts = Counter(span.kind for row in labelled for span in entity_spans(corpus.named(row)))
    taggings: dict[tuple[str, ...], set[tuple[int, ...]]] = {
        tuple(x): set() for x in corpus.sentences
    }
    for row in labelled:
        taggings[tuple(corpus.sentences[row])].add(tuple(corpus.tags[row].tolist()))
    tokens = token_counts(tokenizer, corpus.sentences)
    return {
        "sentences": len(corpus),
        "words": sum(map(len, corpus.sentences)),
        "entities": {kind: counts[kind] for kind in kinds_of(corpus.tag_names)},
        "repaired": corpus.repaired,
        "missing_tags": len(corpus) - len(labelled),
        "lengths": quantiles([len(x) for x in corpus.sentences]),
        "tokens": quantiles(tokens),
        "cut": int((tokens > max_length).sum()),
        "duplicates": len(corpus) - len(taggings),
        "conflicts": sum(len(found) > 1 for found in taggings.values()),
        "skipped": corpus.skipped,
        "replacements": corpus.replacements,
    }
