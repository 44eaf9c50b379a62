"""The official views of MixText, `de_1.pkl` and `ru_1.pkl`: a pickled dict from row to text.

A pickle is a program, which can run any code, nest until the interpreter crashes and ask for memory
that it does not fill. So none is given to Python's `pickle`: a reader here follows the few of its
instructions that a dict of int to str is made of. It knows no class and no function but stand-ins
for NumPy's integers and strings, which the official notebook writes as keys; it nests nothing, and
takes memory in proportion to the file.
"""

import pickle
import pickletools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

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
    if len(raw) != int(kind.code[1:]):
        raise _Refused(f"a number of {len(raw)} bytes as {kind.code}")
    return int.from_bytes(raw, kind.order, signed=kind.code.startswith("i"))


def _latin(text: str, encoding: str) -> bytes:
    """Stands for `_codecs.encode`, by which pickles of protocols 0 to 2 write bytes."""
    if encoding != "latin1":
        raise _Refused(f"bytes in {encoding[:20]!r}")
    return text.encode("latin-1")


_STAND_INS: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "dtype"): _ItemType,
    ("numpy.core.multiarray", "scalar"): _item,  # NumPy 1
    ("numpy._core.multiarray", "scalar"): _item,  # NumPy 2
    ("_codecs", "encode"): _latin,
}


LARGEST = 2**32  # bytes of a file; the official ones have some 10⁸
_CONSTANTS: dict[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_LITERALS = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4"),
    *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


def _load(data: bytes) -> Any:
    """Follows a pickle's instructions; refuses those that no dict of int to str needs."""
    stack: list[Any] = []
    marks: list[int] = []
    memo: dict[int, Any] = {}

    def above(start: int) -> list[Any]:
        items = stack[start:]
        del stack[start:]
        return items

    argument: Any
    for opcode, argument, _ in pickletools.genops(data):
        name = opcode.name
        if name in _LITERALS:
            if isinstance(argument, int) and not -(2**63) <= argument < 2**64:
                raise _Refused(f"a number of {argument.bit_length()} bits")
            stack.append(argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in ("BINPUT", "LONG_BINPUT", "PUT", "MEMOIZE"):
            memo[len(memo) if argument is None else argument] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET", "GET"):
            stack.append(memo[argument])
        elif name == "MARK":
            marks.append(len(stack))
        elif name == "EMPTY_DICT":
            stack.append({})
        elif name in ("SETITEM", "SETITEMS", "DICT"):
            items = above(len(stack) - 2 if name == "SETITEM" else marks.pop())
            if name == "DICT":
                stack.append({})
            _put(stack[-1], items)
        elif name in _TUPLES or name == "TUPLE":
            parts = above(marks.pop() if name == "TUPLE" else len(stack) - _TUPLES[name])
            if any(isinstance(part, tuple | dict) for part in parts):
                raise _Refused("a tuple that holds another")
            stack.append(tuple(parts))
        elif name in ("GLOBAL", "STACK_GLOBAL"):
            where = argument.split(" ", 1) if argument else above(len(stack) - 2)
            if tuple(where) not in _STAND_INS:
                raise _Refused(".".join(where))
            stack.append(_STAND_INS[where[0], where[1]])
        elif name == "REDUCE":
            function, arguments = above(len(stack) - 2)
            stack.append(function(*arguments))
        elif name == "BUILD":
            (state,) = above(len(stack) - 1)
            stack[-1].__setstate__(state)
        elif name not in ("PROTO", "FRAME", "STOP"):
            raise _Refused(name)
    return stack[-1]


def _put(rows: dict[int, str], items: list[Any]) -> None:
    """Puts in keys and values, which follow each other."""
    for row, text in zip(items[::2], items[1::2], strict=True):
        if type(row) is not int or type(text) is not str:
            raise _Refused(f"an entry from {type(row).__name__} to {type(text).__name__}")
        rows[row] = text


def read_pickle(path: Path) -> dict[int, str]:
    """Reads an official file; runs nothing that it holds.

    Returns:
        row in the training file, from 0 → view.

    Raises:
        BacktranslateError: no such file, one that is too large or damaged, or one that holds
            anything but a dict of int → str.
    """
    if not path.is_file():
        raise BacktranslateError(f"{path} does not exist.")
    if path.stat().st_size > LARGEST:
        raise BacktranslateError(
            f"{path} is larger than {LARGEST:,} bytes: no official file of views is."
        )
    try:
        rows = _load(path.read_bytes())
    except _Refused as refused:
        raise BacktranslateError(
            f"{path} was not loaded: it asks for {str(refused)[:200]}; only a dict of int to str "
            "is let in."
        ) from None
    except Exception as error:  # a damaged pickle raises nearly anything
        raise BacktranslateError(
            f"{path} is no pickle, or a damaged one ({type(error).__name__})."
        ) from None
    if type(rows) is not dict:
        raise BacktranslateError(f"{path} holds a {type(rows).__name__}, not a dict of int to str.")
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
    made = {folder / name: _pickled(rows) for name, rows in files.items()}
    for path, raw in made.items():
        if path.exists() and not (path.is_file() and path.read_bytes() == raw):
            raise BacktranslateError(
                f"{path} is there already and holds something else: choose another --out."
            )
    with writing(folder):
        for path, raw in made.items():
            replace_file(path, [raw])
    return {name: len(rows) for name, rows in files.items()}


def _pickled(rows: Mapping[int, str]) -> bytes:
    return pickle.dumps({row: rows[row] for row in sorted(rows)}, protocol=4)
