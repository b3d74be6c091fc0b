# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Spheres: packed with binder around their contacts, or free to overlap."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from .. import _checks
from ..microstructure import Microstructure
from ..typing import VoxelSize
from ._common import Draw, Shape, check_fraction, check_fractions, make_microstructure, push_apart
from ._level_cuts import gaussian_field


def cathode(
    shape: Sequence[int],
    volume_fractions: Sequence[float] = (0.35, 0.50, 0.15),
    radius: float = 7.0,
    radius_spread: float = 0.25,
    seed: int = 0,
    *,
    periodic: bool | Sequence[bool] = False,
    voxel_size: VoxelSize = 1.0,
) -> Microstructure:
    """Return a packing of active spheres with binder around their contacts, like a cathode.

    Spheres of log-normal radii are placed at random and pushed apart until they no longer overlap;
    voxels within them (nearest to or deepest in a sphere first) are active.  Of the rest, the
    voxels with the least sum of distances to their two nearest spheres are binder, with a rough
    surface; what remains is pore.

    Parameters
    ----------
    shape : (nz, ny, nx)
        In voxels.
    volume_fractions : (pore, active, binder)
        With sum 1, active at most 0.6; met exactly, to one voxel.
    radius : float
        Mean radius of the spheres, in voxels.
    radius_spread : float
        Standard deviation of the radii over their mean, at most 0.5.
    seed : int
        Decides the volume.
    periodic : bool or (bool, bool, bool)
        Axes whose faces join.
    voxel_size : float or (dz, dy, dx)
        In metres.

    Returns
    -------
    Microstructure
        Phases ``pore``, ``active material``, ``binder``; statistically isotropic.
    """
    draw = Draw.of(shape, seed, periodic)
    fractions = check_fractions(volume_fractions, count=3)
    radius = _checks.real(radius, name="radius", minimum=1.0)
    spread = _checks.real(radius_spread, name="radius_spread", minimum=0.0, maximum=0.5)
    if fractions[1] > 0.6:
        raise _checks.refuse(
            "volume_fractions", "have at most 0.6 active material", f"{fractions[1]:g}"
        )
    box = draw.outer_box((math.ceil(4.0 * radius),) * 3)
    edges = np.array(box, dtype=np.float64)
    radii = _draw_radii(draw.rng, radius, spread, fractions[1] * edges.prod())
    centres = push_apart(draw.rng.random((len(radii), 3)) * edges, radii, edges)
    first, second = _two_nearest(draw.size, centres, radii, edges, reach=1.5 * radius)
    rough = gaussian_field(draw, (2.0, 2.0, 2.0))
    labels = _cathode_labels(first, first + second + 0.12 * radius * rough, fractions)
    parameters = draw.parameters(volume_fractions=fractions, radius=radius, radius_spread=spread)
    facts = {
        "spheres": len(radii),
        "spheres_in": list(box),
        "mean_radius": float(radii.mean()),
        "symmetry": "isotropic",
    }
    names = ("pore", "active material", "binder")
    return make_microstructure("cathode", labels, names, parameters, facts, voxel_size)


def _draw_radii(rng: np.random.Generator, mean: float, spread: float, volume: float) -> np.ndarray:
    """Return log-normal radii of spheres that fill a volume together."""
    sigma = math.sqrt(math.log1p(spread**2))
    radii = np.zeros(0)
    while (4.0 / 3.0 * np.pi * np.sum(radii**3)) < volume:
        normal = rng.standard_normal(max(64, int(volume / (4.2 * mean**3))))
        more = mean * np.exp(sigma * normal - sigma**2 / 2.0)
        radii = np.concatenate([radii, np.clip(more, 0.4 * mean, 2.5 * mean)])
    count = np.searchsorted(4.0 / 3.0 * np.pi * np.cumsum(radii**3), volume) + 1
    radii = radii[:count]
    return radii * (volume / (4.0 / 3.0 * np.pi * np.sum(radii**3))) ** (1.0 / 3.0)


def _cathode_labels(
    distance: np.ndarray, score: np.ndarray, fractions: tuple[float, ...]
) -> np.ndarray:
    """Return labels: active where the distance is least, binder where the score is, else pore."""
    active, binder = (round(fraction * distance.size) for fraction in fractions[1:])
    labels = np.zeros(distance.size, dtype=np.uint8)
    order = np.argpartition(distance.ravel(), max(active - 1, 0))
    labels[order[:active]] = 1
    rest = np.flatnonzero(labels == 0)
    if binder:
        order = np.argpartition(score.ravel()[rest], min(binder, len(rest) - 1))
        labels[rest[order[:binder]]] = 2
    return labels.reshape(distance.shape)


def overlapping_spheres(
    shape: Sequence[int],
    volume_fraction: float = 0.30,
    radius: float = 5.0,
    seed: int = 0,
    *,
    periodic: bool | Sequence[bool] = False,
    voxel_size: VoxelSize = 1.0,
) -> Microstructure:
    """Return spheres at the points of a Poisson process, free to overlap: the Boolean model.

    Parameters
    ----------
    shape : (nz, ny, nx)
        In voxels.
    volume_fraction : float
        Expected fraction of the spheres; that of one volume scatters about it.
    radius : float
        In voxels.
    seed : int
        Decides the volume.
    periodic : bool or (bool, bool, bool)
        Axes whose faces join.
    voxel_size : float or (dz, dy, dx)
        In metres.

    Returns
    -------
    Microstructure
        Phases ``outside`` and ``spheres``; :func:`overlapping_spheres_two_point` is its S2.
    """
    draw = Draw.of(shape, seed, periodic)
    fraction = check_fraction(volume_fraction)
    radius = _checks.real(radius, name="radius", minimum=0.5)
    box = np.array(draw.outer_box((math.ceil(2.0 * radius),) * 3), dtype=np.float64)
    density = -math.log1p(-fraction) / (4.0 / 3.0 * math.pi * radius**3)
    count = int(draw.rng.poisson(density * box.prod()))
    centres = draw.rng.random((count, 3)) * box
    labels = np.zeros(draw.size, dtype=np.uint8)
    radii = np.full(count, radius)
    for low, high, centre, _ in _boxes(draw.size, centres, radii, radii, box):
        here = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        z, y, x = ((np.arange(a, b) - c) ** 2 for a, b, c in zip(low, high, centre, strict=True))
        labels[here] |= z[:, None, None] + y[:, None] + x <= radius**2
    parameters = draw.parameters(volume_fraction=fraction, radius=radius)
    facts = {
        "expected_volume_fractions": [1.0 - fraction, fraction],
        "two_point": "synthetic.overlapping_spheres_two_point(volume_fraction, radius, distance)",
        "symmetry": "isotropic",
    }
    names = ("outside", "spheres")
    return make_microstructure("overlapping_spheres", labels, names, parameters, facts, voxel_size)


def overlapping_spheres_two_point(
    volume_fraction: float, radius: float, distance: ArrayLike
) -> np.ndarray:
    """Return S2 of the Boolean model of spheres at some distances, in the unit of the radius."""
    fraction = check_fraction(volume_fraction)
    radius = _checks.real(radius, name="radius", minimum=0.0, open_ends=True)
    q = np.minimum(np.abs(np.asarray(distance, dtype=np.float64)) / (2.0 * radius), 1.0)
    union = 1.0 + 1.5 * q - 0.5 * q**3  # of two spheres at that distance, over the volume of one
    return 2.0 * fraction - 1.0 + (1.0 - fraction) ** union


def _two_nearest(
    size: Shape, centres: np.ndarray, radii: np.ndarray, box: np.ndarray, reach: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return each voxel's distances to the two nearest surfaces, negative inside, up to reach."""
    first = np.full(size, reach, dtype=np.float32)
    second = np.full(size, reach, dtype=np.float32)
    for low, high, centre, r in _boxes(size, centres, radii + reach, radii, box):
        here = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        z, y, x = (
            (np.arange(a, b, dtype=np.float32) - np.float32(c)) ** 2
            for a, b, c in zip(low, high, centre, strict=True)
        )
        distance = np.sqrt(z[:, None, None] + y[:, None] + x) - np.float32(r)
        near = first[here]
        np.minimum(second[here], np.maximum(near, distance), out=second[here])
        np.minimum(near, distance, out=near)
    return first, second


def _boxes(
    size: Shape, centres: np.ndarray, reaches: np.ndarray, radii: np.ndarray, box: np.ndarray
) -> Iterable[tuple[list[int], list[int], np.ndarray, float]]:
    """Yield bounding boxes, clipped to the volume, of spheres and their periodic images."""
    for centre, reach, radius in zip(centres % box, reaches, radii, strict=True):
        shifts = []
        for c, n, length in zip(centre, size, box, strict=True):
            images = (-length, 0.0, length)
            shifts.append([s for s in images if c + s + reach >= 0 and c + s - reach <= n - 1])
        for sz in shifts[0]:
            for sy in shifts[1]:
                for sx in shifts[2]:
                    at = centre + np.array([sz, sy, sx])
                    low = [max(0, math.ceil(c - reach)) for c in at]
                    high = [
                        min(n, math.floor(c + reach) + 1) for c, n in zip(at, size, strict=True)
                    ]
                    yield low, high, at, float(radius)
