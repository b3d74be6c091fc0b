# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Two-point correlations ``S_ij(r) = ⟨χ_i(x) χ_j(x + r)⟩`` and volume fractions.

Counts are exact: whole numbers of pairs, divided once.  Maps and radial averages go through
`_fourier`; directional curves are counted pair by pair, without a transform.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import _checks, ops
from .._arrays import is_cuda, to_numpy
from .._phases import phase_counts
from . import _counts, _fourier, _image
from ._image import Flags3, Image


@dataclass(frozen=True)
class RadialCorrelation:
    """Two-point correlation averaged over all directions of the lag.

    Attributes
    ----------
    lag : array of float64, shape (bins,)
        Centres of the bins: multiples of the bin width, the first 0.
    value : array of float64, shape (bins,)
        Average of S_ij over the lag vectors of the bin; nan where a bin holds none.
    count : array of int64, shape (bins,)
        What was averaged: lag vectors if periodic and without a mask, voxel pairs otherwise.
    edges : array of float64, shape (bins + 1,)
        Edges of the bins, half a bin width either side of ``lag`` (so the first is negative).
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


def volume_fractions(labels: Any, *, mask: Any = None) -> np.ndarray:
    """Volume fraction of each phase.

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
    image = _image.load(labels, mask, on_device=True)
    phases = int(image.labels.max()) + 1
    inside = image.labels if image.mask is None else image.labels[image.mask]
    counts = phase_counts(inside, phases)
    if not counts.any():
        raise ValueError("`mask` must leave at least one voxel, got an empty mask")
    return counts / counts.sum()


def two_point_map(
    labels: Any,
    phase: int,
    other: int | None = None,
    *,
    periodic: Any = False,
    mask: Any = None,
    max_lag: int | None = None,
    batch: bool = False,
    dtype: Any = np.float64,
    threads: int = 0,
) -> np.ndarray:
    r"""Two-point correlation of all lag vectors.

    .. math:: S_{ij}(r) = \frac{\#\{x : \chi_i(x) = 1,\ \chi_j(x + r) = 1\}}{\#\{x\}}

    over the voxels x for which x + r is in the image too (and both in the mask) [1]_.

    Parameters
    ----------
    labels : array of bool or integers 0 ... 255, 2D or 3D, or Microstructure
        Phase of each voxel, axes (z, y, x) or (y, x).
    phase, other : int
        Phases i and j; j is i by default.
    periodic : bool or one per axis
        Let pairs cross the faces.
    mask : array of bool, optional
        Count only pairs with both ends inside.
    max_lag : int, optional
        Longest lag kept along each axis; shorter costs less time and memory.
    batch : bool
        The first axis counts 2D images; one map for each comes back.
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
    Counts come from Fourier transforms, rounded to whole numbers (float64), and are divided once.
    Working memory is 16 bytes × (padded ny) × (padded nx / 2 + 1) × nz for each of the phases: 8
    bytes a voxel periodic, 32 non-periodic; the map itself takes 8 bytes a lag.

    References
    ----------
    .. [1] S. Torquato, Random Heterogeneous Materials, Springer 2002, Section 2.2.

    Examples
    --------
    Stripes one voxel wide along the last axis:

    >>> two_point_map(np.array([[0, 1, 0, 1]]), 1, periodic=True)
    array([[0.5, 0. , 0.5, 0. ]])
    """
    image = _image.load(labels, mask, batch=batch, on_device=True)
    i, j = _image.phase_pair(phase, other)
    wrap = image.periodic3(periodic)
    kind = float_type(dtype)
    number = _image.thread_count(threads)
    if not image.batch:
        win = _windows(image, wrap, max_lag)
        engine = _fourier.engine_for(image.labels, kind, number)
        with np.errstate(invalid="ignore"):
            out = to_numpy(_map_of(image, i, j, win, wrap, engine))
        return out.reshape(out.shape[image.lead :])
    slices = list(image.slices())
    win = _windows(slices[0], wrap, max_lag)
    maps = np.empty((len(slices), *(w.size for w in win)), kind)
    engine = _fourier.engine_for(image.labels, kind, 1)

    def job(start: int, stop: int) -> None:
        for k in range(start, stop):
            with np.errstate(invalid="ignore"):
                maps[k] = to_numpy(_map_of(slices[k], i, j, win, wrap, engine))

    many = 1 if is_cuda(image.labels) else number
    _image.run_jobs(job, _image.pieces(len(slices), 1), many)
    return maps[:, 0]


def _map_of(image: Image, i: int, j: int, win: Any, wrap: Flags3, engine: Any) -> Any:
    """The map of one image, where the image lives."""
    pairs = None if image.mask is not None else _fourier.pair_numbers(win, wrap)
    counts = _fourier.Map(image.labels, win, engine.real, pairs)
    _correlate(image, i, j, win, counts, engine)
    if image.mask is None:
        return counts.out
    inside = _fourier.Map(image.labels, win, engine.real)
    _correlate(image, None, None, win, inside, engine)
    out, number = counts.out, inside.out
    out /= number  # 0 / 0 is nan: no pair
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
    labels: Any,
    phase: int,
    other: int | None = None,
    *,
    axis: Any,
    max_lag: int | None = None,
    periodic: Any = False,
    mask: Any = None,
    batch: bool = False,
    threads: int = 0,
) -> np.ndarray:
    r"""Two-point correlation along an axis or a lattice direction.

    Parameters
    ----------
    labels : array of bool or integers 0 ... 255, 2D or 3D, or Microstructure
        Phase of each voxel, axes (z, y, x) or (y, x).
    phase, other : int
        Phases i and j of ``S_ij(r) = ⟨χ_i(x) χ_j(x + r d)⟩``; j is i by default.
    axis : int, str or tuple of int
        Direction d: 0, 1, 2 or "z", "y", "x", or a primitive lattice vector such as (0, 1, -1);
        lag r is then r times that vector.
    max_lag : int, optional
        Longest lag; default half the voxels of the longest line that fits.
    periodic : bool or one per axis
        Let pairs cross the faces.
    mask : array of bool, optional
        Count only pairs with both ends inside.
    batch : bool
        The first axis counts 2D images; one curve for each comes back.
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
    image = _image.load(labels, mask, batch=batch, on_device=True)
    i, j = _image.phase_pair(phase, other)
    direction, lag, wrap = along(image, axis, max_lag, periodic)
    keys: dict[str, Any] = {
        "direction": direction,
        "max_lag": lag,
        "periodic": wrap,
        "mask": image.mask,
        "per_slice": image.batch,
        "threads": _image.thread_count(threads),
    }
    hits = ops.pair_counts(image.labels, i, j, **keys)
    if image.mask is None:
        pairs = lines_of(image, direction, lag, wrap)
    else:
        pairs = ops.pair_counts(image.labels, None, None, **keys)
    return curves(hits, pairs, image)


def two_point_radial(
    labels: Any,
    phase: int,
    other: int | None = None,
    *,
    max_lag: int | None = None,
    periodic: Any = False,
    mask: Any = None,
    voxel_size: Any = None,
    dtype: Any = np.float64,
    threads: int = 0,
) -> RadialCorrelation:
    """Two-point correlation averaged over all directions of the lag vector.

    Bins are one voxel wide about the integers: a lag vector r belongs to the bin round(|r|), so
    the first bin holds lag 0 alone.  Every lag vector weighs the same if all axes are periodic
    and there is no mask; otherwise by its number of pairs.  A periodic axis of N voxels has its N
    lags once each, -N/2 < r ≤ N/2.

    Parameters
    ----------
    labels : array of bool or integers 0 ... 255, 2D or 3D, or Microstructure
        Phase of each voxel, axes (z, y, x) or (y, x).
    phase, other : int
        Phases i and j; j is i by default.
    max_lag : int, optional
        Last bin; default half the shortest axis longer than one voxel, at most the longest axis
        less one.
    periodic : bool or one per axis
        Let pairs cross the faces.
    mask : array of bool, optional
        Count only pairs with both ends inside.
    voxel_size : float or one per axis, optional
        Spacing in metres: lengths are then physical, bins as wide as the smallest spacing.
        Default: lags in voxels.
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
    image = _image.load(labels, mask, on_device=True)
    i, j = _image.phase_pair(phase, other)
    wrap = image.periodic3(periodic)
    kind = float_type(dtype)
    number = _image.thread_count(threads)
    spacing, unit = _image.spacing(image, voxel_size)
    width = min(spacing[image.lead :])
    longest = max(image.space)
    if max_lag is None:
        extents = [n for n in image.space if n > 1]
        last = _checks.lag_limit(None, min(extents, default=1))
    else:
        last = _checks.lag_limit(max_lag, longest)

    reach = (last + 0.5) * width
    win = _fourier.windows(image.shape, wrap, tuple(int(reach / h) for h in spacing))
    uniform = all(wrap[image.lead :]) and image.mask is None
    factors = None if image.mask is not None else _fourier.pair_numbers(win, wrap)
    engine = _fourier.engine_for(image.labels, kind, number)
    sums = _fourier.Radial(image.labels, win, spacing, width, last + 1, factors)
    _correlate(image, i, j, win, sums, engine)
    hits, pairs, count = sums.sums
    if image.mask is not None:
        inside = _fourier.Radial(image.labels, win, spacing, width, last + 1)
        _correlate(image, None, None, win, inside, engine)
        pairs = inside.sums[0]
    lag = width * np.arange(last + 1)
    edges = width * (np.arange(last + 2) - 0.5)
    return RadialCorrelation(
        lag,
        ratio(hits, pairs),
        count if uniform else pairs,
        edges,
        phase=i,
        other=j,
        unit=unit,
    )


def ratio(hits: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """hits / pairs in float64, nan where there are no pairs."""
    out = np.full(np.shape(hits), np.nan)
    return np.divide(hits, pairs, out=out, where=np.asarray(pairs) > 0)


def float_type(dtype: Any) -> Any:
    """numpy float32 or float64."""
    try:
        kind = np.dtype(dtype)
    except TypeError:
        kind = np.dtype(object)
    if kind not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise TypeError(f"`dtype` must be float32 or float64, got {dtype!r}")
    return kind.type


def along(
    image: Image, axis: Any, max_lag: Any, periodic: Any
) -> tuple[tuple[int, ...], int, Flags3]:
    """Direction in the volume, longest lag and periodic flags of a curve."""
    direction = _image.lattice_direction(axis, image.ndim)
    wrap = image.periodic3(periodic)
    lag = _image.lag_limit(max_lag, image.space, direction, wrap[image.lead :])
    return (0,) * image.lead + direction, lag, wrap


def lines_of(image: Image, direction: tuple[int, ...], max_lag: int, wrap: Flags3) -> np.ndarray:
    """Pairs (and segments) of each lag without a mask, of the volume or of one image of a batch."""
    shape = (1, *image.shape[1:]) if image.batch else image.shape
    return _counts.line_numbers(shape, direction, max_lag, wrap)


def curves(hits: Any, lines: Any, image: Image) -> np.ndarray:
    """Counts of groups of slices to values: one curve, or one for each image of a batch."""
    hits, lines = to_numpy(hits), to_numpy(lines)
    if image.batch:
        return ratio(hits, np.broadcast_to(lines, hits.shape))
    return ratio(hits.sum(0), lines if lines.ndim == 1 else lines.sum(0))


def _windows(image: Image, wrap: Flags3, max_lag: Any) -> Any:
    if max_lag is not None:
        max_lag = _checks.lag_limit(max_lag, max(image.space))
    return _fourier.windows(image.shape, wrap, max_lag)


def field_of(image: Image, phase: int | None) -> _fourier.Field:
    """The 0/1 field of a phase; None: of the mask."""
    return _fourier.Field(image.labels, image.mask8, phase)


def _correlate(
    image: Image, i: int | None, j: int | None, win: Any, receiver: Any, engine: Any
) -> None:
    """Counts of pairs (i, j); None stands for the mask itself."""
    second = None if i == j else field_of(image, j)
    _fourier.correlate(field_of(image, i), second, win, receiver, engine)
