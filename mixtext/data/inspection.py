"""A look at a corpus before training on it: sizes, lengths, duplicates, leaks, what is cut off."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mixtext.data.corpus import Corpus
from mixtext.data.splits import row_keys


def inspect(
    train: Corpus,
    test: Corpus | None = None,
    tokenizer: Callable[..., Any] | None = None,
    max_length: int | None = None,
) -> dict[str, Any]:
    """Counts what can go wrong with a corpus.

    Args:
        train: the training rows.
        test: the test rows.
        tokenizer: called with a text, and a second text for pairs; gives token ids or a mapping
            with "input_ids", as Hugging Face tokenizers do.
        max_length: tokens that the model will see of a row; words, where no tokenizer is given,
            which understates what is cut off.

    Returns:
        Plain numbers, strings and lists, ready for JSON: `train` and `test` (None without one),
        each as `_part` makes it, and `leaks`, the number of test rows whose text is in train.
    """
    report: dict[str, Any] = {
        "train": _part(train, tokenizer, max_length),
        "test": None,
        "leaks": None,
        "max_length": max_length,
        "unit": "words" if tokenizer is None else "tokens",
    }
    if test is not None:
        known = set(row_keys(train))
        report["test"] = _part(test, tokenizer, max_length)
        report["leaks"] = sum(key in known for key in row_keys(test))
    return report


def describe(report: dict[str, Any]) -> str:
    """Lines of text for the command line, from what `inspect` returns."""
    lines = []
    for name in ("train", "test"):
        part = report[name]
        if part is None:
            continue
        lines.append(f"{name}: {part['rows']:,} rows, {len(part['classes'])} classes")
        width = max([len(x) for x in part["classes"]], default=0)
        lines += [f"  {x:<{width}}  {count:>9,}" for x, count in part["classes"].items()]
        lines.append(f"  without a label: {part['missing_labels']:,}")
        for unit in ("words", "tokens"):
            if part[unit] is not None:
                numbers = ", ".join(f"{key} {value:g}" for key, value in part[unit].items())
                lines.append(f"  {unit} a row: {numbers}")
        if part["truncated"] is not None:
            lines.append(
                f"  longer than {report['max_length']} {report['unit']}: "
                f"{part['truncated_share']:.1%} ({part['truncated']:,} rows)"
            )
        lines.append(f"  repeats of an earlier text: {part['duplicates']:,}")
        lines.append(f"  texts with more than one label: {part['conflicts']:,}")
        lines.append(f"  characters replaced while decoding: {part['replacements']:,}")
    if report["leaks"] is not None:
        lines.append(f"test rows whose text is in train: {report['leaks']:,}")
    return "\n".join(lines)


def _part(
    corpus: Corpus, tokenizer: Callable[..., Any] | None, max_length: int | None
) -> dict[str, Any]:
    """The numbers of one corpus.

    `classes` maps names to rows; `duplicates` counts rows that repeat an earlier row's text;
    `conflicts` counts distinct texts with two or more labels, missing ones apart; `words` and
    `tokens` hold minimum, median, 95th percentile and maximum; `truncated` counts rows longer
    than `max_length` and `truncated_share` is their share, both None without a `max_length`.
    """
    keys = row_keys(corpus)
    found: dict[Any, set[int]] = {}
    for key, label in zip(keys, corpus.labels, strict=True):
        found.setdefault(key, set()).update({int(label)} - {-1})
    seconds: Sequence[str] = corpus.pairs or [""] * len(corpus)
    words = [len(x.split()) + len(y.split()) for x, y in zip(corpus.texts, seconds, strict=True)]
    tokens = None if tokenizer is None else _token_counts(corpus, tokenizer)
    cut = None
    if max_length is not None:
        cut = sum(n > max_length for n in (words if tokens is None else tokens))
    counts = np.bincount(corpus.labels[corpus.labels >= 0], minlength=corpus.classes)
    return {
        "rows": len(corpus),
        "classes": {x: int(n) for x, n in zip(corpus.label_names, counts, strict=True)},
        "missing_labels": int((corpus.labels < 0).sum()),
        "words": _lengths(words),
        "tokens": None if tokens is None else _lengths(tokens),
        "duplicates": len(keys) - len(found),
        "conflicts": sum(len(labels) > 1 for labels in found.values()),
        "truncated": cut,
        "truncated_share": None if cut is None else cut / max(len(corpus), 1),
        "replacements": corpus.replacements,
    }


def _token_counts(corpus: Corpus, tokenizer: Callable[..., Any]) -> list[int]:
    counts = []
    for i, text in enumerate(corpus.texts):
        encoded = tokenizer(text) if corpus.pairs is None else tokenizer(text, corpus.pairs[i])
        # Mapping by duck type: Hugging Face's BatchEncoding is one without being a dict.
        counts.append(len(encoded["input_ids"] if hasattr(encoded, "keys") else encoded))
    return counts


def _lengths(counts: Sequence[int]) -> dict[str, float] | None:
    if not counts:
        return None
    low, middle, high, top = np.percentile(counts, [0, 50, 95, 100])
    return {"min": float(low), "median": float(middle), "95 %": float(high), "max": float(top)}
