"""Verdicts: what was published beside what our runs say, by one rule.

A gain is the mean, over seeds, of the differences to the baseline trained on the same rows with the
same model. `judge` has the rule, and RULE says it.
"""

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from textwrap import shorten
from typing import Any

from mixtext.errors import InputError
from mixtext.markdown import markdown_table
from mixtext.report.curves import arm, read_curves, said
from mixtext.report.published import Published, read_published
from mixtext.report.tables import (
    all_settings,
    by_rows,
    counterpart,
    labels_of,
    paired_gain,
    paired_interval,
    read_results,
    seeds_of,
    settings_of,
    spread,
    varying,
)

LEVEL = 0.05
AGREES, DIFFERS, NOISE, NOT_RUN = "agrees", "differs", "within noise", "not run"
RULE = (
    f"A verdict stands where a gain was published: {NOT_RUN}, where we have no pair of runs; "
    f"{NOISE}, where the paired t test's p is {LEVEL} or more after Holm's correction, or there is "
    f"but one pair; else {AGREES} where our gain has the published one's sign, and {DIFFERS} where "
    "it has not."
)


@dataclass(frozen=True)
class Comparison:
    """A method against its baseline, by pairs of runs with the same seeds.

    Attributes:
        about: what tells it from the others of a table, by column.
        method: the method and what was set of it.
        baseline: the method that it is compared with.
        values: main metric of the method's runs, by seeds, in [0, 1].
        others: that of the baseline's.
        published: what it is compared with.
    """

    about: dict[str, str]
    method: str
    baseline: str
    values: dict[tuple[int, int], float]
    others: dict[tuple[int, int], float]
    published: Published | None = None

    @property
    def pairs(self) -> tuple[list[float], list[float]]:
        """Metrics of the runs whose seeds both have."""
        both = [seed for seed in self.values if seed in self.others]
        return [self.values[seed] for seed in both], [self.others[seed] for seed in both]


@dataclass(frozen=True)
class Verdict:
    """A comparison, judged.

    Attributes:
        comparison: what was compared.
        gain: in points; NaN without a pair.
        half: half the width of its 95 % interval; NaN without two pairs.
        p: of the paired t test, corrected by Holm; NaN without two pairs.
        verdict: one of the four words of RULE; empty where no gain was published.
    """

    comparison: Comparison
    gain: float
    half: float
    p: float
    verdict: str

    @property
    def shown(self) -> str:
        """The gain as a cell of a table."""
        return paired_gain(*self.comparison.pairs) if self.comparison.pairs[0] else ""


def paired_p(values: Sequence[float], baseline: Sequence[float]) -> float:
    """Two-sided p of Student's paired t test; NaN of fewer than two pairs."""
    from scipy.special import stdtr

    gains = [a - b for a, b in zip(values, baseline, strict=True)]
    if len(gains) < 2:
        return math.nan
    middle, error = mean(gains), stdev(gains) / len(gains) ** 0.5
    if error == 0:
        return float(middle == 0)
    return float(2 * stdtr(len(gains) - 1, -abs(middle) / error))


def holm(ps: Sequence[float]) -> list[float]:
    """p values corrected by Holm for how many they are; NaN stays and does not count."""
    order = sorted((p, i) for i, p in enumerate(ps) if not math.isnan(p))
    corrected, largest = list(ps), 0.0
    for rank, (p, i) in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p))
        corrected[i] = largest
    return corrected


def judge(comparisons: Sequence[Comparison]) -> list[Verdict]:
    """Judges all comparisons of a table together, by RULE."""
    ps = holm([paired_p(*one.pairs) for one in comparisons])
    found = []
    for one, p in zip(comparisons, ps, strict=True):
        gain, half = paired_interval(*one.pairs) if one.pairs[0] else (math.nan, math.nan)
        verdict = ""
        if one.published is not None:
            if math.isnan(gain):
                verdict = NOT_RUN
            elif math.isnan(p) or p >= LEVEL:
                verdict = NOISE
            else:
                verdict = AGREES if gain * one.published.gain > 0 else DIFFERS
        found.append(Verdict(one, gain, half, p, verdict))
    return found


# ---- what was run


def curve_results(curves: Sequence[dict[str, Any]], baseline: str) -> list[dict[str, Any]]:
    """Learning curves as results: the mean metric over the sizes, and that of the seed set alone.

    Nothing was asked for at the seed set, so the curves of all policies are one there; the arm
    `baseline` stands for it, and the others count where SeqMix adds sentences to it. Where nothing
    was labelled at the start, all count at the first size.

    Args:
        curves: as `read_curves` gives them.
        baseline: an arm, see `curves.arm`.
    """
    results = []
    for curve in curves:
        name, sizes = arm(curve), [point["labelled"] for point in curve["curve"]]
        metric, first = said(curve, "metric"), curve["curve"][0]
        scores = [(point["test"] or point["dev"])[metric] for point in curve["curve"]]
        base = {
            "corpus": curve["corpus"],
            "encoder": curve["encoder"],
            "method": name,
            "task": said(curve, "task"),
            "seed": curve["seed"],
            "split_seed": curve["split_seed"],
            "settings": curve.get("settings", {}),
        }
        if len(sizes) > 1:
            told = f"{sizes[0]} to {sizes[-1]}"
            results.append({**base, "labelled": told, "test": {metric: mean(scores)}})
        if curve["pairing"] or name == baseline or first["round"]:
            results.append({**base, "labelled": str(sizes[0]), "test": {metric: scores[0]}})
    return results


def compare(
    results: Sequence[dict[str, Any]], published: Sequence[Published], baseline: str
) -> list[Comparison]:
    """Pairs the runs of each method with the baseline's, and finds what was published of it.

    Runs are one comparison where they differ in their seeds alone. What was published and matches
    no runs of ours becomes a comparison without pairs.

    Args:
        results: as `read_results` or `curve_results` gives them.
        published: as `read_published` gives it; its `baseline`, where it has one, comes beside.
        baseline: the method to compare with.

    Raises:
        InputError: there is no run of the baseline.
    """
    names = list(dict.fromkeys(result["method"] for result in results))
    if baseline not in names:
        raise InputError(f"--baseline {baseline!r} was not run: choose from {', '.join(names)}.")
    groups: dict[tuple, list[dict[str, Any]]] = {}
    for result in results:
        if result["test"]:
            key = (result["corpus"], result["method"], labels_of(result), result["encoder"],
                   result.get("views", ""), *sorted(settings_of(result).items()))  # fmt: skip
            groups.setdefault(key, []).append(result)
    differing = varying([runs[0] for runs in groups.values()], _family)
    rows = {name: by_rows(r for r in results if r["method"] == name) for name in names}
    used: set[int] = set()
    found = []
    for runs in groups.values():
        facts = {**all_settings(runs[0]), **runs[0]}
        cells = [
            (i, cell)
            for i, cell in enumerate(published)
            if cell.method == runs[0]["method"]
            and all(_as_read(facts.get(name)) == value for name, value in cell.ours.items())
        ]
        used |= {i for i, _ in cells}
        shown = {k: v for k, v in settings_of(runs[0]).items() if k in differing[_family(runs[0])]}
        about = {
            "corpus": runs[0]["corpus"],
            "labels": labels_of(runs[0]),
            "encoder": runs[0]["encoder"],
            "views": runs[0].get("views", ""),
            "settings": " ".join(f"{k}={v}" for k, v in shown.items()),
        }
        by_baseline: dict[str, Published | None] = {}
        if runs[0]["method"] != baseline:
            by_baseline[baseline] = None
        for _, cell in cells:
            name = cell.baseline or baseline
            if by_baseline.get(name) is not None:
                raise InputError(
                    f"{cell.source} and {by_baseline[name].source} both say what {cell.method} "  # type: ignore[union-attr]
                    f"gains on {cell.ours}: leave one cell out, or tell them apart by `ours`."
                )
            by_baseline[name] = cell
        for name, of in by_baseline.items():
            values = {seeds_of(r): _main(r) for r in runs}
            others = {
                seeds_of(r): _main(other)
                for r in runs
                if (other := counterpart(r, rows.get(name, {}))) is not None
            }
            one = Comparison(about, runs[0]["method"], name, values, others, of)
            if one.pairs[0]:
                found.append(one)
    for i, cell in enumerate(published):
        if i not in used:
            about = {"corpus": cell.corpus, "labels": cell.setting, "encoder": cell.encoder}
            found.append(Comparison(about, cell.method, cell.baseline or baseline, {}, {}, cell))
    return found


def _family(result: dict[str, Any]) -> tuple[str, str]:
    return result["corpus"], result["method"]


def _as_read(value: Any) -> Any:
    """As TOML would have it."""
    return list(value) if isinstance(value, tuple) else value


def _main(result: dict[str, Any]) -> float:
    return float(next(iter(result["test"].values())))


# ---- tables


def verdict_rows(verdicts: Sequence[Verdict]) -> list[dict[str, str]]:
    """One row a comparison, by column; columns that would say nothing are left out."""
    rows = []
    for one in verdicts:
        of, cell = one.comparison, one.comparison.published
        rows.append(
            {
                **{x: of.about.get(x, "") for x in ("corpus", "labels", "encoder", "views")},
                "method": of.method,
                "settings": of.about.get("settings", ""),
                "over": of.baseline,
                "pairs": str(len(of.pairs[0])),
                "ours": spread(list(of.values.values())) if of.values else "",
                "gain (95 %)": one.shown,
                "p (Holm)": "" if math.isnan(one.p) else f"{one.p:.2g}",
                "published": "" if cell is None else f"{cell.gain:+.1f}",
                "verdict": one.verdict,
                "source": ""
                if cell is None
                else cell.source + ("" if cell.verified else " (not verified)"),
            }
        )
    columns = [name for name in rows[0] if any(row[name] for row in rows)] if rows else []
    return [{name: row[name] for name in columns} for row in rows]


def verdict_table(verdicts: Sequence[Verdict]) -> str:
    """The rows in Markdown, then how many comparisons were made, and the rule."""
    if not verdicts:
        return "There is nothing to compare."
    rows = verdict_rows(verdicts)
    tested = sum(not math.isnan(one.p) for one in verdicts)
    table = markdown_table([[*rows[0]], *([*row.values()] for row in rows)])
    return f"{table}\n\n{tested} comparisons, corrected by Holm together. {RULE}"


def as_csv(rows: Sequence[dict[str, str]]) -> str:
    """Rows, at least one, as CSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def draw_gains(verdicts: Sequence[Verdict]) -> Any:
    """A matplotlib Figure: gains with their 95 % intervals, and published gains as open marks."""
    from matplotlib.figure import Figure

    shown = [one for one in verdicts if not math.isnan(one.gain)]
    encoders = {one.comparison.about["encoder"] for one in shown}
    names = []
    for one in shown:
        of = one.comparison
        settings = shorten(of.about.get("settings", "").replace('"', ""), 50, placeholder=" …")
        encoder = of.about["encoder"] if len(encoders) > 1 else ""
        given = f"{of.about['labels']} labels"
        names.append(
            ", ".join(filter(None, (of.about["corpus"], given, encoder, of.method, settings)))
        )
    width = 5 + 0.08 * max(map(len, names), default=0)
    figure = Figure(figsize=(width, 1.2 + 0.28 * len(shown)), layout="constrained")
    axis = figure.subplots()
    for row, one in enumerate(shown):
        half = 0.0 if math.isnan(one.half) else one.half
        axis.errorbar([one.gain], [row], xerr=[half], fmt="o", color="C0", capsize=3)
        if one.comparison.published is not None:
            axis.plot([one.comparison.published.gain], [row], "D", color="C1", fillstyle="none")
    axis.axvline(0, color="black", linewidth=0.8)
    axis.set_yticks(range(len(shown)), names, fontsize="small")
    axis.invert_yaxis()
    axis.set(xlabel="gain in points; bars: 95 %; open marks: published")
    axis.grid(alpha=0.3, axis="x")
    return figure


def verdicts_of(sources: Sequence[Path], published: Path | None, baseline: str) -> list[Verdict]:
    """Reads, pairs and judges, see `compare`.

    Args:
        sources: run folders, folders that hold some, or files of results or of learning curves.
        published: a file of published numbers, or none.
        baseline: the method to compare with; of learning curves the arm.
    """
    curves = [source for source in sources if _holds_curves(source)]
    results = [source for source in sources if source not in curves]
    found = read_results(results) if results else []
    found += curve_results(read_curves(curves), baseline)
    cells = [] if published is None else read_published(published, baseline)
    return judge(compare(found, cells, baseline))


def _holds_curves(source: Path) -> bool:
    if not source.is_file():
        return not any(source.rglob("result.json")) and any(source.rglob("curve.json"))
    if source.suffix == ".json":
        return source.name == "curve.json"
    try:
        return "curve" in json.loads(source.read_bytes().partition(b"\n")[0])
    except (ValueError, TypeError):
        return False
