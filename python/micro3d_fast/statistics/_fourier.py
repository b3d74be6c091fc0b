# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Correlations of whole images by streamed Fourier transforms.

``C_ab(r) = Σ_x a(x) b(x + r)`` has the spectrum ``conj(A) B``.  Three passes, each over pieces of
the volume, one array of padded slice spectra between them:

1. planes    labels to 0 and 1, transform x and y of each slice       → F[z, ky, kx]
2. columns   transform z of each (ky, kx), multiply, transform z back, keep the wanted lags
3. slices    transform y and x back, then crop, round, divide or bin

An autocorrelation is even: its spectrum is real, so pass 2 needs half a transform back and
pass 3 only the lags z ≥ 0; the rest is the mirror image.  The z axis is padded inside pass 2
only, so the padded volume never exists.  Bytes: 16 (py)(px/2 + 1) nz for each field in float64.

The transforms are scipy's on the CPU, pieces small enough for the cache, one thread each, and
torch's (cuFFT) on a GPU, pieces large enough to fill it.  What surrounds them is native.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import ops
from .._arrays import Array, empty_like, is_cuda, to_numpy, zeros_like
from ._image import Flags3, Shape3, pieces, run_jobs


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
    def mirror(self) -> np.ndarray:
        """Index of lag -r at the index of lag r."""
        return -np.arange(self.size) % self.size

    @property
    def pairs(self) -> np.ndarray:
        """Pairs along this axis at each lag of a non-periodic axis."""
        return self.n - np.abs(self.lags)

    def native(self, cropped: bool = False) -> tuple[int, int, int]:
        """(size, positive, padded) for the native crop."""
        return self.size, self.positive, self.size if cropped else self.padded


Windows = tuple[Window, Window, Window]


def window(n: int, periodic: bool, max_lag: int | None) -> Window:
    """Lags -max_lag ... max_lag of an axis of n voxels (all of them by default)."""
    from scipy.fft import next_fast_len

    if periodic:
        full = max_lag is None or 2 * max_lag + 1 >= n
        return Window(n, n if full else 2 * int(max_lag or 0) + 1, n)
    m = n - 1 if max_lag is None else min(max_lag, n - 1)
    return Window(n, 2 * m + 1, n if n == 1 else next_fast_len(n + m, real=True))


def windows(shape: Shape3, periodic: Flags3, max_lag: Any) -> Windows:
    """One window per axis."""
    lags = max_lag if isinstance(max_lag, tuple) else (max_lag,) * 3
    z, y, x = (window(n, p, m) for n, p, m in zip(shape, periodic, lags, strict=True))
    return z, y, x


def pair_numbers(win: Windows, periodic: Flags3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Factors (z, y, x) of the number of pairs of each lag; float64."""
    z, y, x = (
        np.full(w.size, float(w.n)) if p else w.pairs.astype(float)
        for w, p in zip(win, periodic, strict=True)
    )
    return z, y, x


@dataclass(frozen=True)
class Field:
    """0 and 1: the voxels of a phase (None: any) inside the mask."""

    labels: Array  # uint8 (nz, ny, nx), numpy or torch
    mask: Array | None  # uint8, same shape and place
    phase: int | None

    def load(self, start: int, stop: int, out: Array) -> None:
        """Slices start ... stop as floats, padded with zeros along x."""
        mask = None if self.mask is None else self.mask[start:stop]
        ops.load_phase(self.labels[start:stop], mask, out=out, phase=self.phase)


# --------------------------------------------------------------------------- whose transforms


class Cpu:
    """scipy.fft over pieces of the cache's size, one piece a thread."""

    piece_bytes = 1 << 20
    axis = 0  # of the columns: scipy transforms neighbouring columns together

    def __init__(self, dtype: Any, threads: int) -> None:
        from scipy import fft

        self.fft_module = fft
        self.real = np.dtype(dtype).name
        self.complex = "complex64" if self.real == "float32" else "complex128"
        self.threads = threads

    def rfft(self, x: Array, axis: int) -> Array:
        return self.fft_module.rfft(x, axis=axis)

    def fft(self, x: Array, n: int, axis: int, *, spare: bool = False) -> Array:
        """``spare``: the memory of x may be used."""
        return self.fft_module.fft(x, n=n, axis=axis, overwrite_x=spare)

    def ifft(self, x: Array, axis: int) -> Array:
        """Not divided by the length; x is spare."""
        return self.fft_module.ifft(x, axis=axis, norm="forward", overwrite_x=True)

    def irfft(self, x: Array, n: int) -> Array:
        """Along the last axis, not divided by the length."""
        return self.fft_module.irfft(x, n=n, axis=-1, norm="forward")

    def take(self, x: Array, rows: np.ndarray) -> Array:
        """Rows of axis 1."""
        return x[:, rows]

    def turn(self, x: Array) -> Array:
        """Columns with the transform along `axis`."""
        return x

    def dense(self, x: Array) -> Array:
        return np.ascontiguousarray(x)

    def store_conjugate(self, x: Array, to: Array) -> None:
        np.conjugate(x, out=to)

    def takes_whole(self, labels: Array, win: Windows) -> bool:
        """Whether a periodic volume goes through in one piece."""
        return False

    def run(self, job: Callable[[int, int], None], n: int, bytes_each: int) -> None:
        """job(start, stop) over all pieces of n things of so many bytes."""
        size = max(1, self.piece_bytes // max(bytes_each, 1))
        run_jobs(job, pieces(n, size), self.threads)


class Torch(Cpu):
    """torch.fft over large pieces, one after the other on the current stream."""

    piece_bytes = 1 << 28
    axis = -1

    def __init__(self, dtype: Any) -> None:
        import torch

        self.fft_module = torch.fft
        self.torch = torch
        self.real = np.dtype(dtype).name
        self.complex = "complex64" if self.real == "float32" else "complex128"
        self.threads = 1

    def rfft(self, x: Array, axis: int) -> Array:
        return self.fft_module.rfft(x, dim=axis)

    def fft(self, x: Array, n: int, axis: int, *, spare: bool = False) -> Array:
        return self.fft_module.fft(x, n=n, dim=axis)

    def ifft(self, x: Array, axis: int) -> Array:
        return self.fft_module.ifft(x, dim=axis, norm="forward")

    def irfft(self, x: Array, n: int) -> Array:
        return self.fft_module.irfft(x, n=n, dim=-1, norm="forward").contiguous()

    def take(self, x: Array, rows: np.ndarray) -> Array:
        return x.index_select(1, self.torch.as_tensor(rows, device=x.device))

    def turn(self, x: Array) -> Array:
        return x.t()

    def dense(self, x: Array) -> Array:
        return x.resolve_conj().contiguous()

    def store_conjugate(self, x: Array, to: Array) -> None:
        to.copy_(x.conj())

    def takes_whole(self, labels: Array, win: Windows) -> bool:
        if any(w.size != w.n or w.padded != w.n for w in win):
            return False
        if labels.device.type != "cuda":
            return True
        free, _ = self.torch.cuda.mem_get_info(labels.device)
        # field, spectrum, cuFFT's copy and work space, counts, map
        return 6 * labels.numel() * (4 if self.real == "float32" else 8) < free


def engine_for(labels: Array, dtype: Any, threads: int) -> Cpu:
    """scipy for arrays on the CPU, torch for those on a GPU."""
    return Torch(dtype) if is_cuda(labels) else Cpu(dtype, threads)


# ------------------------------------------------------------------------------- the three passes


def plane_spectra(field: Field, win: Windows, engine: Cpu) -> Array:
    """Pass 1: F[z, ky, kx] of a field; z stays in real space."""
    z, y, x = win
    kx = x.padded // 2 + 1
    out = empty_like(field.labels, (z.n, y.padded, kx), engine.complex)

    def job(start: int, stop: int) -> None:
        real = empty_like(out, (stop - start, y.n, x.padded), engine.real)
        field.load(start, stop, real)
        out[start:stop] = engine.fft(engine.rfft(real, 2), y.padded, 1, spare=True)

    engine.run(job, z.n, y.padded * kx * out.itemsize)
    return out


class Receiver:
    """Takes planes of counts from pass 3."""

    def planes(self, counts: Array, first: int, win: Windows, scale: float, even: bool) -> None:
        """Planes of lags z from row ``first`` on, to be scaled; ``even``: those of -z alike."""
        raise NotImplementedError


def autocorrelate(spectra: Array, win: Windows, receiver: Receiver, engine: Cpu) -> None:
    """Passes 2 and 3 for ``a = b``; overwrites ``spectra``."""
    z, y, _ = win
    kept = z.positive
    columns = spectra.reshape(z.n, -1)
    item = spectra.itemsize

    def columns_job(start: int, stop: int) -> None:
        f = engine.dense(engine.fft(engine.turn(columns[:, start:stop]), z.padded, engine.axis))
        power = empty_like(f, f.shape, engine.real)
        ops.multiply_spectra(f, power=power)
        # real spectrum: the transform back is the conjugate of the transform forth
        g = engine.turn(engine.rfft(power, engine.axis))[:kept]
        engine.store_conjugate(g, columns[:kept, start:stop])

    def slices_job(start: int, stop: int) -> None:
        _deliver(spectra[start:stop], start, win, receiver, engine, even=True)

    engine.run(columns_job, columns.shape[1], z.padded * item)
    engine.run(slices_job, kept, y.padded * spectra.shape[2] * item)


def crosscorrelate(
    first: Array,
    second: Array,
    win: Windows,
    receiver: Receiver,
    engine: Cpu,
    *,
    overwrite: bool = True,
) -> None:
    """Passes 2 and 3 for two fields, ``Σ_x a(x) b(x + r)``.

    With ``overwrite`` the lags z ≥ 0 replace ``first`` and the lags z < 0 ``second``.
    """
    z, y, _ = win
    kept = z.positive
    behind = z.size - kept
    a, b = first.reshape(z.n, -1), second.reshape(z.n, -1)
    item = first.itemsize
    forth = a if overwrite else empty_like(a, (kept, a.shape[1]), engine.complex)
    back = b if overwrite else empty_like(a, (max(behind, 1), a.shape[1]), engine.complex)

    def columns_job(start: int, stop: int) -> None:
        f = engine.dense(engine.fft(engine.turn(a[:, start:stop]), z.padded, engine.axis))
        product = engine.dense(engine.fft(engine.turn(b[:, start:stop]), z.padded, engine.axis))
        ops.multiply_spectra(f, product)
        g = engine.turn(engine.ifft(product, engine.axis))
        forth[:kept, start:stop] = g[:kept]
        back[:behind, start:stop] = g[z.padded - behind :]

    def slices_job(rows: Array, offset: int) -> Callable[[int, int], None]:
        shaped = rows.reshape(-1, y.padded, first.shape[2])

        def job(start: int, stop: int) -> None:
            _deliver(shaped[start:stop], offset + start, win, receiver, engine, even=False)

        return job

    engine.run(columns_job, a.shape[1], 2 * z.padded * item)
    each = a.shape[1] * item
    engine.run(slices_job(forth, 0), kept, each)
    engine.run(slices_job(back, kept), behind, each)


def correlate(
    first: Field, second: Field | None, win: Windows, receiver: Receiver, engine: Cpu
) -> None:
    """All passes for two fields, or for one with itself (None)."""
    if engine.takes_whole(first.labels, win):
        _correlate_whole(first, second, win, receiver, engine)
        return
    spectra = plane_spectra(first, win, engine)
    if second is None:
        autocorrelate(spectra, win, receiver, engine)
    else:
        crosscorrelate(spectra, plane_spectra(second, win, engine), win, receiver, engine)


def _correlate_whole(
    first: Field, second: Field | None, win: Windows, receiver: Receiver, engine: Any
) -> None:
    """Periodic, in one piece: cuFFT's own passes over a volume are fewer than streamed ones."""

    def spectrum(field: Field) -> Array:
        real = empty_like(field.labels, field.labels.shape, engine.real)
        field.load(0, int(real.shape[0]), real)
        return engine.dense(engine.fft_module.rfftn(real))

    a = spectrum(first)
    b = a if second is None else spectrum(second)
    ops.multiply_spectra(a, b, threads=0)
    shape = tuple(w.n for w in win)
    counts = engine.fft_module.irfftn(b, s=shape, norm="forward").contiguous()
    receiver.planes(counts, 0, win, 1.0 / counts.numel(), even=False)


def _deliver(
    planes: Array, row: int, win: Windows, receiver: Receiver, engine: Cpu, *, even: bool
) -> None:
    """Pass 3: transform y and x back, hand over."""
    z, y, x = win
    g = engine.ifft(planes, 1)
    if y.size < y.padded:
        g = engine.take(g, y.lags % y.padded)
    scale = 1.0 / (z.padded * y.padded * x.padded)
    receiver.planes(engine.irfft(g, x.padded), row, win, scale, even)


# -------------------------------------------------------------------------------- the receivers


class Map(Receiver):
    """Counts (or counts over pairs) of all lags."""

    def __init__(self, like: Array, win: Windows, dtype: str, pairs: Any = None) -> None:
        self.out = empty_like(like, tuple(w.size for w in win), dtype)
        self.pairs = None if pairs is None else _vectors(pairs, like)

    def planes(self, counts: Array, first: int, win: Windows, scale: float, even: bool) -> None:
        _, y, x = win
        ops.store_counts(
            counts,
            out=self.out,
            first=first,
            y=y.native(cropped=True),
            x=x.native(),
            scale=scale,
            pairs=self.pairs,
            mirrored=even,
        )


class Radial(Receiver):
    """Counts by the length of the lag; of the pairs and lags too where they are known."""

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
        mine = [zeros_like(self.like, (self.bins,), "int64") for _ in range(3)]
        hits, pairs, lags = mine
        ops.sum_radially(
            counts,
            hits=hits,
            pairs=None if self.pair_factors is None else pairs,
            lags=lags,
            first=first,
            size_z=z.size,
            y=y.native(cropped=True),
            x=x.native(),
            scale=scale,
            pair_factors=self.pair_factors,
            squares=self.squares,
            width=self.width,
            mirrored=even,
        )
        with self.lock:
            for total, part in zip(self.sums, mine, strict=True):
                total += to_numpy(part)


def _vectors(vectors: Any, like: Array) -> tuple[Array, Array, Array]:
    """Three float64 vectors on the device of ``like``."""
    out = []
    for vector in vectors:
        there = empty_like(like, (len(vector),), "float64")
        values = np.ascontiguousarray(vector, dtype=np.float64)
        if isinstance(there, np.ndarray):
            there[...] = values
        else:
            import torch

            there.copy_(torch.from_numpy(values))
        out.append(there)
    return out[0], out[1], out[2]
