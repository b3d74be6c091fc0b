# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Lineal path: the probability that a straight segment lies entirely in a phase."""

from __future__ import annotations

import numpy as np

from .. import _checks, ops
from .._arrays import is_cuda, to_numpy
from ..typing import Axis, Labels, Periodic
from ._curves import LatticeLine, ratio
from ._volume import Flags3, LabelVolume

__all__ = ["lineal_path", "lineal_paths"]


def lineal_path(
    labels: Labels,
    phase: int | str,
    *,
    axis: Axis,
    max_lag: int | None = None,
    periodic: Periodic = False,
    mask: Labels | None = None,
    batch: bool = False,
    threads: int = 0,
) -> np.ndarray:
    r"""Compute the lineal-path function of a phase along an axis or a lattice direction.

    ``L(r)`` is the fraction of straight segments of ``r + 1`` voxels that lie entirely in the
    phase [1]_:

    .. math:: L(r) = \frac{\#\{x : x, x + d, \dots, x + r d \text{ in the phase}\}}
                          {\#\{x : x, x + d, \dots, x + r d \text{ in the image}\}} .

    Without periodic faces a line of N voxels holds N - r segments.  With them it holds N, all of
    which count if the line lies entirely in the phase; a segment may overlap itself.

    Parameters
    ----------
    labels : array of bool or integers 0 ... 255, 2D or 3D, or Microstructure
        Phase of each voxel, axes (z, y, x) or (y, x).
    phase : int or str
        The phase: its label, or its name in a `Microstructure`.
    axis : int, str or tuple of int
        Direction d: 0, 1, 2 or "z", "y", "x", or a primitive lattice vector such as the diagonals
        (0, 1, -1) and (1, 1, 1); lag r is then r times that vector.
    max_lag : int, optional
        Longest lag; default half the voxels of the longest line that fits.
    periodic : bool or one per axis
        Let segments cross the faces.
    mask : array of bool, optional
        Count only segments entirely inside.
    batch : bool
        The first axis is a batch of 2D images; the result has one curve per image.
    threads : int
        CPU threads, 0 for all.  The result does not depend on it.

    Returns
    -------
    array of float64, shape (max_lag + 1,) or (images, max_lag + 1)
        L(0) ... L(max_lag), exact to the last division; L(0) is the volume fraction; nan where
        the mask leaves no segment.

    References
    ----------
    .. [1] B. Lu and S. Torquato, Phys. Rev. A 45, 922 (1992).

    Examples
    --------
    Layers two voxels thick:

    >>> layers = np.repeat([1, 1, 0, 0], 4).reshape(4, 2, 2)
    >>> lineal_path(layers, 1, axis="z")
    array([0.5       , 0.33333333, 0.        ])
    >>> lineal_path(layers, 1, axis="x", max_lag=1)
    array([0.5, 0.5])
    """
    volume = LabelVolume.of(labels, mask, batch=batch, on_device=True, by_blocks=True)
    number = volume.phase(phase)
    line = LatticeLine.of(volume, axis, max_lag, periodic, threads)
    if is_cuda(volume.labels) and line.axis is not None and not volume.batch:
        # one scan of runs, which needs no packing
        return ratio(_run_segments(line, number + 1)[number], _all_segments(line))
    return ratio(line.segments(number), line.all_segments())


def lineal_paths(
    labels: Labels,
    *,
    axis: Axis,
    n_phases: int | None = None,
    max_lag: int | None = None,
    periodic: Periodic = False,
    mask: Labels | None = None,
    threads: int = 0,
) -> np.ndarray:
    """Compute the lineal-path functions of all phases along an axis, from one scan of the runs.

    A run of n voxels holds max(n - r, 0) segments of r + 1 voxels.

    Parameters
    ----------
    labels, max_lag, periodic, mask, threads
        As of `lineal_path`.
    axis : int or str
        0, 1, 2 or "z", "y", "x".
    n_phases : int, optional
        Number of phases; default the largest label + 1.

    Returns
    -------
    array of float64, shape (n_phases, max_lag + 1)

    Examples
    --------
    >>> lineal_paths(np.array([[0, 1, 1, 1]]), axis="x", max_lag=2)
    array([[0.25      , 0.        , 0.        ],
           [0.75      , 0.66666667, 0.5       ]])
    """
    volume = LabelVolume.of(labels, mask, on_device=True, by_blocks=True)
    n = volume.phase_count(n_phases)
    number = _checks.axis_number(axis, volume.ndim)
    line = LatticeLine.of(volume, number, max_lag, periodic, threads)
    return ratio(_run_segments(line, n), _all_segments(line))


def _all_segments(line: LatticeLine) -> np.ndarray:
    """Return the segments along an axis in the image (and in the mask): int64 (lags,)."""
    return line.lines() if line.volume.mask is None else _run_segments(line, None)[1]


def _run_segments(line: LatticeLine, n_phases: int | None) -> np.ndarray:
    """Count the segments of 1 ... max_lag + 1 voxels in each phase from runs: int64 (P, lags).

    ``n_phases`` None counts those outside and inside the mask.
    """
    axis = line.axis
    assert axis is not None

    def measure(part: LabelVolume, periodic: Flags3) -> np.ndarray:
        counts, full = ops.run_lengths(
            part.mask8 if n_phases is None else part.labels,
            axis=axis,
            n_phases=n_phases or 2,
            periodic=periodic[axis],
            mask=None if n_phases is None else part.mask8,
            threads=line.threads,
        )
        return np.column_stack([to_numpy(counts), to_numpy(full)])

    whole = axis == 0, axis == 1, axis == 2
    runs = line.volume.total(measure, whole=whole, periodic=line.periodic)
    counts, full = runs[:, :-1], runs[:, -1:]
    # Σ_n counts[n] max(n - r, 0): runs of at least n voxels, summed from the far end twice
    at_least = np.cumsum(counts[:, ::-1], axis=1)[:, ::-1]
    segments = np.cumsum(at_least[:, :0:-1], axis=1)[:, ::-1]
    return segments[:, : line.max_lag + 1] + full * line.volume.shape[axis]
