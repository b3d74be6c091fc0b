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


class TorchBox:
    """The transforms of a box of one shape, by torch.

    Each axis takes a real Fourier transform of half as many complex numbers, between two gathers
    (Makhoul). With V that of x in another order, w V holds the result and its mirror image as real
    and imaginary parts. The first axis is transformed, and becomes the last, three times.
    """

    def __init__(self, like: Array, periodic: Periodic) -> None:
        kinds = ["sine", *("hartley" if wraps else "cosine" for wraps in periodic)]
        self.axes = [_Axis(n, kind, like) for n, kind in zip(like.shape, kinds, strict=True)]

    def forward(self, x: Array) -> Array:
        """Return the transform of a box."""
        for axis in self.axes:
            x = axis.forward(x)
        return x

    def backward(self, x: Array) -> Array:
        """Return the inverse transform."""
        for axis in self.axes:
            x = axis.backward(x)
        return x


class _Axis:
    """Transforms along the first axis of an array, which becomes the last."""

    def __init__(self, n: int, kind: str, like: Array) -> None:
        import torch

        self.n, self.hartley, self.sine = n, kind == "hartley", kind == "sine"
        k = np.arange(n // 2 + 1)
        order = np.r_[0:n:2, np.arange(1, n, 2)[::-1]][-np.arange(n) % n]
        place = np.empty(n, np.int64)  # of the results in w V, parts in turn
        place[-k % n] = 2 * k + 1
        place[k] = 2 * k
        mirrored = -k % n
        if self.hartley:  # Re - Im and Re + Im
            w = np.full(len(k), (1 + 1j) / np.sqrt(n))
        else:
            w = np.exp(0.5j * np.pi * k / n) * np.sqrt(2 / n)
            w[0] *= np.sqrt(0.5)
        back = 1 / (n * w)
        back[0] *= (1 - 1j) / 2  # both parts are the same number there
        if self.sine:  # the cosine transform of x with every other sign changed, in reverse order
            place = place[::-1]
            k, mirrored = n - 1 - k, n - 1 - mirrored

        def send(a: np.ndarray) -> Array:
            return torch.from_numpy(a.copy()).to(like.device)

        parts = torch.complex64 if like.dtype == torch.float32 else torch.complex128
        self.order, self.place = send(order), send(place)
        self.inverse_order = send(np.argsort(order))
        self.real_part, self.imaginary_part = send(k), send(mirrored)
        self.w, self.back = send(w).to(parts), send(back).to(parts)[:, None, None]
        signs = send(1.0 - 2.0 * (np.arange(n) % 2)).to(like.dtype)
        self.signs, self.signs_in_order = signs, signs[self.order][:, None, None]

    def forward(self, x: Array) -> Array:
        import torch

        if not self.hartley:
            x = x.index_select(0, self.order)
        if self.sine:
            x.mul_(self.signs_in_order)
        v = torch.fft.rfft(x, dim=0).movedim(0, -1).contiguous()
        return torch.view_as_real(v.mul_(self.w)).flatten(-2).index_select(-1, self.place)

    def backward(self, y: Array) -> Array:
        import torch

        if self.hartley:
            return self.forward(y)  # its own inverse
        parts = (y.index_select(0, part) for part in (self.real_part, self.imaginary_part))
        v = torch.complex(*parts).mul_(self.back)
        x = torch.fft.irfft(v, n=self.n, dim=0, norm="forward").movedim(0, -1)
        x = x.index_select(-1, self.inverse_order)
        return x.mul_(self.signs) if self.sine else x
