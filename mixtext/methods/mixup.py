"""mixup: convex combinations of inputs and of their labels.

Zhang, Cisse, Dauphin and Lopez-Paz, ICLR 2018 (arXiv 1710.09412), equation 1.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Gt

from mixtext.methods.base import LayerMix


@dataclass(frozen=True)
class Mixup(LayerMix):
    """Mixes input vectors: x̃ = λx + (1 − λ)x'. Texts have no such inputs: see `word_mixup`.

    Attributes:
        alpha: λ ~ Beta(alpha, alpha). Paper: 1 for CIFAR, 0.1 to 0.4 for ImageNet, 8 or 32
            against corrupted labels.
        per_row: draw one λ a row instead of one a batch.
    """

    name: ClassVar[str] = "mixup"
    paper: ClassVar[str] = "Zhang et al., ICLR 2018 (arXiv 1710.09412)"
    rows: ClassVar[tuple[str, ...]] = ("vectors",)
    mixes: ClassVar[str] = "input vectors"
    layer = 0

    alpha: Annotated[float, Gt(0)] = 1.0
