# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Pictures of volumes, and the volume that is embedded in the page."""

from __future__ import annotations

import base64
import gzip
from typing import NamedTuple

import numpy as np

from .._palette import phase_rgb

LARGEST_EMBEDDED = 128  # voxels per axis
PICTURE_SIZE = 1.02  # edge of the picture of a volume, in diagonals of the volume


class Embedded(NamedTuple):
    """A volume as it is embedded in the page."""

    labels: np.ndarray  # uint8 (nz, ny, nx), no axis longer than LARGEST_EMBEDDED
    factors: tuple[int, int, int]  # source voxels per drawn voxel, along z, y, x
    data: str  # base64 of the gzip of the labels, x fastest


def embed(labels: np.ndarray, limit: int = LARGEST_EMBEDDED) -> Embedded:
    """Pack a volume for the viewer; longer axes are coarsened by majority."""
    factors = tuple(-(-n // limit) for n in labels.shape)
    small = coarsen(labels, factors)
    packed = gzip.compress(small.tobytes(), 9, mtime=0)
    return Embedded(small, factors, base64.b64encode(packed).decode("ascii"))


def coarsen(labels: np.ndarray, factors: tuple[int, ...]) -> np.ndarray:
    """Return the majority phase of every block of ``factors`` voxels; ties: the lower label."""
    if all(f == 1 for f in factors):
        return np.ascontiguousarray(labels, dtype=np.uint8)
    best: np.ndarray | None = None
    winner: np.ndarray | None = None
    for phase in np.flatnonzero(np.bincount(labels.ravel(), minlength=1)):
        count = (labels == phase).astype(np.uint8)
        for axis, factor in enumerate(factors):
            starts = np.arange(0, count.shape[axis], factor)
            count = np.add.reduceat(count, starts, axis=axis, dtype=np.uint32)
        if best is None or winner is None:
            best, winner = count, np.full(count.shape, phase, dtype=np.uint8)
        else:
            more = count > best
            best[more], winner[more] = count[more], phase
    assert winner is not None  # a volume has at least one voxel
    return np.ascontiguousarray(winner)


def render_block(
    labels: np.ndarray,
    hidden: tuple[int, ...] = (),
    *,
    voxel_size: tuple[float, float, float] = (1.0, 1.0, 1.0),
    pixels: int = 640,
) -> np.ndarray:
    """Draw a volume from a corner, without a GPU: the picture shown without WebGL 2 and on paper.

    Parallel rays walk from voxel to voxel until they meet a phase that is not hidden.  The shade
    of a voxel follows from the face that its ray enters through, and from its depth.

    Returns
    -------
    array of uint8, shape (pixels, pixels, 4)
        Red, green, blue and opacity.
    """
    shown = ~np.isin(labels, hidden)
    if not shown.any():
        shown[:] = True
    count = np.array(labels.shape)
    size = count * np.array(voxel_size)
    size /= size.max()
    grid = (
        (2.0 * np.arange(pixels) + 1.0 - pixels) / pixels * PICTURE_SIZE / 2 * np.linalg.norm(size)
    )
    scale = count / size  # from here on in voxels
    start = (grid[None, :, None] * _RIGHT - grid[:, None, None] * _UP).reshape(-1, 3) * scale
    forward = _FORWARD * scale

    ends = np.stack([-count / 2 - start, count / 2 - start]) / forward  # of the rays, in the block
    enter, leave = ends.min(axis=0), ends.max(axis=0).min(axis=1)
    ray = np.flatnonzero(enter.max(axis=1) < leave)
    enter = enter[ray]
    wall, first = enter.argmax(axis=1), enter.max(axis=1)
    at = start[ray] + first[:, None] * forward + count / 2
    cell = np.clip(np.floor(at), 0, count - 1).astype(np.int64)
    crossing = (cell + (forward > 0) - count / 2 - start[ray]) / forward  # of the walls ahead
    depth = np.zeros(ray.size)
    picture = np.zeros((pixels * pixels, 4), dtype=np.uint8)
    while ray.size:
        met = shown[tuple(cell.T)]
        colour = phase_rgb()[labels[tuple(cell[met].T)]]
        shade = _SHADES[wall[met]] * (1.0 - 0.6 * np.minimum(depth[met], 1.0))
        picture[ray[met], :3] = colour * shade[:, None]
        picture[ray[met], 3] = 255
        wall = crossing.argmin(axis=1)
        row = np.arange(ray.size)
        depth = crossing[row, wall] - first
        cell[row, wall] += np.sign(forward).astype(np.int64)[wall]
        crossing[row, wall] += np.abs(1.0 / forward)[wall]
        go = ~met & ((cell >= 0) & (cell < count)).all(axis=1)
        ray, wall, first, cell = ray[go], wall[go], first[go], cell[go]
        crossing, depth = crossing[go], depth[go]
    return picture.reshape(pixels, pixels, 4)


def _view(azimuth: float, elevation: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the directions to the right, up and forward of a view, as (z, y, x)."""
    a, e = np.radians(azimuth), np.radians(elevation)
    right = np.array([0.0, np.cos(a), -np.sin(a)])
    up = np.array([np.cos(e), -np.sin(e) * np.sin(a), -np.sin(e) * np.cos(a)])
    return right, up, -np.array([np.sin(e), np.cos(e) * np.sin(a), np.cos(e) * np.cos(a)])


_RIGHT, _UP, _FORWARD = _view(azimuth=-52.0, elevation=24.0)
_SHADES = np.array([1.0, 0.86, 0.7])  # of faces normal to z, y, x
