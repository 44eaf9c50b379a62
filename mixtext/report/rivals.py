"""One method against all others on many corpora: who is the strongest rival, and by how much.

Counted labels are those of each corpus; only runs of the same seeds are paired. Runs that learned
from the names of the classes too (`data.templates`) are rows of their own, `METHOD + names`.
"""

import math
from collections.abc import Sequence
from statistics import mean
from typing import Any

from mixtext.errors import InputError
from mixtext.markdown import markdown_table
from mixtext.report.tables import labels_of, paired_gain, paired_interval, spread
from mixtext.report.verdicts import LEVEL, NOISE, holm, paired_p

NAMES = " + names"
RULE = (
    "Verdict: above or below the strongest rival where the paired t test's p, corrected by Holm for"
    f" all corpora of the table, is below {LEVEL}, else {NOISE}."
)
Scores = dict[str, dict[str, dict[tuple[int, int], float]]]  # method → corpus → seeds → metric


def scores_of(results: Sequence[dict[str, Any]]) -> tuple[Scores, dict[str, str]]:
    """The first test metric of each run, and how many labels each corpus gave.

    Raises:
        InputError: runs of one method, corpus and seeds that differ in something else, or runs that
            were given other labels than the others on that corpus.
    """
    scores: Scores = {}
    labels: dict[str, str] = {}
    for result in results:
        corpus, method, test = result["corpus"], result["method"], result["test"]
        if result.get("settings", {}).get("data.templates"):
            method += NAMES
        if not test:
            continue
        given = labels_of(result)
        if labels.setdefault(corpus, given) != given:
            raise InputError(
                f"runs on {corpus} were given {labels[corpus]} and {given} labels: compare runs "
                "with the same labels, each kind by a call of its own."
            )
        seeds = result.get("split_seed", 0), result.get("seed", 0)
        runs = scores.setdefault(method, {}).setdefault(corpus, {})
        if seeds in runs:
            raise InputError(
                f"two runs of {method} on {corpus} have the seeds {seeds[0]} and {seeds[1]}: leave "
                "one of them out."
            )
        runs[seeds] = test[next(iter(test))]
    return scores, labels


def _other(method: str, ours: str) -> bool:
    return method.removesuffix(NAMES) != ours.removesuffix(NAMES)


def has_rivals(results: Sequence[dict[str, Any]], ours: str) -> bool:
    """Whether `ours` was run, and another method."""
    scores, _ = scores_of(results)
    return ours in scores and len(scores) > 1


def in_order(scores: Scores, labels: dict[str, str], ours: str) -> list[str]:
    """Methods: `ours` first, then those that were run on all corpora, the best first."""

    def rank(method: str) -> tuple[bool, bool, float]:
        found = [mean(runs.values()) for runs in scores[method].values()]
        return method == ours, len(found) == len(labels), mean(found)

    return sorted(scores, key=rank, reverse=True)


def rival_rows(results: Sequence[dict[str, Any]], ours: str) -> list[dict[str, str]]:
    """A row a method, a column a corpus, and four rows of gains.

    A mean over corpora is given where a method was run on all of them. "Over the strongest rival"
    pairs `ours` with the method of the highest mean on that corpus, by the seeds that both have,
    with the 95 % interval of `paired_interval`; of the mean column it is the difference to the
    highest mean of one method. The p of the paired t tests are corrected by Holm for the number of
    corpora, and verdicts follow from them by RULE.

    Args:
        results: as `read_results` gives them.
        ours: the method that is compared, with its NAMES or without; the same method the other way
            is no rival.

    Raises:
        InputError: `ours` or a rival was not run, or as `scores_of` says.
    """
    scores, labels = scores_of(results)
    if not has_rivals(results, ours):
        raise InputError(
            f"--rivals names {ours!r}, and the runs are of {', '.join(scores) or 'no method'}: "
            "name one of at least two."
        )
    corpora = list(labels)
    means = {
        method: {corpus: mean(runs.values()) for corpus, runs in by.items()}
        for method, by in scores.items()
    }
    whole = {m: mean(by.values()) for m, by in means.items() if len(by) == len(corpora)}
    order = in_order(scores, labels, ours)
    rows = [{"method": "labels", **labels, "mean": ""}]
    for method in order:
        runs = scores[method]
        cells = {c: spread(list(runs[c].values())) if c in runs else "not run" for c in corpora}
        average = f"{100 * whole[method]:.1f}" if method in whole else ""
        rows.append({"method": method, **cells, "mean": average})
    gain = {"method": f"{ours} over the strongest rival"}
    name = {"method": "which is"}
    ps = dict.fromkeys(corpora, math.nan)
    for corpus in corpora:
        rivals = [m for m in order if _other(m, ours) and corpus in means[m]]
        gain[corpus] = name[corpus] = ""
        if corpus not in means[ours] or not rivals:
            continue
        name[corpus] = max(rivals, key=lambda m: means[m][corpus])
        mine, other = scores[ours][corpus], scores[name[corpus]][corpus]
        shared = sorted(mine.keys() & other.keys())
        if shared:
            pairs = [mine[s] for s in shared], [other[s] for s in shared]
            gain[corpus], ps[corpus] = paired_gain(*pairs), paired_p(*pairs)
    chance, verdict = {"method": "p (Holm)"}, {"method": "verdict"}
    for corpus, p in zip(corpora, holm(list(ps.values())), strict=True):
        told = "above" if gain[corpus].startswith("+") else "below"
        chance[corpus] = "" if math.isnan(p) else f"{p:.2g}"
        verdict[corpus] = "" if math.isnan(p) else told if p < LEVEL else NOISE
    rivals = [m for m in whole if _other(m, ours)]
    gain["mean"] = name["mean"] = chance["mean"] = verdict["mean"] = ""
    if ours in whole and rivals:
        name["mean"] = max(rivals, key=lambda m: whole[m])
        gain["mean"] = f"{100 * (whole[ours] - whole[name['mean']]):+.1f}"
    return [*rows, gain, name, chance, verdict]


def rival_table(results: Sequence[dict[str, Any]], ours: str) -> str:
    """`rival_rows` as Markdown."""
    rows = rival_rows(results, ours)
    cells = [[*rows[0]], *([*row.values()] for row in rows)]
    table = markdown_table(cells, [False, *[True] * (len(rows[0]) - 1)])
    worse = ", ".join(below(results, ours)) or "none"
    return f"{table}\n\n{RULE} Below a rival by more than the interval: {worse}."


def below(results: Sequence[dict[str, Any]], ours: str) -> list[str]:
    """Where a rival is better by more than the interval of the paired difference."""
    scores, labels = scores_of(results)
    worse = []
    for corpus in labels:
        mine = scores.get(ours, {}).get(corpus, {})
        for method, by in scores.items():
            other = by.get(corpus, {})
            shared = sorted(mine.keys() & other.keys())
            if not _other(method, ours) or len(shared) < 2:
                continue
            middle, half = paired_interval([mine[s] for s in shared], [other[s] for s in shared])
            if middle + half < 0:
                worse.append(f"{corpus}: {method}")
    return worse


def draw_rivals(results: Sequence[dict[str, Any]], ours: str) -> Any:
    """A matplotlib Figure of `rival_rows`: a panel a corpus, each run a mark, means as bars."""
    from matplotlib.figure import Figure

    scores, labels = scores_of(results)
    order = in_order(scores, labels, ours)
    size = (3 + 1.8 * len(labels), 1.2 + 0.28 * len(order))
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(1, len(labels), sharey=True, squeeze=False)[0]
    for panel, (corpus, given) in zip(panels, labels.items(), strict=True):
        for row, method in enumerate(order):
            runs = [100 * x for x in scores[method].get(corpus, {}).values()]
            if runs:
                colour = "C1" if method == ours else "C0"
                panel.barh(row, mean(runs), color=colour, alpha=0.4)
                panel.plot(runs, [row] * len(runs), "|", color=colour)
        panel.set_title(f"{corpus}\n{given} labels", fontsize="small")
        panel.grid(alpha=0.3, axis="x")
    panels[0].set_yticks(range(len(order)), order, fontsize="small")
    panels[0].set_ylim(len(order) - 0.5, -0.5)
    figure.supxlabel("test, in percent; marks: runs, bars: their mean", fontsize="small")
    return figure
