# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Random materials of many families, for networks that must know more than one material.

Every family makes a score, a smooth function of place, and a phase is the part of the volume where
a score is least: so the fractions are exact whatever the family.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import _checks
from ..microstructure import Microstructure
from ..typing import VoxelSize
from ._common import Draw, Shape, make_microstructure, push_apart
from ._level_cuts import cut

LEAST_FRACTION = 0.05
_FEWEST_VOXELS = 64  # of which every phase gets at least three
_SHORTEST, _LONGEST = 1.5, 25.0  # correlation lengths of fields, in voxels
_MOST_POINTS = 60_000  # of the centre lines, discs and centres of a volume
_MOST_SPHERES = 2_000  # that are pushed apart

Rng = np.random.Generator
Family = Callable[[Rng, Shape, float], np.ndarray]


def random_material(
    seed: int,
    shape: Sequence[int] = (96, 96, 96),
    n_phases: int = 2,
    *,
    voxel_size: VoxelSize = 1.0,
) -> Microstructure:
    """Return a volume of a material drawn at random from many families.

    The families are fibres (aligned, in planes or in all directions, straight or wavy, endless or
    short), overlapping spheres, ellipsoids and platelets, packed spheres and ellipsoids, level cuts
    of Gaussian fields with random spectra, wavy layers, fibrils between lamellae, grains of random
    phases, and grain boundaries.  Of three phases the third is a further level of the same function
    (shells, second levels), lies where the rest is most enclosed by the first phase (binder,
    bridges), or belongs to an independent material.  Axes and labels are permuted at random.

    Parameters
    ----------
    seed : int
        Decides the material and the volume.
    shape : (nz, ny, nx)
        In voxels, at least 64 together.
    n_phases : {2, 3}
        Number of phases.
    voxel_size : float or (dz, dy, dx)
        In metres.

    Returns
    -------
    Microstructure
        The truth holds ``family`` and, for three phases, ``third`` (``"level"``, ``"bridge"`` or
        the family of the independent material).  The fractions are uniformly distributed over all
        that leave every phase at least 0.05.
    """
    draw = Draw.of(shape, seed, False)
    count = _checks.integer(n_phases, name="n_phases", minimum=2, maximum=3)
    if math.prod(draw.size) < _FEWEST_VOXELS:
        wanted = f"hold at least {_FEWEST_VOXELS} voxels"
        raise _checks.refuse("shape", wanted, str(math.prod(draw.size)))
    rng = draw.rng
    fractions = LEAST_FRACTION + (1 - count * LEAST_FRACTION) * rng.dirichlet(np.ones(count))
    axes = rng.permutation(3)
    nz, ny, nx = (draw.size[a] for a in axes)
    family = str(rng.choice(list(FAMILIES)))
    score = _roughened(rng, FAMILIES[family](rng, (nz, ny, nx), float(fractions[0])))
    facts: dict[str, Any] = {"family": family}
    if count == 2:
        found = cut(score, tuple(fractions))
    else:
        third, found = _three_phases(rng, score, fractions)
        facts["third"] = third
    labels = rng.permutation(count).astype(np.uint8)[found]
    labels = np.ascontiguousarray(labels.transpose(np.argsort(axes)))
    names = tuple(f"phase {phase}" for phase in range(count))
    parameters = {"seed": draw.seed, "shape": draw.size, "n_phases": count}
    return make_microstructure("random_material", labels, names, parameters, facts, voxel_size)


def _three_phases(rng: Rng, score: np.ndarray, fractions: np.ndarray) -> tuple[str, np.ndarray]:
    """Return how the third phase is placed, and labels."""
    from scipy.ndimage import gaussian_filter

    third = str(rng.choice(["level", "bridge", "independent"]))
    if third == "level":
        return third, cut(score, tuple(fractions))
    first = cut(score, (fractions[0], 1 - fractions[0])) == 0
    share = float(fractions[1] / (1 - fractions[0]))
    if third == "bridge":
        enclosed = gaussian_filter(first.astype(np.float32), rng.uniform(1.5, 5.0))
        other = _roughened(rng, -enclosed, always=True)
    else:
        third = str(rng.choice(list(FAMILIES)))
        other = _roughened(rng, FAMILIES[third](rng, score.shape, share))
    labels = np.zeros(score.shape, dtype=np.uint8)
    labels[~first] = 1 + cut(other[~first], (share, 1 - share))
    return third, labels


def _roughened(rng: Rng, score: np.ndarray, always: bool = False) -> np.ndarray:
    """Add a fine field to some of the scores, for rough interfaces."""
    if not always and rng.random() < 0.7:
        return score
    amplitude = rng.uniform(0.05, 0.3) * float(score.std())
    return score + amplitude * _field(rng, score.shape, (rng.uniform(1.5, 3.0),) * 3)


# ------------------------------------------------------------------------------- Gaussian fields


def _field(
    rng: Rng,
    size: Shape,
    lengths: Sequence[float],
    spectrum: str = "gaussian",
    rotation: np.ndarray | None = None,
) -> np.ndarray:
    """Return a Gaussian field of unit variance, float32, cut out of a larger periodic one.

    ``"gaussian"`` has the autocorrelation exp(-(r/l)^2), ``"power"`` a spectrum that falls with a
    random power beyond 1/l, ``"band"`` one of random width about 2/l (spinodal patterns).
    """
    from scipy import fft

    margin = np.ceil(2 * np.broadcast_to(lengths if rotation is None else max(lengths), 3))
    box = [fft.next_fast_len(int(n), real=True) for n in size + margin]
    waves = [fft.fftfreq(box[0]), fft.fftfreq(box[1]), fft.rfftfreq(box[2])]
    k = [np.float32(2 * np.pi) * x.astype(np.float32) for x in np.ix_(*waves)]
    if rotation is not None:
        k = [r[0] * k[0] + r[1] * k[1] + r[2] * k[2] for r in rotation.astype(np.float32)]
    square = sum((np.float32(length) * x) ** 2 for length, x in zip(lengths, k, strict=True))
    if spectrum == "gaussian":
        amplitude = np.exp(square / np.float32(-8))
    elif spectrum == "power":
        amplitude = (1 + square) ** np.float32(-rng.uniform(0.8, 2.0))
    else:
        width = rng.uniform(0.15, 0.6)
        amplitude = np.exp((np.sqrt(square) - 2) ** 2 / np.float32(-4 * width**2))
    noise = fft.rfftn(rng.standard_normal(box, dtype=np.float32))
    noise *= amplitude
    noise[0, 0, 0] = 0
    field = fft.irfftn(noise, s=box, overwrite_x=True)[tuple(slice(n) for n in size)]
    return np.asarray(field / max(float(field.std()), 1e-12), dtype=np.float32)


def _lengths(rng: Rng) -> tuple[float, ...]:
    """Draw correlation lengths, one for all axes or one per axis."""
    if rng.random() < 0.4:
        return (_log_uniform(rng, _SHORTEST, 16.0),) * 3
    return tuple(_log_uniform(rng, _SHORTEST, _LONGEST) for _ in range(3))


def _level_cut(rng: Rng, size: Shape, fraction: float) -> np.ndarray:
    """Cut one field, the distance of one from its mean (walls), or the sum of two scales."""

    def draw() -> np.ndarray:
        rotation = _rotation(rng) if rng.random() < 0.3 else None
        spectrum = str(rng.choice(["gaussian", "power", "band"]))
        return _field(rng, size, _lengths(rng), spectrum, rotation)

    field, kind = draw(), rng.random()
    if kind < 0.2:
        return np.abs(field)
    return field if kind < 0.75 else field + np.float32(rng.uniform(0.3, 1.0)) * draw()


def _layers(rng: Rng, size: Shape, fraction: float) -> np.ndarray:
    """Layers of irregular thickness, normal to an axis or nearly so, wavy along the others."""
    period, along = _log_uniform(rng, 5.0, 30.0), rng.uniform(8.0, _LONGEST, 2)
    waves = rng.uniform(0.1, 0.7) * _field(rng, size, (max(period, 2.0), *along))
    z, y, x = _places(size)
    tilt = rng.normal(0.0, 0.15, 2) if rng.random() < 0.5 else np.zeros(2)
    place = (z + tilt[0] * y + tilt[1] * x) / period + waves + rng.random()
    return np.cos(2 * np.pi * place).astype(np.float32)


def _fibrils(rng: Rng, size: Shape, fraction: float) -> np.ndarray:
    """Fibrils along the first axis between wavy lamellae normal to it: a stretched film."""
    thin = [_log_uniform(rng, 1.5, 4.0) for _ in range(2)]
    fibrils = _field(rng, size, (rng.uniform(10.0, _LONGEST), *thin))
    waves = rng.uniform(0.1, 0.4) * _field(rng, size, (20.0, *rng.uniform(6.0, 20.0, 2)))
    place = _places(size)[0] / rng.uniform(12.0, 40.0) + waves + rng.random()
    lamellae = 2 * np.cos(2 * np.pi * place).astype(np.float32)
    return np.minimum(fibrils, lamellae + np.float32(rng.uniform(-0.5, 0.8)))


# ---------------------------------------------------------------------- distances to sets of points


def _distances(
    size: Shape, points: np.ndarray, metric: np.ndarray | None = None, count: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Return each voxel's distances to its nearest points, and which they are, (*size, count).

    ``metric`` maps places to those between which distances are Euclidean.
    """
    from scipy.spatial import cKDTree

    places = np.stack(np.broadcast_arrays(*_places(size)), axis=-1).reshape(-1, 3)
    if metric is not None:
        points, places = points @ metric.T, places @ metric.T
    tree = cKDTree(points, balanced_tree=False, compact_nodes=False)
    distance, which = tree.query(places, k=range(1, min(count, len(points)) + 1))
    return distance.astype(np.float32).reshape(*size, -1), which.reshape(*size, -1)


def _distance_to_lines(size: Shape, points: np.ndarray, margin: int) -> np.ndarray:
    """Return each voxel's distance to dense points: to the point in the nearest voxel with one.

    Its cost does not depend on the number of points.  Those farther out than the margin are left.
    """
    from scipy.ndimage import distance_transform_edt

    box = tuple(n + 2 * margin for n in size)
    points = points.astype(np.float32) + np.float32(margin)
    voxels = np.rint(points).astype(np.int32)
    inside = ((voxels >= 0) & (voxels < box)).all(axis=1)
    if not inside.any():
        inside[:] = True
        voxels = np.clip(voxels, 0, np.array(box) - 1)
    central_last = np.argsort(-np.linalg.norm(points[inside] - voxels[inside], axis=1))
    voxels, points = voxels[inside][central_last], points[inside][central_last]
    number = np.full(box, -1, dtype=np.int32)
    number[tuple(voxels.T)] = np.arange(len(voxels), dtype=np.int32)
    nearest = distance_transform_edt(number < 0, return_distances=False, return_indices=True)
    inner = tuple(slice(margin, margin + n) for n in size)
    found = points[number[tuple(index[inner] for index in nearest)]]
    places = np.stack(np.broadcast_arrays(*_places(size)), axis=-1).astype(np.float32) + margin
    return np.linalg.norm(found - places, axis=-1)


def _scattered(rng: Rng, size: Shape, density: float, margin: float, most: int) -> np.ndarray:
    """Return uniformly distributed points, also in a margin around the volume."""
    box = np.array(size) + 2 * margin
    count = min(max(4, int(rng.poisson(min(density * box.prod(), 1e9)))), most)
    return rng.random((count, 3)) * box - margin


def _stretch(rng: Rng) -> np.ndarray | None:
    """Return the metric of ellipsoids with axes of random ratios; None for spheres."""
    if rng.random() < 0.4:
        return None
    ratios = np.exp(rng.uniform(-0.8, 0.8, 3))
    metric = np.diag(ratios / ratios.prod() ** (1 / 3))
    return metric @ _rotation(rng) if rng.random() < 0.4 else metric


def _spheres(rng: Rng, size: Shape, fraction: float) -> np.ndarray:
    """Spheres or parallel ellipsoids that overlap."""
    radius = _log_uniform(rng, 2.0, 14.0)
    density = _covering(fraction) / (4 / 3 * math.pi * radius**3)
    points = _scattered(rng, size, density, 2 * radius, _MOST_POINTS)
    return _distances(size, points, _stretch(rng))[0][..., 0]


def _packed(rng: Rng, size: Shape, fraction: float) -> np.ndarray:
    """Spheres or ellipsoids of several sizes that touch but do not overlap, else sintered."""
    stretch = np.exp(rng.uniform(-0.6, 0.6, 3)) if rng.random() < 0.4 else np.ones(3)
    stretch /= stretch.prod() ** (1 / 3)  # they are spheres in the stretched space
    radius, packed = _log_uniform(rng, 2.5, 12.0), min(fraction, 0.55)
    box = np.array(size) * stretch + 4.0 * radius
    radius = max(radius, (packed * box.prod() / (4 / 3 * math.pi * _MOST_SPHERES)) ** (1 / 3))
    count = max(4, round(packed * box.prod() / (4 / 3 * math.pi * radius**3)))
    radii = radius * np.exp(rng.normal(0.0, rng.uniform(0.0, 0.35), count))
    radii *= (packed * box.prod() / (4 / 3 * math.pi * np.sum(radii**3))) ** (1 / 3)
    centres = push_apart(rng.random((count, 3)) * box, radii, box, iterations=25) - 2.0 * radius
    distance, which = _distances(size, centres / stretch, np.diag(stretch), count=2)
    return np.min(distance - radii.astype(np.float32)[which], axis=-1)


def _platelets(rng: Rng, size: Shape, fraction: float) -> np.ndarray:
    """Flat discs, parallel or in all directions, that overlap."""
    radius, half = rng.uniform(5.0, 14.0), rng.uniform(0.8, 2.5)
    density = _covering(fraction) / (2 * half * math.pi * (radius + half) ** 2)
    filled = max(8, math.ceil(math.pi * radius**2))  # points of a disc, about one per voxel
    centres = _scattered(rng, size, density, radius, _MOST_POINTS // filled)
    normal = _directions(rng, len(centres), rng.choice([0.0, 0.2, np.inf]))
    u = np.cross(normal, rng.standard_normal((len(centres), 3)))
    u /= np.linalg.norm(u, axis=1, keepdims=True)
    r = radius * np.sqrt((np.arange(filled) + 0.5) / filled)
    angle = np.arange(filled) * (math.pi * (3 - math.sqrt(5)))  # evenly spaced on the disc
    flat = r * np.cos(angle), r * np.sin(angle)
    discs = flat[0][:, None] * u[:, None] + flat[1][:, None] * np.cross(normal, u)[:, None]
    return _distance_to_lines(size, (centres[:, None] + discs).reshape(-1, 3), 4)


def _fibres(rng: Rng, size: Shape, fraction: float) -> np.ndarray:
    """Fibres along an axis, in planes or in all directions; straight or wavy; endless or short."""
    radius = _log_uniform(rng, 1.5, 7.0)
    endless = 1.8 * float(np.linalg.norm(size))
    length = endless if rng.random() < 0.6 else rng.uniform(4, 16) * radius
    margin = min(length / 2, 0.5 * max(size))
    density = _covering(fraction) / (math.pi * radius**2 * length)
    along = np.arange(-length / 2, length / 2 + 1)
    centres = _scattered(rng, size, density, margin, max(4, 4 * _MOST_POINTS // len(along)))
    way = _directions(rng, len(centres), rng.choice([0.0, 0.05, 0.2, 0.5, np.inf]))
    if rng.random() < 0.3:  # in planes
        way[:, 0] = 0.1 * rng.standard_normal(len(way))
        way[:, 1:] = rng.standard_normal((len(way), 2))
    way /= np.linalg.norm(way, axis=1, keepdims=True)
    lines = centres[:, None] + along[:, None] * way[:, None]
    if rng.random() < 0.5:
        wave = rng.uniform(20.0, 80.0)
        phases = 2 * np.pi * (along[:, None] / wave + rng.random((len(centres), 1, 3)))
        lines += rng.uniform(0.02, 0.12) * wave * np.sin(phases)
    return _distance_to_lines(size, lines.reshape(-1, 3), math.ceil(1.5 * radius))


def _grains(rng: Rng, size: Shape, fraction: float) -> np.ndarray:
    """Voronoi cells that belong to a phase each; of one cell a part, for the fraction."""
    centres = _scattered(rng, size, _log_uniform(rng, 5.0, 24.0) ** -3, 8.0, _MOST_POINTS)
    which = _distances(size, centres, _stretch(rng))[1][..., 0]
    rank = rng.permutation(len(centres)).astype(np.float32)
    return rank[which] + np.float32(0.05) * _field(rng, size, (6.0,) * 3)


def _grain_boundaries(rng: Rng, size: Shape, fraction: float) -> np.ndarray:
    """Films of constant thickness between Voronoi cells: foams, grain boundary phases."""
    centres = _scattered(rng, size, _log_uniform(rng, 6.0, 28.0) ** -3, 10.0, _MOST_POINTS)
    metric = _stretch(rng)
    distance, which = _distances(size, centres, metric, count=2)
    places = centres if metric is None else centres @ metric.T
    apart = np.linalg.norm(places[which[..., 0]] - places[which[..., 1]], axis=-1)
    square = distance.astype(np.float64) ** 2
    return ((square[..., 1] - square[..., 0]) / (2 * apart)).astype(np.float32)


FAMILIES: dict[str, Family] = {
    "fibres": _fibres,
    "spheres": _spheres,
    "packing": _packed,
    "platelets": _platelets,
    "level cut": _level_cut,
    "layers": _layers,
    "fibrils": _fibrils,
    "grains": _grains,
    "grain boundaries": _grain_boundaries,
}


# --------------------------------------------------------------------------------------- helpers


def _covering(fraction: float) -> float:
    """Return the volume of bodies per volume that cover a fraction of it, if they may overlap."""
    return -math.log1p(-fraction)


def _log_uniform(rng: Rng, low: float, high: float) -> float:
    return low * (high / low) ** rng.random()


def _places(size: Shape) -> tuple[np.ndarray, ...]:
    """Return the coordinates of the voxels along z, y and x, to be broadcast."""
    return tuple(np.ogrid[tuple(slice(0.0, n) for n in size)])


def _directions(rng: Rng, count: int, scatter: float) -> np.ndarray:
    """Return unit vectors about the first axis, by a scatter in radians; infinite: isotropic."""
    way = rng.standard_normal((count, 3))
    if math.isfinite(scatter):
        way = np.array([1.0, 0.0, 0.0]) + scatter * way
    return way / np.linalg.norm(way, axis=1, keepdims=True)


def _rotation(rng: Rng) -> np.ndarray:
    """Return a random orthogonal matrix."""
    q, r = np.linalg.qr(rng.standard_normal((3, 3)))
    return q * np.sign(np.diag(r))
