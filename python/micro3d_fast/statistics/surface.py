# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Specific surface: area of a phase's boundary per volume (in 2D: its length per area)."""

from __future__ import annotations

import functools
import itertools
import math
from typing import Any

import numpy as np

from .. import _checks, ops
from . import _image
from .two_point import lines_of


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
    r"""Surface of a phase per volume of the image.

    ``"crofton"`` counts how often lines in 13 directions (4 in 2D) enter or leave the phase and
    averages over directions (Cauchy and Crofton [1]_):
    ``S_V = 2 ⟨crossings per length⟩``, in 2D ``(π / 2) ⟨crossings per length⟩``, each direction
    weighing as the solid angle nearest to it.  ``"faces"`` adds up the faces between voxels of
    the phase and others: exact for boxes, a factor 1.5 too large for a ball however fine the
    voxels (4/π for a disk).

    Parameters
    ----------
    labels : array of bool or integers 0 ... 255, 2D or 3D, or Microstructure
        Phase of each voxel, axes (z, y, x) or (y, x).
    phase : int
        The phase.
    method : {"crofton", "faces"}
    periodic : bool or one per axis
        Count across the faces; an open face of the image is no surface.
    mask : array of bool, optional
        Count only where both sides are inside.
    voxel_size : float or one per axis, optional
        Spacing in metres; the result is then in 1/m, otherwise per voxel edge.
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
    image = _image.load(labels, mask)
    number = _checks.phase_number(phase)
    method = _checks.choice(method, ("crofton", "faces"), name="method")
    wrap = image.periodic3(periodic)
    spacing, _ = _image.spacing(image, voxel_size)
    threads = _image.thread_count(threads)
    inside = image.indicator(number).view(np.uint8)
    axes = [tuple(int(k == axis) for k in range(3)) for axis in range(image.lead, 3)]
    if method == "faces":
        return sum(_crossings(inside, image, d, wrap, threads) / spacing[d.index(1)] for d in axes)
    directions = _directions(image.lead)
    weights = _solid_angles(directions, spacing, image.lead)
    per_length = 0.0
    for d, weight in zip(directions, weights, strict=True):
        length = math.sqrt(sum((s * h) ** 2 for s, h in zip(d, spacing, strict=True)))
        per_length += weight * _crossings(inside, image, d, wrap, threads) / length
    return (2.0 if image.ndim == 3 else math.pi / 2) * per_length


def _crossings(
    inside: np.ndarray, image: _image.Image, direction: tuple[int, ...], wrap: Any, threads: int
) -> float:
    """Share of the neighbour pairs along a direction with one end in the phase."""
    reach = all(w or abs(d) < n for w, d, n in zip(wrap, direction, image.shape, strict=True))
    if not reach:
        return 0.0
    keys: dict[str, Any] = {
        "direction": direction,
        "max_lag": 1,
        "periodic": wrap,
        "mask": image.mask,
    }
    keys["threads"] = threads
    changes = ops.pair_counts(inside, 1, 0, **keys) + ops.pair_counts(inside, 0, 1, **keys)
    if image.mask is None:
        pairs = lines_of(image, direction, 1, wrap)[1]
    else:
        pairs = ops.pair_counts(inside, None, None, **keys).sum(0)[1]
    return float(changes.sum(0)[1] / pairs) if pairs else 0.0


def _directions(lead: int) -> tuple[tuple[int, int, int], ...]:
    """One of each pair of opposite neighbours: 13 in 3D, 4 in 2D."""
    near = (-1, 0, 1)
    steps = itertools.product((0,) if lead else near, near, near)
    return tuple(d for d in steps if d > (0, 0, 0))


@functools.lru_cache(maxsize=16)
def _solid_angles(directions: tuple[Any, ...], spacing: tuple[float, ...], lead: int) -> np.ndarray:
    """Share of all directions nearest to each of these (or its opposite); they add up to 1."""
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
