"""SeqMix on words: labelled sentences in, generated ones out, with soft labels.

Mixing looks words up in an embedding table. With the encoder's own table, a word of several
sub-tokens has their mean for an embedding, and it is never emitted, as the paper forbids pieces of
words. What an uncased table emits takes the letter case of the word whose place it takes, or
else all generated entities would be in lower case and the case features would give them away.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mixtext.data.vocabulary import read_word_vectors
from mixtext.errors import InputError
from mixtext.models.pretrained import load_encoder
from mixtext.tagging.corpus import TaggedCorpus
from mixtext.tagging.mixing import (
    Candidate,
    TaggedSentences,
    TokenTable,
    allowed_tokens,
    candidates,
    take_accepted,
)
from mixtext.tagging.perplexity import CausalModel, PerplexityRange, fit_range
from mixtext.tagging.rows import SoftSentences, encode_words
from mixtext.tagging.seqmix import SeqMix
from mixtext.tagging.tags import OUTSIDE

Accept = Callable[[Sequence[str]], bool]
VECTORS_AT_MOST = 50_000


@dataclass(frozen=True, eq=False)
class WordTable:
    """Words and the embeddings that they are mixed in.

    Attributes:
        names: the word of each row of the table.
        tokens: the table and which of its words may be emitted.
        row: the row of every word of the text.
        cased: whether the table tells upper from lower case.
    """

    names: list[str]
    tokens: TokenTable
    row: dict[str, int]
    cased: bool


@dataclass(frozen=True)
class Generated:
    """A sentence that SeqMix made.

    Attributes:
        words: its words.
        labels: soft labels, `(T, C)`, as nested lists: they are kept as JSON.
        parents: ids of the sentence written into, and of the one it was mixed with.
        start: first word of the mixed window.
        size: words in the window.
        lam: weight of the first parent.
    """

    words: list[str]
    labels: list[list[float]]
    parents: tuple[str, str]
    start: int
    size: int
    lam: float


def encoder_table(
    embeddings: np.ndarray, tokenizer: Any, text: Iterable[str], emit: str = "text"
) -> WordTable:
    """The word table of an encoder's own token embeddings.

    Args:
        embeddings: one a token of the tokenizer, `(V, D)`; further rows are cut off.
        tokenizer: a fast tokenizer.
        text: all words that will be mixed.
        emit: `text` for words of the text alone, or `vocabulary`.

    Raises:
        InputError: no token is left that may be emitted.
    """
    size = min(len(tokenizer), len(embeddings))
    pieces = [str(piece) for piece in tokenizer.convert_ids_to_tokens(range(size))]
    names = [piece.lstrip("Ġ▁") or piece for piece in pieces]
    upper, lower = _ids(tokenizer, ["Paris", "paris"])
    words = sorted({*text})
    ids = _ids(tokenizer, words)
    extra: list[tuple[str, np.ndarray]] = []
    row: dict[str, int] = {}
    for word, its in zip(words, ids, strict=True):
        if len(its) == 1:
            row[word] = its[0]
        else:  # a word of several pieces, or of none
            row[word] = size + len(extra)
            extra.append((word, embeddings[its].mean(axis=0) if its else 0 * embeddings[0]))
    whole = _ids(tokenizer, names)
    allowed = allowed_tokens(pieces, specials=[*tokenizer.all_special_tokens])
    # A token is a word if it comes back as itself. This holds for tokenizers of any kind.
    allowed &= np.array([its == [token] for token, its in enumerate(whole)])
    is_cased = upper != lower
    if emit == "text":
        present = {word if is_cased else word.lower() for word in words}
        allowed &= np.array([name in present for name in names])
    if not allowed.any():
        raise InputError(
            "seqmix.emit is 'text', but no word of the sentences is a token of the encoder's "
            "tokenizer: set it to 'vocabulary', name word vectors in seqmix.vectors, or choose "
            "another model.encoder."
            if emit == "text"
            else "seqmix.emit is 'vocabulary', but no token of the encoder's tokenizer is a whole "
            "word: name word vectors in seqmix.vectors, or choose another model.encoder."
        )
    table = np.concatenate([embeddings[:size], *(vector[None] for _, vector in extra)])
    return WordTable(
        [*names, *(word for word, _ in extra)],
        TokenTable(table, np.concatenate([allowed, np.zeros(len(extra), dtype=bool)])),
        row,
        is_cased,
    )


def vector_table(source: str, text: Iterable[str], emit: str = "text") -> WordTable:
    """The word table of pretrained word vectors; a word without a vector has zeros.

    Args:
        source: `glove` or a file, see `read_word_vectors`.
        text: all words that will be mixed.
        emit: `text` for words of the text alone, or `vocabulary`: the first 50,000 too.
    """
    words = sorted({*text})
    wanted = {*words, *(word.lower() for word in words)}
    vectors = read_word_vectors(source, 0 if emit == "text" else VECTORS_AT_MOST, wanted)
    names = [*vectors]
    number = {name: n for n, name in enumerate(names)}
    nothing = len(names)  # the row of all words without a vector
    row = {word: number.get(word, number.get(word.lower(), nothing)) for word in words}
    table = np.stack([*vectors.values(), np.zeros_like(next(iter(vectors.values())))])
    allowed = np.arange(len(table)) < nothing
    return WordTable(
        [*names, ""], TokenTable(table, allowed), row, any(n != n.lower() for n in names)
    )


def _ids(tokenizer: Any, words: Sequence[str]) -> list[list[int]]:
    """The token ids of each word."""
    encoded = encode_words(tokenizer, [[word] for word in words], special_tokens=False)
    return [list(ids) for ids in encoded["input_ids"]]


def in_case_of(word: str, host: str) -> str:
    """A lower-case word in the letter case of another: `paris`, `LONDON` → `PARIS`."""
    if host.isupper() and len(host) > 1:
        return word.upper()
    return word[:1].upper() + word[1:] if host[:1].isupper() else word


def generate(
    corpus: TaggedCorpus,
    settings: SeqMix,
    table: WordTable,
    accept: Accept,
    generator: np.random.Generator,
) -> list[Generated]:
    """At most int(rate · K) new sentences out of the K labelled ones of a corpus.

    Args:
        corpus: K labelled sentences.
        settings: what to mix and how much.
        table: the words' embeddings; every word of the corpus has a row.
        accept: judges the words of one candidate.
        generator: order of pairs and λ.

    Raises:
        InputError: a sentence is not labelled, or a position has no word left.
    """
    if not corpus.labelled.all():
        raise InputError(f"{corpus.source or corpus.name}: SeqMix needs labelled sentences.")
    sentences = TaggedSentences(
        [np.array([table.row[word] for word in words]) for words in corpus.sentences],
        corpus.tags,
        len(corpus.tag_names),
        corpus.tag_names.index(OUTSIDE),
    )
    made = candidates(
        sentences,
        table.tokens,
        settings.pairing,
        generator=generator,
        size=settings.window,
        threshold=settings.threshold,
        alpha=settings.alpha,
    )

    def words_of(candidate: Candidate) -> list[str]:
        words = list(corpus.sentences[candidate.parents[0]])
        for place in range(candidate.start, candidate.start + candidate.size):
            name = table.names[candidate.tokens[place]]
            words[place] = name if table.cased else in_case_of(name, words[place])
        return words

    kept = take_accepted(made, lambda x: accept(words_of(x)), settings.rate, len(corpus))
    return [
        Generated(
            words_of(x),
            x.labels.tolist(),
            (corpus.ids[x.parents[0]], corpus.ids[x.parents[1]]),
            x.start,
            x.size,
            x.lam,
        )
        for x in kept
    ]


@dataclass(frozen=True)
class Maker:
    """Makes sentences; embeddings and language model are made ready when they are first needed.

    Attributes:
        settings: what to mix and how much; a rate of 0 makes nothing.
        encoder: the tagger's encoder, whose embeddings serve unless there are word vectors.
        text: all sentences, of seed and pool; their labels are not asked for.
        seed: of the sentences that the n-gram model holds out.
    """

    settings: SeqMix
    encoder: str
    text: list[list[str]]
    seed: int

    def check(self) -> None:
        """Makes embeddings and language model ready, which refuses those that are not there."""
        if self.settings.rate:
            _ = self.table, self.judge

    def make(self, new: TaggedCorpus, generator: np.random.Generator) -> list[Generated]:
        """What SeqMix makes of labelled sentences."""
        if self.settings.rate == 0:
            return []
        return generate(new, self.settings, self.table, self.judge.accepts, generator)

    @cached_property
    def table(self) -> WordTable:
        """The embeddings that words are mixed in."""
        words = (word for sentence in self.text for word in sentence)
        if self.settings.vectors:
            return vector_table(self.settings.vectors, words, self.settings.emit)
        encoder, tokenizer = load_encoder(self.encoder)
        model: Any = encoder.model
        embeddings = model.get_input_embeddings().weight.detach().numpy()
        try:
            return encoder_table(embeddings, tokenizer, words, self.settings.emit)
        except InputError as error:
            raise InputError(f"{self.encoder}: {error}") from None

    @cached_property
    def judge(self) -> PerplexityRange:
        """The discriminator that the settings name."""
        settings = self.settings
        if settings.language_model:
            low, high = settings.perplexity
            return PerplexityRange(CausalModel.load(settings.language_model), low, high)
        low, high = settings.quantiles
        generator = np.random.default_rng([self.seed, 7])  # the same however far the run is
        return fit_range(self.text, (low, high), settings.ngram, generator)


def soft_sentences(generated: Sequence[Generated], prefix: str) -> SoftSentences:
    """Generated sentences as training sentences, their ids beginning with `prefix`."""
    return SoftSentences(
        [one.words for one in generated],
        [np.array(one.labels, dtype=np.float32) for one in generated],
        [f"{prefix}{n}" for n in range(len(generated))],
    )


def show(one: Generated, tag_names: Sequence[str]) -> str:
    """A generated sentence in one line, mixed labels in brackets: `Rome[.58 B-LOC .42 B-PER]`."""
    shown = []
    for word, labels in zip(one.words, one.labels, strict=True):
        parts = [(p, name) for p, name in zip(labels, tag_names, strict=True) if p > 0]
        if len(parts) == 1:
            ((_, name),) = parts
            shown.append(word if name == OUTSIDE else f"{word}[{name}]")
        else:
            mixed = " ".join(f"{p:.2f} {name}" for p, name in sorted(parts, reverse=True))
            shown.append(f"{word}[{mixed.replace('0.', '.')}]")
    return " ".join(shown)
