# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Precision, compilation and memory of the device that runs the network."""

from __future__ import annotations

import ctypes
import functools
import os
import platform
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import torch

from .. import _checks

__all__ = [
    "channels_last",
    "compute_dtype",
    "computing",
    "cpu_has_bfloat16",
    "free_memory_bytes",
    "kept_memory",
    "memory_bytes",
    "out_of_memory",
    "should_compile",
]


_PAYS_SECONDS = 480.0  # of eager passes, beyond which they are compiled


def compute_dtype(precision: str, device: torch.device) -> torch.dtype:
    """Return the dtype of the network; "auto" is bfloat16 if the device supports it natively."""
    _checks.choice(precision, ("auto", "bfloat16", "float32"), name="precision")
    if precision == "float32":
        return torch.float32
    if precision == "bfloat16":
        return torch.bfloat16
    if device.type == "cuda":
        return (
            torch.bfloat16
            if torch.cuda.is_bf16_supported(including_emulation=False)
            else torch.float32
        )
    return torch.bfloat16 if cpu_has_bfloat16() else torch.float32


def cpu_has_bfloat16() -> bool:
    """Return whether the CPU multiplies bfloat16 natively (AVX512-BF16 or AMX)."""
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        if getattr(torch.cpu, name, lambda: False)():
            return True
    return False


@contextmanager
def computing(device: torch.device, dtype: torch.dtype) -> Iterator[None]:
    """Prepare for passes of the network inside the with block.

    A CUDA device becomes the current one, and float32 means float32 there: cuDNN would round the
    factors of convolutions to 10 bits (TF32).  Attention is not that of cuDNN, which takes most of
    a second to prepare and is no faster for the few hundred pixels of a slice.  On the CPU freed
    memory is kept.
    """
    if device.type != "cuda":
        with kept_memory():
            yield
        return
    tf32, attention = torch.backends.cudnn.allow_tf32, torch.backends.cuda.cudnn_sdp_enabled()
    torch.backends.cudnn.allow_tf32 = tf32 and dtype != torch.float32
    torch.backends.cuda.enable_cudnn_sdp(False)
    try:
        with torch.cuda.device(device):
            yield
    finally:
        torch.backends.cudnn.allow_tf32 = tf32
        torch.backends.cuda.enable_cudnn_sdp(attention)


_keepers = 0
_keepers_lock = threading.Lock()


@contextmanager
def kept_memory() -> Iterator[None]:
    """Keep freed memory in the process inside the with block (GNU libc; else no effect).

    A pass of the network allocates and frees tensors of some megabytes.  By default malloc returns
    them to the system each time, and the pass spends a fifth of its time on page faults.  At the
    end the kept memory is returned, and malloc's thresholds are set to where its own adjustment
    would have moved them.
    """
    global _keepers
    malloc = _gnu_malloc()
    if malloc is None:
        yield
        return
    mmap_max, mmap_threshold, trim_threshold = -4, -3, -1  # malloc.h
    with _keepers_lock:
        _keepers += 1
        if _keepers == 1:
            malloc.mallopt(mmap_max, 0)
            malloc.mallopt(trim_threshold, -1)  # never trim
    try:
        yield
    finally:
        with _keepers_lock:
            _keepers -= 1
            if _keepers == 0:
                malloc.mallopt(mmap_max, 65536)
                malloc.mallopt(mmap_threshold, 32 << 20)
                malloc.mallopt(trim_threshold, 64 << 20)
                malloc.malloc_trim(0)


@functools.cache
def _gnu_malloc() -> Any:
    """Return the C library if it is GNU's, else None."""
    if platform.system() != "Linux" or platform.libc_ver()[0] != "glibc":
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else None


def should_compile(wanted: bool | str, device: torch.device, seconds: float = 0.0) -> bool:
    """Return whether to compile the network.

    "auto" compiles on CUDA, if Triton is installed, for work of many ``seconds``: compiling takes
    one minute or two and then saves a quarter.  On a CPU compiled passes are no faster.  A request
    without a compiler is refused.
    """
    if wanted == "auto":
        pays = device.type == "cuda" and seconds > _PAYS_SECONDS
        return pays and find_spec("triton") is not None
    if not isinstance(wanted, bool):
        raise _checks.refuse("compile", "be 'auto', True or False", repr(wanted))
    found = find_spec("triton") if device.type == "cuda" else shutil.which("c++")
    if wanted and not found:
        tool = "Triton" if device.type == "cuda" else "a C++ compiler (c++)"
        raise _checks.refuse("compile", f"be 'auto' or False where {tool} is not found", "True")
    return wanted


def memory_bytes(device: torch.device) -> int:
    """Return the physical memory of the device in bytes."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def free_memory_bytes(device: torch.device) -> int:
    """Return the free memory of the device in bytes, including what torch has cached."""
    if device.type == "cuda":
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + cached
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            for line in file:
                if line.startswith("MemAvailable:"):
                    return 1024 * int(line.split()[1])
    except OSError:
        pass
    return memory_bytes(device)


def out_of_memory(error: BaseException) -> bool:
    """Return whether the error means that the memory of the host or a device is exhausted."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    message = str(error).lower()
    return isinstance(error, RuntimeError) and any(
        part in message
        for part in (
            "not enough memory",
            "can't allocate memory",
            "out of memory",
            "status_alloc_failed",  # cuBLAS and cuDNN
        )
    )


def channels_last(net: Any) -> Any:
    """Return the network with its convolution weights in the channels-last layout."""
    return net.to(memory_format=torch.channels_last)
