"""UNK: a baseline of SSMix that blots out words at random and keeps the label.

Yoon, Kim and Park, Findings of ACL 2021 (arXiv 2106.08062), section 4.2.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from annotated_types import Interval

from mixtext.data.batches import Batch, Padded
from mixtext.errors import InputError
from mixtext.methods.base import Method, Outcome, Progress, half_clean, plain_outcome
from mixtext.methods.ssmix import inner_of
from mixtext.mixing.spans import replace_tokens

if TYPE_CHECKING:
    from mixtext.models.classifier import Classifier


@dataclass(frozen=True)
class UnkMix(Method):
    """Replaces random tokens of a text by the tokenizer's unknown word, beside clean rows.

    Attributes:
        share: share of a text's tokens that is replaced. Paper: 0.1.
    """

    name: ClassVar[str] = "unk_mix"
    paper: ClassVar[str] = "Yoon et al., Findings of ACL 2021 (arXiv 2106.08062)"
    mixes: ClassVar[str] = "nothing; random tokens become unknown"

    share: Annotated[float, Interval(gt=0, le=1)] = 0.1

    def loss(
        self,
        model: Classifier,
        batch: Batch,
        progress: Progress,
        generator: np.random.Generator,
    ) -> Outcome:
        """Mean of the clean rows' and the blotted rows' loss."""
        rows = batch.rows
        assert isinstance(rows, Padded)
        if batch.unknown_id is None:
            raise InputError(
                "unk_mix needs a token for unknown words, which the encoder's tokenizer lacks: "
                "choose another encoder, or another method."
            )
        ids = replace_tokens(rows.ids, inner_of(rows), batch.unknown_id, generator, self.share)
        blotted = plain_outcome(model, replace(batch, rows=replace(rows, ids=ids)))
        return half_clean(plain_outcome(model, batch), blotted)
