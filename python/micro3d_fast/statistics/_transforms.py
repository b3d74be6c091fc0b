# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The Fourier transforms of `_fourier`: scipy's on the CPU, torch's (cuFFT) on a GPU.

scipy runs on pieces that fit the cache, one per thread; torch on pieces large enough to fill a
GPU, one after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import _checks
from .._arrays import Array, is_cuda
from ._threads import pieces, run_jobs


def float_type(dtype: Any) -> Any:
    """Return numpy float32 or float64."""
    try:
        kind = np.dtype(dtype)
    except TypeError:
        kind = np.dtype(object)
    if kind not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise _checks.refuse_type("dtype", "be float32 or float64", repr(dtype))
    return kind.type


def fft_for(labels: Array, dtype: Any, threads: int) -> ScipyFFT:
    """Return the transforms that run where ``labels`` are."""
    return TorchFFT(dtype) if is_cuda(labels) else ScipyFFT(dtype, threads)


class ScipyFFT:
    """scipy.fft over pieces of the size of the cache, one piece per thread."""

    piece_bytes = 1 << 20
    axis = 0  # of a column: scipy transforms neighbouring columns together
    loads_padded = False  # along y: scipy transforms the rows that are there, then pads

    def __init__(self, dtype: Any, threads: int) -> None:
        from scipy import fft

        self.library: Any = fft
        self.threads = threads
        self._set_types(dtype)

    def _set_types(self, dtype: Any) -> None:
        self.real = np.dtype(dtype).name
        self.complex = "complex64" if self.real == "float32" else "complex128"

    def planes(self, real: Array, rows: int) -> Array:
        """Transform the last two axes of real values, the last but one padded to ``rows``."""
        return self.library.fft(self.library.rfft(real, axis=2), n=rows, axis=1, overwrite_x=True)

    def columns(self, x: Array, n: int) -> Array:
        """Transform columns padded to ``n``; C-contiguous, the columns along ``axis``."""
        return np.ascontiguousarray(self.library.fft(x, n=n, axis=self.axis))

    def real_columns(self, x: Array) -> Array:
        """Transform real columns along ``axis``; they are returned along the first axis."""
        return self.library.rfft(x, axis=self.axis)

    def columns_back(self, x: Array) -> Array:
        """Transform columns along ``axis`` back; they are returned along the first axis."""
        return self.ifft(x, self.axis)

    def ifft(self, x: Array, axis: int) -> Array:
        """Transform back, not divided by the length; x may be overwritten."""
        return self.library.ifft(x, axis=axis, norm="forward", overwrite_x=True)

    def irfft(self, x: Array, n: int) -> Array:
        """Transform back to real values along the last axis, not divided by the length."""
        return self.library.irfft(x, n=n, axis=-1, norm="forward")

    def take(self, x: Array, rows: np.ndarray) -> Array:
        """Return rows of axis 1."""
        return x[:, rows]

    def store_conjugate(self, x: Array, to: Array) -> None:
        """Write the complex conjugate of x."""
        np.conjugate(x, out=to)

    def takes_whole(self, labels: Array, win: Sequence[Any]) -> bool:
        """Return whether each pass runs in one piece."""
        return False

    def run(self, job: Callable[[int, int], None], n: int, bytes_each: int) -> None:
        """Call ``job(start, stop)`` for pieces of n items of ``bytes_each`` bytes."""
        size = max(1, self.piece_bytes // max(bytes_each, 1))
        run_jobs(job, pieces(n, size), self.threads)


class TorchFFT(ScipyFFT):
    """torch.fft over large pieces, one after the other on the current stream."""

    piece_bytes = 1 << 28
    axis = -1
    loads_padded = True  # a transform along y alone would be copied before and after

    def __init__(self, dtype: Any) -> None:
        import torch

        self.library = torch.fft
        self.torch = torch
        self.threads = 1
        self._set_types(dtype)

    def planes(self, real: Array, rows: int) -> Array:
        return self.library.rfftn(real, dim=(1, 2))

    def columns(self, x: Array, n: int) -> Array:
        return self.library.fft(x.t(), n=n, dim=self.axis).resolve_conj().contiguous()

    def real_columns(self, x: Array) -> Array:
        return self.library.rfft(x, dim=self.axis).t()

    def columns_back(self, x: Array) -> Array:
        return self.ifft(x, self.axis).t()

    def ifft(self, x: Array, axis: int) -> Array:
        return self.library.ifft(x, dim=axis, norm="forward")

    def irfft(self, x: Array, n: int) -> Array:
        return self.library.irfft(x, n=n, dim=-1, norm="forward").contiguous()

    def take(self, x: Array, rows: np.ndarray) -> Array:
        return x.index_select(1, self.torch.as_tensor(rows, device=x.device))

    def columns_of(self, planes: Array, n: int) -> Array:
        """Transform the first axis, padded to n, with the sign of the way back; it is now last."""
        if n > len(planes):
            padded = planes.new_empty((n, *planes.shape[1:]))
            padded[len(planes) :] = 0
            padded[: len(planes)] = planes
            planes = padded
        columns = planes.permute(1, 2, 0)
        return self.library.ifft(columns, dim=-1, norm="forward").resolve_conj().contiguous()

    def columns_forward(self, x: Array) -> Array:
        """Transform the last axis."""
        return self.library.fft(x, dim=-1)

    def even_columns_back(self, x: Array) -> Array:
        """Transform the last axis of real values: the first half of the result."""
        return self.library.rfft(x, dim=-1)

    def planes_back(self, x: Array, shape: tuple[int, int]) -> Array:
        """Transform the first two axes back, not divided by the length; the last is now first."""
        planes = x.permute(2, 0, 1)
        return self.library.irfftn(planes, s=shape, dim=(1, 2), norm="forward").contiguous()

    def store_conjugate(self, x: Array, to: Array) -> None:
        to.copy_(x.conj())

    def takes_whole(self, labels: Array, win: Sequence[Any]) -> bool:
        if labels.device.type != "cuda":
            return True
        z, y, x = win
        cuda, device = self.torch.cuda, labels.device
        free = cuda.mem_get_info(device)[0]
        free += cuda.memory_reserved(device) - cuda.memory_allocated(device)
        # two padded spectra, one before its transform, cuFFT's work space, counts, map
        spectrum = z.padded * y.padded * (x.padded // 2 + 1) * (8 if self.real == "float32" else 16)
        return bool(6 * spectrum < free)
