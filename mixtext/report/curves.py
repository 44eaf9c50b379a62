"""Learning curves of active learning, made from curve.json files alone."""

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from mixtext.errors import InputError, reading
from mixtext.markdown import markdown_table
from mixtext.report.plots import save_figure
from mixtext.report.tables import spread

ARM_ORDER = ("random", "least_confidence", "token_entropy", "committee")


def read_curves(sources: Sequence[Path]) -> list[dict[str, Any]]:
    """Reads curves of run folders, of all runs below a folder, or of a JSON lines file.

    Raises:
        InputError: a folder without any finished run, or a file that does not hold curves.
    """
    curves = []
    for source in sources:
        found = [source] if source.is_file() else sorted(source.rglob("curve.json"))
        if not found:
            raise InputError(f"{source} holds no finished run of active learning (no curve.json).")
        for path in found:
            with reading(path, "it does not hold curves, as curve.json of a run does"):
                raw = path.read_bytes()
                lines = [raw] if path.suffix == ".json" else raw.splitlines()
                read = [one for one in map(json.loads, lines) if one["curve"]]
                curve_table(read)
                curves += read
    return curves


def arm(curve: dict[str, Any]) -> str:
    """What a curve is called: its policy, and what SeqMix pairs; the seed set asks for nothing."""
    policy = curve["policy"].replace("_", " ") if len(curve["curve"]) > 1 else "seed set alone"
    return f"{policy} + SeqMix {curve['pairing'].replace('_', ' ')}" if curve["pairing"] else policy


def by_arm(curves: Sequence[dict[str, Any]]) -> dict[str, dict[int, list[float]]]:
    """Arm → labelled sentences → the F1 of each seed, on test or else on dev."""
    order = sorted(
        curves,
        key=lambda c: (len(c["curve"]) == 1, bool(c["pairing"]), ARM_ORDER.index(c["policy"])),
    )
    arms: dict[str, dict[int, list[float]]] = {}
    for curve in order:
        points = arms.setdefault(arm(curve), {})
        for point in curve["curve"]:
            metrics = point["test"] or point["dev"]
            if not metrics:
                raise InputError(
                    f"the curve of {curve['name']} has no metrics: name data.test or data.dev in "
                    "its recipe."
                )
            points.setdefault(point["labelled"], []).append(metrics["f1"])
    return arms


def curve_table(curves: Sequence[dict[str, Any]]) -> str:
    """A Markdown table: F1 in percent by arm and labelled sentences, mean ± std over seeds."""
    arms = by_arm(curves)
    sizes = sorted({size for points in arms.values() for size in points})
    lines = [["arm", "seeds", *map(str, sizes)]]
    for name, points in arms.items():
        seeds = max(len(values) for values in points.values())
        cells = [spread(points[size]) if size in points else "" for size in sizes]
        lines.append([name, str(seeds), *cells])
    return markdown_table(lines)


def plot_curves(curves: Sequence[dict[str, Any]], out: Path) -> None:
    """Draws F1 over labelled sentences: the mean of an arm, a band of one standard deviation.

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
    axis.set(xlabel="labelled sentences", ylabel="F1 in percent, exact entities")
    axis.grid(alpha=0.3)
    axis.legend(fontsize="small")
    try:
        save_figure(figure, out, dpi=120)
    finally:
        plt.close(figure)
