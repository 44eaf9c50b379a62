"""Metrics of tags against gold tags: entities, and how many of them were found."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from mixtext.errors import InputError


class Span(NamedTuple):
    """An entity: tokens `start` to `stop` (exclusive) of a sentence."""

    kind: str
    start: int
    stop: int


def entity_spans(tags: Sequence[str]) -> list[Span]:
    """The entities in the BIO tags of a sentence.

    A tag that cannot go on an entity begins one, as in the CoNLL scorer: I-LOC after O or B-PER.
    """
    spans: list[Span] = []
    kind, start = "", 0
    for position, tag in enumerate([*tags, "O"]):
        prefix, _, its = tag.partition("-")
        if kind and (prefix != "I" or its != kind):
            spans.append(Span(kind, start, position))
            kind = ""
        if its and not kind:
            kind, start = its, position
    return spans


def span_metrics(
    gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]
) -> dict[str, float]:
    """Precision, recall and F1 of entities; one counts when its type and both ends are right.

    Args:
        gold: BIO tags of N sentences.
        predicted: as many, as long.

    Returns:
        `f1`, `precision` and `recall` over all entities and, for each type in `gold`, `f1/<type>`,
        in [0, 1]; 0 where there is nothing to divide by.

    Raises:
        InputError: the sentences differ in number or length.
    """
    if [len(tags) for tags in gold] != [len(tags) for tags in predicted]:
        raise InputError("Gold and predicted tags differ in length: give one tag for each token.")
    true, guessed, right = Counter[str](), Counter[str](), Counter[str]()
    for one, other in zip(gold, predicted, strict=True):
        wanted, found = {*entity_spans(one)}, {*entity_spans(other)}
        for spans, count in ((wanted, true), (found, guessed), (wanted & found, right)):
            count.update(span.kind for span in spans)

    def f1(hits: int, of: int, made: int) -> float:
        return 2 * hits / max(1, of + made)

    hits = right.total()
    return {
        "f1": f1(hits, true.total(), guessed.total()),
        "precision": hits / max(1, guessed.total()),
        "recall": hits / max(1, true.total()),
        **{f"f1/{kind}": f1(right[kind], true[kind], guessed[kind]) for kind in sorted(true)},
    }
