"""What a method is: frozen settings and a loss. Each method is one file beside this one."""

from __future__ import annotations

from collections.abc import Sized
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, ClassVar, Generic, Protocol, Self, TypeVar

import numpy as np
from annotated_types import Ge, Gt

from mixtext.data.batches import Batch, Order, Padded
from mixtext.deferred import Tensor, torch
from mixtext.errors import InputError
from mixtext.losses import CLASS_LOSSES, at_least_float32, squared_error
from mixtext.mixing.interpolate import Layer, Mix, draw_mix, interpolate
from mixtext.settings import Settings

if TYPE_CHECKING:
    from mixtext.models.base import Model
    from mixtext.models.classifier import Classifier
    from mixtext.models.settings import ModelSettings

Layers = tuple[Annotated[int, Ge(0)], ...]


class AnyBatch(Protocol):
    """What the loop itself asks of a batch; the fields are as in `Batch`."""

    @property
    def rows(self) -> Sized:
        """To be counted."""

    @property
    def row_ids(self) -> list[str]:
        """For messages."""

    @property
    def hidden(self) -> np.ndarray:
        """Gold labels of rows whose labels a method guesses."""

    def to(self, device: torch.device) -> Self:
        """The same batch on another device."""


M = TypeVar("M", bound="Model")
B = TypeVar("B", bound=AnyBatch)
B_co = TypeVar("B_co", bound=AnyBatch, covariant=True)


class FeedOf(Protocol[B_co]):
    """What gives batches to the loop."""

    @property
    def labelled(self) -> Order:
        """The order of the labelled rows, which tells how long a pass is."""

    def batch(self, k: int, generator: np.random.Generator) -> B_co:
        """Batch k."""


@dataclass(frozen=True)
class Progress:
    """Where training stands.

    Attributes:
        step: steps done so far.
        total_steps: steps planned.
        epoch: passes or official epochs done, may be a fraction.
        epochs: epochs planned, may be a fraction.
    """

    step: int
    total_steps: int
    epoch: float
    epochs: float = 1.0

    @property
    def fraction(self) -> float:
        """Share of the training that is done, in [0, 1]."""
        return min(1.0, self.step / max(1, self.total_steps))

    def rise(self, share: float, wait: float = 0.0) -> float:
        """From 0 to 1 in a line over a share of the training, after a share `wait` of it.

        With a share of 0 it is 1 at once.
        """
        if self.fraction < wait:
            return 0.0
        return min(1.0, (self.fraction - wait) / share) if share else 1.0


@dataclass(frozen=True)
class Outcome:
    """What a loss returns.

    Attributes:
        loss: scalar with gradient.
        metrics: detached scalars for the monitor, by TensorBoard tag.
        draws: what was drawn, for histograms: `lam` and, where it is a number, `layer`.
        guesses: (Bu, C) pseudo-labels, detached, or None.
    """

    loss: Tensor
    metrics: dict[str, Tensor | float] = field(default_factory=dict)
    draws: dict[str, list[float]] = field(default_factory=dict)
    guesses: Tensor | None = None


@dataclass(frozen=True)
class MethodOf(Settings, Generic[M, B]):
    """What methods for models M and batches B declare, and the steps around the loss: here none.

    Attributes:
        name: the word in the recipe: `method = "…"`; its settings are the table of that name.
        paper: where it comes from.
        rows: what its rows may be, see `Corpus.rows`.
        targets: what it can be trained to tell of a row, see `Corpus.target`.
        mixes: what it mixes, in words.
        unlabelled: it learns from unlabelled rows too.
        views: it looks at views of them.
        steps: it trains in steps; False: `warm_up` is all there is, see `probe.py`.
        divides: of a batch it asks the model for outputs alone, so that processes can share it.
    """

    paper: ClassVar[str]
    rows: ClassVar[tuple[str, ...]] = ("texts", "pairs")
    targets: ClassVar[tuple[str, ...]] = ("classes", "scores")
    mixes: ClassVar[str] = "nothing"
    unlabelled: ClassVar[bool] = False
    views: ClassVar[bool] = False
    steps: ClassVar[bool] = True
    divides: ClassVar[bool] = True

    @classmethod
    def takes(cls, rows: str, target: str) -> bool:
        """Whether it can be trained on such rows to tell such a target."""
        return rows in cls.rows and target in cls.targets

    def check(self, encoder_layers: int, views: int | None, pairs: bool = False) -> None:
        """Refuses settings that do not fit (InputError).

        Args:
            encoder_layers: layers of the encoder.
            views: views of each unlabelled text, 0 for methods that do not look at them, None for
                methods without unlabelled rows.
            pairs: whether the rows are pairs of texts.
        """

    def model_settings(self, settings: ModelSettings) -> ModelSettings:
        """The settings of the model that it trains, where it does not take just any."""
        return settings

    def start(self, model: M) -> None:
        """Attaches what the method remembers between steps; it is saved in checkpoints."""

    def warm_up(self, model: M, feed: FeedOf[B], generator: np.random.Generator) -> None:
        """Trains the model before the first step; not done again where a run is resumed."""

    def loss(
        self, model: M, batch: B, progress: Progress, generator: np.random.Generator
    ) -> Outcome:
        """The loss of one batch."""
        raise NotImplementedError

    def after_step(self, model: M, progress: Progress) -> None:
        """Updates what the method remembers, after the optimiser's step."""

    def evaluated(self, model: M) -> M:
        """The weights that are scored, selected and exported."""
        return model


class Method(MethodOf["Classifier", Batch]):
    """The base of all methods for classifiers."""


def check_layers(method: str, layers: tuple[int, ...], encoder_layers: int) -> None:
    """Refuses an empty layer set or a layer that the encoder does not have."""
    if not layers:
        raise InputError(f"{method}.layers is empty: name at least one layer to mix at.")
    for layer in layers:
        if layer > encoder_layers:
            raise InputError(
                f"{method}.layers names layer {layer}, but the encoder has layers 0 (embeddings) "
                f"to {encoder_layers}: choose among those."
            )


def soft_targets(labels: Tensor, outputs: int, dtype: torch.dtype | None = None) -> Tensor:
    """(B,) class indices → one-hot (B, C); (B,) scores → (B, 1). float32 unless told otherwise."""
    dtype = dtype or torch.float32
    if labels.is_floating_point():
        return labels[:, None].to(dtype)
    return torch.nn.functional.one_hot(labels, outputs).to(dtype)


def target_loss(
    outputs: Tensor, labels: Tensor, mix: Mix | None = None, loss: str = "softmax"
) -> Tensor:
    """Mean loss of `outputs` (B, C) by `labels` (B,), mixed where there is a mix.

    For classes by a name of `CLASS_LOSSES`. For regression, where `labels` are scores, it is the
    squared error whatever the name.
    """
    outputs = at_least_float32(outputs)
    targets = soft_targets(labels, outputs.shape[1], outputs.dtype)  # (B, C)
    if mix is not None:
        targets = interpolate(targets, mix)
    if labels.is_floating_point():
        return squared_error(outputs, targets)
    return CLASS_LOSSES[loss](outputs, targets)


def predict(model: Classifier, rows: Padded | Tensor, dropout: bool = False) -> Tensor:
    """Probabilities (B, C) without a gradient, float32 at least.

    Some rows of a batch may all be shorter than it: padding that no one sees is not computed.
    """
    if isinstance(rows, Padded) and model.use_mask:
        rows = rows.trimmed()
    training = model.training
    model.train(dropout)
    with torch.no_grad():
        logits = model(rows)
    model.train(training)
    return torch.softmax(at_least_float32(logits), dim=-1)


def learned_logits(model: Classifier, batch: Batch, used: Tensor) -> Tensor:
    """Logits (B + Bu·copies, C) of the rows that a batch learns from.

    Those of a text that is not used, `used` (Bu,), have no weight in a loss: they are zeros, and
    not computed.
    """
    labelled = torch.ones(len(batch.labels), dtype=torch.bool, device=used.device)
    counts = torch.cat([labelled, used.repeat(batch.copies)])  # (B + Bu·copies,)
    computed = model(batch.learned[counts])
    logits = computed.new_zeros(len(counts), computed.shape[1])
    logits[counts] = computed
    return logits


def hard(guesses: Tensor) -> Tensor:
    """The most likely class of each guess, one-hot (B, C)."""
    return soft_targets(guesses.argmax(-1), guesses.shape[1], guesses.dtype)


def guided_outcome(
    labelled: Tensor, unlabelled: Tensor, weight: float, ramp: float, guesses: Tensor, used: Tensor
) -> Outcome:
    """L_x + w(t)·λ_u·L_u, the loss of all methods that guess, and what the monitor shows of it.

    Args:
        labelled: L_x.
        unlabelled: L_u.
        weight: λ_u.
        ramp: w(t), in [0, 1].
        guesses: (Bu, C).
        used: (Bu,) what each guess counts, in [0, 1].
    """
    metrics: dict[str, Tensor | float] = {
        "loss/labelled": labelled.detach(),
        "loss/unlabelled": unlabelled.detach(),
        "ramp": ramp,
        "guess/used": used.float().mean(),
    }
    return Outcome(labelled + ramp * weight * unlabelled, metrics, guesses=guesses)


def half_clean(clean: Outcome, mixed: Outcome) -> Outcome:
    """Clean and mixed rows one to one, as SSMix trains: the mean of the two losses."""
    metrics: dict[str, Tensor | float] = {
        "loss/clean": clean.loss.detach(),
        "loss/mixed": mixed.loss.detach(),
    }
    return Outcome((clean.loss + mixed.loss) / 2, metrics, mixed.draws)


def plain_outcome(model: Classifier, batch: Batch) -> Outcome:
    """The mean loss of the labelled rows, unmixed."""
    loss = target_loss(model(batch.rows), batch.labels)
    return Outcome(loss, {"loss/labelled": loss.detach()})


def mixed_outcome(
    model: Classifier, batch: Batch, mix: Mix, layer: Layer, loss: str = "softmax"
) -> Outcome:
    """The mean loss of labelled rows mixed at `layer`, by labels mixed with the same λ.

    The one step of mixup (arXiv 1710.09412) and of all its descendants that mix states.
    """
    mix = mix.to(batch.labels.device)
    value = target_loss(model(batch.rows, mix, layer), batch.labels, mix, loss)
    draws = {"lam": mix.lam.reshape(-1).tolist()}
    if isinstance(layer, int):
        draws["layer"] = [float(layer)]
    return Outcome(value, {"loss/labelled": value.detach()}, draws)


@dataclass(frozen=True)
class LayerMix(Method):
    """Labelled rows mixed with each other at one layer, labels with the same λ ~ Beta(α, α).

    What differs between mixup, wordMixup, senMixup, Manifold Mixup and TMix is the layer, α, and
    what else each of them lets one choose.

    Attributes:
        layer: where a batch is mixed; `draw` chooses where there is no such one place.
        alpha: λ ~ Beta(alpha, alpha).
        per_row: draw one λ a row instead of one a batch.
    """

    layer: ClassVar[Layer] = 0

    alpha: Annotated[float, Gt(0)] = 1.0
    per_row: bool = False

    def draw(
        self, model: Classifier, rows: int, generator: np.random.Generator
    ) -> tuple[Mix, Layer]:
        """λ, partners and layer of one batch."""
        return draw_mix(rows, self.alpha, False, generator, self.per_row), self.layer

    def outcome(self, model: Classifier, batch: Batch, mix: Mix, layer: Layer) -> Outcome:
        """The loss of what was drawn: soft cross-entropy of the mixed rows."""
        return mixed_outcome(model, batch, mix, layer)

    def loss(
        self,
        model: Classifier,
        batch: Batch,
        progress: Progress,
        generator: np.random.Generator,
        draw: tuple[Mix, Layer] | None = None,
    ) -> Outcome:
        """Loss of the mixed rows; `draw` is (mix, layer) where not to be drawn."""
        return self.outcome(model, batch, *(draw or self.draw(model, len(batch.labels), generator)))
