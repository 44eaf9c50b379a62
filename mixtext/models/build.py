"""From settings to a classifier and its tokenizer."""

from dataclasses import dataclass
from typing import Any, Literal

import torch

from mixtext.errors import InputError
from mixtext.models.classifier import TextClassifier
from mixtext.models.heads import MlpHead
from mixtext.models.pretrained import load_encoder


@dataclass(frozen=True)
class ModelSettings:
    """Which encoder, and what is read of it.

    Attributes:
        encoder: `minilm` (from its package, no network), a folder in Hugging Face format, or a
            model's name on the Hugging Face hub.
        max_length: longest text in tokens, special tokens included; the rest is cut off.
        special_tokens: add the tokenizer's special tokens ([CLS], [SEP], …).
        pad_to_max: pad every batch to `max_length` instead of to its longest row.
        use_mask: False attends to and averages over the padding too.
        pool: a text's vector is the `mean` of its token states, or the `first` one.
        head_width: width of the head's hidden layer.
        branches: of a mix: `shared` runs the trunk once for both partners; `independent` runs it
            for each, with dropout of its own.
    """

    encoder: str = "minilm"
    max_length: int = 64
    special_tokens: bool = True
    pad_to_max: bool = False
    use_mask: bool = True
    pool: Literal["mean", "first"] = "mean"
    head_width: int = 128
    branches: Literal["shared", "independent"] = "shared"

    def check(self) -> None:
        """Refuses values out of range."""
        for field, least in (("max_length", 3), ("head_width", 1)):
            if getattr(self, field) < least:
                raise InputError(f"model.{field} is {getattr(self, field)}: it must be ≥ {least}.")


def build_model(settings: ModelSettings, classes: int, seed: int) -> tuple[TextClassifier, Any]:
    """Loads the encoder and puts a new head on it.

    Args:
        settings: see `ModelSettings`.
        classes: C.
        seed: seeds torch's generator: the head's weights here, dropout later.

    Returns:
        The classifier and the tokenizer.

    Raises:
        InputError: no such encoder, or `max_length` beyond what it can take.
    """
    encoder, tokenizer = load_encoder(settings.encoder)
    longest = getattr(encoder.config, "max_position_embeddings", None)
    if longest and settings.max_length > longest:
        raise InputError(
            f"model.max_length is {settings.max_length}, but encoder {settings.encoder!r} takes at "
            f"most {longest} tokens: lower it."
        )
    torch.manual_seed(seed)
    head = MlpHead(encoder.hidden_size, classes, settings.head_width)
    model = TextClassifier(
        encoder,
        head,
        pool=settings.pool,
        use_mask=settings.use_mask,
        branches=settings.branches,
    )
    return model, tokenizer
