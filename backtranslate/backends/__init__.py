"""What can translate: one module a backend, imported only when it is named.

Every backend comes out of `load` in a `Guarded`, which keeps the promises that no backend keeps by
itself: empty pieces stay empty (fairseq invents text for them, ctranslate2 answers nothing), no
line break or NUL reaches a backend, and as many translations come back as pieces went in.
"""

from importlib import import_module
from pathlib import Path

from backtranslate.translator import BacktranslateError, Decoding, Translator

BACKENDS: dict[str, str] = {
    "apertium": "backtranslate.backends.apertium",
    "ctranslate2": "backtranslate.backends.ctranslate2",
    "fairseq": "backtranslate.backends.fairseq",
    "fsmt": "backtranslate.backends.huggingface",
    "identity": "backtranslate.backends.identity",
    "marian": "backtranslate.backends.huggingface",
    "precomputed": "backtranslate.backends.precomputed",
}

# Longest piece for a neural backend, in its tokens. The models see positions up to 512 or 1024,
# but learned from single sentences. An answer may grow to twice this and still fits in 512; the
# bound on answers is a constant because one that followed the batch would let the batch decide
# where a sentence ends.
LONGEST_PIECE = 256


def load(
    backend: str, source: str, target: str, models: str = "", device: str = "auto"
) -> Translator:
    """Loads one direction of a backend.

    Args:
        backend: a name in `BACKENDS`.
        source: language code, in the spelling of the backend's models ('en', 'eng').
        target: language code.
        models: where the model is: a template ('/folder/{source}-{target}', or a name on a hub),
            a folder that holds a folder (precomputed: a file) '{source}-{target}', or '' for the
            backend's default.
        device: 'auto', 'cpu' or 'cuda'; 'auto' takes a GPU where the backend can use one.

    Returns:
        A translator that also takes empty pieces, and gives them back as they are.

    Raises:
        BacktranslateError: no such backend, or a part of it is missing; says how to get it.
    """
    if backend not in BACKENDS:
        raise BacktranslateError(
            f"There is no backend '{backend}'; choose one of {', '.join(BACKENDS)}."
        )
    module = import_module(BACKENDS[backend])
    return Guarded(module.load(backend, source, target, models, device))


def locate(models: str, default: str, source: str, target: str) -> str:
    """Name or path of one direction's model: `models`, or else `default`, with languages put in."""
    template = models or default
    if "{source}" not in template and "{target}" not in template:
        template = str(Path(template) / "{source}-{target}")
    return template.replace("{source}", source).replace("{target}", target)


class Guarded:
    """A translator between clean input and checked output.

    Args:
        translator: what does the work.
    """

    def __init__(self, translator: Translator):
        self.translator = translator
        self.limit = translator.limit
        self.description = translator.description

    def length(self, text: str) -> int:
        """Size of a piece in the translator's own units."""
        return self.translator.length(clean(text))

    def translate(self, pieces: list[str], decoding: Decoding, seed: int) -> list[str]:
        """Translates what is not empty; the rest comes back empty."""
        cleaned = [clean(piece) for piece in pieces]
        filled = [row for row, piece in enumerate(cleaned) if piece]
        answers = [""] * len(pieces)
        if not filled:
            return answers
        batch = [cleaned[row] for row in filled]
        try:
            given = self.translator.translate(batch, decoding, seed)
        except (RuntimeError, MemoryError) as error:  # torch's, out of GPU memory among them
            raise BacktranslateError(
                f"{self.description} failed on a batch of {len(batch)} pieces: {error}"
            ) from error
        if len(given) != len(filled):  # a missing one would move all that follow to wrong texts
            raise BacktranslateError(
                f"{self.description} gave {len(given)} translations for {len(filled)} pieces."
            )
        for row, answer in zip(filled, given, strict=True):
            answers[row] = clean(answer)
        return answers


def clean(text: str) -> str:
    """One line: every run of white space and NUL is a space, and lone surrogates are replaced."""
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return " ".join(text.replace("\0", " ").split())


def too_long(description: str, length: int, limit: int) -> BacktranslateError:
    """The error for a piece over the limit, which would fail or silently leave the batch."""
    return BacktranslateError(
        f"A piece has {length} tokens, but {description} takes {limit}; cut it first."
    )
