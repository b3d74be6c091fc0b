# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Orthonormal real transforms of a box that diagonalize diffusion between two plates.

A sine transform along axis 0 (plates half a cell beyond the ends), cosine (no flux) or Hartley
(periodic) transforms along axes 1 and 2; of scipy on the CPU, of torch's Fourier transforms on a
GPU.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .._arrays import Array

Periodic = tuple[bool, bool]


def forward_scipy(x: np.ndarray, periodic: Periodic, workers: int) -> np.ndarray:
    """Return the transform of a box."""
    from scipy import fft

    options: dict[str, Any] = {"norm": "ortho", "workers": workers}
    x = fft.dst(x, type=2, axis=0, **options)
    for axis, wraps in zip((1, 2), periodic, strict=True):
        if wraps:
            x = _hartley(x, axis, workers)
        else:
            x = fft.dct(x, type=2, axis=axis, overwrite_x=True, **options)
    return x


def backward_scipy(x: np.ndarray, periodic: Periodic, workers: int) -> np.ndarray:
    """Return the inverse transform; ``x`` may be destroyed."""
    from scipy import fft

    options: dict[str, Any] = {"norm": "ortho", "workers": workers, "overwrite_x": True}
    for axis, wraps in zip((2, 1), periodic[::-1], strict=True):
        if wraps:
            x = _hartley(x, axis, workers)
        else:
            x = fft.idct(x, type=2, axis=axis, **options)
    return fft.idst(x, type=2, axis=0, **options)


def _hartley(x: np.ndarray, axis: int, workers: int) -> np.ndarray:
    """Return the Hartley transform, its own inverse; it diagonalizes symmetric circulants."""
    from scipy import fft

    half = fft.rfft(x, axis=axis, norm="ortho", workers=workers)
    n = x.shape[axis]
    out = np.empty_like(x)
    low = [slice(None)] * x.ndim
    low[axis] = slice(0, n // 2 + 1)
    np.subtract(half.real, half.imag, out=out[tuple(low)])
    high, mirror = list(low), list(low)
    high[axis] = slice(n // 2 + 1, None)  # k = n/2 + 1 ... n - 1 mirror n - k
    mirror[axis] = slice((n - 1) // 2, 0, -1)
    np.add(half.real[tuple(mirror)], half.imag[tuple(mirror)], out=out[tuple(high)])
    return out


def forward_torch(x: Array, periodic: Periodic) -> Array:
    """Return the transform of a box."""
    # DST-II is the DCT-II of the signal with every other sign changed, in reverse order
    x = _dct(x * _signs(x), 0).flip(0)
    for axis, wraps in zip((1, 2), periodic, strict=True):
        x = _hartley_torch(x, axis) if wraps else _dct(x, axis)
    return x.contiguous()


def backward_torch(x: Array, periodic: Periodic) -> Array:
    """Return the inverse transform."""
    for axis, wraps in zip((2, 1), periodic[::-1], strict=True):
        x = _hartley_torch(x, axis) if wraps else _idct(x, axis)
    return (_idct(x.flip(0), 0) * _signs(x)).contiguous()


def _signs(x: Array) -> Array:
    import torch

    signs = torch.ones(x.shape[0], dtype=x.dtype, device=x.device)
    signs[1::2] = -1
    return signs[:, None, None]


def _hartley_torch(x: Array, axis: int) -> Array:
    import torch

    full = torch.fft.fft(x, dim=axis, norm="ortho")
    return full.real - full.imag


def _angles(x: Array, axis: int) -> Array:
    import torch

    n = x.shape[axis]
    k = torch.arange(n, dtype=x.dtype, device=x.device)
    shape = [1, 1, 1]
    shape[axis] = n
    return (torch.pi / (2 * n) * k).reshape(shape)


def _dct(x: Array, axis: int) -> Array:
    """Return the orthonormal DCT-II: one complex transform of the reordered signal (Makhoul)."""
    import torch

    n = x.shape[axis]
    order = torch.cat(
        [
            torch.arange(0, n, 2, device=x.device),
            torch.arange(1, n, 2, device=x.device).flip(0),
        ]
    )
    v = torch.fft.fft(x.index_select(axis, order), dim=axis)
    angle = _angles(x, axis)
    y = v.real * torch.cos(angle) + v.imag * torch.sin(angle)
    y = y * (2.0 / n) ** 0.5
    y.select(axis, 0).mul_(0.5**0.5)
    return y


def _idct(y: Array, axis: int) -> Array:
    import torch

    n = y.shape[axis]
    y = y * (n / 2.0) ** 0.5
    y.select(axis, 0).mul_(2.0**0.5)
    back = y.flip(axis).roll(1, axis).clone()
    back.select(axis, 0).zero_()
    angle = _angles(y, axis)
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
