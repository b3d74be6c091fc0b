# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Synthetic microstructures with known ground truth.

Every generator returns a ``Microstructure`` whose provenance holds ``generator``, ``parameters``
(all of them, the seed too) and ``truth``: the exact volume fractions of this volume, and the
analytic facts of the model it is drawn from.  Lengths are in voxels, angles in degrees, shapes
``(nz, ny, nx)``, and three lengths for the axes are ``(z, y, x)``.  The seed decides the volume on
any machine with the same numpy.  ``periodic`` is one bool or one per axis: a periodic axis joins
at its faces; along any other, the volume is cut out of a larger one.

The first three are what the bundled models are trained on:

=================== ============================================ ================================
generator           phases                                       known
=================== ============================================ ================================
fibre_composite     0 matrix, 1 fibre along z                    radius, number, misalignment
separator           0 pore, 1 polymer                            S2, exact fractions
cathode             0 pore, 1 active material, 2 binder          exact fractions
level_cut           any number, cut from one Gaussian field      S2 (two phases), exact fractions
overlapping_spheres 0 outside, 1 spheres                         S2, expected fraction
layered             any number, in layers normal to an axis      everything
checkerboard        0 and 1 in cubes                             everything
=================== ============================================ ================================
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from micro3d_fast import _checks
from micro3d_fast.microstructure import Microstructure, count_labels

Shape = tuple[int, int, int]


# ------------------------------------------------------------------------------- fibre composite


def fibre_composite(
    shape: Sequence[int],
    volume_fraction: float = 0.45,
    radius: float = 4.5,
    misalignment: float = 3.0,
    seed: int = 0,
    *,
    periodic: bool | Sequence[bool] = False,
    gap: float = 1.0,
    voxel_size: Any = 1.0,
) -> Microstructure:
    """Unidirectional fibres along z in a matrix: round, slightly wavy, not overlapping.

    Discs are thrown at random into the xy plane, none onto another, and pushed apart to the gap
    where they were too many to miss each other; each then wanders along z on a
    smooth random path of its own, and all paths are pushed apart again wherever two come closer
    than the gap.  The sections normal to z are circles of the radius.

    Parameters
    ----------
    shape : (nz, ny, nx)
        In voxels.
    volume_fraction : float
        Of the fibres; the radius is fitted to it within the rounding of their number.  At most
        0.75, gaps included.
    radius : float
        Of the fibres, in voxels.
    misalignment : float
        Root mean square of the angle between the fibres and z, in degrees, below 15.  Crowded
        fibres keep each other straighter; the truth says what came out.
    seed : int
        Decides the volume.
    periodic : bool or (bool, bool, bool)
        Axes whose faces join.
    gap : float
        Least distance between fibre surfaces, in voxels; where the fibres are crowded, half of it
        may remain.
    voxel_size : float or (dz, dy, dx)
        In metres.

    Returns
    -------
    Microstructure
        Phases ``matrix`` and ``fibre``; the truth holds radius, number and realized misalignment.
    """
    size = _checks.shape3(shape, name="shape")
    fraction = _fraction(volume_fraction)
    radius = _checks.real(radius, name="radius", minimum=0.5)
    angle = _checks.real(
        misalignment, name="misalignment", minimum=0.0, maximum=15.0, open_ends=(False, True)
    )
    gap = _checks.real(gap, name="gap", minimum=0.0)
    wraps = _checks.per_axis_bool(periodic)
    crowd = fraction * (1.0 + gap / (2.0 * radius)) ** 2
    if crowd > 0.75:
        raise ValueError(
            f"`volume_fraction` must leave room for fibres and gaps, at most "
            f"{0.75 * fraction / crowd:.3g} here, got {fraction:g}"
        )
    rng = np.random.default_rng(_checks.seed_number(seed))

    wander = 13.0 * radius  # length along z over which a fibre keeps its direction
    box = _outer_box(size, wraps, (math.ceil(2.0 * wander), *(math.ceil(4.0 * radius),) * 2))
    area = np.array(box[1:], dtype=np.float64)
    count = max(1, round(fraction * area.prod() / (math.pi * radius**2)))
    drawn = math.sqrt(fraction * area.prod() / (math.pi * count))
    distance = 2.0 * drawn + gap
    points = _thrown_discs(rng, count, distance, area)
    points = _push_apart(points, np.full(count, distance / 2.0), area)
    levels = max(1, box[0] // 4)
    step = box[0] / levels
    wandering = _wandering(rng, count, levels, box[0], wander)
    slope = math.tan(math.radians(angle))
    amplitude = slope
    for _ in range(3):  # pushing apart straightens the paths: wander more until it is right
        paths = points[:, None, :] + amplitude * wandering
        paths = _push_paths_apart(paths, distance, gap / 2.0, area)
        realized = _slope(paths, step)
        if slope == 0.0 or realized == 0.0 or abs(realized / slope - 1.0) < 0.02:
            break
        amplitude *= slope / realized

    paths = _shifted_to_fraction(paths, drawn, size, wraps, box, fraction)
    labels = np.zeros(size, dtype=np.uint8)
    for z in range(size[0]):
        low, part = int(z / step), z / step % 1.0
        centres = (1.0 - part) * paths[:, low % levels] + part * paths[:, (low + 1) % levels]
        _paint_discs(labels[z], centres, drawn, box[1:])
    facts = {
        "fibre_radius": drawn,
        "fibres": count,
        "fibres_in": [box[1], box[2]],
        "misalignment_rms_degrees": math.degrees(math.atan(_slope(paths, step))),
        "smallest_gap": _smallest_gap(paths, drawn, area),
        "symmetry_axis": "z",
    }
    parameters = {
        "shape": size,
        "volume_fraction": fraction,
        "radius": radius,
        "misalignment": angle,
        "seed": int(seed),
        "periodic": wraps,
        "gap": gap,
    }
    return _made("fibre_composite", labels, ("matrix", "fibre"), parameters, facts, voxel_size)


def _thrown_discs(
    rng: np.random.Generator, count: int, distance: float, box: np.ndarray
) -> np.ndarray:
    """Random sequential addition to a periodic box, as far as it fills without trying long.

    A disc falls no nearer to another than the distance, or than what lets 45 % of the box be
    covered, which is quickly reached (54.7 % is the most that ever is).
    """
    from scipy.spatial import cKDTree

    apart = min(distance, math.sqrt(0.45 * 4.0 / math.pi * box.prod() / count), 0.5 * box.min())
    points = np.empty((0, 2))
    for _ in range(200):
        trial = rng.random((2 * count, 2)) * box
        if len(points):
            nearest, _ = cKDTree(points, boxsize=box).query(trial)
            trial = trial[nearest >= apart]
        kept = np.ones(len(trial), dtype=bool)
        pairs = cKDTree(trial, boxsize=box).query_pairs(apart, output_type="ndarray")
        for i, j in np.sort(pairs[np.argsort(pairs[:, 1], kind="stable")], axis=1).tolist():
            if kept[i]:  # the earlier one stays
                kept[j] = False
        points = np.concatenate([points, trial[kept]])[:count]
        if len(points) == count:
            return points
    return np.concatenate([points, rng.random((count - len(points), 2)) * box])


def _wandering(
    rng: np.random.Generator, count: int, levels: int, length: int, wander: float
) -> np.ndarray:
    """Smooth periodic displacements (count, levels, 2) with a root mean square slope of one."""
    modes = np.arange(1, levels // 2)
    if len(modes) == 0:
        return np.zeros((count, levels, 2))
    k = 2.0 * np.pi * modes / length
    weight = np.exp(-0.5 * np.minimum((k**2 - k[0] ** 2) * (wander / 2.0) ** 2, 700.0))
    weight /= math.sqrt(2.0 * np.sum((k * weight) ** 2))
    wave = np.outer(modes, np.arange(levels)) * (2.0 * np.pi / levels)
    cosine, sine = rng.standard_normal((2, count, 2, len(modes))) * weight
    paths = cosine @ np.cos(wave) + sine @ np.sin(wave)  # (count, 2, levels)
    return np.moveaxis(paths, 1, 2)


def _slope(paths: np.ndarray, step: float) -> float:
    """Root mean square slope of paths against z."""
    steps = (np.roll(paths, -1, axis=1) - paths) / step
    return math.sqrt(float(np.mean(np.sum(steps**2, axis=-1))))


def _shifted_to_fraction(
    paths: np.ndarray,
    radius: float,
    size: Shape,
    wraps: Sequence[bool],
    box: Shape,
    fraction: float,
) -> np.ndarray:
    """The volume is a window of the box: move it to where its fraction is nearest to the target."""
    from scipy.ndimage import uniform_filter1d

    if wraps[1] and wraps[2]:
        return paths
    chosen = np.linspace(0, paths.shape[1] * size[0] / box[0], 4, endpoint=False).astype(np.int64)
    cover = np.zeros(box[1:])
    for level in chosen:
        image = np.zeros(box[1:], dtype=np.uint8)
        _paint_discs(image, paths[:, level], radius, box[1:])
        cover += image / len(chosen)
    for axis in (0, 1):
        if not wraps[axis + 1]:  # mean of the window that begins here
            n = size[axis + 1]
            cover = uniform_filter1d(cover, n, axis=axis, mode="wrap", origin=-(n // 2))
        else:
            cover = np.broadcast_to(cover.mean(axis=axis, keepdims=True), cover.shape)
    best = np.unravel_index(np.argmin(np.abs(cover - fraction)), cover.shape)
    return paths - np.array([0 if wrap else b for wrap, b in zip(wraps[1:], best, strict=True)])


def _push_paths_apart(
    paths: np.ndarray, distance: float, tolerance: float, box: np.ndarray
) -> np.ndarray:
    """Move paths smoothly until no two are closer than ``distance - tolerance`` at any level."""
    from scipy.ndimage import gaussian_filter1d
    from scipy.sparse import coo_matrix
    from scipy.spatial import cKDTree

    count, levels, _ = paths.shape
    middle = paths.mean(axis=1)
    reach = distance + 2.0 * float(np.abs(paths - middle[:, None]).max()) + 4.0
    reach = min(reach, float(box.min()) / 2.0)
    pairs = cKDTree(middle % box, boxsize=box).query_pairs(reach, output_type="ndarray")
    if len(pairs) == 0:
        return paths
    rows = pairs.T.reshape(-1)
    columns = np.tile(np.arange(len(pairs)), 2)
    signs = np.repeat([1.0, -1.0], len(pairs))
    to_paths = coo_matrix((signs, (rows, columns)), shape=(count, len(pairs))).tocsr()
    for _ in range(300):
        apart = paths[pairs[:, 0]] - paths[pairs[:, 1]]  # (pairs, levels, 2)
        apart -= box * np.round(apart / box)
        length = np.sqrt(np.sum(apart**2, axis=-1))
        if float(length.min()) >= distance - tolerance:
            break
        overlap = np.maximum(distance - length, 0.0) / np.maximum(length, 1e-9)
        shift = to_paths @ (0.5 * overlap[..., None] * apart).reshape(len(pairs), -1)
        shift = shift.reshape(count, levels, 2)
        smooth = gaussian_filter1d(shift, 2.0, axis=1, mode="wrap")
        paths = paths + 0.8 * smooth
    return paths


def _smallest_gap(paths: np.ndarray, radius: float, box: np.ndarray) -> float:
    from scipy.spatial import cKDTree

    if len(paths) < 2:
        return float(box.min() - 2.0 * radius)
    nearest = [
        cKDTree(paths[:, level] % box, boxsize=box).query(paths[:, level] % box, k=2)[0][:, 1].min()
        for level in range(paths.shape[1])
    ]
    return float(min(nearest) - 2.0 * radius)


def _paint_discs(
    image: np.ndarray, centres: np.ndarray, radius: float, box: tuple[int, int]
) -> None:
    """Set to 1 the pixels of ``image`` inside discs of the periodic ``box`` that contains it."""
    reach = math.ceil(radius)
    window = np.arange(-reach, reach + 1)
    corner = np.round(centres).astype(np.int64)  # (n, 2)
    offset = window - (centres - corner)[..., None]  # (n, 2, w)
    inside = offset[:, 0, :, None] ** 2 + offset[:, 1, None, :] ** 2 <= radius**2
    which, i, j = np.nonzero(inside)
    y = (corner[which, 0] + window[i]) % box[0]
    x = (corner[which, 1] + window[j]) % box[1]
    here = (y < image.shape[0]) & (x < image.shape[1])
    image[y[here], x[here]] = 1


# --------------------------------------------------------------------- level-cut Gaussian field


def separator(
    shape: Sequence[int],
    volume_fraction: float = 0.40,
    correlation_length: float | Sequence[float] = (7.0, 7.0, 3.5),
    seed: int = 0,
    *,
    periodic: bool | Sequence[bool] = False,
    voxel_size: Any = 1.0,
) -> Microstructure:
    """Battery-separator-like polymer: an anisotropic Gaussian field, cut at a level.

    Both phases are connected, thin along x and long along y and z, which are statistically alike.

    Parameters
    ----------
    shape : (nz, ny, nx)
        In voxels.
    volume_fraction : float
        Of the polymer; met exactly, to one voxel.
    correlation_length : float or (lz, ly, lx)
        In voxels; the field's autocorrelation is ``exp(-(z/lz)^2 - (y/ly)^2 - (x/lx)^2)``.
    seed : int
        Decides the volume.
    periodic : bool or (bool, bool, bool)
        Axes whose faces join.
    voxel_size : float or (dz, dy, dx)
        In metres.

    Returns
    -------
    Microstructure
        Phases ``pore`` and ``polymer``; its S2 is :func:`level_cut_two_point` of the field's
        autocorrelation.
    """
    fraction = _fraction(volume_fraction)
    return _level_cut(
        "separator",
        shape,
        (1.0 - fraction, fraction),
        correlation_length,
        seed,
        periodic,
        ("pore", "polymer"),
        voxel_size,
    )


def level_cut(
    shape: Sequence[int],
    volume_fractions: Sequence[float] = (0.5, 0.5),
    correlation_length: float | Sequence[float] = 4.0,
    seed: int = 0,
    *,
    periodic: bool | Sequence[bool] = False,
    voxel_size: Any = 1.0,
) -> Microstructure:
    """One Gaussian field, cut at levels into any number of phases; low values are phase 0.

    Parameters
    ----------
    shape : (nz, ny, nx)
        In voxels.
    volume_fractions : sequence of float
        One per phase, with sum 1; met exactly, to one voxel.
    correlation_length : float or (lz, ly, lx)
        In voxels; the field's autocorrelation is ``exp(-(z/lz)^2 - (y/ly)^2 - (x/lx)^2)``.
    seed : int
        Decides the volume.
    periodic : bool or (bool, bool, bool)
        Axes whose faces join.
    voxel_size : float or (dz, dy, dx)
        In metres.

    Returns
    -------
    Microstructure
    """
    fractions = _fractions(volume_fractions)
    return _level_cut(
        "level_cut", shape, fractions, correlation_length, seed, periodic, (), voxel_size
    )


def _level_cut(
    generator: str,
    shape: Any,
    fractions: tuple[float, ...],
    correlation_length: Any,
    seed: Any,
    periodic: Any,
    names: tuple[str, ...],
    voxel_size: Any,
) -> Microstructure:
    size = _checks.shape3(shape, name="shape")
    lengths = _lengths(correlation_length)
    wraps = _checks.per_axis_bool(periodic)
    rng = np.random.default_rng(_checks.seed_number(seed))
    field = _gaussian_field(rng, size, lengths, wraps)
    labels = _cut(field, fractions)
    parameters = {
        "shape": size,
        "volume_fractions": fractions,
        "correlation_length": lengths,
        "seed": int(seed),
        "periodic": wraps,
    }
    facts = {
        "field_autocorrelation": "exp(-(z/lz)^2 - (y/ly)^2 - (x/lx)^2)",
        "two_point": "synthetic.level_cut_two_point(volume_fraction, field_autocorrelation)",
    }
    return _made(generator, labels, names, parameters, facts, voxel_size)


def _gaussian_field(
    rng: np.random.Generator,
    size: Shape,
    lengths: tuple[float, float, float],
    wraps: tuple[bool, ...],
) -> np.ndarray:
    """White noise through the square root of the spectrum; float32, unit variance on average."""
    from scipy import fft

    margin = tuple(math.ceil(2.5 * length) for length in lengths)
    box = tuple(
        outer if wrap else fft.next_fast_len(outer, real=True)
        for outer, wrap in zip(_outer_box(size, wraps, margin), wraps, strict=True)
    )
    spectrum = fft.rfftn(rng.standard_normal(box, dtype=np.float32))
    power = 1.0
    for axis, (n, length) in enumerate(zip(box, lengths, strict=True)):
        k = 2.0 * np.pi * (fft.rfftfreq(n) if axis == 2 else fft.fftfreq(n))
        amplitude = np.exp(-((k * length) ** 2) / 8.0)
        full = (
            amplitude if axis < 2 else np.exp(-((2.0 * np.pi * fft.fftfreq(n) * length) ** 2) / 8)
        )
        power *= float(np.mean(full**2))
        spectrum *= amplitude.astype(np.float32).reshape([-1 if a == axis else 1 for a in range(3)])
    field = fft.irfftn(spectrum, s=box, overwrite_x=True)
    return field[: size[0], : size[1], : size[2]] / np.float32(math.sqrt(power))


def level_cut_two_point(volume_fraction: float, autocorrelation: Any) -> np.ndarray:
    """S2 of the phase above (or below) the level of a Gaussian field, from its autocorrelation.

    Parameters
    ----------
    volume_fraction : float
        Of the phase.
    autocorrelation : array
        Of the field, in [-1, 1].

    Returns
    -------
    array
        ``f^2 + 1/(2 pi) int_0^rho exp(-t^2/(1+s)) / sqrt(1-s^2) ds``, ``t`` the level: 1/4 +
        arcsin(rho) / (2 pi) for one half.
    """
    from scipy.special import ndtri

    fraction = _fraction(volume_fraction)
    rho = np.clip(np.asarray(autocorrelation, dtype=np.float64), -1.0, 1.0)
    level = float(ndtri(fraction))
    nodes, weights = np.polynomial.legendre.leggauss(64)
    angle = np.arcsin(rho)  # s = sin(angle) takes the root away
    u = 0.5 * angle[..., None] * (nodes + 1.0)
    integrand = np.exp(-(level**2) / (1.0 + np.sin(u)))
    return fraction**2 + (0.5 * angle) * np.sum(weights * integrand, axis=-1) / (2.0 * np.pi)


# ---------------------------------------------------------------------------------------- cathode


def cathode(
    shape: Sequence[int],
    volume_fractions: Sequence[float] = (0.35, 0.50, 0.15),
    radius: float = 7.0,
    radius_spread: float = 0.25,
    seed: int = 0,
    *,
    periodic: bool | Sequence[bool] = False,
    voxel_size: Any = 1.0,
) -> Microstructure:
    """Battery-cathode-like: a packing of active spheres with binder around their contacts.

    Spheres of log-normal radii are thrown at random and pushed apart until they touch at most;
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
    size = _checks.shape3(shape, name="shape")
    fractions = _fractions(volume_fractions, count=3)
    radius = _checks.real(radius, name="radius", minimum=1.0)
    spread = _checks.real(radius_spread, name="radius_spread", minimum=0.0, maximum=0.5)
    wraps = _checks.per_axis_bool(periodic)
    if fractions[1] > 0.6:
        raise ValueError(
            f"`volume_fractions` must have at most 0.6 active material, got {fractions[1]:g}"
        )
    rng = np.random.default_rng(_checks.seed_number(seed))
    box = _outer_box(size, wraps, (math.ceil(4.0 * radius),) * 3)
    edges = np.array(box, dtype=np.float64)
    shape_parameter = math.sqrt(math.log1p(spread**2))
    target, radii = fractions[1] * edges.prod(), np.zeros(0)
    while (4.0 / 3.0 * np.pi * np.sum(radii**3)) < target:
        more = radius * np.exp(
            shape_parameter * rng.standard_normal(max(64, int(target / (4.2 * radius**3))))
            - shape_parameter**2 / 2.0
        )
        radii = np.concatenate([radii, np.clip(more, 0.4 * radius, 2.5 * radius)])
    keep = np.searchsorted(4.0 / 3.0 * np.pi * np.cumsum(radii**3), target) + 1
    radii = radii[:keep] * (target / (4.0 / 3.0 * np.pi * np.sum(radii[:keep] ** 3))) ** (1.0 / 3.0)
    centres = _push_apart(rng.random((keep, 3)) * edges, radii, edges)

    first, second = _two_nearest(size, centres, radii, edges, reach=1.5 * radius)
    rough = _gaussian_field(rng, size, (2.0, 2.0, 2.0), wraps)
    total = first.size
    active, binder = (round(fraction * total) for fraction in fractions[1:])
    labels = np.zeros(total, dtype=np.uint8)
    order = np.argpartition(first.ravel(), max(active - 1, 0))
    labels[order[:active]] = 1
    rest = np.flatnonzero(labels == 0)
    score = first.ravel()[rest] + second.ravel()[rest] + 0.12 * radius * rough.ravel()[rest]
    if binder:
        labels[rest[np.argpartition(score, min(binder, len(rest) - 1))[:binder]]] = 2
    labels = labels.reshape(size)
    parameters = {
        "shape": size,
        "volume_fractions": fractions,
        "radius": radius,
        "radius_spread": spread,
        "seed": int(seed),
        "periodic": wraps,
    }
    facts = {
        "spheres": int(keep),
        "spheres_in": list(box),
        "mean_radius": float(radii.mean()),
        "symmetry": "isotropic",
    }
    names = ("pore", "active material", "binder")
    return _made("cathode", labels, names, parameters, facts, voxel_size)


def _two_nearest(
    size: Shape, centres: np.ndarray, radii: np.ndarray, box: np.ndarray, reach: float
) -> tuple[np.ndarray, np.ndarray]:
    """Distances of every voxel to the two nearest sphere surfaces, negative inside, up to reach."""
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
    """Bounding boxes, clipped to the volume, of spheres and of their periodic images."""
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


# ----------------------------------------------------------------------------- overlapping spheres


def overlapping_spheres(
    shape: Sequence[int],
    volume_fraction: float = 0.30,
    radius: float = 5.0,
    seed: int = 0,
    *,
    periodic: bool | Sequence[bool] = False,
    voxel_size: Any = 1.0,
) -> Microstructure:
    """Spheres at the points of a Poisson process, free to overlap: the Boolean model.

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
    size = _checks.shape3(shape, name="shape")
    fraction = _fraction(volume_fraction)
    radius = _checks.real(radius, name="radius", minimum=0.5)
    wraps = _checks.per_axis_bool(periodic)
    rng = np.random.default_rng(_checks.seed_number(seed))
    box = np.array(_outer_box(size, wraps, (math.ceil(2.0 * radius),) * 3), dtype=np.float64)
    density = -math.log1p(-fraction) / (4.0 / 3.0 * math.pi * radius**3)
    count = int(rng.poisson(density * box.prod()))
    centres = rng.random((count, 3)) * box
    labels = np.zeros(size, dtype=np.uint8)
    radii = np.full(count, radius)
    for low, high, centre, _ in _boxes(size, centres, radii, radii, box):
        here = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        z, y, x = ((np.arange(a, b) - c) ** 2 for a, b, c in zip(low, high, centre, strict=True))
        labels[here] |= z[:, None, None] + y[:, None] + x <= radius**2
    parameters = {
        "shape": size,
        "volume_fraction": fraction,
        "radius": radius,
        "seed": int(seed),
        "periodic": wraps,
    }
    facts = {
        "expected_volume_fractions": [1.0 - fraction, fraction],
        "two_point": "synthetic.overlapping_spheres_two_point(volume_fraction, radius, distance)",
        "symmetry": "isotropic",
    }
    names = ("outside", "spheres")
    return _made("overlapping_spheres", labels, names, parameters, facts, voxel_size)


def overlapping_spheres_two_point(
    volume_fraction: float, radius: float, distance: Any
) -> np.ndarray:
    """S2 of the spheres of the Boolean model at some distances, in the unit of the radius."""
    fraction = _fraction(volume_fraction)
    radius = _checks.real(radius, name="radius", minimum=0.0, open_ends=True)
    q = np.minimum(np.abs(np.asarray(distance, dtype=np.float64)) / (2.0 * radius), 1.0)
    union = 1.0 + 1.5 * q - 0.5 * q**3  # volume of two spheres that far apart, over one
    return 2.0 * fraction - 1.0 + (1.0 - fraction) ** union


# ------------------------------------------------------------------------------- layers and cubes


def layered(
    shape: Sequence[int],
    volume_fractions: Sequence[float] = (0.5, 0.5),
    period: int = 8,
    axis: int | str = "z",
    *,
    voxel_size: Any = 1.0,
) -> Microstructure:
    """Plane layers normal to an axis, in turn one of each phase: a laminate.

    Parameters
    ----------
    shape : (nz, ny, nx)
        In voxels.
    volume_fractions : sequence of float
        One per phase, with sum 1: thickness of its layer over the period, rounded to whole voxels
        (the truth says to what).
    period : int
        In voxels, at least one per phase.
    axis : int or str
        The normal of the layers.
    voxel_size : float or (dz, dy, dx)
        In metres.

    Returns
    -------
    Microstructure
        Periodic along the axis where its length is a multiple of the period.
    """
    size = _checks.shape3(shape, name="shape")
    fractions = _fractions(volume_fractions)
    period = _checks.integer(period, name="period", minimum=len(fractions))
    normal = _checks.axis_number(axis, 3)
    ends = np.round(np.cumsum(fractions) * period).astype(np.int64)
    thickness = np.diff(ends, prepend=0)
    if (thickness == 0).any():
        raise ValueError(
            f"`period` must give every phase a layer of at least one voxel, got {period}, which "
            f"gives {thickness.tolist()}"
        )
    column = np.repeat(np.arange(len(fractions), dtype=np.uint8), thickness)
    line = column[np.arange(size[normal]) % period]
    labels = np.empty(size, dtype=np.uint8)
    labels[...] = line.reshape([-1 if a == normal else 1 for a in range(3)])
    parameters = {
        "shape": size,
        "volume_fractions": fractions,
        "period": period,
        "axis": _checks.AXIS_NAMES[normal],
    }
    facts = {
        "thickness": thickness,
        "model_volume_fractions": thickness / period,
        "symmetry_axis": _checks.AXIS_NAMES[normal],
        "periodic": size[normal] % period == 0,
    }
    names = tuple(f"phase {phase}" for phase in range(len(fractions)))
    return _made("layered", labels, names, parameters, facts, voxel_size)


def checkerboard(
    shape: Sequence[int], cell: int | Sequence[int] = 8, *, voxel_size: Any = 1.0
) -> Microstructure:
    """Two phases in alternating bricks.

    Parameters
    ----------
    shape : (nz, ny, nx)
        In voxels.
    cell : int or (cz, cy, cx)
        Edges of the bricks, in voxels.
    voxel_size : float or (dz, dy, dx)
        In metres.

    Returns
    -------
    Microstructure
        Periodic along an axis where its length is a multiple of two cells.
    """
    size = _checks.shape3(shape, name="shape")
    cells = _checks.shape3((cell,) * 3 if np.ndim(cell) == 0 else cell, name="cell")
    z, y, x = (np.arange(n) // c for n, c in zip(size, cells, strict=True))
    labels = ((z[:, None, None] + y[:, None] + x) % 2).astype(np.uint8)
    facts = {"periodic": [n % (2 * c) == 0 for n, c in zip(size, cells, strict=True)]}
    parameters = {"shape": size, "cell": cells}
    return _made("checkerboard", labels, ("even", "odd"), parameters, facts, voxel_size)


# -------------------------------------------------------------------------------------- machinery


def _push_apart(
    points: np.ndarray, radii: np.ndarray, box: np.ndarray, iterations: int = 400
) -> np.ndarray:
    """Move discs or spheres of a periodic box until no two overlap by more than one per cent."""
    from scipy.spatial import cKDTree

    limit = min(2.0 * float(radii.max()), 0.499 * float(box.min()))
    points = points % box
    for _ in range(iterations):
        pairs = cKDTree(points, boxsize=box).query_pairs(limit, output_type="ndarray")
        if len(pairs) == 0:
            break
        i, j = pairs.T
        apart = points[i] - points[j]
        apart -= box * np.round(apart / box)
        length = np.sqrt(np.sum(apart**2, axis=1))
        wanted = radii[i] + radii[j]
        close = length < wanted
        if not close.any() or float(np.max((wanted - length)[close] / wanted[close])) < 0.01:
            break
        i, j, apart = i[close], j[close], apart[close]
        push = 0.5 * ((wanted - length) / np.maximum(length, 1e-9))[close, None] * apart
        for d in range(points.shape[1]):
            points[:, d] += np.bincount(i, push[:, d], len(points))
            points[:, d] -= np.bincount(j, push[:, d], len(points))
        points %= box
        points[points >= box] = 0.0  # what rounding makes of a tiny negative
    return points


def _outer_box(size: Shape, wraps: Sequence[bool], margin: Sequence[int]) -> Shape:
    """The periodic box that the volume is cut from: itself along periodic axes."""
    nz, ny, nx = (n if w else n + m for n, w, m in zip(size, wraps, margin, strict=True))
    return nz, ny, nx


def _cut(field: np.ndarray, fractions: tuple[float, ...]) -> np.ndarray:
    """Phases by rank of the field: their numbers of voxels are exact, ties go by position."""
    ends = np.round(np.cumsum(fractions) * field.size).astype(np.int64)[:-1]
    flat = np.ascontiguousarray(field).reshape(-1)
    inner = np.unique(ends[(ends > 0) & (ends < flat.size)])
    order = np.argpartition(flat, inner) if inner.size else np.arange(flat.size)
    labels = np.empty(flat.size, dtype=np.uint8)
    for phase, part in enumerate(np.split(order, ends)):
        labels[part] = phase
    return labels.reshape(field.shape)


def _made(
    generator: str,
    labels: np.ndarray,
    names: tuple[str, ...],
    parameters: dict[str, Any],
    facts: dict[str, Any],
    voxel_size: Any,
) -> Microstructure:
    count = len(names) or int(labels.max()) + 1
    counts = count_labels(labels, count)
    truth = {"volume_fractions": counts / labels.size, "voxels": counts, **facts}
    labels.flags.writeable = False
    return Microstructure(
        labels,
        voxel_size=voxel_size,
        phase_names=names,
        provenance={"generator": generator, "parameters": parameters, "truth": truth},
    )


def _fraction(value: Any, name: str = "volume_fraction") -> float:
    return _checks.real(value, name=name, minimum=0.0, maximum=1.0, open_ends=True)


def _fractions(
    values: Any, name: str = "volume_fractions", count: int | None = None
) -> tuple[float, ...]:
    wanted = f"{count or 'some'} numbers in [0, 1] with sum 1, one per phase"
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise TypeError(f"`{name}` must hold {wanted}, got {values!r}")
    fractions = tuple(_checks.real(v, name=name, minimum=0.0, maximum=1.0) for v in values)
    if (count and len(fractions) != count) or not 1 <= len(fractions) <= 256:
        raise ValueError(f"`{name}` must hold {wanted}, got {len(fractions)}")
    if abs(sum(fractions) - 1.0) > 1e-9:
        raise ValueError(f"`{name}` must hold {wanted}, got sum {sum(fractions):.9g}")
    return fractions


def _lengths(value: Any) -> tuple[float, float, float]:
    values = (value,) * 3 if not isinstance(value, Iterable) else tuple(value)
    if isinstance(value, str) or len(values) != 3:
        raise ValueError(
            f"`correlation_length` must be a positive number or three (lz, ly, lx), got {value!r}"
        )
    z, y, x = (
        _checks.real(v, name="correlation_length", minimum=0.0, open_ends=True) for v in values
    )
    return z, y, x
