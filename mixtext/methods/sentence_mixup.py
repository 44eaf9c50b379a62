"""senMixup: interpolate two texts' vectors, right before the softmax layer.

Guo, Mao and Zhang 2019 (arXiv 1905.08941), section 3.2.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Gt

from mixtext.methods.base import LayerMix
from mixtext.mixing.interpolate import POOLED


@dataclass(frozen=True)
class SentenceMixup(LayerMix):
    """Mixes the pooled vectors of texts, before dropout and head.

    With an affine head (`model.head_width = 0`, as in the paper) and no dropout this is the same as
    mixing logits.

    Attributes:
        alpha: λ ~ Beta(alpha, alpha). Paper: 1.
        per_row: draw one λ a row instead of one a batch.
    """

    name: ClassVar[str] = "sentence_mixup"
    paper: ClassVar[str] = "Guo et al. 2019 (arXiv 1905.08941)"
    mixes: ClassVar[str] = "pooled vectors of texts"
    layer = POOLED

    alpha: Annotated[float, Gt(0)] = 1.0
