"""Readers: a file, a folder or a hub data set in, a checked `Corpus` out.

Every reader yields rows as `(position, cells by column name)`; `_assemble` makes the corpus of
them, so columns, labels, ids and empty texts are treated alike whatever the format.
"""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from mixtext.data.corpus import Corpus
from mixtext.data.labels import Labeller, Scorer
from mixtext.data.read.formats import (
    INSTALL,
    Columns,
    Decoder,
    Rows,
    delimited_rows,
    documents_below,
    folder_rows,
    json_rows,
    parquet_rows,
    require,
)
from mixtext.errors import InputError

FORMATS = ("csv", "tsv", "jsonl", "parquet", "folder")
SUFFIXES = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
}


def read_corpus(
    path: str | Path,
    *,
    text: str | Sequence[str] = ("text",),
    label: str | None = "label",
    pair: str | Sequence[str] = (),
    id_column: str | None = None,
    header: bool = True,
    format: str | None = None,
    quoted: bool | None = None,
    label_names: Sequence[str] | None = None,
    first_label: int = 0,
    encoding_errors: str = "strict",
    skip_empty: bool = False,
    name: str = "",
    scores: Sequence[float] = (),
) -> Corpus:
    """Reads a corpus of texts from a file or a folder.

    Formats, told by the suffix: CSV, TSV, JSON lines (`.jsonl`, `.ndjson`), Parquet (needs
    pyarrow), and a folder with one subfolder a class and one file a document, whose columns are
    called `text`, `label` and `id`. Files are UTF-8, with or without a byte-order mark.

    Args:
        path: the file or folder.
        text: columns of the text; several are joined by one space, blank ones left out.
        label: column of the class; None: the rows have no labels. An empty or null cell is a
            missing label.
        pair: columns of the second text, for sentence pairs.
        id_column: column of the row ids. None: the row's number from 0, skipped rows counted; in
            a folder, the document's path below it.
        header: the first line of a CSV or TSV names the columns. If not, their names are
            "0", "1", …
        format: one of `FORMATS`, where the suffix does not tell.
        quoted: double quotes enclose cells. None: in CSV they do, in TSV they are characters
            like others.
        label_names: names of the classes in the order of the model's outputs. The file may hold
            the names or, where no name is itself a number, numbers. None: the distinct labels,
            sorted.
        first_label: the number in the file of the first of `label_names`: 1 in the original AG
            News, DBpedia and Yahoo! files.
        encoding_errors: "strict" refuses bytes that are not UTF-8; "replace" puts U+FFFD and
            counts them in `Corpus.replacements`.
        skip_empty: leave rows with a blank text out instead of refusing them.
        name: what tables call the corpus; "": the file's name without its suffix.
        scores: least and most that a score may be: the label column then holds scores, and the
            task is regression. Empty: it holds classes.

    Raises:
        InputError: missing or empty file, unknown format, column that is not there, wrong number
            of cells, malformed line, bad bytes, blank text, label outside the names, scores where
            classes are meant, a score outside the range, an id twice. The sentence names file and
            line.
    """
    path = Path(path)
    if encoding_errors not in ("strict", "replace"):
        raise InputError(
            f"encoding_errors is '{encoding_errors}': choose 'strict' to refuse bytes that are "
            "not UTF-8, or 'replace' to replace and count them."
        )
    if not path.exists():
        raise InputError(f"{path} does not exist: check the path of the corpus.")
    kind = _format_of(path, format)
    decode = Decoder(encoding_errors)
    columns = _columns(text, label, pair, "id" if kind == "folder" else id_column)
    place: Callable[[int], str] = lambda line: f"{path}, line {line}"  # noqa: E731
    if kind in ("csv", "tsv"):
        quoting = kind == "csv" if quoted is None else quoted
        rows = delimited_rows(
            path, "," if kind == "csv" else "\t", quoting, header, columns, decode
        )
    elif kind == "jsonl":
        rows = json_rows(path, columns, decode)
    elif kind == "parquet":
        rows = parquet_rows(path, columns)
        place = lambda row: f"{path}, row {row}"  # noqa: E731
    else:
        documents = documents_below(path)
        rows = folder_rows(path, documents, columns, decode)
        place = lambda i: str(documents[i])  # noqa: E731
    labeller = _labeller(columns.label, label_names, first_label, scores)
    # Closed at once even when a row is refused: an open reader holds the file and csv's limit.
    with closing(rows):
        corpus = _assemble(rows, place, str(path), columns, labeller, decode, skip_empty)
    return replace(corpus, name=name or path.stem, replacements=decode.replaced)


def read_hub(
    hub_name: str,
    split: str,
    *,
    text: str | Sequence[str] = ("text",),
    label: str | None = "label",
    pair: str | Sequence[str] = (),
    id_column: str | None = None,
    subset: str | None = None,
    label_names: Sequence[str] | None = None,
    first_label: int = 0,
    skip_empty: bool = False,
    name: str = "",
    scores: Sequence[float] = (),
    revision: str | None = None,
) -> Corpus:
    """Reads one split of a Hugging Face hub data set, which needs the package `datasets`.

    Args:
        hub_name: "owner/name" on the hub.
        split: such as "train".
        subset: the data set's configuration, such as "sst2" of "nyu-mll/glue".
        text, label, pair, id_column, label_names, first_label, skip_empty, name, scores: as in
            `read_corpus`. `label_names` default to those the data set declares; the number -1
            is then a missing label, as in test parts without labels.
        revision: branch, tag or commit of the data set.

    Raises:
        InputError: `datasets` is not installed, the data set cannot be had, or its rows do not fit.
    """
    try:
        import datasets
    except ImportError:
        raise InputError(
            f"reading '{hub_name}' from the hub needs the package datasets: {INSTALL}."
        ) from None
    try:
        table = datasets.load_dataset(hub_name, subset, split=split, revision=revision)
    # Not found, no network; unknown split or subset; a data set that is a script.
    except (OSError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"the hub data set '{hub_name}', split '{split}', cannot be loaded ({reason}): check "
            "names and network, or point to a local folder."
        ) from None
    columns = _columns(text, label, pair, id_column)
    require(columns.wanted(), list(table.column_names), hub_name)
    declared = getattr(table.features[columns.label], "names", None) if columns.label else None

    def rows() -> Rows:
        for i, cells in enumerate(table.select_columns(sorted(set(columns.wanted())))):
            if declared and cells[columns.label] == -1:
                cells = {**cells, columns.label: None}
            yield i, cells

    labeller = _labeller(
        columns.label, label_names or (None if scores else declared), first_label, scores
    )
    corpus = _assemble(
        rows(),
        lambda i: f"{hub_name}, split {split}, row {i}",
        f"{hub_name}, split {split}",
        columns,
        labeller,
        Decoder("strict"),
        skip_empty,
    )
    return replace(corpus, name=name or hub_name)


def _columns(
    text: str | Sequence[str], label: str | None, pair: str | Sequence[str], id_column: str | None
) -> Columns:
    texts = (text,) if isinstance(text, str) else tuple(str(x) for x in text)
    pairs = (pair,) if isinstance(pair, str) else tuple(str(x) for x in pair)
    if not texts:
        raise InputError("text names no column: give at least one.")
    return Columns(texts, None if label is None else str(label), pairs, id_column)


def _labeller(
    column: str | None, names: Sequence[str] | None, first: int, scores: Sequence[float]
) -> Labeller | Scorer:
    """What turns cells of the label column into classes or, with a range, into scores."""
    if not scores:
        return Labeller(column, names, first)
    if names is not None or column is None:
        other = "no label column" if column is None else "label_names"
        raise InputError(
            f"scores is {list(scores)} and there is {other}: scores are numbers in the label "
            "column and have no names, so correct one of them."
        )
    return Scorer(column, scores)


def _format_of(path: Path, format: str | None) -> str:
    """The format by name, suffix or being a folder."""
    kind = format or ("folder" if path.is_dir() else SUFFIXES.get(path.suffix.lower()))
    if kind not in FORMATS:
        found = f"format '{format}'" if format else f"suffix '{path.suffix}'"
        raise InputError(f"{path}: unknown {found}: pass format as one of {', '.join(FORMATS)}.")
    if path.is_dir() != (kind == "folder"):
        is_a = "folder" if path.is_dir() else "file"
        raise InputError(f"{path} is a {is_a}, so its format cannot be '{kind}': correct one.")
    return kind


def _assemble(
    rows: Rows,
    place: Callable[[int], str],
    source: str,
    columns: Columns,
    labeller: Labeller | Scorer,
    decode: Decoder,
    skip_empty: bool,
) -> Corpus:
    """Collects the rows into lists and checks them."""
    texts: list[str] = []
    pairs: list[str] = []
    labels: list[Any] = []
    ids: dict[str, int] = {}  # id -> position, in order of the rows
    empty: list[tuple[int, str]] = []
    number = -1
    for number, (position, cells) in enumerate(rows):
        where = place(position)
        first = _join(cells, columns.text, where, decode)
        second = _join(cells, columns.pair, where, decode) if columns.pair else "-"
        if not first.strip() or not second.strip():
            side = " (the second text)" if first.strip() else " (the first text)"
            empty.append((position, side if columns.pair else ""))
            continue
        row_id = str(number) if columns.id is None else _id(cells[columns.id], columns.id, where)
        if row_id in ids:
            raise InputError(
                f"{where} has the same id '{row_id}' as {place(ids[row_id])}: give every row its "
                "own id, or leave id_column out to number the rows."
            )
        ids[row_id] = position
        texts.append(first)
        pairs.append(second)
        labels.append(None if columns.label is None else labeller(cells.get(columns.label), where))
    if number < 0:
        raise InputError(f"{source} has no rows: check that it is the right, complete file.")
    if empty and not skip_empty:
        first_ones = "; ".join(place(x) + side for x, side in empty[:3])
        raise InputError(
            f"{source}: {len(empty)} of {number + 1} rows have an empty text, the first at "
            f"{first_ones}: fill them, or pass skip_empty=True to leave them out."
        )
    if not texts:
        raise InputError(f"{source}: all {number + 1} rows have an empty text: check the columns.")
    seconds = pairs if columns.pair else None
    if isinstance(labeller, Scorer):
        corpus = Corpus.from_lists(texts, ids=list(ids), pairs=seconds, name=source, scores=labels)
    else:
        labeller.check(set(labels), source)
        corpus = Corpus.from_lists(texts, labels, list(ids), labeller.names, seconds, source)
    return replace(corpus, source=source)


def _join(cells: dict[str, Any], names: tuple[str, ...], where: str, decode: Decoder) -> str:
    """The named cells joined by one space; a single cell is left as it is."""
    parts = []
    for name in names:
        cell = "" if cells[name] is None else cells[name]
        if not isinstance(cell, str):
            raise InputError(f"{where}: '{name}' is {cell!r}, not a text: write it as a string.")
        if cell.strip():
            parts.append(decode.mend(cell, where))
    return " ".join(parts)


def _id(cell: Any, column: str, where: str) -> str:
    if cell is None or not str(cell).strip():
        raise InputError(
            f"{where}: the id in '{column}' is empty: give every row its own id, or leave "
            "id_column out to number the rows."
        )
    return str(cell)
