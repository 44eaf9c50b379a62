"""Encoder, pooling and head in one: the classifier that every text method trains."""

from torch import Tensor, nn

from mixtext.errors import InputError
from mixtext.mixing.interpolate import Mix
from mixtext.models.encoder import BRANCHES, MixableEncoder
from mixtext.models.heads import POOLS, MlpHead


class TextClassifier(nn.Module):
    """Texts to logits; with a `Mix`, the rows are mixed at a layer of the encoder (TMix).

    Args:
        encoder: the mixable encoder.
        head: sentence vectors `(B, H)` → logits `(B, C)`, such as `MlpHead`.
        pool: "mean" over a text's tokens or the "first" token's state.
        use_mask: False attends to and averages over the padding too, as the official code does.
        branches: "shared" or "independent", see `MixableEncoder.forward`.

    Raises:
        InputError: unknown pool or branches.

    Example:
        ```python
        encoder, tokenizer = load_encoder("minilm")
        model = TextClassifier(encoder, MlpHead(encoder.hidden_size, classes=4))
        logits = model(ids, mask, mix=draw_mix(len(ids), 16, True, generator), layer=4)
        ```
    """

    def __init__(
        self,
        encoder: MixableEncoder,
        head: MlpHead,
        pool: str = "mean",
        use_mask: bool = True,
        branches: str = "shared",
    ) -> None:
        super().__init__()
        if pool not in POOLS:
            raise InputError(f"pool is {pool!r}: it must be one of {', '.join(POOLS)}.")
        if branches not in BRANCHES:
            raise InputError(f"branches is {branches!r}: it must be one of {', '.join(BRANCHES)}.")
        self.encoder = encoder
        self.head = head
        self.pool = pool
        self.use_mask = use_mask
        self.branches = branches
        # What a method remembers between steps (a teacher, say): saved with checkpoints, not used
        # by forward and not exported.
        self.memory: nn.Module | None = None

    def forward(
        self,
        ids: Tensor,
        mask: Tensor | None = None,
        mix: Mix | None = None,
        layer: int | None = None,
        types: Tensor | None = None,
    ) -> Tensor:
        """Logits `(B, C)` of token ids `(B, T)`; arguments as in `MixableEncoder.forward`."""
        if not self.use_mask:
            mask = None
        # Hidden states are mixed in here, between two blocks: see `_MixHooks` in encoder.py.
        states, mask = self.encoder(ids, mask, mix, layer, types, self.branches)
        logits: Tensor = self.head(POOLS[self.pool](states, mask))  # (B, T, H) → (B, H) → (B, C)
        return logits
