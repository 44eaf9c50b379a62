"""Settings of the tagger and of active learning's rounds."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Interval

from mixtext.errors import InputError
from mixtext.settings import Settings
from mixtext.training.settings import RoundSettings

SentencePolicy = Literal["random", "least_confidence", "token_entropy", "committee"]


@dataclass(frozen=True)
class TaggerSettings(Settings):
    """Which encoder, and what stands on it.

    Attributes:
        encoder: `minilm` (from its package, no network; it is uncased), a folder in Hugging Face
            format, or a model's name on the Hugging Face hub. Its tokenizer must be a fast one.
        max_length: tokens of a row, special tokens included; longer sentences are cut into
            windows, and nothing of them is lost.
        overlap: tokens that neighbouring windows of a long sentence share; at most half of
            `max_length`.
        case: tell the head the letter case of each word (lower, upper, title, mixed, with a
            digit), which an uncased encoder does not see.
        dropout: on the token states.
        freeze_embeddings: leave the word embeddings as they are: faster without a GPU, and words
            that the labelled sentences lack keep their place beside those that they have.
    """

    name: ClassVar[str] = "model"
    paths: ClassVar[tuple[str, ...]] = ("encoder",)

    encoder: str = "minilm"
    max_length: Annotated[int, Ge(3)] = 128
    overlap: Annotated[int, Ge(0)] = 32
    case: bool = True
    dropout: Annotated[float, Interval(ge=0, lt=1)] = 0.1
    freeze_embeddings: bool = False

    def __post_init__(self) -> None:
        """Refuses an overlap of more than half a row."""
        super().__post_init__()
        if self.overlap > self.max_length // 2:
            raise InputError(
                f"model.overlap is {self.overlap}: it must be at most half of model.max_length "
                f"({self.max_length})."
            )


@dataclass(frozen=True)
class ActiveSettings(RoundSettings):
    """Which sentences are asked for.

    Attributes:
        policy: which sentences are asked for: `random`, `least_confidence`, `token_entropy` or
            `committee`.
    """

    policy: SentencePolicy = "token_entropy"
