"""Views of unlabelled texts: from a file, by back-translation, or on the fly by word dropout.

A views file holds JSON lines, one a view, as the back-translation store writes them:
`{"id": …, "text": …}` and optionally `pivot`, `copy` (which view it is, when a text has several),
`sha1` (of the source text: checked) and `status`. Lines `{"id": …, "views": ["…", "…"]}` are read
as well.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, TextIO

import numpy as np

from backtranslate.driver import make_views
from backtranslate.jobs import Settings
from backtranslate.manifest import writing
from backtranslate.store import MERGED, is_complete, merge, sha1
from backtranslate.store import Corpus as Texts
from backtranslate.translator import BacktranslateError
from mixtext.data.corpus import Corpus
from mixtext.data.settings import ViewSettings
from mixtext.data.texts import picked
from mixtext.errors import InputError, reads
from mixtext.files import locked, make_folder


@dataclass(frozen=True)
class Row:
    """One tokenised text or pair; each array has shape (T,).

    Attributes:
        ids: token ids.
        words: number of the word that a token is part of, −1 for special tokens.
        types: token types, None where the tokenizer has none.
        side: 0 in the first text, 1 in the second, −1 for special tokens.
    """

    ids: np.ndarray
    words: np.ndarray
    types: np.ndarray | None
    side: np.ndarray


class ViewSource(Protocol):
    """Gives the views of unlabelled rows."""

    @property
    def copies(self) -> int:
        """Views of each text, K."""
        ...

    @property
    def description(self) -> str:
        """What the views are, in a few words for tables."""
        ...

    def view(self, i: int, original: Row, copy: int, generator: np.random.Generator) -> Row:
        """View number `copy` of corpus row i, whose own tokens are `original`."""
        ...


@dataclass(frozen=True)
class WordDropout:
    """Leaves each word out with probability `rate`: a view that needs nothing but the text.

    Whole words go, with all their tokens; special tokens and at least one word stay. A new draw
    each time a row is met, from the run's generator.
    """

    rate: float
    copies: int = 1

    @property
    def description(self) -> str:
        """What the views are."""
        return " + ".join(["word dropout"] * self.copies) or "none"

    def view(self, i: int, original: Row, copy: int, generator: np.random.Generator) -> Row:
        """A new view of `original`."""
        words = np.unique(original.words[original.words >= 0])
        if not len(words):
            return original
        kept = generator.random(len(words)) >= self.rate
        if not kept.any():
            kept[generator.integers(len(words))] = True
        stays = (original.words < 0) | np.isin(original.words, words[kept])
        types = None if original.types is None else original.types[stays]
        return Row(original.ids[stays], original.words[stays], types, original.side[stays])


@dataclass(frozen=True)
class StoredViews:
    """Views that were made before, tokenised once: row i of `tables[copy]` is one of row i."""

    names: Sequence[str]
    tables: Sequence[Any]

    @property
    def copies(self) -> int:
        """Views of each text."""
        return len(self.tables)

    @property
    def description(self) -> str:
        """The names of the views: pivot and copy."""
        return " + ".join(self.names)

    def view(self, i: int, original: Row, copy: int, generator: np.random.Generator) -> Row:
        """Stored view number `copy` of corpus row i."""
        return self.tables[copy].row(i)


@reads("make the views again")
def read_views(path: str | Path, corpus: Corpus, rows: np.ndarray) -> dict[str, list[str]]:
    """Reads a views file and joins it to the corpus rows that need views.

    Args:
        path: the file.
        corpus: the training corpus whose ids the file uses.
        rows: (U,) indices of the unlabelled rows; each must have every view.

    Returns:
        view name (`pivot/copy`) → U view texts, in the order of `rows`.

    Raises:
        InputError: missing file, broken line, no id that the corpus has, a view made from another
            text than the corpus holds, a row without views, the same view twice.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"views file {path} does not exist: check `views.file`.")
    position = {id_: i for i, id_ in enumerate(corpus.ids)}
    found: dict[str, dict[int, str]] = {}
    foreign = ""
    with path.open("rb") as lines:  # bytes: a line that is not UTF-8 is reported by its number
        for number, line in enumerate(lines, 1):
            where = f"views file {path}, line {number}"
            if not line.strip():
                continue
            try:
                entry = json.loads(line)
                id_ = str(entry["id"])
                texts = entry["views"] if "views" in entry else [entry["text"]]
                if not (isinstance(texts, list) and all(isinstance(t, str) for t in texts)):
                    raise TypeError
            except (ValueError, KeyError, TypeError):
                shown = line.decode("utf-8", errors="replace").strip()[:60]
                raise InputError(
                    f'{where}: expected JSON in UTF-8 with "id" and "text" (or a list "views"), '
                    f"found {shown!r}."
                ) from None
            if id_ not in position:
                foreign = foreign or id_
                continue  # a row that was set aside as test, or dropped as a duplicate
            i = position[id_]
            if "sha1" in entry and entry["sha1"] != sha1(corpus.texts[i]):
                raise InputError(
                    f"{where}: the text of id {id_!r} has changed since its views were made; "
                    "make its views again."
                )
            for extra, text in enumerate(texts):
                name = f"{entry.get('pivot', 'view')}/{entry.get('copy', extra)}"
                column = found.setdefault(name, {})
                if i in column:
                    raise InputError(f"{where}: id {id_!r} has view {name} twice.")
                column[i] = text if text.strip() else corpus.texts[i]
    if not found and foreign:
        raise InputError(
            f"views file {path} was made for another corpus, which has ids such as {foreign!r}: "
            f"make views for this one, whose first id is {corpus.ids[0]!r}."
        )
    if not found:
        raise InputError(f"views file {path} is empty: make views first.")
    joined = {}
    for name, column in sorted(found.items()):
        missing = [corpus.ids[i] for i in rows if int(i) not in column]
        if missing:
            raise InputError(
                f"views file {path} lacks view {name} for {len(missing)} of {len(rows)} unlabelled "
                f"rows (first: id {missing[0]!r}): make the missing views; `mixtext backtranslate "
                "RECIPE --out FOLDER` makes those of all texts that a recipe names."
            )
        joined[name] = [column[int(i)] for i in rows]
    return joined


def back_translate(
    settings: ViewSettings, corpus: Corpus, rows: np.ndarray, progress: TextIO | None = None
) -> Path:
    """Makes the back-translations that are not in the cache yet.

    The cache keeps one store for each set of texts and way of translating; a store that was begun
    is finished, a finished one is taken as it is.

    Args:
        settings: backend, pivots and how to decode.
        corpus: the training corpus.
        rows: (U,) indices of the rows that need views.
        progress: where progress is shown.

    Returns:
        The views file.

    Raises:
        InputError: the backend is unknown, not installed, or failed.
    """
    texts = Texts(picked(corpus.ids, rows), picked(corpus.texts, rows))
    try:
        made_by = Settings(
            backend=settings.backend,
            pivots=settings.pivots,
            source=settings.language,
            copies=settings.copies,
            preset=settings.preset,
            models=settings.models,
            workers=settings.workers,
        )
        what = repr((replace(made_by, workers=1), texts.describe()))
        store = Path(settings.cache) / f"{settings.backend}-{sha1(what)[:12]}"
        if is_complete(store, texts):
            return store / MERGED
        with writing(store):
            make_folder(store)
            (store / "lock").touch()
        with locked(store, wait=True):  # runs side by side make the same views once
            make_views(texts, made_by, store, progress=progress)
            merge([store], texts, store / MERGED)
    except BacktranslateError as error:
        raise InputError(f"views.backend {settings.backend!r}: {error}") from error
    return store / MERGED
