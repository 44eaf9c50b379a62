"""Tables, made from result.json files alone."""

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from mixtext.errors import InputError

METHOD_ORDER = ("supervised", "tmix", "mixtext")


def read_results(sources: Sequence[Path]) -> list[dict[str, Any]]:
    """Reads results of run folders, of all finished runs below a folder, or of a JSON lines file.

    Raises:
        InputError: a folder without any finished run, or a file that does not hold results.
    """
    results = []
    for source in sources:
        found = [source] if source.is_file() else sorted(source.rglob("result.json"))
        if not found:
            raise InputError(f"{source} holds no finished run (no result.json below it).")
        for path in found:
            text = path.read_text(encoding="utf-8")
            lines = [text] if path.suffix == ".json" else text.splitlines()
            try:
                read = [json.loads(line) for line in lines]
                results += [result for result in read if result["test"] is not None]
            except (ValueError, KeyError, TypeError):
                raise InputError(
                    f"{path} does not hold results, as result.json of a run does."
                ) from None
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
    table = []
    for (corpus, labels, _, method, views), runs in sorted(groups.items()):
        scores = {
            score: spread([r["test"][score] for r in runs]) if all(r["test"] for r in runs) else "–"
            for score in ("accuracy", "macro_f1")
        }
        table.append(
            {
                "corpus": corpus,
                "labels per class": str(labels),
                "method": method,
                "views": views,
                "unlabelled": " / ".join(sorted({f"{r['unlabelled']:,}" for r in runs})),
                "runs": str(len(runs)),
                "test accuracy": scores["accuracy"],
                "test macro-F1": scores["macro_f1"],
                "best step": " / ".join(str(r["best_step"]) for r in runs),
            }
        )
    columns = [name for name in table[0] if any(row[name] for row in table)]
    lines = [columns, ["---"] * len(columns)] + [[row[name] for name in columns] for row in table]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
