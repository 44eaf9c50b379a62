"""Active learning: the seed set, then rounds of asking for labels, adding to them and training.

RUN/
  active.json        where the run stands: round, pool, queries, generator, curve
  labels/            what a person has labelled, one CoNLL file a round
  generated/         what SeqMix made of each round's sentences, JSON lines
  points/round-00/   the training of each round: metrics and, until it is done, checkpoints
  events.out.*       for TensorBoard: the learning curve, generated sentences with mixed labels
  model/             the last model

A round trains a new model on all labelled and generated sentences, scores it and, unless it is the
last, asks for the sentences that the policy picks. active.json is replaced in one operation, and
what happens between two of its versions follows from the first: so a run that was killed goes on to
the same curve. Every arm makes the same number of updates, since steps are counted without
generated sentences.
"""

import json
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from torch.utils.tensorboard import SummaryWriter

from mixtext.errors import InputError, reading
from mixtext.files import WAY_OUT, locked, read_json, write_json, write_text
from mixtext.models.folder import has_model
from mixtext.tagging.conll import TaggedCorpus, conll_text, read_conll, sentence_ids
from mixtext.tagging.data import TagData
from mixtext.tagging.generation import Generated, Maker, show, soft_sentences
from mixtext.tagging.policies import highest, informativeness
from mixtext.tagging.rows import SoftSentences, hard_sentences, tokenise_sentences
from mixtext.tagging.seqmix import SeqMix
from mixtext.tagging.settings import ActiveSettings, TaggerSettings
from mixtext.tagging.tagger import Tagger, build_tagger
from mixtext.tagging.training import save_tagger, tag_probabilities, tag_trainer
from mixtext.training.device import choose_device
from mixtext.training.monitor import EVENTS
from mixtext.training.settings import TrainingSettings, plan_steps

STATE = "active.json"
SHOWN = 10  # generated sentences of a round that TensorBoard shows


@dataclass
class State:
    """Where a run stands; saved after every step.

    Attributes:
        round: how often labels have been added.
        phase: what comes next: `train`, `label` the last query, or nothing (`done`).
        pool: ids of the sentences that may still be asked for.
        queries: the ids asked for, a list for each round.
        curve: for each trained round the sizes and metrics.
        generator: state of the numpy generator.
    """

    round: int
    phase: Literal["train", "label", "done"]
    pool: list[str]
    queries: list[list[str]] = field(default_factory=list)
    curve: list[dict[str, Any]] = field(default_factory=list)
    generator: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ActiveRun:
    """A run of active learning in its folder.

    Attributes:
        folder: the run folder.
        settings: of the rounds.
        model: of the tagger.
        training: of each round's training.
        data: seed set, pool, and parts to score on.
        method: SeqMix's settings; a rate of 0 generates nothing.
        about: what curve.json says of the run besides its learning curve.
        quiet: print nothing.
    """

    folder: Path
    settings: ActiveSettings
    model: TaggerSettings
    training: TrainingSettings
    data: TagData
    method: SeqMix
    about: dict[str, Any]
    quiet: bool = False

    def go_on(self, need_model: bool = True) -> State:
        """Goes on until the last round is trained, or until a person is to label.

        Args:
            need_model: if the model is gone, make it again.

        Raises:
            InputError: another process is at work in the folder, or one of its files is damaged.
            Diverged: a training is lost; the rounds before it are kept.
        """
        with locked(self.folder):
            state = self.load() or self.begin()
            for round_ in range(state.round + 1):
                self.generated(round_)  # needed only by the next training, but a fault comes first
            while state.phase != "done":
                if state.phase == "train":
                    self.train(state)
                elif (
                    self.settings.annotator == "gold" or self.labels_file(state.round + 1).is_file()
                ):
                    self.reveal(state)
                else:
                    break
            if need_model and not has_model(self.folder):
                self.restore(state)
            if state.phase == "label":
                return state
            write_json(self.folder / "curve.json", {**self.about, "curve": state.curve})
            return state

    def load(self) -> State | None:
        """The saved state, or None where there is none yet.

        Raises:
            InputError: it is damaged, or missing beside what a run has left.
        """
        path = self.folder / STATE
        if not path.is_file() and not (self.folder / "points").exists():
            return None
        with reading(path, WAY_OUT):
            state = State(**read_json(path))
            if not self.fits(state):
                raise InputError(f"{path} is damaged: {WAY_OUT}.")
            return state

    def fits(self, state: State) -> bool:
        """Whether a saved state can be one of this run."""
        ids, asked = {*self.data.pool.ids}, [one for ids in state.queries for one in ids]
        np.random.default_rng().bit_generator.state = state.generator
        sizes = [point[key] for point in state.curve for key in ("round", "labelled", "updates")]
        metrics = [point[part] for point in state.curve for part in ("dev", "test")]
        numbers = [*sizes, *(x for one in metrics for x in one.values())]
        return (
            type(state.round) is int
            and state.phase in ("train", "label", "done")
            and len(state.queries) == state.round + (state.phase == "label")
            and len(state.curve) == state.round + (state.phase != "train")
            and {*state.pool, *asked} <= ids
            and all(isinstance(x, int | float) for x in numbers)
            and all("f1" in one for one in metrics if one)
            and all("generated" in point for point in state.curve)
        )

    def saved(self) -> State:
        """The saved state.

        Raises:
            InputError: there is none yet.
        """
        state = self.load()
        if state is None:
            raise InputError(
                f"{self.folder} has not begun yet: go on with `mixtext active run … --resume`."
            )
        return state

    def check(self) -> None:
        """Refuses what could not be run, before anything is written.

        Raises:
            InputError: the pool is too small or lacks labels; no such encoder, word vectors or
                language model.
        """
        settings, pool = self.settings, self.data.pool
        needed = settings.rounds * settings.per_round
        if len(pool) < needed:
            raise InputError(
                f"active.rounds × active.per_round is {needed}, but the pool has {len(pool)} "
                "sentences: lower them, or give more sentences."
            )
        if settings.annotator == "gold" and settings.rounds and not pool.labelled.all():
            unknown = pool.ids[int(np.flatnonzero(~pool.labelled)[0])]
            raise InputError(
                f"active.annotator is 'gold', but sentence '{unknown}' of the pool has no labels: "
                "set it to 'person', or leave such sentences out."
            )
        choose_device(self.training.device)
        model = self.model
        _, tokenizer = build_tagger(model, len(self.data.seed.tag_names), self.training.seed)
        tokenise_sentences(tokenizer, [["a"]], model.max_length, model.overlap)
        self.maker.check()

    def begin(self) -> State:
        """The first state: the seed set is labelled and augmented, everything else in the pool."""
        state = State(0, "train", list(self.data.pool.ids))
        self.augment(state, np.random.default_rng(self.training.seed))
        self.save(state)
        return state

    def save(self, state: State) -> None:
        """Saves the state, whole or not at all."""
        write_json(self.folder / STATE, asdict(state))

    def train(self, state: State) -> None:
        """Trains and scores the model of this round and, unless it is the last, picks a query."""
        started = time.monotonic()
        last = state.round == self.settings.rounds
        labelled = [*self.labelled(state)]
        made = [self.generated(k) for k in range(state.round + 1)]
        train, training = self.lesson(state)
        point = self.folder / "points" / f"round-{state.round:02d}"
        model, tokenizer, outcome = self.fit(train, point, training)
        committee = [model]
        if self.settings.policy == "committee" and not last:
            for member in range(1, self.settings.committee):
                committee.append(self.fit(train, point / f"member-{member}", training, member)[0])
        generator = np.random.default_rng()
        generator.bit_generator.state = state.generator
        if not last:
            state.queries.append(self.query(state, committee, tokenizer, generator))
        state.curve.append(
            {
                "round": state.round,
                "labelled": sum(map(len, labelled)),
                "generated": sum(map(len, made)),
                "updates": outcome["steps"],
                "dev": outcome["dev"],
                "test": outcome["test"],
                "clock": {"seconds": round(time.monotonic() - started, 1)},
            }
        )
        state.generator = dict(generator.bit_generator.state)
        state.phase = "done" if last else "label"
        if last or self.settings.annotator == "person":
            self.export(model, tokenizer)
        self.draw(state)
        self.save(state)
        for checkpoints in point.rglob("checkpoints"):  # the state is safe: they have served
            shutil.rmtree(checkpoints, ignore_errors=True)
        found = outcome["test"] or outcome["dev"]
        self.say(
            f"round {state.round}: {state.curve[-1]['labelled']} labelled and "
            f"{state.curve[-1]['generated']} generated sentences"
            + (f", F1 {found['f1']:.4f}" if found else "")
        )

    def lesson(self, state: State) -> tuple[SoftSentences, TrainingSettings]:
        """All that a round's model learns from, and how."""
        labelled = [*self.labelled(state)]
        train = SoftSentences([], [], [])
        for k, part in enumerate(labelled):
            train += hard_sentences(part) + soft_sentences(self.generated(k), f"generated/{k}/")
        steps = plan_steps(self.training, sum(map(len, labelled))).total
        training = replace(
            self.training,
            steps=steps,
            epochs=0,
            evaluate_every=steps,
            checkpoint_every=self.training.checkpoint_every or steps,
        )
        return train, training

    def restore(self, state: State) -> None:
        """Makes the model of the last round again, by the same training."""
        self.say(f"the model of {self.folder} is gone: it is made again")
        again = self.folder / "points" / "again"
        train, training = self.lesson(state)
        model, tokenizer, _ = self.fit(train, again, training)
        self.export(model, tokenizer)
        shutil.rmtree(again, ignore_errors=True)

    def export(self, model: Tagger, tokenizer: Any) -> None:
        """Writes the model folder."""
        folder, names = self.folder / "model", self.data.seed.tag_names
        save_tagger(folder, model, tokenizer, self.model, names, self.training.precision)

    def fit(
        self, train: SoftSentences, folder: Path, training: TrainingSettings, member: int = 0
    ) -> tuple[Tagger, Any, dict[str, Any]]:
        """Trains a new model; returns it, its tokenizer, and what `Trainer.fit` says.

        Members of a committee differ in their seed. The first has the run's, and is the one that
        is scored.
        """
        training = replace(training, seed=training.seed + 1000 * member)
        names = self.data.seed.tag_names
        parts = {} if member else self.data.parts
        trainer, tokenizer = tag_trainer(self.model, training, self.method, train, names, parts)
        hparams = {"sentences": len(train), "seed": training.seed, "rate": self.method.rate}
        outcome = trainer.fit(folder, names, hparams, quiet=True)
        return trainer.model, tokenizer, outcome

    def query(
        self, state: State, committee: list[Tagger], tokenizer: Any, generator: np.random.Generator
    ) -> list[str]:
        """The ids that the policy asks for; they leave the pool when they are labelled."""
        pool = self.data.pool.select(_rows(self.data.pool, state.pool))
        probabilities = []
        if self.settings.policy != "random":
            tokens = tokenise_sentences(
                tokenizer, pool.sentences, self.model.max_length, self.model.overlap
            )
            batch, precision = self.training.eval_batch, self.training.precision
            probabilities = [tag_probabilities(m, tokens, batch, precision) for m in committee]
        values = informativeness(self.settings.policy, probabilities, len(pool), generator)
        return [pool.ids[i] for i in highest(values, self.settings.per_round)]

    def reveal(self, state: State) -> None:
        """Takes the labels of the last query in, and makes new sentences of them."""
        asked = {*state.queries[-1]}
        state.pool = [one for one in state.pool if one not in asked]
        state.round += 1
        state.phase = "train"
        generator = np.random.default_rng()
        generator.bit_generator.state = state.generator
        self.augment(state, generator)
        self.save(state)

    def augment(self, state: State, generator: np.random.Generator) -> None:
        """Writes what SeqMix makes of this round's new sentences."""
        made = self.maker.make([*self.labelled(state)][-1], generator)
        state.generator = dict(generator.bit_generator.state)
        path = self.generated_file(state.round)
        write_text(path, "".join(json.dumps(asdict(one)) + "\n" for one in made))

    def labelled(self, state: State) -> Iterator[TaggedCorpus]:
        """The seed set and, for each round, the sentences that were labelled in it."""
        yield self.data.seed
        for number, ids in enumerate(state.queries[: state.round], 1):
            asked = self.data.pool.select(_rows(self.data.pool, ids))
            if self.settings.annotator == "gold":
                yield asked
            else:
                yield read_labels(self.labels_file(number), asked)

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
                    show(one, self.data.seed.tag_names)
            except (ValueError, TypeError):
                raise InputError(f"{path} is damaged: {WAY_OUT}.") from None
            return made

    def generated_file(self, round_: int) -> Path:
        """Where a round's generated sentences are."""
        return self.folder / "generated" / f"round-{round_:02d}.jsonl"

    def labels_file(self, round_: int) -> Path:
        """Where a person's labels of a round are."""
        return self.folder / "labels" / f"round-{round_:02d}.conll"

    def asked(self, state: State) -> TaggedCorpus:
        """The sentences that wait for a person, without labels.

        Raises:
            InputError: none do.
        """
        if state.phase != "label":
            raise InputError(
                f"{self.folder} waits for no labels: "
                + ("it is done." if state.phase == "done" else "go on with `mixtext active run`.")
            )
        asked = self.data.pool.select(_rows(self.data.pool, state.queries[-1]))
        return replace(asked, tags=[np.full(len(words), -1) for words in asked.sentences])

    def ask(self, state: State, out: Path) -> None:
        """Writes the sentences that wait for a person to a CoNLL file.

        Only a query of a round that is over is written over: its labels were taken.

        Raises:
            InputError: as `asked`; or there is another file.
        """
        asked = self.asked(state)
        if out.is_file() and sentence_ids(out) not in state.queries[:-1]:
            if out.read_text(encoding="utf-8", errors="replace") != conll_text(asked):
                raise InputError(
                    f"{out} is there and may hold labels: give it to `mixtext active label`, or "
                    "name another file with --out."
                )
            return
        write_text(out, conll_text(asked))

    def take(self, file: Path) -> None:
        """Checks a person's labels of the last query and keeps them.

        Raises:
            InputError: sentences are missing, changed, or not labelled; a tag is unknown; another
                process is at work in the folder.
        """
        with locked(self.folder):
            state = self.saved()
            labels = read_labels(file, self.asked(state))
            path = self.labels_file(state.round + 1)
            write_text(path, conll_text(labels))

    def draw(self, state: State) -> None:
        """Writes the learning curve and generated sentences for TensorBoard, all anew."""
        for old in self.folder.glob(EVENTS):
            old.unlink()
        shutil.rmtree(self.folder / "tensorboard", ignore_errors=True)  # of earlier versions
        names = self.data.seed.tag_names
        with SummaryWriter(str(self.folder)) as writer:
            for point in state.curve:
                for part in ("dev", "test"):
                    for name, value in point[part].items():
                        writer.add_scalar(f"curve_{part}/{name}", value, point["labelled"])
                writer.add_scalar("curve/generated", point["generated"], point["labelled"])
                some = self.generated(point["round"])[:SHOWN]
                text = "\n\n".join(show(one, names) for one in some)
                writer.add_text("generated", text or "nothing", point["labelled"])

    def say(self, text: str) -> None:
        """Prints a line, unless quiet."""
        if not self.quiet:
            print(text, file=sys.stderr)

    @cached_property
    def maker(self) -> Maker:
        """Makes the sentences of all rounds."""
        text = [*self.data.seed.sentences, *self.data.pool.sentences]
        return Maker(self.method, self.model.encoder, text, self.training.seed)


def _rows(corpus: TaggedCorpus, ids: list[str]) -> list[int]:
    place = {one: row for row, one in enumerate(corpus.ids)}
    return [place[one] for one in ids]


def read_labels(file: Path, asked: TaggedCorpus) -> TaggedCorpus:
    """Labels that a person gave to the sentences that were asked for, in the order of these.

    Raises:
        InputError: a sentence is missing, unknown, changed or not labelled, or a tag is unknown.
    """
    given = read_conll(file, tag="TAG", token="FORM", tag_names=asked.tag_names, on_fault="refuse")
    place = {one: row for row, one in enumerate(given.ids)}
    missing = [one for one in asked.ids if one not in place]
    if missing:
        raise InputError(
            f"{file} lacks {len(missing)} of the sentences that were asked for, such as "
            f"'{missing[0]}': write the file anew with `mixtext active query`."
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
