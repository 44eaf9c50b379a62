"""The tagger: an encoder and a linear head on every token."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mixtext.data.batches import Padded
from mixtext.errors import InputError
from mixtext.models.base import Encoder, Model
from mixtext.models.pretrained import load_encoder
from mixtext.tagging.rows import CASES, TaggedRows
from mixtext.tagging.settings import TaggerSettings


class Tagger(Model):
    """Rows of tokens to logits of tags.

    Args:
        encoder: the encoder; nothing is mixed inside it.
        tags: C, the number of tags.
        dropout: on the token states.
        case: append a one-hot vector of the word's letter case to each state.
    """

    head: nn.Linear

    def __init__(
        self, encoder: Encoder, tags: int, dropout: float = 0.1, case: bool = False
    ) -> None:
        super().__init__(
            encoder, nn.Linear(encoder.hidden_size + (len(CASES) if case else 0), tags)
        )
        self.case = case
        self.dropout = nn.Dropout(dropout)

    def forward(self, rows: Padded) -> Tensor:
        """Logits `(B, T, C)`; a head that knows the letter case needs `TaggedRows`."""
        states, _ = self.encoder(rows.ids, rows.mask, types=rows.types)  # (B, T, H)
        states = self.dropout(states)
        if self.case:
            assert isinstance(rows, TaggedRows) and rows.case is not None
            hot = F.one_hot(rows.case, len(CASES)).to(states.dtype)  # (B, T, 5)
            states = torch.cat([states, hot], dim=-1)
        logits: Tensor = self.head(states)
        return logits


def build_tagger(settings: TaggerSettings, tags: int, seed: int) -> tuple[Tagger, Any]:
    """Loads the encoder and puts a new head on it.

    Args:
        settings: see `TaggerSettings`.
        tags: C, the number of tags.
        seed: seeds torch's generator: the head's weights here, dropout later.

    Returns:
        The tagger and the tokenizer.

    Raises:
        InputError: no such encoder, or `max_length` beyond what it can take.
    """
    encoder, tokenizer = load_encoder(settings.encoder)
    longest = encoder.max_tokens
    if longest and settings.max_length > longest:
        raise InputError(
            f"model.max_length is {settings.max_length}, but encoder {settings.encoder!r} takes at "
            f"most {longest} tokens: lower it; long sentences are cut into windows."
        )
    if settings.freeze_embeddings:
        model: Any = encoder.model
        model.get_input_embeddings().requires_grad_(False)
    torch.manual_seed(seed)
    return Tagger(encoder, tags, settings.dropout, settings.case), tokenizer
