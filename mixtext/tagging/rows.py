"""Tagged sentences as rows of tokens: labels at first sub-tokens, windows over long sentences.

    words    Heathrow                 airport   closed
    tokens   heath  ##row             airport   closed
    speaks   0      −1                1         2          the first sub-token speaks for its word

A sentence that is longer than `max_length` becomes several rows, windows that overlap. Every word
is spoken for in exactly one of them, the one that shows most of its surroundings, so that nothing
is lost and nothing counts twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mixtext.data.batches import Order, Padded, Tokens, pad, pad_id
from mixtext.errors import InputError
from mixtext.tagging.corpus import TaggedCorpus

BUCKETS = 4  # batches that are sorted by length at a time
SILENT = -1  # a token that speaks for no word
CASES = ("lower", "upper", "title", "mixed", "digit")


@dataclass(frozen=True)
class TaggedRows(Padded):
    """Rows as tensors, with the letter case of each token's word.

    Attributes:
        case: index into `CASES` of the word that a token is part of, int64, `(B, T)`; 0 for
            special tokens and padding.
    """

    case: Tensor | None = None


@dataclass(frozen=True)
class SentenceTokens:
    """Sentences as rows of tokens.

    Attributes:
        tokens: R rows, at least one for each sentence, in the order of the sentences.
        speaks: for each token the word that it speaks for, counted over all sentences, or −1;
            int64, shape `(total,)`. Each word has exactly one token that speaks for it.
        case: index into `CASES` of each token's word, int8, shape `(total,)`.
        sentence: the sentence of each row, int64, shape `(R,)`.
        word_offsets: sentence i holds the words `word_offsets[i]` to `word_offsets[i + 1]`, int64,
            shape `(N + 1,)`.
    """

    tokens: Tokens
    speaks: np.ndarray
    case: np.ndarray
    sentence: np.ndarray
    word_offsets: np.ndarray

    def __len__(self) -> int:
        return len(self.tokens)

    def spoken(self, row: int | np.integer) -> np.ndarray:
        """The words that the tokens of a row speak for, shape `(T,)`."""
        return self.speaks[self.tokens.offsets[row] : self.tokens.offsets[row + 1]]

    def rows(self, rows: Sequence[int] | np.ndarray) -> TaggedRows:
        """Rows, padded to the longest of them."""
        padded = pad([self.tokens.row(i) for i in rows], self.tokens.pad_id)
        case = np.zeros(padded.ids.shape, dtype=np.int64)
        for place, row in enumerate(rows):
            first, last = self.tokens.offsets[row], self.tokens.offsets[row + 1]
            case[place, : last - first] = self.case[first:last]
        return TaggedRows(
            padded.ids, padded.mask, padded.types, padded.side, case=torch.from_numpy(case)
        )


def case_of(word: str) -> int:
    """The letter case of a word, as an index into `CASES`; one with a digit is a `digit`."""
    if any(letter.isdigit() for letter in word):
        return CASES.index("digit")
    if word.isupper():
        return CASES.index("title" if len(word) == 1 else "upper")
    if word.lower() == word:
        return CASES.index("lower")
    return CASES.index("title" if word[0].isupper() and word[1:].lower() == word[1:] else "mixed")


def cut_windows(length: int, room: int, overlap: int) -> list[tuple[int, int, int, int]]:
    """Windows over `length` tokens: start, stop, and which part of it speaks, own_start, own_stop.

    The own parts follow each other without gap or overlap; where two windows overlap, each speaks
    for the half that is nearer to its middle.

    Args:
        length: tokens to cover, ≥ 1.
        room: tokens that a window holds, ≥ 1.
        overlap: tokens that neighbours share, 0 ≤ overlap < room.
    """
    starts = [0]
    while starts[-1] + room < length:
        starts.append(starts[-1] + room - overlap)
    stops = [min(start + room, length) for start in starts]
    borders = [(b + e) // 2 for b, e in zip(starts[1:], stops[:-1], strict=True)]
    return list(zip(starts, stops, [0, *borders], [*borders, length], strict=True))


def tokenise_sentences(
    tokenizer: Any, sentences: Sequence[Sequence[str]], max_length: int, overlap: int = 0
) -> SentenceTokens:
    """Tokenises sentences that are lists of words.

    A word of which the tokenizer leaves nothing (a zero-width space) becomes its unknown token.

    Args:
        tokenizer: a fast Hugging Face tokenizer.
        sentences: N sentences, none empty.
        max_length: tokens of a row, special tokens included.
        overlap: tokens that neighbouring windows of a long sentence share, ≥ 0.

    Raises:
        InputError: a slow tokenizer; `max_length` leaves no room beside special tokens and
            overlap.
    """
    _check_fast(tokenizer)
    room = max_length - tokenizer.num_special_tokens_to_add(False)
    if room < 1 or not 0 <= overlap < room:
        raise InputError(
            f"model.max_length is {max_length} and the overlap of windows {overlap}, which leaves "
            "no room for text beside the encoder's special tokens: raise the one or lower the "
            "other."
        )
    ids: list[np.ndarray] = []
    words: list[np.ndarray] = []
    types: list[np.ndarray] = []
    speaks: list[np.ndarray] = []
    cases: list[np.ndarray] = []
    owner: list[int] = []
    word_offsets = np.cumsum([0, *(len(tokens) for tokens in sentences)]).astype(np.int64)
    for number, (piece_ids, piece_words, piece_types) in enumerate(_pieces(tokenizer, sentences)):
        inner = np.flatnonzero(piece_words >= 0)  # the rest are the special tokens around it
        before, after = np.arange(inner[0]), np.arange(inner[-1] + 1, len(piece_words))
        new = np.diff(piece_words[inner], prepend=-1) != 0
        first_of = np.where(new, piece_words[inner] + word_offsets[number], SILENT)
        case = np.array([case_of(word) for word in sentences[number]])
        for start, stop, own_start, own_stop in cut_windows(len(inner), room, overlap):
            picked = np.concatenate([before, inner[start:stop], after])
            place = np.arange(start, stop)
            own = np.where((own_start <= place) & (place < own_stop), first_of[start:stop], SILENT)
            silent = [np.full(len(part), SILENT) for part in (before, after)]
            ids.append(piece_ids[picked].astype(np.int32))
            words.append(piece_words[picked].astype(np.int32))
            speaks.append(np.concatenate([silent[0], own, silent[1]]))
            cases.append(np.where(words[-1] >= 0, case[words[-1]], 0).astype(np.int8))
            owner.append(number)
            if piece_types is not None:
                types.append(piece_types[picked].astype(np.int8))
    tokens = Tokens(
        np.concatenate(ids),
        np.concatenate(words),
        np.concatenate(types) if types else None,
        np.concatenate([np.minimum(row, 0) for row in words]).astype(np.int8),
        np.cumsum([0, *map(len, ids)]).astype(np.int64),
        pad_id(tokenizer),
    )
    return SentenceTokens(
        tokens,
        np.concatenate(speaks).astype(np.int64),
        np.concatenate(cases),
        np.array(owner, dtype=np.int64),
        word_offsets,
    )


def token_counts(tokenizer: Any, sentences: Sequence[Sequence[str]]) -> np.ndarray:
    """Tokens of each sentence, special ones included, before any is cut; int64, shape `(N,)`.

    Raises:
        InputError: a slow tokenizer.
    """
    _check_fast(tokenizer)
    return np.array([len(ids) for ids, _, _ in _pieces(tokenizer, sentences)], dtype=np.int64)


def _check_fast(tokenizer: Any) -> None:
    if not getattr(tokenizer, "is_fast", False):
        raise InputError(
            "tagging needs a fast tokenizer, which tells the words of its tokens: choose an "
            "encoder that has one (a tokenizer.json)."
        )


def _pieces(tokenizer: Any, sentences: Sequence[Sequence[str]]) -> Any:
    """For each sentence its token ids, their words (−1: special) and types or None; uncut."""
    unknown = str(tokenizer.unk_token or tokenizer.eos_token)
    for start in range(0, len(sentences), 1000):
        part = [list(tokens) for tokens in sentences[start : start + 1000]]
        encoded = encode_words(tokenizer, part, True)
        for i, tokens in enumerate(part):
            known = {word for word in encoded.word_ids(i) if word is not None}
            one, at = encoded, i
            if len(known) < len(tokens):
                filled = [w if n in known else unknown for n, w in enumerate(tokens)]
                one, at = encode_words(tokenizer, [filled], True), 0
            types = one["token_type_ids"][at] if "token_type_ids" in one else None
            yield (
                np.array(one["input_ids"][at]),
                np.array([-1 if word is None else word for word in one.word_ids(at)]),
                None if types is None else np.array(types),
            )


def encode_words(tokenizer: Any, sentences: list[list[str]], special_tokens: bool) -> Any:
    """The tokenizer's encoding of sentences that are lists of words, uncut.

    A byte-level tokenizer takes a word without a blank before it for the rest of a word, so that
    it gets one here, unless the tokenizer sees to that itself.
    """
    options: dict[str, Any] = {
        "add_special_tokens": special_tokens,
        "truncation": False,
        "return_attention_mask": False,
        "verbose": False,  # windows are cut of what is longer than the encoder takes
    }
    plain = {"add_special_tokens": False}
    text = tokenizer("a b", **plain)["input_ids"]
    words = tokenizer([["a", "b"]], is_split_into_words=True, **plain)["input_ids"][0]
    blank = tokenizer([["a", " b"]], is_split_into_words=True, **plain)["input_ids"][0]
    if text != words and text == blank:
        sentences = [[f" {word}" for word in words] for words in sentences]
    return tokenizer(sentences, is_split_into_words=True, **options)


@dataclass(frozen=True, eq=False)
class SoftSentences:
    """Sentences with a distribution over tags for each word: what a tagger is trained on.

    Attributes:
        words: N sentences.
        targets: soft labels of each, float32, `(T, C)`, rows summing to 1.
        ids: the sentences' ids.
    """

    words: list[list[str]]
    targets: list[np.ndarray]
    ids: list[str]

    def __len__(self) -> int:
        return len(self.words)

    def __add__(self, other: "SoftSentences") -> "SoftSentences":
        return SoftSentences(
            self.words + other.words, self.targets + other.targets, self.ids + other.ids
        )


def hard_sentences(corpus: TaggedCorpus) -> SoftSentences:
    """The labelled sentences of a corpus with one-hot labels."""
    eye = np.eye(len(corpus.tag_names), dtype=np.float32)
    part = corpus.select(np.flatnonzero(corpus.labelled))
    return SoftSentences(part.sentences, [eye[tags] for tags in part.tags], part.ids)


@dataclass(frozen=True)
class TaggedBatch:
    """What a tagger's loss sees.

    Attributes:
        rows: B padded rows.
        targets: soft labels, float32, `(B, T, C)`; all 0 at tokens that speak for no word.
        row_ids: the B sentence ids, for messages.
        hidden: unused here; no row is unlabelled.
    """

    rows: TaggedRows
    targets: Tensor
    row_ids: list[str]
    hidden: np.ndarray

    def to(self, device: torch.device) -> "TaggedBatch":
        """The same batch on another device."""
        return replace(self, rows=self.rows.to(device), targets=self.targets.to(device))


class TaggedFeed:
    """Builds batch k of labelled sentences; windows of long sentences are rows of their own."""

    def __init__(self, tokens: SentenceTokens, train: SoftSentences, *, batch: int, seed: int):
        """Feeds on `train`, of which `tokens` are the rows; `seed` is of the order."""
        self.tokens, self.ids = tokens, train.ids
        self.targets = np.concatenate(train.targets)  # (W, C)
        # Sentences differ in length so much that batches as they come are mostly padding. A few
        # batches are sorted at a time; more, and the same sentences would always meet.
        rows, lengths = np.arange(len(tokens)), tokens.tokens.lengths
        self.labelled = Order(rows, batch, [seed, 1], lengths, window=BUCKETS)

    def batch(self, k: int, generator: np.random.Generator) -> TaggedBatch:
        """Batch k; the generator is not needed."""
        rows = self.labelled[k]
        padded = self.tokens.rows(rows)
        targets = np.zeros((*padded.ids.shape, self.targets.shape[1]), dtype=np.float32)
        for place, row in enumerate(rows):
            spoken = self.tokens.spoken(row)
            at = np.flatnonzero(spoken >= 0)
            targets[place, at] = self.targets[spoken[at]]
        return TaggedBatch(
            rows=padded,
            targets=torch.from_numpy(targets),
            row_ids=[self.ids[self.tokens.sentence[row]] for row in rows],
            hidden=np.empty(0, dtype=np.int64),
        )
