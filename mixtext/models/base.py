"""What every encoder and every model has, whatever its rows are."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar, Self

from torch import Tensor, nn

from mixtext.errors import InputError
from mixtext.files import save_tensors, write_json
from mixtext.mixing.interpolate import Mix
from mixtext.models.states import KeptStates

BRANCHES = ("shared", "independent")
SIZES, WEIGHTS = "encoder.json", "encoder.safetensors"  # the files of a small encoder


class Encoder(nn.Module):
    """Rows to states, mixed on the way at a layer; the base of all encoders.

    Attributes:
        takes_tokens: rows are tokens, so that a tokenizer goes with it; else vectors.
        bottom: what layer 0 is, in words.
        layers: number of layers above it, L.
        hidden_size: width of the last states, H.
        frozen: blocks at the bottom that are left as they are, see `MixableEncoder.freeze`.
    """

    takes_tokens: ClassVar[bool] = True
    bottom: ClassVar[str] = "embeddings"
    layers: int
    hidden_size: int
    frozen: int = 0

    @property
    def max_tokens(self) -> int | None:
        """Tokens that a text may have, T at most; None where there is no bound."""
        return None

    @property
    def pooler(self) -> nn.Module | None:
        """Its own pooler, `(B, T, H)` → `(B, H)`; None where it has none."""
        return None

    def watch(self) -> AbstractContextManager[list[Tensor]]:
        """Shows layer 0 of each forward inside, for the gradient of a loss by it (SSMix)."""
        raise NotImplementedError

    def enable_gradient_checkpointing(self) -> None:
        """Trades time for memory: activations inside a block are computed anew in the backward.

        Raises:
            InputError: the encoder cannot do that.
        """
        raise InputError(
            "training.gradient_checkpointing is true, but model.encoder has no transformer blocks "
            "to recompute: set it to false."
        )

    def check_mix(self, rows: int, mix: Mix, layer: int | None) -> int:
        """The layer, where `mix` fits `rows` rows and there is such a layer; InputError if not."""
        if layer is None:
            raise InputError("A mix needs a layer: give one from 0 to the encoder's last.")
        if not 0 <= layer <= self.layers:
            raise InputError(
                f"Cannot mix at layer {layer}: this encoder has {self.layers} layers, so layer "
                f"must be from 0 ({self.bottom}) to {self.layers}."
            )
        mixed = rows - mix.extra
        if tuple(mix.partner.shape) != (mixed,) or tuple(mix.lam.shape) not in ((), (mixed,)):
            raise InputError(
                f"The mix has {tuple(mix.partner.shape)} partners and λ of shape "
                f"{tuple(mix.lam.shape)}, which do not fit a batch of {rows} rows."
            )
        return layer


class SmallEncoder(Encoder):
    """An encoder that a few numbers and its weights make again.

    Attributes:
        kind: its name, in recipes and in `encoder.json`.
    """

    kind: ClassVar[str]

    def sizes(self) -> dict[str, Any]:
        """What `sized` makes an encoder of the same shape from."""
        raise NotImplementedError

    @classmethod
    def sized(cls, **sizes: Any) -> Self:
        """An encoder of these sizes, its weights not yet loaded."""
        return cls(**sizes)

    def save(self, folder: Path) -> None:
        """Writes `encoder.safetensors` and `encoder.json`."""
        save_tensors(self.state_dict(), folder / WEIGHTS)
        write_json(folder / SIZES, {"kind": self.kind, **self.sizes()})


class Model(nn.Module):
    """An encoder with a head on it: what is trained, saved and loaded; classifiers and taggers.

    Attributes:
        encoder: rows to states.
        head: states to outputs.
        memory: what a method remembers between steps (a teacher, say): saved with checkpoints, not
            used by forward and not exported.
        kept: where states of frozen blocks are kept; None: nowhere.
    """

    def __init__(self, encoder: Encoder, head: nn.Module) -> None:
        super().__init__()
        self.encoder: Encoder = encoder
        self.head: nn.Module = head
        self.memory: nn.Module | None = None
        self.kept: KeptStates | None = None


def check_branches(branches: str) -> None:
    """Refuses kinds of branches that there are not."""
    if branches not in BRANCHES:
        raise InputError(f"branches is {branches!r}: it must be one of {', '.join(BRANCHES)}.")
