# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""CUDA devices, CPU threads and the caller's CUDA stream.

Nothing here initializes CUDA at import, so forked data loaders work.
"""

from __future__ import annotations

import sys
from typing import Any

from .. import _core
from .._errors import CudaUnavailableError

__all__ = [
    "MAX_THREADS",
    "built_with_cuda",
    "cuda_device_count",
    "cuda_is_available",
    "cuda_status",
    "current_stream",
    "max_threads",
    "require_cuda",
]

#: the largest number of CPU threads that an operator takes
MAX_THREADS: int = _core.MAX_THREADS


def built_with_cuda() -> bool:
    """Return whether the CUDA kernels are compiled in."""
    return bool(_core.BUILT_WITH_CUDA)


def cuda_device_count() -> int:
    """Return the number of usable CUDA devices: 0 without CUDA, a driver or a device."""
    return int(_core.cuda_device_count())


def cuda_is_available() -> bool:
    """Return whether the native operators can run on a GPU here."""
    return cuda_device_count() > 0


def cuda_status() -> str:
    """Return a sentence on the CUDA devices that can be used, or why there are none.

    Examples
    --------
    >>> import micro3d_fast as m3
    >>> print(m3.cuda_status())  # doctest: +SKIP
    CUDA 12.8 is built in and finds 1 device: NVIDIA H200 (sm_90).
    """
    return str(_core.cuda_status())


def max_threads() -> int:
    """Return the number of CPU threads that the native operators use by default."""
    return int(_core.max_threads())


def require_cuda(what: str) -> None:
    """Raise unless a GPU can be used; there is no silent fallback."""
    if not cuda_is_available():
        raise CudaUnavailableError(f"{what} asks for CUDA, but {cuda_status()}")


def current_stream(array: Any) -> int | None:
    """Return the current CUDA stream of the framework of ``array``; None for arrays on the CPU.

    The default stream is 1 (cudaStreamLegacy), as DLPack requires: 0 is ambiguous there.
    """
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(array, torch.Tensor):
        if array.device.type != "cuda":
            return None
        return int(torch.cuda.current_stream(array.device).cuda_stream) or 1
    cupy = sys.modules.get("cupy")
    if cupy is not None and isinstance(array, cupy.ndarray):
        with array.device:
            return int(cupy.cuda.get_current_stream().ptr) or 1
    device = getattr(array, "__dlpack_device__", None)
    if device is not None and int(device()[0]) in (2, 13):  # CUDA, CUDA managed
        return 1  # unknown framework: DLPack makes its data ready for the default stream
    return None
