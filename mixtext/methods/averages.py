"""Averages over the steps: a teacher, whose weights are an average of the model's.

Mean Teacher, Tarvainen and Valpola, NeurIPS 2017 (arXiv 1703.01780). What is averaged is attached
to `model.memory`, and so is in every checkpoint.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from mixtext.deferred import torch

if TYPE_CHECKING:
    from mixtext.models.classifier import Classifier


def hurried(decay: float, step: int) -> float:
    """Decay of a running average after 0-based `step`: faster at first, when all changes much."""
    return min(decay, (1 + step) / (10 + step))


def add_teacher(memory: torch.nn.Module, model: Classifier) -> None:
    """Attaches a copy of the model as it is, without a gradient; the model has no memory yet."""
    memory.teacher = copy.deepcopy(model).requires_grad_(False).eval()


def teacher_of(model: Classifier) -> Classifier:
    """The model's teacher; itself where it has none."""
    teacher: Classifier = getattr(model.memory, "teacher", model)
    return teacher


def move_teacher(model: Classifier, decay: float) -> None:
    """Moves the teacher, where there is one, towards the model: decay · teacher + rest · model."""
    teacher = teacher_of(model)
    if teacher is model:
        return
    averaged = dict(teacher.named_parameters())
    for name, weight in model.named_parameters():
        if name in averaged:
            averaged[name].lerp_(weight.detach(), 1 - decay)
