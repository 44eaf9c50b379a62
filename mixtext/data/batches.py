"""Batches: rows of tokens, an order that is a function of position, padding to the batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import numpy as np

from mixtext.data.labels import target_of
from mixtext.data.views import Row, ViewSource
from mixtext.deferred import Tensor, torch
from mixtext.errors import InputError


@dataclass(frozen=True)
class Tokens:
    """Tokenised texts in flat arrays (a list of lists would cost ten times the memory).

    Attributes:
        ids: token ids, integers, shape (total,).
        words: number of the word that a token is part of, integers, −1 for special tokens.
        types: token types (0 first text, 1 second), int8; None where the tokenizer has none.
        side: 0 in the first text, 1 in the second, −1 for special tokens, int8; None where there
            are no second texts. Not the same as `types`, which some tokenizers lack or leave at 0.
        offsets: row i is `[offsets[i]:offsets[i + 1]]`, int64, shape (N + 1,). A row that was not
            asked for has no tokens.
        pad_id: what shorter rows are filled with.
        unknown_id: the id of unknown words; None where the tokenizer has none.
    """

    ids: np.ndarray
    words: np.ndarray
    types: np.ndarray | None
    side: np.ndarray | None
    offsets: np.ndarray
    pad_id: int
    unknown_id: int | None = None

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> np.ndarray:
        """Tokens in each row, (N,)."""
        return np.diff(self.offsets)

    def row(self, i: int | np.integer) -> Row:
        """Row i."""
        part = slice(self.offsets[i], self.offsets[i + 1])
        words = self.words[part]
        types = None if self.types is None else self.types[part]
        side = np.minimum(words, 0) if self.side is None else self.side[part]
        return Row(self.ids[part], words, types, side)

    def collate(self, rows: Sequence[Row], pad_to: int = 0) -> Padded:
        """The rows as one batch, padded to the longest or to `pad_to` tokens."""
        return pad(rows, self.pad_id, pad_to)


@dataclass(frozen=True)
class Vectors:
    """Rows that are vectors: the counterpart of `Tokens`.

    Attributes:
        values: float32, shape (N, D) or (N, height, width).
    """

    values: np.ndarray
    unknown_id: None = None

    def __len__(self) -> int:
        return len(self.values)

    @property
    def lengths(self) -> np.ndarray:
        """Ones, (N,): every row is as long as every other."""
        return np.ones(len(self.values), dtype=np.int64)

    def row(self, i: int | np.integer) -> np.ndarray:
        """Row i."""
        return self.values[i]

    def collate(self, rows: Sequence[np.ndarray], pad_to: int = 0) -> Tensor:
        """The rows as one tensor (B, D) or (B, height, width)."""
        return torch.from_numpy(np.stack(rows))


Source = Tokens | Vectors


def pad_id(tokenizer: Any) -> int:
    """The tokenizer's padding token, or its end token where it has none (the mask hides it)."""
    for token in (tokenizer.pad_token_id, tokenizer.eos_token_id):
        if token is not None:
            return int(token)
    raise InputError(
        "the encoder's tokenizer has neither a padding nor an end token: set `pad_token` in its "
        "tokenizer_config.json."
    )


@dataclass(frozen=True)
class Padded:
    """Rows of tokens as tensors of shape (B, T).

    Attributes:
        ids: int64.
        mask: bool, True where there is a token; None attends everywhere.
        types: int64, or None.
        side: int8, 0 in the first text, 1 in the second, −1 for special tokens and padding; or
            None where nobody asks.
        states: what a frozen part of an encoder made of them, (B, T, H), or None.
    """

    ids: Tensor
    mask: Tensor | None = None
    types: Tensor | None = None
    side: Tensor | None = None
    states: Tensor | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def to(self, device: torch.device) -> Self:
        """The same rows on another device."""
        return self._each(lambda x: x.to(device))

    def __getitem__(self, index: Tensor) -> Self:
        """Some of the rows; negative indices count from the end."""
        index = index.to(self.ids.device)
        return self._each(lambda x: x[index])

    def trimmed(self) -> Self:
        """The same rows, no wider than the longest of them."""
        if self.mask is None:
            return self
        positions = torch.arange(1, self.mask.shape[1] + 1, device=self.mask.device)
        width = max(1, int((self.mask * positions).max()))
        return self._each(lambda x: x[:, :width])

    def _each(self, change: Callable[[Tensor], Tensor]) -> Self:
        changed: Any = {k: x if x is None else change(x) for k, x in vars(self).items()}
        return replace(self, **changed)


def pad(rows: Sequence[Row], filler: int, pad_to: int = 0) -> Padded:
    """Pads on the right to the longest row, or to `pad_to` tokens where that is more."""
    width = max(pad_to, max(len(row.ids) for row in rows))
    ids = np.full((len(rows), width), filler, dtype=np.int64)
    mask = np.zeros((len(rows), width), dtype=bool)
    types = None if rows[0].types is None else np.zeros((len(rows), width), dtype=np.int64)
    side = np.full((len(rows), width), -1, dtype=np.int8)
    for i, row in enumerate(rows):
        n = len(row.ids)
        ids[i, :n] = row.ids
        mask[i, :n] = True
        side[i, :n] = row.side
        if types is not None and row.types is not None:
            types[i, :n] = row.types
    return Padded(
        torch.from_numpy(ids),
        torch.from_numpy(mask),
        None if types is None else torch.from_numpy(types),
        torch.from_numpy(side),
    )


class Order:
    """An endless order over rows, batch k a pure function of (seed, k): resuming needs only k.

    Pass after pass over shuffled rows is cut into full batches, so every row is seen equally often
    and batch sizes never vary. With `lengths`, windows of `window` batches (at most a pass, so that
    a row seldom meets itself) are sorted by length first and their batches shuffled, so that a
    batch pads little.
    """

    def __init__(
        self,
        rows: np.ndarray,
        batch: int,
        seed: Sequence[int],
        lengths: np.ndarray | None = None,
        window: int = 50,
    ):
        """Orders `rows` (indices) in batches of `batch`; `seed` names this order in its run."""
        self.rows, self.batch, self.seed = rows, batch, list(seed)
        self.lengths = lengths
        self.window = max(1, min(window, len(rows) // batch))
        # Kept, since shuffling a large pool anew for each batch is slow.
        self.passes: dict[int, np.ndarray] = {}

    def _shuffled(self, epoch: int) -> np.ndarray:
        if epoch not in self.passes:
            if len(self.passes) > 1:  # a slice needs one pass or, across its end, two
                self.passes.clear()
            shuffled = np.random.default_rng([*self.seed, 0, epoch]).permutation(self.rows)
            self.passes[epoch] = shuffled
        return self.passes[epoch]

    def _slice(self, start: int, stop: int) -> np.ndarray:
        n = len(self.rows)
        parts = []
        for epoch in range(start // n, (stop - 1) // n + 1):
            first = epoch * n
            parts.append(self._shuffled(epoch)[max(0, start - first) : stop - first])
        return np.concatenate(parts)

    def __getitem__(self, k: int) -> np.ndarray:
        """Rows of batch k, (batch,)."""
        if self.lengths is None:
            return self._slice(k * self.batch, (k + 1) * self.batch)
        w, at = divmod(k, self.window)
        size = self.window * self.batch
        rows = self._slice(w * size, (w + 1) * size)
        rows = rows[np.argsort(self.lengths[rows], kind="stable")]
        which = np.random.default_rng([*self.seed, 1, w]).permutation(self.window)[at]
        return rows[which * self.batch : (which + 1) * self.batch]


@dataclass(frozen=True)
class Batch:
    """What one loss sees. Rows: B labelled, then Bu of view 1, …, Bu of view K, then Bu originals.

    Attributes:
        rows: B + Bu·(K + 1) padded rows; vectors as one tensor.
        labels: (B,) int64 classes or float32 scores of the labelled rows.
        unlabelled: Bu, number of unlabelled texts (0 for supervised methods).
        views: K, number of views of each.
        hidden: (Bu,) int64, gold labels of the unlabelled rows where known, else −1. For
            monitoring only: no loss may look at them.
        row_ids: the B + Bu corpus ids, for messages.
        unknown_id: the token id of unknown words, where there is one.
    """

    rows: Padded | Tensor
    labels: Tensor
    unlabelled: int
    views: int
    hidden: np.ndarray
    row_ids: list[str]
    unknown_id: int | None = None

    @property
    def originals(self) -> Padded | Tensor:
        """The Bu unlabelled rows themselves."""
        return self.rows[torch.arange(-self.unlabelled, 0)]

    @property
    def learned(self) -> Padded | Tensor:
        """B labelled rows, then all views; where there are none, the originals in their place."""
        return self.rows[torch.arange(len(self.labels) + self.unlabelled * self.copies)]

    @property
    def copies(self) -> int:
        """How often each unlabelled text is among the `learned` rows: K, at least 1."""
        return max(1, self.views)

    def to(self, device: torch.device) -> Batch:
        """The same batch on another device."""
        return replace(self, rows=self.rows.to(device), labels=self.labels.to(device))


class Feed:
    """Builds batch k from labelled rows, unlabelled rows and their views."""

    def __init__(
        self,
        source: Source,
        labels: np.ndarray,
        row_ids: Sequence[str],
        labelled: np.ndarray,
        unlabelled: np.ndarray,
        views: ViewSource | None,
        *,
        batch: int,
        batch_unlabelled: int,
        seed: int,
        by_length: Literal["none", "unlabelled", "all"] = "none",
        pad_to: int = 0,
        templates: int = 0,
    ):
        """Joins what a run feeds on.

        Args:
            source: all training rows, N of them.
            labels: (N,) gold classes, −1 unknown; or scores, NaN unknown.
            row_ids: N corpus ids.
            labelled: indices of the labelled rows.
            unlabelled: indices of the unlabelled rows.
            views: where views come from; None for methods without unlabelled rows.
            batch: labelled rows a batch.
            batch_unlabelled: unlabelled texts a batch, ignored without `views`.
            seed: of the two orders.
            by_length: whose batches are of rows of like length.
            pad_to: least width in tokens (0: only as wide as the batch needs).
            templates: how many of the labelled rows, the last of them, are of templates: they say
                nothing of how frequent classes are.
        """
        if target_of(labels) == "scores":
            labels = labels.astype(np.float32)
        self.source, self.labels, self.row_ids = source, labels, row_ids
        self.views, self.pad_to = views, pad_to
        self.drawn = labelled[: len(labelled) - templates]
        lengths = source.lengths
        self.labelled = Order(labelled, batch, [seed, 1], lengths if by_length == "all" else None)
        self.unlabelled = None
        if views is not None:
            self.unlabelled = Order(
                unlabelled, batch_unlabelled, [seed, 2], None if by_length == "none" else lengths
            )

    def batch(self, k: int, generator: np.random.Generator) -> Batch:
        """Batch k. Only views that are made on the fly (word dropout) use the generator."""
        labelled = self.labelled[k]
        rows: list[Any] = [self.source.row(i) for i in labelled]
        picked = np.empty(0, dtype=np.int64)
        copies = 0
        if self.unlabelled is not None and self.views is not None:
            picked, copies = self.unlabelled[k], self.views.copies
            originals: list[Any] = [self.source.row(i) for i in picked]
            for copy in range(copies):
                rows += [
                    self.views.view(int(i), original, copy, generator)
                    for i, original in zip(picked, originals, strict=True)
                ]
            rows += originals
        return Batch(
            rows=self.source.collate(rows, self.pad_to),
            labels=torch.from_numpy(self.labels[labelled]),
            unlabelled=len(picked),
            views=copies,
            hidden=self.labels[picked],
            row_ids=[self.row_ids[i] for i in (*labelled, *picked)],
            unknown_id=self.source.unknown_id,
        )


def in_length_order(lengths: np.ndarray, batch: int) -> list[np.ndarray]:
    """Cuts rows into batches of like length, longest first: for scoring, where order is free.

    Args:
        lengths: tokens of each row, (N,).
        batch: rows a batch, the last may be smaller.

    Returns:
        Positions into `lengths`, each once.
    """
    order = np.argsort(-lengths, kind="stable")
    return [order[i : i + batch] for i in range(0, len(order), batch)]
