"""What the views are worth at a glance: shares by status, lengths, chrF, sample round trips."""

import heapq
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from backtranslate.pieces import normalise
from backtranslate.pipeline import derive_seed

FILTERED = ("empty", "ratio", "failed")
TRANSLATED = ("ok", "partial", "unchanged")
SAMPLES = 10
# chrF of so many texts says as much as that of millions, in a second.
SCORED = 2000
WIDTH = 240

NEEDS_SACREBLEU = "chrF needs sacrebleu, which is not installed: pip install sacrebleu"


@dataclass
class Quality:
    """Figures of one view of a corpus.

    Attributes:
        statuses: how many texts have which status.
        length_ratio: length of a view ÷ that of its source, in characters, mean over the texts that
            were translated; 0 when none was.
        chrf: chrF (Popović, 2015) of the views against their sources, 0 to 100, over at most
            `SCORED` translated texts; None when sacrebleu is missing or nothing was translated.
            100 means unchanged: a view should be neither there nor near 0.
    """

    statuses: Counter[str] = field(default_factory=Counter)
    length_ratio: float = 0.0
    chrf: float | None = None

    def share(self, *statuses: str) -> float:
        """Share of the texts that have one of the statuses, 0 to 1."""
        return sum(self.statuses[s] for s in statuses) / max(sum(self.statuses.values()), 1)


Pair = tuple[str, Mapping[str, Any]]


def measure(pairs: Iterable[Pair]) -> tuple[dict[str, Quality], list[Pair]]:
    """Measures views and draws ten round trips.

    Args:
        pairs: source text and record of each view (see `store.py`), in any order.

    Returns:
        `pivot/copy` → its figures, and the samples: the same for the same views.
    """
    found: dict[str, Quality] = {}
    scored: dict[str, list[tuple[int, str, str]]] = {}
    samples: list[tuple[int, int, Pair]] = []
    ratios: dict[str, float] = {}
    for number, (source, entry) in enumerate(pairs):
        name = f"{entry['pivot']}/{entry['copy']}"
        quality = found.setdefault(name, Quality())
        quality.statuses[entry["status"]] += 1
        if entry["status"] == "bypassed":
            continue
        # Drawn by name and not by place: the order in a store depends on the workers' speed.
        draw = derive_seed(entry["id"], name)
        _keep(samples, (-draw, number, (source, entry)), SAMPLES)
        if entry["status"] in TRANSLATED:
            ratios[name] = ratios.get(name, 0.0) + len(entry["text"]) / len(source)
            _keep(scored.setdefault(name, []), (-draw, entry["text"], source), SCORED)
    for name, quality in found.items():
        translated = sum(quality.statuses[s] for s in TRANSLATED)
        quality.length_ratio = ratios.get(name, 0.0) / max(translated, 1)
        if translated:
            quality.chrf = chrf([v for _, v, _ in scored[name]], [s for *_, s in scored[name]])
    return found, [pair for *_, pair in sorted(samples, key=lambda sample: sample[:2])]


def _keep(heap: list[Any], item: Any, size: int) -> None:
    if len(heap) < size:
        heapq.heappush(heap, item)
    else:
        heapq.heappushpop(heap, item)


def chrf(views: list[str], sources: list[str]) -> float | None:
    """chrF of views against sources, 0 to 100; None when sacrebleu is not installed."""
    try:
        from sacrebleu import corpus_chrf
    except ImportError:
        return None
    return float(corpus_chrf(views, [sources]).score)


def describe(found: Mapping[str, Quality], samples: Iterable[Pair]) -> str:
    """A table of the figures and the sample round trips, to print."""
    lines = [
        f"{'view':<12}{'texts':>9}{'changed':>9}{'partly':>9}{'unchanged':>11}{'filtered':>10}"
        f"{'bypassed':>10}{'length':>8}{'chrF':>7}"
    ]
    for name, quality in sorted(found.items()):
        score = "–" if quality.chrf is None else f"{quality.chrf:.1f}"
        lines.append(
            f"{name:<12}{sum(quality.statuses.values()):>9,}{quality.share('ok'):>9.1%}"
            f"{quality.share('partial'):>9.1%}{quality.share('unchanged'):>11.1%}"
            f"{quality.share(*FILTERED):>10.1%}{quality.share('bypassed'):>10.1%}"
            f"{quality.length_ratio:>8.2f}{score:>7}"
        )
    translated = [q for q in found.values() if q.share(*TRANSLATED)]
    if translated and all(quality.chrf is None for quality in translated):
        lines.append(NEEDS_SACREBLEU)
    for source, entry in samples:
        lines += [
            "",
            f"{entry['id']}  {entry['pivot']}/{entry['copy']}  {entry['status']}",
            f"  source  {_line(source)}",
            f"  pivot   {_line(entry['pivot_text'])}",
            f"  view    {_line(entry['text'])}",
        ]
    return "\n".join(lines)


def _line(text: str) -> str:
    text = normalise(text)
    return text if len(text) <= WIDTH else text[:WIDTH] + "…"
