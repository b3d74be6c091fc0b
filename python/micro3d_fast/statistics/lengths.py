# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Correlation lengths of a phase along the axes, and of sets of 2D images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .. import _checks
from .._phases import phase_counts
from .._planes import AXIS_NAMES
from ..typing import Labels, Periodic, VoxelSize
from ._curves import LatticeLine, ratio
from ._volume import LabelVolume

__all__ = [
    "CorrelationLengths",
    "autocorrelation",
    "correlation_lengths",
    "fall_length",
    "pooled_correlation_length",
]


@dataclass(frozen=True)
class CorrelationLengths:
    """Correlation length of a phase along each axis (see `correlation_lengths`).

    Attributes
    ----------
    length : dict of str to float
        Length for each axis name; nan if the curve does not fall that far within half the image,
        and along an axis of one voxel.
    anisotropy : float
        Longest over shortest, of the axes longer than one voxel; nan if one of those is nan.
    ratios : dict of str to float
        Each length over the geometric mean of those of the axes longer than one voxel.
    phase : int
    method, unit : str
    """

    length: dict[str, float]
    anisotropy: float
    ratios: dict[str, float]
    phase: int
    method: str
    unit: str

    def __repr__(self) -> str:
        lengths = ", ".join(f"{axis} {value:.4g}" for axis, value in self.length.items())
        return (
            f"CorrelationLengths(phase {self.phase}: {lengths} {self.unit}; "
            f"anisotropy {self.anisotropy:.3g})"
        )


def correlation_lengths(
    labels: Labels,
    phase: int | str,
    *,
    method: str = "1/e",
    periodic: Periodic = False,
    mask: Labels | None = None,
    voxel_size: VoxelSize | None = None,
    threads: int = 0,
) -> CorrelationLengths:
    r"""Compute the length over which a phase is correlated along each axis.

    The length comes from the covariance of the indicator along the axis,
    ``⟨(χ - φ)(χ' - φ)⟩ / (φ - φ²)``, where φ is the fraction of the whole image.

    Parameters
    ----------
    labels : array of bool or integers 0 ... 255, 2D or 3D, or Microstructure
        Phase of each voxel, axes (z, y, x) or (y, x).
    phase : int or str
        The phase: its label, or its name in a `Microstructure`.
    method : {"1/e", "integral"}
        The lag at which the covariance falls to 1/e (linear between voxels), or its integral by
        trapezoids up to the first zero.
    periodic : bool or one per axis
    mask : array of bool, optional
    voxel_size : float or one per axis, optional
        Spacing in metres; default: that of a Microstructure; of an array, voxels.
    threads : int
        CPU threads, 0 for all.

    Returns
    -------
    CorrelationLengths

    Examples
    --------
    >>> stripes = np.tile(np.repeat([0, 1], 8), (16, 4))
    >>> correlation_lengths(stripes, 1, periodic=True)
    CorrelationLengths(phase 1: y nan, x 2.528 voxels; anisotropy nan)
    """
    volume = LabelVolume.of(labels, mask)
    number = volume.phase(phase)
    method = _checks.choice(method, ("1/e", "integral"), name="method")
    spacing, unit = volume.spacing(voxel_size)
    fraction = np.count_nonzero(volume.inside == number) / max(volume.inside.size, 1)
    length = {}
    for axis in range(volume.ndim):
        line = LatticeLine.of(volume, axis, None, periodic, threads)
        curve = _covariance(line, number, fraction)
        value = fall_length(curve) if method == "1/e" else _integral(curve)
        along = axis + volume.lead
        length[AXIS_NAMES[along]] = value * spacing[along]
    values = np.array(
        [length[name] for name, n in zip(AXIS_NAMES, volume.shape, strict=True) if n > 1]
    )
    finite = bool(values.size and np.isfinite(values).all() and (values > 0).all())
    mean = float(np.exp(np.log(values).mean())) if finite else math.nan
    return CorrelationLengths(
        length,
        float(values.max() / values.min()) if finite else math.nan,
        {name: value / mean for name, value in length.items()},
        number,
        method,
        unit,
    )


def _covariance(line: LatticeLine, phase: int, fraction: float) -> np.ndarray:
    """Return ⟨(χ - φ)(χ' - φ)⟩ / (φ - φ²) along a line."""
    variance = fraction - fraction**2
    if variance == 0:
        return np.full(line.max_lag + 1, np.nan)
    pairs = line.all_pairs()
    both = ratio(line.pairs(phase, phase), pairs)
    either = ratio(line.pairs(phase, None) + line.pairs(None, phase), pairs)
    return (both - fraction * either + fraction**2) / variance


def fall_length(curve: np.ndarray) -> float:
    """Return the lag at which the curve first falls to 1/e, linear between lags; nan if never."""
    level = math.exp(-1)
    below = np.flatnonzero(curve <= level)
    if not below.size or below[0] == 0:
        return math.nan
    k = int(below[0])
    return k - 1 + float((curve[k - 1] - level) / (curve[k - 1] - curve[k]))


def _integral(curve: np.ndarray) -> float:
    """Return the trapezoidal area up to the first zero; nan of a single voxel."""
    below = np.flatnonzero(~(curve > 0))
    if len(curve) == 1 or (below.size and below[0] == 0):
        return math.nan
    k = int(below[0]) if below.size else len(curve)
    area = float(curve[:k].sum() - 0.5 * curve[0])
    if k == len(curve):
        return area - 0.5 * float(curve[-1])
    here, next_ = float(curve[k - 1]), float(curve[k])
    return area - 0.5 * here + 0.5 * here * here / (here - next_)


# ------------------------------------------------------------- all phases of 2D images together


def autocorrelation(image: np.ndarray, axis: int, max_lag: int) -> np.ndarray:
    """Return ``Σ_i S_ii(r)`` of an open 2D image of uint8 labels at lags ``0 ... max_lag``.

    That is the fraction of the pixel pairs at distance r along the axis that share their phase.
    """
    volume = LabelVolume(np.ascontiguousarray(image)[None], None, 2)
    line = LatticeLine(volume, (0, 1 - axis, axis), max_lag)
    present = np.flatnonzero(phase_counts(volume.labels, 256)).tolist()
    hits = sum(line.pairs(phase, phase) for phase in present)
    return hits / line.lines()


def pooled_autocorrelation(images: Sequence[np.ndarray], axis: int) -> np.ndarray:
    """Return the mean autocorrelation of 2D images, scaled from 1 to 0 of pixels far apart.

    The lags are those up to half the shortest image.  Images of one phase give ones.
    """
    shortest = min(image.shape[axis] for image in images)
    limit = min(max(shortest // 2, 1), shortest - 1)
    same = np.mean([autocorrelation(image, axis, limit) for image in images], axis=0)
    fractions = np.mean([phase_counts(image, 256) / image.size for image in images], axis=0)
    random = float(np.sum(fractions**2))  # of pairs far apart
    return (same - random) / (1.0 - random) if random < 1.0 else np.ones(limit + 1)


def pooled_correlation_length(images: Sequence[np.ndarray], axis: int) -> float:
    """Return the lag in pixels at which the mean autocorrelation of 2D images has fallen to 1/e.

    If it does not fall that far within half an image, return half the image.
    """
    curve = pooled_autocorrelation(images, axis)
    length = fall_length(curve)
    return float(max(len(curve) - 1, 1)) if math.isnan(length) else length
