"""Runs of taggers: plain training, and active learning; the folders they fill."""

import json
import platform
import sys
import time
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from mixtext.data.read.options import UNSAID, ReadOptions
from mixtext.errors import InputError
from mixtext.files import write_json, write_text
from mixtext.recipe import build_recipe, dump_recipe, flat
from mixtext.settings import read_toml
from mixtext.tagging.data import TagData, TagDataSettings, heed, load_tag_data, read_tagged
from mixtext.tagging.entities import load_tagger
from mixtext.tagging.generation import Generated, Maker, show, soft_sentences
from mixtext.tagging.recipe import TaggingRecipe
from mixtext.tagging.rounds import ActiveRun, State
from mixtext.tagging.rows import TaggedBatch, hard_sentences
from mixtext.tagging.seqmix import SeqMix
from mixtext.tagging.tagger import Tagger
from mixtext.tagging.tags import kinds_of
from mixtext.tagging.training import save_tagger, tag_trainer
from mixtext.training.loop import Trainer
from mixtext.training.settings import plan_steps

PACKAGES = ("torch", "transformers", "tokenizers", "numpy", "nltk", "safetensors")


def open_run(folder: Path, recipe: TaggingRecipe, data: TagData, resume: bool) -> None:
    """Makes a run folder, or checks that it holds this very run and that `resume` allows it.

    Raises:
        InputError: the folder holds something else, or the data have changed.
    """
    saved, about = folder / "recipe.toml", folder / "environment.json"
    parts = {"seed": data.seed, "pool": data.pool, **data.parts}
    checksums = {name: part.checksum() if len(part) else None for name, part in parts.items()}
    if saved.is_file():
        # Loaded, not word for word: a run of an earlier version wrote its tables in another order.
        if build_recipe(TaggingRecipe, read_toml(saved), where=str(saved)) != recipe:
            raise InputError(
                f"run folder {folder} already holds another recipe ({saved}): name another folder "
                "with --run."
            )
        if not resume:
            raise InputError(
                f"run folder {folder} already holds this run: add --resume to go on with it, or "
                "name another folder with --run."
            )
        before = json.loads(about.read_text(encoding="utf-8"))["data"] if about.is_file() else {}
        for name, checksum in before.items():
            if checksums.get(name) != checksum:
                raise InputError(
                    f"the {name} data of run folder {folder} have changed since it began: bring "
                    "them back, or start anew in another folder with --run."
                )
        return
    # A run that was killed as it began leaves at most these.
    begun = {about, saved.with_name("recipe.toml.tmp"), about.with_name("environment.json.tmp")}
    if folder.exists() and (not folder.is_dir() or {*folder.iterdir()} - begun):
        raise InputError(f"{folder} exists and is not a run folder: name another with --run.")
    folder.mkdir(parents=True, exist_ok=True)
    environment = {
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
        "data": checksums,
    }
    write_json(about, environment)
    write_text(saved, dump_recipe(recipe))


@dataclass(frozen=True)
class ActiveLearning(ActiveRun):
    """A run of active learning with the recipe that it follows."""

    recipe: TaggingRecipe = field(default_factory=TaggingRecipe)

    def go_on(self) -> State:
        """As `ActiveRun.go_on`; at the end writes curve.json: the arm and its learning curve."""
        state = super().go_on()
        recipe = self.recipe
        about = {
            "name": recipe.name,
            "corpus": self.data.seed.name,
            "encoder": recipe.model.encoder,
            "policy": recipe.active.policy,
            "method": recipe.method.name,
            "pairing": recipe.method.pairing if isinstance(recipe.method, SeqMix) else "",
            "seed": recipe.training.seed,
            "split_seed": recipe.data.split_seed,
            "pool": len(self.data.pool),
            "curve": state.curve,
        }
        if state.phase == "done":
            write_json(self.folder / "curve.json", about)
        return state


def begin_active(
    recipe: TaggingRecipe, folder: Path, resume: bool = False, quiet: bool = False
) -> ActiveLearning:
    """Opens a new run of active learning, or with `resume` one that the folder holds."""
    data = load_tag_data(recipe.data)
    mixing, active = recipe.mixing, recipe.active
    run = ActiveLearning(folder, active, recipe.model, recipe.training, data, mixing, quiet, recipe)
    if not (folder / "recipe.toml").is_file():
        run.check()
    open_run(folder, recipe, data, resume)
    return run


def open_active(folder: Path, quiet: bool = False) -> ActiveLearning:
    """The run of active learning that a folder holds.

    Raises:
        InputError: it holds none, or its data have changed.
    """
    saved = folder / "recipe.toml"
    if not saved.is_file():
        raise InputError(
            f"{folder} holds no run of active learning: begin one with `mixtext active run`."
        )
    recipe = build_recipe(TaggingRecipe, read_toml(saved), where=str(saved))
    return begin_active(recipe, folder, resume=True, quiet=quiet)


@dataclass
class TaggerRun:
    """A recipe of plain training made ready: sentences generated, model built, trainer set up."""

    recipe: TaggingRecipe
    data: TagData
    generated: list[Generated]
    trainer: Trainer[Tagger, TaggedBatch]
    tokenizer: Any

    @classmethod
    def prepare(cls, recipe: TaggingRecipe) -> "TaggerRun":
        """Loads everything that a recipe names; all refusals of bad input happen here."""
        data = load_tag_data(recipe.data)
        mixing, training = recipe.mixing, recipe.training
        text = [*data.seed.sentences, *data.pool.sentences]
        maker = Maker(mixing, recipe.model.encoder, text, training.seed)
        made = maker.make(data.seed, np.random.default_rng(training.seed))
        train = hard_sentences(data.seed) + soft_sentences(made, "generated/")
        # Counted without generated sentences, so that all methods make the same updates.
        plan = plan_steps(training, len(data.seed))
        settings = replace(
            training,
            steps=plan.total,
            epochs=0,
            evaluate_every=plan.evaluate,
            checkpoint_every=plan.checkpoint,
        )
        names = data.seed.tag_names
        trainer, tokenizer = tag_trainer(recipe.model, settings, mixing, train, names, data.parts)
        return cls(recipe, data, made, trainer, tokenizer)

    def describe(self) -> str:
        """The plan in words: data, method, steps."""
        recipe, data, plan = self.recipe, self.data, self.trainer.plan
        scored = ", ".join(f"{len(part)} {name}" for name, part in data.parts.items()) or "none"
        told = "told" if recipe.model.case else "not told"
        lines = [
            f"corpus    {data.seed.name}: {len(data.seed)} labelled sentences, {len(data.pool)} in "
            f"the pool, to score on: {scored}",
            f"types     {', '.join(kinds_of(data.seed.tag_names))}",
            f"model     {recipe.model.encoder}, rows of {recipe.model.max_length} tokens, letter "
            f"case {told} to the head",
            f"method    {recipe.method.name}, {len(self.generated)} generated sentences",
            f"training  {plan.total} steps of {recipe.training.batch} rows, evaluation every "
            f"{plan.evaluate} steps, on {self.trainer.device}",
        ]
        return "\n".join(lines + [f"note      {note}" for note in data.notes])

    def estimate(self) -> float:
        """Seconds that the steps take, by three timed ones; throw the run away afterwards."""
        times = []
        for step in range(4):  # the first warms up
            start = time.monotonic()
            self.trainer.step(step, lambda outcome, batch: None)
            times.append(time.monotonic() - start)
        return sorted(times[1:])[1] * self.trainer.plan.total


def train_tagger(
    recipe: TaggingRecipe, folder: Path, resume: bool = False, quiet: bool = False
) -> dict[str, Any]:
    """Trains on the labelled sentences and those generated from them; returns the result.

    Raises:
        InputError: bad input; nothing that was made before is lost.
        Diverged: the loss is no number any more; the last good checkpoint is kept.
    """
    started = time.time()
    finished = folder / "result.json"
    run = TaggerRun.prepare(recipe)
    data, trainer = run.data, run.trainer
    open_run(folder, recipe, data, resume)
    if finished.is_file():
        return dict(json.loads(finished.read_text(encoding="utf-8")))
    names = data.seed.tag_names
    lines = [show(one, names) + "\n" for one in run.generated]
    write_text(folder / "generated.txt", "".join(lines))
    if not quiet:
        print(run.describe(), file=sys.stderr)
    outcome = trainer.fit(folder, names, flat(recipe), quiet)
    precision = recipe.training.precision
    save_tagger(folder / "model", trainer.model, run.tokenizer, recipe.model, names, precision)
    result = {
        "name": recipe.name,
        "task": "tagging",
        "method": recipe.method.name,
        "corpus": data.seed.name,
        "encoder": recipe.model.encoder,
        "labelled": len(data.seed),
        "generated": len(run.generated),
        "dev_rows": len(data.parts.get("dev", ())),
        "test_rows": len(data.parts.get("test", ())),
        "split_seed": recipe.data.split_seed,
        "seed": recipe.training.seed,
        **outcome,
        "clock": {"seconds": round(time.time() - started, 1)},
    }
    write_json(finished, result)
    return result


def evaluate_tagger(run: Path, file: str, options: ReadOptions = UNSAID) -> dict[str, float]:
    """Scores the tagger of a run on a CoNLL file, read as the run's own files were.

    Args:
        run: a run folder, or the model folder in it.
        file: the CoNLL file.
        options: where it differs from the run's files: its columns, broken UTF-8.
    """
    predictor = load_tagger(run)
    saved = run / "recipe.toml"
    data = TagDataSettings()
    if saved.is_file():
        data = build_recipe(TaggingRecipe, read_toml(saved), where=str(saved)).data
    data = heed(data, options, file)
    corpus = read_tagged(data, file)
    return {"sentences": len(corpus), **predictor.evaluate(corpus)}
