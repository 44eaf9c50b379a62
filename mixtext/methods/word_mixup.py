"""wordMixup: interpolate two texts word by word, in the space of word vectors.

Guo, Mao and Zhang 2019 (arXiv 1905.08941), section 3.1. Both texts are padded with zeros to one
length; position t of one mixes with position t of the other.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Gt

from mixtext.methods.base import LayerMix


@dataclass(frozen=True)
class WordMixup(LayerMix):
    """Mixes word vectors: B̃_t = λB_t + (1 − λ)B'_t.

    On a transformer that is layer 0: what the embeddings give, after their LayerNorm, positions
    included; so it equals Manifold Mixup with the layer set {0}.

    Attributes:
        alpha: λ ~ Beta(alpha, alpha). Paper: 1.
        per_row: draw one λ a row instead of one a batch.
    """

    name: ClassVar[str] = "word_mixup"
    paper: ClassVar[str] = "Guo et al. 2019 (arXiv 1905.08941)"
    mixes: ClassVar[str] = "word vectors"
    layer = 0

    alpha: Annotated[float, Gt(0)] = 1.0
