"""Encoder, pooling and head in one: the model that every method but the taggers trains."""

from dataclasses import replace
from functools import partial
from typing import Any

from torch import Tensor, nn

from mixtext.data.batches import Padded
from mixtext.errors import InputError
from mixtext.mixing.interpolate import POOLED, Layer, Mix, interpolate
from mixtext.models.base import Encoder, Model, check_branches
from mixtext.models.encoder import MixableEncoder
from mixtext.models.heads import POOLS, MlpHead

POOLER = "pooler"  # BERT's dense layer and tanh on the first token's state


class Classifier(Model):
    """Rows to logits (or, with one output, to scores); with a `Mix`, rows are mixed on the way.

    Args:
        encoder: a mixable encoder of texts or of vectors.
        head: pooled vectors `(B, H)` → logits `(B, C)`, such as `MlpHead`.
        pool: of texts: `mean` or `max` over their tokens, the mean scaled to length 1 (`unit`), the
            `first` or the `last` token's state, or what the transformer's own `pooler` makes of the
            first.
        use_mask: False attends to and averages over the padding too, as the official code of
            MixText does.
        branches: "shared" or "independent", see `MixableEncoder.forward`.
        dropout: on the pooled vector, before the head and after a mix, in [0, 1).

    Raises:
        InputError: unknown pool or branches, or no pooler where it is asked for.

    Example:
        ```python
        encoder, tokenizer = load_encoder("minilm")
        model = Classifier(encoder, MlpHead(encoder.hidden_size, outputs=4))
        mix = draw_mix(len(ids), 16, True, generator)
        logits = model(Padded(ids, mask), mix, layer=4)
        ```
    """

    head: MlpHead

    def __init__(
        self,
        encoder: Encoder,
        head: MlpHead,
        pool: str = "mean",
        use_mask: bool = True,
        branches: str = "shared",
        dropout: float = 0.0,
    ) -> None:
        super().__init__(encoder, head)
        if pool not in (*POOLS, POOLER):
            known = ", ".join((*POOLS, POOLER))
            raise InputError(f"pool is {pool!r}: it must be one of {known}.")
        if pool == POOLER:
            if encoder.pooler is None:
                raise InputError("pool is 'pooler', but the encoder has none: choose 'first'.")
            encoder.pooler.requires_grad_(True)
        check_branches(branches)
        self.pool = pool
        self.use_mask = use_mask
        self.branches = branches
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, rows: Padded | Tensor, mix: Mix | None = None, layer: Layer | None = None
    ) -> Tensor:
        """Logits of a batch; with `mix`, those of every row mixed with its partner at `layer`.

        Args:
            rows: B texts or pairs, or vectors `(B, …)`.
            mix: who mixes with whom and by how much; None mixes nothing and ignores `layer`.
            layer: where to mix: 0 (word vectors, embeddings' output, or the input vectors) to the
                encoder's last layer, or `"pooled"`, right before the head.

        Returns:
            Logits `(B, C)`; of regression, scores `(B, 1)`.
        """
        pooled = self.encode(rows, None if layer == POOLED else mix, layer)  # (B, H)
        if mix is not None and layer == POOLED:
            pooled = interpolate(pooled, mix.to(pooled.device))
        logits: Tensor = self.head(self.dropout(pooled))
        return logits

    def begun(self, rows: Padded | Tensor) -> Padded | Tensor:
        """The rows with what frozen blocks make of them, to be computed once for several calls.

        And for rows that come again, where states are kept. A copy of the model (a teacher) takes
        them as well, whose frozen blocks are the same.
        """
        if isinstance(rows, Tensor) or not isinstance(self.encoder, MixableEncoder):
            return rows
        mask = rows.mask if self.use_mask else None
        begin = self.encoder.begin
        if self.kept is not None and self.encoder.pads_alike:
            begin = partial(self.kept.of, begin)
        return replace(rows, states=begin(rows.ids, mask, rows.types))

    def encode(self, rows: Padded | Tensor, mix: Mix | None, layer: Layer | None) -> Tensor:
        """The pooled vectors, `(B, H)`, mixed at `layer` of the encoder where there is a mix."""
        if isinstance(rows, Tensor):
            last: Tensor = self.encoder(rows, mix=mix, layer=layer)[0]
            return last
        mask = rows.mask if self.use_mask else None
        more: dict[str, Any] = {}
        if isinstance(self.encoder, MixableEncoder):
            more = {"states": rows.states, "apart": True}
        # Hidden states are mixed in here, between two blocks: see `mix_states` in encoder.py.
        states, mask = self.encoder(rows.ids, mask, mix, layer, rows.types, self.branches, **more)
        if self.pool == POOLER:
            assert self.encoder.pooler is not None
            pooled: Tensor = self.encoder.pooler(states)
            return pooled
        return POOLS[self.pool](states, mask)  # (B, T, H) → (B, H)
