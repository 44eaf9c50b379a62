"""Readers: a file, a folder or a hub data set in, a checked `Corpus` out.

Every reader yields rows as `(position, cells by column name)`; `_assemble` makes the corpus of
them, so columns, labels, ids and empty texts are treated alike whatever the format.
"""

import re
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mixtext.data.corpus import Corpus
from mixtext.data.labels import Labeller, Scorer, alike
from mixtext.data.read.arrays import read_vectors_file
from mixtext.data.read.characters import Decoder
from mixtext.data.read.formats import (
    INSTALL,
    Columns,
    Rows,
    delimited_rows,
    documents_below,
    folder_rows,
    json_array_rows,
    json_rows,
    labelled_line_rows,
    parquet_rows,
    text_line_rows,
)
from mixtext.data.read.options import HEARD, MISSING_LABELS, UNSAID, Format, ReadOptions
from mixtext.data.read.sniff import format_of, head_of
from mixtext.errors import InputError, reads

SUFFIXES: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".parquet": "parquet",
    ".npz": "npz",
}
CONLL_SUFFIXES = (".conll", ".conllu", ".conllup", ".bio", ".iob", ".iob2", ".bioes", ".iobes")


@dataclass(frozen=True)
class Opened:
    """The rows of a source, not read yet.

    Attributes:
        rows: position and cells, by column.
        place: what messages call the row of a position.
        source: what they call the whole.
        columns: those that are read.
        decode: of the bytes; it knows how many characters were replaced.
        notes: sentences about what was found before the rows.
    """

    rows: Rows
    place: Callable[[int], str]
    source: str
    columns: Columns
    decode: Decoder
    notes: tuple[str, ...] = ()


@reads()
def read_corpus(path: str | Path, options: ReadOptions = UNSAID, *, name: str = "") -> Corpus:
    """Reads a corpus from a file or a folder.

    Formats, told by the suffix or, where it says nothing, by the first lines: CSV and TSV (whose
    separator is told by the file), JSON lines, an array of JSON objects, lines of a label and a
    text or, where nobody asks for labels, of a text alone, Parquet (needs pyarrow), a folder with
    one subfolder a class and one file a document, whose columns are called `text`, `label` and
    `id`, and vectors (`.npz`, see `read_vectors_file`). Any of them may be gzipped but Parquet,
    folders and vectors. Texts are UTF-8, or as a mark or else `options.encoding` says. An empty or
    null cell of the label, or one of the spellings in `options.missing`, is a missing one; rows
    without an id are numbered from 0, skipped ones counted.

    Args:
        path: the file or folder.
        options: its columns and how it is read.
        name: what tables call the corpus; "": the file's name without its suffix.

    Raises:
        InputError: missing or empty file, unknown format, an option that the format does not hear,
            column that is not there, wrong number of cells, malformed line, bad bytes, blank text,
            label outside the names, scores where classes are meant, a score outside the range, an
            id twice. The sentence names file and line.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path} does not exist: check the path of the corpus.")
    if format_of_rows(path, options) == "npz":
        return read_vectors_file(path, options, name=name)
    opened = open_rows(path, options)
    # Closed at once even when a row is refused: an open reader holds the file and csv's limit.
    with closing(opened.rows):
        corpus = _assemble(opened, options)
    return replace(corpus, name=name or stem(path), replacements=opened.decode.replaced)


def open_rows(path: Path, options: ReadOptions) -> Opened:
    """Opens a file or folder of texts, as `read_corpus` says; the rows are read as they are asked.

    Raises:
        InputError: as `read_corpus`.
    """
    kind = format_of_rows(path, options)
    options.refuse_unheard(HEARD[kind], f"{path} is read as {kind}, where it has no meaning")
    decode, columns = Decoder.of(options), Columns.of(options)
    place: Callable[[int], str] = lambda line: f"{path}, line {line}"  # noqa: E731
    notes: tuple[str, ...] = ()
    if kind in ("csv", "tsv"):
        rows = delimited_rows(path, "\t" if kind == "tsv" else ",", options, columns, decode)
    elif kind == "jsonl":
        rows = json_rows(path, columns, decode)
    elif kind == "lines":
        rows = labelled_line_rows(path, columns, decode)
        if not options.format:
            notes = (f"each line of {path} is read as a label and a text",)
    elif kind == "texts":
        columns = replace(columns, label=None)
        rows = text_line_rows(path, decode)
    elif kind == "folder":
        documents, left = documents_below(path)
        columns = replace(columns, id="id")
        rows = folder_rows(path, documents, columns, decode)
        place = lambda i: str(documents[i])  # noqa: E731
        if left:
            notes = (f"{len(left):,} files of {path} that a system left there are left out",)
    else:
        rows = (parquet_rows(path, columns) if kind == "parquet"
                else json_array_rows(path, columns, decode))  # fmt: skip
        place = lambda row: f"{path}, row {row}"  # noqa: E731
    return Opened(rows, place, str(path), columns, decode, notes)


def stem(path: Path) -> str:
    """A file's name without its suffix, that of gzip apart."""
    return path.with_suffix("").stem if path.suffix.lower() == ".gz" else path.stem


def read_hub(
    hub_name: str,
    split: str,
    options: ReadOptions = UNSAID,
    *,
    subset: str = "",
    revision: str = "",
    name: str = "",
) -> Corpus:
    """Reads one split of a Hugging Face hub data set, which needs the package `datasets`.

    Args:
        hub_name: "owner/name" on the hub.
        split: such as "train".
        options: as in `read_corpus`. `label_names` default to those the data set declares; the
            number -1 is then a missing label, as in test parts without labels.
        subset: the data set's configuration, such as "sst2" of "nyu-mll/glue"; "": the only one.
        revision: branch, tag or commit of the data set; "": the main one.
        name: what tables call the corpus; "": `hub_name`.

    Raises:
        InputError: `datasets` is not installed, the data set cannot be had, its rows do not fit,
            an option that means nothing there.
    """
    why = f"{hub_name} is read from the hub, where it has no meaning"
    options.refuse_unheard(HEARD["hub"], why)
    try:
        import datasets
    except ImportError:
        raise InputError(
            f"reading '{hub_name}' from the hub needs the package datasets: {INSTALL}."
        ) from None
    try:
        table = datasets.load_dataset(
            hub_name, subset or None, split=split, revision=revision or None
        )
    # Not found, no network; unknown split or subset; a data set that is a script.
    except (OSError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"the hub data set '{hub_name}', split '{split}', cannot be loaded ({reason}): check "
            "names and network, or point to a local folder."
        ) from None
    columns = Columns.of(options)
    columns.require(columns.wanted(), list(table.column_names), hub_name)
    declared = getattr(table.features[columns.label], "names", None) if columns.label else None
    if declared and not options.scores:
        options = replace(options, label_names=options.label_names or tuple(declared))

    def rows() -> Rows:
        for i, cells in enumerate(table.select_columns(sorted(set(columns.wanted())))):
            if declared and cells[columns.label] == -1:
                cells = {**cells, columns.label: None}
            yield i, cells

    source = f"{hub_name}, split {split}"
    opened = Opened(rows(), lambda i: f"{source}, row {i}", source, columns, Decoder.of(options))
    return replace(_assemble(opened, options), name=name or hub_name)


def _labeller(column: str | None, options: ReadOptions) -> Labeller | Scorer:
    """What turns cells of the label column into classes or, with a range, into scores."""
    names, missing, called = options.label_names, options.missing, options.called
    if column is None or not options.scores:
        return Labeller(column, names or None, options.first_label, missing, called)
    if names:
        raise InputError(
            f"{called('scores')} is {list(options.scores)} and there are {called('label_names')}: "
            "scores are numbers and have no names, so leave one of them out."
        )
    return Scorer(column, options.scores, missing, called)


def told_format(path: Path, format: str = "") -> str:
    """The format as said or, if "", as being a folder or the suffix tells; "" if nothing does."""
    if format or path.is_dir():
        return format or "folder"
    suffixes = [x.lower() for x in path.suffixes]
    suffix = (suffixes[:-1] if suffixes[-1:] == [".gz"] else suffixes)[-1:] or [""]
    return "conll" if suffix[0] in CONLL_SUFFIXES else SUFFIXES.get(suffix[0], "")


def format_of_rows(path: Path, options: ReadOptions) -> str:
    """The format of a file or folder of rows.

    Raises:
        InputError: nothing tells it, or it holds no rows.
    """
    kind = told_format(path, options.format)
    formats = ", ".join(dict.fromkeys(SUFFIXES.values())) + ", lines, texts or conll"
    if path.suffix.lower() in (".zip", ".tar", ".tgz", ".xz", ".bz2") and not options.format:
        raise InputError(f"{path} is an archive: unpack it first (of archives gzip alone is read).")
    columns, decode = Columns.of(options), Decoder.of(options)
    if not options.format and path.is_file():
        if kind in ("", "json"):
            kind = format_of(path, columns.wanted(), options.header, decode)
        elif kind == "jsonl" and re.match(r"\s*\[\s*({|$)", "".join(head_of(path, decode)[:1])):
            kind = "json"  # an array of objects
        if not kind and columns.wanted() == ["text"]:  # neither columns nor labels are asked for
            kind = "texts"
    if kind == "conll":
        raise InputError(
            f"{path} is a CoNLL file, which holds tokens with tags, not rows: in a recipe, set "
            'task to "tagging" (mixtext new-recipe writes one).'
        )
    if not kind:
        raise InputError(
            f"neither the suffix '{path.suffix}' of {path} nor its first lines tell what it is: "
            f"set {options.called('format')} to one of {formats}."
        )
    if path.is_dir() != (kind == "folder"):
        is_a = "folder" if path.is_dir() else "file"
        raise InputError(f"{path} is a {is_a}, so its format cannot be '{kind}': correct one.")
    return kind


def _assemble(opened: Opened, options: ReadOptions) -> Corpus:
    """Collects the rows into lists and checks them."""
    columns, place, source = opened.columns, opened.place, opened.source
    labeller = _labeller(columns.label, options)
    texts: list[str] = []
    pairs: list[str] = []
    labels: list[Any] = []
    ids: dict[str, int] = {}  # id -> position, in order of the rows
    empty: list[tuple[int, str]] = []
    number_them = f"or leave {options.called('id')} out to number the rows"
    number = -1
    for number, (position, cells) in enumerate(opened.rows):
        where = place(position)
        first, second = texts_of(cells, opened, where)
        if not first.strip() or not second.strip():
            side = " (the second text)" if first.strip() else " (the first text)"
            empty.append((position, side if columns.pair else ""))
            continue
        cell = number if columns.id is None else cells[columns.id]
        row_id = "" if cell is None else str(cell)
        if not row_id.strip():
            raise InputError(
                f"{where}: the id in '{columns.id}' is empty: give every row its own id, "
                f"{number_them}."
            )
        if row_id in ids:
            raise InputError(
                f"{where} has the same id '{row_id}' as {place(ids[row_id])}: give every row its "
                f"own id, {number_them}."
            )
        ids[row_id] = position
        texts.append(first)
        pairs.append(second)
        labels.append(None if columns.label is None else labeller(cells.get(columns.label), where))
    if number < 0:
        raise InputError(f"{source} has no rows: check that it is the right, complete file.")
    if empty and not options.skip_empty:
        first_ones = "; ".join(place(x) + side for x, side in empty[:3])
        raise InputError(
            f"{source}: {len(empty)} of {number + 1} rows have an empty text, the first at "
            f"{first_ones}: fill them, or leave them out with {options.called('skip_empty')}."
        )
    if not texts:
        raise InputError(f"{source}: all {number + 1} rows have an empty text: check the columns.")
    seconds = pairs if columns.pair else None
    notes = list(opened.notes)
    if isinstance(labeller, Scorer):
        corpus = Corpus.from_lists(texts, ids=list(ids), pairs=seconds, name=source, scores=labels)
    else:
        labels = labeller.settle(labels)
        labeller.check(set(labels), source)
        corpus = Corpus.from_lists(texts, labels, list(ids), labeller.names, seconds, source)
        notes += [
            f"the labels {', '.join(map(ascii, group))} differ only in case, accents' form, white "
            f"space or invisible signs: if they are one class, write them alike in {source}"
            for group in alike(corpus.label_names)
        ]
        if options.missing == MISSING_LABELS:  # else somebody has thought of it
            notes += labeller.doubts(corpus.label_names)
    return replace(corpus, source=source, notes=(*notes, *labeller.notes()))


def texts_of(cells: dict[str, Any], opened: Opened, where: str) -> tuple[str, str]:
    """The text of a row and its second text, "-" where there is none.

    Raises:
        InputError: a cell that is no text.
    """
    columns, decode = opened.columns, opened.decode
    first = _join(cells, columns.text, where, decode)
    return first, _join(cells, columns.pair, where, decode) if columns.pair else "-"


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
