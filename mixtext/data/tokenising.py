"""Texts to tokens, once for each set of texts and each tokenizer: see `cache.py`."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from mixtext.data.batches import Tokens, pad_id
from mixtext.data.cache import Columns, digest_of, kept
from mixtext.data.corpus import Corpus
from mixtext.data.texts import digest_of_texts, picked
from mixtext.data.views import StoredViews, read_views
from mixtext.errors import InputError
from mixtext.files import checksum

CHUNK = 1000  # texts that go to the tokenizer at a time
FEW = 1000  # texts that are not kept: they take a tenth of a second

Arrays = dict[str, np.ndarray]


def tokenise(
    tokenizer: Any,
    texts: Sequence[str],
    pairs: Sequence[str] | None = None,
    *,
    max_length: int,
    special_tokens: bool = True,
    rows: np.ndarray | None = None,
    keep: bool = False,
) -> Tokens:
    """Tokenises texts, truncated to `max_length` tokens.

    Args:
        tokenizer: a Hugging Face tokenizer. Word numbers need a fast one; with a slow one each
            token counts as a word.
        texts: N texts.
        pairs: N second texts, or None.
        max_length: tokens, specials included; more than there are specials.
        special_tokens: add the tokenizer's own ([CLS], [SEP], …). The official MixText code
            leaves them out.
        rows: the texts that are needed, where that is not all: the others are left without tokens.
        keep: takes them from the cache, or puts them there for the next time.

    Raises:
        InputError: the tokenizer has neither padding nor end token, or `max_length` leaves no room
            for text beside the special tokens.
    """
    _check(tokenizer, pairs is not None, max_length, special_tokens)
    needed = np.arange(len(texts)) if rows is None else np.unique(rows)
    firsts = texts if rows is None else picked(texts, needed)
    seconds = pairs if pairs is None or rows is None else picked(pairs, needed)

    def make(columns: Columns) -> dict[str, Any]:
        for chunk in _chunks(tokenizer, firsts, seconds, max_length, special_tokens):
            for name, values in chunk.items():
                columns.add(name, values)
        return {}

    if keep and tokenizer.is_fast and len(needed) > FEW:
        sums = [digest_of_texts(x) for x in (firsts, seconds) if x is not None]
        told = (*_description(tokenizer), max_length, special_tokens)
        found, _ = kept("tokens", [*told, *sums], make)
    else:
        columns = Columns()
        found = columns.finish(make(columns))
    return _tokens(tokenizer, found, needed, len(texts))


def tokenise_views(
    tokenizer: Any,
    path: Path,
    corpus: Corpus,
    rows: np.ndarray,
    *,
    max_length: int,
    special_tokens: bool = True,
) -> StoredViews:
    """Reads the views of some rows, see `read_views`, and tokenises them, or takes their tokens.

    Raises:
        InputError: as `read_views` and `tokenise`.
    """
    _check(tokenizer, corpus.pairs is not None, max_length, special_tokens)
    rows = np.sort(rows)
    seconds = None if corpus.pairs is None else picked(corpus.pairs, rows)

    def make(columns: Columns) -> dict[str, Any]:
        views = read_views(path, corpus, rows)
        for number, texts in enumerate(views.values()):
            for chunk in _chunks(tokenizer, texts, seconds, max_length, special_tokens):
                for name, values in chunk.items():
                    columns.add(f"{number}.{name}", values)
        return {"names": list(views)}

    if path.is_file() and tokenizer.is_fast and len(rows) > FEW:
        texts = (corpus.ids, corpus.texts, corpus.pairs)
        sums = [checksum(path), *(digest_of_texts(x) for x in texts if x is not None)]
        told = (*_description(tokenizer), max_length, special_tokens, digest_of(rows))
        found, about = kept("views", [*told, *sums], make)
    else:
        columns = Columns()
        about = make(columns)
        found = columns.finish(about)
    tables = [
        {name.removeprefix(f"{n}."): x for name, x in found.items() if name.startswith(f"{n}.")}
        for n in range(len(about["names"]))
    ]
    tokens = [_tokens(tokenizer, table, rows, len(corpus)) for table in tables]
    return StoredViews(about["names"], tokens)


def _check(tokenizer: Any, pairs: bool, max_length: int, special_tokens: bool) -> None:
    added = tokenizer.num_special_tokens_to_add(pairs) if special_tokens else 0
    if max_length <= added:  # the tokenizer would not truncate at all
        raise InputError(
            f"model.max_length is {max_length}, but the encoder's tokenizer adds {added} special "
            "tokens to every row: raise it, so that some of the text is left."
        )


def _tokens(tokenizer: Any, found: Arrays, rows: np.ndarray, total: int) -> Tokens:
    """Tokens of `rows`, in rising order, of `total`."""
    lengths = np.zeros(total, dtype=np.int64)
    lengths[rows] = found["lengths"]
    return Tokens(
        found["ids"],
        found["words"],
        found.get("types"),
        found.get("side"),
        np.concatenate([[0], np.cumsum(lengths)]),
        pad_id(tokenizer),
        tokenizer.unk_token_id,
    )


def _description(tokenizer: Any) -> tuple[str, ...]:
    """All of a fast tokenizer that tokens depend on."""
    with _bare(tokenizer):
        whole = tokenizer.backend_tokenizer.to_str()
    about = tokenizer.model_input_names, tokenizer.truncation_side, tokenizer.unk_token_id
    return whole, str(about), version("tokenizers")


@contextmanager
def _bare(tokenizer: Any, max_length: int | None = None) -> Iterator[Any]:
    """The inner tokenizer, truncating to a length but not padding; afterwards as it was."""
    inner = tokenizer.backend_tokenizer
    truncation, padding = inner.truncation, inner.padding
    inner.no_padding()
    if max_length is None:
        inner.no_truncation()
    else:
        inner.enable_truncation(max_length, direction=tokenizer.truncation_side)
    try:
        yield inner
    finally:
        inner.no_truncation()
        if truncation is not None:
            inner.enable_truncation(**truncation)
        if padding is not None:
            inner.enable_padding(**padding)


def _chunks(
    tokenizer: Any,
    texts: Sequence[str],
    pairs: Sequence[str] | None,
    max_length: int,
    special_tokens: bool,
) -> Iterator[Arrays]:
    """Arrays as in `Tokens`, with `lengths` (N,), of a thousand texts after another."""
    small = np.uint16 if len(tokenizer) <= 2**16 else np.int32
    kinds: dict[str, Any] = {"ids": small, "words": np.int16 if max_length < 2**15 else np.int32}
    kinds |= {"types": np.int8, "side": np.int8, "lengths": np.int32}
    starts = _word_starts(tokenizer) if tokenizer.is_fast else None
    unknown = tokenizer.unk_token_id
    filler = pad_id(tokenizer) if unknown is None else unknown
    for start in range(0, max(1, len(texts)), CHUNK):
        part = slice(start, start + CHUNK)
        firsts, seconds = list(texts[part]), None if pairs is None else list(pairs[part])
        if tokenizer.is_fast:
            with _bare(tokenizer, max_length) as inner:
                found = _fast(inner, firsts, seconds, special_tokens, starts)
        else:
            found = _slow(tokenizer, firsts, seconds, max_length, special_tokens)
        if "token_type_ids" not in tokenizer.model_input_names:
            del found["types"]
        if pairs is None:  # nothing that `words` does not tell
            del found["side"]
        # A text of which the tokenizer leaves nothing still needs one position to pool over.
        lengths = found.pop("lengths")
        at = (np.cumsum(lengths) - lengths)[lengths == 0]
        for name, value in (("ids", filler), ("words", -1), ("types", 0), ("side", -1)):
            if name in found:
                found[name] = np.insert(found[name], at, value).astype(kinds[name])
        yield {**found, "lengths": np.maximum(lengths, 1).astype(kinds["lengths"])}


def _fast(
    inner: Any,
    texts: list[str],
    pairs: list[str] | None,
    special_tokens: bool,
    starts: np.ndarray | None,
) -> Arrays:
    """Arrays of some texts; words by the tokens that begin one, where the vocabulary tells."""
    rows: Any = texts if pairs is None else list(zip(texts, pairs, strict=True))
    encode = inner.encode_batch if starts is None else inner.encode_batch_fast
    encoded = encode(rows, add_special_tokens=special_tokens)
    lengths = np.fromiter(map(len, encoded), np.int64, len(encoded))

    def flat(attribute: str) -> np.ndarray:
        lists: Any = chain.from_iterable(getattr(one, attribute) for one in encoded)
        if attribute in ("word_ids", "sequence_ids"):
            lists = (-1 if x is None else x for x in lists)
        return np.fromiter(lists, np.int64, int(lengths.sum()))

    ids, types = flat("ids"), flat("type_ids")
    side = np.zeros(0) if pairs is None else flat("sequence_ids")
    row = np.repeat(np.arange(len(lengths)), lengths)
    if starts is None:
        words = flat("word_ids")
        inside = words >= 0
        begins = np.diff(words, prepend=-1) != 0
    else:
        inside = flat("special_tokens_mask") == 0
        begins = starts[ids] | (np.diff(inside, prepend=False))
    begins |= np.diff(row, prepend=-1) != 0
    if pairs is not None:
        begins |= np.diff(side, prepend=-2) != 0
    count = np.cumsum(begins & inside)
    before = np.concatenate([[0], count])[np.cumsum(lengths) - lengths]  # words of earlier rows
    words = np.where(inside, count - 1 - before[row], -1)
    return {"ids": ids, "words": words, "types": types, "side": side, "lengths": lengths}


def _word_starts(tokenizer: Any) -> np.ndarray | None:
    """Which tokens begin a word, by id; None where the vocabulary does not tell.

    The fast way through a tokenizer does not number words. In BERT's vocabularies a piece that goes
    on with a word is marked, and BERT's words are cut so that no word looks like such a piece.
    """
    from tokenizers.models import WordPiece
    from tokenizers.pre_tokenizers import BertPreTokenizer

    inner = tokenizer.backend_tokenizer
    pieces, cut = inner.model, inner.pre_tokenizer
    if not (isinstance(pieces, WordPiece) and isinstance(cut, BertPreTokenizer)):
        return None
    mark = pieces.continuing_subword_prefix
    if mark != "##" or any(
        x.content.startswith(mark) for x in inner.get_added_tokens_decoder().values()
    ):
        return None
    vocabulary = inner.get_vocab()
    starts = np.ones(max(vocabulary.values()) + 1, dtype=bool)
    starts[[number for piece, number in vocabulary.items() if piece.startswith(mark)]] = False
    return starts


def _slow(
    tokenizer: Any,
    texts: list[str],
    pairs: list[str] | None,
    max_length: int,
    special_tokens: bool,
) -> Arrays:
    """The same by a tokenizer in Python, which knows nothing of words."""
    encoded = tokenizer(
        texts,
        pairs,
        truncation=True,
        max_length=max_length,
        add_special_tokens=special_tokens,
        return_attention_mask=False,
    )
    rows = encoded["input_ids"]
    ids = np.fromiter(chain.from_iterable(rows), np.int64)
    types = np.fromiter(chain.from_iterable(encoded.get("token_type_ids", [])), np.int64)
    special = np.isin(ids, tokenizer.all_special_ids)
    place = np.concatenate([np.arange(len(row)) for row in rows])
    side = types if pairs is not None and len(types) else np.zeros_like(ids)
    return {
        "ids": ids,
        "words": np.where(special, -1, place),
        "types": types,
        "side": np.where(special, -1, side),
        "lengths": np.array([len(row) for row in rows]),
    }
