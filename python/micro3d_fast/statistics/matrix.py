# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""All two-point correlations of n phases at once, from n - 1 forward transforms."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from .._arrays import to_numpy
from ..typing import Labels, Periodic
from . import _fourier
from ._fourier import Indicator, Windows
from ._threads import thread_count
from ._transforms import ScipyFFT, fft_for, float_type
from ._volume import LabelVolume

__all__ = ["two_point_matrix"]


def two_point_matrix(
    labels: Labels,
    *,
    n_phases: int | None = None,
    periodic: Periodic = False,
    mask: Labels | None = None,
    max_lag: int | None = None,
    dtype: DTypeLike = np.float64,
    threads: int = 0,
) -> np.ndarray:
    r"""Compute the two-point correlations of every pair of phases.

    ``S[i, j]`` is ``two_point_map(…, i, j)``.  The phases fill the image, so the correlations of
    the last phase follow from the others: n phases need n - 1 forward transforms (one more with a
    mask), and ``S_ji(r) = S_ij(-r)`` saves half of the inverse transforms.

    Parameters
    ----------
    labels : array of bool or integers 0 ... 255, 2D or 3D, or Microstructure
        Phase of each voxel, axes (z, y, x) or (y, x).
    n_phases : int, optional
        Number of phases; default the largest label + 1.
    periodic, mask, max_lag, dtype, threads
        As of `two_point_map`.

    Returns
    -------
    array, shape (n, n, ...)
        The maps, zero lag at index 0; nan where the mask leaves no pair.

    Examples
    --------
    >>> two_point_matrix(np.array([[0, 1, 2]]), periodic=True)[0, 1] * 3
    array([[0., 1., 0.]])
    """
    volume = LabelVolume.of(labels, mask, on_device=True, bytes_per_voxel=16)
    n = volume.phase_count(n_phases)
    wrap = volume.periodic_axes(periodic)
    kind = float_type(dtype)
    fft = fft_for(volume.labels, kind, thread_count(threads))
    win = _fourier.windows_of(volume, wrap, max_lag)
    out = np.empty((n, n, *(w.size for w in win)), kind)
    pairs = _fill_with_counts(out, volume, win, fft)
    with np.errstate(invalid="ignore", divide="ignore"):
        out /= np.where(pairs > 0, pairs, np.nan)
    return out.reshape(n, n, *out.shape[2 + volume.lead :])


def _fill_with_counts(
    out: np.ndarray, volume: LabelVolume, win: Windows, fft: ScipyFFT
) -> np.ndarray:
    """Write the counts of all pairs of phases to ``out``; return those of any phases."""
    last = len(out) - 1
    mirror = np.ix_(*(w.mirror for w in win))

    def counted(run: Any, *spectra: Any, **options: Any) -> np.ndarray:
        counts = _fourier.Map(volume.labels, win, fft.real)
        run(*spectra, win, counts, fft, **options)
        return to_numpy(counts.out)

    cross, auto = _fourier.crosscorrelate, _fourier.autocorrelate
    spectra = [_fourier.plane_spectra(Indicator.of(volume, i), win, fft) for i in range(last)]
    for i in range(last):
        for j in range(i + 1, last):
            out[i, j] = counted(cross, spectra[i], spectra[j], overwrite=False)
            out[j, i] = out[i, j][mirror]
    # with_any[i]: pairs of phase i with any phase
    if volume.mask is None:
        pairs = _fourier.pair_map(win)
        with_any = [_pairs_with_any(to_numpy(volume.labels == i), win) for i in range(last)]
    else:
        inside = _fourier.plane_spectra(Indicator.of(volume, None), win, fft)
        with_any = [counted(cross, spectrum, inside, overwrite=False) for spectrum in spectra]
        pairs = counted(auto, inside)
    for i in range(last):  # these overwrite the spectra
        out[i, i] = counted(auto, spectra[i])
    for i in range(last):  # the last phase is the rest
        np.subtract(with_any[i], out[i, :last].sum(0), out=out[i, last], casting="same_kind")
        out[last, i] = out[i, last][mirror]
    out[last, last] = pairs - out[:last].sum((0, 1)) - out[last, :last].sum(0)
    return pairs


def _pairs_with_any(inside: np.ndarray, win: Windows) -> np.ndarray:
    """Count the voxels x of a phase with x + r in the image, for every lag r; float64, exact."""
    out = inside.astype(float)
    for axis, w in enumerate(win):
        if w.periodic:
            out = np.repeat(out.sum(axis, keepdims=True), w.size, axis=axis)
            continue
        ahead = np.cumsum(out, axis=axis)
        back = np.cumsum(np.flip(out, axis), axis=axis)
        lags = w.lags
        positive = np.take(ahead, w.n - 1 - lags[: w.positive], axis=axis)
        negative = np.take(back, w.n - 1 + lags[w.positive :], axis=axis)
        out = np.concatenate([positive, negative], axis=axis)
    return out
