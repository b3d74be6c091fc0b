# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Correlations of whole images by streamed Fourier transforms.

``C_ab(r) = Σ_x a(x) b(x + r)`` has the spectrum ``conj(A) B``.  Three passes, each over pieces of
the volume, one array of padded slice spectra between them:

1. planes    load labels as 0 and 1, transform x and y of each slice → F[z, ky, kx]
2. columns   transform z of each (ky, kx), multiply, transform z back, keep the lags needed
3. slices    transform y and x back, then crop, round, divide or bin

An autocorrelation is even: its spectrum is real, so pass 2 needs half a transform back and
pass 3 only the lags z ≥ 0; the other lags mirror them.  The z axis is padded inside pass 2
only, so the padded volume never exists.  Bytes: 16 (py)(px/2 + 1) nz per indicator in float64.

`_transforms` has the transforms; the loops between them are native.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import _checks, ops
from .._arrays import Array, empty_like, to_numpy, zeros_like
from ._transforms import ScipyFFT
from ._volume import Flags3, LabelVolume


@dataclass(frozen=True)
class Window:
    """Lags kept along one axis, in wrap order, and the length of the transform that holds them."""

    n: int  # voxels
    size: int  # lags kept
    padded: int  # length of the transform
    periodic: bool

    @property
    def positive(self) -> int:
        """Number of lags 0 ... positive - 1, which come first; the others count up to -1."""
        return self.size // 2 + 1

    @property
    def lags(self) -> np.ndarray:
        """Lags in wrap order; an even periodic axis has its half lag once, as +n/2."""
        lag = np.arange(self.size)
        return np.where(lag < self.positive, lag, lag - self.size)

    @property
    def mirror(self) -> np.ndarray:
        """Index of lag -r at the index of lag r."""
        return -np.arange(self.size) % self.size

    @property
    def pairs(self) -> np.ndarray:
        """Pairs along this axis at each lag, in float64."""
        pairs = np.full(self.size, self.n) if self.periodic else self.n - np.abs(self.lags)
        return pairs.astype(float)

    def native(self, cropped: bool = False) -> tuple[int, int, int]:
        """Return (size, positive, padded) for the native crop."""
        return self.size, self.positive, self.size if cropped else self.padded


Windows = tuple[Window, Window, Window]


def window(n: int, periodic: bool, max_lag: int | None) -> Window:
    """Return the lags -max_lag ... max_lag of an axis of n voxels; None: all of them."""
    from scipy.fft import next_fast_len

    if periodic:
        full = max_lag is None or 2 * max_lag + 1 >= n
        return Window(n, n if full else 2 * int(max_lag or 0) + 1, n, True)
    m = n - 1 if max_lag is None else min(max_lag, n - 1)
    return Window(n, 2 * m + 1, n if n == 1 else next_fast_len(n + m, real=True), False)


def windows(
    shape: Sequence[int], periodic: Sequence[bool], max_lag: Sequence[int | None] | int | None
) -> Windows:
    """Return one window per axis."""
    lags = max_lag if isinstance(max_lag, Sequence) else (max_lag,) * 3
    z, y, x = (window(n, p, m) for n, p, m in zip(shape, periodic, lags, strict=True))
    return z, y, x


def windows_of(volume: LabelVolume, periodic: Flags3, max_lag: Any) -> Windows:
    """Check the longest lag of a map and return one window per axis."""
    if max_lag is not None:
        max_lag = _checks.lag_limit(max_lag, max(volume.space))
    return windows(volume.shape, periodic, max_lag)


def pair_factors(win: Windows) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the factors (z, y, x) of the number of pairs of each lag, in float64."""
    z, y, x = win
    return z.pairs, y.pairs, x.pairs


def pair_map(win: Windows) -> np.ndarray:
    """Return the number of pairs of all lags, in float64."""
    z, y, x = pair_factors(win)
    return z[:, None, None] * y[:, None] * x


@dataclass(frozen=True)
class Indicator:
    """1 at the voxels of a phase (None: of any phase) inside the mask, 0 elsewhere."""

    labels: Array  # uint8 (nz, ny, nx), numpy or torch
    mask: Array | None  # uint8, same shape and place
    phase: int | None

    @classmethod
    def of(cls, volume: LabelVolume, phase: int | None) -> Indicator:
        """Return the indicator of a phase of a volume."""
        return cls(volume.labels, volume.mask8, phase)

    def planes(self, start: int, stop: int, win: Windows, fft: ScipyFFT) -> Array:
        """Return the padded spectra F[z, ky, kx] of slices start ... stop."""
        _, y, x = win
        rows = y.padded if fft.loads_padded else y.n
        real = empty_like(self.labels, (stop - start, rows, x.padded), fft.real)
        mask = None if self.mask is None else self.mask[start:stop]
        ops.load_phase(self.labels[start:stop], mask, out=real, phase=self.phase)
        return fft.planes(real, y.padded)


# ------------------------------------------------------------------------------- the three passes


def plane_spectra(field: Indicator, win: Windows, fft: ScipyFFT) -> Array:
    """Return F[z, ky, kx] of an indicator (pass 1); z stays in real space."""
    z, y, x = win
    kx = x.padded // 2 + 1
    out = empty_like(field.labels, (z.n, y.padded, kx), fft.complex)

    def job(start: int, stop: int) -> None:
        out[start:stop] = field.planes(start, stop, win, fft)

    fft.run(job, z.n, y.padded * kx * out.itemsize)
    return out


class Receiver:
    """Consumer of the planes of counts that pass 3 produces."""

    def planes(self, counts: Array, first: int, win: Windows, scale: float, even: bool) -> None:
        """Take unscaled planes of lags z from row ``first`` on; ``even``: also those of -z."""
        raise NotImplementedError


def autocorrelate(spectra: Array, win: Windows, receiver: Receiver, fft: ScipyFFT) -> None:
    """Run passes 2 and 3 for ``a = b``; overwrites ``spectra``."""
    z, y, _ = win
    kept = z.positive
    columns = spectra.reshape(z.n, -1)
    item = spectra.itemsize

    def columns_job(start: int, stop: int) -> None:
        f = fft.columns(columns[:, start:stop], z.padded)
        power = empty_like(f, f.shape, fft.real)
        ops.multiply_spectra(f, power=power)
        # real spectrum: the inverse transform is the conjugate of the forward one
        g = fft.real_columns(power)[:kept]
        fft.store_conjugate(g, columns[:kept, start:stop])

    def slices_job(start: int, stop: int) -> None:
        _deliver(spectra[start:stop], start, win, receiver, fft, even=True)

    fft.run(columns_job, columns.shape[1], z.padded * item)
    fft.run(slices_job, kept, y.padded * spectra.shape[2] * item)


def crosscorrelate(
    first: Array,
    second: Array,
    win: Windows,
    receiver: Receiver,
    fft: ScipyFFT,
    *,
    overwrite: bool = True,
) -> None:
    """Run passes 2 and 3 for two indicators, ``Σ_x a(x) b(x + r)``.

    With ``overwrite`` the lags z ≥ 0 replace ``first`` and the lags z < 0 ``second``.
    """
    z, y, _ = win
    kept = z.positive
    behind = z.size - kept
    a, b = first.reshape(z.n, -1), second.reshape(z.n, -1)
    item = first.itemsize
    forth = a if overwrite else empty_like(a, (kept, a.shape[1]), fft.complex)
    back = b if overwrite else empty_like(a, (max(behind, 1), a.shape[1]), fft.complex)

    def columns_job(start: int, stop: int) -> None:
        f = fft.columns(a[:, start:stop], z.padded)
        product = fft.columns(b[:, start:stop], z.padded)
        ops.multiply_spectra(f, product)
        g = fft.columns_back(product)
        forth[:kept, start:stop] = g[:kept]
        back[:behind, start:stop] = g[z.padded - behind :]

    def slices_job(rows: Array, offset: int) -> Callable[[int, int], None]:
        shaped = rows.reshape(-1, y.padded, first.shape[2])

        def job(start: int, stop: int) -> None:
            _deliver(shaped[start:stop], offset + start, win, receiver, fft, even=False)

        return job

    fft.run(columns_job, a.shape[1], 2 * z.padded * item)
    each = a.shape[1] * item
    fft.run(slices_job(forth, 0), kept, each)
    fft.run(slices_job(back, kept), behind, each)


def correlate_phases(
    volume: LabelVolume,
    i: int | None,
    j: int | None,
    win: Windows,
    receiver: Receiver,
    fft: ScipyFFT,
) -> None:
    """Run all passes for the pairs (i, j) of phases of a volume; None stands for the mask."""
    first = Indicator.of(volume, i)
    second = None if i == j else Indicator.of(volume, j)
    if fft.takes_whole(first.labels, win):
        _correlate_whole(first, second, win, receiver, fft)
        return
    spectra = plane_spectra(first, win, fft)
    if second is None:
        autocorrelate(spectra, win, receiver, fft)
    else:
        crosscorrelate(spectra, plane_spectra(second, win, fft), win, receiver, fft)


def _correlate_whole(
    first: Indicator,
    second: Indicator | None,
    win: Windows,
    receiver: Receiver,
    fft: Any,
) -> None:
    """Run each pass in one piece, so that no transform is copied into place.

    The transforms along z have the opposite signs, so that a real spectrum comes back by the
    forward transform, without a conjugate.
    """
    z, y, x = win
    kept = z.positive
    g = fft.columns_of(first.planes(0, z.n, win, fft), z.padded)
    if second is None:
        power = empty_like(g, g.shape, fft.real)
        ops.multiply_spectra(g, power=power)
        del g  # each of these is as large as the padded volume
        g = fft.even_columns_back(power)
        del power
    else:
        product = fft.columns_of(second.planes(0, z.n, win, fft), z.padded)
        ops.multiply_spectra(g, product)
        g = fft.columns_forward(product)
        del product
    scale = 1.0 / (z.padded * y.padded * x.padded)
    rows = fft.planes_back(g[..., :kept], (y.padded, x.padded))
    receiver.planes(rows, 0, win, scale, even=second is None)
    if second is not None and z.size > kept:
        del rows
        rows = fft.planes_back(g[..., z.padded - z.size + kept :], (y.padded, x.padded))
        receiver.planes(rows, kept, win, scale, even=False)


def _deliver(
    planes: Array, row: int, win: Windows, receiver: Receiver, fft: ScipyFFT, *, even: bool
) -> None:
    """Transform y and x back and hand the planes over (pass 3)."""
    z, y, x = win
    g = fft.ifft(planes, 1)
    if y.size < y.padded:
        g = fft.take(g, y.lags % y.padded)
    scale = 1.0 / (z.padded * y.padded * x.padded)
    receiver.planes(fft.irfft(g, x.padded), row, win, scale, even)


# --------------------------------------------------------------------------- consumers of counts


class Map(Receiver):
    """Receiver that stores counts, or counts over pairs, of all lags."""

    def __init__(self, like: Array, win: Windows, dtype: str, pairs: Any = None) -> None:
        self.out = empty_like(like, tuple(w.size for w in win), dtype)
        self.pairs = None if pairs is None else _vectors(pairs, like)

    def planes(self, counts: Array, first: int, win: Windows, scale: float, even: bool) -> None:
        _, y, x = win
        ops.store_counts(
            counts,
            out=self.out,
            first=first,
            y=y.native(cropped=counts.shape[1] == y.size),
            x=x.native(),
            scale=scale,
            pairs=self.pairs,
            mirrored=even,
        )


class Radial(Receiver):
    """Receiver that sums counts by the length of the lag, with pairs and lags where known."""

    def __init__(
        self, like: Array, win: Windows, spacing: Any, width: float, bins: int, pairs: Any = None
    ) -> None:
        squares = [(w.lags * h) ** 2 for w, h in zip(win, spacing, strict=True)]
        self.like = like
        self.squares = _vectors(squares, like)
        self.pair_factors = None if pairs is None else _vectors(pairs, like)
        self.width = width
        self.bins = bins
        self.sums = np.zeros((3, bins), dtype=np.int64)  # hits, pairs, lags
        self.lock = threading.Lock()

    def planes(self, counts: Array, first: int, win: Windows, scale: float, even: bool) -> None:
        z, y, x = win
        parts = zeros_like(self.like, (3, self.bins), "int64")
        hits, pairs, lags = parts
        ops.sum_radially(
            counts,
            hits=hits,
            pairs=None if self.pair_factors is None else pairs,
            lags=lags,
            first=first,
            size_z=z.size,
            y=y.native(cropped=counts.shape[1] == y.size),
            x=x.native(),
            scale=scale,
            pair_factors=self.pair_factors,
            squares=self.squares,
            width=self.width,
            mirrored=even,
        )
        with self.lock:
            self.sums += to_numpy(parts)


def _vectors(vectors: Any, like: Array) -> tuple[Array, Array, Array]:
    """Return three float64 vectors on the device of ``like``."""
    values: Any = np.concatenate([np.asarray(vector, dtype=np.float64) for vector in vectors])
    if not isinstance(like, np.ndarray):
        import torch

        values = torch.from_numpy(values).to(like.device)
    z, y = len(vectors[0]), len(vectors[0]) + len(vectors[1])
    return values[:z], values[z:y], values[y:]
