"""Losses on outputs and soft targets, both (B, C), as a scalar mean over rows.

They work in float32, or in float64 where the outputs are. An empty batch gives 0 with a gradient
of 0, so a step without labelled (or unlabelled) rows works.
"""

from __future__ import annotations

from mixtext.deferred import F, Tensor, torch


def at_least_float32(outputs: Tensor) -> Tensor:
    """The outputs in float32, or as they are where they are float64."""
    return outputs.to(torch.promote_types(outputs.dtype, torch.float32))


def _row_mean(per_row: Tensor, weights: Tensor | None = None) -> Tensor:
    """Σ_i w_i l_i / B: a row of weight 0 counts among the B all the same."""
    weighted = per_row if weights is None else per_row * weights
    return weighted.sum() / max(1, per_row.shape[0])


def soft_cross_entropy(logits: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
    """−Σ_c y_c log p_c with `targets` (B, C) on the simplex, rows weighed by `weights` (B,)."""
    log_p = F.log_softmax(at_least_float32(logits), dim=-1)
    return _row_mean(-(targets * log_p).sum(-1), weights)


def soft_log_sigmoid(logits: Tensor, targets: Tensor) -> Tensor:
    """−Σ_c y_c log σ(z_c): the official code's supervised loss for unmixed joined texts."""
    return _row_mean(-(targets * F.logsigmoid(at_least_float32(logits))).sum(-1))


def consistency_kl(logits: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
    """KL(targets ‖ softmax(logits)): the consistency loss of MixText (arXiv 2004.12239, eq. 6).

    Rows are weighed by `weights` (B,).
    Finite at any logit gap, unlike `kl_div(softmax(z).log(), y)` of the official code, which is
    infinite once a probability underflows (a gap of about 104 in float32).
    """
    log_p = F.log_softmax(at_least_float32(logits), dim=-1)
    return _row_mean((torch.xlogy(targets, targets) - targets * log_p).sum(-1), weights)


def consistency_squared(logits: Tensor, targets: Tensor) -> Tensor:
    """‖softmax(logits) − targets‖²: the consistency loss of Mean Teacher (arXiv 1703.01780)."""
    p = F.softmax(at_least_float32(logits), dim=-1)
    return _row_mean((p - targets).square().sum(-1))


def squared_norm_margin(logits: Tensor, margin: float) -> Tensor:
    """max(0, γ − ‖p‖₂²): asks for confident predictions (the paper's margin loss)."""
    p = F.softmax(at_least_float32(logits), dim=-1)
    return _row_mean((margin - (p * p).sum(-1)).clamp(min=0))


def entropy_margin(logits: Tensor, margin: float) -> Tensor:
    """max(0, H(p) − γ), entropy in nats: the hinge that the official code has in its place."""
    log_p = F.log_softmax(at_least_float32(logits), dim=-1)
    return _row_mean((-(log_p.exp() * log_p).sum(-1) - margin).clamp(min=0))


def bce_of_softmax(logits: Tensor, targets: Tensor) -> Tensor:
    """Binary cross-entropy of softmax probabilities, averaged over rows and classes.

    The loss of the official code of Manifold Mixup (arXiv 1806.05236). log(1 − p_c) is taken from
    the other classes' logits, so it is finite where p_c rounds to 1.
    """
    logits = at_least_float32(logits)
    total = logits.logsumexp(-1, keepdim=True)
    itself = torch.eye(logits.shape[1], dtype=torch.bool, device=logits.device)
    others = logits[:, None].masked_fill(itself, float("-inf")).logsumexp(-1)  # (B, C)
    log_p, log_rest = logits - total, others - total
    return _row_mean(-(targets * log_p + (1 - targets) * log_rest).mean(-1))


def squared_error(scores: Tensor, targets: Tensor) -> Tensor:
    """(s − y)² of regression, `scores` and `targets` (B, 1)."""
    return _row_mean((at_least_float32(scores) - targets).square().sum(-1))


def supervised_contrast(vectors: Tensor, labels: Tensor, temperature: float = 0.1) -> Tensor:
    """Supervised contrast (arXiv 2004.11362, eq. 2): vectors of a class together, others apart.

    Each row picks its likes out of all other rows, by softmax over cosines / `temperature`; −log of
    what it gives to each of them, averaged. A row alone in its class counts 0.

    Args:
        vectors: (B, H).
        labels: (B,) int64 classes.
        temperature: > 0; small ones look at the nearest rows alone.
    """
    unit = F.normalize(at_least_float32(vectors), dim=-1)
    itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    scores = (unit @ unit.T / temperature).masked_fill(itself, float("-inf"))  # (B, B)
    log_p = F.log_softmax(scores, dim=-1).masked_fill(itself, 0)
    like = (labels[:, None] == labels) & ~itself
    return _row_mean(-(log_p * like).sum(-1) / like.sum(-1).clamp(min=1))


LABELLED_LOSSES = {"softmax": soft_cross_entropy, "sigmoid": soft_log_sigmoid}
CLASS_LOSSES = {"softmax": soft_cross_entropy, "bce_of_softmax": bce_of_softmax}
CONSISTENCY_LOSSES = {"squared": consistency_squared, "kl": consistency_kl}
MARGINS = {"squared_norm": squared_norm_margin, "entropy": entropy_margin}
