"""Named beginnings of recipes: `preset = "few_labels"` at the top of one.

What the recipe itself says, or the command line, goes before what its preset says.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

# What paid on four corpora with ten labels a class and no dev rows: docs/log.md.
_FEW_LABELS: dict[str, Any] = {
    "method": "mixtext",
    "views": {"copies": 0},
    "model": {"head_width": 0},
    "training": {"batch": 8, "batch_unlabelled": 16, "lr_encoder": 5e-5, "lr_head": 1e-3},
    "mixtext": {
        "alpha": 16.0,
        "layers": [3, 4, 5],
        "temperature": 0.5,
        "ramp": 0.5,
        "teacher": 0.99,
        "align": True,
        "contrast_passes": 20,
        "cluster": 4000,
    },
    "tmix": {"alpha": 2.0, "layers": [3, 4, 5]},
}

PRESETS: Mapping[str, dict[str, Any]] = {
    "few_labels": _FEW_LABELS,
    # The same without the start, its clusters and the alignment, which lose a rare class.
    "skewed_labels": {
        **_FEW_LABELS,
        "mixtext": {**_FEW_LABELS["mixtext"], "contrast_passes": 0, "cluster": 0, "align": False},
    },
    # MixText as published for a few labels (arXiv 2004.12239), on an encoder of 12 layers; whole
    # recipes are in experiments/paper.
    "paper": {
        "method": "mixtext",
        "model": {"head_width": 128, "max_length": 256},
        "training": {
            "batch": 4,
            "batch_unlabelled": 8,
            "by_length": "none",
            "lr_encoder": 1e-5,
            "lr_head": 1e-3,
            "weight_decay": 0.0,
            "schedule": "constant",
            "warmup": 0.0,
            "clip": 0.0,
        },
        "mixtext": {"alpha": 16.0, "layers": [7, 9, 12], "temperature": 0.5, "ramp": 1.0},
        "tmix": {"alpha": 16.0, "layers": [7, 9, 12]},
    },
}

MOST = 0.75  # of the labels, in one class


def fitting_preset(labels: np.ndarray) -> str:
    """The preset for labels that are all learned from: `skewed_labels` if over `MOST` are alike.

    Args:
        labels: (N,) whole numbers ≥ 0.
    """
    return "skewed_labels" if np.bincount(labels).max() > MOST * len(labels) else "few_labels"


def begin_with(preset: dict[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a recipe laid over those of a preset, table by table."""
    merged = {**preset, **values}
    for key, table in preset.items():
        own = values.get(key)
        if isinstance(table, dict) and isinstance(own, Mapping):
            merged[key] = {**table, **own}
    return merged
