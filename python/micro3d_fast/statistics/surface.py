# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Specific surface: area of a phase's boundary per volume (in 2D: its length per area)."""

from __future__ import annotations

import functools
import itertools
import math
from typing import Any

import numpy as np

from .. import _checks
from ._curves import LatticeLine
from ._threads import thread_count
from ._volume import Flags3, LabelVolume, Shape3

__all__ = ["specific_surface"]


def specific_surface(
    labels: Any,
    phase: int,
    *,
    method: str = "crofton",
    periodic: Any = False,
    mask: Any = None,
    voxel_size: Any = None,
    threads: int = 0,
) -> float:
    r"""Compute the surface of a phase per volume of the image.

    ``"crofton"`` counts how often lines in 13 directions (4 in 2D) enter or leave the phase and
    averages over directions (Cauchy and Crofton [1]_):
    ``S_V = 2 ⟨crossings per length⟩``, in 2D ``(π / 2) ⟨crossings per length⟩``.  The weight of a
    direction is the solid angle nearest to it.  ``"faces"`` adds up the faces between voxels of
    the phase and others: exact for boxes, but a factor 1.5 too large for a ball at any resolution
    (4/π for a disk).

    Parameters
    ----------
    labels : array of bool or integers 0 ... 255, 2D or 3D, or Microstructure
        Phase of each voxel, axes (z, y, x) or (y, x).
    phase : int
        The phase.
    method : {"crofton", "faces"}
    periodic : bool or one per axis
        Count across the faces of the image; its open faces are not surface.
    mask : array of bool, optional
        Count only where both sides are inside.
    voxel_size : float or one per axis, optional
        Spacing in metres; the result is then in 1/m, otherwise per voxel edge.  Default: that of a
        Microstructure.
    threads : int
        CPU threads, 0 for all.

    Returns
    -------
    float
        Surface area per volume.

    References
    ----------
    .. [1] J. Ohser and F. Mücklich, Statistical Analysis of Microstructures in Materials Science,
       Wiley 2000, Chapter 4.

    Examples
    --------
    >>> layers = np.repeat([0, 1], 128).reshape(4, 8, 8)
    >>> round(specific_surface(layers, 1, method="faces", periodic=True), 12)
    0.5
    """
    volume = LabelVolume.of(labels, mask)
    number = _checks.phase_number(phase)
    method = _checks.choice(method, ("crofton", "faces"), name="method")
    wrap = volume.periodic_axes(periodic)
    spacing, _ = volume.spacing(voxel_size)
    threads = thread_count(threads)
    inside = LabelVolume(volume.indicator(number).view(np.uint8), volume.mask, volume.ndim)
    if method == "faces":
        axes = ((1, 0, 0), (0, 1, 0), (0, 0, 1))[volume.lead :]
        return sum(_crossings(inside, d, wrap, threads) / spacing[d.index(1)] for d in axes)
    directions = _directions(volume.lead)
    weights = _solid_angles(directions, spacing, volume.lead)
    per_length = 0.0
    for d, weight in zip(directions, weights, strict=True):
        length = math.sqrt(sum((s * h) ** 2 for s, h in zip(d, spacing, strict=True)))
        per_length += weight * _crossings(inside, d, wrap, threads) / length
    return (2.0 if volume.ndim == 3 else math.pi / 2) * per_length


def _crossings(inside: LabelVolume, direction: Shape3, periodic: Flags3, threads: int) -> float:
    """Return the share of the neighbour pairs along a direction with one end in the phase."""
    steps = zip(periodic, direction, inside.shape, strict=True)
    if not all(wrap or abs(d) < n for wrap, d, n in steps):
        return 0.0
    line = LatticeLine(inside, direction, 1, periodic, threads)
    changes, pairs = line.pairs(1, 0) + line.pairs(0, 1), line.all_pairs()
    return float(changes[1] / pairs[1]) if pairs[1] else 0.0


def _directions(lead: int) -> tuple[Shape3, ...]:
    """Return one of each pair of opposite neighbours: 13 in 3D, 4 in 2D."""
    near = (-1, 0, 1)
    steps = itertools.product((0,) if lead else near, near, near)
    return tuple(d for d in steps if d > (0, 0, 0))


@functools.lru_cache(maxsize=16)
def _solid_angles(directions: tuple[Any, ...], spacing: tuple[float, ...], lead: int) -> np.ndarray:
    """Return the share of all directions nearest to each one or its opposite; the sum is 1."""
    vectors = np.array(directions) * np.array(spacing)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    if lead:
        angle = np.arctan2(vectors[:, 1], vectors[:, 2]) % np.pi
        order = np.argsort(angle)
        gaps = np.diff(np.append(angle[order], angle[order[0]] + np.pi))
        share = np.empty(len(angle))
        share[order] = (gaps + np.roll(gaps, 1)) / (2 * np.pi)
        return share
    from scipy.spatial import SphericalVoronoi

    areas = SphericalVoronoi(np.concatenate([vectors, -vectors])).calculate_areas()
    return (areas[: len(vectors)] + areas[len(vectors) :]) / (4 * np.pi)
