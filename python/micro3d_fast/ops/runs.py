# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Histograms of runs, for lineal paths and chord lengths."""

from __future__ import annotations

from .. import _core
from .._arrays import Array, zeros_like
from .._checks import axis_number, integer
from ._shapes import require_mask, shape_of
from .device import current_stream

__all__ = ["run_lengths"]


def run_lengths(
    labels: Array,
    *,
    axis: int | str,
    n_phases: int,
    periodic: bool = False,
    mask: Array | None = None,
    threads: int = 0,
) -> tuple[Array, Array]:
    """Count the maximal runs of every phase along one axis, by length.

    Lineal paths and chord lengths follow from this: a run of ``n`` voxels holds
    ``max(n - r, 0)`` segments of ``r + 1`` voxels.

    Parameters
    ----------
    labels : array of uint8 or bool, shape (nz, ny, nx) or (ny, nx)
        Phase of every voxel. numpy, torch or cupy; any strides; never copied. Labels of
        ``n_phases`` and more end runs and are not counted.
    axis : int or {"z", "y", "x"}
        Direction of the runs, an axis of ``labels``.
    n_phases : int
        Phases 0 ... ``n_phases - 1`` are counted; 1 ... 256.
    periodic : bool
        Let runs cross the faces of the volume.
    mask : array of uint8 or bool, same shape
        Voxels outside (zero) belong to no phase. None: every voxel counts.
    threads : int
        CPU threads, 0 for all. The result does not depend on it. Ignored on CUDA.

    Returns
    -------
    counts : array of int64, shape (n_phases, N + 1)
        ``counts[p, n]``: maximal runs of exactly ``n`` voxels of phase ``p``; ``N`` is the extent
        along ``axis``. Same framework and device as ``labels``.
    full : array of int64, shape (n_phases,)
        Rows of a periodic axis that lie wholly in the phase: their runs have no ends and are not in
        ``counts``. Zero if not periodic.

    Raises
    ------
    TypeError
        ``labels`` or ``mask`` is not an array of uint8 or bool.
    ValueError
        A shape, ``axis`` or ``n_phases`` is out of range; ``mask`` is on another device.

    Examples
    --------
    >>> import numpy as np
    >>> row = np.array([[0, 1, 1, 0, 0]], dtype=np.uint8)
    >>> run_lengths(row, axis="x", n_phases=2)[0]
    array([[0, 1, 1, 0, 0, 0],
           [0, 0, 1, 0, 0, 0]])
    >>> run_lengths(row, axis="x", n_phases=2, periodic=True)[0]
    array([[0, 0, 0, 1, 0, 0],
           [0, 0, 1, 0, 0, 0]])
    """
    shape = shape_of(labels, "labels", 2, 3)
    axis = axis_number(axis, len(shape))
    n_phases = integer(n_phases, name="n_phases", minimum=1, maximum=256)
    require_mask(mask, shape)
    counts = zeros_like(labels, (n_phases, shape[axis] + 1), "int64")
    full = zeros_like(labels, (n_phases,), "int64")
    if len(shape) == 2:
        labels, mask = labels[None], None if mask is None else mask[None]
        axis += 1
    stream = current_stream(labels)
    _core.run_lengths(labels, mask, counts, full, axis, bool(periodic), stream, threads)
    return counts, full
