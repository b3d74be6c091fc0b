# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Lineal path: the chance that a straight segment lies wholly in a phase."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import _bits, _checks
from . import _image
from .two_point import along, curves, lines_of


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
    image = _image.load(labels, mask, batch=batch)
    number = _checks.phase_number(phase)
    direction, lag, wrap = along(image, axis, max_lag, periodic)
    keys = {
        "direction": direction,
        "max_lag": lag,
        "periodic": wrap,
        "mask": image.mask,
        "per_slice": image.batch,
        "threads": _image.thread_count(threads),
    }
    hits = _bits.segment_counts(image.labels, number, **keys)
    if image.mask is None:
        segments = lines_of(image, direction, lag, wrap)
    else:
        segments = _bits.segment_counts(image.labels, None, **keys)
    return curves(hits, segments, image)
