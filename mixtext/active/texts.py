"""Rounds of classifiers: any method trains in each, and forms for a person are CSV or JSON lines.

A method that learns from unlabelled rows is given all that are not labelled yet. Rows that hold the
same text are asked for once.
"""

import csv
import io
import json
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from mixtext.active.policies import diverse, highest, informativeness
from mixtext.active.rounds import Rounds, State
from mixtext.data.corpus import Corpus
from mixtext.data.labels import listing, name_of
from mixtext.data.prepare import Data, prepare_data
from mixtext.data.read.options import UNSAID, ReadOptions
from mixtext.data.read.readers import open_rows, texts_of
from mixtext.data.splits import normalise, row_keys
from mixtext.data.views import back_translate
from mixtext.environment import made_by
from mixtext.errors import InputError, reads
from mixtext.glance import is_pretrained, unit_vectors
from mixtext.inference import rows_of
from mixtext.models.build import build_model
from mixtext.recipe import Recipe, fields_of, flat
from mixtext.run import Run, environment_of
from mixtext.settings import near
from mixtext.training.scoring import predict_rows, refuse_no_numbers

MARK = "\ufeff"  # by which Excel knows UTF-8
HEARD = frozenset(
    {"text", "pair", "label", "id", "header", "separator", "quoted", "format"}
    | {"encoding", "encoding_errors"}
)


@dataclass(frozen=True, kw_only=True)
class TextRounds(Rounds[Run]):
    """Rounds of a classifier.

    Attributes:
        recipe: as each round trains it, with the views of all rounds.
        data: the corpus with its gold labels, as far as it has some; the split is that of the
            start.
        views_file: what views are read from, None where they are not read.
    """

    rows: ClassVar[str] = "texts"
    metric: ClassVar[str] = "accuracy"
    counts: ClassVar[tuple[str, ...]] = ("labelled",)
    suffixes: ClassVar[tuple[str, ...]] = (".csv", ".jsonl")

    recipe: Recipe
    data: Data
    views_file: Path | None

    @classmethod
    def of(cls, recipe: Recipe, folder: Path, quiet: bool = False) -> "TextRounds":
        """Loads the rows of a recipe, and makes the views it asks for, for a run in a folder."""
        method, views = recipe.method, recipe.views
        data = prepare_data(recipe.data, method.unlabelled, need_labels=False)
        if recipe.active.cold:
            rows = data.split
            pool = np.concatenate([rows.unlabelled, rows.labelled])
            data = replace(data, split=replace(rows, labelled=rows.labelled[:0], unlabelled=pool))
        file = Path(views.file) if views.file else None
        if views.backend and method.unlabelled and method.views:
            file = back_translate(views, data.train, data.split.unlabelled, sys.stderr)
            recipe = replace(recipe, views=replace(views, file=str(file), backend="", pivots=()))
        about = {
            "name": recipe.name,
            "task": data.train.task,
            "rows": cls.rows,
            "metric": cls.metric,
            "corpus": data.train.name,
            "encoder": recipe.model.encoder,
            "policy": recipe.active.policy,
            "method": method.name,
            "pairing": "",
            "seed": recipe.training.seed,
            "split_seed": recipe.data.split_seed,
            "pool": len(data.split.unlabelled),
            "dev_rows": len(data.split.dev),
            "settings": fields_of(recipe),
            "mixtext": made_by(),
        }
        return cls(
            folder=folder,
            settings=recipe.active,
            seed=recipe.training.seed,
            about=about,
            quiet=quiet,
            recipe=recipe,
            data=data,
            views_file=file if method.unlabelled and method.views else None,
        )

    @property
    def notes(self) -> Sequence[str]:
        """What was found in the corpus, and how often the same text is in the pool."""
        again = len(self.data.split.unlabelled) - len(self.askable())
        twice = f"{again} texts of the pool are there twice, or labelled: they are not asked for"
        return [*self.data.notes, *([twice] if again else [])]

    @property
    def label_names(self) -> list[str]:
        """The classes."""
        return self.data.train.label_names

    @property
    def is_cold(self) -> bool:
        """Whether nothing is labelled at the start."""
        return not len(self.data.split.labelled)

    def environment(self) -> dict[str, Any]:
        """See `run_folder.environment`."""
        return environment_of(self.recipe, self.data, self.views_file)

    def askable(self) -> list[str]:
        """The unlabelled rows whose text is neither labelled nor in dev, each text once."""
        return self._askable

    @cached_property
    def _askable(self) -> list[str]:
        rows, keys = self.data.split, row_keys(self.data.train)
        seen = {keys[i] for i in (*rows.labelled, *rows.dev)}
        found: dict[Any, int] = {}
        for i in rows.unlabelled.tolist():
            if keys[i] not in seen:
                found.setdefault(keys[i], i)
        return [self.data.train.ids[i] for i in found.values()]

    def unknown(self) -> list[str]:
        """Those without a label."""
        ids = np.asarray(self.askable(), dtype=object)
        return list(ids[~self.data.train.labelled[self.places(ids.tolist())]])

    def check_kind(self) -> None:
        """Refuses what the policy cannot do with the method, the encoder or the rows."""
        recipe, data, settings = self.recipe, self.data, self.recipe.active
        method, policy = recipe.method, settings.policy
        train = data.train
        if train.target == "scores":
            raise InputError(
                f"{train.source or train.name} holds scores, but active learning asks for "
                "classes: train on them with `mixtext train`."
            )
        if settings.annotator == "person" and train.rows == "vectors":
            raise InputError(
                f"active.annotator is 'person', but {train.source or train.name} holds vectors, "
                "which nobody can read: set it to 'gold'."
            )
        if self.is_cold and not settings.rounds:
            raise InputError(
                "active.rounds is 0, but no row is labelled at the start, so there would be "
                "nothing to learn from: raise it."
            )
        if settings.cold and recipe.data.dev_share:
            raise InputError(
                f"active.cold is true and data.dev_share is {recipe.data.dev_share}: labels that "
                "choose weights are labels too; set one of them to its default."
            )
        first = policy != "random" and self.is_cold
        if (first or policy == "diverse") and not is_pretrained(recipe.model):
            why = "no row is labelled yet" if first else "active.policy is 'diverse'"
            raise InputError(
                f"{why}, so rows are chosen by a pretrained encoder's vectors, which "
                f"{recipe.model.encoder!r} has not: set active.policy to 'random', or "
                "model.encoder to a pretrained one."
            )
        if policy == "committee" and not method.steps:
            raise InputError(
                f"active.policy is 'committee', whose members differ in their seed, but "
                f"{method.name} has no use for one: choose another policy or method."
            )
        asked = settings.rounds * settings.per_round
        if method.unlabelled and asked >= len(data.split.unlabelled):
            raise InputError(
                f"active.rounds × active.per_round is {asked}, the whole pool, but {method.name} "
                "learns from unlabelled rows too: lower one of them, or give more texts."
            )
        Run.of(recipe, data)

    # ---- rows

    @cached_property
    def _place(self) -> dict[str, int]:
        return {one: row for row, one in enumerate(self.data.train.ids)}

    def places(self, ids: Sequence[str]) -> np.ndarray:
        """Rows of the corpus by their ids."""
        return np.asarray([self._place[one] for one in ids], dtype=np.int64)

    def rows_of(self, ids: Sequence[str]) -> Corpus:
        """The same, with their gold labels where the corpus has some."""
        return self.data.train.select(self.places(ids))

    def now(self, state: State) -> Data:
        """Corpus and split as they are in a round: what was asked for is labelled, the rest not."""
        train, rows = self.data.train, self.data.split
        labels, labelled = train.labels.copy(), [rows.labelled]
        for number, ids in enumerate(state.queries[: state.round], 1):
            asked = self.places(ids)
            labelled.append(asked)
            if self.settings.annotator == "person":
                labels[asked] = read_form(self.labels_file(number), self.rows_of(ids))
        known = np.concatenate(labelled)
        rest = rows.unlabelled[~np.isin(rows.unlabelled, known)]
        return replace(
            self.data,
            train=replace(train, labels=labels),
            split=replace(rows, labelled=known, unlabelled=rest),
        )

    def sizes(self, state: State) -> dict[str, int]:
        """Labelled rows."""
        asked = sum(map(len, state.queries[: state.round]))
        return {"labelled": len(self.data.split.labelled) + asked}

    # ---- rounds

    def fit(self, state: State, folder: Path, member: int = 0) -> tuple[Run, dict[str, Any]]:
        """See `Rounds.fit`."""
        training, data = self.recipe.training, self.now(state)
        if member:
            seed = training.seed + 1000 * member
            training = replace(training, seed=seed, test_at_every_tie=False)
            data = replace(data, test=None)
        run = Run.of(replace(self.recipe, training=training), data)
        outcome = run.trainer.fit(folder, run.class_names, flat(run.recipe), quiet=True)
        return run, outcome

    def query(
        self, state: State, committee: Sequence[Run], generator: np.random.Generator
    ) -> list[str]:
        """See `Rounds.query`."""
        policy, count = self.recipe.active.policy, self.settings.per_round
        if policy == "diverse":
            return self.spread(state.pool, generator)
        probabilities = []
        if policy != "random":
            training, rows = self.recipe.training, self.places(state.pool)
            for run in committee:
                found = predict_rows(
                    run.model,
                    run.sources["train"],
                    rows,
                    batch=training.eval_batch,
                    pad_to=run.feed.pad_to,
                    precision=training.precision,
                )
                refuse_no_numbers(found)
                probabilities.append(found)
        values = informativeness(policy, probabilities, len(state.pool), generator)
        return [state.pool[i] for i in highest(values, count)]

    def first(self, generator: np.random.Generator) -> list[str]:
        """Where nothing is labelled: diverse rows, or random ones by the policy of that name."""
        if not self.is_cold:
            return []
        ids = self.askable()
        if self.recipe.active.policy != "random":
            return self.spread(ids, generator)
        return [ids[i] for i in generator.permutation(len(ids))[: self.settings.per_round]]

    def spread(self, ids: Sequence[str], generator: np.random.Generator) -> list[str]:
        """A round's rows, as different as the pretrained encoder can tell."""
        recipe, rows = self.recipe, self.rows_of(ids)
        model, tokenizer, _ = build_model(recipe.model, self.data.train, recipe.training.seed)
        source = rows_of(rows, recipe.model, tokenizer)
        vectors = unit_vectors(model.encoder, source, np.arange(len(rows)), recipe)
        return [ids[i] for i in diverse(vectors, self.settings.per_round, generator)]

    def export(self, fitted: Run) -> None:
        """Writes the model folder."""
        fitted.export(self.folder / "model")

    # ---- a person

    def form(self, ids: Sequence[str], file: Path) -> str:
        """Id, text or texts, and an empty label, one row each, as CSV or JSON lines."""
        return form_text(self.rows_of(ids), None, file.suffix)

    def filled(self, ids: Sequence[str], file: Path, options: ReadOptions = UNSAID) -> str:
        """See `Rounds.filled`, `read_form`."""
        asked = self.rows_of(ids)
        names = [self.label_names[one] for one in read_form(file, asked, options)]
        return form_text(asked, names, self.suffixes[0])


def form_text(asked: Corpus, labels: Sequence[str] | None, suffix: str) -> str:
    """Rows for a person to label, or as labelled, in the form that a suffix stands for."""
    columns = [asked.ids, asked.texts, *([asked.pairs] if asked.pairs is not None else [])]
    names = [*("id", "text", "pair")[: len(columns)], "label"]
    lines = list(zip(*columns, labels or [""] * len(asked), strict=True))
    if suffix.lower() == ".jsonl":
        objects = (dict(zip(names, line, strict=True)) for line in lines)
        return "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in objects)
    written = io.StringIO()
    table = csv.writer(written, lineterminator="\n")
    table.writerow(names)
    table.writerows(lines)
    return MARK + written.getvalue()


@reads()
def read_form(file: Path, asked: Corpus, options: ReadOptions = UNSAID) -> np.ndarray:
    """Labels that a person gave to the rows that were asked for, in their order, (N,) int64.

    Args:
        file: the form, filled in.
        asked: the rows; their own labels are not looked at.
        options: where the file is written otherwise than a form.

    Raises:
        InputError: a row is missing, there twice, not asked for, changed or not labelled; a label
            is unknown; the file cannot be read.
    """
    options.refuse_unheard(
        HEARD, "labels are filled into a file as `mixtext active query` wrote it"
    )
    if not file.is_file():
        raise InputError(f"{file} does not exist: give the file that was filled in.")
    pair = ("pair",) if asked.pairs is not None else ()
    options = replace(options, id=options.id or "id", pair=options.pair or pair)
    opened, names = open_rows(file, options), asked.label_names
    place = {one: row for row, one in enumerate(asked.ids)}
    found: dict[int, int] = {}
    blank = []
    with closing(opened.rows):
        for position, cells in opened.rows:
            where = opened.place(position)
            one = str(cells[options.id]).strip()
            row = place.get(one)
            if row is None:
                raise InputError(
                    f"{where} has the row '{one}', which this round does not ask for: remove it, "
                    "or fill in what `mixtext active query` writes now."
                )
            if row in found or row in blank:
                raise InputError(f"{where} has the row '{one}' once more: keep one of them.")
            first, second = texts_of(cells, opened, where)
            its = asked.texts[row], "-" if asked.pairs is None else asked.pairs[row]
            if [*map(normalise, its)] != [normalise(first), normalise(second)]:
                raise InputError(f"{where}: the text of row '{one}' was changed: restore it.")
            label = _label(cells[options.label or "label"])
            if not label:
                blank.append(row)
            elif label in names or (label := label.removesuffix(".0")) in names:  # 1.0 is class 1
                found[row] = names.index(label)
            else:
                raise InputError(
                    f"{where}: the label '{label}' of row '{one}' is not among "
                    f"{listing(names, most=30)}{near(label, names)}: correct it."
                )
    missing = [one for row, one in enumerate(asked.ids) if row not in found and row not in blank]
    if missing:
        raise InputError(
            f"{file} lacks {len(missing)} of the rows that were asked for, such as '{missing[0]}': "
            "bring them back; `mixtext active query` writes them again."
        )
    if blank:
        raise InputError(
            f"{file}: {len(blank)} rows are not labelled yet, such as '{asked.ids[blank[0]]}': "
            "fill in their label."
        )
    return np.asarray([found[row] for row in range(len(asked))], dtype=np.int64)


def _label(cell: Any) -> str:
    return "" if cell is None else name_of(cell).strip().strip(MARK)
