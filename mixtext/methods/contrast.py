"""A contrastive start: labelled rows alone, before a method's own steps.

With a handful of labels, vectors learn from pairs of rows, of which there are many, what a head
cannot learn from the rows. SetFit (Tunstall et al. 2022, arXiv 2209.11055) begins so, with the
squared error of cosines; here it is the supervised contrastive loss (Khosla et al. 2020, arXiv
2004.11362), which got further in as many steps (docs/log.md).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from mixtext.data.batches import Feed, Padded, Source, in_length_order
from mixtext.deferred import F, Tensor, torch
from mixtext.losses import supervised_contrast
from mixtext.pseudo_labels import class_frequencies, seeded_clusters

if TYPE_CHECKING:
    from mixtext.models.classifier import Classifier

ROWS = 30  # a step
FAR = 4.0  # standard errors of a class's frequency among the labels
RISE = 0.1  # share of the steps in which the learning rate rises; then it falls to 0


def contrast(
    model: Classifier, feed: Feed, passes: int, rate: float, generator: np.random.Generator
) -> None:
    """Trains the encoder on labelled rows, every class equally often.

    Args:
        model: its encoder changes, its head does not.
        feed: holds the labelled rows.
        passes: times that each row is seen, about, ≥ 1; this many steps of `ROWS` rows, or as many
            times more as there are more rows.
        rate: highest learning rate of AdamW, > 0.
        generator: draws the rows.
    """
    weights = [p for p in model.encoder.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(weights, lr=rate, weight_decay=0.01, fused=True)
    device = weights[0].device
    steps = math.ceil(passes * max(1, len(feed.labelled.rows) / ROWS))
    training = model.training
    model.train()
    for step in range(steps):
        picked = class_rows(feed.labelled.rows, feed.labels, generator)
        rows = model.begun(collated(model, feed.source, picked, feed.pad_to))
        vectors = model.encode(rows, None, None)  # (B, H)
        labels = torch.from_numpy(feed.labels[picked]).to(device)
        supervised_contrast(vectors, labels).backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        done = (step + 1) / (steps + 1)
        for group in optimiser.param_groups:
            group["lr"] = rate * min(done / RISE, (1 - done) / (1 - RISE))
        optimiser.step()
        optimiser.zero_grad()
    model.train(training)


def class_rows(
    rows: np.ndarray, labels: np.ndarray, generator: np.random.Generator, most: int = ROWS
) -> np.ndarray:
    """About `most` of the labelled rows: as many of each class, at least two where it has them.

    Where not all classes have room for two, some are drawn.

    Args:
        rows: indices of the labelled rows.
        labels: (N,) classes of all rows.
        generator: draws them.
        most: rows to return, ≥ 2; fewer where a class has fewer than its share.
    """
    classes = np.unique(labels[rows])
    each = max(2, most // len(classes))
    drawn = generator.permutation(classes)[: max(1, most // each)]
    return np.concatenate([generator.permutation(rows[labels[rows] == c])[:each] for c in drawn])


def collated(
    model: Classifier, source: Source, picked: np.ndarray, pad_to: int = 0
) -> Padded | Tensor:
    """Some rows as one batch, on the model's device."""
    rows: list[Any] = [source.row(i) for i in picked]
    return source.collate(rows, pad_to).to(next(model.parameters()).device)


def encode_all(
    model: Classifier, source: Source, picked: np.ndarray, pad_to: int = 0, batch: int = 64
) -> Tensor:
    """Pooled vectors (N, H) of many rows, without dropout and gradient, float32."""
    training = model.training
    model.eval()
    vectors = next(model.parameters()).new_empty(len(picked), model.encoder.hidden_size)
    with torch.no_grad():
        for places in in_length_order(source.lengths[picked], batch):
            rows = collated(model, source, picked[places], pad_to)
            vectors[places] = model.encode(rows, None, None).to(vectors.dtype)
    model.train(training)
    return vectors


def fit_head(
    model: Classifier, feed: Feed, pool: int = 0, adjust: bool = False
) -> tuple[Tensor, Tensor]:
    """Fits the head to the vectors of the labelled rows, the encoder as it is.

    Cross-entropy + ½‖weights‖², vectors in units of their mean length: for a head of one layer
    that is logistic regression with C = 1.

    Args:
        model: its head changes.
        feed: holds the rows.
        pool: so many unlabelled rows, at most, are fitted too, to what the clusters that the
            labelled rows seed say of them; but not where labels that were drawn as they come show
            that clusters are not the classes: with a share of one further off than `FAR`.
        adjust: learn labelled rows as if their classes were as frequent as in the pool.

    Returns:
        (C,) class frequencies of the pool by its clusters, or by the labels where clusters are not
        the classes; equal ones without a pool. And
        (C,) what the labelled rows' logits were shifted by: log of their frequencies over those.
    """
    rows = feed.labelled.rows
    vectors = encode_all(model, feed.source, rows, feed.pad_to)  # (N, H)
    labels = torch.from_numpy(feed.labels[rows]).to(vectors.device)
    targets = F.one_hot(labels, model.head.outputs).float()  # (N, C)
    shares = torch.full_like(targets[0], 1 / model.head.outputs)
    shifts = torch.zeros_like(targets)  # (N, C)
    if pool and feed.unlabelled is not None:
        picked = feed.unlabelled.rows[:pool]
        more = encode_all(model, feed.source, picked, feed.pad_to)  # (U, H)
        drawn = torch.from_numpy(feed.labels[feed.drawn]).to(vectors.device)
        frequencies = class_frequencies(drawn, len(shares))
        with torch.autocast(vectors.device.type, enabled=False):  # shares are sums over all rows
            guesses = seeded_clusters(more, vectors, labels, frequencies=frequencies)  # (U, C)
        shares = guesses.mean(0)
        if frequencies is not None:
            error = (frequencies * (1 - frequencies) / len(feed.drawn)).sqrt()
            if bool(((shares - frequencies).abs() > FAR * error).any()):
                shares, more, guesses = frequencies, more[:0], guesses[:0]
        if adjust:
            shifts += targets.mean(0).clamp(min=1e-6).log() - shares.clamp(min=1e-6).log()
        vectors, targets = torch.cat([vectors, more]), torch.cat([targets, guesses])
        shifts = torch.cat([shifts, torch.zeros_like(guesses)])
    unit = vectors.norm(dim=1).mean()
    head, first = model.head, next(model.head.parameters())  # (width, H): what reads the vectors
    first.data.mul_(unit)
    optimiser = torch.optim.LBFGS(head.parameters(), max_iter=500, line_search_fn="strong_wolfe")

    def objective() -> Tensor:
        optimiser.zero_grad()
        log_p = F.log_softmax(head(vectors / unit).float() + shifts, dim=1)
        loss = -(targets * log_p).sum()
        loss = loss + sum(p.square().sum() for p in head.parameters() if p.ndim > 1) / 2
        loss.backward()
        return loss

    with torch.autocast(vectors.device.type, enabled=False):
        optimiser.step(objective)
    optimiser.zero_grad()
    first.data.div_(unit)
    return shares, shifts[0]
