"""A page about runs, made from the files of their folders alone, finished or not."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mixtext import pictures
from mixtext.assessment import Assessment
from mixtext.errors import InputError, reading
from mixtext.files import read_json, write_text
from mixtext.metrics import interval, numbers_by_class
from mixtext.report.assessment import blocks_of
from mixtext.report.page import MADE, Block, Heading, Picture, Sentence, Table, to_html
from mixtext.report.plots import draw_panel, names_of, panels, read_metrics
from mixtext.report.tables import METRICS, compared, labels_of, read_results, settings_of

WAY_OUT = "leave this run out, or train it anew"


@dataclass(frozen=True)
class Story:
    """What the files of a run folder tell.

    Attributes:
        folder: the run folder.
        name: of the folder.
        lines: of metrics.jsonl.
        result: what result.json holds; None of a run that is not finished.
        part: of the data that `found` is about.
        found: what answers.json holds, None without it.
    """

    folder: Path
    name: str
    lines: list[dict[str, Any]]
    result: dict[str, Any] | None
    part: str
    found: Assessment | None


def write_page(sources: Sequence[Path], out: Path) -> int:
    """Writes a page about runs.

    Args:
        sources: run folders, or folders that hold some.
        out: the page; one that is there is replaced where a call like this has made it.

    Returns:
        The number of runs.

    Raises:
        InputError: a folder without a run, damaged files, or another file in the place of `out`.
    """
    if out.exists() and not (out.is_file() and MADE.encode() in out.read_bytes()[:1000]):
        raise InputError(f"{out} is there and no page of mixtext's: name another with --out.")
    stories = read_stories(sources)
    title = f"Runs: {', '.join(x.name for x in stories[:4])}{', …' if len(stories) > 4 else ''}"
    write_text(out, to_html(page_of(stories), title))
    return len(stories)


def read_stories(sources: Sequence[Path]) -> list[Story]:
    """Reads runs, called as `plots.names_of` says."""
    folders: list[Path] = []
    for source in sources:
        below = sorted(x.parent for x in source.rglob("metrics.jsonl"))
        found = [source] if (source / "metrics.jsonl").is_file() else below
        if not found:
            raise InputError(f"{source} holds no run (no metrics.jsonl in it or below).")
        folders += [x for x in found if x not in folders]
    stories = []
    for folder, name in names_of(folders).items():
        with reading(folder, WAY_OUT):
            stories.append(_read(folder, name))
            _scores(stories[-1:])
    return stories


def _read(folder: Path, name: str) -> Story:
    finished = (folder / "result.json").is_file()
    path, part, found = folder / "answers.json", "", None
    if finished and path.is_file():
        values = read_json(path)
        try:
            part = str(values.pop("part"))
            found = Assessment.from_saved(values)
        except (ValueError, TypeError, KeyError, AttributeError):
            raise InputError(f"{path} is damaged: remove it, or leave this run out.") from None
    result = read_results([folder])[0] if finished else None
    return Story(folder, name, read_metrics(folder), result, part, found)


def page_of(stories: Sequence[Story]) -> list[Block]:
    """The page: scores, what differs, curves, then each run by itself."""
    blocks: list[Block] = [Heading("Scores"), _scores(stories)]
    results = [x.result for x in stories if x.result is not None]
    if len(results) > 1:
        rows = compared(results)
        table = Table([*rows[0]], [[*row.values()] for row in rows])
        blocks += [Sentence("Runs that differ in their seeds alone, in one row:"), table]
        blocks += _differences([x for x in stories if x.result is not None])
    blocks += [Heading("Curves"), *_curves(stories)]
    for story in stories:
        with reading(story.folder, WAY_OUT):
            blocks += [Heading(story.name), *_alone(story)]
    return blocks


def _scores(stories: Sequence[Story]) -> Table:
    parts = [(x, _scored(x)) for x in stories]
    metrics = dict.fromkeys(
        name for _, (_, values) in parts for name in values if name != "loss" and "/" not in name
    )
    head = ["run", "method", "corpus", "labels", "steps", "best step", "scored"]
    head += [name for metric in metrics for name in (METRICS.get(metric, metric), "95 %")]
    rows = []
    for story, (part, values) in parts:
        result = story.result or {}
        steps = f"{max(x['step'] for x in story.lines):,}" + ("" if result else ", not finished")
        best = result.get("best_step", -1)
        row = [story.name, result.get("method", ""), result.get("corpus", "")]
        row += [labels_of(result) if result else "", steps]
        row += [f"{best:,}" if best >= 0 else "", part]
        for metric in metrics:
            value = values.get(metric)
            row.append("" if value is None else f"{value:.4f}")
            held = result.get(f"{part}_rows", 0)
            limits = None if value is None else interval(metric, value, held)
            row.append(f"{limits[0]:.3f}–{limits[1]:.3f}" if limits else "")
        rows.append(row)
    empty = [all(not row[i] for row in rows) for i in range(len(head))]
    return Table(
        [x for x, e in zip(head, empty, strict=True) if not e],
        [[x for x, e in zip(row, empty, strict=True) if not e] for row in rows],
    )


def _scored(story: Story) -> tuple[str, dict[str, Any]]:
    """Final metrics on test, else on dev; of a run that is not finished the last ones."""
    if story.result is not None:
        part = "test" if story.result["test"] else "dev"
        return (part, story.result[part]) if story.result[part] else ("", {})
    for line in reversed(story.lines):
        if line["kind"] in ("dev", "test"):
            values = {k: v for k, v in line.items() if k not in ("step", "kind", "clock")}
            return line["kind"], {k: v for k, v in values.items() if v is not None}
    return "", {}


def _differences(stories: Sequence[Story]) -> list[Block]:
    settings = [
        {"method": x.result["method"], **settings_of(x.result)} for x in stories if x.result
    ]
    fields = dict.fromkeys(name for one in settings for name in one)
    differing = [x for x in fields if len({one[x] for one in settings if x in one}) > 1]
    if not differing:
        return []
    rows = [[x.name, *(one.get(f, "") for f in differing)]
            for x, one in zip(stories, settings, strict=True)]  # fmt: skip
    return [Heading("What differs"), Table(["run", *differing], rows)]


def _curves(stories: Sequence[Story]) -> list[Block]:
    runs = {story.name: story.lines for story in stories}
    found: list[Block] = []
    for panel in panels(runs):
        figure, axis = pictures.figure_of(4.6, 3.2)
        draw_panel(axis, panel, runs)
        found.append(Picture(pictures.to_svg(figure)))
    return found or [Sentence("No number was written down yet.")]


def _alone(story: Story) -> list[Block]:
    result = story.result
    if result is None:
        last = max(x["step"] for x in story.lines)
        blocks: list[Block] = [Sentence(f"Not finished: {last:,} steps are written down.")]
    else:
        views = f", views: {result['views']}" if result.get("views") else ""
        blocks = [
            Sentence(
                f"{result['method']} on {result['corpus']} with {result['encoder']}: "
                f"{labels_of(result)} labels, {result.get('unlabelled', 0):,} unlabelled rows"
                f"{views}; seed {result.get('seed', '–')}, split seed "
                f"{result.get('split_seed', '–')}; made by mixtext "
                f"{result.get('mixtext', {}).get('version', '–')}."
            )
        ]
    best = result["best_step"] if result else -1
    blocks += [*_by_class(story.lines, best), *_layers(story.lines)]
    if story.found is None:
        if result is not None:
            blocks.append(
                Sentence(
                    "Mistakes: an earlier version has made this run, which kept none; "
                    "mixtext evaluate RUN --data FILE shows them."
                )
            )
        return blocks
    blocks.append(Heading(f"Answers on {story.part}", 3))
    blocks += [replace(x, level=3) if isinstance(x, Heading) else x for x in blocks_of(story.found)]
    if story.found.right:
        third = "confidence" if story.found.label_names else "error"
        what = "Most confident right answers" if story.found.label_names else "Smallest errors"
        head = ["id", "gold", "predicted", third, "text"]
        blocks += [Heading(what, 3), Table(head, story.found.right[:5])]
    return blocks


TITLES = {"guess/accuracy": "Pseudo-labels: accuracy by gold class"}


def _by_class(lines: Sequence[dict[str, Any]], best: int) -> list[Block]:
    charts: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for line in lines:
        for label, chart, value in numbers_by_class(line):
            charts.setdefault(chart, {}).setdefault(label, []).append((line["step"], value))
    blocks: list[Block] = []
    for chart, points in charts.items():
        if len(steps := {step for some in points.values() for step, _ in some}) < 2:
            continue  # a score at the end, which stands in the tables
        title = TITLES.get(chart, f"{chart} by class")
        figure = pictures.by_class(dict(sorted(points.items())), "")
        chosen = [("first", min(steps)), ("last", max(steps))]
        if best in steps - {min(steps), max(steps)}:
            chosen.insert(1, ("best", best))
        rows = [
            [label, *(f"{v:.4f}" if (v := dict(some).get(step)) is not None else ""
                      for _, step in chosen)]
            for label, some in sorted(points.items())
        ]  # fmt: skip
        head = ["class", *(f"{what} step, {step:,}" for what, step in chosen)]
        picture = Picture(pictures.to_svg(figure))
        blocks += [Heading(title, 3), picture, Table(head, rows)]
    return blocks


def _layers(lines: Sequence[dict[str, Any]]) -> list[Block]:
    drawn = (layer for line in lines for layer in line.get("draws", {}).get("layer", ()))
    counts = Counter(map(int, drawn))
    if len(counts) < 2:
        return []
    return [
        Heading("Layers mixed", 3),
        Table(["layer", "times"], [[str(x), counts[x]] for x in sorted(counts)]),
    ]
