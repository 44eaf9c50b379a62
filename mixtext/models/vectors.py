"""Encoders for rows that are vectors or images: small, and mixable at every layer.

Mixing at layer 0 is mixup (arXiv 1710.09412), at a random layer Manifold Mixup (arXiv 1806.05236).
"""

import json
import math
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from mixtext.errors import InputError
from mixtext.mixing.interpolate import Mix, interpolate

WEIGHTS, SIZES = "encoder.safetensors", "encoder.json"


class VectorEncoder(nn.Module):
    """Blocks one after the other, with rows mixed between two of them; the base of both encoders.

    Attributes:
        kind: the encoder's name in `encoder.json`.
        sizes: the arguments that it was made with.
        shape: shape of a row as the first block takes it.
        blocks: L blocks, each giving one layer's states.
        layers: number of blocks, L.
        hidden_size: width of the last states, H.
    """

    kind: str
    hidden_size: int

    def __init__(
        self, blocks: list[nn.Module], shape: tuple[int, ...], sizes: dict[str, Any]
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.shape = shape
        self.sizes = sizes

    @property
    def layers(self) -> int:
        """Number of blocks, L."""
        return len(self.blocks)

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
            self._check(len(x), mix, layer)
            mix = mix.to(x.device)
        states = x.reshape(len(x), *self.shape)
        for number in range(self.layers + 1):
            if number:
                states = self.blocks[number - 1](states)
            if mix is not None and number == layer:
                states = _mix_rows(states, mix)
        return states, None

    def _check(self, rows: int, mix: Mix, layer: int | None) -> None:
        if layer is None:
            raise InputError("A mix needs a layer: give one from 0 to the encoder's last.")
        if not 0 <= layer <= self.layers:
            raise InputError(
                f"Cannot mix at layer {layer}: this encoder has {self.layers} layers, so layer "
                f"must be from 0 (the input) to {self.layers}."
            )
        if tuple(mix.partner.shape) != (rows,) or tuple(mix.lam.shape) not in ((), (rows,)):
            raise InputError(
                f"The mix has {tuple(mix.partner.shape)} partners and λ of shape "
                f"{tuple(mix.lam.shape)}, which do not fit a batch of {rows} rows."
            )

    def save(self, folder: Path) -> None:
        """Writes `encoder.safetensors` and `encoder.json`, which `load_vector_encoder` reads."""
        folder.mkdir(parents=True, exist_ok=True)
        weights = {name: value.contiguous() for name, value in self.state_dict().items()}
        save_file(weights, folder / WEIGHTS)
        content = json.dumps({"kind": self.kind, **self.sizes}, indent=2)
        (folder / SIZES).write_text(content + "\n", encoding="utf-8")


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


def load_vector_encoder(folder: Path) -> Mlp | SmallCnn:
    """Loads an encoder that `save` wrote.

    Raises:
        InputError: a file is missing or damaged, or the two do not belong together.
    """
    for name in (SIZES, WEIGHTS):
        if not (folder / name).is_file():
            raise InputError(f"{folder} holds no {name}: give the folder of a saved encoder.")
    kinds: dict[str, type[Mlp] | type[SmallCnn]] = {x.kind: x for x in (Mlp, SmallCnn)}
    try:
        sizes = json.loads((folder / SIZES).read_text(encoding="utf-8"))
        encoder = kinds[sizes.pop("kind")](**sizes)
        encoder.load_state_dict(load_file(folder / WEIGHTS))
    except (
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RuntimeError,
        SafetensorError,
    ) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".:")
        raise InputError(
            f"{folder} holds no encoder of vectors that can be read ({reason}): save it anew."
        ) from error
    return encoder


def _mix_rows(states: Tensor, mix: Mix) -> Tensor:
    """Mixes each row with its partner; λ·x + (1 − λ)·x need not be x, so own partners stay."""
    own = mix.partner == torch.arange(len(states), device=states.device)  # (B,)
    own = own.reshape(-1, *[1] * (states.ndim - 1))
    return torch.where(own, states, interpolate(states, mix))
