"""The official views of MixText, `de_1.pkl` and `ru_1.pkl`: a pickled dict from row to text.

A pickle can run any code when it is loaded. These are read by an unpickler that knows no class and
no function but stand-ins for NumPy's integers and strings, which the official notebook writes as
keys; what comes out must be a dict of int to str.
"""

import pickle
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NoReturn

from backtranslate.manifest import replace_file, writing
from backtranslate.pipeline import View
from backtranslate.store import Corpus, encode, read_records, record, sha1
from backtranslate.translator import BacktranslateError

NAME = re.compile(r"(?P<pivot>.+)_(?P<number>[1-9]\d*)\.pkl")


class _Refused(Exception):
    """The pickle asks for something that no dict of rows needs."""


class _ItemType:
    """Stands for `numpy.dtype`: of an integer or a string, and of nothing else."""

    def __init__(self, code: str, *_: Any) -> None:
        if not re.fullmatch(r"[iu][1248]|U\d+", code):
            raise _Refused(f"numpy.dtype({code!r})")
        self.code = code
        self.order: Literal["little", "big"] = "little"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        """Takes the order of bytes, which stands behind the version, and no more."""
        self.order = "big" if state[1] == ">" else "little"


def _item(kind: _ItemType, raw: bytes) -> int | str:
    """Stands for NumPy's `scalar`: one value out of its bytes, as a plain int or str."""
    if kind.code.startswith("U"):
        return raw.decode("utf-32-be" if kind.order == "big" else "utf-32-le").rstrip("\0")
    return int.from_bytes(raw, kind.order, signed=kind.code.startswith("i"))


_STAND_INS: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "dtype"): _ItemType,
    ("numpy.core.multiarray", "scalar"): _item,  # NumPy 1
    ("numpy._core.multiarray", "scalar"): _item,  # NumPy 2
}


class _PlainUnpickler(pickle.Unpickler):
    """Knows no class and no function but `_STAND_INS`: code to run cannot be made."""

    def find_class(self, module: str, name: str) -> Callable[..., Any]:
        """A stand-in; all else is refused."""
        if (module, name) not in _STAND_INS:
            raise _Refused(f"{module}.{name}")
        return _STAND_INS[module, name]

    def persistent_load(self, pid: Any) -> NoReturn:
        """Refuses."""
        raise _Refused("a persistent object")


def read_pickle(path: Path) -> dict[int, str]:
    """Reads an official file; runs nothing that it holds.

    Returns:
        row in the training file, from 0 → view.

    Raises:
        BacktranslateError: no such file, a damaged one, or one that holds anything but a dict of
            int → str.
    """
    if not path.is_file():
        raise BacktranslateError(f"{path} does not exist.")
    try:
        with path.open("rb") as file:
            rows = _PlainUnpickler(file).load()
    except _Refused as refused:
        raise BacktranslateError(
            f"{path} was not loaded: it asks for {refused}; only a dict of int to str is let in."
        ) from None
    except Exception as error:  # a damaged pickle raises nearly anything
        raise BacktranslateError(
            f"{path} is no pickle, or a damaged one ({type(error).__name__})."
        ) from None
    if type(rows) is not dict:
        raise BacktranslateError(f"{path} holds a {type(rows).__name__}, not a dict of int to str.")
    for row, text in rows.items():
        if type(row) is not int or type(text) is not str:
            raise BacktranslateError(
                f"{path} holds an entry from {type(row).__name__} to {type(text).__name__}: only a "
                "dict of int to str is let in."
            )
    return rows


def import_pickles(paths: Iterable[Path], corpus: Corpus, out: Path) -> dict[str, int]:
    """Writes official files as one views file; rows without a view are left out.

    Args:
        paths: files named `PIVOT_NUMBER.pkl`, such as `de_1.pkl`.
        corpus: the texts of the official training file, in its order.
        out: the views file, in the order of the corpus.

    Returns:
        file name → number of its views.

    Raises:
        BacktranslateError: see `read_pickle`; a wrong name, a row that the corpus lacks.
        WriteError: the disk is full.
    """
    counts = {}
    views: dict[tuple[str, int], dict[int, str]] = {}
    for path in paths:
        if not (name := NAME.fullmatch(path.name)):
            raise BacktranslateError(f"{path} must be named after its pivot, such as de_1.pkl.")
        rows = read_pickle(path)
        for row in rows:
            if not 0 <= row < len(corpus):
                raise BacktranslateError(
                    f"{path} has a view of row {row}, but there are {len(corpus)} texts: it was "
                    "made for another corpus."
                )
        view = name["pivot"], int(name["number"]) - 1
        if view in views:
            raise BacktranslateError(f"{path.name} was given twice.")
        views[view] = rows
        counts[path.name] = len(rows)

    def lines() -> Iterator[bytes]:
        for i, (id_, text) in enumerate(zip(corpus.ids, corpus.texts, strict=True)):
            for (pivot, copy), rows in views.items():
                if i in rows:
                    view = (
                        View(rows[i], "", "imported")
                        if rows[i].strip()
                        else View(text, "", "empty")
                    )
                    yield encode(record(id_, text, pivot, copy, view))

    with writing(out.parent):
        replace_file(out, lines())
    return counts


def export_pickles(views: Path, corpus: Corpus, folder: Path) -> dict[str, int]:
    """Writes a views file as official files, one for each pivot and copy: `de_1.pkl`, `de_2.pkl`.

    Args:
        views: the views file.
        corpus: the texts it was made from; rows are counted in its order.
        folder: where the files go.

    Returns:
        file name → number of its views.

    Raises:
        BacktranslateError: no such file, an id that the corpus lacks, a changed source text, the
            same view twice.
        WriteError: the disk is full.
    """
    if not views.is_file():
        raise BacktranslateError(f"{views} does not exist.")
    row_of = {id_: row for row, id_ in enumerate(corpus.ids)}
    files: dict[str, dict[int, str]] = {}
    for number, _, _, entry in read_records(views):
        where = f"{views}, line {number}: id {entry['id']!r}"
        row = row_of.get(entry["id"])
        if row is None:
            raise BacktranslateError(f"{where} is not among the texts.")
        if entry["sha1"] != sha1(corpus.texts[row]):
            raise BacktranslateError(f"{where} has another text now than its view was made from.")
        name = f"{entry['pivot']}_{entry['copy'] + 1}.pkl"
        if Path(name).name != name or not NAME.fullmatch(name):
            raise BacktranslateError(f"{where}: view {entry['pivot']} cannot name a file.")
        rows = files.setdefault(name, {})
        if row in rows:
            raise BacktranslateError(f"{where} has view {entry['pivot']}/{entry['copy']} twice.")
        rows[row] = entry["text"]
    if not files:
        raise BacktranslateError(f"{views} holds no views.")
    with writing(folder):
        for name, rows in files.items():
            replace_file(folder / name, [_pickled(rows)])
    return {name: len(rows) for name, rows in files.items()}


def _pickled(rows: Mapping[int, str]) -> bytes:
    return pickle.dumps({row: rows[row] for row in sorted(rows)}, protocol=4)
