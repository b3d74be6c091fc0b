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
_STAGE = 1 << 24  # bytes of pinned memory, through which larger arrays of a GPU reach the host


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


def is_stored(array: Any) -> bool:
    """Return whether an array is in chunks, on disk or not computed yet: zarr, h5py, dask."""
    names = ("shape", "dtype", "__getitem__")
    chunks = None if framework(array) else getattr(array, "chunks", None)
    return chunks is not None and all(hasattr(array, name) for name in names)


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
        if array.device.type == "cuda" and array.nbytes > _STAGE:
            return _fetch(array.detach())
        return array.detach().cpu().numpy()
    if kind == "cupy":
        return array.get()
    return np.asarray(array)


def _fetch(array: Array) -> np.ndarray:
    """Return a torch tensor of a GPU, copied piece by piece through pinned memory.

    While one piece is on its way, the threads of torch move the one before to where it belongs.
    """
    torch = sys.modules["torch"]
    out = np.empty(tuple(array.shape), dtype_name(array))
    size = _STAGE // array.element_size()
    sources, targets = (a.reshape(-1).split(size) for a in (array, torch.from_numpy(out)))
    stages = [torch.empty(size, dtype=array.dtype, pin_memory=True) for _ in range(2)]
    with torch.cuda.device(array.device):
        arrived = [torch.cuda.Event() for _ in stages]
        for k in range(len(sources) + 1):
            if k < len(sources):
                stages[k % 2][: len(sources[k])].copy_(sources[k], non_blocking=True)
                arrived[k % 2].record()
            if k > 0:
                arrived[(k - 1) % 2].synchronize()
                targets[k - 1].copy_(stages[(k - 1) % 2][: len(targets[k - 1])])
    return out
