"""What a backend is: something that translates pieces of text in one direction.

A round trip is two translators. The pipeline (`pipeline.py`) cuts texts into pieces, hands them
over in batches and puts the answers together again; a backend sees neither corpora nor stores.
"""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Decoding:
    """How a neural backend chooses its words; rule-based ones ignore it.

    Attributes:
        sampling: draw words by chance instead of searching for the likeliest sentence.
        temperature: of sampling, > 0; lower is tamer.
        beam: width of the search; with sampling, the best of so many samples is taken, which is
            not plain sampling unless it is 1.
    """

    sampling: bool
    temperature: float
    beam: int


PRESETS = {
    # What the MixText authors' notebook did: fairseq's default beam makes it the best of 5 samples.
    "paper": Decoding(sampling=True, temperature=0.9, beam=5),
    "diverse": Decoding(sampling=True, temperature=0.9, beam=1),
    "beam": Decoding(sampling=False, temperature=1.0, beam=5),
}


class BacktranslateError(Exception):
    """Bad input or a missing part. One sentence: what is wrong, where, and the way out."""


class Translator(Protocol):
    """One direction of one backend, loaded and ready.

    Attributes:
        limit: longest piece that `translate` takes, in units of `length`.
        description: model and version, for the manifest.
    """

    limit: int
    description: str

    def length(self, text: str) -> int:
        """Size of a piece in the backend's own units: tokens where it has them, else characters."""
        ...

    def translate(self, pieces: list[str], decoding: Decoding, seed: int) -> list[str]:
        """Translates one batch.

        Args:
            pieces: not empty, without line breaks, each at most `limit` long.
            decoding: see `Decoding`.
            seed: of sampling; the same batch with the same seed gives the same answers.

        Returns:
            One translation a piece, same order.

        Raises:
            BacktranslateError: the backend failed; nothing of the batch counts.
        """
        ...
