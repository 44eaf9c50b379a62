"""A round trip of texts through a pivot language: cut, batch, translate, put together, filter.

    texts → pieces → pivot pieces → pieces → views

A translator sees single pieces, sorted by length and without doubles; which text each belongs to is
known here alone. Whatever goes in, as many views come out, in the same order.
"""

import contextlib
import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass

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

# A batch holds as much as this many pieces of the greatest length, unless a budget is given: 4,096
# tokens for a model that takes 256, about 2 GB with beam 5 and a large transformer.
LONGEST_PIECES = 16


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


@dataclass(frozen=True)
class Piece:
    """Part of a text and what follows it there: a space, or nothing in scripts without spaces."""

    text: str
    glue: str

    @property
    def speaks(self) -> bool:
        """Has letters. Backends invent text for the rest and mangle numbers: it passes by them."""
        return any(character.isalpha() for character in self.text)


# --- text → sentences

_SURROGATES = re.compile("[\ud800-\udfff]")
_BLANK = re.compile(r"[\s\x00-\x1f\x7f-\x9f\ufeff]+")
# A run starts where no terminator stands before: 100,000 full stops must not take quadratic time.
_ENDS = re.compile(
    r"(?<![.!?…])[.!?…]++[\"'”’»›)\]}]*+ (?=[\"'“‘„«‹(\[{¿¡—–-]*+ ?(?P<next>\w))"
    r"|(?<![。！？｡؟۔।॥։።፧။។])[。！？｡؟۔।॥։።፧။។]++[\"'”’»›)\]}」』）】》]*+ ?"
)
# English, German, French, Spanish, Russian. Those that often end a sentence (etc., p.m., usw.) are
# left out: before a capital they are taken for its end.
_NEVER_LAST = """
    mr mrs ms dr prof st sr jr vs e.g i.e cf fig figs vol pp inc ltd co corp gen col lt sgt capt
    maj cmdr adm rep reps sen sens gov rev hon pres supt det messrs mt ft dept univ est jan feb mar
    apr jun jul aug sep sept oct nov dec mon tue wed thu fri approx resp incl
    z.b d.h u.a bzw ca hr hrn fr frl abs dipl ing bspw vgl str
    mme mlle mm sra srta dña ud uds ee.uu
    т.е т.к т.н т.п ул им гг см стр др напр
"""
_ABBREVIATIONS = frozenset(_NEVER_LAST.split())
_BEFORE_NUMBERS = frozenset({"no", "nos", "nr", "art", "ch"})


def normalise(text: str) -> str:
    """One line of well-formed text in Unicode form C; what has no glyph becomes a space.

    Control characters (NUL, line breaks and tabs among them) and line separators become spaces,
    lone surrogates U+FFFD, and runs of white space one space.
    """
    text = unicodedata.normalize("NFC", _SURROGATES.sub("\ufffd", text))
    return _BLANK.sub(" ", text).strip(" ")


def split_sentences(text: str) -> list[Piece]:
    """Splits a normalised text into sentences by rule; joining the pieces gives the text back.

    A full stop ends a sentence when white space and a capital, a digit or a letter without case
    follow, but not after an abbreviation, an initial or a bare number at the start ("1. First").
    Quotes and brackets that close belong to the sentence before. Full stops of other scripts end
    a sentence with or without white space.
    """
    pieces = []
    start = 0
    for match in _ENDS.finditer(text):
        if match["next"] and not _ends_here(text, start, match):
            continue
        found = match[0]
        end = match.end() - found.endswith(" ")
        pieces.append(Piece(text[start:end], " " if found.endswith(" ") else ""))
        start = match.end()
    if start < len(text):
        pieces.append(Piece(text[start:], ""))
    elif pieces:
        pieces[-1] = Piece(pieces[-1].text, "")
    return pieces


def _ends_here(text: str, start: int, match: re.Match[str]) -> bool:
    """Whether a Latin terminator ends the sentence that begins at `start`."""
    if match["next"].islower() or match["next"] == "_":
        return False  # "Yahoo! is", "approx. five"
    if not match[0].startswith(". "):
        return True  # "?", "!", "…", "...", or a quote closes after it
    space = text.rfind(" ", start, match.start())
    word = text[max(space + 1, start) : match.start()].lstrip("\"'“‘„«‹([{¿¡—–-")
    if space < 0 and re.fullmatch(r"\d{1,3}|[ivxIVX]+", word):
        return False  # "1. First"
    if len(word) == 1 and word.isalpha() and word != "I":
        return False  # an initial
    if re.fullmatch(r"(?:[^\W\d_]\.)+[^\W\d_]", word):
        return word.lower() in ("a.m", "p.m")  # and not after U.S., z.B.
    if word.lower() in _BEFORE_NUMBERS:
        return not match["next"].isdigit()
    return word.lower() not in _ABBREVIATIONS


# --- sentence → pieces under the limit


def cut(text: str, length: Callable[[str], int], limit: int) -> list[Piece]:
    """Cuts a normalised text into pieces of at most `limit`; joining them gives the text back.

    Args:
        text: one sentence.
        length: size of a piece in the translator's units.
        limit: largest size. A single character above it stays whole.

    Returns:
        Pieces that end, within the last two thirds of what fits, at a full stop or a semicolon,
        else at a comma, else at a space; failing that at an earlier space, else anywhere.
    """
    pieces = []
    guess = limit
    while text:
        fits = _prefix(text, length, limit, guess)
        if fits == len(text):
            pieces.append(Piece(text, ""))
            break
        guess = fits
        end = _boundary(text, fits)
        while end > 1 and length(text[:end].rstrip()) > limit:
            end = _boundary(text, end // 2)  # fewer characters can be more tokens, if rarely
        rest = text[end:]
        glue = " " if rest.startswith(" ") else ""
        pieces.append(Piece(text[:end], glue))
        text = rest[len(glue) :]
    return pieces


def _prefix(text: str, length: Callable[[str], int], limit: int, guess: int) -> int:
    """Number of characters, at least 1, that fit; looks no further into the text than it must."""
    low, high = 1, max(guess, 2)
    while high < len(text) and length(text[:high]) <= limit:
        low, high = high, high * 2
    if high >= len(text):
        high = len(text)
        if length(text) <= limit:
            return high
    while high - low > 1:
        middle = (low + high) // 2
        if length(text[:middle]) <= limit:
            low = middle
        else:
            high = middle
    return low


def _boundary(text: str, fits: int) -> int:
    """Where to cut `text` so that at most `fits` characters, and at least one, come before."""
    for pattern in (r"[.;](?= )|[;。；।؛]", r",(?= )|[，、،]", r"\S(?= )"):
        # Not in the first third: a comma after two words is a worse place than a late space.
        first = fits // 3
        ends = [first + m.end() for m in re.finditer(pattern, text[first : fits + 1])]
        ends = [end for end in ends if end <= fits]
        if ends:
            return ends[-1]
    space = text.rfind(" ", 1, fits + 1)
    return space if space > 0 else max(fits, 1)


def pieces_of(text: str, translator: Translator) -> list[Piece]:
    """The pieces of one text that a translator takes, in order; none for a blank text."""
    pieces = []
    for sentence in split_sentences(normalise(text)):
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
        token_budget: size of a batch (see `token_batches`); 0 means sixteen longest pieces.

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
