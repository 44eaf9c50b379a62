"""Runs of taggers: recipe in, run folder out."""

import sys
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from mixtext.data.read.options import UNSAID, ReadOptions
from mixtext.data.vocabulary import vectors_path
from mixtext.environment import environment
from mixtext.errors import InputError
from mixtext.files import write_text
from mixtext.models.pretrained import encoder_folder
from mixtext.recipe import build_recipe, fields_of
from mixtext.run_folder import SAMPLE, PreparedRun, Result, budget, train_in
from mixtext.settings import read_toml
from mixtext.tagging.corpus import TaggedCorpus
from mixtext.tagging.data import (
    TagData,
    TagDataSettings,
    called_of,
    heed,
    load_tag_data,
    read_by_tags,
    read_tagged,
)
from mixtext.tagging.entities import TagPredictor, load_tagger
from mixtext.tagging.generation import Generated, Maker, show, soft_sentences
from mixtext.tagging.recipe import TaggingRecipe
from mixtext.tagging.rows import TaggedBatch, hard_sentences
from mixtext.tagging.tagger import Tagger
from mixtext.tagging.tags import kinds_of
from mixtext.tagging.training import save_tagger, tag_trainer
from mixtext.training.device import choose_device
from mixtext.training.distributed import number
from mixtext.training.loop import Trainer
from mixtext.training.settings import plan_steps


def environment_of(recipe: TaggingRecipe, data: TagData) -> dict[str, Any]:
    """Checksums of the sentences and of the files that the models come from."""
    parts = {"seed": data.seed, "pool": data.pool, **data.parts}
    checksums = {name: part.checksum() if len(part) else None for name, part in parts.items()}
    files: dict[str, Path | str] = {"files of the encoder": encoder_folder(recipe.model.encoder)}
    mixing = recipe.mixing
    if mixing.rate and mixing.vectors:
        files["word vectors"] = vectors_path(mixing.vectors)
    if mixing.rate and mixing.language_model:
        files["files of the language model"] = encoder_folder(mixing.language_model)
    return environment(choose_device(recipe.training.device), checksums, files)


@dataclass
class TaggerRun(PreparedRun[TagPredictor]):
    """A run of plain training.

    Attributes:
        generated: the sentences that were made of the labelled ones.
    """

    recipe: TaggingRecipe
    data: TagData
    generated: list[Generated]
    trainer: Trainer[Tagger, TaggedBatch]

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
        parts = dict(data.parts)
        if "dev" in parts:
            parts["sample"] = parts["dev"].select(range(min(SAMPLE, len(parts["dev"]))))
        trainer, tokenizer = tag_trainer(recipe.model, settings, mixing, train, names, parts)
        sizes = {part: len(corpus) for part, corpus in data.parts.items()}
        return cls(
            recipe=recipe,
            data=data,
            tokenizer=tokenizer,
            trainer=trainer,
            class_names=names,
            sizes=sizes,
            generated=made,
        )

    def describe(self) -> str:
        """The plan in words: data, method, steps."""
        recipe, data, plan = self.recipe, self.data, self.trainer.plan
        scored = ", ".join(f"{len(part)} {name}" for name, part in data.parts.items()) or "none"
        told = "told" if recipe.model.case else "not told"
        lines = [
            f"corpus    {data.seed.name}: {len(data.pool):,} sentences in the pool, to score on: "
            f"{scored}",
            f"split     {budget(self.about()['labels'])}",
            f"types     {', '.join(kinds_of(data.seed.tag_names))}",
            f"model     {recipe.model.encoder}, rows of {recipe.model.max_length} tokens, letter "
            f"case {told} to the head",
            f"method    {recipe.method.name}, {len(self.generated)} generated sentences",
            f"training  {plan.total} steps of {recipe.training.batch} rows, evaluation every "
            f"{plan.evaluate} steps, on {self.trainer.device}",
        ]
        return "\n".join(lines + [f"note      {note}" for note in data.notes])

    def environment(self) -> dict[str, Any]:
        """See `environment_of`."""
        return environment_of(self.recipe, self.data)

    def about(self) -> dict[str, Any]:
        """What result.json says of recipe and data."""
        recipe, data = self.recipe, self.data
        return {
            "name": recipe.name,
            "task": "tagging",
            "rows": "sentences",
            "target": "tags",
            "method": recipe.method.name,
            "corpus": data.seed.name,
            "encoder": recipe.model.encoder,
            "labelled": len(data.seed),
            "generated": len(self.generated),
            "labels": {"learned_from": len(data.seed), "chosen_by": self.sizes.get("dev", 0)},
            "dev_rows": self.sizes.get("dev", 0),
            "test_rows": self.sizes.get("test", 0),
            "split_seed": recipe.data.split_seed,
            "seed": recipe.training.seed,
            "settings": fields_of(recipe),
        }

    def fit(self, folder: Path, quiet: bool = False) -> dict[str, Any]:
        """As `PreparedRun.fit`; generated.txt shows the sentences that were made."""
        if not number():
            lines = [show(one, self.class_names) + "\n" for one in self.generated]
            write_text(folder / "generated.txt", "".join(lines))
        return super().fit(folder, quiet)

    def export(self, folder: Path) -> None:
        """Writes the model folder."""
        settings, names = self.recipe.model, self.class_names
        precision = self.recipe.training.precision
        save_tagger(folder, self.model, self.tokenizer, settings, names, precision)

    def predictor(self) -> TagPredictor:
        """The tagger as it is now, ready for new rows."""
        settings, precision = self.recipe.model, self.recipe.training.precision
        return TagPredictor(self.model, self.tokenizer, settings, self.class_names, precision)


def train_tagger(
    recipe: TaggingRecipe,
    folder: Path,
    resume: bool = False,
    quiet: bool = False,
    need_model: bool = True,
) -> Result[TagPredictor]:
    """Trains on labelled sentences and those generated from them; errors as in `api.train`."""
    prepare = partial(TaggerRun.prepare, recipe)
    return train_in(folder, recipe, prepare, load_tagger, resume, quiet, need_model)


def evaluate_tagger(run: Path, file: str, options: ReadOptions = UNSAID) -> dict[str, float]:
    """Scores the tagger of a run on a CoNLL file, read as the run's own files were.

    Args:
        run: a run folder, or the model folder in it.
        file: the CoNLL file.
        options: where it differs from the run's files: its columns, broken UTF-8.
    """
    predictor = load_tagger(run)
    corpus = read_as_trained(run, file, options)
    for note in corpus.notes:
        print(f"note: {note}", file=sys.stderr)
    return {"sentences": int(corpus.labelled.sum()), **predictor.evaluate(corpus)}


def read_as_trained(
    run: Path, file: str, options: ReadOptions = UNSAID, labels: bool = True
) -> TaggedCorpus:
    """Reads a CoNLL file as a run's own files were, but for what the options say.

    Where its tags are of another scheme, as BILOU instead of BIO, they are read by that.

    Args:
        run: a run folder, or the model folder in it.
        file: the CoNLL file.
        options: where it differs from the run's files.
        labels: look at its tags.
    """
    folders = [run, run.parent] if run.name == "model" else [run]
    saved = next((x / "recipe.toml" for x in folders if (x / "recipe.toml").is_file()), None)
    data = TagDataSettings()
    if saved is not None:
        data = build_recipe(TaggingRecipe, read_toml(saved), where=str(saved)).data
    settings, called = heed(data, options, file), called_of(options)
    try:
        return read_tagged(settings, file, labels, called)
    except InputError as refused:
        if not labels:
            raise
        try:
            settings, corpus = read_by_tags(settings, file, called)
        except InputError:
            raise refused from None
    note = f"the tags of {file} are read by the scheme {settings.scheme}"
    return replace(corpus, notes=(note, *corpus.notes))
