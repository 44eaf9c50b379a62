"""A look at a corpus before training on it: sizes, lengths, duplicates, leaks, what is cut off."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mixtext.data.corpus import Corpus
from mixtext.data.labels import shown
from mixtext.data.splits import row_keys

STRANGE = 1.6  # tokens a word


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
    lines: list[str] = []
    for name in ("train", "test"):
        part = report[name]
        if part is None:
            continue
        shape = " × ".join(map(str, part["shape"] or ()))
        kind = f"rows of {shape} values" if shape else "pairs" if part["pairs"] else "rows"
        task = f"{len(part['classes'])} classes" if part["scores"] is None else "scores"
        lines.append(f"{name}: {part['rows']:,} {kind}, {task}")
        if part["scores"]:
            lines.append(f"  score: {numbers(part['scores'])}")
        classes = {shown(name): count for name, count in part["classes"].items()}
        width = max(map(len, classes), default=0)
        lines += [f"  {x:<{width}}  {count:>9,}" for x, count in classes.items()]
        lines.append(f"  without a label: {part['missing_labels']:,}")
        for unit in ("words", "tokens"):
            if part[unit] is not None:
                lines.append(f"  {unit} a row: {numbers(part[unit])}")
        if part["truncated"] is not None:
            lines.append(
                f"  longer than {report['max_length']} {report['unit']}: "
                f"{part['truncated_share']:.1%} ({part['truncated']:,} rows)"
            )
        what = "row" if shape else "pair" if part["pairs"] else "text"
        lines.append(f"  repeats of an earlier {what}: {part['duplicates']:,}")
        lines.append(f"  {what}s with more than one label: {part['conflicts']:,}")
        if not shape:
            lines.append(f"  characters replaced while decoding: {part['replacements']:,}")
    if report["leaks"] is not None:
        lines.append(
            f"test rows {'that are' if shape else f'whose {what} is'} in train: {report['leaks']:,}"
        )
    return "\n".join(lines)


def numbers(quantiles: dict[str, float]) -> str:
    """What `quantiles` returns, as a part of a line."""
    return ", ".join(f"{key} {value:g}" for key, value in quantiles.items())


def _part(
    corpus: Corpus, tokenizer: Callable[..., Any] | None, max_length: int | None
) -> dict[str, Any]:
    """The numbers of one corpus.

    `classes` maps names to rows; `scores` holds quantiles of the scores for regression, None for
    classes; `shape` is that of a row of vectors, None for texts; `pairs` says whether rows are
    pairs; `duplicates` counts rows that repeat an earlier row; `conflicts` counts distinct rows
    with two or more labels, missing ones apart; `words` and `tokens` hold minimum, median, 95th
    percentile and maximum; `truncated` counts rows longer than `max_length` and
    `truncated_share` is their share, both None without a `max_length`. Vectors have no words.
    """
    is_text, is_score = corpus.rows != "vectors", corpus.target == "scores"
    keys = row_keys(corpus)
    found: dict[Any, set[float]] = {}
    for key, label, has_label in zip(keys, corpus.labels, corpus.labelled, strict=True):
        found.setdefault(key, set()).update([float(label)] if has_label else [])
    seconds: Sequence[str] = corpus.pairs or [""] * len(corpus.texts)
    words = [len(x.split()) + len(y.split()) for x, y in zip(corpus.texts, seconds, strict=True)]
    tokens = None if tokenizer is None or not is_text else _token_counts(corpus, tokenizer)
    cut = None
    if max_length is not None and is_text:
        cut = sum(n > max_length for n in (words if tokens is None else tokens))
    known = corpus.labels[corpus.labelled]
    counts = np.bincount([] if is_score else known, minlength=corpus.classes)
    return {
        "rows": len(corpus),
        "classes": {x: int(n) for x, n in zip(corpus.label_names, counts, strict=True)},
        "scores": (quantiles(known, _SCORES) or {}) if is_score else None,
        "pairs": corpus.pairs is not None,
        "shape": list(corpus.shape) or None,
        "missing_labels": int((~corpus.labelled).sum()),
        "words": quantiles(words) if is_text else None,
        "tokens": None if tokens is None else quantiles(tokens),
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


_LENGTHS = {"min": 0, "median": 50, "95 %": 95, "max": 100}  # percentiles by name
_SCORES = {"min": 0, "25 %": 25, "median": 50, "75 %": 75, "max": 100}


def quantiles(
    numbers: Sequence[float] | np.ndarray, percentiles: dict[str, int] = _LENGTHS
) -> dict[str, float] | None:
    """Percentiles by name, such as minimum, median and maximum; None of no numbers at all."""
    if len(numbers) == 0:
        return None
    found = np.percentile(numbers, list(percentiles.values()))
    return {name: float(x) for name, x in zip(percentiles, found, strict=True)}


def strange_language(texts: Sequence[str], tokenizer: Any, encoder: str) -> list[str]:
    """A note, or none, on texts that the encoder seems not to be made for.

    English has 1.1 to 1.4 of its tokens a word in six corpora; German has 2.2 of an English
    encoder's, Chinese is for the most part unknown to it.

    Args:
        texts: the first 1,000 are looked at.
        tokenizer: the encoder's, one of Hugging Face's.
        encoder: what the recipe calls it.
    """
    sample = list(texts[:1000])
    words = sum(len(text.split()) for text in sample)
    ids = tokenizer(sample, add_special_tokens=False, verbose=False)["input_ids"]
    tokens = sum(map(len, ids))
    unknown = sum(row.count(tokenizer.unk_token_id) for row in ids)
    if not words or (tokens < STRANGE * words and unknown < 0.01 * tokens):
        return []
    return [
        f"the texts have {tokens / words:.1f} tokens a word (English about 1.3), "
        f"{unknown / tokens:.0%} of them unknown: the encoder {encoder!r} may not know their "
        "language; model.encoder takes any name of the Hugging Face hub, or a folder"
    ]
