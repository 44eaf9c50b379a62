"""Encoders on word vectors, for wordMixup and senMixup (arXiv 1905.08941): a CNN and an LSTM.

Their inside is what a `MixableEncoder` shows too: layers that can be mixed, numbered from 0, and
states with a mask. Word vectors are layer 0, where wordMixup mixes.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mixtext.mixing.interpolate import Mix, interpolate
from mixtext.models.base import SmallEncoder, check_branches


class WordEncoder(SmallEncoder):
    """What both encoders have in common: word vectors, mixing, saving. Subclasses `encode`.

    Padding is on the right. With a mask, what a text gives does not depend on the width that its
    batch is padded to.

    Args:
        matrix: a vector for each word id, `(V, D)`; row 0 belongs to padding and becomes zeros.
        tune: train the word vectors; False keeps them as they are.

    Attributes:
        layers: 1. Layer 0 is the word vectors, layer 1 the states.
    """

    bottom = "word vectors"
    layers = 1

    def __init__(self, matrix: Tensor | np.ndarray, tune: bool) -> None:
        super().__init__()
        weight = torch.as_tensor(matrix).clone()  # training must not change the caller's matrix
        weight[0] = 0
        # padding_idx gives row 0 no gradient, so it stays zero.
        self.words = nn.Embedding.from_pretrained(weight, freeze=not tune, padding_idx=0)
        self._seen: list[Tensor] | None = None  # where `watch` collects

    def forward(
        self,
        ids: Tensor,
        mask: Tensor | None = None,
        mix: Mix | None = None,
        layer: int | None = None,
        types: Tensor | None = None,
        branches: str = "shared",
    ) -> tuple[Tensor, Tensor | None]:
        """Encodes a batch; with `mix`, every row is mixed with its partner at `layer`.

        Args:
            ids: word ids, int64, `(B, T)`.
            mask: 1 or True where there is a word, `(B, T)`; None reads every position.
            mix: who mixes with whom and by how much; None encodes plainly and ignores `layer`.
            layer: where to mix: 0 (word vectors) or 1 (states).
            types: has no part in it.
            branches: "shared" or "independent", which are equal: nothing here is drawn.

        Returns:
            States `(B, T, H)`, and their mask `(B, T)`: the union of both rows' masks after a mix,
            None without one.

        Raises:
            InputError: no such layer, no such kind of branches, or `mix` does not fit the batch.
        """
        if mix is not None:
            check_branches(branches)
            self.check_mix(len(ids), mix, layer)
            mix = mix.to(ids.device)
        embedded: Tensor = self.words(ids)  # (B, T, D)
        if self._seen is not None:
            if not embedded.requires_grad:
                embedded = embedded.detach().requires_grad_()
            self._seen.append(embedded)
        if mask is not None:
            embedded = embedded * mask.unsqueeze(-1).to(embedded.dtype)
        union = mask
        if mix is not None and mask is not None:
            union = torch.maximum(mask[: len(mix.partner)], mask[mix.partner])  # (B, T)
        if mix is not None and layer == 0:
            return self.encode(interpolate(embedded, mix), union), union
        states = self.encode(embedded, mask)  # (B, T, H)
        return states if mix is None else interpolate(states, mix), union

    def encode(self, embedded: Tensor, mask: Tensor | None) -> Tensor:
        """Word vectors `(B, T, D)`, zero where the mask is, to states `(B, T, H)`."""
        raise NotImplementedError

    @contextmanager
    def watch(self) -> Iterator[list[Tensor]]:
        """Shows the word vectors, layer 0, for the gradient of a loss by them (SSMix).

        Yields:
            A list; each forward inside appends its `(B, T, D)`, before any mix, with a gradient to
            be had by it even where the vectors are frozen. At masked positions that is zero.
        """
        self._seen = []
        try:
            yield self._seen
        finally:
            self._seen = None

    def sizes(self) -> dict[str, Any]:
        """Shape of the matrix, whether it is trained, and the arguments beside."""
        words, width = self.words.weight.shape
        return {"words": words, "width": width, "tune": self.words.weight.requires_grad}

    @classmethod
    def sized(cls, words: int, width: int, **sizes: Any) -> Self:  # type: ignore[override]
        """As in `SmallEncoder`."""
        return cls(torch.zeros(words, width), **sizes)


class KimCnn(WordEncoder):
    """Convolutions of several widths over the words (Kim 2014, arXiv 1408.5882).

    Meant for `max` pooling over time: the states are what ReLU gives, so the zeros at positions
    where no window begins never win against a window.

    With a mask, a window begins at every word and reads zero vectors beyond the last one, however
    many positions of padding there are; at the other positions the states are zero. Without a mask
    windows must fit into the T positions (at least the widest window), padding included: the
    valid convolution of the paper.

    Args:
        matrix: see `WordEncoder`.
        tune: see `WordEncoder`.
        widths: words in a window, of each group of maps.
        maps: maps of each width; H is their number in all.

    Example:
        ```python
        encoder = KimCnn(vocabulary.matrix, tune=True)
        states, mask = encoder(ids, mask, mix=draw_mix(len(ids), 1.0, False, generator), layer=0)
        ```
    """

    kind = "kim_cnn"

    def __init__(
        self,
        matrix: Tensor | np.ndarray,
        tune: bool,
        widths: tuple[int, ...] = (3, 4, 5),
        maps: int = 100,
    ) -> None:
        super().__init__(matrix, tune)
        self.widths, self.maps = tuple(widths), maps
        self.hidden_size = maps * len(self.widths)
        # A convolution is a linear map of each window; as matrix products of one unfolded copy
        # the three cost less than three convolutions.
        self.convolutions = nn.ModuleList(
            nn.Linear(width * self.words.embedding_dim, maps) for width in self.widths
        )

    def encode(self, embedded: Tensor, mask: Tensor | None) -> Tensor:
        """States `(B, T, H)`; without a mask T is at least the widest window."""
        rows, length, width = embedded.shape
        longest = max(self.widths)
        if mask is None:
            length = max(length, longest)
        embedded = F.pad(embedded, (0, 0, 0, length + longest - 1 - embedded.shape[1]))
        windows = embedded.unfold(1, longest, 1).transpose(2, 3)  # (B, T, longest, D)
        windows = windows.reshape(rows * length, longest * width)
        maps = [
            linear(windows[:, : words * width])  # a narrower window is the start of a wider one
            for words, linear in zip(self.widths, self.convolutions, strict=True)
        ]
        states = torch.cat(maps, dim=1).relu().view(rows, length, self.hidden_size)
        return states * self._begins(mask, length, states)

    def _begins(self, mask: Tensor | None, length: int, states: Tensor) -> Tensor:
        """1 where a window begins, else 0; `(B, T, 1)` with a mask, `(T, H)` without."""
        if mask is not None:
            return mask.unsqueeze(-1).to(states.dtype)
        position = torch.arange(length, device=states.device).unsqueeze(1)
        last = length - torch.tensor(self.widths, device=states.device)
        return (position <= last.repeat_interleave(self.maps)).to(states.dtype)

    def sizes(self) -> dict[str, Any]:
        """Those of the words, widths and maps."""
        return super().sizes() | {"widths": list(self.widths), "maps": self.maps}


class Lstm(WordEncoder):
    """One LSTM layer, left to right; meant for `last` pooling.

    States at padding are those of a text that goes on with zero vectors. Words are not influenced
    by what follows, so padding on the right cannot reach their states.

    Args:
        matrix: see `WordEncoder`.
        tune: see `WordEncoder`.
        hidden: width of the states, H.
    """

    kind = "lstm"

    def __init__(self, matrix: Tensor | np.ndarray, tune: bool, hidden: int = 100) -> None:
        super().__init__(matrix, tune)
        self.hidden_size = hidden
        self.lstm = nn.LSTM(self.words.embedding_dim, hidden, batch_first=True)

    def encode(self, embedded: Tensor, mask: Tensor | None) -> Tensor:
        """Hidden states `(B, T, H)`; the mask has no part in it."""
        states: Tensor = self.lstm(embedded)[0]
        return states

    def sizes(self) -> dict[str, Any]:
        """Those of the words, and the width of the states."""
        return super().sizes() | {"hidden": self.hidden_size}
