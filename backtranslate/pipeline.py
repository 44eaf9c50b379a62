"""A round trip of texts through a pivot language: cut, batch, translate, put together, filter.

    texts → pieces → pivot pieces → pieces → views

A translator sees single pieces, sorted by length and without doubles; which text each belongs to is
known here alone. Whatever goes in, as many views come out, in the same order.
"""

import contextlib
import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from backtranslate.pieces import Piece, cut, normalise, sentences_of
from backtranslate.translator import BacktranslateError, Decoding, Translator

STATUSES = {
    "ok": "every piece made the round trip, and the text changed",
    "partial": "some pieces made it; the others stand as in the source",
    "unchanged": "the round trip gave back the source",
    "bypassed": "nothing to translate (empty, emoji, no letters): the source",
    "empty": "the translation was empty: the source",
    "ratio": "the translation was far too long or too short: the source",
    "failed": "the backend refused the text: the source",
    "imported": "made elsewhere and taken as it is",
}

# A piece may grow or shrink by this factor, and by some characters more, since a short sentence may
# well come back three times as long. Beyond it a model has lost the thread or repeats itself.
RATIO, SLACK = 3.0, 20

# A batch holds as much as this many pieces of the greatest length, unless a budget is given: 1,024
# tokens for a neural backend, whose pieces have at most 256. Larger batches were slower on a CPU
# (fairseq: 392 sentences/s with 1,024 tokens, 340 with 4,096); a GPU may want a larger budget.
LONGEST_PIECES = 4


@dataclass(frozen=True)
class View:
    """One text after its round trip.

    Attributes:
        text: the view, or the source itself where the status says so. Never empty unless the
            source is blank.
        pivot_text: the text in the pivot language; pieces that failed stand as in the source.
        status: a key of `STATUSES`.
    """

    text: str
    pivot_text: str
    status: str


def pieces_of(text: str, translator: Translator) -> list[Piece]:
    """The pieces of one text that a translator takes, in order; none for a blank text."""
    pieces = []
    for sentence in sentences_of(text):
        parts = cut(sentence.text, translator.length, translator.limit)
        pieces += [*parts[:-1], Piece(parts[-1].text, sentence.glue)]
    return pieces


# --- pieces → translations


def token_batches(lengths: list[int], budget: int) -> list[list[int]]:
    """Groups pieces of like length.

    Args:
        lengths: size of each piece.
        budget: largest size of a batch: its longest piece times the number of its pieces, for
            that is what a padded batch costs. A piece above it stands alone.

    Returns:
        Indices into `lengths`, longest pieces first, so that memory runs out at once or never.
    """
    batches: list[list[int]] = []
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if batches and lengths[batches[-1][0]] * (len(batches[-1]) + 1) <= budget:
            batches[-1].append(i)
        else:
            batches.append([i])
    return batches


def derive_seed(*parts: object) -> int:
    """A seed below 2³¹ that depends on all parts, on every machine alike."""
    digest = hashlib.sha256("\0".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:4]) >> 1


def translate_all(
    pieces: Iterable[str], translator: Translator, decoding: Decoding, seed: int, token_budget: int
) -> dict[str, str | None]:
    """Translates pieces in length-sorted batches, each distinct piece once.

    A batch that fails is done again piece by piece, so that one piece takes no other with it.

    Args:
        pieces: of at most the translator's limit.
        translator: one direction.
        decoding: see `Decoding`.
        seed: of sampling; each batch draws its own from it.
        token_budget: see `token_batches`; 0 means `LONGEST_PIECES` times the limit.

    Returns:
        piece → translation, normalised; None where the backend refused it.

    Raises:
        BacktranslateError: the backend refuses everything: it, and not a piece, is at fault.
    """
    # By the text too: the order in which equal lengths stand decides what sampling draws.
    distinct = sorted(set(pieces))
    size = {piece: translator.length(piece) for piece in distinct}
    answers: dict[str, str | None] = dict.fromkeys(distinct)
    # A single character may be over the limit; nothing else is.
    distinct = [piece for piece in distinct if size[piece] <= translator.limit]
    budget = token_budget or LONGEST_PIECES * translator.limit
    failure = None
    for number, indices in enumerate(token_batches([size[piece] for piece in distinct], budget)):
        batch = [distinct[i] for i in indices]
        own = derive_seed(seed, number)
        try:
            answers |= zip(batch, _checked(translator, batch, decoding, own), strict=True)
        except BacktranslateError as error:
            failure = error
            for piece in batch if len(batch) > 1 else []:
                with contextlib.suppress(BacktranslateError):
                    answers[piece] = _checked(translator, [piece], decoding, own)[0]
    if failure and not any(answer is not None for answer in answers.values()):
        # Is it the backend, or are there only texts that it cannot translate?
        try:
            _checked(translator, ["This is a test."], decoding, seed)
        except BacktranslateError:
            raise failure from None
    return answers


def _checked(translator: Translator, batch: list[str], decoding: Decoding, seed: int) -> list[str]:
    translated = translator.translate(batch, decoding, seed)
    if len(translated) != len(batch):
        raise BacktranslateError(
            f"{translator.description} gave {len(translated)} translations of {len(batch)} pieces."
        )
    return [normalise(one) for one in translated]


# --- the round trip


def round_trip(
    texts: list[str],
    forward: Translator,
    backward: Translator,
    decoding: Decoding,
    seed: int,
    token_budget: int = 0,
) -> list[View]:
    """Translates texts to a pivot language and back.

    Args:
        texts: anything; blank ones and those without letters pass by the backend.
        forward: source language → pivot.
        backward: pivot → source language.
        decoding: see `Decoding`.
        seed: of sampling. The views depend on it, on the texts together and on the budget.
        token_budget: size of a batch (see `token_batches`); 0 means `LONGEST_PIECES` times the
            translator's limit.

    Returns:
        One view a text, same order.

    Raises:
        BacktranslateError: a backend does not work at all.
    """
    plans = [pieces_of(text, forward) for text in texts]
    said = {piece.text for plan in plans for piece in plan if piece.speaks}
    there = translate_all(said, forward, decoding, derive_seed(seed, "there"), token_budget)
    # A pivot piece is cut again: it may be longer, and the other model's limit smaller.
    parts = {
        pivot: cut(pivot, backward.length, backward.limit) for pivot in set(there.values()) if pivot
    }
    said = {part.text for cuts in parts.values() for part in cuts if part.speaks}
    back = translate_all(said, backward, decoding, derive_seed(seed, "back"), token_budget)

    def returned(piece: Piece) -> tuple[str | None, str | None]:
        pivot = there[piece.text]
        if not pivot:
            return pivot, pivot
        answers = [back[part.text] if part.speaks else part.text for part in parts[pivot]]
        if any(answer is None for answer in answers):
            return pivot, None
        glued = zip(answers, parts[pivot], strict=True)
        return pivot, normalise("".join(f"{answer}{part.glue}" for answer, part in glued))

    return [_assemble(text, plan, returned) for text, plan in zip(texts, plans, strict=True)]


def _assemble(
    text: str,
    plan: list[Piece],
    returned: Callable[[Piece], tuple[str | None, str | None]],
) -> View:
    """Joins the pieces of one text to a view and judges it."""
    view, pivot_text = "", ""
    reasons = []
    for piece in plan:
        pivot, answer, reason = piece.text, piece.text, ""
        if piece.speaks:
            there, back = returned(piece)
            reason = _fault(piece.text, back)
            reasons.append(reason)
            pivot = there or piece.text
            answer = piece.text if reason or back is None else back
        pivot_text += pivot + piece.glue
        view += answer + piece.glue
    if not reasons:
        return View(text, text, "bypassed")
    faults = [reason for reason in reasons if reason]
    if len(faults) == len(reasons):
        return View(text, pivot_text, max(faults, key=faults.count))
    if view == normalise(text):
        return View(text, pivot_text, "unchanged")
    return View(view, pivot_text, "partial" if faults else "ok")


def _fault(source: str, answer: str | None) -> str:
    """Why a piece must stand as in the source; empty when it need not."""
    if answer is None:
        return "failed"
    if not answer:
        return "empty"
    longer, shorter = max(len(source), len(answer)), min(len(source), len(answer))
    return "ratio" if longer > RATIO * shorter + SLACK else ""
