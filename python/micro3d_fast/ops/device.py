# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""What the machine and this build can do: CUDA, threads, the caller's stream.

Nothing here touches CUDA at import, so forked data loaders stay safe.
"""

from __future__ import annotations

import sys
from typing import Any

from .. import _core
from .._errors import CudaUnavailableError

__all__ = [
    "built_with_cuda",
    "cuda_device_count",
    "cuda_is_available",
    "cuda_status",
    "current_stream",
    "max_threads",
    "require_cuda",
]


def built_with_cuda() -> bool:
    """Whether the CUDA kernels are compiled in."""
    return bool(_core.BUILT_WITH_CUDA)


def cuda_device_count() -> int:
    """Usable CUDA devices; 0 without CUDA, a driver or a device."""
    return int(_core.cuda_device_count())


def cuda_is_available() -> bool:
    """Whether the native operators can run on a GPU here."""
    return cuda_device_count() > 0


def cuda_status() -> str:
    """One sentence: which CUDA devices the native operators can use, or why none.

    Examples
    --------
    >>> import micro3d_fast as m3
    >>> print(m3.cuda_status())  # doctest: +SKIP
    CUDA 12.8 is built in and finds 1 device: NVIDIA H200 (sm_90).
    """
    return str(_core.cuda_status())


def max_threads() -> int:
    """CPU threads that the native operators use by default."""
    return int(_core.max_threads())


def require_cuda(what: str) -> None:
    """Raise unless a GPU can be used; never fall back in silence."""
    if not cuda_is_available():
        raise CudaUnavailableError(f"{what} asks for CUDA, but {cuda_status()}")


def current_stream(array: Any) -> int | None:
    """The CUDA stream that the caller's framework works on now; None for arrays on the CPU.

    The default stream is 1 (cudaStreamLegacy), as DLPack wants it: 0 is ambiguous there.
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
        return 1  # unknown framework: its data is made ready for the default stream
    return None
