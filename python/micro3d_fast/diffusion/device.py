# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Where the network runs and with what precision."""

from __future__ import annotations

from typing import Any

import torch

from .._checks import choice


def find_device(device: str | None) -> torch.device:
    """The device of that name; None is CUDA where there is one, else the CPU.

    A request for CUDA that cannot be met is refused, never answered by the CPU.
    """
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    wanted = f"`device` must be 'cpu', 'cuda' or 'cuda:N', got {device!r}"
    if not isinstance(device, str | torch.device):
        raise TypeError(wanted)
    try:
        found = torch.device(device)
    except RuntimeError:
        raise ValueError(wanted) from None
    if found.type not in ("cpu", "cuda"):
        raise ValueError(wanted)
    if found.type == "cuda":
        if not torch.cuda.is_available():
            raise ValueError(f"{wanted}, but torch finds no CUDA device here")
        if found.index is not None and found.index >= torch.cuda.device_count():
            raise ValueError(f"{wanted}, but there are {torch.cuda.device_count()} CUDA devices")
    return found


def compute_dtype(precision: str, device: torch.device) -> torch.dtype:
    """The network's arithmetic: bfloat16 where the processor has instructions for it."""
    choice(precision, ("auto", "bfloat16", "float32"), name="precision")
    if precision == "float32":
        return torch.float32
    if precision == "bfloat16":
        return torch.bfloat16
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    return torch.bfloat16 if cpu_has_bfloat16() else torch.float32


def cpu_has_bfloat16() -> bool:
    """Whether the CPU multiplies bfloat16 natively (AVX512-BF16 or AMX), so that it pays."""
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        if getattr(torch.cpu, name, lambda: False)():
            return True
    return False


def channels_last(net: Any) -> Any:
    """The same network with its convolution weights channels last in memory."""
    return net.to(memory_format=torch.channels_last)
