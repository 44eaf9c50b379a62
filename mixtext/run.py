"""Runs of classifiers, and of regression: recipe in, run folder out."""

import hashlib
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from mixtext.assessment import Assessment, assess, texts_of
from mixtext.data.batches import Batch, Feed, Source
from mixtext.data.corpus import Corpus
from mixtext.data.inspection import strange_language
from mixtext.data.labels import shown
from mixtext.data.prepare import Data, prepare_data
from mixtext.data.tokenising import tokenise_views
from mixtext.data.views import ViewSource, WordDropout, back_translate
from mixtext.data.vocabulary import vectors_path
from mixtext.environment import environment
from mixtext.errors import InputError
from mixtext.glance import is_pretrained, right_in_turn, right_on, unit_vectors
from mixtext.inference import Predictor, export, load, rows_of
from mixtext.methods import METHODS
from mixtext.metrics import metrics_of
from mixtext.models.build import build_model
from mixtext.models.classifier import Classifier
from mixtext.models.folder import model_folder
from mixtext.models.pretrained import encoder_folder
from mixtext.models.settings import VECTOR_ENCODERS, WORD_ENCODERS, ModelSettings
from mixtext.models.states import KeptStates
from mixtext.recipe import Recipe, fields_of
from mixtext.run_folder import SAMPLE, PreparedRun, Result, budget, train_in
from mixtext.training.device import choose_device
from mixtext.training.distributed import is_joined
from mixtext.training.loop import Trainer
from mixtext.training.scoring import predict_rows

# Tokens that rivals look at, of labelled rows and of others; of scored ones a quarter at most.
GLANCE = 128_000


@dataclass
class Run(PreparedRun[Predictor]):
    """A run of a classifier, or of regression.

    Attributes:
        sources: the rows of `train` and `test` as the model takes them.
        views_file: what views are read from, None where they are not read.
        notes: sentences about what was found and made.
        settings: of the model, as the method has them.
        parts: what is scored, by name: a key of `sources`, rows in it, and labels of all its rows.
    """

    recipe: Recipe
    data: Data
    feed: Feed
    trainer: Trainer[Classifier, Batch]
    sources: dict[str, Source]
    views_file: Path | None
    notes: list[str]
    settings: ModelSettings
    parts: dict[str, tuple[str, np.ndarray, np.ndarray]]

    @classmethod
    def prepare(
        cls, recipe: Recipe, train: Corpus | None = None, test: Corpus | None = None
    ) -> "Run":
        """Loads everything a recipe names; all refusals of bad input happen here."""
        choose_device(recipe.training.device)
        return cls.of(recipe, prepare_data(recipe.data, recipe.method.unlabelled, train, test))

    @classmethod
    def of(cls, recipe: Recipe, data: Data) -> "Run":
        """As `prepare`, on data that are loaded and split."""
        device = choose_device(recipe.training.device)
        if data.test is None and recipe.training.test_at_every_tie:
            raise InputError(
                "training.test_at_every_tie is true but there is no test part: set data.test or "
                "data.test_per_class, or training.test_at_every_tie to false."
            )
        check_method(recipe, data.train)
        settings = recipe.method.model_settings(recipe.model)
        model, tokenizer, notes = build_model(settings, data.train, recipe.training.seed)
        if recipe.model.encoder not in (*WORD_ENCODERS, *VECTOR_ENCODERS):
            notes += strange_language(data.train.texts, tokenizer, recipe.model.encoder)
        views, views_file = read_view_source(recipe, data, tokenizer)
        recipe.method.check(
            model.encoder.layers,
            None if views is None else views.copies,
            pairs=data.train.pairs is not None,
        )
        model.to(device)
        if recipe.training.gradient_checkpointing:
            model.encoder.enable_gradient_checkpointing()

        sources = {"train": rows_of(data.train, recipe.model, tokenizer, _needed(data), keep=True)}
        if data.test is not None:
            sources["test"] = rows_of(data.test, recipe.model, tokenizer, keep=True)
        pad_to = recipe.model.max_length if recipe.model.pad_to_max else 0
        parts = {
            "dev": ("train", data.split.dev, data.train.labels),
            "sample": ("train", data.split.dev[:SAMPLE], data.train.labels),
            "labelled": ("train", data.split.labelled, data.train.labels),
        }
        if data.test is not None:
            parts["test"] = ("test", np.flatnonzero(data.test.labelled), data.test.labels)

        if keeps_states(recipe, views):
            model.kept = KeptStates()

        def answers(model: Classifier, part: str, again: bool = False) -> np.ndarray:
            source, rows, _ = parts[part]
            return predict_rows(
                model,
                sources[source],
                rows,
                batch=recipe.training.eval_batch,
                pad_to=pad_to,
                precision=recipe.training.precision,
                again=again,
            )

        def measure(model: Classifier, part: str) -> dict[str, float]:
            if part not in parts:
                return {}
            _, rows, labels = parts[part]
            found = answers(model, part, again=part != "test")
            return metrics_of(data.train.target, labels[rows], found)

        def examine(model: Classifier, part: str) -> Assessment | None:
            if part not in parts or not len(parts[part][1]):
                return None
            source, rows, _ = parts[part]
            corpus = data.train if source == "train" or data.test is None else data.test
            return assess(corpus.select(rows), answers(model, part))

        feed = Feed(
            sources["train"],
            data.train.labels,
            data.train.ids,
            data.split.learned,
            data.split.unlabelled,
            views,
            batch=recipe.training.batch,
            batch_unlabelled=recipe.training.batch_unlabelled,
            seed=recipe.training.seed,
            by_length=recipe.training.by_length,
            pad_to=pad_to,
            templates=len(data.split.templates),
        )

        def text_of(id_: str) -> str:
            return texts_of(data.train.select([data.train.ids.index(id_)]))[0]

        trainer = Trainer(
            model,
            recipe.method,
            feed,
            recipe.training,
            measure,
            has_dev=len(data.split.dev) > 0,
            generator=np.random.default_rng(recipe.training.seed),
            examine=examine,
            text_of=text_of,
        )
        return cls(
            recipe=recipe,
            data=data,
            tokenizer=tokenizer,
            feed=feed,
            trainer=trainer,
            class_names=data.train.label_names,
            sizes={x: len(rows) for x, (_, rows, _) in parts.items() if x in ("dev", "test")},
            sources=sources,
            views_file=views_file,
            notes=[*data.notes, *notes],
            settings=settings,
            parts=parts,
        )

    def describe(self) -> str:
        """The plan in words: data, split sizes, method, steps."""
        recipe, data = self.recipe, self.data
        test = "no test part" if data.test is None else f"{len(data.test)} test"
        rows = len(data.train) - len(data.split.templates)
        names, more = data.train.label_names, ", …" if data.train.classes > 8 else ""
        told = (
            f"{len(names)} classes ({', '.join(map(shown, names[:8]))}{more})"
            if names
            else "scores"
        )
        templates, cut = "", ""
        if number := len(data.split.templates):
            first = data.train.texts[rows]
            templates = f"; {number} texts that say the classes, the first {first!r}"
        if data.train.rows != "vectors":
            lengths = self.sources["train"].lengths
            full = (lengths[lengths > 0] >= recipe.model.max_length).mean()
            cut = f", texts cut at {recipe.model.max_length} tokens ({full:.0%} reach that length)"
        lines = [
            f"corpus    {data.train.name}: {rows} training rows, {test}, "
            f"{data.train.rows} → {told}",
            f"split     {budget(self.about()['labels'])}; {len(data.split.unlabelled):,} "
            f"unlabelled{templates}",
            f"model     {recipe.model.encoder}, {self.trainer.model.encoder.layers} layers{cut}",
            f"method    {recipe.method.name}",
            f"training  {self._training()}, on {self.trainer.device}",
        ]
        return "\n".join(lines + [f"note      {note}" for note in (*self.notes, *recipe.waiting())])

    def _training(self) -> str:
        training, plan, views = self.recipe.training, self.trainer.plan, self.feed.views
        if not plan.total:
            return "no step: a head is fitted to the encoder's vectors"
        unlabelled = ""
        if views is not None:
            rows = training.batch_unlabelled * training.accumulate
            unlabelled = f" and {rows} unlabelled (views: {views.description})"
        return (
            f"{plan.total} steps of {training.batch * training.accumulate} labelled rows"
            f"{unlabelled}"
            + (f", evaluation every {plan.evaluate} steps" if self.trainer.has_dev else "")
        )

    def rivals(self) -> str:
        """How many rows `frozen` and `centroids` tell right: of dev, else of the labelled ones."""
        data, recipe, split = self.data, self.recipe, self.data.split
        if not (is_pretrained(recipe.model) and recipe.method.steps):
            return ""
        if data.train.target != "classes" or len(split.labelled) < 2:
            return ""
        most = max(100, GLANCE // recipe.model.max_length)
        generator, templates = np.random.default_rng(0), split.templates
        dev = generator.permutation(split.dev)[: most // 4]
        labelled = generator.permutation(split.labelled)[: most if len(dev) else most // 4]
        rows = (np.concatenate([labelled, templates]), split.unlabelled[:most], dev)
        learned, pool, held = (
            unit_vectors(
                self.trainer.model.encoder, self.sources["train"], x, recipe, self.feed.pad_to
            )
            for x in rows
        )
        labels, classes = data.train.labels[rows[0]], data.train.classes
        if len(dev):
            right = right_on(held, data.train.labels[dev], learned, labels, pool, classes)
            where = "dev rows"
        else:
            right = right_in_turn(learned, labels, len(labelled), pool, classes)
            where = "labelled rows, each guessed from the others"
        number = len(next(iter(right.values())))
        if not number:
            return ""
        told = ", ".join(f"{name} {found.mean():.1%}" for name, found in right.items())
        return f"{told} right on {number} {where}, without training"

    def environment(self) -> dict[str, Any]:
        """See `environment_of`."""
        return environment_of(self.recipe, self.data, self.views_file)

    def about(self) -> dict[str, Any]:
        """What result.json says of recipe and data."""
        recipe, data, views = self.recipe, self.data, self.feed.views
        return {
            "name": recipe.name,
            "method": recipe.method.name,
            "corpus": data.train.name,
            "task": data.train.task,
            "rows": data.train.rows,
            "target": data.train.target,
            "encoder": recipe.model.encoder,
            "labels_per_class": recipe.data.labels_per_class,
            "labelled": len(data.split.labelled),
            "unlabelled": len(data.split.unlabelled) if recipe.method.unlabelled else 0,
            "views": "" if views is None else views.description,
            "labels": {"learned_from": len(data.split.labelled), "chosen_by": len(data.split.dev)},
            "dev_rows": len(data.split.dev),
            "test_rows": self.sizes.get("test", 0),
            "split_seed": recipe.data.split_seed,
            "seed": recipe.training.seed,
            "settings": fields_of(recipe),
        }

    def export(self, folder: Path) -> None:
        """Writes the model folder."""
        recipe, train = self.recipe, self.data.train
        precision = recipe.training.precision
        export(folder, self.model, self.tokenizer, self.settings, train, precision)

    def predictor(self) -> Predictor:
        """The model as it is now, ready for new rows."""
        train = self.data.train
        return Predictor(
            self.model,
            self.tokenizer,
            self.settings,
            train.rows,
            train.target,
            train.label_names,
            self.recipe.training.precision,
        )


def keeps_states(recipe: Recipe, views: ViewSource | None) -> bool:
    """Whether states of frozen blocks are kept: by one process, unless views are drawn each time.

    On a GPU, where computing costs less and reading more, they are not.
    """
    drawn = isinstance(views, WordDropout) and views.copies > 0
    device = choose_device(recipe.training.device)
    return recipe.model.freeze > 0 and device.type == "cpu" and not (drawn or is_joined())


def _needed(data: Data) -> np.ndarray | None:
    """The rows of the split; None for all, which other splits share, where they are most."""
    split = data.split
    rows = np.concatenate([split.learned, split.unlabelled, split.dev])
    return rows if 2 * len(rows) < len(data.train) else None


def environment_of(recipe: Recipe, data: Data, views_file: Path | None) -> dict[str, Any]:
    """Checksums of data and split, and of the files that model and views come from."""
    model = recipe.model
    rows = np.concatenate([data.split.labelled, data.split.unlabelled, data.split.dev])
    checksums = {
        "train": data.train.checksum(),
        "test": None if data.test is None else data.test.checksum(),
        "split": hashlib.sha256(rows.astype("<i8").tobytes()).hexdigest(),
    }
    files: dict[str, Path | str] = {}
    if views_file is not None:
        files["views"] = views_file
    if model.start:
        files["files of model.start"] = model_folder(Path(model.start))
    elif model.encoder in WORD_ENCODERS:
        if model.embedding.startswith("Pretrain"):
            files["word vectors"] = vectors_path(model.vectors)
    elif model.encoder not in VECTOR_ENCODERS:
        files["files of the encoder"] = encoder_folder(model.encoder)
    return environment(choose_device(recipe.training.device), checksums, files)


def check_method(recipe: Recipe, train: Corpus) -> None:
    """Refuses a method, or a metric to select by, that does not fit rows and target."""
    method, rows, target = recipe.method, train.rows, train.target
    if not method.takes(rows, target):
        others = [m.name for m in METHODS.values() if m.takes(rows, target)]
        raise InputError(
            f"method is {method.name!r}, which takes {' or '.join(method.rows)} and tells "
            f"{' or '.join(method.targets)}, but {train.name or 'the corpus'} holds {rows} with "
            f"{target}: choose one of {', '.join(others)}."
        )
    regression = ("spearman", "pearson")
    select = recipe.training.select
    if select != "auto" and (select in regression) != (target == "scores"):
        raise InputError(
            f"training.select is {select!r}, which {target} do not have: set it to 'auto'."
        )


def read_view_source(
    recipe: Recipe, data: Data, tokenizer: Any
) -> tuple[ViewSource | None, Path | None]:
    """Where the recipe's views come from, and the file they are read from, if they are.

    A method without unlabelled rows has none; one that does not look at views has none of each row.
    """
    if not recipe.method.unlabelled:
        return None, None
    if not recipe.method.views:
        return WordDropout(recipe.views.rate, copies=0), None
    if not recipe.views.file and not recipe.views.backend:
        return WordDropout(recipe.views.rate, recipe.views.copies), None
    file = Path(recipe.views.file)
    if recipe.views.backend:
        file = back_translate(recipe.views, data.train, data.split.unlabelled, sys.stderr)
    views = tokenise_views(
        tokenizer,
        file,
        data.train,
        data.split.unlabelled,
        max_length=recipe.model.max_length,
        special_tokens=recipe.model.special_tokens,
    )
    return views, file


def train_classifier(
    recipe: Recipe,
    folder: Path,
    corpus: Corpus | None = None,
    test: Corpus | None = None,
    resume: bool = False,
    quiet: bool = False,
    need_model: bool = True,
) -> Result[Predictor]:
    """Trains a recipe in a run folder; arguments and errors as in `api.train`."""
    prepare = partial(Run.prepare, recipe, corpus, test)
    return train_in(folder, recipe, prepare, load, resume, quiet, need_model)
