# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Memory and transforms of a solve: numpy with scipy.fft on the CPU, torch with cuFFT on a GPU.

The native operators accept the arrays of either; allocation, transfer and transforms differ.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import ops
from .._arrays import Array, framework, is_cuda
from .._device import device_name, torch_device
from . import _box_transforms


class Compute(ABC):
    """Allocation, transfer and transforms of arrays on one device."""

    name = "cpu"
    threads = 0  # of the native operators

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
    def irfft3(self, spectrum: Array, shape: tuple[int, int, int]) -> Array:
        """Return its inverse; ``spectrum`` may be destroyed."""

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

    def graph(self, body: Callable[[], None]) -> Callable[[], None]:
        """Return ``body`` in a form that costs less to call many times."""
        return body


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
            spectrum, s=shape, axes=(-3, -2, -1), workers=self.workers, overwrite_x=True
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

    def empty(self, shape: tuple[int, ...], dtype: str) -> Array:
        return self.torch.empty(shape, dtype=getattr(self.torch, dtype), device=self.device)

    def zeros(self, shape: tuple[int, ...], dtype: str) -> Array:
        return self.torch.zeros(shape, dtype=getattr(self.torch, dtype), device=self.device)

    def send(self, array: np.ndarray) -> Array:
        return self.torch.tensor(np.ascontiguousarray(array), device=self.device)

    def fetch(self, array: Array) -> np.ndarray:
        return array.detach().cpu().numpy()

    def rfft3(self, x: Array) -> Array:
        shape = (*x.shape[:-1], x.shape[-1] // 2 + 1)
        complex_dtype = "complex64" if x.dtype == self.torch.float32 else "complex128"
        spectrum = self.empty(shape, complex_dtype)
        for load in range(x.shape[0]):  # one field at a time takes a third of the memory
            for i in range(x.shape[1]):
                self.torch.fft.rfftn(x[load, i], out=spectrum[load, i])
        return spectrum

    def irfft3(self, spectrum: Array, shape: tuple[int, int, int]) -> Array:
        real = "float32" if spectrum.dtype == self.torch.complex64 else "float64"
        out = self.empty((*spectrum.shape[:-3], *shape), real)
        for load in range(spectrum.shape[0]):
            for i in range(spectrum.shape[1]):
                self.torch.fft.irfftn(spectrum[load, i], s=shape, out=out[load, i])
        return out

    def forward_box(self, x: Array, periodic: tuple[bool, bool]) -> Array:
        return _box_transforms.forward_torch(x, periodic)

    def backward_box(self, x: Array, periodic: tuple[bool, bool]) -> Array:
        return _box_transforms.backward_torch(x, periodic)

    def partials(self, count: int) -> Array | None:
        return self.empty((count,), "float64") if self.cuda else None

    def copy(self, to: Array, source: Array) -> None:
        to.copy_(source)

    def graph(self, body: Callable[[], None]) -> Callable[[], None]:
        """Return a CUDA graph of ``body``, which has run once before (plans exist)."""
        if not self.cuda:
            return body
        graph = self.torch.cuda.CUDAGraph()
        # a stream of this device: torch's own is on the first device that was used
        stream = self.torch.cuda.Stream(self.device)
        with self.torch.cuda.graph(graph, stream=stream):
            body()
        return graph.replay  # type: ignore[no-any-return]


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
