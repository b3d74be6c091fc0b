# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Where the network runs and with what precision."""

from __future__ import annotations

import ctypes
import functools
import os
import platform
import shutil
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib.util import find_spec
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
        return (
            torch.bfloat16
            if torch.cuda.is_bf16_supported(including_emulation=False)
            else torch.float32
        )
    return torch.bfloat16 if cpu_has_bfloat16() else torch.float32


def cpu_has_bfloat16() -> bool:
    """Whether the CPU multiplies bfloat16 natively (AVX512-BF16 or AMX), so that it pays."""
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        if getattr(torch.cpu, name, lambda: False)():
            return True
    return False


def current_device(device: torch.device) -> AbstractContextManager[Any]:
    """Make a CUDA device the current one inside a with block; on the CPU, keep freed memory."""
    return torch.cuda.device(device) if device.type == "cuda" else kept_memory()


_keepers = 0
_keepers_lock = threading.Lock()


@contextmanager
def kept_memory() -> Iterator[None]:
    """Inside the with block, freed memory stays with the process (GNU libc; else no effect).

    A pass of the network allocates and frees tensors of some megabytes.  Left alone, malloc gives
    them back to the system each time, and the pass spends a fifth of its time on page faults.  At
    the end what was kept is given back, and malloc's thresholds are left where its own adjustment
    would have taken them.
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
            malloc.mallopt(trim_threshold, -1)  # never
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
    """The C library, if it is GNU's."""
    if platform.system() != "Linux" or platform.libc_ver()[0] != "glibc":
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else None


def should_compile(wanted: bool | str, device: torch.device) -> bool:
    """Whether to compile the network: "auto" does on CUDA, if Triton is there.

    On a CPU compiled passes are no faster, so it happens only when asked for.  Asking where no
    compiler is found is refused.
    """
    if wanted == "auto":
        return device.type == "cuda" and find_spec("triton") is not None
    if not isinstance(wanted, bool):
        raise ValueError(f"`compile` must be 'auto', True or False, got {wanted!r}")
    found = find_spec("triton") if device.type == "cuda" else shutil.which("c++")
    if wanted and not found:
        tool = "Triton" if device.type == "cuda" else "a C++ compiler (c++)"
        raise ValueError(f"`compile` must be 'auto' or False where {tool} is not found, got True")
    return wanted


def memory_bytes(device: torch.device) -> int:
    """Physical memory of the device."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def free_memory_bytes(device: torch.device) -> int:
    """Memory of the device that nobody uses now, what torch keeps for itself included."""
    if device.type == "cuda":
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + kept
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            for line in file:
                if line.startswith("MemAvailable:"):
                    return 1024 * int(line.split()[1])
    except OSError:
        pass
    return memory_bytes(device)


def out_of_memory(error: BaseException) -> bool:
    """Whether this says that memory, of the host or of a device, ran out."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    words = str(error).lower()
    return isinstance(error, RuntimeError) and any(
        sign in words
        for sign in (
            "not enough memory",
            "can't allocate memory",
            "out of memory",
            "status_alloc_failed",  # cuBLAS and cuDNN
        )
    )


def channels_last(net: Any) -> Any:
    """The same network with its convolution weights channels last in memory."""
    return net.to(memory_format=torch.channels_last)
