"""AdamW with separate learning rates for encoder and head."""

import torch

from mixtext.models.base import Model
from mixtext.training.settings import TrainingSettings, rate

BETA2 = 0.999


def make_optimiser(model: Model, settings: TrainingSettings) -> torch.optim.AdamW:
    """AdamW over encoder and head; no weight decay on biases and norms (tensors of one axis)."""
    groups: list[dict] = []
    for part, lr in (("encoder", settings.lr_encoder), ("head", settings.lr_head)):
        trained = [p for p in getattr(model, part).parameters() if p.requires_grad]
        for decays in (True, False):
            groups.append(
                {
                    "part": part,
                    "params": [p for p in trained if (p.ndim > 1) == decays],
                    "lr": lr,
                    "peak": lr,
                    "weight_decay": settings.weight_decay if decays else 0.0,
                }
            )
    groups = [group for group in groups if group["params"]]
    # Fused: one pass over the weights, which on a CPU takes a fifth of the time.
    return torch.optim.AdamW(groups, eps=settings.eps, betas=(0.9, BETA2), fused=True)


def set_rates(
    optimiser: torch.optim.AdamW, settings: TrainingSettings, step: int, total: int
) -> None:
    """Sets learning rates (and eps) for 0-based `step`; a pure function, so nothing to checkpoint.

    torch adds eps to √v̂ = √v / √(1 − β₂ᵗ). Adding it to √v before the correction, as
    pytorch_transformers' AdamW did, is the same as adding eps / √(1 − β₂ᵗ) after it.
    """
    factor = rate(settings, step, total)
    eps = settings.eps
    if settings.eps_before_bias_correction:
        eps /= (1 - BETA2 ** (step + 1)) ** 0.5
    for group in optimiser.param_groups:
        group["lr"] = group["peak"] * factor
        group["eps"] = eps
