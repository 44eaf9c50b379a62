"""Settings of the data: which corpus, which split, which views."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Interval

from mixtext.data.read.options import ReadOptions
from mixtext.errors import InputError
from mixtext.settings import Settings


@dataclass(frozen=True)
class CorpusSettings(Settings):
    """Where the corpus is.

    Attributes:
        corpus: a name from the catalogue (`mixtext datasets`), or the path of a CSV, TSV, JSONL or
            Parquet file, of a folder with one subfolder of text files a class, or of an `.npz`
            file of vectors (`x`) and classes (`y`), or `hub:owner/name` for a data set of the
            Hugging Face hub with train and test.
        root: folder that holds a catalogue corpus; empty: its package, or the Hugging Face hub.
        test: path of the test file, for a corpus given by path; empty: see `test_per_class`.
        unlabelled: path of a file with further texts, without labels, for the pool; its columns
            are called as in the corpus. Needs `pool = "natural"`.
    """

    corpus: str = "bbc_news"
    root: str = ""
    test: str = ""
    unlabelled: str = ""


@dataclass(frozen=True)
class DataSettings(ReadOptions, CorpusSettings):
    """The corpus, how it is read (`ReadOptions`) and how it is split.

    For regression, where there are no classes, "of each class" means "in all" everywhere.

    Attributes:
        templates: texts that say a class, with `{}` where its name goes, such as
            "This sentence is {}."; each gives a row of each class to learn from beside the labelled
            ones, which pays where the names of the classes say something and labels are few.
        class_words: what stands there, a word or words for each class in the order of
            `label_names`; empty: the names.
        drop_duplicates: of texts that occur more than once keep the first, before splitting.
        labels_per_class: labelled rows of each class; 0: all that are not dev or test.
        labelled_share: with `labels_per_class = 0`, the share of each class's rows that
            keep their labels, rounded up, of those that are not dev or test. The others join the
            unlabelled pool, as they do where `labels_per_class` is given.
        corrupt: share of the labelled rows whose label is replaced by a class drawn at
            random from all (mixup's experiment on corrupted labels); dev and test keep theirs.
        unlabelled_per_class: unlabelled rows of each class; 0: all that are left.
        dev_share: share of each class's labels that is not learned from but selects weights, at
            least one; the labels are as many as without. 0: training ends by its number of steps.
        dev_per_class: rows of each class that select weights, on top of `labels_per_class`: labels
            that a person with so few does not have. To reproduce papers.
        test_per_class: rows of each class that are set aside as test where there is no test part.
        pool: unlabelled rows are drawn as they come, `natural`, or, to reproduce papers, `balanced`
            over the classes, which uses labels of the pool that a real task does not have.
        split: `seeded`, or `official`: the one split of the official MixText code.
        split_seed: of the seeded split and of `corrupt`; with one seed, fewer labels are a part of
            more.
    """

    name: ClassVar[str] = "data"
    paths: ClassVar[tuple[str, ...]] = ("corpus", "root", "test", "unlabelled")

    templates: tuple[str, ...] = ()
    class_words: tuple[str, ...] = ()
    drop_duplicates: bool = False
    labels_per_class: Annotated[int, Ge(0)] = 10
    labelled_share: Annotated[float, Interval(gt=0, le=1)] = 1.0
    corrupt: Annotated[float, Interval(ge=0, le=1)] = 0.0
    unlabelled_per_class: Annotated[int, Ge(0)] = 0
    dev_share: Annotated[float, Interval(ge=0, lt=1)] = 0.0
    dev_per_class: Annotated[int, Ge(0)] = 0
    test_per_class: Annotated[int, Ge(0)] = 0
    pool: Literal["natural", "balanced"] = "natural"
    split: Literal["seeded", "official"] = "seeded"
    split_seed: Annotated[int, Ge(0)] = 0

    def called(self, name: str) -> str:
        """What the user calls a field."""
        return f"data.{name}"

    def __post_init__(self) -> None:
        """Refuses contradictions."""
        super().__post_init__()
        if self.class_words and not self.templates:
            raise InputError(
                f"data.class_words is {list(self.class_words)} but data.templates has no text that "
                "they would stand in: give some, or leave them out."
            )
        if self.labelled_share < 1 and self.labels_per_class:
            raise InputError(
                f"data.labelled_share is {self.labelled_share} and data.labels_per_class is "
                f"{self.labels_per_class}: give a share or a number, the other as 1 or 0."
            )
        if self.dev_share and (self.dev_per_class or self.split == "official"):
            field = "dev_per_class" if self.dev_per_class else "split"
            raise InputError(
                f"data.dev_share is {self.dev_share} and data.{field} is "
                f"{getattr(self, field)!r}: dev rows are a share of the labels or come on top of "
                "them, not both; leave one out."
            )
        if self.dev_share and self.labels_per_class == 1:
            raise InputError(
                f"data.dev_share is {self.dev_share} and data.labels_per_class is 1: one label "
                "cannot be shared; raise labels_per_class or set dev_share to 0."
            )
        if self.scores and self.corrupt:
            raise InputError(
                f"data.scores is {list(self.scores)} and data.corrupt is {self.corrupt}: labels "
                "are corrupted by another class, which scores do not have; leave one out."
            )
        if self.scores and self.split == "official":
            raise InputError(
                f"data.scores is {list(self.scores)} and data.split is 'official': the official "
                "split is one of classes; set split to 'seeded'."
            )
        if self.unlabelled and self.pool != "natural":
            raise InputError(
                f"data.unlabelled is {self.unlabelled!r} and data.pool is {self.pool!r}: texts "
                "whose classes are not known cannot be balanced; set pool to 'natural'."
            )
        if self.split == "official" and self.labels_per_class == 0:
            raise InputError(
                "data.split is 'official' and data.labels_per_class is 0: give the official split "
                "a number of labels."
            )
        if self.test and self.test_per_class:
            raise InputError(
                f"data.test is {self.test!r} and data.test_per_class is {self.test_per_class}: "
                "give a test file or set rows aside, not both."
            )


@dataclass(frozen=True)
class ViewSettings(Settings):
    """Where the views of unlabelled texts come from.

    A views file if one is named; back-translation if a backend is named, made before training
    starts and kept for the next run; else word dropout, which needs nothing.

    Attributes:
        file: a views file (JSON lines with id and text).
        backend: of the back-translation, such as `apertium` or `marian`
            (`python -m backtranslate --help` lists them).
        pivots: languages to translate through, in the backend's codes; each gives a view.
        language: of the texts, in the backend's code.
        preset: how words are chosen: `paper`, `diverse` or `beam`.
        models: where the backend's models are; empty: its default.
        workers: processes that translate.
        cache: folder that keeps back-translations, by their content.
        copies: views of each text by word dropout, or through each pivot by a backend that samples;
            a backend needs at least 1.
        rate: share of words that word dropout leaves out.
    """

    name: ClassVar[str] = "views"
    paths: ClassVar[tuple[str, ...]] = ("file", "models")

    file: str = ""
    backend: str = ""
    pivots: tuple[str, ...] = ()
    language: str = "en"
    preset: str = "paper"
    models: str = ""
    workers: Annotated[int, Ge(1)] = 1
    cache: str = "runs/views"
    copies: Annotated[int, Interval(ge=0, le=1000)] = 1
    rate: Annotated[float, Interval(gt=0, lt=1)] = 0.1

    def __post_init__(self) -> None:
        """Refuses contradictions."""
        super().__post_init__()
        if self.file and self.backend:
            raise InputError(
                f"views.file is {self.file!r} and views.backend is {self.backend!r}: views come "
                "from one of them; leave the other out."
            )
        if bool(self.backend) != bool(self.pivots):
            raise InputError(
                f"views.backend is {self.backend!r} and views.pivots is {list(self.pivots)}: "
                "back-translation needs both."
            )
        if self.backend and not self.copies:
            raise InputError(
                f"views.copies is 0, but views.backend is {self.backend!r}: back-translation gives "
                "at least 1 view; raise it, or leave the backend out."
            )
