# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""How much the volume fraction varies from place to place, against the size of the window."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import _checks
from . import _image


@dataclass(frozen=True)
class LocalFractions:
    """Variance of the local volume fraction (see `local_fractions`).

    Attributes
    ----------
    size : array of int64
        Edge of the cubic window in voxels.
    mean, variance : array of float64
        Of the volume fraction of the phase in all windows of that size.
    coarseness : array of float64
        Standard deviation over mean; nan where the mean is 0.
    windows : array of int64
        Number of windows.
    phase : int
    """

    size: np.ndarray
    mean: np.ndarray
    variance: np.ndarray
    coarseness: np.ndarray
    windows: np.ndarray
    phase: int

    def __repr__(self) -> str:
        return (
            f"LocalFractions(phase {self.phase}: coarseness {self.coarseness[0]:.3g} at "
            f"{self.size[0]} … {self.coarseness[-1]:.3g} at {self.size[-1]} voxels)"
        )


def local_fractions(
    labels: Any, phase: int, *, sizes: Iterable[int] | None = None, periodic: Any = False
) -> LocalFractions:
    """Variance of the volume fraction in cubic (square) windows, against their size.

    Every position of the window counts; sums over windows are exact integers.

    Parameters
    ----------
    labels : array of bool or integers 0 ... 255, 2D or 3D, or Microstructure
        Phase of each voxel.
    phase : int
        The phase.
    sizes : iterable of int, optional
        Edges in voxels, each at most the shortest axis longer than one voxel (an axis of one
        voxel is one voxel of the window too).  Default 1, 2, 4, … up to half of it.
    periodic : bool or one per axis
        Windows may cross the faces.

    Returns
    -------
    LocalFractions

    References
    ----------
    .. [1] B. Lu and S. Torquato, J. Chem. Phys. 93, 3452 (1990).

    Examples
    --------
    >>> local_fractions(np.eye(4, dtype=int), 1, sizes=[1, 2], periodic=True).variance
    array([0.1875 , 0.03125])
    """
    image = _image.load(labels)
    number = _checks.phase_number(phase)
    wrap = image.periodic3(periodic)
    extents = [n for n in image.space if n > 1]
    longest = min(extents, default=1)
    if sizes is None:
        edges = [1]
        while edges[-1] * 4 <= longest:
            edges.append(2 * edges[-1])
    else:
        edges = [_checks.integer(s, name="sizes", minimum=1, maximum=longest) for s in sizes]
        if not edges:
            raise ValueError("`sizes` must hold at least one size, got none")
    inside = image.indicator(number)
    mean, variance, windows = [], [], []
    for edge in edges:
        sums = inside.astype(np.int32)
        volume = 1
        for axis, (n, w) in enumerate(zip(image.shape, wrap, strict=True)):
            if n == 1:
                continue
            sums = _window_sums(sums, edge, axis, w)
            volume *= edge
        total = float(sums.sum(dtype=np.int64))
        squares = float((sums.astype(np.int64) ** 2).sum())
        mean.append(total / (sums.size * volume))
        variance.append(max(squares / sums.size - (total / sums.size) ** 2, 0.0) / volume**2)
        windows.append(sums.size)
    average, spread = np.array(mean), np.sqrt(variance)
    coarse = np.full(len(edges), np.nan)
    np.divide(spread, average, out=coarse, where=average > 0)
    return LocalFractions(
        np.array(edges), average, np.array(variance), coarse, np.array(windows), number
    )


def _window_sums(values: np.ndarray, edge: int, axis: int, periodic: bool) -> np.ndarray:
    """Sums of ``edge`` neighbours along an axis, at every place where they fit."""
    lines = np.moveaxis(values, axis, 0)
    if periodic:
        lines = np.concatenate([lines, lines[: edge - 1]])
    total = np.cumsum(lines, axis=0, dtype=np.int32)
    out = total[edge - 1 :].copy()
    out[1:] -= total[: len(total) - edge]
    return np.moveaxis(out, 0, axis)
