"""How rows are read: one object that recipes, commands and Python share, and who hears what."""

from collections.abc import Collection
from dataclasses import dataclass, fields, replace
from typing import Annotated, Any, ClassVar, Literal, Self

from annotated_types import Gt

from mixtext.errors import InputError
from mixtext.settings import Cell, Settings

Format = Literal[
    "", "csv", "tsv", "jsonl", "json", "lines", "texts", "parquet", "folder", "npz", "conll"
]

# How tables spell a label that is not there, as pandas reads them, −1, and IMDB's `unsup`. Upper
# and lower case count: NONE and none are classes of several corpora.
MISSING_LABELS = (
    *("NaN", "nan", "N/A", "n/a", "#N/A", "NA", "<NA>", "None", "null", "NULL", "-1", "unsup"),
)


@dataclass(frozen=True)
class ReadOptions(Settings):
    """What a source holds and how it is read; a name of the catalogue says most of it by itself.

    A field at its default says nothing. The flags of the commands and the fields of `[data]` in a
    recipe are made of these fields; `HEARD` says which of them a source heeds.

    Attributes:
        text: columns that make the text, joined by a space; empty: the catalogue's choice, or
            `text`. Of a CoNLL file the column of the tokens, a number from 0 or a name; empty: the
            first.
        pair: columns that make the second text, for pairs of texts; empty: the catalogue's choice,
            or none.
        label: column of the label; empty: the catalogue's choice, or `label`. Of a CoNLL file the
            column of the tags; empty: the last.
        scores: least and most score: the label column holds scores in this range, and the task is
            regression; empty: the catalogue's choice, or classes.
        id: column of stable row ids; empty: rows are numbered, documents of a folder called by
            their path.
        header: the first line of a CSV or TSV names the columns; else they are numbered from 0.
        separator: of the cells of a CSV or TSV, such as `;`, `|` or `tab`; empty: told by the
            file, from `,`, `;`, `|` and tabs.
        encoding: of files without a mark, such as `cp1252`; empty: UTF-8. A mark tells UTF-16.
        encoding_errors: `strict` refuses broken characters and names the line, `replace` counts and
            replaces them; empty: the catalogue's choice, or `strict`.
        skip_empty: leave out rows whose text is empty, instead of refusing the file.
        format: of the file or folder; empty: as the suffix says, else as its first lines do.
            `json` is an array of objects, `lines` has a label and, behind a blank, the text,
            `texts` a text alone in each line.
        quoted: double quotes enclose cells of a CSV or TSV; empty: in a CSV they do, in a TSV they
            are characters like others.
        label_names: names of the classes in the order of the model's outputs; the file may hold
            them or, where none is itself a number, numbers; empty: the distinct labels, sorted.
        first_label: the number in the file of the first of `label_names`.
        missing: spellings of a label that is missing; a name among `label_names` is none of them.
        labels: the rows have labels; else nobody looks for their column.
        unpacked_gib: GiB that the arrays of an `.npz` file may unpack to; larger ones are refused.
    """

    name: ClassVar[str] = ""

    text: tuple[Cell, ...] = ()
    pair: tuple[Cell, ...] = ()
    label: Cell = ""
    scores: tuple[float, ...] = ()
    id: Cell = ""
    header: bool = True
    separator: str = ""
    encoding: str = ""
    encoding_errors: Literal["", "strict", "replace"] = ""
    skip_empty: bool = False
    format: Format = ""
    quoted: Literal["", "yes", "no"] = ""
    label_names: tuple[Cell, ...] = ()
    first_label: int = 0
    missing: tuple[Cell, ...] = MISSING_LABELS
    labels: bool = True
    unpacked_gib: Annotated[float, Gt(0)] = 4.0

    def __post_init__(self) -> None:
        """Refuses scores that are no range, encodings and separators that there are not."""
        super().__post_init__()
        refuse_unknown_encoding(self.encoding, self.called("encoding"))
        separator = {"tab": "\t", "\\t": "\t"}.get(self.separator, self.separator)
        object.__setattr__(self, "separator", separator)
        if len(separator) > 1 or separator in ('"', "\n", "\r"):
            raise InputError(
                f"{self.called('separator')} is {separator!r}: give one character, such as ';', or "
                "'tab'."
            )
        if self.scores and (len(self.scores) != 2 or self.scores[0] >= self.scores[1]):
            raise InputError(
                f"{self.called('scores')} is {list(self.scores)}: give two numbers, the least and "
                "the most that a score may be."
            )

    def called(self, name: str) -> str:
        """What the user calls a field; those who take options in another way say it otherwise."""
        return name

    def given(self) -> dict[str, Any]:
        """The fields that say something."""
        values = {f.name: getattr(self, f.name) for f in fields(ReadOptions)}
        return {k: v for k, v in values.items() if v != getattr(ReadOptions, k)}

    def over(self, base: "ReadOptions") -> Self:
        """What these say and, where they say nothing, what `base` says."""
        said = self.given()
        return replace(self, **{k: v for k, v in base.given().items() if k not in said})

    def refuse_unheard(self, heard: Collection[str], why: str) -> None:
        """Refuses a field that says something to a source that does not hear it.

        Args:
            heard: the fields that the source hears, such as `HEARD["npz"]`.
            why: why it does not hear the others, as the end of a sentence.

        Raises:
            InputError: the first such field, by the name that the user gave.
        """
        for name in self.given():
            if name not in heard:
                raise InputError(f"{self.called(name)} is given but {why}: leave it out.")


def refuse_unknown_encoding(encoding: str, called: str) -> None:
    """Refuses an encoding of text that Python does not know."""
    try:
        "".encode(encoding or "utf-8")
    except (LookupError, UnicodeError):
        raise InputError(
            f"{called} is {encoding!r}: give an encoding of text, such as 'utf-8', 'cp1252', "
            "'utf-16' or 'gb18030'."
        ) from None


UNSAID = ReadOptions()

_ALL = frozenset(f.name for f in fields(ReadOptions))
_TABLE = {"header", "quoted", "separator"}  # of files where neither names nor cells are marked
_BYTES = {"encoding", "encoding_errors"}
_ROWS = _ALL - {"unpacked_gib"}
HEARD: dict[str, frozenset[str]] = {
    "csv": _ROWS,
    "tsv": _ROWS,
    "jsonl": _ROWS - _TABLE,
    "json": _ROWS - _TABLE,
    "lines": _ROWS - _TABLE - {"text", "pair", "label", "id"},
    "texts": _ROWS - _TABLE - {"text", "pair", "label", "id", "scores"},
    "parquet": _ROWS - _TABLE - _BYTES,
    "folder": _ROWS - _TABLE - {"id"},
    "npz": frozenset({"format", "label_names", "labels", "unpacked_gib"}),
    "conll": frozenset({"format", "text", "label", *_BYTES}),
    "hub": _ROWS - _TABLE - _BYTES - {"format"},
    "catalogue": frozenset({"text", "skip_empty", *_BYTES}),
}
