"""Where a training computes, and how precisely."""

import torch

from mixtext.errors import InputError


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
    return device


def autocast(precision: str, device: torch.device) -> torch.autocast:
    """The autocast context of a precision setting."""
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        amx = getattr(torch.cpu, "_is_amx_tile_supported", None)
        fast = device.type == "cpu" and amx is not None and amx()
    enabled = precision == "bfloat16" or (precision == "auto" and fast)
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=enabled)
