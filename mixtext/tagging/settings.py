"""Settings of the tagger and of active learning's rounds."""

from dataclasses import dataclass
from typing import Literal

from mixtext.errors import InputError
from mixtext.tagging.policies import Policy


@dataclass(frozen=True)
class TaggerSettings:
    """Which encoder, and what stands on it.

    Attributes:
        encoder: `minilm` (from its package, no network; it is uncased), a folder in Hugging Face
            format, or a model's name on the Hugging Face hub. Its tokenizer must be a fast one.
        max_length: tokens of a row, special tokens included; longer sentences are cut into
            windows, and nothing of them is lost.
        overlap: tokens that neighbouring windows of a long sentence share.
        case: tell the head the letter case of each word (lower, upper, title, mixed, with a
            digit), which an uncased encoder does not see.
        dropout: on the token states, in [0, 1).
        freeze_embeddings: leave the word embeddings as they are: faster without a GPU, and words
            that the labelled sentences lack keep their place beside those that they have.
    """

    encoder: str = "minilm"
    max_length: int = 128
    overlap: int = 32
    case: bool = True
    dropout: float = 0.1
    freeze_embeddings: bool = False

    def check(self) -> None:
        """Refuses values out of range."""
        if self.max_length < 3:
            raise InputError(f"model.max_length is {self.max_length}: it must be ≥ 3.")
        if not 0 <= self.overlap <= self.max_length // 2:
            raise InputError(
                f"model.overlap is {self.overlap}: it must be from 0 to half of model.max_length "
                f"({self.max_length})."
            )
        if not 0 <= self.dropout < 1:
            raise InputError(f"model.dropout is {self.dropout}: a share is in [0, 1).")


@dataclass(frozen=True)
class ActiveSettings:
    """What is asked, when, and of whom.

    Attributes:
        policy: which sentences are asked for: `random`, `least_confidence`, `token_entropy` or
            `committee`.
        rounds: times that labels are asked for, ≥ 0; with 0 the seed set alone is trained on.
        per_round: sentences asked for in a round, ≥ 1.
        committee: members of the committee, for that policy, ≥ 2.
        annotator: `gold` reveals the labels that the corpus has; a `person` is asked with
            `mixtext active query` and answers with `mixtext active label`.
    """

    policy: Policy = "token_entropy"
    rounds: int = 5
    per_round: int = 100
    committee: int = 3
    annotator: Literal["gold", "person"] = "gold"

    def check(self) -> None:
        """Refuses values out of range."""
        for name, least in (("rounds", 0), ("per_round", 1), ("committee", 2)):
            if getattr(self, name) < least:
                raise InputError(f"active.{name} is {getattr(self, name)}: it must be ≥ {least}.")
