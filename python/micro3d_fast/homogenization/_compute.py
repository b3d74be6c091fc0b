# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Where a solver computes: numpy with scipy.fft on the CPU, torch with cuFFT on a GPU.

The native operators take the arrays of either; what differs is who allocates and who transforms.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import ops
from .._arrays import Array, framework, is_cuda
from .._errors import CudaUnavailableError

__all__ = ["Compute", "NumpyCompute", "TorchCompute", "compute_for"]


class Compute:
    """Allocation, transfer and transforms; ``partials(loads)`` is the scratch space of sums."""

    name = "cpu"
    threads = 0  # of the native operators

    def convolves(self, grid: tuple[int, int, int]) -> bool:
        """Whether the preconditioner is one native operator, transforms included."""
        return False

    def empty(self, shape: tuple[int, ...], dtype: str) -> Array:
        raise NotImplementedError

    def zeros(self, shape: tuple[int, ...], dtype: str) -> Array:
        raise NotImplementedError

    def send(self, array: np.ndarray) -> Array:
        raise NotImplementedError

    def fetch(self, array: Array) -> np.ndarray:
        raise NotImplementedError

    def rfft3(self, x: Array) -> Array:
        """Real transform of the last three axes."""
        raise NotImplementedError

    def irfft3(self, spectrum: Array, shape: tuple[int, int, int]) -> Array:
        """Its inverse; ``spectrum`` may be destroyed."""
        raise NotImplementedError

    def forward_box(self, x: Array, periodic: tuple[bool, bool]) -> Array:
        """Orthonormal real transform of a box: sine along axis 0 (half-cell Dirichlet ends), cosine
        (shut) or Hartley-like real Fourier (periodic) along axes 1 and 2."""
        raise NotImplementedError

    def backward_box(self, x: Array, periodic: tuple[bool, bool]) -> Array:
        """Inverse of :meth:`forward_box`; ``x`` may be destroyed."""
        raise NotImplementedError

    def partials(self, count: int) -> Array | None:
        return None

    def copy(self, to: Array, source: Array) -> None:
        to[...] = source

    def graph(self, body: Callable[[], None]) -> Callable[[], None]:
        """``body`` as something that is cheaper to call many times."""
        return body


class NumpyCompute(Compute):
    """numpy and scipy.fft."""

    name = "cpu"

    def __init__(self, threads: int = 0) -> None:
        self.threads = threads
        self.workers = threads if threads > 0 else ops.max_threads()

    def convolves(self, grid: tuple[int, int, int]) -> bool:
        # it works on 16 planes at a time
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
        from scipy import fft

        options: dict[str, Any] = {"norm": "ortho", "workers": self.workers}
        x = fft.dst(x, type=2, axis=0, **options)
        for axis, wraps in zip((1, 2), periodic, strict=True):
            if wraps:
                x = _hartley(x, axis, self.workers)
            else:
                x = fft.dct(x, type=2, axis=axis, overwrite_x=True, **options)
        return x

    def backward_box(self, x: Array, periodic: tuple[bool, bool]) -> Array:
        from scipy import fft

        options: dict[str, Any] = {"norm": "ortho", "workers": self.workers, "overwrite_x": True}
        for axis, wraps in zip((2, 1), periodic[::-1], strict=True):
            if wraps:
                x = _hartley(x, axis, self.workers)
            else:
                x = fft.idct(x, type=2, axis=axis, **options)
        return fft.idst(x, type=2, axis=0, **options)


def _hartley(x: np.ndarray, axis: int, workers: int) -> np.ndarray:
    """cas transform: real, orthonormal, its own inverse, diagonal for even circulants."""
    from scipy import fft

    half = fft.rfft(x, axis=axis, norm="ortho", workers=workers)
    n = x.shape[axis]
    out = np.empty_like(x)
    low = [slice(None)] * x.ndim
    low[axis] = slice(0, n // 2 + 1)
    np.subtract(half.real, half.imag, out=out[tuple(low)])
    high, twin = list(low), list(low)
    high[axis] = slice(n // 2 + 1, None)  # k = n/2 + 1 ... n - 1 are the twins of n - k
    twin[axis] = slice((n - 1) // 2, 0, -1)
    np.add(half.real[tuple(twin)], half.imag[tuple(twin)], out=out[tuple(high)])
    return out


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
        for load in range(x.shape[0]):  # field by field: a third of the work space
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
        # DST-II is the DCT-II of the signal with every other sign turned, in reverse order
        x = self._dct(x * self._signs(x), 0).flip(0)
        for axis, wraps in zip((1, 2), periodic, strict=True):
            x = self._cas(x, axis) if wraps else self._dct(x, axis)
        return x.contiguous()

    def backward_box(self, x: Array, periodic: tuple[bool, bool]) -> Array:
        for axis, wraps in zip((2, 1), periodic[::-1], strict=True):
            x = self._cas(x, axis) if wraps else self._idct(x, axis)
        return (self._idct(x.flip(0), 0) * self._signs(x)).contiguous()

    def _signs(self, x: Array) -> Array:
        signs = self.torch.ones(x.shape[0], dtype=x.dtype, device=self.device)
        signs[1::2] = -1
        return signs[:, None, None]

    def _cas(self, x: Array, axis: int) -> Array:
        full = self.torch.fft.fft(x, dim=axis, norm="ortho")
        return full.real - full.imag

    def _angles(self, x: Array, axis: int) -> Array:
        n = x.shape[axis]
        k = self.torch.arange(n, dtype=x.dtype, device=self.device)
        shape = [1, 1, 1]
        shape[axis] = n
        return (self.torch.pi / (2 * n) * k).reshape(shape)

    def _dct(self, x: Array, axis: int) -> Array:
        """Orthonormal DCT-II by one complex transform of the reordered signal (Makhoul 1980)."""
        torch, n = self.torch, x.shape[axis]
        order = torch.cat(
            [
                torch.arange(0, n, 2, device=self.device),
                torch.arange(1, n, 2, device=self.device).flip(0),
            ]
        )
        v = torch.fft.fft(x.index_select(axis, order), dim=axis)
        angle = self._angles(x, axis)
        y = v.real * torch.cos(angle) + v.imag * torch.sin(angle)
        y = y * (2.0 / n) ** 0.5
        y.select(axis, 0).mul_(0.5**0.5)
        return y

    def _idct(self, y: Array, axis: int) -> Array:
        torch, n = self.torch, y.shape[axis]
        y = y * (n / 2.0) ** 0.5
        y.select(axis, 0).mul_(2.0**0.5)
        back = y.flip(axis).roll(1, axis).clone()
        back.select(axis, 0).zero_()
        angle = self._angles(y, axis)
        v = torch.complex(y, -back) * torch.complex(torch.cos(angle), torch.sin(angle))
        v = torch.fft.ifft(v, dim=axis).real
        x = torch.empty_like(v)
        even = [slice(None)] * 3
        odd = [slice(None)] * 3
        even[axis], odd[axis] = slice(0, None, 2), slice(1, None, 2)
        half = (n + 1) // 2
        x[tuple(even)] = v.narrow(axis, 0, half)
        x[tuple(odd)] = v.narrow(axis, half, n - half).flip(axis)
        return x

    def partials(self, count: int) -> Array | None:
        return self.empty((count,), "float64") if self.cuda else None

    def copy(self, to: Array, source: Array) -> None:
        to.copy_(source)

    def graph(self, body: Callable[[], None]) -> Callable[[], None]:
        """A CUDA graph of ``body``, which has run once before (plans and workspaces exist)."""
        if not self.cuda:
            return body
        graph = self.torch.cuda.CUDAGraph()
        # a stream of this device: torch keeps one of its own, of whichever device came first
        stream = self.torch.cuda.Stream(self.device)
        with self.torch.cuda.graph(graph, stream=stream):
            body()
        return graph.replay  # type: ignore[no-any-return]


def compute_for(labels: Any, device: Any, threads: int) -> Compute:
    """The machine of a call: ``device`` if given, else the one that the labels are on."""
    if device is None:
        if not is_cuda(labels):
            return NumpyCompute(threads)
        kind = framework(labels)
        device = str(labels.device) if kind == "torch" else f"cuda:{labels.device.id}"
    name = str(device)
    if name == "cpu":
        return NumpyCompute(threads)
    if not re.fullmatch(r"cuda(:\d+)?", name):
        raise ValueError(f"`device` must be None, 'cpu' or 'cuda' (or 'cuda:1', ...), got {name!r}")
    ops.require_cuda(f"`device` {name!r}")
    import torch

    if not torch.cuda.is_available():
        raise CudaUnavailableError(
            f"`device` {name!r} asks for CUDA, but torch {torch.__version__} has none"
        )
    devices = torch.cuda.device_count()
    if int(name.partition(":")[2] or 0) >= devices:
        raise ValueError(f"`device` must be one of the {devices} CUDA devices, got {name!r}")
    return TorchCompute(name)
