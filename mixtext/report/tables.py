"""Tables, made from result.json files alone."""

import json
import math
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from mixtext.errors import InputError, reading
from mixtext.markdown import markdown_table
from mixtext.methods import METHODS
from mixtext.recipe import Recipe, defaults
from mixtext.tagging.recipe import TaggingRecipe

METHOD_ORDER = tuple(METHODS)
METRICS = {"macro_f1": "macro-F1", "f1": "F1", "spearman": "Spearman", "pearson": "Pearson"}

NEEDED: dict[str, type] = {
    **dict.fromkeys(("corpus", "method", "encoder"), str),
    **dict.fromkeys(("labelled", "best_step"), int),
    **dict.fromkeys(("dev", "test"), dict),
}
# Runs that differ in these alone are repeats of one another, or another column tells them apart.
APART = {
    *(
        "name",
        "method",
        "data.corpus",
        "data.labels_per_class",
        "data.labelled_share",
        "data.dev_per_class",
        "model.encoder",
    ),
    *("data.split_seed", "training.seed", "data.root", "training.device"),
    *("training.log_every", "training.checkpoint_every", "training.eval_batch"),
    *("views.file", "views.backend", "views.pivots", "views.cache", "views.models"),
    *("views.workers",),
}


def read_results(sources: Sequence[Path]) -> list[dict[str, Any]]:
    """Reads results of run folders, of all finished runs below a folder, or of a JSON lines file.

    Raises:
        InputError: a folder without any finished run, or a file that does not hold results.
    """
    results: list[dict[str, Any]] = []
    for path in files_below(sources, "result.json"):
        with reading(path, "leave this run out, or train it anew"):
            raw = path.read_bytes()
            lines = raw.splitlines() if path.suffix != ".json" else [raw]
            try:
                read = [json.loads(line) for line in lines if line.strip()]
            except ValueError:
                read = []
            if not read or not all(map(_is_result, read)):
                raise InputError(f"{path} does not hold results, as result.json of a run does.")
            comparison(read)
        results += read
    return results


def files_below(sources: Sequence[Path], name: str) -> list[Path]:
    """Files as they are and, of folders, all of a name below them; one that is met twice, once.

    Raises:
        InputError: a folder without any.
    """
    files: dict[Path, Path] = {}
    for source in sources:
        found = [source] if source.is_file() else sorted(source.rglob(name))
        if not found:
            raise InputError(f"{source} holds no finished run (no {name} below it).")
        for path in found:
            files.setdefault(path.resolve(), path)
    return [*files.values()]


def _is_result(value: Any) -> bool:
    if not isinstance(value, dict) or not value.keys() >= NEEDED.keys():
        return False
    metrics = [x for part in ("dev", "test") if value[part] for x in value[part].values()]
    return all(isinstance(value[k], kind) for k, kind in NEEDED.items()) and all(
        isinstance(x, int | float) for x in metrics
    )


def spread(values: Sequence[float]) -> str:
    """Percentages as `mean ± std` (sample standard deviation); one value alone has none."""
    percent = [100 * v for v in values]
    if len(percent) == 1:
        return f"{percent[0]:.1f}"
    return f"{mean(percent):.1f} ± {stdev(percent):.1f}"


def paired_interval(values: Sequence[float], baseline: Sequence[float]) -> tuple[float, float]:
    """Mean of paired differences in points, and half the width of its 95 % confidence interval.

    By Student's t with n − 1 degrees of freedom; of one pair, which has no interval, NaN.

    Args:
        values: metrics of n runs, in [0, 1].
        baseline: metrics of n other runs, of the same seeds in the same order.
    """
    from scipy.special import stdtrit  # of scipy.stats.t, which takes a second to load

    gains = [100 * (a - b) for a, b in zip(values, baseline, strict=True)]
    if len(gains) == 1:
        return gains[0], math.nan
    half = float(stdtrit(len(gains) - 1, 0.975)) * stdev(gains) / len(gains) ** 0.5
    return mean(gains), half


def paired_gain(values: Sequence[float], baseline: Sequence[float]) -> str:
    """`paired_interval` as `mean ± half`; of one pair the difference alone."""
    middle, half = paired_interval(values, baseline)
    return f"{middle:+.1f}" if math.isnan(half) else f"{middle:+.1f} ± {half:.1f}"


def comparison(results: Sequence[dict[str, Any]]) -> str:
    """The rows of `compared` as a Markdown table."""
    table = compared(results)
    return markdown_table([[*table[0]], *([*row.values()] for row in table)])


def compared(results: Sequence[dict[str, Any]]) -> list[dict[str, str]]:
    """A Markdown table: mean ± std over the seeds of runs that are alike in all else.

    The gain is that of a method's first metric over plain training with the same rows, model and
    seeds, see `paired_gain`.

    Columns that would say nothing are left out: task and encoder where they are the same all over,
    settings where they are for each method on each corpus.

    Args:
        results: at least one, as `read_results` gives them.
    """
    differing = varying(results, _kind)
    groups: dict[tuple, list[dict[str, Any]]] = {}
    for result in results:
        corpus, task, method = _kind(result)
        settings = settings_of(result)
        shown = sorted(differing[_kind(result)] & settings.keys())
        key = (
            corpus,
            task,
            result["labelled"],
            result.get("labels_per_class", 0),  # a tagger has none
            result.get("dev_rows", 0),
            result["encoder"],
            METHOD_ORDER.index(method) if method in METHOD_ORDER else len(METHOD_ORDER),
            method,
            result.get("views", ""),
            " ".join(f"{name}={settings[name]}" for name in shown),
        )
        groups.setdefault(key, []).append(result)
    plain = by_rows(result for result in results if result["method"] == "supervised")
    # Which metrics there are follows from the targets; those of a single class have a slash.
    names = [name for r in results for name in r["test"] or r["dev"] or ("accuracy", "macro_f1")]
    metrics = [x for x in dict.fromkeys(names) if x != "loss" and "/" not in x]
    several_tasks = len({_kind(r)[1] for r in results}) > 1
    several_encoders = len({r["encoder"] for r in results}) > 1
    table = []
    for key, runs in sorted(groups.items()):
        corpus, task, _, labels, _, encoder, _, method, views, changes = key
        table.append(
            {
                "corpus": corpus,
                "task": task if several_tasks else "",
                "labels per class": str(labels) if labels else "",
                "labels": labels_of(runs[0]),
                "encoder": encoder if several_encoders else "",
                "method": method,
                "settings": changes,
                "views": views,
                "unlabelled": " / ".join(sorted({f"{r.get('unlabelled', 0):,}" for r in runs})),
                "runs": str(len(runs)),
                **{f"test {METRICS.get(x, x)}": _metric(runs, x) for x in metrics},
                "gain (95 %)": _gain(runs, plain),
                "best step": " / ".join(str(r["best_step"]) for r in runs if r["best_step"] >= 0),
                "test rows": " / ".join(sorted({f"{r.get('test_rows', 0):,}" for r in runs})),
            }
        )
    columns = [name for name in table[0] if any(row[name] not in ("", "0") for row in table)]
    return [{name: row[name] for name in columns} for row in table]


def labels_of(result: dict[str, Any]) -> str:
    """All labels that a run has seen: learned from, and chosen by."""
    labelled, dev = result["labelled"], result.get("dev_rows", 0)
    learned = labelled if isinstance(labelled, str) else f"{labelled:,}"
    return f"{learned} + {dev:,} dev" if dev else learned


def _kind(result: dict[str, Any]) -> tuple[str, str, str]:
    """Corpus, task and method; results that name no task are from when there was but one."""
    return result["corpus"], result.get("task", "single"), result["method"]


def settings_of(result: dict[str, Any]) -> dict[str, str]:
    """The settings of a run as JSON, without what needs no column here; see `all_settings`."""
    settings = all_settings(result)
    if settings.get("model.start"):
        settings["model.start"] = "…"  # a run folder: each seed has its own
    return {k: json.dumps(v, ensure_ascii=False) for k, v in settings.items() if k not in APART}


def varying(
    results: Iterable[dict[str, Any]], family: Callable[[dict[str, Any]], Hashable]
) -> dict[Hashable, set[str]]:
    """The names of the settings that are not the same in all results of a family, by family.

    A result that tells no settings has none that differ.
    """
    seen: dict[Hashable, list[dict[str, str]]] = {}
    for result in results:
        told = settings_of(result)
        seen.setdefault(family(result), []).extend([told] if told else [])
    return {
        key: {x for one in all_ for x in one if len({other.get(x) for other in all_}) > 1}
        for key, all_ in seen.items()
    }


def all_settings(result: dict[str, Any]) -> dict[str, Any]:
    """The settings of a run, with keys `table.field`; empty of one that names none.

    Older results name only those that were changed: the others are taken as their defaults are now.
    """
    kind = TaggingRecipe if result.get("task") == TaggingRecipe.task else Recipe
    if "settings" not in result:
        return {}
    return {**defaults(kind, result["method"]), **result["settings"]}


def beside(result: dict[str, Any]) -> tuple:
    """What a run shares with the plain training that it is compared to: rows and model."""
    settings = settings_of(result)
    same = {k: v for k, v in settings.items() if k.startswith(("data.", "model."))}
    same.pop("model.start", None)
    return (
        result["corpus"],
        result["labelled"],
        result.get("dev_rows", 0),
        result["encoder"],
        *(f"{k}={v}" for k, v in sorted(same.items())),
    )


Rows = Mapping[tuple, Sequence[dict[str, Any]]]


def by_rows(results: Iterable[dict[str, Any]]) -> Rows:
    """Runs of one method that have a test score, by `beside` and seeds."""
    found: dict[tuple, list[dict[str, Any]]] = {}
    for result in results:
        if result["test"]:
            found.setdefault((beside(result), seeds_of(result)), []).append(result)
    return found


def counterpart(result: dict[str, Any], others: Rows) -> dict[str, Any] | None:
    """The run that a run is compared to: with its rows, model and seeds.

    Where several have them, the one that is trained alike and has the same views; None where there
    is no such run, or more than one.
    """
    found = others.get((beside(result), seeds_of(result)), [])
    if len(found) > 1:
        found = [other for other in found if _training(other) == _training(result)]
    return found[0] if len(found) == 1 else None


def _training(result: dict[str, Any]) -> dict[str, str]:
    settings = settings_of(result)
    return {k: v for k, v in settings.items() if k.startswith(("training.", "views."))}


def seeds_of(result: dict[str, Any]) -> tuple[int, int]:
    """Seeds of split and training."""
    return result.get("split_seed", 0), result.get("seed", 0)


def _gain(runs: Sequence[dict[str, Any]], plain: Rows) -> str:
    """The cell of the gain; empty for plain training and where it was not run with all seeds."""
    if runs[0]["method"] == "supervised" or not all(r["test"] for r in runs):
        return ""
    pairs = [(r["test"], counterpart(r, plain)) for r in runs]
    if any(other is None for _, other in pairs):
        return ""
    main = next(iter(runs[0]["test"]))
    return paired_gain([x[main] for x, _ in pairs], [y["test"][main] for _, y in pairs if y])


def _metric(runs: Sequence[dict[str, Any]], name: str) -> str:
    """The cell of a metric: a dash without a test part, empty where the target has no such."""
    if not all(r["test"] for r in runs):
        return "–"
    return spread([r["test"][name] for r in runs]) if name in runs[0]["test"] else ""
