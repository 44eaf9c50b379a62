"""A run: recipe in, run folder out.

runs/<name>/
  recipe.toml        the recipe with every field written out
  environment.json   versions, checksums of the data, sizes of the split
  metrics.jsonl      every number, one line an interval: the truth
  tensorboard/       the same for the eye
  checkpoints/       the last state and the best weights
  result.json        what came out
  model/             the model, an ordinary Hugging Face folder with a head beside it
"""

import hashlib
import json
import platform
import sys
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mixtext.data.batches import Batch, Feed, Source, Tokens, tokenise
from mixtext.data.corpus import Corpus, renumber_labels
from mixtext.data.prepare import Data, prepare_data
from mixtext.data.views import ViewSource, WordDropout, back_translate, stored_views
from mixtext.errors import InputError
from mixtext.files import write_json, write_text
from mixtext.inference import Predictor, export, rows_of
from mixtext.methods import METHODS
from mixtext.metrics import metrics_of
from mixtext.models.build import build_model
from mixtext.models.classifier import Classifier
from mixtext.recipe import Recipe, changed, dump_recipe, flat, load_recipe
from mixtext.training.checkpoints import Checkpoints
from mixtext.training.device import choose_device
from mixtext.training.loop import Trainer
from mixtext.training.scoring import predict_rows

PACKAGES = ("torch", "transformers", "tokenizers", "numpy", "scikit-learn", "safetensors")


@dataclass
class Run:
    """A recipe made ready: data split and tokenised, model built, trainer set up."""

    recipe: Recipe
    data: Data
    tokenizer: Any
    feed: Feed
    trainer: Trainer[Classifier, Batch]
    sources: dict[str, Source]
    notes: list[str]

    @classmethod
    def prepare(
        cls, recipe: Recipe, train: Corpus | None = None, test: Corpus | None = None
    ) -> "Run":
        """Loads everything a recipe names; all refusals of bad input happen here."""
        device = choose_device(recipe.training.device)
        data = prepare_data(recipe.data, recipe.method.unlabelled, train, test)
        if data.test is None and recipe.training.test_at_every_tie:
            raise InputError(
                "training.test_at_every_tie is true but there is no test part: set data.test or "
                "data.test_per_class, or training.test_at_every_tie to false."
            )
        check_method(recipe, data.train)
        model, tokenizer, notes = build_model(recipe.model, data.train, recipe.training.seed)
        views = read_view_source(recipe, data, tokenizer)
        recipe.method.check(
            model.encoder.layers,
            None if views is None else views.copies,
            pairs=data.train.pairs is not None,
        )
        model.to(device)
        if recipe.training.gradient_checkpointing:
            model.encoder.enable_gradient_checkpointing()

        sources = {"train": rows_of(data.train, recipe.model, tokenizer)}
        if data.test is not None:
            sources["test"] = rows_of(data.test, recipe.model, tokenizer)
        pad_to = recipe.model.max_length if recipe.model.pad_to_max else 0
        parts = {
            "dev": ("train", data.split.dev, data.train.labels),
            "labelled": ("train", data.split.labelled, data.train.labels),
        }
        if data.test is not None:
            parts["test"] = ("test", np.flatnonzero(data.test.labelled), data.test.labels)

        def measure(model: Classifier, part: str) -> dict[str, float]:
            if part not in parts:
                return {}
            source, rows, labels = parts[part]
            outputs = predict_rows(
                model,
                sources[source],
                rows,
                batch=recipe.training.eval_batch,
                pad_to=pad_to,
                precision=recipe.training.precision,
            )
            return metrics_of(data.train.target, labels[rows], outputs)

        feed = Feed(
            sources["train"],
            data.train.labels,
            data.train.ids,
            data.split.labelled,
            data.split.unlabelled,
            views,
            batch=recipe.training.batch,
            batch_unlabelled=recipe.training.batch_unlabelled,
            seed=recipe.training.seed,
            by_length=recipe.training.by_length,
            pad_to=pad_to,
        )
        trainer = Trainer(
            model,
            recipe.method,
            feed,
            recipe.training,
            measure,
            has_dev=len(data.split.dev) > 0,
            generator=np.random.default_rng(recipe.training.seed),
        )
        return cls(recipe, data, tokenizer, feed, trainer, sources, [*data.notes, *notes])

    def describe(self) -> str:
        """The plan in words: data, split sizes, method, steps."""
        recipe, data, plan = self.recipe, self.data, self.trainer.plan
        test = "no test part" if data.test is None else f"{len(data.test)} test"
        views = self.feed.views
        names, more = data.train.label_names, ", …" if data.train.classes > 8 else ""
        told = f"{len(names)} classes ({', '.join(names[:8])}{more})" if names else "scores"
        cut = ""
        if data.train.rows != "vectors":
            full = (self.sources["train"].lengths >= recipe.model.max_length).mean()
            cut = f", texts cut at {recipe.model.max_length} tokens ({full:.0%} reach that length)"
        lines = [
            f"corpus    {data.train.name}: {len(data.train)} training rows, {test}, "
            f"{data.train.rows} → {told}",
            f"split     {len(data.split.labelled)} labelled, {len(data.split.unlabelled)} "
            f"unlabelled, {len(data.split.dev)} dev",
            f"model     {recipe.model.encoder}, {self.trainer.model.encoder.layers} layers{cut}",
            f"method    {recipe.method.name}",
            f"training  {plan.total} steps of {recipe.training.batch * recipe.training.accumulate}"
            f" labelled rows"
            + (
                f" and {recipe.training.batch_unlabelled * recipe.training.accumulate} unlabelled "
                f"(views: {views.description})"
                if views is not None
                else ""
            )
            + f", evaluation every {plan.evaluate} steps, on {self.trainer.device}",
        ]
        return "\n".join(lines + [f"note      {note}" for note in (*self.notes, *recipe.waiting())])

    def estimate(self) -> float:
        """Seconds that the training will take, from three timed steps and one scored batch.

        The steps are real ones: throw the run away afterwards.
        """
        trainer, plan = self.trainer, self.trainer.plan
        times = []
        for step in range(4):  # the first warms up
            start = time.monotonic()
            trainer.step(step, lambda outcome, batch: None)
            times.append(time.monotonic() - start)
        seconds = sorted(times[1:])[1] * plan.total
        dev = self.data.split.dev
        if len(dev):
            some = min(len(dev), 2 * self.recipe.training.eval_batch)
            start = time.monotonic()
            predict_rows(
                trainer.model,
                self.sources["train"],
                dev[:some],
                pad_to=self.feed.pad_to,
                precision=self.recipe.training.precision,
            )
            a_row = (time.monotonic() - start) / some
            test = 0 if self.data.test is None else len(self.data.test)
            seconds += a_row * (len(dev) * (plan.total // max(1, plan.evaluate)) + test)
        return seconds

    def fit(self, folder: Path, quiet: bool = False) -> dict[str, Any]:
        """Trains in a run folder (see `train`) and writes result and model."""
        started = time.time()
        recipe, data = self.recipe, self.data
        write_json(folder / "environment.json", self.environment())
        outcome = self.trainer.fit(folder, data.train.label_names, flat(recipe), quiet)
        result = {
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
            "views": "" if self.feed.views is None else self.feed.views.description,
            "dev_rows": len(data.split.dev),
            "test_rows": 0 if data.test is None else int(data.test.labelled.sum()),
            "split_seed": recipe.data.split_seed,
            "seed": recipe.training.seed,
            "settings": changed(recipe),
            **outcome,
            "clock": {"seconds": round(time.time() - started, 1)},
        }
        model = self.trainer.method.evaluated(self.trainer.model)
        export(
            folder / "model",
            model,
            self.tokenizer,
            recipe.model,
            data.train,
            recipe.training.precision,
        )
        write_json(folder / "result.json", result)
        return result

    def environment(self) -> dict[str, Any]:
        """Versions, and checksums of the data and of the split."""
        data = self.data
        rows = np.concatenate([data.split.labelled, data.split.unlabelled, data.split.dev])
        return {
            "python": platform.python_version(),
            "packages": {name: version(name) for name in PACKAGES},
            "device": str(self.trainer.device),
            "threads": torch.get_num_threads(),
            "data": {
                "train": data.train.checksum(),
                "test": None if data.test is None else data.test.checksum(),
                "split": hashlib.sha256(rows.astype("<i8").tobytes()).hexdigest(),
            },
        }


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


def read_view_source(recipe: Recipe, data: Data, tokenizer: Any) -> ViewSource | None:
    """Where the recipe's views come from; None for a method without unlabelled rows."""
    if not recipe.method.unlabelled:
        return None
    if not recipe.views.file and not recipe.views.backend:
        return WordDropout(recipe.views.rate, recipe.views.copies)
    file: str | Path = recipe.views.file
    if recipe.views.backend:
        file = back_translate(recipe.views, data.train, data.split.unlabelled, sys.stderr)

    pool = data.train.select(data.split.unlabelled)

    def tokenise_views(texts: list[str]) -> Tokens:
        return tokenise(
            tokenizer,
            texts,
            pool.pairs,
            max_length=recipe.model.max_length,
            special_tokens=recipe.model.special_tokens,
        )

    return stored_views(file, data.train, data.split.unlabelled, tokenise_views)


def train(
    recipe: Recipe | None = None,
    *,
    corpus: Corpus | None = None,
    test: Corpus | None = None,
    folder: str | Path | None = None,
    resume: bool = False,
    quiet: bool = False,
) -> dict[str, Any]:
    """Trains a recipe and returns its result.

    Args:
        recipe: what to do; None: MixText with default settings.
        corpus: training rows, instead of the ones that `recipe.data` names.
        test: test rows, with `corpus`.
        folder: the run folder; None: `runs/<recipe.name>`.
        resume: go on with an unfinished run; one that is finished is returned as it is.
        quiet: print nothing.

    Returns:
        What `result.json` holds: `dev` and `test` metrics, `steps`, `best_step`, sizes, seeds.

    Raises:
        InputError: bad input; nothing that was made before is lost.
        Diverged: the loss is no number any more; the last good checkpoint is kept.

    Example:
        ```python
        corpus = Corpus.from_lists(texts, labels)  # a label of None is an unlabelled row
        result = train(Recipe(name="mine"), corpus=corpus)
        predict("runs/mine", ["some text"])
        ```
    """
    recipe = recipe or Recipe()
    folder = Path(folder or Path("runs") / recipe.name)
    result = check_folder(folder, recipe, resume)
    if result is not None:
        return result
    run = Run.prepare(recipe, corpus, test)
    check_data(folder, run)
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "recipe.toml", dump_recipe(recipe))
    if not quiet:
        print(run.describe(), file=sys.stderr)
    return run.fit(folder, quiet)


def check_folder(folder: Path, recipe: Recipe, resume: bool) -> dict[str, Any] | None:
    """Refuses a folder that holds another run; the result where this run is finished already."""
    saved = folder / "recipe.toml"
    if not saved.is_file():
        # A run that was killed as it began leaves at most this.
        half_written = {saved.with_name("recipe.toml.tmp")}
        if folder.exists() and (not folder.is_dir() or {*folder.iterdir()} - half_written):
            raise InputError(f"{folder} exists and is not a run folder: name another with --run.")
        return None
    # Loaded, not word for word: a run of an earlier version lacks fields that came since.
    if load_recipe(saved) != recipe:
        raise InputError(
            f"run folder {folder} already holds another recipe ({saved}): "
            "name another folder with --run."
        )
    if not resume:
        raise InputError(
            f"run folder {folder} already holds this run: add --resume to go on with it, or name "
            "another folder with --run."
        )
    finished = folder / "result.json"
    if not finished.is_file():
        return None
    return dict(json.loads(finished.read_text(encoding="utf-8")))


def check_data(folder: Path, run: Run) -> None:
    """Refuses to go on with a run whose data have changed since."""
    saved = folder / "environment.json"
    if saved.is_file() and Checkpoints(folder / "checkpoints").index:
        before = json.loads(saved.read_text(encoding="utf-8"))["data"]
        for part, checksum in run.environment()["data"].items():
            if before[part] != checksum:
                raise InputError(
                    f"the {part} data of run folder {folder} have changed since it began: "
                    "bring them back, or start anew in another folder with --run."
                )


def evaluate(predictor: Predictor, corpus: Corpus) -> dict[str, float]:
    """Scores a trained model on the labelled rows of a corpus.

    Raises:
        InputError: rows or target are not the model's, a label is not known to the model, or
            there is no label at all.
    """
    if corpus.target != predictor.target:
        raise InputError(
            f"{corpus.source or corpus.name or 'the corpus'} has {corpus.target}, but the model "
            f"was trained to tell {predictor.target}: give rows that have such."
        )
    if predictor.target == "classes":
        corpus = renumber_labels(corpus, predictor.label_names)
    rows = np.flatnonzero(corpus.labelled)
    if not len(rows):
        raise InputError(f"{corpus.source or corpus.name} has no labelled rows to score.")
    corpus = corpus.select(rows)
    return metrics_of(predictor.target, corpus.labels, predictor.outputs(corpus))
