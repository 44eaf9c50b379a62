"""Using a trained model: export it, load it, predict."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mixtext.data.batches import Source, Vectors
from mixtext.data.columns import texts as column_of_texts
from mixtext.data.corpus import Corpus
from mixtext.data.labels import MISSING
from mixtext.data.tokenising import tokenise
from mixtext.errors import InputError, reads
from mixtext.models.build import load_model
from mixtext.models.classifier import Classifier
from mixtext.models.folder import save_parts
from mixtext.models.settings import ModelSettings
from mixtext.training.device import choose_device
from mixtext.training.scoring import predict_rows, refuse_no_numbers


@dataclass(frozen=True)
class Prediction:
    """One answer of a classifier.

    Attributes:
        label: name of the most probable class.
        probabilities: class name → probability; they sum to 1.
    """

    label: str
    probabilities: dict[str, float]


@dataclass(frozen=True)
class Score:
    """One answer of a model of regression."""

    score: float


@dataclass(frozen=True)
class Predictor:
    """A trained model, ready for texts, pairs or vectors.

    Attributes:
        model: in evaluation mode.
        tokenizer: None for vectors.
        settings: how texts are tokenised.
        rows: what it was trained on, as `Corpus.rows`.
        target: what it tells of a row, as `Corpus.target`.
        label_names: C names; empty where it tells scores.
        precision: that it was scored with.
    """

    model: Classifier
    tokenizer: Any
    settings: ModelSettings
    rows: str
    target: str
    label_names: list[str]
    precision: str = "auto"

    def probabilities(
        self, texts: Iterable[str], pairs: Iterable[str] | None = None, batch: int = 64
    ) -> np.ndarray:
        """Class probabilities, or scores, of texts or pairs; see `outputs` and `unlabelled`."""
        rows = unlabelled(texts, pairs)
        if not len(rows):
            return np.empty((0, self.model.head.outputs), dtype=np.float32)
        return self.outputs(rows, batch)

    def outputs(self, corpus: Corpus, batch: int = 64) -> np.ndarray:
        """Class probabilities (N, C), columns as `label_names`, or scores (N, 1), float32.

        Raises:
            InputError: the rows are not of the kind that the model was trained on.
        """
        if corpus.rows != self.rows:
            raise InputError(
                f"the model was trained on {self.rows}, but "
                f"{corpus.source or corpus.name or 'the input'} holds {corpus.rows}: give rows of "
                "the same kind."
            )
        source = rows_of(corpus, self.settings, self.tokenizer)
        pad_to = self.settings.max_length if self.settings.pad_to_max else 0
        found = predict_rows(
            self.model,
            source,
            np.arange(len(corpus)),
            batch=batch,
            pad_to=pad_to,
            precision=self.precision,
        )
        refuse_no_numbers(found)
        return found

    def predict(
        self, texts: Iterable[str], pairs: Iterable[str] | None = None
    ) -> list[Prediction | Score]:
        """Label and probabilities, or score, of each text or pair, in order; see `unlabelled`."""
        rows = unlabelled(texts, pairs)
        return self.answers(rows) if len(rows) else []

    def answers(self, corpus: Corpus) -> list[Prediction | Score]:
        """Label and probabilities, or score, of each row; its own labels are not looked at.

        Raises:
            InputError: as `outputs`.
        """
        outputs = self.outputs(corpus)
        if self.target == "scores":
            return [Score(round(float(row[0]), 6)) for row in outputs]
        return [
            Prediction(
                self.label_names[int(row.argmax())],
                dict(zip(self.label_names, row.astype(float).round(6).tolist(), strict=True)),
            )
            for row in outputs
        ]


def unlabelled(texts: Iterable[str], pairs: Iterable[str] | None = None) -> Corpus:
    """Texts or pairs as the rows of a corpus without labels, numbered from 0; none is no error.

    Args:
        texts: a column of any kind, see `columns.column`; a lone string is one text.
        pairs: as many second texts.

    Raises:
        InputError: a value that is no string; numbers of texts that differ.
    """
    firsts = column_of_texts(texts)
    seconds = None if pairs is None else column_of_texts(pairs, "pairs")
    if seconds is not None and len(seconds) != len(firsts):
        raise InputError(f"there are {len(firsts)} texts but {len(seconds)} pairs: give one a row.")
    ids = [str(i) for i in range(len(firsts))]
    return Corpus(firsts, np.full(len(firsts), MISSING), [], ids, seconds)


def rows_of(
    corpus: Corpus,
    settings: ModelSettings,
    tokenizer: Any,
    rows: np.ndarray | None = None,
    keep: bool = False,
) -> Source:
    """The rows of a corpus as a model takes them: vectors, or tokens, see `tokenise`."""
    if corpus.vectors is not None:
        return Vectors(corpus.vectors)
    return tokenise(
        tokenizer,
        corpus.texts,
        corpus.pairs,
        max_length=settings.max_length,
        special_tokens=settings.special_tokens,
        rows=rows,
        keep=keep,
    )


def export(
    folder: Path,
    model: Classifier,
    tokenizer: Any,
    settings: ModelSettings,
    train: Corpus,
    precision: str = "auto",
) -> None:
    """Writes a model folder, see `models/folder.py`."""
    about = {
        "task": train.task,
        "rows": train.rows,
        "target": train.target,
        "label_names": train.label_names,
        "model": asdict(settings),
        "precision": precision,
    }
    save_parts(folder, model, tokenizer, about)


@reads("export the model again")
def load(run: str | Path, device: str = "auto") -> Predictor:
    """Loads the model of a run folder, or an exported model folder.

    Raises:
        InputError: there is no finished model there.
    """
    model, tokenizer, saved = load_model(Path(run))
    model.to(choose_device(device)).eval()
    return Predictor(
        model,
        tokenizer,
        saved["model"],
        saved["rows"],
        saved["target"],
        saved["label_names"],
        saved["precision"],
    )


def predict(
    run: str | Path, texts: Iterable[str], pairs: Iterable[str] | None = None
) -> list[Prediction | Score]:
    """Answers for each text or pair, by the model of a run folder."""
    return load(run).predict(texts, pairs)
