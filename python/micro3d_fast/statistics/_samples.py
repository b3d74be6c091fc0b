# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The two sides of a comparison: volumes or sets of 2D images, and the units they are cut into.

The units are what is halved and resampled: images, whole volumes, or disjoint blocks of a volume.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from .. import _checks
from .._blocks import spread_evenly
from .._phases import phase_counts
from .._planes import IMAGE_AXES, NORMAL, PLANES
from .._stored import StoredLabels, stored_labels
from ._curves import LatticeLine, line_counts
from ._volume import Flags3, LabelVolume, Shape3, known_voxel_size

Voxel = tuple[float, float, float]  # its edges in metres
Volume = np.ndarray | StoredLabels  # (nz, ny, nx)

MIN_UNITS = 8  # blocks or images below which a volume or a set is cut finer


@dataclass(frozen=True)
class Counts:
    """Counts along one direction of one plane, of a whole sample and of its units."""

    whole: np.ndarray  # (2, P, lags): pairs in the phase (S2), segments in the phase (L)
    lines: np.ndarray  # (lags,): all pairs
    unit: np.ndarray  # (U, 2, P, lags)
    unit_lines: np.ndarray  # (U, lags)
    unit_text: str  # what a unit is
    matching: int  # number of generated volumes, if the units have their size; otherwise 0

    def every(self, step: int) -> Counts:
        """Return the counts at every so many lags."""
        return replace(
            self,
            whole=self.whole[..., ::step],
            lines=self.lines[::step],
            unit=self.unit[..., ::step],
            unit_lines=self.unit_lines[..., ::step],
        )


@dataclass(frozen=True)
class Extents:
    """Extents of a sample, in its own voxels or in those of the other side of a comparison."""

    least: dict[tuple[str, int], float]  # of the images or slices of a plane along an axis
    mean: dict[tuple[str, int], float]
    count: dict[str, int]  # of the images of each plane, or of the volumes
    depth: dict[str, float] | None  # of volumes across each plane; None for images

    def rescaled(self, factors: Sequence[float]) -> Extents:
        """Return the extents in voxels of which there are ``factors`` times as many."""
        depth = self.depth
        if depth is not None:
            depth = {plane: n * factors[NORMAL[plane]] for plane, n in depth.items()}
        least, mean = (
            {place: n * factors[place[1]] for place, n in sizes.items()}
            for sizes in (self.least, self.mean)
        )
        return Extents(least, mean, self.count, depth)

    def size(self, plane: str) -> dict[int, float]:
        """Return the mean extents of the images or slices of a plane along its axes."""
        return {axis: self.mean[plane, axis] for axis in IMAGE_AXES[plane]}


@dataclass(frozen=True)
class VolumeSample:
    """Volumes, pooled."""

    volumes: tuple[Volume, ...]
    voxel: Voxel | None = None  # where known
    memory: dict[Any, Counts] = field(default_factory=dict)
    own = ()  # planes that show material of their own: slices of all show the same

    @property
    def planes(self) -> tuple[str, ...]:
        """Planes to compare; images of one plane show only that plane."""
        flat = (np.array([v.shape for v in self.volumes]) == 1).any(axis=0)
        if flat.sum() != 1:
            return PLANES
        return tuple(plane for plane in PLANES if flat[NORMAL[plane]])

    @property
    def n_phases(self) -> int:
        """Largest label + 1."""
        return 1 + max(int(v.max()) for v in self.volumes)

    @property
    def voxels(self) -> int:
        """Number of voxels."""
        return sum(v.size for v in self.volumes)

    @property
    def text(self) -> str:
        """Number and size of the volumes."""
        return _number_and_size("volume", [v.shape for v in self.volumes])

    @property
    def smallest(self) -> tuple[int, ...]:
        """Smallest extent of each axis."""
        return tuple(np.min([v.shape for v in self.volumes], axis=0).tolist())

    def fractions(self, n_phases: int) -> np.ndarray:
        """Return the volume fraction of each phase."""
        counts = [phase_counts(v, n_phases) for v in self.volumes]
        return np.sum(counts, axis=0) / sum(v.size for v in self.volumes)

    @cached_property
    def extents(self) -> Extents:
        """Smallest extents of the volumes, in their own voxels."""
        along = {(p, k): float(self.smallest[k]) for p in self.planes for k in IMAGE_AXES[p]}
        count = dict.fromkeys(self.planes, len(self.volumes))
        depth = {p: float(self.smallest[NORMAL[p]]) for p in self.planes}
        return Extents(along, along, count, depth)

    def counts(
        self, plane: str, axis: int, lag: int, phases: tuple[int, ...], other: Extents | None
    ) -> Counts:
        """Count along an axis; the reference side is cut into blocks of the size of ``other``."""
        size = None if other is None else self._block_size(plane, other)
        key = (axis, lag, phases, size)
        if key not in self.memory:
            self.memory[key] = self._counted(axis, lag, phases, size, other)
        return self.memory[key]

    def _block_size(self, plane: str, other: Extents) -> tuple[int, ...]:
        size = list(self.smallest)  # of images: their extents in the plane, all slices across it
        for axis in IMAGE_AXES[plane]:
            size[axis] = max(1, round(other.least[plane, axis]))
        if other.depth is not None:
            size[NORMAL[plane]] = max(1, round(other.depth[plane]))
        return tuple(size)

    def _counted(
        self,
        axis: int,
        lag: int,
        phases: tuple[int, ...],
        size: tuple[int, ...] | None,
        other: Extents | None,
    ) -> Counts:
        whole = [count_lines(v, axis, lag, phases) for v in self.volumes]
        lines = [_lines(v.shape, axis, lag) for v in self.volumes]
        matching = 0
        if other is None and len(self.volumes) > 1:
            unit, unit_lines, text = whole, lines, "volumes"
        else:
            parts = [block_numbers(v.shape, size, axis, len(self.volumes)) for v in self.volumes]
            unit, shapes = [], []
            for volume, (number, _) in zip(self.volumes, parts, strict=True):
                for block in cut_blocks(volume, number):
                    unit.append(count_lines(block, axis, lag, phases))
                    shapes.append(block.shape)
            unit_lines = [_lines(shape, axis, lag) for shape in shapes]
            text = _number_and_size("block", shapes)
            of_volumes = other is not None and other.depth is not None
            if other is not None and of_volumes and not any(thinner for _, thinner in parts):
                matching = max(other.count.values())
        return Counts(
            np.sum(whole, axis=0),
            np.sum(lines, axis=0),
            np.array(unit),
            np.array(unit_lines),
            text,
            matching,
        )


@dataclass(frozen=True)
class ImageSample:
    """Sets of 2D images of planes."""

    images: dict[str, list[np.ndarray]]
    voxel: Voxel | None = None  # where known
    own: tuple[str, ...] = ()  # planes that show material of their own: not borrowed

    @property
    def planes(self) -> tuple[str, ...]:
        """Planes with images."""
        return tuple(self.images)

    @property
    def n_phases(self) -> int:
        """Largest label + 1."""
        return 1 + max(int(i.max()) for images in self.images.values() for i in images)

    @property
    def voxels(self) -> int:
        """Number of pixels."""
        return sum(i.size for images in self.images.values() for i in images)

    @property
    def text(self) -> str:
        """Number of images of each plane."""
        return "images, " + ", ".join(f"{len(v)} {plane}" for plane, v in self.images.items())

    def fractions(self, n_phases: int) -> np.ndarray:
        """Return the volume fraction of each phase; planes weigh the same."""
        each = [
            np.sum([phase_counts(i, n_phases) for i in images], axis=0)
            / sum(i.size for i in images)
            for images in self.images.values()
        ]
        return np.mean(each, axis=0)

    @cached_property
    def extents(self) -> Extents:
        """Extents of the images, in their own pixels."""
        least, mean = {}, {}
        for plane, images in self.images.items():
            sizes = np.array([i.shape for i in images])
            for k, axis in enumerate(IMAGE_AXES[plane]):
                least[plane, axis] = float(sizes[:, k].min())
                mean[plane, axis] = float(sizes[:, k].mean())
        return Extents(least, mean, {p: len(images) for p, images in self.images.items()}, None)

    def counts(
        self, plane: str, axis: int, lag: int, phases: tuple[int, ...], other: Extents | None
    ) -> Counts:
        """Count along an axis; few images are cut into strips along it."""
        along = IMAGE_AXES[plane].index(axis)
        images = self.images[plane]
        text = f"{len(images)} image{'s' if len(images) > 1 else ''}"
        if len(images) >= MIN_UNITS:
            counts, lines = _count_images(images, along, lag, phases)
            return Counts(counts.sum(0), lines.sum(0), counts, lines, text, 0)
        strips = []
        for image in images:
            size = (1, *image.shape)
            numbers, _ = block_numbers(size, size, along + 1, len(images))
            strips += [block[0] for block in cut_blocks(image[None], numbers)]
        unit, unit_lines = _count_images(strips, along, lag, phases)
        whole, lines = _count_images(images, along, lag, phases)
        text = f"{len(strips)} strips of {text}"
        return Counts(whole.sum(0), lines.sum(0), unit, unit_lines, text, 0)


Sample = VolumeSample | ImageSample


def sample_of(side: Any, name: str) -> Sample:
    """Check one side of a comparison: labels, a sequence of them, or images of planes."""
    images = side if isinstance(side, Mapping) else getattr(side, "images", None)
    if isinstance(images, Mapping):
        return _image_sample(images, name, side)
    if isinstance(side, Sequence) and not isinstance(side, str | bytes):
        if not side:
            raise _checks.refuse(name, "hold at least one volume", "an empty sequence")
        volumes = [_volume(v, f"{name}[{k}]") for k, v in enumerate(side)]
        voxels = {known_voxel_size(v) for v in side}
        if len(voxels) > 1:
            shown = ", ".join("unknown" if v is None else str(v) for v in voxels)
            raise _checks.refuse(name, "hold volumes of one voxel size", shown)
        (voxel,) = voxels
    elif getattr(side, "ndim", 0) == 4:
        volumes = list(_checks.as_labels(side, name=name, ndim=4))
        voxel = None
    else:
        volumes, voxel = [_volume(side, name)], known_voxel_size(side)
    return VolumeSample(tuple(volumes), voxel)


def _volume(labels: Any, name: str) -> Volume:
    """Return labels as a volume of three axes; zarr and dask arrays are not read."""
    stored = stored_labels(labels, name=name)
    if stored is not None:
        return stored
    array = _checks.as_labels(labels, name=name)
    return array if array.ndim == 3 else array[None]


def _image_sample(images: Mapping[str, Any], name: str, side: Any) -> ImageSample:
    found: dict[str, list[np.ndarray]] = {}
    for plane in PLANES:
        stack = images.get(plane)
        if stack is None:
            continue
        if hasattr(stack, "ndim") and stack.ndim == 2:
            stack = [stack]
        checked = [_checks.as_labels(i, name=f"{name}[{plane!r}]", ndim=2) for i in stack]
        if checked:
            found[plane] = checked
    if not found:
        empty = [plane for plane in PLANES if images.get(plane) is not None]
        got = f"no image of {', '.join(map(repr, empty))}" if empty else str(list(images))
        raise _checks.refuse(name, "hold images of plane 'xy', 'xz' or 'yz'", got)
    own = tuple(plane for plane in getattr(side, "given", found) if plane in found)
    return ImageSample(found, known_voxel_size(side), own)


def block_numbers(
    shape: Sequence[int], size: Sequence[int] | None, axis: int, samples: int
) -> tuple[tuple[int, ...], bool]:
    """Return the number of blocks along each axis, and whether they are thinner than ``size``."""
    size = shape if size is None else size
    parts = [max(1, n // m) for n, m in zip(shape, size, strict=True)]
    thinner = any(n < m for n, m in zip(shape, size, strict=True))
    while samples * math.prod(parts) < MIN_UNITS:
        widths = [
            0 if k == axis else n // p for k, (n, p) in enumerate(zip(shape, parts, strict=True))
        ]
        widest = int(np.argmax(widths))
        if widths[widest] < 2:
            break
        parts[widest] = min(2 * parts[widest], shape[widest])
        thinner = True
    return tuple(parts), thinner


def cut_blocks(volume: Volume, parts: Sequence[int]) -> Iterator[Any]:
    """Yield disjoint blocks of nearly the same size that fill the volume.

    Those of an array in memory are views; those of stored labels are read one after the other.
    """
    cut = volume.crop if isinstance(volume, StoredLabels) else volume.__getitem__
    edges = [
        np.linspace(0, n, p + 1).astype(int).tolist()
        for n, p in zip(volume.shape, parts, strict=True)
    ]
    for index in np.ndindex(*parts):
        yield cut(tuple(slice(e[i], e[i + 1]) for e, i in zip(edges, index, strict=True)))


def some_slices(volume: Volume, normal: int, most: int) -> list[np.ndarray]:
    """Return slices across an axis, at most so many at equal distances."""
    chosen = spread_evenly(volume.shape[normal], most)
    if isinstance(volume, StoredLabels):
        return list(np.moveaxis(volume.take(chosen, normal), normal, 0))
    slices = np.moveaxis(volume, normal, 0)
    return [slices[k] for k in chosen]


def _along(axis: int) -> Shape3:
    z, y, x = (int(k == axis) for k in range(3))
    return z, y, x


def _lines(shape: Sequence[int], axis: int, lag: int) -> np.ndarray:
    """Return the number of pairs at each lag of an open volume."""
    return line_counts(shape, _along(axis), lag)


def count_lines(
    volume: Volume, axis: int, lag: int, phases: tuple[int, ...], per_slice: bool = False
) -> np.ndarray:
    """Count pairs and segments in each phase: (2, P, lags), or (slices, 2, P, lags)."""
    line = LatticeLine(LabelVolume(volume, None, 3, per_slice), _along(axis), lag)

    def measure(part: LabelVolume, _: Flags3) -> np.ndarray:
        own = replace(line, volume=part)
        pairs = [own.pairs(p, p) for p in phases]
        segments = [own.segments(p) for p in phases]
        counts = np.array([pairs, segments])
        return np.moveaxis(counts, 2, 0) if per_slice else counts

    return line.volume.total(measure, halo=line.halo)


def _count_images(
    images: list[np.ndarray], axis: int, lag: int, phases: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Return counts (U, 2, P, lags) and pairs (U, lags) of each image."""
    counts = np.empty((len(images), 2, len(phases), lag + 1), dtype=np.int64)
    lines = np.empty((len(images), lag + 1), dtype=np.int64)
    shapes = [i.shape for i in images]
    for shape in set(shapes):  # one call for all images of a size
        which = [k for k, s in enumerate(shapes) if s == shape]
        stack = np.stack([images[k] for k in which])
        counts[which] = count_lines(stack, axis + 1, lag, phases, per_slice=True)
        lines[which] = _lines((1, *shape), axis + 1, lag)
    return counts, lines


def _number_and_size(thing: str, shapes: list[tuple[int, ...]]) -> str:
    sizes = sorted({" × ".join(map(str, s)) for s in shapes})
    size = sizes[0] if len(sizes) == 1 else f"about {sizes[0]}"
    return f"{len(shapes)} {thing}{'s' if len(shapes) > 1 else ''} of {size}"
