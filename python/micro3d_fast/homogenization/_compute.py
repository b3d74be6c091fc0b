# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Memory and transforms of a solve: numpy with scipy.fft on the CPU, torch with cuFFT on a GPU.

The native operators accept the arrays of either; allocation, transfer and transforms differ.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import ops
from .._arrays import Array, framework, is_cuda
from .._device import captured, device_name, torch_device
from . import _box_transforms

_PINNED = 1 << 24  # bytes from which on memory is fetched through page-locked memory
_ONE_BY_ONE = 1 << 21  # voxels from which on a launch costs less than a copy of the spectrum


class Compute(ABC):
    """Allocation, transfer and transforms of arrays on one device."""

    name = "cpu"
    threads = 0  # of the native operators
    _sent: tuple[np.ndarray, Array] | None = None

    def send_labels(self, labels: np.ndarray) -> Array:
        """Return labels on the device; sent once, if one array is asked for again and again."""
        if self._sent is None or self._sent[0] is not labels:
            self._sent = labels, self.send(labels)
        return self._sent[1]

    @abstractmethod
    def empty(self, shape: tuple[int, ...], dtype: str) -> Array:
        """Return uninitialized memory."""

    @abstractmethod
    def zeros(self, shape: tuple[int, ...], dtype: str) -> Array:
        """Return zeros."""

    @abstractmethod
    def send(self, array: np.ndarray) -> Array:
        """Return a host array on the device, C-contiguous."""

    @abstractmethod
    def fetch(self, array: Array) -> np.ndarray:
        """Return an array of the device on the host."""

    @abstractmethod
    def rfft3(self, x: Array) -> Array:
        """Return the real transform of the last three axes."""

    @abstractmethod
    def irfft3(self, spectrum: Array, shape: tuple[int, int, int]) -> Array | list[list[Array]]:
        """Return its inverse (loads, components, ...), times the number of voxels.

        As one array, or field by field. ``spectrum`` may be destroyed.
        """

    @abstractmethod
    def forward_box(self, x: Array, periodic: tuple[bool, bool]) -> Array:
        """Return the orthonormal real transform of a box.

        Sine along axis 0 (half-cell Dirichlet ends), cosine (no flux) or Hartley (periodic) along
        axes 1 and 2.
        """

    @abstractmethod
    def backward_box(self, x: Array, periodic: tuple[bool, bool]) -> Array:
        """Return the inverse of :meth:`forward_box`; ``x`` may be destroyed."""

    def convolves(self, grid: tuple[int, int, int]) -> bool:
        """Whether one native operator does the Green preconditioner, transforms included."""
        return False

    def partials(self, count: int) -> Array | None:
        """Return scratch memory for the sums of the native operators, where they need it."""
        return None

    def copy(self, to: Array, source: Array) -> None:
        """Copy the values of an array into another one."""
        to[...] = source

    def has_room(self, nbytes: int) -> bool:
        """Whether so much memory is free on the device."""
        return True

    def graph(self, body: Callable[[], None]) -> Callable[[], None] | None:
        """Return what does the same as ``body``, which has run before, at less cost; or None."""
        return None


class NumpyCompute(Compute):
    """numpy and scipy.fft."""

    name = "cpu"

    def __init__(self, threads: int = 0) -> None:
        self.threads = threads
        self.workers = threads if threads > 0 else ops.max_threads()

    def convolves(self, grid: tuple[int, int, int]) -> bool:
        # the operator works on 16 planes at a time
        return grid[0] >= 8 and ops.green_convolve_takes(grid)

    def empty(self, shape: tuple[int, ...], dtype: str) -> Array:
        return np.empty(shape, dtype)

    def zeros(self, shape: tuple[int, ...], dtype: str) -> Array:
        return np.zeros(shape, dtype)

    def send(self, array: np.ndarray) -> Array:
        return np.ascontiguousarray(array)

    def fetch(self, array: Array) -> np.ndarray:
        return array

    def rfft3(self, x: Array) -> Array:
        from scipy import fft

        return fft.rfftn(x, axes=(-3, -2, -1), workers=self.workers)

    def irfft3(self, spectrum: Array, shape: tuple[int, int, int]) -> Array:
        from scipy import fft

        return fft.irfftn(
            spectrum,
            s=shape,
            axes=(-3, -2, -1),
            norm="forward",
            workers=self.workers,
            overwrite_x=True,
        )

    def forward_box(self, x: Array, periodic: tuple[bool, bool]) -> Array:
        return _box_transforms.forward_scipy(x, periodic, self.workers)

    def backward_box(self, x: Array, periodic: tuple[bool, bool]) -> Array:
        return _box_transforms.backward_scipy(x, periodic, self.workers)


class TorchCompute(Compute):
    """torch on a CUDA device (on ``"cpu"`` for tests), on its current stream."""

    def __init__(self, device: str) -> None:
        import torch

        self.torch = torch
        self.device = torch.device(device)
        self.name = str(self.device)
        self.threads = 0
        self.cuda = self.device.type == "cuda"
        self._boxes: tuple[Any, _box_transforms.TorchBox] | None = None

    def empty(self, shape: tuple[int, ...], dtype: str) -> Array:
        return self.torch.empty(shape, dtype=getattr(self.torch, dtype), device=self.device)

    def zeros(self, shape: tuple[int, ...], dtype: str) -> Array:
        return self.torch.zeros(shape, dtype=getattr(self.torch, dtype), device=self.device)

    def send(self, array: np.ndarray) -> Array:
        return self.torch.tensor(np.ascontiguousarray(array), device=self.device)

    def fetch(self, array: Array) -> np.ndarray:
        if not self.cuda or array.nbytes < _PINNED:
            return array.detach().cpu().numpy()
        host = self.torch.empty(array.shape, dtype=array.dtype, pin_memory=True)
        return host.copy_(array).numpy()  # type: ignore[no-any-return]

    # Never with `out=`, which copies the result even where it is not to be scaled.

    def rfft3(self, x: Array) -> Array:
        return self.torch.fft.rfftn(x, dim=(-3, -2, -1)).contiguous()

    def irfft3(self, spectrum: Array, shape: tuple[int, int, int]) -> Array | list[list[Array]]:
        irfftn, dim = self.torch.fft.irfftn, (-3, -2, -1)
        if math.prod(shape) < _ONE_BY_ONE:
            return irfftn(spectrum, s=shape, dim=dim, norm="forward").contiguous()
        # more launches, but torch copies the spectrum first unless it has three axes alone
        return [
            [irfftn(field, s=shape, dim=dim, norm="forward").contiguous() for field in load]
            for load in spectrum
        ]

    def forward_box(self, x: Array, periodic: tuple[bool, bool]) -> Array:
        return self._box(x, periodic).forward(x)

    def backward_box(self, x: Array, periodic: tuple[bool, bool]) -> Array:
        return self._box(x, periodic).backward(x)

    def _box(self, x: Array, periodic: tuple[bool, bool]) -> _box_transforms.TorchBox:
        """Return the transforms of a box, whose tables stay until another shape comes."""
        key = (tuple(x.shape), periodic, x.dtype)
        if self._boxes is None or self._boxes[0] != key:
            self._boxes = key, _box_transforms.TorchBox(x, periodic)
        return self._boxes[1]

    def partials(self, count: int) -> Array | None:
        return self.empty((count,), "float64") if self.cuda else None

    def copy(self, to: Array, source: Array) -> None:
        to.copy_(source)

    def has_room(self, nbytes: int) -> bool:
        return not self.cuda or nbytes < sum(self._free_and_cached())

    def graph(self, body: Callable[[], None]) -> Callable[[], None] | None:
        if not self.cuda:
            return None
        free, cached = self._free_and_cached()
        if free < cached:  # a graph has memory of its own, as much as the body took at most
            self.torch.cuda.empty_cache()
        graph, _ = captured(body, self.device)
        return graph.replay  # type: ignore[no-any-return]

    def _free_and_cached(self) -> tuple[int, int]:
        """Return the bytes that are free on the device, and those that torch has cached."""
        cuda = self.torch.cuda
        cached = cuda.memory_reserved(self.device) - cuda.memory_allocated(self.device)
        return cuda.mem_get_info(self.device)[0], cached


def compute_for(labels: Any, device: Any, threads: int) -> Compute:
    """Return the `Compute` of ``device``, or of where the labels are."""
    if device is None:
        if not is_cuda(labels):
            return NumpyCompute(threads)
        kind = framework(labels)
        device = str(labels.device) if kind == "torch" else f"cuda:{labels.device.id}"
    name = device_name(device)
    if name.startswith("cpu"):
        return NumpyCompute(threads)
    ops.require_cuda(f"`device` {name!r}")
    torch_device(name)
    return TorchCompute(name)
