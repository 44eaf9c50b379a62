"""Where a training computes, and how precisely."""

import os
from collections.abc import Mapping
from typing import Any

import torch
from torch.backends.mkldnn import is_available as has_onednn

from mixtext.errors import InputError
from mixtext.training.distributed import is_joined


def choose_device(name: str) -> torch.device:
    """`auto` or a device's name → the device; InputError where it is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError):
        raise InputError(
            f"training.device {name!r} is not available here: use 'auto' or 'cpu'."
        ) from None
    if device.type == "cuda" and is_joined():
        here = int(os.environ["LOCAL_WORLD_SIZE"])
        gpus = torch.cuda.device_count() if device.index is None else 1
        if here > gpus:
            raise InputError(
                f"training.device is {name!r}, which gives {here} processes {gpus} GPU"
                f"{'s' * (gpus > 1)}, and each needs its own: use 'auto' and as many processes "
                "(--nproc-per-node) as the machine has GPUs."
            )
    return device


def autocast(precision: str, device: torch.device) -> torch.autocast:
    """The autocast context of a precision setting.

    Weights are rounded at each use: torch would keep the rounded ones to the end of the context,
    and what trains within it, such as a start of several steps, would not see its own updates.
    """
    enabled = precision == "bfloat16" or (precision == "auto" and fast_bfloat16(device))
    return torch.autocast(device.type, torch.bfloat16, enabled, cache_enabled=False)


def fast_bfloat16(device: torch.device) -> bool:
    """Whether the hardware multiplies bfloat16 matrices faster than float32 ones.

    CUDA from Ampere on; of CPUs those with AMX, or with AVX-512's instruction for it: training was
    1.6 to 1.7 times as fast there, scoring 1.7 times. AVX-512 alone only converts, and is slower.
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and has_onednn() and fast_cpu(torch.cpu.get_capabilities())


def fast_cpu(flags: Mapping[str, Any]) -> bool:
    """The same of a CPU, from what `torch.cpu.get_capabilities` says of it."""
    return bool(flags.get("amx_bf16") or flags.get("avx512_bf16"))
