# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The passes around the Fourier transforms of correlations: load, multiply, store, bin."""

from __future__ import annotations

from .. import _core
from .._arrays import Array
from .device import current_stream

__all__ = ["Lags", "load_phase", "multiply_spectra", "store_counts", "sum_radially"]

#: Lags along an axis: how many are kept, how many of these are not negative, length of the
#: transform (or of the planes, if they hold the kept lags alone)
Lags = tuple[int, int, int]
Factors = tuple[Array, Array, Array]  # float64 vectors over the kept lags of z, y, x


def load_phase(
    labels: Array, mask: Array | None, *, out: Array, phase: int | None, threads: int = 1
) -> Array:
    """Write 1 where ``labels`` is ``phase`` (None: any) inside the mask and 0 elsewhere.

    ``labels`` and ``mask`` are uint8 (nz, ny, nx) with any strides; ``out`` is float32 or float64,
    C-contiguous, and may be longer along y and x: the rest becomes 0.
    """
    number = 0 if phase is None else phase
    _core.load_phase(labels, mask, out, number, phase is None, current_stream(out), threads)
    return out


def multiply_spectra(
    a: Array, b: Array | None = None, *, power: Array | None = None, threads: int = 1
) -> None:
    """Replace ``b`` by ``conj(a) b`` or, without ``b``, write ``abs(a)**2`` into ``power``."""
    _core.multiply_spectra(a, b, power, current_stream(a), threads)


def store_counts(
    planes: Array,
    *,
    out: Array,
    first: int,
    y: Lags,
    x: Lags,
    scale: float,
    pairs: Factors | None = None,
    mirrored: bool = False,
    threads: int = 1,
) -> Array:
    """Crop planes of transformed counts to the kept lags of ``out``, scale and round them.

    Parameters
    ----------
    planes : array of float32 or float64, shape (planes, y lags, x lags)
        Lags z number ``first``, ``first + 1``, ... in wrap order.
    out : array like ``planes``, shape of the kept lags
        Written for these lags z.
    first : int
        Number of the first plane among the kept lags z.
    y, x : Lags
        How the planes hold their lags.
    scale : float
        Factor before rounding to whole counts.
    pairs : three arrays of float64, optional
        Divide by their outer product, the number of voxel pairs.
    mirrored : bool
        The function is even: write the opposite lags too.
    """
    _core.store_counts(
        planes, out, first, y, x, scale, pairs, mirrored, current_stream(planes), threads
    )
    return out


def sum_radially(
    planes: Array,
    *,
    hits: Array,
    pairs: Array | None,
    lags: Array | None,
    first: int,
    size_z: int,
    y: Lags,
    x: Lags,
    scale: float,
    pair_factors: Factors | None,
    squares: Factors,
    width: float,
    mirrored: bool = False,
    threads: int = 1,
) -> None:
    """Add rounded counts, voxel pairs and lags to bins of the length of the lag.

    Parameters
    ----------
    planes, first, y, x, scale, mirrored
        As for `store_counts`; ``size_z`` lags z are kept.
    hits, pairs, lags : arrays of int64, shape (bins,)
        Counts, voxel pairs and lag vectors per bin are added to these.
    pair_factors : three arrays of float64, optional
        Their outer product is the number of voxel pairs per lag; needed with ``pairs``.
    squares : three arrays of float64
        Squared component of each lag along z, y, x.
    width : float
        Width of a bin; bin n is centred at n times that.
    """
    _core.sum_radially(
        planes, hits, pairs, lags, first, size_z, y, x, scale, pair_factors, squares, width,
        mirrored, current_stream(planes), threads,
    )  # fmt: skip
