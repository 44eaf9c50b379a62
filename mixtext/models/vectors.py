"""Encoders for rows that are vectors or images: small, and mixable at every layer.

Mixing at layer 0 is mixup (arXiv 1710.09412), at a random layer Manifold Mixup (arXiv 1806.05236).
"""

import math
from typing import Any

import torch
from torch import Tensor, nn

from mixtext.errors import InputError
from mixtext.mixing.interpolate import Mix, interpolate
from mixtext.models.base import SmallEncoder


class VectorEncoder(SmallEncoder):
    """Blocks one after the other, with rows mixed between two of them; the base of both encoders.

    Attributes:
        shape: shape of a row as the first block takes it.
        blocks: L blocks, each giving one layer's states.
    """

    takes_tokens = False
    bottom = "the input"

    def __init__(
        self, blocks: list[nn.Module], shape: tuple[int, ...], sizes: dict[str, Any]
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.layers = len(blocks)
        self.shape = shape
        self._sizes = sizes

    def sizes(self) -> dict[str, Any]:
        """The arguments that it was made with."""
        return self._sizes

    def forward(
        self, x: Tensor, mix: Mix | None = None, layer: int | None = None
    ) -> tuple[Tensor, None]:
        """Encodes a batch; with `mix`, every row is mixed with its partner at `layer`.

        Args:
            x: rows, `(B, D)` or `(B, height, width)`.
            mix: who mixes with whom and by how much; None encodes plainly and ignores `layer`.
            layer: where to mix, 0 (the input) to L (the last block's output).

        Returns:
            States `(B, H)`, and None where encoders of texts give a mask.

        Raises:
            InputError: rows of another size, no such layer, or `mix` does not fit the batch.
        """
        values = math.prod(self.shape)
        if x.ndim < 2 or math.prod(x.shape[1:]) != values:
            raise InputError(
                f"The rows have the shape {tuple(x.shape[1:])}, but this encoder was made for "
                f"{values} values a row: make a new one for these data."
            )
        if mix is not None:
            self.check_mix(len(x), mix, layer)
            mix = mix.to(x.device)
        states = x.reshape(len(x), *self.shape)
        for number in range(self.layers + 1):
            if number:
                states = self.blocks[number - 1](states)
            if mix is not None and number == layer:
                states = _mix_rows(states, mix)
        return states, None


class Mlp(VectorEncoder):
    """Linear layers with ReLU. Layer 0 is the input, layer k the k-th hidden layer after its ReLU.

    Args:
        inputs: values a row, D; images are flattened.
        width: width of every hidden layer, H.
        depth: number of hidden layers, L.

    Raises:
        InputError: a size below 1.
    """

    kind = "mlp"

    def __init__(self, inputs: int, width: int = 256, depth: int = 2) -> None:
        for name, size in (("inputs", inputs), ("width", width), ("depth", depth)):
            if size < 1:
                raise InputError(f"{name} is {size}: it must be at least 1.")
        blocks: list[nn.Module] = [
            nn.Sequential(nn.Linear(inputs if k == 0 else width, width), nn.ReLU())
            for k in range(depth)
        ]
        super().__init__(blocks, (inputs,), {"inputs": inputs, "width": width, "depth": depth})
        self.hidden_size = width


class SmallCnn(VectorEncoder):
    """Two convolutions and a dense layer, for small grey images.

    Layer 0 is the image; 1 the first convolution (32 maps, 3 × 3, padded) after its ReLU; 2 the
    second (64 maps) after its ReLU and a 2 × 2 max pool; 3 the dense layer (128) after its ReLU.

    Args:
        shape: height and width of the images, each at least 2.

    Raises:
        InputError: no such shape.
    """

    kind = "small_cnn"
    hidden_size = 128

    def __init__(self, shape: tuple[int, ...] = (8, 8)) -> None:
        if len(shape) != 2 or min(shape) < 2:
            raise InputError(
                f"The images have the shape {tuple(shape)}: SmallCnn takes (height, width), each "
                "at least 2; for plain vectors use Mlp."
            )
        height, width = shape
        pooled = 64 * (height // 2) * (width // 2)
        blocks: list[nn.Module] = [
            nn.Sequential(nn.Conv2d(1, 32, 3, padding=1), nn.ReLU()),  # (B, 32, h, w)
            nn.Sequential(nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            nn.Sequential(nn.Flatten(), nn.Linear(pooled, self.hidden_size), nn.ReLU()),
        ]
        super().__init__(blocks, (1, height, width), {"shape": [height, width]})


def _mix_rows(states: Tensor, mix: Mix) -> Tensor:
    """Mixes each row with its partner; λ·x + (1 − λ)·x need not be x, so own partners stay."""
    own = mix.partner == torch.arange(len(mix.partner), device=states.device)  # (B,)
    own = own.reshape(-1, *[1] * (states.ndim - 1))
    return torch.where(own, states[: len(own)], interpolate(states, mix))
