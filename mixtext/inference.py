"""Using a trained model: export it, load it, predict."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import load_file

from mixtext.data.batches import tokenise
from mixtext.errors import InputError
from mixtext.models.build import ModelSettings
from mixtext.models.classifier import TextClassifier
from mixtext.models.heads import MlpHead
from mixtext.models.pretrained import load_encoder, save_encoder
from mixtext.training.checkpoints import save_tensors, write_json
from mixtext.training.scoring import probabilities
from mixtext.training.settings import choose_device


@dataclass(frozen=True)
class Prediction:
    """One answer.

    Attributes:
        label: name of the most probable class.
        probabilities: class name → probability; they sum to 1.
    """

    label: str
    probabilities: dict[str, float]


@dataclass(frozen=True)
class Predictor:
    """A trained classifier, ready for texts."""

    model: TextClassifier
    tokenizer: Any
    settings: ModelSettings
    label_names: list[str]
    precision: str = "auto"

    def probabilities(
        self, texts: Sequence[str], pairs: Sequence[str] | None = None, batch: int = 64
    ) -> np.ndarray:
        """Class probabilities, (N, C) float32, columns in the order of `label_names`."""
        if not texts:
            return np.empty((0, len(self.label_names)), dtype=np.float32)
        settings = self.settings
        tokens = tokenise(
            self.tokenizer,
            texts,
            pairs,
            max_length=settings.max_length,
            special_tokens=settings.special_tokens,
        )
        pad_to = settings.max_length if settings.pad_to_max else 0
        return probabilities(
            self.model,
            tokens,
            np.arange(len(texts)),
            batch=batch,
            pad_to=pad_to,
            precision=self.precision,
        )

    def predict(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> list[Prediction]:
        """Label and probabilities of each text, in order."""
        return [
            Prediction(
                self.label_names[int(row.argmax())],
                dict(zip(self.label_names, row.astype(float).round(6).tolist(), strict=True)),
            )
            for row in self.probabilities(texts, pairs)
        ]


def export(
    folder: Path,
    model: TextClassifier,
    tokenizer: Any,
    settings: ModelSettings,
    label_names: list[str],
    precision: str = "auto",
) -> None:
    """Writes a model folder.

    The encoder and the tokenizer are saved as an ordinary Hugging Face folder, which `AutoModel`
    and `AutoTokenizer` load; the head lies beside them in `head.safetensors`, and `mixtext.json`
    holds the label names, how texts are tokenised and pooled, and the precision it was scored with.
    """
    folder.mkdir(parents=True, exist_ok=True)
    save_encoder(model.encoder, tokenizer, folder)
    save_tensors(model.head.state_dict(), folder / "head.safetensors")
    write_json(
        folder / "mixtext.json",
        {"label_names": label_names, "model": asdict(settings), "precision": precision},
    )


def load(run: str | Path, device: str = "auto") -> Predictor:
    """Loads the model of a run folder, or an exported model folder.

    Raises:
        InputError: there is no finished model there.
    """
    run = Path(run)
    folder = run / "model" if (run / "model" / "mixtext.json").is_file() else run
    if not (folder / "mixtext.json").is_file():
        state = "is not there" if not run.exists() else "holds no finished model"
        raise InputError(f"run folder {run} {state}: train it first (or again with --resume).")
    saved = json.loads((folder / "mixtext.json").read_text(encoding="utf-8"))
    settings = ModelSettings(**saved["model"])
    encoder, tokenizer = load_encoder(str(folder.resolve()))
    head = MlpHead(encoder.hidden_size, len(saved["label_names"]), settings.head_width)
    head.load_state_dict(load_file(folder / "head.safetensors"))
    model = TextClassifier(encoder, head, pool=settings.pool, use_mask=settings.use_mask)
    model.to(choose_device(device)).eval()
    return Predictor(
        model, tokenizer, settings, saved["label_names"], saved.get("precision", "auto")
    )


def predict(run: str | Path, texts: Sequence[str]) -> list[Prediction]:
    """Label and probabilities of each text, by the model of a run folder."""
    return load(run).predict(texts)
