"""Tables, made from result.json files alone."""

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from mixtext.errors import InputError

METHOD_ORDER = ("supervised", "tmix", "mixtext")


def read_results(folders: Sequence[Path]) -> list[dict[str, Any]]:
    """Reads the result.json of run folders, or of all finished runs below a folder.

    Raises:
        InputError: a folder without any finished run.
    """
    results = []
    for folder in folders:
        found = sorted(folder.rglob("result.json"))
        if not found:
            raise InputError(f"{folder} holds no finished run (no result.json below it).")
        for path in found:
            results.append(
                {**json.loads(path.read_text(encoding="utf-8")), "folder": str(path.parent)}
            )
    return results


def spread(values: Sequence[float]) -> str:
    """Percentages as `mean ± std` (sample standard deviation); one value alone has none."""
    percent = [100 * v for v in values]
    if len(percent) == 1:
        return f"{percent[0]:.1f}"
    return f"{mean(percent):.1f} ± {stdev(percent):.1f}"


def comparison(results: Sequence[dict[str, Any]]) -> str:
    """A Markdown table: mean ± std over seeds for each corpus, label budget, method and views."""
    groups: dict[tuple, list[dict[str, Any]]] = {}
    for result in results:
        method = result["method"]
        place = METHOD_ORDER.index(method) if method in METHOD_ORDER else len(METHOD_ORDER)
        views = result.get("views", "")
        key = (result["corpus"], result["labels_per_class"], place, method, views)
        groups.setdefault(key, []).append(result)
    lines = [
        "| corpus | labels per class | method | views | unlabelled | runs | test accuracy | "
        "test macro-F1 | best step |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for (corpus, labels, _, method, views), runs in sorted(groups.items()):
        cells = [
            corpus,
            str(labels),
            method,
            views,
            " / ".join(sorted({f"{r['unlabelled']:,}" for r in runs})),
            str(len(runs)),
            *(
                spread([r["test"][score] for r in runs]) if all(r["test"] for r in runs) else "–"
                for score in ("accuracy", "macro_f1")
            ),
            " / ".join(str(r["best_step"]) for r in runs),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
