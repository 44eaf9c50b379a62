"""torch, loaded at its first use: what only lists, checks or refuses must not wait for it.

    from mixtext.deferred import F, Tensor, torch

A method's settings and its loss stand in one file, so whoever lists settings imports the losses.
torch takes seconds to load; this one is loaded when a loss first calls it. Files on that way begin
with `from __future__ import annotations`, and import what derives from `torch.nn.Module` for type
checkers alone. All other files import torch itself.
"""

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any


class Deferred(ModuleType):
    """Stands for the module of that name, and imports it when something is asked of it."""

    def __getattr__(self, name: str) -> Any:
        return getattr(import_module(self.__name__), name)


if TYPE_CHECKING:
    import torch as torch
    import torch.nn.functional as F
    from torch import Tensor as Tensor
else:
    torch, F = Deferred("torch"), Deferred("torch.nn.functional")
    Tensor = Any  # for annotations; `isinstance` wants torch.Tensor
