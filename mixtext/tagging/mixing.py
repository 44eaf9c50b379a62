"""SeqMix's sentence generation (arXiv 2010.02322): two tagged sentences in, new ones out.

At aligned positions of two paired windows, with λ ~ Beta(α, α) drawn once a pair,

    token = argmin over allowed tokens ‖e − (λ·e_i + (1 − λ)·e_j)‖₂    label = λ·y_i + (1 − λ)·y_j

The pairings differ only in which windows may meet: see `paired_windows`. Candidates come one by
one and in random order, so that a discriminator can refuse them and stop when it has enough:

    made = candidates(sentences, table, "sub_sequence", generator=generator)
    kept = take_accepted(made, is_fluent, rate=0.2, handed=len(sentences.tokens))
"""

import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, get_args

import numpy as np

from mixtext.errors import InputError
from mixtext.mixing.interpolate import draw_lam

Pairing = Literal["whole_sequence", "sub_sequence", "label_constrained"]
SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
TARGETS_AT_ONCE = 256  # with `chunk`, what bounds the memory of the search


@dataclass(frozen=True, eq=False)
class TokenTable:
    """The embedding table that tokens are looked up in, and which of them may be emitted.

    Attributes:
        table: token embeddings, floats, shape `(V, D)`.
        allowed: may this token be emitted; bool, shape `(V,)`. See `allowed_tokens`.
        squared: ‖e‖² of each token, float64, shape `(V,)`: computed once, used by every search.

    Raises InputError where the shapes disagree or no token is allowed.
    """

    table: np.ndarray
    allowed: np.ndarray
    squared: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        rows, allowed = self.table.shape, self.allowed
        if len(rows) != 2 or allowed.shape != rows[:1] or allowed.dtype != np.bool_:
            raise InputError("A token table needs (V, D) embeddings and `allowed` (V,) booleans.")
        if not allowed.any():
            raise InputError("No token is allowed: allow at least one token of the table.")
        object.__setattr__(self, "squared", squared_norms(self.table))


@dataclass(frozen=True, eq=False)
class TaggedSentences:
    """Sentences with one hard label a token.

    Attributes:
        tokens: rows of the embedding table, words or pieces, shape `(T,)` for each sentence.
        labels: label ids of each sentence, in [0, num_labels), shape `(T,)` each.
        num_labels: C, the columns of the soft labels.
        outside: label id of O.

    Raises InputError where tokens and labels do not match or a label is out of range.
    """

    tokens: Sequence[np.ndarray]
    labels: Sequence[np.ndarray]
    num_labels: int
    outside: int = 0

    def __post_init__(self) -> None:
        if [len(tokens) for tokens in self.tokens] != [len(labels) for labels in self.labels]:
            raise InputError("Tokens and labels do not match: give one label for each token.")
        _check_ids(self.labels, self.num_labels, "label")


class Window(NamedTuple):
    """`size` tokens of one sentence from `start` on."""

    sentence: int
    start: int
    size: int


@dataclass(frozen=True, eq=False)
class Candidate:
    """A generated sentence: a parent in which one window was replaced by the mixed one.

    Attributes:
        tokens: token ids, int64, shape `(T,)`; T is the length of the first parent.
        labels: soft labels, float64, shape `(T, C)`; one-hot outside the window.
        parents: the sentence written into, and the one it was mixed with.
        start: first position of the window in the first parent.
        size: tokens in the window.
        lam: weight of the first parent, in [0, 1].
    """

    tokens: np.ndarray
    labels: np.ndarray
    parents: tuple[int, int]
    start: int
    size: int
    lam: float


def allowed_tokens(
    names: Sequence[str], specials: Collection[str] = SPECIALS, piece_prefix: str = "##"
) -> np.ndarray:
    """Which of V tokens may be emitted, bool `(V,)`: no special, no word piece, no `[unused…]`.

    `specials` names the unknown token too; an empty `piece_prefix` means that no token is a piece.
    """
    banned = ("[unused", piece_prefix) if piece_prefix else ("[unused",)
    return np.array([n not in specials and not n.startswith(banned) for n in names], dtype=bool)


def squared_norms(table: np.ndarray, chunk: int = 4096) -> np.ndarray:
    """‖e‖² of each row of `table` (V, D), in float64, shape `(V,)`."""
    norms = np.empty(len(table))
    for k in range(0, len(table), chunk):
        norms[k : k + chunk] = np.square(table[k : k + chunk].astype(np.float64)).sum(axis=1)
    return norms


def nearest_tokens(
    targets: np.ndarray,
    table: np.ndarray,
    allowed: np.ndarray,
    parents: np.ndarray | None,
    *,
    chunk: int = 4096,
    squared: np.ndarray | None = None,
) -> np.ndarray:
    """The allowed token nearest to each target, parents excepted; the first one where tokens tie.

    By ‖e‖² − 2·t·e, which differs from the squared distance by ‖t‖² alone. It is a matrix product
    in the table's precision: tokens whose distances differ by less than that tells may change
    places. Extra memory is about 24·256·chunk bytes beside a copy of `chunk` rows.

    Args:
        targets: floats, shape `(N, D)`.
        table: token embeddings, floats, shape `(V, D)`.
        allowed: may this token be chosen; bool, shape `(V,)`.
        parents: token ids that are not chosen for the target, shape `(N, 2)`; None: all may be.
        chunk: rows of the table that are compared at once, ≥ 1.
        squared: `squared_norms(table)`, if known.

    Returns:
        Token ids, int64, shape `(N,)`.

    Raises:
        InputError: a target has no token left (at a finite distance).
    """
    squared = squared_norms(table, chunk) if squared is None else squared
    parents = np.full((len(targets), 2), -1) if parents is None else parents
    if len(targets) > TARGETS_AT_ONCE:
        cuts = range(TARGETS_AT_ONCE, len(targets), TARGETS_AT_ONCE)
        few = zip(np.split(targets, cuts), np.split(parents, cuts), strict=True)
        return np.concatenate(
            [nearest_tokens(t, table, allowed, p, chunk=chunk, squared=squared) for t, p in few]
        )
    precision = np.dtype(np.float64 if table.dtype == np.float64 else np.float32)
    doubled = 2 * targets.astype(precision)
    # What may not be chosen is infinitely long, and so are, below, a target's parents.
    norms = np.where(allowed, squared, np.inf).astype(precision)  # (V,)
    best = np.full(len(targets), -1, dtype=np.int64)
    best_distance = np.full(len(targets), np.inf, dtype=precision)
    everyone = np.arange(len(targets))
    for first in range(0, len(table), chunk):
        rows = table[first : first + chunk].astype(precision, copy=False)
        with np.errstate(invalid="ignore"):
            distance = norms[first : first + chunk] - doubled @ rows.T  # (N, c), less ‖t‖²
        for column in parents.T:
            inside = np.flatnonzero((first <= column) & (column < first + len(rows)))
            distance[inside, column[inside] - first] = np.inf
        if not np.isfinite(squared[first : first + chunk]).all():  # rows that are no numbers
            distance[np.isnan(distance)] = np.inf
        token = distance.argmin(axis=1)  # the first one on ties
        nearer = distance[everyone, token] < best_distance
        best[nearer] = first + token[nearer]
        best_distance[nearer] = distance[nearer, token[nearer]]
    if (best < 0).any():
        raise InputError(
            f"of the {allowed.sum()} words that may come out of SeqMix none is left for a place: "
            "set seqmix.emit to 'vocabulary', or give more sentences."
        )
    return best


def eligible_windows(
    labels: np.ndarray, size: int, threshold: float, outside: int = 0
) -> np.ndarray:
    """Starts, int64, of all windows of `labels` (T,) with a density η of at least `threshold`.

    The last window counts. There is none where the sentence is shorter than `size`.

    Raises:
        InputError: size is below 1, or threshold outside [0, 1].
    """
    _check_window(size, threshold)
    counts = np.cumsum(np.concatenate([[0], np.asarray(labels) != outside]))
    # A quotient, not a product: 3 of 5 reaches a threshold of 0.6 exactly.
    return np.flatnonzero((counts[size:] - counts[:-size]) / size >= threshold).astype(np.int64)


def soft_labels(row: np.ndarray, partner: np.ndarray, lam: float, num_labels: int) -> np.ndarray:
    """λ·y_i + (1 − λ)·y_j of label ids `row` (T,) and `partner` (T,): float64, shape `(T, C)`.

    Where both labels are equal the row is exactly one-hot, whatever λ rounds to.
    """
    eye = np.eye(num_labels)
    mixed = lam * eye[row] + (1 - lam) * eye[partner]
    return np.where((row == partner)[:, None], eye[row], mixed)


def shuffled(count: int, generator: np.random.Generator) -> Iterator[int]:
    """0 to count − 1 in random order, in memory that grows with what was taken, not with count."""
    # Fisher–Yates, of which only the places that have moved are kept.
    moved: dict[int, int] = {}
    for place in range(count):
        other = int(generator.integers(place, count))
        here = moved.pop(place, place)
        if other != place:
            here, moved[other] = moved.get(other, other), here
        yield here


def draw_pairs(
    groups: np.ndarray, sentences: np.ndarray, generator: np.random.Generator
) -> Iterator[tuple[int, int]]:
    """All pairs of items of one group and two sentences, each once, in random order.

    `groups` and `sentences` (n,) number the group and the sentence of each item. Pairs are
    numbered too, and a number becomes two items when its turn comes: the memory is that of the
    items and of the pairs taken so far, never of all O(n²).
    """
    order = np.lexsort((sentences, groups))  # by group, then sentence
    group, sentence = groups[order], sentences[order]
    new = (np.diff(group, prepend=-1) != 0) | (np.diff(sentence, prepend=-1) != 0)
    run = np.cumsum(new)  # neighbours of one group and one sentence
    run_end = np.searchsorted(run, run, side="right")
    partners = np.searchsorted(group, group, side="right") - run_end
    ends = np.cumsum(partners)  # item k owns the pairs numbered ends[k] - partners[k] to ends[k]
    for number in shuffled(int(partners.sum()), generator):
        k = int(np.searchsorted(ends, number, side="right"))
        yield int(order[k]), int(order[run_end[k] + number - (ends[k] - partners[k])])


def paired_windows(
    sentences: TaggedSentences,
    pairing: Pairing,
    size: int,
    threshold: float,
    generator: np.random.Generator,
) -> Iterator[tuple[Window, Window]]:
    """Pairs of windows of two sentences that may be mixed, in random order.

    | pairing             | windows                       | may meet if          |
    |---------------------|-------------------------------|----------------------|
    | `whole_sequence`    | whole sentences with η ≥ η₀   | equally long         |
    | `sub_sequence`      | windows of `size` with η ≥ η₀ | always               |
    | `label_constrained` | windows of `size` with η ≥ η₀ | their labels agree   |

    Args and Raises: as in `candidates`.
    """
    if pairing not in get_args(Pairing):
        names = ", ".join(get_args(Pairing))
        raise InputError(f"There is no pairing {pairing!r}: choose one of {names}.")
    _check_window(size, threshold)
    windows: list[Window] = []
    groups: list[int] = []
    known: dict[tuple[int, ...], int] = {}  # what two windows must share → number of the group
    for k, labels in enumerate(sentences.labels):
        length = max(len(labels), 1) if pairing == "whole_sequence" else size
        for start in eligible_windows(labels, length, threshold, sentences.outside).tolist():
            tags = tuple(np.asarray(labels[start : start + length]).tolist())
            shared = tags if pairing == "label_constrained" else (length,)
            windows.append(Window(k, start, length))
            groups.append(known.setdefault(shared, len(known)))
    owners = np.array([window.sentence for window in windows], dtype=np.int64)
    pairs = draw_pairs(np.array(groups, dtype=np.int64), owners, generator)
    return ((windows[first], windows[second]) for first, second in pairs)


def mix_windows(
    sentences: TaggedSentences,
    table: TokenTable,
    first: Window,
    second: Window,
    lam: float,
    allow_parents: bool = False,
) -> tuple[Candidate, Candidate]:
    """Mixes two windows of one size and writes the result back into both sentences.

    `first` has the weight `lam` in [0, 1], `second` the rest. With `allow_parents` a position may
    keep one of the tokens it is mixed from. Both candidates are the same where the windows are
    whole sentences. Raises InputError where a position has no token left.
    """
    ids, tags = (
        [np.asarray(lists[w.sentence])[w.start : w.start + w.size] for w in (first, second)]
        for lists in (sentences.tokens, sentences.labels)
    )
    e_i, e_j = (table.table[i].astype(np.float64) for i in ids)  # (s, D)
    parents = None if allow_parents else np.stack(ids, axis=1)  # (s, 2)
    mixed_tokens = nearest_tokens(
        lam * e_i + (1 - lam) * e_j, table.table, table.allowed, parents, squared=table.squared
    )
    mixed_labels = soft_labels(tags[0], tags[1], lam, sentences.num_labels)  # (s, C)

    def write_back(host: Window, partner: Window, weight: float) -> Candidate:
        own, start, size = host
        tokens = np.array(sentences.tokens[own], dtype=np.int64)
        labels = np.eye(sentences.num_labels)[sentences.labels[own]]
        tokens[start : start + size], labels[start : start + size] = mixed_tokens, mixed_labels
        return Candidate(tokens, labels, (own, partner.sentence), start, size, weight)

    return write_back(first, second, lam), write_back(second, first, 1 - lam)


def candidates(
    sentences: TaggedSentences,
    table: TokenTable,
    pairing: Pairing,
    *,
    generator: np.random.Generator,
    size: int = 5,
    threshold: float = 0.6,
    alpha: float = 8.0,
) -> Iterator[Candidate]:
    """New sentences, made when asked for: SeqMix (arXiv 2010.02322).

    A pair of whole sentences gives one candidate, a pair of windows two. Each pair comes once, so
    there is an end; nothing comes where fewer than two sentences have an eligible window.

    Args:
        sentences: the sentences to mix.
        table: embeddings and allowed tokens; every token id is one of its rows.
        pairing: which windows may meet, see `paired_windows`.
        generator: source of randomness, of the order of pairs and of λ.
        size: tokens a window, ≥ 1; not used by `whole_sequence`.
        threshold: η₀ in [0, 1], the least share of labels in a window that are not O.
        alpha: λ ~ Beta(alpha, alpha), > 0; one draw a pair.

    Raises:
        InputError: a setting is out of range, at once; a position has no token left, when met.
    """
    if not alpha > 0:
        raise InputError(f"alpha is {alpha}: the Beta distribution needs alpha > 0.")
    _check_ids(sentences.tokens, len(table.table), "token")
    pairs = paired_windows(sentences, pairing, size, threshold, generator)

    def mix(pair: tuple[Window, Window]) -> tuple[Candidate, ...]:
        made = mix_windows(sentences, table, *pair, float(draw_lam(alpha, False, generator)))
        return made[:1] if pairing == "whole_sequence" else made

    return itertools.chain.from_iterable(map(mix, pairs))


def take_accepted(
    made: Iterable[Candidate], accept: Callable[[Candidate], bool], rate: float, handed: int
) -> list[Candidate]:
    """The first int(rate · handed) candidates that are accepted, or as many as there are.

    `rate` is r ≥ 0 (0.2 in the paper), `handed` is K, the number of sentences handed in. The
    discriminator `accept` sees each candidate on its own, and none once enough are accepted.

    Raises:
        InputError: rate is negative or not finite.
    """
    if not 0 <= rate < float("inf"):
        raise InputError(f"rate is {rate}: the share of sentences to add must be 0 or more.")
    return list(itertools.islice(filter(accept, made), int(rate * handed)))


def _check_window(size: int, threshold: float) -> None:
    if size < 1:
        raise InputError(f"The window is {size} tokens: it needs at least one.")
    if not 0 <= threshold <= 1:
        raise InputError(f"The density threshold is {threshold}: a share lies in [0, 1].")


def _check_ids(lists: Sequence[np.ndarray], count: int, kind: str) -> None:
    for k, ids in enumerate(lists):
        if len(ids) and (np.min(ids) < 0 or np.max(ids) >= count):
            raise InputError(f"Sentence {k} has a {kind} id outside 0 to {count - 1}.")
