"""Gives every piece back: for tests, and to see what the text pipeline alone does to a text."""

import sys

from backtranslate.translator import Decoding


class Identity:
    """Translates nothing; needs nothing.

    Args:
        source: named in the description only.
        target: likewise.
    """

    limit = sys.maxsize

    def __init__(self, source: str, target: str):
        self.description = f"identity {source}-{target}"

    def length(self, text: str) -> int:
        """Characters."""
        return len(text)

    def translate(self, pieces: list[str], decoding: Decoding, seed: int) -> list[str]:
        """The pieces themselves."""
        return list(pieces)


def load(backend: str, source: str, target: str, models: str, device: str) -> Identity:
    """See `backtranslate.backends.load`; models and device have no meaning here."""
    return Identity(source, target)
