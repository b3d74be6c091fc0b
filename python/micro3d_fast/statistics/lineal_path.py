# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Lineal path: the chance that a straight segment lies wholly in a phase."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import _checks, ops
from .._arrays import is_cuda, to_numpy
from . import _image
from .two_point import along, curves, lines_of, ratio


def lineal_path(
    labels: Any,
    phase: int,
    *,
    axis: Any,
    max_lag: int | None = None,
    periodic: Any = False,
    mask: Any = None,
    batch: bool = False,
    threads: int = 0,
) -> np.ndarray:
    r"""Lineal-path function of a phase along an axis or a lattice direction.

    ``L(r)`` is the fraction of straight segments of ``r + 1`` voxels that lie wholly in the
    phase [1]_:

    .. math:: L(r) = \frac{\#\{x : x, x + d, \dots, x + r d \text{ in the phase}\}}
                          {\#\{x : x, x + d, \dots, x + r d \text{ in the image}\}} .

    Without periodic faces a line of N voxels holds N - r segments; with them N, a line wholly in
    the phase counts them all, and a segment may meet itself.

    Parameters
    ----------
    labels : array of bool or integers 0 ... 255, 2D or 3D, or Microstructure
        Phase of each voxel, axes (z, y, x) or (y, x).
    phase : int
        The phase.
    axis : int, str or tuple of int
        Direction d: 0, 1, 2 or "z", "y", "x", or a primitive lattice vector such as (0, 1, -1).
    max_lag : int, optional
        Longest lag; default half the voxels of the longest line that fits.
    periodic : bool or one per axis
        Let segments cross the faces.
    mask : array of bool, optional
        Count only segments wholly inside.
    batch : bool
        The first axis counts 2D images; one curve for each comes back.
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
    image = _image.load(labels, mask, batch=batch, on_device=True)
    number = _checks.phase_number(phase)
    direction, lag, wrap = along(image, axis, max_lag, periodic)
    if is_cuda(image.labels) and sum(map(abs, direction)) == 1 and not image.batch:
        along_axis = int(np.flatnonzero(direction)[0])  # one scan of runs: nothing is packed first
        runs = run_segments(image, number + 1, along_axis, lag, wrap, threads)[number]
        return ratio(runs, _segments_in_image(image, direction, lag, wrap, threads))
    keys: dict[str, Any] = {
        "direction": direction,
        "max_lag": lag,
        "periodic": wrap,
        "mask": image.mask,
        "per_slice": image.batch,
        "threads": _image.thread_count(threads),
    }
    hits = ops.segment_counts(image.labels, number, **keys)
    if image.mask is None:
        segments = lines_of(image, direction, lag, wrap)
    else:
        segments = ops.segment_counts(image.labels, None, **keys)
    return curves(hits, segments, image)


def lineal_paths(
    labels: Any,
    *,
    axis: Any,
    n_phases: int | None = None,
    max_lag: int | None = None,
    periodic: Any = False,
    mask: Any = None,
    threads: int = 0,
) -> np.ndarray:
    """Lineal-path functions of all phases along an axis, from one scan of the runs.

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
    image = _image.load(labels, mask, on_device=True)
    least = int(image.labels.max()) + 1
    n = least
    if n_phases is not None:
        n = _checks.integer(n_phases, name="n_phases", minimum=least, maximum=256)
    number = _checks.axis_number(axis, image.ndim)
    direction, lag, wrap = along(image, number, max_lag, periodic)
    hits = run_segments(image, n, direction.index(1), lag, wrap, threads)
    segments = _segments_in_image(image, direction, lag, wrap, threads)
    return ratio(hits, np.broadcast_to(segments, hits.shape))


def _segments_in_image(
    image: _image.Image, direction: tuple[int, ...], max_lag: int, wrap: Any, threads: int
) -> np.ndarray:
    """Segments along an axis that the image (and the mask) holds."""
    if image.mask is None:
        return lines_of(image, direction, max_lag, wrap)
    inside = _image.Image(image.mask8, None, image.ndim)
    axis = int(np.flatnonzero(direction)[0])
    return run_segments(inside, 2, axis, max_lag, wrap, threads)[1]


def run_segments(
    image: _image.Image, n_phases: int, axis: int, max_lag: int, wrap: Any, threads: int
) -> np.ndarray:
    """Segments of 1 ... max_lag + 1 voxels in each phase, from run lengths: int64 (P, lags)."""
    counts, full = ops.run_lengths(
        image.labels,
        axis=axis,
        n_phases=n_phases,
        periodic=wrap[axis],
        mask=image.mask8,
        threads=_image.thread_count(threads),
    )
    counts, full = to_numpy(counts), to_numpy(full)
    # Σ_n counts[n] max(n - r, 0): runs of at least n voxels, summed from the far end twice
    at_least = np.cumsum(counts[:, ::-1], axis=1)[:, ::-1]
    segments = np.cumsum(at_least[:, :0:-1], axis=1)[:, ::-1]
    return segments[:, : max_lag + 1] + full[:, None] * image.shape[axis]
