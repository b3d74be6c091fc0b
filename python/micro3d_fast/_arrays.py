# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Handle numpy, torch and cupy arrays without importing torch or cupy.

Memory is always allocated by the caller's framework, whose caching allocator owns it, so outputs
are on the device of their inputs.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

Array = Any  #: numpy.ndarray, torch.Tensor or cupy.ndarray


def framework(array: Array) -> str | None:
    """Return "numpy", "torch" or "cupy", or None for anything else."""
    if isinstance(array, np.ndarray):
        return "numpy"
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(array, torch.Tensor):
        return "torch"
    cupy = sys.modules.get("cupy")
    if cupy is not None and isinstance(array, cupy.ndarray):
        return "cupy"
    return None


def is_cuda(array: Array) -> bool:
    """Return whether the memory of the array is on a CUDA device."""
    kind = framework(array)
    if kind == "numpy":
        return False
    if kind == "torch":
        return bool(array.device.type == "cuda")
    if kind == "cupy":
        return True
    device = getattr(array, "__dlpack_device__", None)
    return device is not None and int(device()[0]) in (2, 13)


def dtype_name(array: Array) -> str:
    """Return "float32", "bfloat16", "uint8", ..., for any framework."""
    return str(array.dtype).removeprefix("torch.")


def _new(make: str, array: Array, shape: Sequence[int], dtype: str) -> Array:
    """Call ``make`` ("empty" or "zeros") of the framework of ``array``."""
    shape = tuple(int(n) for n in shape)
    kind = framework(array)
    if kind == "torch":
        torch = sys.modules["torch"]
        return getattr(torch, make)(shape, dtype=getattr(torch, dtype), device=array.device)
    if kind == "cupy":
        with array.device:
            return getattr(sys.modules["cupy"], make)(shape, dtype=dtype)
    return getattr(np, make)(shape, dtype=dtype)


def empty_like(array: Array, shape: Sequence[int], dtype: str) -> Array:
    """Return uninitialized C-contiguous memory of the framework and device of ``array``."""
    return _new("empty", array, shape, dtype)


def zeros_like(array: Array, shape: Sequence[int], dtype: str) -> Array:
    """Return zeros of the framework and device of ``array``."""
    return _new("zeros", array, shape, dtype)


def to_numpy(array: Array) -> np.ndarray:
    """Return the array on the host, without a copy if it is already there."""
    kind = framework(array)
    if kind == "torch":
        return array.detach().cpu().numpy()
    if kind == "cupy":
        return array.get()
    return np.asarray(array)
