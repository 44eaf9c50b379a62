"""Plots of runs, made from metrics.jsonl files alone."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mixtext.errors import InputError


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """The lines of a run's metrics.jsonl.

    Raises:
        InputError: there is no such file.
    """
    path = folder / "metrics.jsonl"
    if not path.is_file():
        raise InputError(f"{folder} is not a run folder: it has no metrics.jsonl.")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def plot_runs(folders: Sequence[Path], out: Path) -> None:
    """Draws loss, dev accuracy and, where there are pseudo-labels, what became of them.

    Args:
        folders: run folders; the legend calls them by their names.
        out: the picture, in a format that matplotlib knows (.png, .svg, .pdf).

    Raises:
        InputError: a folder without metrics, or an unknown format.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    runs = {folder.name: read_metrics(folder) for folder in folders}
    panels = (
        ("training loss", "train", {"loss/total": "-"}),
        ("dev accuracy", "dev", {"accuracy": "-"}),
        ("pseudo-labels", "train", {"guess/accuracy": "-", "guess/confidence": ":"}),
    )
    figure, axes = plt.subplots(1, 3, figsize=(11, 3.2), layout="constrained")
    for axis, (title, kind, tags) in zip(axes, panels, strict=True):
        for number, (name, lines) in enumerate(runs.items()):
            for tag, style in tags.items():
                points = [(x["step"], x[tag]) for x in lines if x["kind"] == kind and tag in x]
                if points:
                    label = name if len(tags) == 1 else f"{name} {tag.removeprefix('guess/')}"
                    axis.plot(*zip(*points, strict=True), style, color=f"C{number}", label=label)
        axis.set(title=title, xlabel="step")
        axis.grid(alpha=0.3)
        if axis.lines:
            axis.legend(fontsize="small")
    try:
        figure.savefig(out, dpi=110)
    except ValueError:
        raise InputError(f"{out}: its ending names no picture format; use .png or .svg.") from None
    finally:
        plt.close(figure)
