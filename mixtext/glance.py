"""What the same labels give in seconds, without training: `frozen` and `centroids`, at a glance.

Nothing is looked at that a training does not see: rows of dev are guessed where there are some,
else the labelled rows, each from the others.
"""

import warnings

import numpy as np

from mixtext.data.batches import Source
from mixtext.methods.centroids import Centroids
from mixtext.methods.contrast import encode_all
from mixtext.methods.frozen import Frozen
from mixtext.models.base import Encoder
from mixtext.models.classifier import Classifier
from mixtext.models.heads import MlpHead
from mixtext.models.settings import VECTOR_ENCODERS, WORD_ENCODERS, ModelSettings
from mixtext.recipe import Recipe
from mixtext.training.device import autocast, choose_device

FOLDS = 5
PROBES = (Frozen(), Centroids())


def is_pretrained(settings: ModelSettings) -> bool:
    """Whether the encoder's vectors say something of a text before any training."""
    return settings.encoder not in (*WORD_ENCODERS, *VECTOR_ENCODERS)


def unit_vectors(
    encoder: Encoder, source: Source, rows: np.ndarray, recipe: Recipe, pad_to: int = 0
) -> np.ndarray:
    """Means over the tokens of rows as an encoder has them now, of length 1, (N, H) float32."""
    device = choose_device(recipe.training.device)
    model = Classifier(encoder, MlpHead(encoder.hidden_size, 1, 0), pool="unit").to(device)
    with autocast(recipe.training.precision, device):
        found = encode_all(model, source, rows, pad_to)
    return found.float().cpu().numpy()


def right_on(
    held: np.ndarray,
    gold: np.ndarray,
    vectors: np.ndarray,
    labels: np.ndarray,
    pool: np.ndarray,
    classes: int,
) -> dict[str, np.ndarray]:
    """Which held-out rows each probe tells right, (M,) booleans by its name.

    Args:
        held: (M, H) of rows that are not learned from; all vectors are of length 1.
        gold: (M,) their classes.
        vectors: (N, H) of the rows that are learned from.
        labels: (N,) their classes.
        pool: (U, H) of unlabelled rows.
        classes: C.
    """
    told = {}
    for probe in PROBES:
        with warnings.catch_warnings():  # of texts that are all alike, say
            warnings.simplefilter("ignore")
            weight, bias = probe.fit(vectors, labels, pool, classes)
        told[probe.name] = (held @ weight.T + bias).argmax(1) == gold
    return told


def right_in_turn(
    vectors: np.ndarray, labels: np.ndarray, count: int, pool: np.ndarray, classes: int
) -> dict[str, np.ndarray]:
    """Which labelled rows each probe tells right from the others, by cross-validation.

    Args:
        vectors: (N, H) of the rows that are learned from; all vectors are of length 1.
        labels: (N,) their classes.
        count: so many of them, the first, are labelled rows, ≥ 2; the others say the classes and
            are learned from each time.
        pool: (U, H) of unlabelled rows.
        classes: C.

    Returns:
        Booleans by the name of the probe, of the labelled rows whose class another row has.
    """
    folds = np.full(len(labels), -1)
    # Sorted by class, so that a class's rows are in different folds.
    folds[np.argsort(labels[:count], kind="stable")] = np.arange(count) % FOLDS
    told = {probe.name: np.zeros(count, dtype=bool) for probe in PROBES}
    for fold in range(min(FOLDS, count)):
        out = folds == fold
        found = right_on(vectors[out], labels[out], vectors[~out], labels[~out], pool, classes)
        for name, right in found.items():
            told[name][out[:count]] = right
    guessable = np.bincount(labels)[labels[:count]] > 1
    return {name: right[guessable] for name, right in told.items()}
