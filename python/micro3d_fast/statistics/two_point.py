# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Two-point correlations ``S_ij(r) = ⟨χ_i(x) χ_j(x + r)⟩`` and volume fractions.

Counts are exact: integer numbers of pairs, divided once.  Maps and radial averages go through
`_fourier`; directional curves are counted pair by pair, without a transform.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from .. import _checks
from .._arrays import is_cuda, to_numpy
from .._phases import phase_counts, warn_of_absent
from .._results import Result
from ..typing import Axis, Labels, Periodic, VoxelSize
from . import _fourier
from ._curves import LatticeLine, ratio
from ._threads import pieces, run_jobs, thread_count
from ._transforms import ScipyFFT, fft_for, float_type
from ._volume import LabelVolume

__all__ = [
    "RadialCorrelation",
    "shift",
    "two_point_correlation",
    "two_point_map",
    "two_point_radial",
    "volume_fractions",
]


@dataclass(frozen=True, eq=False)
class RadialCorrelation(Result):
    """Two-point correlation averaged over all directions of the lag.

    Attributes
    ----------
    lag : array of float64, shape (bins,)
        Centres of the bins: multiples of the bin width, the first 0.
    value : array of float64, shape (bins,)
        Average of S_ij over the lag vectors of the bin; nan in an empty bin.
    count : array of int64, shape (bins,)
        Number of lag vectors if periodic and without a mask, of voxel pairs otherwise.
    edges : array of float64, shape (bins + 1,)
        Edges of the bins, half a bin width to either side of ``lag`` (so the first is negative).
    phase, other : int
        Phases of the two ends.
    unit : str
        Unit of ``lag`` and ``edges``.
    """

    lag: np.ndarray
    value: np.ndarray
    count: np.ndarray
    edges: np.ndarray
    phase: int = field(kw_only=True)
    other: int = field(kw_only=True)
    unit: str = field(default="voxels", kw_only=True)

    def __repr__(self) -> str:
        return (
            f"RadialCorrelation(S_{self.phase}{self.other}: {self.value[0]:.4f} at 0 … "
            f"{self.value[-1]:.4f} at {self.lag[-1]:.4g} {self.unit}, {len(self.lag)} bins)"
        )


def volume_fractions(labels: Labels, *, mask: Labels | None = None) -> np.ndarray:
    """Return the volume fraction of each phase.

    Parameters
    ----------
    labels : array of bool or integers 0 ... 255, 2D or 3D, or Microstructure
        Phase of each voxel.
    mask : array of bool, optional
        Count only voxels inside.

    Returns
    -------
    array of float64, shape (P,)
        Fractions of phases 0 ... P - 1, where P - 1 is the largest label (of the whole image).

    Examples
    --------
    >>> volume_fractions(np.array([[0, 2], [2, 2]]))
    array([0.25, 0.  , 0.75])
    """
    if callable(getattr(labels, "volume_fractions", None)):  # Micrographs
        wanted = "be an array of bool or integers 0 ... 255, or a Microstructure"
        hint = "call its own method, `micrographs.volume_fractions()`"
        raise _checks.refuse_type("labels", wanted, type(labels).__name__, hint)
    volume = LabelVolume.of(labels, mask, on_device=True, by_blocks=True)
    n = volume.phase_count()
    if volume.mask is None:
        counts = phase_counts(volume.labels, n)
    else:
        counts = volume.total(lambda part, _: phase_counts(part.inside, n))
    if not counts.any():
        raise _checks.refuse("mask", "leave at least one voxel", "an empty mask")
    return counts / counts.sum()


def two_point_map(
    labels: Labels,
    phase: int | str,
    other: int | str | None = None,
    *,
    periodic: Periodic = False,
    mask: Labels | None = None,
    max_lag: int | None = None,
    batch: bool = False,
    dtype: DTypeLike = np.float64,
    threads: int = 0,
) -> np.ndarray:
    r"""Compute the two-point correlation of all lag vectors.

    .. math:: S_{ij}(r) = \frac{\#\{x : \chi_i(x) = 1,\ \chi_j(x + r) = 1\}}{\#\{x\}}

    over the voxels x with x + r in the image (and both in the mask) [1]_.

    Parameters
    ----------
    labels : array of bool or integers 0 ... 255, 2D or 3D, or Microstructure
        Phase of each voxel, axes (z, y, x) or (y, x).
    phase, other : int or str
        Labels or names of the phases i and j; j is i by default.
    periodic : bool or one per axis
        Let pairs cross the faces.
    mask : array of bool, optional
        Count only pairs with both ends inside.
    max_lag : int, optional
        Longest lag kept along each axis; shorter costs less time and memory.
    batch : bool
        The first axis is a batch of 2D images; the result has one map per image.
    dtype : float64 or float32
        Precision of the transforms and of the result.  float64 gives exact counts; float32 takes
        half the memory and is within 1e-5 of them.
    threads : int
        CPU threads, 0 for all.  The result does not depend on it.

    Returns
    -------
    array of ``dtype``
        Zero lag at index 0, negative lags at the end (wrap order, see `shift`).  A periodic axis
        has its N lags, another 2N - 1; with ``max_lag`` 2 max_lag + 1 where that is fewer.
        nan where the mask leaves no pair.

    Raises
    ------
    TypeError, ValueError
        An argument is of the wrong kind or out of range; the message names it.

    Notes
    -----
    Counts come from Fourier transforms, rounded to integers (float64), and are divided once.
    Working memory is 16 bytes × (padded ny) × (padded nx / 2 + 1) × nz for each of the
    phases: 8 bytes per voxel periodic, 32 non-periodic; the map itself takes 8 bytes per lag.

    References
    ----------
    .. [1] S. Torquato, Random Heterogeneous Materials, Springer 2002, Section 2.2.

    Examples
    --------
    Stripes one voxel wide along the last axis:

    >>> two_point_map(np.array([[0, 1, 0, 1]]), 1, periodic=True)
    array([[0.5, 0. , 0.5, 0. ]])
    """
    volume = LabelVolume.of(labels, mask, batch=batch, on_device=True, bytes_per_voxel=16)
    i, j = _phase_pair(volume, phase, other)
    wrap = volume.periodic_axes(periodic)
    kind = float_type(dtype)
    number = thread_count(threads)
    if not volume.batch:
        win = _fourier.windows_of(volume, wrap, max_lag)
        fft = fft_for(volume.labels, kind, number)
        out = to_numpy(_map(volume, i, j, win, fft))
        return out.reshape(out.shape[volume.lead :])
    images = list(volume.slices())
    win = _fourier.windows_of(images[0], wrap, max_lag)
    maps = np.empty((len(images), *(w.size for w in win)), kind)
    fft = fft_for(volume.labels, kind, 1)

    def job(start: int, stop: int) -> None:
        for k in range(start, stop):
            maps[k] = to_numpy(_map(images[k], i, j, win, fft))

    run_jobs(job, pieces(len(images), 1), 1 if is_cuda(volume.labels) else number)
    return maps[:, 0]


def _map(volume: LabelVolume, i: int, j: int, win: _fourier.Windows, fft: ScipyFFT) -> Any:
    """Return the map of one image, on its device."""
    pairs = None if volume.mask is not None else _fourier.pair_factors(win)
    counts = _fourier.Map(volume.labels, win, fft.real, pairs)
    _fourier.correlate_phases(volume, i, j, win, counts, fft)
    if volume.mask is None:
        return counts.out
    inside = _fourier.Map(volume.labels, win, fft.real)
    _fourier.correlate_phases(volume, None, None, win, inside, fft)
    out, total = counts.out, inside.out
    with np.errstate(invalid="ignore"):
        out /= total  # 0 / 0 is nan: no pair
    return out


def shift(correlation: np.ndarray) -> np.ndarray:
    """Move zero lag of a map from index 0 to the centre (as ``numpy.fft.fftshift``), for plots.

    Examples
    --------
    >>> shift(np.array([[5, 1, 2, -2, -1]]))
    array([[-2, -1,  5,  1,  2]])
    """
    return np.fft.fftshift(correlation)


def two_point_correlation(
    labels: Labels,
    phase: int | str,
    other: int | str | None = None,
    *,
    axis: Axis,
    max_lag: int | None = None,
    periodic: Periodic = False,
    mask: Labels | None = None,
    batch: bool = False,
    threads: int = 0,
) -> np.ndarray:
    r"""Compute the two-point correlation along an axis or a lattice direction.

    Parameters
    ----------
    labels : array of bool or integers 0 ... 255, 2D or 3D, or Microstructure
        Phase of each voxel, axes (z, y, x) or (y, x).
    phase, other : int or str
        Labels or names of the phases i and j of ``S_ij(r) = ⟨χ_i(x) χ_j(x + r d)⟩``; j is i by
        default.
    axis : int, str or tuple of int
        Direction d: 0, 1, 2 or "z", "y", "x", or a primitive lattice vector such as the diagonals
        (0, 1, -1) and (1, 1, 1); lag r is then r times that vector.
    max_lag : int, optional
        Longest lag; default half the voxels of the longest line that fits.
    periodic : bool or one per axis
        Let pairs cross the faces.
    mask : array of bool, optional
        Count only pairs with both ends inside.
    batch : bool
        The first axis is a batch of 2D images; the result has one curve per image.
    threads : int
        CPU threads, 0 for all.  The result does not depend on it.

    Returns
    -------
    array of float64, shape (max_lag + 1,) or (images, max_lag + 1)
        S_ij at lags 0 ... max_lag, exact to the last division; nan where no pair is left.

    Examples
    --------
    >>> stripes = np.tile([0, 0, 1, 1], (3, 2))
    >>> two_point_correlation(stripes, 1, axis="x", periodic=True)
    array([0.5 , 0.25, 0.  , 0.25, 0.5 ])
    >>> two_point_correlation(stripes, 1, axis="x")
    array([0.5       , 0.28571429, 0.        , 0.2       , 0.5       ])
    """
    volume = LabelVolume.of(labels, mask, batch=batch, on_device=True, by_blocks=True)
    i, j = _phase_pair(volume, phase, other)
    line = LatticeLine.of(volume, axis, max_lag, periodic, threads)
    return ratio(line.pairs(i, j), line.all_pairs())


def two_point_radial(
    labels: Labels,
    phase: int | str,
    other: int | str | None = None,
    *,
    max_lag: int | None = None,
    periodic: Periodic = False,
    mask: Labels | None = None,
    voxel_size: VoxelSize | None = None,
    dtype: DTypeLike = np.float64,
    threads: int = 0,
) -> RadialCorrelation:
    """Compute the two-point correlation averaged over all directions of the lag vector.

    Bins are one voxel wide about the integers: a lag vector r belongs to the bin round(|r|), so
    the first bin holds only lag 0.  Every lag vector weighs the same if all axes are periodic
    and there is no mask; otherwise by its number of pairs.  A periodic axis of N voxels has its N
    lags once each, -N/2 < r ≤ N/2.

    Parameters
    ----------
    labels : array of bool or integers 0 ... 255, 2D or 3D, or Microstructure
        Phase of each voxel, axes (z, y, x) or (y, x).
    phase, other : int or str
        Labels or names of the phases i and j; j is i by default.
    max_lag : int, optional
        Last bin; default half the shortest axis longer than one voxel, at most the longest axis
        less one; lengths of axes count in bins, the widths of which are the smallest spacing.
    periodic : bool or one per axis
        Let pairs cross the faces.
    mask : array of bool, optional
        Count only pairs with both ends inside.
    voxel_size : float or one per axis, optional
        Spacing in metres: lengths are then physical, bins as wide as the smallest spacing.
        Default: that of a Microstructure; of an array, lags in voxels.
    dtype : float64 or float32
        Precision of the transforms (see `two_point_map`).
    threads : int
        CPU threads, 0 for all.

    Returns
    -------
    RadialCorrelation
        ``lag``, ``value``, ``count``, ``edges``.

    Examples
    --------
    >>> two_point_radial(np.eye(2, dtype=int), 1, periodic=True, max_lag=1)
    RadialCorrelation(S_11: 0.5000 at 0 … 0.1667 at 1 voxels, 2 bins)
    """
    volume = LabelVolume.of(labels, mask, on_device=True, bytes_per_voxel=8)
    i, j = _phase_pair(volume, phase, other)
    wrap = volume.periodic_axes(periodic)
    kind = float_type(dtype)
    number = thread_count(threads)
    spacing, unit = volume.spacing(voxel_size)
    width = min(spacing[volume.lead :])
    extents = [  # in bins; of single voxels none
        1 + int((n - 1) * h / width + 1e-9) if n > 1 else 1
        for n, h in zip(volume.shape, spacing, strict=True)
    ]
    if max_lag is None:
        last = _checks.lag_limit(None, min((n for n in extents if n > 1), default=1))
    else:
        last = _checks.lag_limit(max_lag, max(extents))

    reach = (last + 0.5) * width
    lags = [int(reach / h) for h in spacing]
    win = _fourier.windows(volume.shape, wrap, lags)
    factors = None if volume.mask is not None else _fourier.pair_factors(win)
    fft = fft_for(volume.labels, kind, number)
    sums = _fourier.Radial(volume.labels, win, spacing, width, last + 1, factors)
    _fourier.correlate_phases(volume, i, j, win, sums, fft)
    hits, pairs, count = sums.sums
    if volume.mask is not None:
        inside = _fourier.Radial(volume.labels, win, spacing, width, last + 1)
        _fourier.correlate_phases(volume, None, None, win, inside, fft)
        pairs = inside.sums[0]
    uniform = all(wrap[volume.lead :]) and volume.mask is None
    return RadialCorrelation(
        lag=width * np.arange(last + 1),
        value=ratio(hits, pairs),
        count=count if uniform else pairs,
        edges=width * (np.arange(last + 2) - 0.5),
        phase=i,
        other=j,
        unit=unit,
    )


def _phase_pair(volume: LabelVolume, phase: Any, other: Any) -> tuple[int, int]:
    """Return two phase numbers, the second by default the first; warn of those that are absent."""
    first = second = _checks.phase_number(phase, names=volume.names)
    if other is not None:
        second = _checks.phase_number(other, name="other", names=volume.names)
    warn_of_absent(volume.labels, first, second, stacklevel=3)
    return first, second
