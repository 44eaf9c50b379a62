r"""Apertium, Debian's rule-based machine translation: real, offline, without a model to download.

The commands of a translation direction form a pipe. Text goes in as apertium's own stream format
(`-f none`), because its formatters merge lines or lose the last punctuation mark, and each piece
ends with a NUL on which the whole pipe flushes (`-z`). Four things were found to go wrong:

- A piece that ends in an escaped character right after a word ("cat^") makes one program of the
  pipe swallow the NUL, and two pieces become one. A full stop of our own behind each piece keeps
  it away; it is taken off again.
- `~` is lost even where it is escaped. As a blank (`[\~]`) it survives.
- Dates and abbreviations swallow a full stop ("on 19 May."); it is put back.

- The first word of a kind that a pair's tagger did not meet in training changes how the process
  tags unknown words from then on, so the batch would decide about its pieces (7 of 100 sentences of
  news from English to Spanish). Where a word of that kind is known, it goes first.

Every piece carries its number in a blank at its end (`[17][\n]`), so that a swallowed NUL is seen
and never moves a translation to another text.
"""

import os
import re
import shutil
import subprocess

from backtranslate.backends import locate
from backtranslate.translator import BacktranslateError, Decoding

# Names of languages that Debian's pairs and people spell in two ways: ISO 639-1 and 639-3.
SPELLINGS = [
    {"en", "eng"},
    {"es", "spa"},
    {"eo", "epo"},
    {"ca", "cat"},
    {"fr", "fra"},
    {"pt", "por"},
    {"it", "ita"},
    {"gl", "glg"},
    {"eu", "eus"},
    {"oc", "oci"},
]
INSTALL = (
    "on Debian and Ubuntu, as root:"
    " apt-get install --no-install-recommends apertium apertium-eng-spa apertium-eo-en"
)
ESCAPED = re.compile(r"[\^$/<>{}\\*@#+\[\]]")
PRIMERS = {"eng-spa": ["best-known"], "en-eo": ["Unlike"], "eo-en": ["pluraj"]}
CHUNK = 500  # pieces a process: spreads the 0.1 s that one takes to start, and keeps pipes small
SECONDS_A_CHUNK = 900  # far over what 500 pieces take; a pipe that hangs must not hang for ever


class Apertium:
    """One mode of apertium.

    Args:
        mode: as `apertium -l` lists it, such as 'eng-spa'.
    """

    # Characters. Rules need no limit; this one keeps a text of any size from being one piece, and
    # a batch of four such pieces is worth a process.
    limit = 16_000

    def __init__(self, mode: str):
        self.mode = mode
        version = run(["apertium", "-V"]).stdout.decode().strip()
        self.description = f"{version} {mode}"

    def length(self, text: str) -> int:
        """Characters."""
        return len(text)

    def translate(self, pieces: list[str], decoding: Decoding, seed: int) -> list[str]:
        """Translates by rule: decoding and seed have no meaning here."""
        answers = []
        for start in range(0, len(pieces), CHUNK):
            chunk = pieces[start : start + CHUNK]
            for piece, answer in zip(chunk, self.pipe(chunk), strict=True):
                # Whoever lost its mark goes alone, where nothing can be mixed up.
                answers.append(self.pipe([piece])[0] if answer is None else answer)
        return [
            restore_stop(piece, answer or "") for piece, answer in zip(pieces, answers, strict=True)
        ]

    def pipe(self, pieces: list[str]) -> list[str | None]:
        """One process for some pieces; None where the answer does not carry the piece's mark."""
        primers = PRIMERS.get(self.mode, [])
        stream = "".join(
            f"{escape(piece)} .[{number}][\n]\0" for number, piece in enumerate(primers + pieces)
        )
        # -u: no asterisk before words that the dictionaries lack.
        done = run(["apertium", "-z", "-u", "-f", "none", self.mode], stream.encode())
        # Each program of the pipe adds a NUL at the end: only the first ones are answers.
        parts = done.stdout.decode("utf-8", "replace").split("\0")
        parts += [""] * (len(primers) + len(pieces) - len(parts))
        marks = [f"[{number}][\n]" for number in range(len(primers) + len(pieces))]
        answers = [
            unescape(part.removesuffix(mark)) if part.endswith(mark) else None
            for part, mark in zip(parts, marks, strict=False)
        ]
        return answers[len(primers) :]


def escape(piece: str) -> str:
    """Text → apertium's stream format, in which some characters are markup."""
    return ESCAPED.sub(r"\\\g<0>", piece).replace("~", r"[\~]")


def unescape(answer: str) -> str:
    """Apertium's stream format, with our full stop at the end → text."""
    answer = answer.strip().removesuffix(".").rstrip()
    return re.sub(r"\\(.)", r"\1", answer.replace(r"[\~]", "~"))


def restore_stop(piece: str, answer: str) -> str:
    """Puts the last punctuation mark back that a date or an abbreviation swallowed."""
    mark = piece[-1:]
    return answer + mark if mark in ".!?" and answer and not answer.endswith(mark) else answer


def run(command: list[str], stream: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Runs apertium to its end; anything but success is one sentence."""
    try:
        done = subprocess.run(
            command,
            input=stream,
            capture_output=True,
            timeout=SECONDS_A_CHUNK,
            check=False,
            # Under other locales apertium reads UTF-8 as something else.
            env={**os.environ, "LC_ALL": "C.UTF-8"},
        )
    except FileNotFoundError as error:
        raise BacktranslateError(f"apertium is not installed; {INSTALL}") from error
    except subprocess.TimeoutExpired as error:
        raise BacktranslateError(
            f"{' '.join(command)} has not answered for {SECONDS_A_CHUNK} seconds."
        ) from error
    if done.returncode:
        reason = done.stderr.decode("utf-8", "replace").strip()[-300:]
        raise BacktranslateError(
            f"{' '.join(command)} failed with status {done.returncode}: {reason or 'no message'}"
        )
    return done


def spellings(code: str) -> list[str]:
    """A language code and its other spelling."""
    return [code, *next((sorted(group - {code}) for group in SPELLINGS if code in group), [])]


def load(backend: str, source: str, target: str, models: str, device: str) -> Apertium:
    """See `backtranslate.backends.load`; models, where given, is a template of the mode's name."""
    if shutil.which("apertium") is None:
        raise BacktranslateError(f"apertium is not installed; {INSTALL}")
    listed = run(["apertium", "-l"]).stdout.decode().split()
    wanted = [
        locate(models, "{source}-{target}", one, other)
        for one in spellings(source)
        for other in spellings(target)
    ]
    for mode in wanted:
        if mode in listed:
            return Apertium(mode)
    raise BacktranslateError(
        f"apertium has no mode {wanted[0]} here, only {', '.join(listed) or 'none at all'};"
        f" install the pair's package, for the two that are known to work {INSTALL}"
    )
