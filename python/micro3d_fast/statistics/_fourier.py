# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Correlations of whole images by streamed Fourier transforms.

``C_ab(r) = Σ_x a(x) b(x + r)`` has the spectrum ``conj(A) B``.  Three passes, each over small
pieces that stay in the cache, one array of half a padded slice spectrum per voxel plane between:

1. planes    transform x and y of each slice, padded only now    → F[z, ky, kx]
2. columns   transform z of each (ky, kx), multiply, transform z back, keep the wanted lags
3. slices    transform y and x back, keep the wanted lags, round, hand over

An autocorrelation is even: its spectrum is real, so pass 2 needs half a transform back and
pass 3 only the lags z ≥ 0; the rest is the mirror image.  The z axis is padded inside pass 2
only, so the padded volume never exists.  Bytes: 16 (py)(px/2 + 1) nz for each field in float64.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ._image import Flags3, Shape3, pieces, run_jobs

PIECE_BYTES = 1 << 20  # of complex numbers worked on at once by one thread

Planes = Callable[[int, int], np.ndarray]  # (z0, z1) -> real field of those slices
Deliver = Callable[[int, np.ndarray], None]  # (row of the first lag z, counts of [z, y, x] lags)


@dataclass(frozen=True)
class Window:
    """The lags kept along one axis, in wrap order, and the transform that holds them."""

    n: int  # voxels
    size: int  # lags kept
    padded: int  # length of the transform

    @property
    def positive(self) -> int:
        """Lags 0 ... positive - 1 come first; the rest are negative and count up to -1."""
        return self.size // 2 + 1

    @property
    def lags(self) -> np.ndarray:
        """Lags in wrap order; an even periodic axis has its half lag once, as +n/2."""
        lag = np.arange(self.size)
        return np.where(lag < self.positive, lag, lag - self.size)

    @property
    def take(self) -> Any:
        """Index that picks the lags from a transform."""
        if self.size == self.padded:
            return slice(None)
        return np.r_[: self.positive, self.padded - self.size + self.positive : self.padded]

    @property
    def mirror(self) -> np.ndarray:
        """Index of lag -r at the index of lag r."""
        return -np.arange(self.size) % self.size

    @property
    def pairs(self) -> np.ndarray:
        """Pairs along this axis at each lag of a non-periodic axis."""
        return self.n - np.abs(self.lags)


def window(n: int, periodic: bool, max_lag: int | None) -> Window:
    """Lags -max_lag ... max_lag of an axis of n voxels (all of them by default)."""
    from scipy.fft import next_fast_len

    if periodic:
        full = max_lag is None or 2 * max_lag + 1 >= n
        return Window(n, n if full else 2 * int(max_lag or 0) + 1, n)
    m = n - 1 if max_lag is None else min(max_lag, n - 1)
    return Window(n, 2 * m + 1, n if n == 1 else next_fast_len(n + m, real=True))


def windows(shape: Shape3, periodic: Flags3, max_lag: Any) -> tuple[Window, Window, Window]:
    """One window per axis."""
    lags = max_lag if isinstance(max_lag, tuple) else (max_lag,) * 3
    z, y, x = (window(n, p, m) for n, p, m in zip(shape, periodic, lags, strict=True))
    return z, y, x


def pair_numbers(win: tuple[Window, ...], periodic: Flags3) -> list[np.ndarray]:
    """Factors (z, y, x) of the number of pairs of each lag; float64."""
    return [
        np.full(w.size, float(w.n)) if p else w.pairs.astype(float)
        for w, p in zip(win, periodic, strict=True)
    ]


def plane_spectra(
    planes: Planes, win: tuple[Window, Window, Window], dtype: Any, threads: int
) -> np.ndarray:
    """Pass 1: F[z, ky, kx] of a real field; z stays in real space."""
    from scipy import fft

    z, y, x = win
    kx = x.padded // 2 + 1
    out = np.empty((z.n, y.padded, kx), np.complex64 if dtype == np.float32 else np.complex128)

    def job(start: int, stop: int) -> None:
        f = fft.rfft(planes(start, stop).astype(dtype), n=x.padded, axis=2)
        out[start:stop] = fft.fft(f, n=y.padded, axis=1, overwrite_x=True)

    run_jobs(job, pieces(z.n, PIECE_BYTES // (y.padded * kx * out.itemsize)), threads)
    return out


def autocorrelate(
    spectra: np.ndarray, win: tuple[Window, Window, Window], deliver: Deliver, threads: int
) -> None:
    """Passes 2 and 3 for ``a = b``; overwrites ``spectra``, calls ``deliver`` from threads."""
    from scipy import fft

    z, y, x = win
    kept = z.positive
    columns = spectra.reshape(z.n, -1)

    def columns_job(start: int, stop: int) -> None:
        f = fft.fft(columns[:, start:stop], n=z.padded, axis=0)
        power = np.square(f.real)
        power += np.square(f.imag)
        # real spectrum: the transform back is the conjugate of the transform forth
        np.conjugate(fft.rfft(power, axis=0)[:kept], out=columns[:kept, start:stop])

    def slices_job(start: int, stop: int) -> None:
        g = fft.ifft(spectra[start:stop], axis=1, norm="forward")
        counts = fft.irfft(g[:, y.take], n=x.padded, axis=2, norm="forward")[:, :, x.take]
        counts *= 1.0 / (z.padded * y.padded * x.padded)
        np.rint(counts, out=counts)
        deliver(start, counts)
        for row in range(start, stop):
            if -row % z.size != row:
                deliver(-row % z.size, _mirrored(counts[row - start])[None])

    item = spectra.itemsize
    run_jobs(columns_job, pieces(columns.shape[1], PIECE_BYTES // (z.padded * item)), threads)
    run_jobs(slices_job, pieces(kept, PIECE_BYTES // (spectra[0].size * item)), threads)


def crosscorrelate(
    first: np.ndarray,
    second: np.ndarray,
    win: tuple[Window, Window, Window],
    deliver: Deliver,
    threads: int,
    *,
    overwrite: bool = True,
) -> None:
    """Passes 2 and 3 for two fields, ``Σ_x a(x) b(x + r)``.

    With ``overwrite`` the lags z ≥ 0 replace ``first`` and the lags z < 0 ``second``.
    """
    from scipy import fft

    z, y, x = win
    kept = z.positive
    a, b = first.reshape(z.n, -1), second.reshape(z.n, -1)
    forth = a if overwrite else np.empty((kept, a.shape[1]), a.dtype)
    back = b if overwrite else np.empty((max(z.size - kept, 1), a.shape[1]), a.dtype)

    def columns_job(start: int, stop: int) -> None:
        f = fft.fft(a[:, start:stop], n=z.padded, axis=0)
        product = fft.fft(b[:, start:stop], n=z.padded, axis=0)
        product *= np.conjugate(f, out=f)
        g = fft.ifft(product, axis=0, norm="forward", overwrite_x=True)
        forth[:kept, start:stop] = g[:kept]
        back[: z.size - kept, start:stop] = g[z.padded - (z.size - kept) :]

    def slices_job(start: int, stop: int) -> None:
        for row in range(start, stop):
            flat = forth[row] if row < kept else back[row - kept]
            g = fft.ifft(flat.reshape(y.padded, -1), axis=0, norm="forward")
            counts = fft.irfft(g[y.take], n=x.padded, axis=1, norm="forward")[:, x.take]
            counts *= 1.0 / (z.padded * y.padded * x.padded)
            deliver(row, np.rint(counts, out=counts)[None])

    item = first.itemsize
    run_jobs(columns_job, pieces(a.shape[1], PIECE_BYTES // (2 * z.padded * item)), threads)
    run_jobs(slices_job, pieces(z.size, PIECE_BYTES // (first[0].size * item)), threads)


def _mirrored(plane: np.ndarray) -> np.ndarray:
    """plane[-y, -x] at [y, x], indices cyclic."""
    out = np.empty_like(plane)
    out[0, 0] = plane[0, 0]
    out[0, 1:] = plane[0, :0:-1]
    out[1:, 0] = plane[:0:-1, 0]
    out[1:, 1:] = plane[:0:-1, :0:-1]
    return out
