"""The command that back-translates a corpus; its help is the docstring."""

import dataclasses
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from mixtext.data_commands import POSITIONAL, UNSAID, ReadFlags
from mixtext.errors import InputError

if TYPE_CHECKING:
    from mixtext.data.corpus import Corpus
    from mixtext.data.read.options import ReadOptions


def back_translate(
    data: Annotated[str, POSITIONAL],
    options: Annotated[tuple[str, ...], POSITIONAL] = (),
    out: Path = Path("views"),
    root: Path | None = None,
    unlabelled: Path | None = None,
    read: ReadFlags = UNSAID,
) -> int:
    """Make views of a corpus: mixtext backtranslate DATA|RECIPE --out DIR --backend … --pivots …

    Writes DIR/views.jsonl, for `views.file` in a recipe; of pairs, the first text is translated. Of
    a recipe all texts that it may learn from are translated, as its [views] say where no --backend
    is given.
    All options but those below are passed on to `python -m backtranslate`, which says what they
    mean with --help. Killed? The same command goes on from there.

    Args:
        data: a file, a folder, a name from the catalogue, or a recipe (a TOML file), which says
            how its data are read; the training part is translated.
        options: for python -m backtranslate.
        out: folder of the store.
        root: folder that holds a catalogue data set.
        unlabelled: a file of further texts, as `data.unlabelled` in a recipe names it.
        read: How it is read:
    """
    from backtranslate.cli import main as backtranslate_main
    from backtranslate.store import Corpus as Texts
    from mixtext.files import write_text

    if data.lower().endswith(".toml"):
        corpus, usual = _texts_of_recipe(data, root, unlabelled, read)
        said = any(x.partition("=")[0] == "--backend" for x in options)
        options = options if said else (*usual, *options)
    else:
        corpus = _texts_to_translate(data, root, unlabelled, read)
    for note in corpus.notes:
        print(f"note: {note}", file=sys.stderr)
    if corpus.rows == "vectors":
        raise InputError(f"{data} holds vectors: there is no text to translate.")
    kept, pairs = out / "texts.jsonl", zip(corpus.ids, corpus.texts, strict=True)
    lines = "".join(json.dumps({"id": id_, "text": one}) + "\n" for id_, one in pairs)
    if kept.exists() and not (kept.is_file() and kept.read_bytes() == lines.encode()):
        raise InputError(
            f"{kept} is there already and holds other than the texts of {data}: name another "
            "folder with --out."
        )
    texts = Texts(corpus.ids, corpus.texts)
    code = backtranslate_main([str(kept), "--out", str(out), *options], texts)
    if code == 0 and not kept.exists():
        write_text(kept, lines)  # for `python -m backtranslate merge`
    return code


def _texts_to_translate(
    data: str, root: Path | None, unlabelled: Path | None, read: "ReadOptions"
) -> "Corpus":
    from mixtext.data.read.catalogue import CATALOGUE, load_any
    from mixtext.data.read.readers import read_corpus

    # The catalogue fixes it; elsewhere nobody needs labels to translate.
    bare = dataclasses.replace(read, labels=False)
    corpus, _ = load_any(data, read if data in CATALOGUE else bare, root=root)
    if unlabelled is None:
        return corpus
    more = read_corpus(unlabelled, bare, name="unlabelled")
    return dataclasses.replace(corpus.extended(more), notes=(*corpus.notes, *more.notes))


def _texts_of_recipe(
    path: str, root: Path | None, unlabelled: Path | None, read: "ReadOptions"
) -> tuple["Corpus", list[str]]:
    """The texts that a recipe may learn from, and the options that its [views] stand for."""
    from mixtext.api import load_recipe
    from mixtext.data.prepare import load_corpora
    from mixtext.recipe import Recipe

    read.refuse_unheard((), f"{path} is a recipe, which says how its data are read")
    for name, value in (("root", root), ("unlabelled", unlabelled)):
        if value is not None:
            raise InputError(
                f"--{name} is given but the recipe {path} names its data: leave it out."
            )
    recipe = load_recipe(path)
    if not isinstance(recipe, Recipe):
        raise InputError(f"{path} is a recipe for tagging, which uses no views: give another.")
    train, _, notes = load_corpora(dataclasses.replace(recipe.data, templates=(), class_words=()))
    views = recipe.views
    usual = [f"--source={views.language}", f"--backend={views.backend}"]
    usual += [f"--pivots={','.join(views.pivots)}", f"--preset={views.preset}"]
    usual += [f"--models={views.models}", f"--workers={views.workers}", f"--copies={views.copies}"]
    return dataclasses.replace(train, notes=tuple(notes)), usual if views.backend else []
