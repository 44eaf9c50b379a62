"""The model card: what a trained model is, from the files of its run alone."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mixtext import __version__
from mixtext.errors import InputError
from mixtext.files import read_json
from mixtext.markdown import markdown_table
from mixtext.metrics import interval
from mixtext.models.folder import run_of

KINDS = {"classes": "text-classification", "scores": "text-classification"}
KINDS |= {"tags": "token-classification"}


def facts(run: Path) -> dict[str, dict[str, Any]]:
    """What result.json and environment.json of a run say; empty where there are none.

    Args:
        run: the run folder, or the model folder in it.
    """
    run = run_of(run)
    found = {}
    for name in ("result", "environment"):
        try:
            found[name] = read_json(run / f"{name}.json")
        except InputError:  # a model folder that has left its run
            found[name] = {}
    return found


def model_card(
    name: str,
    about: dict[str, Any],
    facts: dict[str, dict[str, Any]],
    how: str,
    license: str = "unknown",
    notes: tuple[str, ...] = (),
) -> str:
    """The text of a model card (README.md), with the front matter that the hub reads.

    Args:
        name: of the model.
        about: what `mixtext.json` says of it.
        facts: see `facts`.
        how: how it is used, in Markdown.
        license: of the model, by the hub's identifiers.
        notes: sentences about this very file, such as how int8 compares.
    """
    result, environment = facts["result"], facts["environment"]
    names = about.get("tag_names") or about["label_names"]
    rows = about["rows"]
    told = f"{len(names)} {'tags' if about['target'] == 'tags' else 'classes'}" if names else ""
    front = {
        "license": license,
        "library_name": "transformers",
        "pipeline_tag": KINDS[about["target"]] if rows != "vectors" else None,
        "tags": [*dict.fromkeys(["mixtext", result.get("method", "mixtext")])],
    }
    lines = ["---"]
    lines += [f"{key}: {json.dumps(value)}" for key, value in front.items() if value]
    lines += ["---", "", f"# {name}", ""]
    lines.append(f"Made by mixtext {__version__}. It reads {rows} and tells {told or 'scores'}.")
    lines += [f"- {note}" for note in notes and ("", *notes) if note]
    if names:
        shown = ", ".join(f"`{x}`" for x in names[:50]) + (", …" if len(names) > 50 else "")
        lines += ["", "## Labels", "", f"In the order of the outputs: {shown}."]
    lines += ["", "## Use", "", how.strip(), "", "## Data and budget", ""]
    lines += _table(("", ""), _budget(about, result, environment))
    lines += ["", "## Scores", ""]
    if scores := _scores(about, result):
        lines += _table(("part", "rows", "metric", "value", "95 % interval"), scores)
        flatters = "Dev chose the weights, so its scores flatter. " if result.get("dev") else ""
        lines += [
            "",
            f"{flatters}The interval is over the rows of the part (Wilson's of an accuracy, "
            "Fisher's of a correlation; no other has one here); it says nothing of other splits "
            "and seeds.",
        ]
    else:
        lines.append("Not known: the model was not with its run, or nothing was set aside.")
    lines += ["", "## Versions", ""]
    packages = environment.get("packages", {})
    told_versions = ", ".join(f"{package} {version}" for package, version in packages.items())
    commit = f"; commit {environment['commit']}" if environment.get("commit") else ""
    lines.append(f"Trained with {told_versions}{commit}." if packages else "Not known.")
    lines += ["", "## Licence", ""]
    lines += _table(
        ("part", "licence"),
        [
            ("this model", license),
            (f"the encoder it began from, {about['model']['encoder']}", "to be filled in"),
            (f"the data, {result.get('corpus', 'unknown')}", "to be filled in"),
        ],
    )
    return "\n".join(lines) + "\n"


def _budget(
    about: dict[str, Any], result: dict[str, Any], environment: dict[str, Any]
) -> list[tuple[str, str]]:
    rows = [
        ("corpus", result.get("corpus")),
        ("labelled rows that were learned from", result.get("labelled")),
        ("of these per class", result.get("labels_per_class") or None),
        ("labelled rows that weights were chosen by", result.get("dev_rows")),
        ("unlabelled rows", result.get("unlabelled")),
        ("views", result.get("views")),
        ("generated sentences", result.get("generated")),
        ("method", result.get("method")),
        ("encoder", about["model"]["encoder"]),
        ("longest row in tokens", about["model"]["max_length"] if _reads_texts(about) else None),
        ("steps", result.get("steps")),
        ("step of these weights", result.get("best_step") if result.get("dev") else None),
        ("seeds of split and training", _seeds(result)),
        ("seconds of training", result.get("clock", {}).get("seconds")),
    ]
    checksums = environment.get("data", {}).items()
    rows += [(f"SHA-256 of {part}", f"`{sha}`") for part, sha in checksums if sha]
    return [(what, _cell(value)) for what, value in rows if value not in (None, "")]


def _scores(about: dict[str, Any], result: dict[str, Any]) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for part in ("test", "dev"):
        rows = result.get(f"{part}_rows", 0)
        for metric, value in result.get(part, {}).items():
            # A tagger is scored on words and entities, which are not drawn one by one.
            bounds = None if about["target"] == "tags" else interval(metric, value, rows)
            between = f"{bounds[0]:.4f} to {bounds[1]:.4f}" if bounds else ""
            found.append((part, f"{rows:,}", metric, f"{value:.4f}", between))
    return found


def _reads_texts(about: dict[str, Any]) -> bool:
    return bool(about["rows"] != "vectors")


def _seeds(result: dict[str, Any]) -> str | None:
    return f"{result['split_seed']}, {result['seed']}" if "seed" in result else None


def _cell(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    return markdown_table([head, *rows]).split("\n")
