"""Rounds of taggers: SeqMix adds generated sentences to those that are labelled.

Every arm makes the same number of updates, since steps are counted without generated sentences.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from torch.utils.tensorboard import SummaryWriter

from mixtext.active.policies import highest, informativeness_of_sentences
from mixtext.active.rounds import Rounds, State
from mixtext.data.read.options import UNSAID, ReadOptions
from mixtext.environment import made_by
from mixtext.errors import InputError, reading
from mixtext.files import WAY_OUT, write_text
from mixtext.recipe import fields_of
from mixtext.tagging.conll import conll_text, read_conll
from mixtext.tagging.corpus import TaggedCorpus
from mixtext.tagging.data import TagData, called_of, load_tag_data
from mixtext.tagging.generation import Generated, Maker, show, soft_sentences
from mixtext.tagging.recipe import TaggingRecipe
from mixtext.tagging.rows import SoftSentences, hard_sentences, tokenise_sentences
from mixtext.tagging.run import environment_of
from mixtext.tagging.seqmix import SeqMix
from mixtext.tagging.tagger import Tagger, build_tagger
from mixtext.tagging.training import save_tagger, tag_probabilities, tag_trainer
from mixtext.training.device import choose_device
from mixtext.training.settings import TrainingSettings, plan_steps

SHOWN = 10  # generated sentences of a round that TensorBoard shows
HEARD = frozenset({"encoding", "encoding_errors"})


@dataclass(frozen=True)
class Fitted:
    """A trained tagger."""

    model: Tagger
    tokenizer: Any


@dataclass(frozen=True, kw_only=True)
class SentenceRounds(Rounds[Fitted]):
    """Rounds of a tagger.

    Attributes:
        recipe: see `TaggingRecipe`.
        data: seed set, pool, and parts to score on.
    """

    rows: ClassVar[str] = "sentences"
    metric: ClassVar[str] = "f1"
    counts: ClassVar[tuple[str, ...]] = ("labelled", "generated")
    suffixes: ClassVar[tuple[str, ...]] = (".conll",)

    recipe: TaggingRecipe
    data: TagData

    @classmethod
    def of(cls, recipe: TaggingRecipe, folder: Path, quiet: bool = False) -> "SentenceRounds":
        """Loads the sentences of a recipe, for a run in a folder."""
        data, method = load_tag_data(recipe.data), recipe.method
        about = {
            "name": recipe.name,
            "task": "tagging",
            "rows": cls.rows,
            "metric": cls.metric,
            "corpus": data.seed.name,
            "encoder": recipe.model.encoder,
            "policy": recipe.active.policy,
            "method": method.name,
            "pairing": method.pairing if isinstance(method, SeqMix) else "",
            "seed": recipe.training.seed,
            "split_seed": recipe.data.split_seed,
            "pool": len(data.pool),
            "dev_rows": len(data.parts.get("dev", ())),
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
        )

    @property
    def notes(self) -> Sequence[str]:
        """See `TagData`."""
        return self.data.notes

    @property
    def label_names(self) -> list[str]:
        """The tags, in BIO."""
        return self.data.seed.tag_names

    def environment(self) -> dict[str, Any]:
        """See `run_folder.environment`."""
        return environment_of(self.recipe, self.data)

    def askable(self) -> list[str]:
        """The sentences of the pool, all different."""
        return [*self.data.pool.ids]

    def unknown(self) -> list[str]:
        """Those without tags."""
        pool = self.data.pool
        return [pool.ids[row] for row in np.flatnonzero(~pool.labelled)]

    def check_kind(self) -> None:
        """Refuses an encoder, word vectors or a language model that are not there or do not fit."""
        model, seed = self.recipe.model, self.recipe.training.seed
        choose_device(self.recipe.training.device)
        _, tokenizer = build_tagger(model, len(self.label_names), seed)
        tokenise_sentences(tokenizer, [["a"]], model.max_length, model.overlap)
        self.maker.check()

    def sizes(self, state: State) -> dict[str, int]:
        """Labelled sentences, and those that SeqMix has made of them."""
        made = [self.generated(k) for k in range(state.round + 1)]
        labelled = sum(map(len, self.labelled(state)))
        return {"labelled": labelled, "generated": sum(map(len, made))}

    def lesson(self, state: State) -> tuple[SoftSentences, TrainingSettings]:
        """All that a round's model learns from, and how."""
        labelled = [*self.labelled(state)]
        train = SoftSentences([], [], [])
        for k, part in enumerate(labelled):
            train += hard_sentences(part) + soft_sentences(self.generated(k), f"generated/{k}/")
        training = self.recipe.training
        steps = plan_steps(training, sum(map(len, labelled))).total
        training = replace(
            training,
            steps=steps,
            epochs=0,
            evaluate_every=steps,
            checkpoint_every=training.checkpoint_every or steps,
        )
        return train, training

    def fit(self, state: State, folder: Path, member: int = 0) -> tuple[Fitted, dict[str, Any]]:
        """See `Rounds.fit`."""
        train, training = self.lesson(state)
        training = replace(training, seed=training.seed + 1000 * member)
        method, names = self.recipe.mixing, self.label_names
        parts = {} if member else self.data.parts
        trainer, tokenizer = tag_trainer(self.recipe.model, training, method, train, names, parts)
        hparams = {"sentences": len(train), "seed": training.seed, "rate": method.rate}
        outcome = trainer.fit(folder, names, hparams, quiet=True)
        return Fitted(trainer.model, tokenizer), outcome

    def query(
        self, state: State, committee: Sequence[Fitted], generator: np.random.Generator
    ) -> list[str]:
        """See `Rounds.query`; they leave the pool when they are labelled."""
        pool, policy = self.rows_of(state.pool), self.recipe.active.policy
        probabilities = []
        if policy != "random":
            model, training = self.recipe.model, self.recipe.training
            tokens = tokenise_sentences(
                committee[0].tokenizer, pool.sentences, model.max_length, model.overlap
            )
            probabilities = [
                tag_probabilities(one.model, tokens, training.eval_batch, training.precision)
                for one in committee
            ]
        values = informativeness_of_sentences(policy, probabilities, len(pool), generator)
        return [pool.ids[i] for i in highest(values, self.settings.per_round)]

    def export(self, fitted: Fitted) -> None:
        """Writes the model folder."""
        folder, precision = self.folder / "model", self.recipe.training.precision
        settings, names = self.recipe.model, self.label_names
        save_tagger(folder, fitted.model, fitted.tokenizer, settings, names, precision)

    def prepare(self, state: State, generator: np.random.Generator) -> None:
        """Writes what SeqMix makes of this round's new sentences."""
        made = self.maker.make([*self.labelled(state)][-1], generator)
        path = self.generated_file(state.round)
        write_text(path, "".join(json.dumps(asdict(one)) + "\n" for one in made))

    def look_over(self, state: State) -> None:
        """Refuses generated sentences that are missing or damaged."""
        for round_ in range(state.round + 1):
            self.generated(round_)

    def labelled(self, state: State) -> Iterator[TaggedCorpus]:
        """The seed set and, for each round, the sentences that were labelled in it."""
        yield self.data.seed
        for number, ids in enumerate(state.queries[: state.round], 1):
            if self.settings.annotator == "gold":
                yield self.rows_of(ids)
            else:
                yield read_labels(self.labels_file(number), self.rows_of(ids))

    def generated(self, round_: int) -> list[Generated]:
        """What was generated in a round.

        Raises:
            InputError: the file is missing or damaged.
        """
        path = self.generated_file(round_)
        if not path.is_file():
            raise InputError(f"{path} is missing: {WAY_OUT}.")
        with reading(path, WAY_OUT):
            try:
                lines = path.read_text("utf-8").splitlines()
                made = [Generated(**json.loads(line)) for line in lines]
                for one in made:
                    show(one, self.label_names)
            except (ValueError, TypeError):
                raise InputError(f"{path} is damaged: {WAY_OUT}.") from None
            return made

    def generated_file(self, round_: int) -> Path:
        """Where a round's generated sentences are."""
        return self.folder / "generated" / f"round-{round_:02d}.jsonl"

    def rows_of(self, ids: Sequence[str]) -> TaggedCorpus:
        """Sentences of the pool, with their gold tags where the corpus has some."""
        place = {one: row for row, one in enumerate(self.data.pool.ids)}
        return self.data.pool.select([place[one] for one in ids])

    def asked(self, state: State) -> TaggedCorpus:
        """The sentences that wait for a person, without labels; errors as `waiting`."""
        return _blank(self.rows_of(self.waiting(state)))

    def form(self, ids: Sequence[str], file: Path) -> str:
        """CoNLL, one token a line, with `?` for each tag."""
        return conll_text(_blank(self.rows_of(ids)))

    def filled(self, ids: Sequence[str], file: Path, options: ReadOptions = UNSAID) -> str:
        """See `Rounds.filled`, `read_labels`."""
        return conll_text(read_labels(file, self.rows_of(ids), options))

    def draw_more(self, writer: SummaryWriter, point: dict[str, Any]) -> None:
        """Some generated sentences with their mixed labels."""
        writer.add_scalar("curve/generated", point["generated"], point["labelled"])
        some = self.generated(point["round"])[:SHOWN]
        text = "\n\n".join(show(one, self.label_names) for one in some)
        writer.add_text("generated", text or "nothing", point["labelled"])

    @cached_property
    def maker(self) -> Maker:
        """Makes the sentences of all rounds."""
        text = [*self.data.seed.sentences, *self.data.pool.sentences]
        recipe = self.recipe
        return Maker(recipe.mixing, recipe.model.encoder, text, recipe.training.seed)


def _blank(corpus: TaggedCorpus) -> TaggedCorpus:
    return replace(corpus, tags=[np.full(len(words), -1) for words in corpus.sentences])


def read_labels(file: Path, asked: TaggedCorpus, options: ReadOptions = UNSAID) -> TaggedCorpus:
    """Labels that a person gave to the sentences that were asked for, in the order of these.

    Raises:
        InputError: a sentence is missing, unknown, changed or not labelled, or a tag is unknown.
    """
    options.refuse_unheard(HEARD, "tags are filled into a file as `mixtext active query` writes it")
    given = read_conll(
        file,
        tag="TAG",
        token="FORM",
        tag_names=asked.tag_names,
        on_fault="refuse",
        encoding=options.encoding,
        encoding_errors=options.encoding_errors or "strict",
        called=called_of(options),
    )
    place = {one: row for row, one in enumerate(given.ids)}
    missing = [one for one in asked.ids if one not in place]
    if missing:
        raise InputError(
            f"{file} lacks {len(missing)} of the sentences that were asked for, such as "
            f"'{missing[0]}': bring them back; `mixtext active query` writes them again."
        )
    if len(given) > len(asked):
        extra = next(one for one in given.ids if one not in {*asked.ids})
        raise InputError(f"{file} has the sentence '{extra}', which was not asked for: remove it.")
    given = given.select([place[one] for one in asked.ids])
    for row, one in enumerate(asked.ids):
        if given.sentences[row] != asked.sentences[row]:
            raise InputError(f"{file}: the words of sentence '{one}' were changed: restore them.")
        if (given.tags[row] < 0).any():
            raise InputError(f"{file}: sentence '{one}' is not labelled yet: fill in its tags.")
    return given
