"""Published numbers, as files of `experiments/published` have them.

A gain is one in points over a baseline: as its paper says it, or the difference of two scores.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mixtext.errors import InputError
from mixtext.settings import read_toml

NUMBERS = ("accuracy", "f1", "correlation", "gain")
CELL = {"corpus", "method", "encoder", "setting", "labels_per_class", "part", "baseline", "ours",
        "source", "verified", *NUMBERS}  # fmt: skip


@dataclass(frozen=True)
class Published:
    """A published gain.

    Attributes:
        corpus: that it was measured on.
        encoder: with which.
        method: whose it is.
        baseline: over what; empty for whatever a table compares with.
        setting: the rest.
        ours: what results of ours have that it is compared with: keys of a result or
            `table.field` of its settings.
        gain: in points.
        source: where it stands.
        verified: whether somebody has looked there, at this score and at the baseline's.
    """

    corpus: str
    encoder: str
    method: str
    baseline: str
    setting: str
    ours: dict[str, Any]
    gain: float
    source: str
    verified: bool


def read_published(path: Path, baseline: str) -> list[Published]:
    """Reads a file of published numbers: tables `[[cell]]`.

    A cell has a `source`, `verified` and either a score (`accuracy`, `f1`, `correlation`, in
    percent) or a `gain` in points. The gain of a score is over the cell of the baseline that has
    the same source, corpus, encoder, setting and so on.

    Args:
        path: a TOML file.
        baseline: the method that scores are compared with.

    Raises:
        InputError: it cannot be read, or a cell lacks its source or its number.
    """
    cells = read_toml(path).get("cell", [])
    if not isinstance(cells, list) or not cells or not all(isinstance(x, dict) for x in cells):
        raise InputError(f"{path} has no [[cell]]: write one for each published number.")
    for number, cell in enumerate(cells, 1):
        where = f"{path}: cell {number}"
        if unknown := sorted(cell.keys() - CELL):
            raise InputError(f"{where} has {unknown[0]!r}; a cell has {', '.join(sorted(CELL))}.")
        for name, kind in {"corpus": str, "method": str, "source": str, "verified": bool}.items():
            if not isinstance(cell.get(name), kind) or cell[name] == "":
                raise InputError(f"{where} needs {name}, a {kind.__name__}.")
        numbers = [name for name in NUMBERS if name in cell]
        if len(numbers) != 1 or not isinstance(cell[numbers[0]], int | float):
            raise InputError(f"{where} needs one number: {', '.join(NUMBERS)}.")
        if not isinstance(cell.get("ours", {}), dict):
            raise InputError(f"{where}: ours is a table, such as {{encoder = 'minilm'}}.")
    same = ("corpus", "encoder", "setting", "labels_per_class", "part", "source")
    published = []
    for cell in cells:
        name = next(x for x in NUMBERS if x in cell)
        gain, verified = cell[name], cell["verified"]
        against = cell.get("baseline", "" if name == "gain" else baseline)
        if name != "gain":
            if cell["method"] == against:
                continue
            plain = [
                x
                for x in cells
                if x["method"] == against
                and name in x
                and all(x.get(key) == cell.get(key) for key in same)
            ]
            if not plain:
                continue  # nothing published to compare it with
            gain -= plain[0][name]
            verified &= plain[0]["verified"]
        budget = {x: cell[x] for x in ("labels_per_class",) if x in cell}
        told = [f"{cell['labels_per_class']} a class"] if budget else []
        told += [cell[x] for x in ("setting", "part") if x in cell]
        published.append(
            Published(
                corpus=cell["corpus"],
                encoder=cell.get("encoder", ""),
                method=cell["method"],
                baseline=cell.get("baseline", ""),
                setting=", ".join(told),
                ours={"corpus": cell["corpus"], **budget, **cell.get("ours", {})},
                gain=float(gain),
                source=cell["source"],
                verified=verified,
            )
        )
    return published
