"""What a method is: frozen settings and a loss. Each method is one file beside this one."""

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from mixtext.data.batches import Batch
from mixtext.errors import InputError
from mixtext.models.classifier import TextClassifier


@dataclass(frozen=True)
class Progress:
    """Where training stands.

    Attributes:
        step: steps done so far.
        total_steps: steps planned.
        epoch: passes or official epochs done, may be a fraction.
    """

    step: int
    total_steps: int
    epoch: float

    @property
    def fraction(self) -> float:
        """Share of the training that is done, in [0, 1]."""
        return min(1.0, self.step / max(1, self.total_steps))


@dataclass(frozen=True)
class Outcome:
    """What a loss returns.

    Attributes:
        loss: scalar with gradient.
        metrics: detached scalars for the monitor, by TensorBoard tag.
        draws: what was drawn, for histograms: `lam` and `layer`.
        guesses: (Bu, C) pseudo-labels, detached, or None.
    """

    loss: Tensor
    metrics: dict[str, Tensor | float] = field(default_factory=dict)
    draws: dict[str, list[float]] = field(default_factory=dict)
    guesses: Tensor | None = None


@dataclass(frozen=True)
class Method:
    """Base of all methods: what they declare and the steps around the loss, which do nothing here.

    Attributes:
        name: the word in the recipe: `method = "…"`; its settings are the table of that name.
        paper: where it comes from.
        tasks: what it can be trained on.
        mixes: what it mixes, in words.
        unlabelled: it learns from unlabelled rows too.
    """

    name: ClassVar[str]
    paper: ClassVar[str]
    tasks: ClassVar[tuple[str, ...]] = ("single",)
    mixes: ClassVar[str] = "nothing"
    unlabelled: ClassVar[bool] = False

    def check(self, encoder_layers: int, views: int | None) -> None:
        """Refuses settings that do not fit the encoder or the number of views (InputError)."""

    def start(self, model: TextClassifier) -> None:
        """Attaches what the method remembers between steps; it is saved in checkpoints."""

    def loss(
        self,
        model: TextClassifier,
        batch: Batch,
        progress: Progress,
        generator: np.random.Generator,
    ) -> Outcome:
        """The loss of one batch."""
        raise NotImplementedError

    def after_step(self, model: TextClassifier, progress: Progress) -> None:
        """Updates what the method remembers, after the optimiser's step."""

    def evaluated(self, model: TextClassifier) -> TextClassifier:
        """The weights that are scored, selected and exported."""
        return model


def check_alpha(method: str, alpha: float) -> None:
    """Refuses a Beta parameter that is not positive."""
    if not alpha > 0:
        raise InputError(f"{method}.alpha is {alpha}: it must be greater than 0.")


def check_layers(method: str, layers: tuple[int, ...], encoder_layers: int) -> None:
    """Refuses an empty layer set or a layer that the encoder does not have."""
    if not layers:
        raise InputError(f"{method}.layers is empty: name at least one layer to mix at.")
    for layer in layers:
        if not 0 <= layer <= encoder_layers:
            raise InputError(
                f"{method}.layers names layer {layer}, but the encoder has layers 0 (embeddings) "
                f"to {encoder_layers}: choose among those."
            )


def one_hot(labels: Tensor, classes: int) -> Tensor:
    """(B,) class indices → (B, C) float32."""
    return torch.nn.functional.one_hot(labels, classes).float()
