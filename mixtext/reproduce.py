"""Tables made from data: `mixtext reproduce TABLE` runs the sweeps that a TOML file names.

title = "SSMix"
published = "../published/ssmix.toml"      # paths are read from the file's folder
baseline = "supervised"                    # or rivals = "mixtext", a table of `table --rivals`
seeds = "0,1,2"                            # of split and training alike

[[sweep]]
for = {data = ["trec", "sst2"]}            # once for each combination; {data} stands for it
with = {data = {trec = {length = "48"}, sst2 = {length = "64"}}}
name = "{data}-2"
recipe = "../survey/ssmix_2.toml"
set = ["model.max_length={length}", "model.start={out}/{data}-1/{training.seed}"]
vary = ["method=supervised,ssmix"]
mini = ["training.steps=1"]                # what --mini sets besides

OUT/
  NAME/            a sweep's folder
  results.jsonl    results, or learning curves, of all sweeps that are tabled
  table.md, table.csv, figure.png
"""

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from mixtext.errors import InputError, reading
from mixtext.files import make_folder, write_text
from mixtext.jobs import Executor, Job, RoundsJob, run_here
from mixtext.miniature import Miniature
from mixtext.report.curves import curve_table, plot_curves
from mixtext.report.plots import draw_means, save_figure
from mixtext.report.published import read_published
from mixtext.report.rivals import draw_rivals, has_rivals, rival_rows, rival_table
from mixtext.report.tables import compared, comparison
from mixtext.report.verdicts import (
    as_csv,
    compare,
    curve_results,
    draw_gains,
    judge,
    verdict_rows,
    verdict_table,
)
from mixtext.setfit import SetFitJob
from mixtext.settings import read_toml
from mixtext.sweep import RESULTS, parse_axis, sweep

HOME = Path(__file__).resolve().parents[1] / "experiments" / "tables"
TABLE, CELLS, FIGURE = "table.md", "table.csv", "figure.png"
SEEDS = "data.split_seed+training.seed"
MINI = "**A miniature: a random encoder, made-up texts, two steps. The numbers mean nothing.**"

KINDS = {str: "a string", bool: "true or false", list: "a list", dict: "a table"}
KEYS = {"title": str, "published": str, "baseline": str, "rivals": str, "seeds": str,
        "sweep": list}  # fmt: skip
KEYS_OF_SWEEP = {"for": dict, "with": dict, "name": str, "recipe": str, "set": list, "vary": list,
                 "mini": list, "seeds": str, "keep_models": bool, "tabled": bool,
                 "active": bool, "setfit": bool}  # fmt: skip
KINDS_OF_RUNS: dict[str, type[Job]] = {"active": RoundsJob, "setfit": SetFitJob}


@dataclass(frozen=True)
class Plan:
    """One sweep of a table.

    Attributes:
        name: its folder below OUT.
        recipe: a TOML file.
        fixed: overrides that its runs share.
        vary: axes, the last one the seeds.
        mini: overrides of a miniature.
        keep_models: for a later sweep to begin with.
        tabled: its results are in the table.
        kind: what a run is, as `active = true` or `setfit = true` say.
    """

    name: str
    recipe: Path
    fixed: tuple[str, ...]
    vary: tuple[str, ...]
    mini: tuple[str, ...]
    keep_models: bool
    tabled: bool
    kind: type[Job]


@dataclass(frozen=True)
class Table:
    """A table's file, read.

    Attributes:
        title: what stands above it.
        published: a file of published numbers, or none.
        baseline: the method, or arm, to compare with.
        rivals: the method that all others are rivals of, which makes it a table of rivals; or "".
        plans: its sweeps, in the order in which they run.
    """

    title: str
    published: Path | None
    baseline: str
    rivals: str
    plans: list[Plan]


def tables() -> list[str]:
    """Names of the tables that are there."""
    return sorted(path.stem for path in HOME.glob("*.toml"))


def read_plans(name: str) -> Table:
    """Reads a table.

    Args:
        name: of a file in experiments/tables, or the path of another.

    Raises:
        InputError: there is no such table, or it does not hold what it should.
    """
    path = HOME / f"{name}.toml"
    if not path.is_file():
        path = Path(name)
    if not path.is_file():
        raise InputError(
            f"there is no table {name!r}: choose from {', '.join(tables())}, or name a file."
        )
    with reading(path, "correct it"):
        return _table(name, path, read_toml(path))


def _table(name: str, path: Path, values: dict[str, Any]) -> Table:
    _refuse(values, KEYS, str(path))
    plans: list[Plan] = []
    for entry in values.get("sweep", []):
        _refuse(entry, KEYS_OF_SWEEP, f"{path}: a sweep")
        if missing := [x for x in ("name", "recipe") if x not in entry]:
            raise InputError(f"{path}: a sweep lacks {missing[0]}.")
        axes = entry.get("for", {})
        kind = next((job for key, job in KINDS_OF_RUNS.items() if entry.get(key)), Job)
        for choice in itertools.product(*axes.values()):
            words = dict(zip(axes, choice, strict=True))
            for axis, more in entry.get("with", {}).items():
                words |= more[words[axis]]
            seeds = entry.get("seeds", values.get("seeds", "0"))
            plans.append(
                Plan(
                    name=_fill(entry["name"], words),
                    recipe=path.parent / _fill(entry["recipe"], words),
                    fixed=tuple(_fill(x, words) for x in entry.get("set", [])),
                    vary=(*(_fill(x, words) for x in entry.get("vary", [])), f"{SEEDS}={seeds}"),
                    mini=tuple(_fill(x, words) for x in entry.get("mini", [])),
                    keep_models=entry.get("keep_models", False),
                    tabled=entry.get("tabled", True),
                    kind=kind,
                )
            )
    for plan in plans:
        parts = PurePath(plan.name).parts
        if not parts or PurePath(plan.name).is_absolute() or ".." in parts:
            raise InputError(
                f"{path}: a sweep is called {plan.name!r}: it names a folder, so it must be "
                "neither empty nor lead out of there."
            )
    if not plans:
        raise InputError(f"{path} has no [[sweep]]: write one.")
    published = path.parent / values["published"] if "published" in values else None
    return Table(
        title=values.get("title", name),
        published=published,
        baseline=values.get("baseline", "supervised"),
        rivals=values.get("rivals", ""),
        plans=plans,
    )


def _refuse(entry: Any, known: Mapping[str, type], where: str) -> None:
    if not isinstance(entry, dict):
        raise InputError(f"{where} is no table: write [[sweep]] above it.")
    if unknown := sorted(entry.keys() - known):
        raise InputError(f"{where} has {unknown[0]!r}; known are {', '.join(sorted(known))}.")
    for key, value in entry.items():
        if not isinstance(value, known[key]):
            raise InputError(f"{where}: {key} must be {KINDS[known[key]]}.")


def _fill(text: str, words: dict[str, str]) -> str:
    for key, value in words.items():
        text = text.replace(f"{{{key}}}", value)
    return text


def reproduce(
    name: str,
    folder: Path,
    overrides: Sequence[str] = (),
    mini: bool = False,
    only: Sequence[str] = (),
    execute: Executor = run_here,
) -> dict[str, str]:
    """Runs what a table lacks, and writes it.

    Args:
        name: see `read_plans`.
        folder: takes the sweeps, the results and the table.
        overrides: fields that all runs share, such as data.root=FOLDER.
        mini: run each sweep in miniature, see `Miniature`.
        only: beginnings of the names of the sweeps to run; empty: all.
        execute: who does the runs, see `sweep.executor`.

    Returns:
        The reasons of sweeps and runs that failed, by their names.

    Raises:
        InputError: no such table or sweep, or nothing could be run.
    """
    table = read_plans(name)
    plans = [x for x in table.plans if not only or x.name.startswith(tuple(filter(None, only)))]
    if not plans:
        names = ", ".join(x.name for x in table.plans)
        raise InputError(f"--only {' '.join(only)}: no sweep begins so; there are {names}.")
    folder = folder.absolute()
    own = [x for x in (RESULTS, TABLE, CELLS) if (folder / x).exists()]
    if own and not any(folder.glob("*/*/recipe.toml")):
        raise InputError(f"{folder / own[0]} is there, but no run: name another with --run.")
    make_folder(folder)
    small = Miniature(folder / "miniature") if mini else None
    failed: dict[str, str] = {}
    found: list[dict[str, Any]] = []
    curves: list[dict[str, Any]] = []
    for plan in plans:
        fixed = [x.replace("{out}", str(folder)) for x in (*plan.fixed, *overrides)]
        vary = list(plan.vary)
        try:
            if small is not None:
                first = [x for axis in vary for x in parse_axis(axis)[0][1]]
                fixed += [*small.overrides(plan.recipe, [*fixed, *first]), *plan.mini]
                key, _, seeds = vary[-1].partition("=")
                vary[-1] = f"{key}={','.join(seeds.split(',')[:2])}"
            swept = sweep(
                plan.recipe, fixed, vary, folder / plan.name, plan.keep_models, execute, plan.kind
            )
        except InputError as error:
            failed[plan.name] = str(error)
            continue
        failed |= {f"{plan.name}/{run}": reason for run, reason in swept.failed.items()}
        if plan.tabled:
            (curves if plan.kind is RoundsJob else found).extend(swept.results)
    if not found and not curves:
        raise InputError(next(iter(failed.values())))
    lines = [json.dumps(one, ensure_ascii=False) + "\n" for one in (*found, *curves)]
    write_text(folder / RESULTS, "".join(lines))
    _write(table, folder, found, curves, mini)
    return failed


def _write(
    table: Table,
    folder: Path,
    found: list[dict[str, Any]],
    curves: list[dict[str, Any]],
    mini: bool,
) -> None:
    if table.rivals and has_rivals(found, table.rivals):
        shown = [rival_table(found, table.rivals)]
        rows = rival_rows(found, table.rivals)
        save_figure(draw_rivals(found, table.rivals), folder / FIGURE, dpi=110)
    else:
        shown, rows = _compare(table, folder, found, curves)
    if rows:
        write_text(folder / CELLS, as_csv(rows))
    text = "\n\n".join([f"# {table.title}", *[MINI] * mini, *shown])
    write_text(folder / TABLE, text + "\n")


def _compare(
    table: Table, folder: Path, found: list[dict[str, Any]], curves: list[dict[str, Any]]
) -> tuple[list[str], list[dict[str, str]]]:
    """Tables of results, curves and verdicts, and rows for the CSV file; draws the figure."""
    cells = [] if table.published is None else read_published(table.published, table.baseline)
    shown = [comparison(found)] if found else []
    shown += [curve_table(curves)] if curves else []
    rows: list[dict[str, str]] = compared(found) if found else []
    results = found + curve_results(curves, table.baseline)
    comparable = any(result["method"] == table.baseline for result in results)
    if comparable and (verdicts := judge(compare(results, cells, table.baseline))):
        shown.append(verdict_table(verdicts))
        rows = verdict_rows(verdicts)
        figure = draw_gains(verdicts)
    elif rows:
        figure = draw_means(rows)
    if found:
        save_figure(figure, folder / FIGURE, dpi=110)
    if curves:
        plot_curves(curves, folder / FIGURE)
    return shown, rows
