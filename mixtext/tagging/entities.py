"""Using a trained tagger: load it, find entities in texts."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mixtext.data.columns import texts as column_of_texts
from mixtext.errors import InputError, reads
from mixtext.models.folder import ABOUT, load_parts, model_folder, read_about, settings_in
from mixtext.tagging.corpus import TaggedCorpus, align_tags
from mixtext.tagging.metrics import entity_spans
from mixtext.tagging.rows import tokenise_sentences
from mixtext.tagging.settings import TaggerSettings
from mixtext.tagging.tagger import Tagger
from mixtext.tagging.training import tag_metrics, tag_probabilities
from mixtext.training.device import choose_device
from mixtext.training.scoring import refuse_no_numbers

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
        found = tag_probabilities(self.model, tokens, precision=self.precision)
        refuse_no_numbers(np.concatenate(found))
        return found

    def tags(self, sentences: Sequence[Sequence[str]]) -> list[list[str]]:
        """The most probable tag of every word; of long sentences too, none is left out."""
        return [[self.tag_names[t] for t in p.argmax(1)] for p in self.probabilities(sentences)]

    def predict(self, texts: Iterable[str]) -> list[Entities]:
        """The entities of each text, with offsets into it; see `columns.column` for `texts`."""
        texts = column_of_texts(texts)
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
        """Metrics of the labelled sentences of a corpus, see `tag_metrics`.

        Raises:
            InputError: no labelled sentence, or an entity type that the model does not know.
        """
        known = TaggedCorpus([], [], self.tag_names, [])
        corpus = align_tags(known, corpus)
        corpus = corpus.select(np.flatnonzero(corpus.labelled))
        if not len(corpus):
            raise InputError(f"{corpus.source or corpus.name} has no labelled sentence to score.")
        return tag_metrics(corpus, self.probabilities(corpus.sentences))


def is_tagger(run: str | Path) -> bool:
    """Whether a run folder, or a model folder, holds a tagger."""
    path = Path(run)
    return (model_folder(path) / ABOUT).is_file() and read_about(path)["target"] == "tags"


@reads("export the model again")
def load_tagger(run: str | Path, device: str = "auto") -> TagPredictor:
    """Loads the tagger of a run folder, or an exported model folder.

    Raises:
        InputError: there is no finished tagger there.
    """
    if not is_tagger(run):
        raise InputError(f"{run} holds no finished tagger: train one first.")
    parts = load_parts(Path(run))
    saved, settings = parts.about, settings_in(TaggerSettings, Path(run), parts.about)
    model = Tagger(parts.encoder, len(saved["tag_names"]), settings.dropout, settings.case)
    parts.fill(model)
    model.to(choose_device(device)).eval()
    return TagPredictor(model, parts.tokenizer, settings, saved["tag_names"], saved["precision"])
