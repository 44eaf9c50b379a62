"""Reads translations that were made elsewhere, from one JSON-lines file a direction.

A line is `{"text": ..., "translation": ...}`. `text` is one piece as the text pipeline cuts it: a
sentence, with white space made single. Lines with the same text are further samples of it:
searching presets take the first, sampling presets draw one by the seed.
"""

import json
import random
import sys
from pathlib import Path

from backtranslate.backends import clean, locate
from backtranslate.reading import reading
from backtranslate.translator import BacktranslateError, Decoding


class Precomputed:
    """Looks pieces up in a file.

    Args:
        path: the JSON-lines file.

    Raises:
        BacktranslateError: the file is missing, or a line of it has not both strings.
    """

    limit = sys.maxsize

    def __init__(self, path: Path):
        self.path = path
        self.description = f"precomputed {path.name}"
        self.translations: dict[str, list[str]] = {}
        way_out = "give the folder of {source}-{target}.jsonl files, or a template, as models"
        with reading(path, BacktranslateError, way_out), path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    self.add(line, number)

    def add(self, line: str, number: int) -> None:
        """Takes in one line."""
        try:
            row = json.loads(line)
            text, translation = row["text"], row["translation"]
            self.translations.setdefault(clean(text), []).append(clean(translation))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise BacktranslateError(
                f'Line {number} of {self.path} is not {{"text": "...", "translation": "..."}}.'
            ) from error

    def length(self, text: str) -> int:
        """Characters."""
        return len(text)

    def translate(self, pieces: list[str], decoding: Decoding, seed: int) -> list[str]:
        """One stored translation a piece; a piece that is not stored is an error."""
        missing = [piece for piece in pieces if piece not in self.translations]
        if missing:
            raise BacktranslateError(
                f"{self.path} lacks {len(missing)} of {len(pieces)} pieces, the first being"
                f" {missing[0][:80]!r}; add them."
            )
        draws = random.Random(seed)
        found = [self.translations[piece] for piece in pieces]
        return [draws.choice(some) if decoding.sampling else some[0] for some in found]


def load(backend: str, source: str, target: str, models: str, device: str) -> Precomputed:
    """See `backtranslate.backends.load`; models is a folder or a template and must be given."""
    if not models:
        raise BacktranslateError(
            "The backend 'precomputed' has no default; give the folder of"
            " {source}-{target}.jsonl files, or a template, as models."
        )
    path = Path(locate(models, "", source, target))
    return Precomputed(path if path.suffix else path.with_name(path.name + ".jsonl"))
