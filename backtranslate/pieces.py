"""Text → sentences → pieces: what a translator is given, cut by rule, without a model."""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Piece:
    """Part of a text and what follows it there: a space, or nothing in scripts without spaces."""

    text: str
    glue: str

    @property
    def speaks(self) -> bool:
        """Has letters. Backends invent text for the rest and mangle numbers: it passes by them."""
        return any(character.isalpha() for character in self.text)


_SURROGATES = re.compile("[\ud800-\udfff]")
_PARAGRAPH = re.compile(r"\n\s*\n|\u2029")
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


def sentences_of(text: str) -> list[Piece]:
    """The sentences of any text, normalised; none for a blank one.

    A blank line ends a sentence, so that a headline is not translated as part of the first one; a
    single line break does not, for it may be a wrapped line.
    """
    sentences: list[Piece] = []
    for paragraph in _PARAGRAPH.split(text):
        if found := split_sentences(normalise(paragraph)):
            if sentences:
                sentences[-1] = Piece(sentences[-1].text, " ")
            sentences += found
    return sentences


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
