"""Using a trained tagger: load it, find entities in texts."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import load_file

from mixtext.errors import InputError
from mixtext.models.pretrained import load_encoder
from mixtext.tagging.conll import TaggedCorpus, align_tags
from mixtext.tagging.metrics import entity_spans
from mixtext.tagging.rows import tokenise_sentences
from mixtext.tagging.settings import TaggerSettings
from mixtext.tagging.tagger import Tagger
from mixtext.tagging.training import ABOUT, score_tags, tag_probabilities
from mixtext.training.device import choose_device

# As the words of newswire corpora: numbers and abbreviations whole, other signs apart.
WORD = re.compile(r"\d+(?:[.,:/-]\d+)+|(?:[^\W\d_]\.){2,}|\w+(?:[-'’]\w+)*|[^\w\s]|_")


@dataclass(frozen=True)
class Entity:
    """An entity in a text.

    Attributes:
        text: its characters.
        type: its type.
        start: offset of its first character in the text.
        stop: offset behind its last character.
        probability: of the least certain of its words' tags.
    """

    text: str
    type: str
    start: int
    stop: int
    probability: float


@dataclass(frozen=True)
class Entities:
    """One answer: the entities of a text, in order."""

    entities: list[Entity]


@dataclass(frozen=True)
class TagPredictor:
    """A trained tagger, ready for sentences and texts."""

    model: Tagger
    tokenizer: Any
    settings: TaggerSettings
    tag_names: list[str]
    precision: str = "auto"

    def probabilities(self, sentences: Sequence[Sequence[str]]) -> list[np.ndarray]:
        """Tag probabilities of every word, float32, `(T, C)` for each sentence."""
        if not sentences:
            return []
        settings = self.settings
        tokens = tokenise_sentences(
            self.tokenizer, sentences, settings.max_length, settings.overlap
        )
        return tag_probabilities(self.model, tokens, precision=self.precision)

    def tags(self, sentences: Sequence[Sequence[str]]) -> list[list[str]]:
        """The most probable tag of every word; of long sentences too, none is left out."""
        return [[self.tag_names[t] for t in p.argmax(1)] for p in self.probabilities(sentences)]

    def predict(self, texts: Sequence[str]) -> list[Entities]:
        """The entities of each text, with offsets into it."""
        spots = [[match.span() for match in WORD.finditer(text)] for text in texts]
        filled = [row for row, words in enumerate(spots) if words]
        words = [[texts[row][a:b] for a, b in spots[row]] for row in filled]
        found = [Entities([]) for _ in texts]
        for row, p in zip(filled, self.probabilities(words), strict=True):
            for span in entity_spans([self.tag_names[tag] for tag in p.argmax(axis=1)]):
                start, stop = spots[row][span.start][0], spots[row][span.stop - 1][1]
                sure = round(float(p[span.start : span.stop].max(axis=1).min()), 6)
                one = Entity(texts[row][start:stop], span.kind, start, stop, sure)
                found[row].entities.append(one)
        return found

    def evaluate(self, corpus: TaggedCorpus) -> dict[str, float]:
        """Scores of the labelled sentences of a corpus, see `score_tags`.

        Raises:
            InputError: no labelled sentence, or an entity type that the model does not know.
        """
        known = TaggedCorpus([], [], self.tag_names, [])
        corpus = align_tags(known, corpus)
        corpus = corpus.select(np.flatnonzero(corpus.labelled))
        if not len(corpus):
            raise InputError(f"{corpus.source or corpus.name} has no labelled sentence to score.")
        return score_tags(corpus, self.probabilities(corpus.sentences))


def is_tagger(run: str | Path) -> bool:
    """Whether a run folder, or a model folder, holds a tagger."""
    path = model_folder(run) / ABOUT
    return path.is_file() and json.loads(path.read_text(encoding="utf-8")).get("task") == "tagging"


def model_folder(run: str | Path) -> Path:
    """The model folder of a run; a folder without one is taken for a model folder itself."""
    inner = Path(run) / "model"
    return inner if (inner / ABOUT).is_file() else Path(run)


def load_tagger(run: str | Path, device: str = "auto") -> TagPredictor:
    """Loads the tagger of a run folder, or an exported model folder.

    Raises:
        InputError: there is no finished tagger there.
    """
    if not is_tagger(run):
        raise InputError(f"{run} holds no finished tagger: train one first.")
    folder = model_folder(run)
    saved = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
    settings = TaggerSettings(**saved["model"])
    encoder, tokenizer = load_encoder(str(folder.resolve()))
    model = Tagger(encoder, len(saved["tag_names"]), settings.dropout, settings.case)
    model.head.load_state_dict(load_file(folder / "head.safetensors"))
    model.to(choose_device(device)).eval()
    return TagPredictor(model, tokenizer, settings, saved["tag_names"], saved["precision"])
