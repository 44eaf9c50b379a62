"""Plots of runs, made from metrics.jsonl files alone."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mixtext.errors import InputError, reads
from mixtext.files import aside
from mixtext.pictures import legend
from mixtext.report.tables import labels_of, read_results

Lines = Sequence[dict[str, Any]]
Panel = tuple[str, str, dict[str, str]]  # title, kind of line, numbers and how they are drawn
MAKER = "drawn by mixtext"  # stands in the pictures, and tells them from the user's


@reads("leave this run out, or train it anew")
def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """The lines of a run's metrics.jsonl.

    Raises:
        InputError: there is no such file, nothing in it yet, or it is damaged. A last line that a
            kill has torn is left out.
    """
    path = folder / "metrics.jsonl"
    if not path.is_file():
        raise InputError(f"{folder} is not a run folder: it has no metrics.jsonl.")
    *parsed, last = map(_parse, path.read_bytes().split(b"\n"))
    if None in parsed:
        raise InputError(f"{path} is damaged: leave this run out, or train it anew.")
    lines = [line for line in (*parsed, last) if line is not None]
    if not lines:
        raise InputError(f"{path} holds no numbers yet: wait for the run's first steps.")
    return lines


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
        numbers = [x for key, x in found.items() if key not in ("kind", "draws", "clock")]
        good = isinstance(found["kind"], str) and isinstance(found["step"], int)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None
    return found if good and all(isinstance(x, int | float | None) for x in numbers) else None


def plot_runs(folders: Sequence[Path], out: Path) -> None:
    """Draws runs side by side into a picture; see `draw`.

    Args:
        folders: run folders; the legend calls them as `names_of` does, and counts a finished run's
            labels.
        out: the picture, in a format that matplotlib knows (.png, .svg, .pdf).

    Raises:
        InputError: a folder without metrics, or an unknown format.
    """
    names = names_of(folders)
    runs = {with_labels(name, folder): read_metrics(folder) for folder, name in names.items()}
    save_figure(draw(runs), out, dpi=110)


def names_of(folders: Iterable[Path]) -> dict[Path, str]:
    """What to call run folders: by their names or, where two have one, by their paths."""
    names = {folder: folder.resolve().name for folder in folders}
    times = Counter(names.values())
    return {folder: name if times[name] == 1 else str(folder) for folder, name in names.items()}


def with_labels(name: str, folder: Path) -> str:
    """A name and, of a finished run, all labels that it has seen."""
    if not (folder / "result.json").is_file():
        return name
    return f"{name}, {labels_of(read_results([folder])[0])} labels"


def save_figure(figure: Any, out: Path, dpi: int) -> None:
    """Writes a matplotlib Figure, whole or not at all.

    Raises:
        InputError: an unknown format, or a file that is there and that no such call has made.
    """
    if out.exists() and not (out.is_file() and MAKER.encode() in out.read_bytes()):
        raise InputError(f"{out} is there and no picture of mixtext's: name another with --out.")
    kind = out.suffix.removeprefix(".")
    try:
        with aside(out) as half:
            figure.savefig(half, dpi=dpi, format=kind, metadata={"Creator": MAKER})
    except ValueError:
        raise InputError(f"{out}: its ending names no picture format; use .png or .svg.") from None


def draw(runs: Mapping[str, Lines]) -> Any:
    """Draws what the runs have of: training loss, the same unmixed, main dev metric, pseudo-labels.

    The training loss of a method that mixes is one of mixed rows. Runs can be compared by the
    unmixed one, which `training.score_labelled` asks for.

    Args:
        runs: lines of metrics.jsonl by the name for the legend.

    Returns:
        A matplotlib Figure with one panel for each of these that has numbers.
    """
    from matplotlib.figure import Figure  # only here: it takes a while to load

    filled = panels(runs)
    figure = Figure(figsize=(11 / 3 * len(filled), 3.2), layout="constrained")
    axes = figure.subplots(1, len(filled), squeeze=False)[0]
    for axis, panel in zip(axes, filled, strict=True):
        draw_panel(axis, panel, runs)
    return figure


def draw_means(rows: Sequence[dict[str, str]]) -> Any:
    """A matplotlib Figure of `tables.compared`: the first test metric of each row, ± its std."""
    from matplotlib.figure import Figure

    metric = next(name for name in rows[0] if name.startswith("test "))
    about = ("corpus", "labels", "encoder", "method", "settings", "views")
    told = [x for x in about if x == "labels" or len({row.get(x) for row in rows}) > 1]
    scored = [row for row in rows if row[metric][:1].isdigit()]
    figure = Figure(figsize=(9, 1.2 + 0.28 * len(scored)), layout="constrained")
    axis = figure.subplots()
    for number, row in enumerate(scored):
        middle, _, width = row[metric].partition(" ± ")
        error = float(width or 0)
        axis.errorbar([float(middle)], [number], xerr=[error], fmt="o", color="C0", capsize=3)
    names = [
        ", ".join(f"{row[x]} labels" if x == "labels" else row[x] for x in told if row.get(x))
        for row in scored
    ]
    axis.set_yticks(range(len(scored)), names, fontsize="small")
    axis.invert_yaxis()
    axis.set(xlabel=f"{metric}, in percent; bars: one standard deviation")
    axis.grid(alpha=0.3, axis="x")
    return figure


def panels(runs: Mapping[str, Lines]) -> list[Panel]:
    """Those of `draw` that have numbers."""
    main = sorted({main_metric(lines) for lines in runs.values()} - {""})
    found: tuple[Panel, ...] = (
        ("training loss", "train", {"loss/total": "-"}),
        ("training loss, unmixed", "labelled", {"loss": "-"}),
        (f"dev {' / '.join(main)}".replace("_", "-"), "dev", dict.fromkeys(main, "-")),
        ("pseudo-labels", "train", {"guess/accuracy": "-", "guess/confidence": ":"}),
    )
    return [
        (title, kind, tags)
        for title, kind, tags in found
        if any(points(lines, kind, tag) for lines in runs.values() for tag in tags)
    ]


def draw_panel(axis: Any, panel: Panel, runs: Mapping[str, Lines]) -> None:
    """Draws a panel of the runs into matplotlib Axes."""
    title, kind, tags = panel
    drawn, names = [], []
    for number, (name, lines) in enumerate(runs.items()):
        for tag, style in tags.items():
            if found := points(lines, kind, tag):
                drawn += axis.plot(*zip(*found, strict=True), style, color=f"C{number}")
                names.append(f"{name} {tag.removeprefix('guess/')}" if "guess" in tag else name)
    axis.set(title=title, xlabel="step")
    axis.grid(alpha=0.3)
    legend(axis, drawn, names)


def main_metric(lines: Lines) -> str:
    """The metric of a run's dev set that chooses weights, by default: the first. Empty without."""
    dev = next((line for line in lines if line["kind"] == "dev"), {})
    return next((name for name in dev if name not in ("step", "kind", "clock")), "")


def points(lines: Lines, kind: str, tag: str) -> list[tuple[int, float]]:
    """Steps and values of a number in the lines of a kind."""
    return [(x["step"], x[tag]) for x in lines if x["kind"] == kind and x.get(tag) is not None]
