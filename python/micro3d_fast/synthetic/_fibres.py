# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Unidirectional fibres: discs placed in the xy plane, then smooth paths along z."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from .. import _checks
from ..microstructure import Microstructure
from ..typing import VoxelSize
from ._common import Draw, Shape, check_fraction, make_microstructure, push_apart


def fibre_composite(
    shape: Sequence[int],
    volume_fraction: float = 0.45,
    radius: float = 4.5,
    misalignment: float = 3.0,
    seed: int = 0,
    *,
    periodic: bool | Sequence[bool] = False,
    gap: float = 1.0,
    voxel_size: VoxelSize = 1.0,
) -> Microstructure:
    """Return unidirectional fibres along z in a matrix: round, slightly wavy, not overlapping.

    Discs are placed at random in the xy plane without overlap and, at high fractions, pushed apart
    to the gap.  Each then follows a smooth random path along z, and the paths are pushed apart
    wherever two come closer than the gap.  The sections normal to z are circles of the radius.

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
        Root mean square of the angle between the fibres and z, in degrees, below 15.  Fibres
        at high fractions are straighter; the truth holds the realized angle.
    seed : int
        Decides the volume.
    periodic : bool or (bool, bool, bool)
        Axes whose faces join.
    gap : float
        Least distance between fibre surfaces, in voxels; at high fractions, half of it may
        remain.
    voxel_size : float or (dz, dy, dx)
        In metres.

    Returns
    -------
    Microstructure
        Phases ``matrix`` and ``fibre``; the truth holds radius, number and realized misalignment.
    """
    draw = Draw.of(shape, seed, periodic)
    fraction = check_fraction(volume_fraction)
    radius = _checks.real(radius, name="radius", minimum=0.5)
    angle = _checks.real(
        misalignment, name="misalignment", minimum=0.0, maximum=15.0, open_ends=(False, True)
    )
    gap = _checks.real(gap, name="gap", minimum=0.0)
    with_gaps = fraction * (1.0 + gap / (2.0 * radius)) ** 2
    if with_gaps > 0.75:
        most = 0.75 * fraction / with_gaps
        wanted = f"leave room for fibres and gaps, at most {most:.3g} here"
        raise _checks.refuse("volume_fraction", wanted, f"{fraction:g}")

    wavelength = 13.0 * radius  # length along z over which a fibre keeps its direction
    margin = (math.ceil(2.0 * wavelength), *(math.ceil(4.0 * radius),) * 2)
    box = draw.outer_box(margin)
    area = np.array(box[1:], dtype=np.float64)
    count = max(1, round(fraction * area.prod() / (math.pi * radius**2)))
    fitted = math.sqrt(fraction * area.prod() / (math.pi * count))
    slope = math.tan(math.radians(angle))
    paths = _draw_paths(draw.rng, count, 2.0 * fitted + gap, gap / 2.0, slope, wavelength, box)
    paths = _shift_to_fraction(paths, fitted, draw, box, fraction)
    levels = paths.shape[1]
    step = box[0] / levels
    labels = np.zeros(draw.size, dtype=np.uint8)
    for z in range(draw.size[0]):
        low, part = int(z / step), z / step % 1.0
        centres = (1.0 - part) * paths[:, low % levels] + part * paths[:, (low + 1) % levels]
        _paint_discs(labels[z], centres, fitted, box[1:])
    facts = {
        "fibre_radius": fitted,
        "fibres": count,
        "fibres_in": [box[1], box[2]],
        "misalignment_rms_degrees": math.degrees(math.atan(_slope(paths, step))),
        "smallest_gap": _smallest_gap(paths, fitted, area),
        "symmetry_axis": "z",
    }
    parameters = draw.parameters(volume_fraction=fraction, radius=radius, misalignment=angle)
    parameters["gap"] = gap
    names = ("matrix", "fibre")
    return make_microstructure("fibre_composite", labels, names, parameters, facts, voxel_size)


def _draw_paths(
    rng: np.random.Generator,
    count: int,
    distance: float,
    tolerance: float,
    slope: float,
    wavelength: float,
    box: Shape,
) -> np.ndarray:
    """Return centre lines (count, levels, 2) with a root mean square slope against z."""
    area = np.array(box[1:], dtype=np.float64)
    points = _place_discs(rng, count, distance, area)
    points = push_apart(points, np.full(count, distance / 2.0), area)
    levels = max(1, box[0] // 4)
    displacements = _draw_displacements(rng, count, levels, box[0], wavelength)
    amplitude = slope
    for _ in range(3):  # pushing apart straightens the paths: correct the amplitude
        paths = points[:, None, :] + amplitude * displacements
        paths = _push_paths_apart(paths, distance, tolerance, area)
        realized = _slope(paths, box[0] / levels)
        if slope == 0.0 or realized == 0.0 or abs(realized / slope - 1.0) < 0.02:
            break
        amplitude *= slope / realized
    return paths


def _place_discs(
    rng: np.random.Generator, count: int, distance: float, box: np.ndarray
) -> np.ndarray:
    """Place discs in a periodic box by random sequential addition.

    The least distance is reduced where needed so that at most 45 % of the box is covered, which is
    quickly reached (the jamming limit is 54.7 %).
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


def _draw_displacements(
    rng: np.random.Generator, count: int, levels: int, length: int, wavelength: float
) -> np.ndarray:
    """Return smooth periodic displacements (count, levels, 2), root mean square slope one."""
    modes = np.arange(1, levels // 2)
    if len(modes) == 0:
        return np.zeros((count, levels, 2))
    k = 2.0 * np.pi * modes / length
    weight = np.exp(-0.5 * np.minimum((k**2 - k[0] ** 2) * (wavelength / 2.0) ** 2, 700.0))
    weight /= math.sqrt(2.0 * np.sum((k * weight) ** 2))
    wave = np.outer(modes, np.arange(levels)) * (2.0 * np.pi / levels)
    cosine, sine = rng.standard_normal((2, count, 2, len(modes))) * weight
    paths = cosine @ np.cos(wave) + sine @ np.sin(wave)  # (count, 2, levels)
    return np.moveaxis(paths, 1, 2)


def _slope(paths: np.ndarray, step: float) -> float:
    """Return the root mean square slope of paths against z."""
    steps = (np.roll(paths, -1, axis=1) - paths) / step
    return math.sqrt(float(np.mean(np.sum(steps**2, axis=-1))))


def _shift_to_fraction(
    paths: np.ndarray,
    radius: float,
    draw: Draw,
    box: Shape,
    fraction: float,
) -> np.ndarray:
    """Move the paths so that the volume, a window of the box, holds the fraction most nearly."""
    from scipy.ndimage import uniform_filter1d

    size, wraps = draw.size, draw.wraps
    if wraps[1] and wraps[2]:
        return paths
    chosen = np.linspace(0, paths.shape[1] * size[0] / box[0], 4, endpoint=False).astype(np.int64)
    cover = np.zeros(box[1:])
    for level in chosen:
        image = np.zeros(box[1:], dtype=np.uint8)
        _paint_discs(image, paths[:, level], radius, box[1:])
        cover += image / len(chosen)
    for axis in (0, 1):
        if not wraps[axis + 1]:  # mean over the window that begins at each pixel
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
    """Return the least distance between the surfaces of two fibres, over all levels."""
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
