"""Learning curves of active learning, made from curve.json files alone."""

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from mixtext.errors import InputError, reading
from mixtext.markdown import markdown_table
from mixtext.report.plots import save_figure
from mixtext.report.tables import files_below, settings_of, spread, varying

ARM_ORDER = ("random", "diverse", "least_confidence", "margin", "entropy", "token_entropy",
             "committee")  # fmt: skip


# Earlier versions had curves of taggers alone, and did not say so.
OF_TAGGERS = {"task": "tagging", "rows": "sentences", "metric": "f1"}


def read_curves(sources: Sequence[Path]) -> list[dict[str, Any]]:
    """Reads curves of run folders, of all runs below a folder, or of a JSON lines file.

    Raises:
        InputError: a folder without any finished run, or a file that does not hold curves.
    """
    curves = []
    for path in files_below(sources, "curve.json"):
        with reading(path, "it does not hold curves, as curve.json of a run does"):
            raw = path.read_bytes()
            lines = [raw] if path.suffix == ".json" else raw.splitlines()
            read = [one for one in map(json.loads, lines) if one["curve"]]
            curve_table(read)
            curves += read
    return curves


def said(curve: dict[str, Any], name: str) -> str:
    """The `task`, `rows` or `metric` of a curve."""
    return str(curve.get(name, OF_TAGGERS[name]))


def arm(curve: dict[str, Any]) -> str:
    """What a curve is called: its policy and method; the seed set asks for nothing.

    Of taggers the method is what SeqMix pairs, or nothing. Labels that weights were chosen by come
    on top of those that the curve is over.
    """
    name = "seed set alone" if _is_seed(curve) else curve["policy"].replace("_", " ")
    if said(curve, "task") != "tagging":
        name += f", {curve['method']}"
    elif curve["pairing"]:
        name += f" + SeqMix {curve['pairing'].replace('_', ' ')}"
    dev = curve.get("dev_rows", 0)
    return f"{name} (+ {dev:,} dev)" if dev else name


def names_of_arms(curves: Sequence[dict[str, Any]]) -> list[str]:
    """What each curve is called: `arm`, and what else tells it from others of that arm.

    That is corpus and encoder where there are several, and the settings that differ; curves of one
    name differ in their seeds alone.
    """
    corpora, encoders = ({curve.get(x) for curve in curves} for x in ("corpus", "encoder"))
    differing = varying(curves, arm)
    names = []
    for curve in curves:
        settings, shown = settings_of(curve), differing[arm(curve)]
        words = [f"{x}={settings[x]}" for x in sorted(shown & settings.keys())]
        words = [curve["encoder"], *words] if len(encoders) > 1 else words
        name = ", ".join([arm(curve), *([" ".join(words)] if words else [])])
        names.append(f"{curve['corpus']}: {name}" if len(corpora) > 1 else name)
    return names


def _is_seed(curve: dict[str, Any]) -> bool:
    return bool(curve["curve"][-1]["round"] == 0)


def _rank(curve: dict[str, Any]) -> tuple[bool, bool, int]:
    """The seed set last, plain training before SeqMix, policies in their order."""
    return _is_seed(curve), bool(curve["pairing"]), ARM_ORDER.index(curve["policy"])


def by_arm(curves: Sequence[dict[str, Any]]) -> dict[str, dict[int, list[float]]]:
    """Name, see `names_of_arms` → labelled rows → the metric of each seed, on test or else on dev.

    Raises:
        InputError: curves without metrics, or of several kinds.
    """
    kinds = sorted({(said(curve, "metric"), said(curve, "rows")) for curve in curves})
    if len(kinds) > 1:
        raise InputError(
            f"there are curves of {' and of '.join(' over '.join(kind) for kind in kinds)}: plot "
            "them apart."
        )
    named = list(zip(names_of_arms(curves), curves, strict=True))
    named.sort(key=lambda one: (*_rank(one[1]), one[0]))
    arms: dict[str, dict[int, list[float]]] = {}
    for name, curve in named:
        points = arms.setdefault(name, {})
        for point in curve["curve"]:
            metrics = point["test"] or point["dev"]
            if not metrics:
                raise InputError(
                    f"the curve of {curve['name']} has no metrics: name data.test or data.dev in "
                    "its recipe."
                )
            points.setdefault(point["labelled"], []).append(metrics[said(curve, "metric")])
    return arms


def curve_table(curves: Sequence[dict[str, Any]]) -> str:
    """A Markdown table: the metric in percent by arm and labelled rows, mean ± std over seeds."""
    arms = by_arm(curves)
    sizes = sorted({size for points in arms.values() for size in points})
    lines = [["arm", "seeds", *map(str, sizes)]]
    for name, points in arms.items():
        seeds = max(len(values) for values in points.values())
        cells = [spread(points[size]) if size in points else "" for size in sizes]
        lines.append([name, str(seeds), *cells])
    return markdown_table(lines)


def plot_curves(curves: Sequence[dict[str, Any]], out: Path) -> None:
    """Draws the metric over labelled rows: the mean of an arm, a band of one standard deviation.

    Args:
        curves: see `read_curves`.
        out: the picture, in a format that matplotlib knows (.png, .svg, .pdf).

    Raises:
        InputError: curves without metrics, or an unknown format.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axis = plt.subplots(figsize=(7, 4.5), layout="constrained")
    for number, (name, points) in enumerate(by_arm(curves).items()):
        sizes = sorted(points)
        middle = [100 * mean(points[size]) for size in sizes]
        width = [100 * stdev(points[size]) if len(points[size]) > 1 else 0.0 for size in sizes]
        style: dict[str, Any] = {"color": f"C{number}", "label": name}
        if len(sizes) == 1:
            axis.errorbar(sizes, middle, width, fmt="s", capsize=3, **style)
            continue
        axis.plot(sizes, middle, ("--" if "SeqMix" in name else "-") + "o", markersize=4, **style)
        low = [m - w for m, w in zip(middle, width, strict=True)]
        high = [m + w for m, w in zip(middle, width, strict=True)]
        axis.fill_between(sizes, low, high, color=f"C{number}", alpha=0.12, linewidth=0)
    rows, metric = said(curves[0], "rows"), said(curves[0], "metric")
    told = "F1 in percent, exact entities" if metric == "f1" else f"{metric} in percent"
    axis.set(xlabel=f"labelled {rows}", ylabel=told)
    axis.grid(alpha=0.3)
    axis.legend(fontsize="small")
    try:
        save_figure(figure, out, dpi=120)
    finally:
        plt.close(figure)
