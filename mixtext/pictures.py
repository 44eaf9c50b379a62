"""Pictures of numbers: drawn as matplotlib Figures, taken as PNG or SVG.

matplotlib is imported where it is used: it takes a while to load.
"""

import io
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mixtext.data.labels import shown

CURVES = 10  # classes beyond which a picture has a row a class instead of a curve
NUMBERED = 20  # classes up to which a confusion matrix shows its numbers
LONG = 24  # characters of a name

Points = Sequence[tuple[float, float]]


def by_class(points: Mapping[str, Points], title: str) -> Any:
    """A number by class over the steps: a curve a class or, of many classes, a row a class.

    Args:
        points: steps and values in [0, 1] by class.
        title: what the number is.
    """
    names = list(points)
    if len(names) <= CURVES:
        figure, axis = figure_of(6.4, 3.2)
        drawn = [axis.plot(*zip(*x, strict=True), marker=".")[0] for x in points.values()]
        legend(figure, drawn, names, loc="outside right upper")
        axis.set(ylim=(-0.02, 1.02))
        axis.grid(alpha=0.3)
    else:
        steps = sorted({step for x in points.values() for step, _ in x})
        values = np.full((len(names), len(steps)), np.nan)
        for row, x in enumerate(points.values()):
            for step, value in x:
                values[row, steps.index(step)] = value
        figure, axis = figure_of(6.4, 1.2 + 0.16 * len(names))
        image = axis.pcolormesh(values, vmin=0, vmax=1, cmap="viridis")
        figure.colorbar(image)
        _ticks(axis.yaxis, names, 0.5)
        axis.invert_yaxis()
        some = np.unique(np.linspace(0, len(steps) - 1, min(8, len(steps))).astype(int))
        axis.set_xticks(some + 0.5, [f"{steps[i]:g}" for i in some])
    axis.set(title=title, xlabel="step")
    return figure


def bars(counts: Mapping[str, int], title: str, what: str) -> Any:
    """How often each of some things was there, the number above its bar.

    Args:
        counts: by name.
        title: of the picture.
        what: the things.
    """
    figure, axis = figure_of(max(3.2, 1.2 + 0.5 * len(counts)), 3)
    axis.bar_label(axis.bar(range(len(counts)), [*counts.values()]), fmt="{:,.0f}")
    _ticks(axis.xaxis, [*counts], 0)
    axis.set(title=title, xlabel=what, ylabel="count")
    axis.margins(y=0.15)
    return figure


def confusion(matrix: np.ndarray, names: Sequence[str], title: str) -> Any:
    """A confusion matrix, coloured by the share of the gold class.

    Args:
        matrix: (C, C) counts by gold class and predicted class.
        names: C names.
        title: of the picture.
    """
    count = len(names)
    side = min(16.0, 2.2 + (0.5 if count <= NUMBERED else 0.17) * count)
    figure, axis = figure_of(side, side)
    shares = matrix / np.maximum(1, matrix.sum(1, keepdims=True))
    axis.imshow(shares, vmin=0, vmax=1, cmap="Blues")
    for ticks in (axis.xaxis, axis.yaxis):
        _ticks(ticks, names, 0)
    axis.tick_params(axis="x", rotation=90)
    if count <= NUMBERED:
        for (row, column), value in np.ndenumerate(matrix):
            colour = "white" if shares[row, column] > 0.5 else "black"
            axis.text(column, row, f"{value:,}", ha="center", va="center", color=colour, fontsize=8)
    axis.set(title=title, xlabel="predicted", ylabel="gold")
    return figure


def reliability(bins: np.ndarray) -> Any:
    """Accuracy by confidence, from (B, 3) mean confidence, accuracy and rows of each bin."""
    figure, axis = figure_of(4, 4)
    axis.plot([0, 1], [0, 1], color="0.7", linestyle="--")
    axis.plot(bins[:, 0], bins[:, 1], marker="o")
    axis.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="confidence", ylabel="accuracy")
    return figure


def to_png(figure: Any) -> bytes:
    """The picture as PNG; characters that the font lacks are boxes, see `drawable`."""
    return _saved(figure, "png")


def to_svg(figure: Any) -> str:
    """The picture as an `<svg>` element, its text in the fonts of whoever looks at it."""
    picture = _saved(figure, "svg", Date=None).decode("utf-8")
    return picture[picture.index("<svg") :]


def drawable(name: str) -> str:
    """A name as matplotlib's own font can draw it: other characters are escaped."""
    from matplotlib.font_manager import findfont, get_font

    font = get_font(findfont("DejaVu Sans"))
    return "".join(x if font.get_char_index(ord(x)) else ascii(x)[1:-1] for x in shown(name))


def _saved(figure: Any, kind: str, **metadata: Any) -> bytes:
    from matplotlib import rc_context

    file = io.BytesIO()
    settings: dict[Any, Any] = {"svg.hashsalt": "mixtext", "svg.fonttype": "none"}
    with rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph ")  # the reader has other fonts
        figure.savefig(file, format=kind, metadata=metadata or None)
    return file.getvalue()


def figure_of(width: float, height: float) -> tuple[Any, Any]:
    """A Figure of so many inches, and its Axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def legend(place: Any, drawn: Sequence[Any], names: Sequence[str], **settings: Any) -> None:
    """A legend that calls what was drawn by names of any kind, on a Figure or in Axes."""
    legend = place.legend(drawn, ["-"] * len(names), fontsize="small", **settings)
    for text, name in zip(legend.get_texts(), names, strict=True):
        text.set_text(label(name, 2 * LONG))  # one that begins with _ would be left out


def _ticks(axis: Any, names: Sequence[str], shift: float) -> None:
    size = 8 if len(names) <= NUMBERED else 6
    axis.set_ticks(np.arange(len(names)) + shift, [label(x) for x in names], fontsize=size)


def label(name: str, most: int = LONG) -> str:
    """A name as matplotlib takes it: on one line, not too long, and no formula."""
    name = shown(name)
    return (name if len(name) <= most else name[: most - 1] + "…").replace("$", r"\$")
