# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Pictures of labelled images and volumes as PNG, and a volume small enough to travel in a page."""

from __future__ import annotations

import base64
import gzip
import io
from typing import Any, NamedTuple

import numpy as np

from ._palette import phase_rgb

LARGEST_EMBEDDED = 128  # voxels an axis


def data_uri(data: bytes, kind: str = "image/png") -> str:
    """Return ``data`` as a ``data:`` address."""
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"


def label_png(labels: np.ndarray, *, longest: int | None = None) -> bytes:
    """Return a 2D label image as a PNG in the phase colours.

    One pixel a voxel, unless the image is longer than ``longest``: then it is averaged down.
    """
    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(labels, dtype=np.uint8))
    picture.putpalette(phase_rgb().tobytes())
    if longest is not None and max(labels.shape) > longest:
        scale = longest / max(labels.shape)
        size = tuple(max(1, round(n * scale)) for n in reversed(labels.shape))
        picture = picture.convert("RGB").resize(size, Image.Resampling.BOX)
    return _png(picture)


def rgb_png(pixels: np.ndarray) -> bytes:
    """Return an (h, w, 3) or (h, w, 4) uint8 picture as a PNG."""
    from PIL import Image

    return _png(Image.fromarray(np.ascontiguousarray(pixels)))


def _png(picture: Any) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "PNG", optimize=True)
    return stream.getvalue()


class Embedded(NamedTuple):
    """A volume as it travels in the page."""

    labels: np.ndarray  # uint8 (nz, ny, nx), no axis longer than LARGEST_EMBEDDED
    factors: tuple[int, int, int]  # source voxels a drawn voxel, along z, y, x
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
    azimuth: float = -52.0,
    elevation: float = 24.0,
) -> np.ndarray:
    """Draw a volume from one side, without a GPU: what a page shows where there is no WebGL2.

    Parallel rays walk through the voxels until they meet a phase that is not hidden; the shade
    comes from the gradient of the occupancy around the point, or from the face of the block.

    Returns
    -------
    array of uint8, shape (pixels, pixels, 4)
        Red, green, blue and opacity.
    """
    if all(phase in hidden for phase in np.flatnonzero(np.bincount(labels.ravel()))):
        hidden = ()
    shown = ~np.isin(labels, hidden)
    count = np.array(labels.shape[::-1])  # from here on all vectors are (x, y, z)
    size = count * np.array(voxel_size[::-1], dtype=np.float64)
    size /= size.max()
    a, e = np.radians(azimuth), np.radians(elevation)
    forward = -np.array([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)])
    right = np.array([-np.sin(a), np.cos(a), 0.0])
    up = np.cross(right, forward)
    reach = 0.5 * np.linalg.norm(size) * 1.02
    grid = (np.arange(pixels) + 0.5) / pixels * 2.0 - 1.0
    u, v = np.meshgrid(grid * reach, -grid * reach)
    start = u[..., None] * right + v[..., None] * up - forward * 2.0
    start = start.reshape(-1, 3)

    with np.errstate(divide="ignore", invalid="ignore"):
        low = (-size / 2 - start) / forward
        high = (size / 2 - start) / forward
    near, far = np.minimum(low, high), np.maximum(low, high)
    enter, leave = near.max(axis=1), far.min(axis=1)
    face = near.argmax(axis=1)
    ray = np.flatnonzero(leave > enter)

    scale = count / size
    step = 0.5 / scale.max()
    t = enter[ray] + 1e-6
    hit_ray, hit_at, hit_first = [], [], []
    first = True
    while ray.size:
        at = (start[ray] + t[:, None] * forward + size / 2) * scale
        cell = np.clip(at.astype(np.int64), 0, count - 1)
        met = shown[cell[:, 2], cell[:, 1], cell[:, 0]]
        hit_ray.append(ray[met])
        hit_at.append(cell[met])
        hit_first.append(np.full(int(met.sum()), first))
        go = ~met
        ray, t = ray[go], t[go] + step
        go = t < leave[ray]
        ray, t = ray[go], t[go]
        first = False
    rays, cells = np.concatenate(hit_ray), np.concatenate(hit_at)
    on_face = np.concatenate(hit_first)

    # Outward normal: minus the gradient of the occupancy in a ball of radius 2.5 voxels.
    padded = np.pad(shown, 2, mode="edge")
    gradient = np.zeros((rays.size, 3))
    crowd = np.zeros(rays.size)
    for dz, dy, dx in np.ndindex(5, 5, 5):
        offset = np.array([dx - 2, dy - 2, dz - 2])
        square = int(offset @ offset)
        if 0 < square <= 6:
            there = padded[cells[:, 2] + dz, cells[:, 1] + dy, cells[:, 0] + dx]
            gradient += np.where(there[:, None], offset / square, 0.0)
            crowd += there
    normal = -gradient * scale
    length = np.linalg.norm(normal, axis=1, keepdims=True)
    normal = np.where(length > 1e-9, normal / np.maximum(length, 1e-9), -forward)
    flat = np.zeros((rays.size, 3))
    flat[np.arange(rays.size), face[rays]] = -np.sign(forward)[face[rays]]
    normal = np.where(on_face[:, None], flat, normal)

    light = -forward * 0.7 + up * 0.6 - right * 0.35
    light /= np.linalg.norm(light)
    lambert = np.clip(normal @ light, 0.0, 1.0)
    open_sky = np.where(on_face, 1.0, 1.25 - 0.6 * crowd / 80.0)
    shade = (0.70 + 0.38 * lambert) * np.clip(open_sky, 0.5, 1.0)
    colour = phase_rgb()[labels[cells[:, 2], cells[:, 1], cells[:, 0]]].astype(np.float64)
    picture = np.zeros((pixels * pixels, 4), dtype=np.uint8)
    picture[rays, :3] = np.clip(colour * shade[:, None], 0, 255).astype(np.uint8)
    picture[rays, 3] = 255
    return picture.reshape(pixels, pixels, 4)
