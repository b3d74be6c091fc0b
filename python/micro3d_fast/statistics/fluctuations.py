# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Law of the local volume fraction as a function of the window size."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from .. import _checks
from .._results import Result
from ..typing import Labels, Periodic
from ._volume import LabelVolume

__all__ = ["LocalFractions", "local_fractions"]


@dataclass(frozen=True, eq=False)
class LocalFractions(Result):
    """Law of the local volume fraction (see `local_fractions`).

    Attributes
    ----------
    size : array of int64
        Edge of the cubic window in voxels.
    mean, variance : array of float64
        Mean and variance of the volume fraction of the phase in all windows of that size.
    coarseness : array of float64
        Standard deviation over mean; nan where the mean is 0.
    windows : array of int64
        Number of windows.
    edges : array of float64, shape (bins + 1,)
        Edges of equal bins from 0 to 1.
    distribution : array of float64, shape (sizes, bins)
        Share of the windows with a fraction in each bin; the last bin includes 1.
    phase : int
    """

    size: np.ndarray
    mean: np.ndarray
    variance: np.ndarray
    coarseness: np.ndarray
    windows: np.ndarray
    edges: np.ndarray
    distribution: np.ndarray
    phase: int

    def __repr__(self) -> str:
        return (
            f"LocalFractions(phase {self.phase}: coarseness {self.coarseness[0]:.3g} at "
            f"{self.size[0]} … {self.coarseness[-1]:.3g} at {self.size[-1]} voxels)"
        )


def local_fractions(
    labels: Labels,
    phase: int | str,
    *,
    sizes: int | Iterable[int] | None = None,
    bins: int = 20,
    periodic: Periodic = False,
) -> LocalFractions:
    """Compute the law of the volume fraction in cubic (square) windows of several sizes.

    Variance (coarseness [1]_) and distribution (of a pore phase: the local porosity distribution
    [2]_).  Every position of the window counts; sums over windows are exact integers.

    Parameters
    ----------
    labels : array of bool or integers 0 ... 255, 2D or 3D, or Microstructure
        Phase of each voxel.
    phase : int or str
        The phase: its label, or its name in a `Microstructure`.
    sizes : int or iterable of int, optional
        Edges in voxels, each at most the shortest axis longer than one voxel (along an axis of one
        voxel the window has one voxel).  Default: 1, 2, 4, … up to half of that axis.
    bins : int
        Number of bins of the distribution.
    periodic : bool or one per axis
        Windows may cross the faces.

    Returns
    -------
    LocalFractions

    References
    ----------
    .. [1] B. Lu and S. Torquato, J. Chem. Phys. 93, 3452 (1990).
    .. [2] R. Hilfer, Phys. Rev. B 44, 60 (1991).

    Examples
    --------
    >>> local_fractions(np.eye(4, dtype=int), 1, sizes=[1, 2], periodic=True).variance
    array([0.1875 , 0.03125])
    """
    volume = LabelVolume.of(labels)
    number = volume.phase(phase)
    wrap = volume.periodic_axes(periodic)
    window_edges = checked_edges(sizes, volume.shortest)
    bins = _checks.integer(bins, name="bins", minimum=1)
    inside = volume.indicator(number)
    mean, variance, windows, shares = [], [], [], []
    for edge in window_edges:
        largest = edge ** sum(n > 1 for n in volume.shape)
        sums = inside.astype(np.int32 if largest < 2**31 else np.int64)
        voxels = 1
        for axis, (n, w) in enumerate(zip(volume.shape, wrap, strict=True)):
            if n == 1:
                continue
            sums = _window_sums(sums, edge, axis, w)
            voxels *= edge
        total = float(sums.sum(dtype=np.int64))
        mean.append(total / (sums.size * voxels))
        deviations = np.subtract(sums, total / sums.size)  # squares of integers would overflow
        variance.append(float(np.square(deviations, out=deviations).mean()) / voxels**2)
        windows.append(sums.size)
        shares.append(np.bincount(bin_of(sums, voxels, bins), minlength=bins) / sums.size)
    means, deviation = np.array(mean), np.sqrt(variance)
    coarseness = np.full(len(window_edges), np.nan)
    np.divide(deviation, means, out=coarseness, where=means > 0)
    return LocalFractions(
        np.array(window_edges),
        means,
        np.array(variance),
        coarseness,
        np.array(windows),
        np.arange(bins + 1) / bins,
        np.array(shares),
        number,
    )


def bin_of(sums: np.ndarray, voxels: int, bins: int) -> np.ndarray:
    """Return the bin of each fraction sums / voxels, of equal bins from 0 to 1, flat."""
    index = sums.ravel().astype(np.int64) * bins // voxels
    return np.minimum(index, bins - 1, out=index)


def checked_edges(sizes: int | Iterable[int] | None, longest: int) -> list[int]:
    """Check the edges of windows; by default the powers of 2 up to half the longest."""
    if sizes is None:
        edges = [1]
        while edges[-1] * 4 <= longest:
            edges.append(2 * edges[-1])
        return edges
    each = sizes if isinstance(sizes, Iterable) and getattr(sizes, "ndim", True) else (sizes,)
    edges = [_checks.integer(s, name="sizes", minimum=1, maximum=longest) for s in each]
    if not edges:
        raise _checks.refuse("sizes", "hold at least one size", "none")
    return edges


def _window_sums(values: np.ndarray, edge: int, axis: int, periodic: bool) -> np.ndarray:
    """Return the sums of ``edge`` neighbours along an axis, at every place where they fit."""
    lines = np.moveaxis(values, axis, 0)
    if periodic:
        lines = np.concatenate([lines, lines[: edge - 1]])
    total = np.cumsum(lines, axis=0, dtype=values.dtype)  # may wrap; the differences do not
    out = total[edge - 1 :].copy()
    out[1:] -= total[: len(total) - edge]
    return np.moveaxis(out, 0, axis)
