# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Variance of the deviation of a real specimen from the reference, per axis of each plane."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .._planes import IMAGE_AXES, NORMAL
from ._dependence import stack_correlations
from ._samples import Extents, ImageSample, Sample, VolumeSample, some_slices
from ._specimen_law import Quantities, RowLaw, euler_map, island_map, row_law
from ._volume import Flags3, LabelVolume
from .tilt import mean_tilt

SLICES = 64  # of a volume that serve as images of its law
EXAMINED_PIXELS = 1 << 22  # for the quantities of a plane
_NEIGHBOURS = 48  # images whose correlation is measured
_FAR = 1e9  # distance of independent images
_SERIAL = 0.1  # correlation of neighbouring images that counts as dependence
_FEWEST_FREEDOM = 3.0
# Widens the variances, because no covariance is exactly separable: the standard deviations
# predicted for eleven materials are .7 to 2.1 times those of real blocks (docs/characterize.md).
_MARGIN = 1.1**2
_MOST_LOST = 0.5  # share of the variance that the subtraction of the mean may have taken

Place = tuple[str, int]  # a plane, and an axis in it


@dataclass(frozen=True)
class Stack:
    """Images of a plane, and what their mean stands for."""

    images: list[np.ndarray]  # examined
    count: int  # of all images
    distances: np.ndarray  # between all pairs along the normal
    weights: np.ndarray  # pairs at each distance
    size: dict[int, float]  # mean extent of the images along the axes

    @classmethod
    def at(
        cls,
        images: list[np.ndarray],
        runs: Sequence[int],
        spacing: float,
        size: dict[int, float],
    ) -> Stack:
        """Return images of which all lie in runs, of so many each, at a regular spacing.

        The runs are independent of each other.
        """
        lengths = np.array(runs)
        lags = np.arange(lengths.max())
        pairs = np.maximum(lengths[:, None] - lags, 0).sum(0)
        pairs[1:] *= 2  # both orders
        count = int(lengths.sum())
        distances = np.append(spacing * lags, _FAR)
        return cls(images, count, distances, np.append(pairs, count**2 - pairs.sum()), size)


@dataclass(frozen=True)
class Islands:
    """Single-pixel islands in the images of a plane."""

    count: np.ndarray  # (P,)
    pixels: int  # examined

    @property
    def rate(self) -> np.ndarray:
        """Islands per pixel."""
        return self.count / max(self.pixels, 1)


@dataclass(frozen=True)
class DeviationLaw:
    """Law of a real specimen's deviations along one axis of one plane."""

    specimen: np.ndarray  # (F,) variance of a specimen about the material
    reference: np.ndarray  # (F,) variance of the reference about the material
    windows: np.ndarray  # (U, F) deviations of windows: the dependence between the features
    freedom: float  # degrees of freedom of the variances


class Material:
    """The laws of the rows of a reference, along every axis of its planes."""

    def __init__(
        self, reference: Sample, generated: Extents, quantities: Mapping[int, Quantities]
    ) -> None:
        self.quantities = quantities  # along each axis
        self.phases = next(iter(quantities.values())).phases
        self.of_volume = isinstance(reference, VolumeSample)
        self.own = reference.own
        self.rows: dict[Place, RowLaw] = {}
        self.islands = {p: islands_of(reference, p, self.phases) for p in reference.planes}
        self.pixels = {
            plane: np.append(self._of_slices(reference, plane), islands.rate)
            for plane, islands in self.islands.items()
        }
        stacks = {plane: _stack(reference, plane) for plane in reference.planes}
        for plane, stack in stacks.items():
            images = stack.images if isinstance(stack, Stack) else stack
            for k, axis in enumerate(IMAGE_AXES[plane]):
                extents = [
                    n
                    for side in (reference.extents, generated)
                    for (_, along), n in side.least.items()
                    if along == axis
                ]
                self.rows[plane, axis] = row_law(
                    images, k, max(1, int(min(extents))), quantities[axis]
                )
        self.stacks = {
            plane: stack if isinstance(stack, Stack) else self._placed(stack, plane)
            for plane, stack in stacks.items()
        }

    def of_plane(self, side: Sample, plane: str) -> np.ndarray:
        """Return Euler number, tilt and islands per pixel of each phase in images or slices."""
        rate = islands_of(side, plane, self.phases).rate
        return np.append(self._of_slices(side, plane), rate)

    def _of_slices(self, side: Sample, plane: str) -> np.ndarray:
        """Return Euler number and tilt of each phase in the images of a plane, or in slices."""
        if isinstance(side, ImageSample):
            stacks = [image[None] for image in _examined(side.images[plane])]
        else:
            most = _slices_seen([v.shape for v in side.volumes], NORMAL[plane])
            stacks = [np.stack(some_slices(v, NORMAL[plane], most)) for v in side.volumes]
        lags = next(iter(self.quantities.values())).tilt_lags
        tilt = mean_tilt(stacks, self.phases, lags) if lags else np.zeros(len(self.phases))
        return np.append(_mean_euler(stacks, self.phases), tilt)

    def independent_images(self, plane: str) -> float:
        """Return the number of independent images that the images of a plane amount to."""
        shares = [self._together(plane, axis)[: len(self.phases)] for axis in IMAGE_AXES[plane]]
        return float(1 / np.mean(shares))

    def law(self, generated: Extents, plane: str, axis: int) -> DeviationLaw:
        """Return the law of the deviations of real specimens as large as the generated side."""
        own, quantities = self.rows[plane, axis], self.quantities[axis]
        other, beside = self._along_normal(plane, axis)
        together = self._together(plane, axis)
        # The mean over the images is subtracted from their rows, which takes this share of the
        # variance away.
        lost = own.gamma(own.rows) * together / own.segments
        lost = np.minimum(_MOST_LOST, lost)
        of_reference = self._of_images(plane, axis, self.stacks[plane].size, lost) * together
        size, normal = generated.size(plane), np.ones(len(lost))
        if generated.depth is not None:
            depth = max(1, round(generated.depth[plane]))
            normal = quantities.persistent(beside.gamma(depth) * (1 - lost) + lost)
        normal = normal / generated.count[plane]
        seen = _images_seen(generated, plane)
        normal = quantities.at_least(normal, 1 / seen, islands=generated.depth is None)
        if not self.of_volume:
            seen = len(_examined(self.stacks[plane].images))
            together = quantities.at_least(together, 1 / seen, islands=True)
        of_specimen = self._of_images(plane, axis, size, lost) * normal
        groups = quantities.of_feature
        rows = (own.variance + beside.variance) / 2
        rows[quantities.of_one_plane] = own.variance[quantities.of_one_plane]
        variance = _MARGIN * rows / (1 - lost[groups])
        specimen, spread = variance * of_specimen[groups], variance * of_reference[groups]
        # Islands are at least as scattered as independent ones.
        islands, last = self.islands[plane], -len(self.phases)
        rate = (islands.count + 1) / max(islands.pixels, 1)
        for values, extents, share in (
            (specimen, size, normal),
            (spread, self.stacks[plane].size, together),
        ):
            area = math.prod(extents[k] for k in IMAGE_AXES[plane])
            values[last:] = np.maximum(values[last:], rate / area * share[last:])
        freedom = self._independent_windows(plane, axis, size)
        if other != plane:
            freedom += self._independent_windows(other, axis, size)
        return DeviationLaw(specimen, spread, own.windows, max(_FEWEST_FREEDOM, freedom - 1))

    def _along_normal(self, plane: str, axis: int) -> tuple[str, RowLaw]:
        """Return a law of rows along ``axis`` at positions along the normal of ``plane``.

        Without images that show the normal, it is taken for the other axis in the plane.
        """
        others = [p for p in self.islands if p != plane and _in(p, axis)]
        other = others[0] if others else plane
        return other, self.rows[other, axis]

    def _together(self, plane: str, axis: int) -> np.ndarray:
        """Return the variance of the mean over the images, relative to one, per quantity."""
        _, beside = self._along_normal(plane, axis)
        stack = self.stacks[plane]
        share = beside.over_distances(stack.distances, stack.weights)
        return self.quantities[axis].persistent(share)

    def _of_images(
        self, plane: str, axis: int, size: Mapping[int, float], lost: np.ndarray
    ) -> np.ndarray:
        """Return the variance of an image of some size, relative to one row, per quantity."""
        (across,) = (k for k in IMAGE_AXES[plane] if k != axis)
        own, turned = self.rows[plane, axis], self.rows[plane, across]
        factor = own.gamma(max(1, round(size[across]))) * (1 - lost) + lost
        if round(size[axis]) > own.length:
            factor *= turned.gamma(round(size[axis])) / turned.gamma(own.length)
        return factor

    def _independent_windows(self, plane: str, axis: int, size: Mapping[int, float]) -> float:
        """Return the number of independent windows, as large as a slice, behind a law of rows."""
        law = self.rows[plane, axis]
        (across,) = (k for k in IMAGE_AXES[plane] if k != axis)
        share = float(self._together(plane, axis)[0])
        return law.segments * max(1.0, law.rows / size.get(across, law.rows)) / share

    def _placed(self, images: list[np.ndarray], plane: str) -> Stack:
        """Return images with positions, from the correlation of neighbouring ones.

        Neighbours are as far apart as the distance along the normal at which the phases, as the
        other planes show them, are correlated as much; independent images far beyond correlation.
        """
        n, spacing = len(images), _FAR
        if n > 1:
            start = max(0, (n - _NEIGHBOURS) // 2)
            pairs = stack_correlations(images[start : start + _NEIGHBOURS])
            near = float(pairs.by_distance()[1])
            if near > max(_SERIAL, 3 * pairs.noise):
                lags, curve = self._autocorrelation(NORMAL[plane])
                falling = np.minimum.accumulate(curve)
                spacing = max(0.1, float(np.interp(-near, -falling, lags)))
        return Stack.at(images, [n], spacing, _mean_size(images, plane))

    def _autocorrelation(self, axis: int) -> tuple[np.ndarray, np.ndarray]:
        """Return lags and the autocorrelation of the phases along an axis."""
        if axis not in self.quantities:  # no plane shows it: another axis stands for it
            axis = next(iter(self.quantities))
        lags = self.quantities[axis].voxels
        shape = (len(self.phases), len(lags))
        laws = [law for (_, along), law in self.rows.items() if along == axis]
        s2 = np.mean([law.mean[: math.prod(shape)] for law in laws], axis=0).reshape(shape)
        above = (s2 - s2[:, :1] ** 2).sum(0)
        return lags, above / above[0] if above[0] > 0 else np.zeros(shape[1])


def islands_of(side: Sample, plane: str, phases: tuple[int, ...]) -> Islands:
    """Count the single-pixel islands in the images of a plane, or in slices of the volumes."""
    normal = NORMAL[plane]

    def measure(part: LabelVolume, _: Flags3) -> np.ndarray:
        slices = np.moveaxis(part.labels, normal, 0)
        if min(slices.shape[1:]) <= 2:
            return np.zeros(len(phases) + 1)
        found = island_map(slices, phases)
        return np.append(found.sum((1, 2, 3)), found[0].size)

    if isinstance(side, ImageSample):
        normal = 0
        volumes = [LabelVolume(image[None], None, 2) for image in _examined(side.images[plane])]
    else:
        volumes = [LabelVolume(volume, None, 3) for volume in side.volumes]
    y, x = IMAGE_AXES[plane]
    halo = 2 * (0 in (y, x)), 2 * (1 in (y, x)), 2 * (2 in (y, x))
    total = np.sum([volume.total(measure, halo=halo) for volume in volumes], axis=0)
    return Islands(total[:-1], int(total[-1]))


def _mean_euler(stacks: Sequence[np.ndarray], phases: tuple[int, ...]) -> np.ndarray:
    """Return the Euler number per pixel (P,) of stacks of images (n, rows, columns), or nan."""
    maps = (euler_map(stack, phases) for stack in stacks if min(stack.shape[1:]) > 1)
    sums = [np.append(m.sum((1, 2, 3), dtype=float), m[0].size) for m in maps]
    if not sums:  # no square of four pixels
        return np.full(len(phases), np.nan)
    total = np.sum(sums, axis=0)
    out: np.ndarray = total[:-1] / total[-1]
    return out


def _slices_seen(shapes: Sequence[Sequence[int]], normal: int) -> int:
    """Return how many slices of each volume are examined, at most."""
    return _most(sum(math.prod(s) // s[normal] for s in shapes))


def _most(area: float) -> int:
    """Return how many slices are examined at most, of volumes whose slices have an area in all."""
    return max(1, int(EXAMINED_PIXELS // area))


def _images_seen(extents: Extents, plane: str) -> int:
    """Return how many images or slices of a plane are examined, of all volumes."""
    area = math.prod(extents.size(plane).values())
    if extents.depth is not None:
        most = _most(area * extents.count[plane])
        return extents.count[plane] * min(most, max(1, round(extents.depth[plane])))
    return -(-extents.count[plane] // _step(extents.count[plane], area))


def _examined(images: list[np.ndarray]) -> list[np.ndarray]:
    """Return the images that are examined: all, or every second, third, ..."""
    return images[:: _step(len(images), images[0].size)]


def _step(count: int, area: float) -> int:
    return max(1, -(-int(count * area) // EXAMINED_PIXELS))


def _stack(reference: Sample, plane: str) -> Stack | list[np.ndarray]:
    """Return the images of a plane of the reference; of a volume, some of its slices in place."""
    if isinstance(reference, ImageSample):
        return reference.images[plane]
    normal, each = NORMAL[plane], max(1, SLICES // len(reference.volumes))
    images = [s for volume in reference.volumes for s in some_slices(volume, normal, each)]
    runs = [volume.shape[normal] for volume in reference.volumes]
    return Stack.at(images, runs, 1.0, _mean_size(images, plane))


def _mean_size(images: list[np.ndarray], plane: str) -> dict[int, float]:
    """Return the mean extent of images along the axes of their plane."""
    sizes = np.mean([i.shape for i in images], axis=0)
    return dict(zip(IMAGE_AXES[plane], sizes.tolist(), strict=True))


def _in(plane: str, axis: int) -> bool:
    return axis in IMAGE_AXES[plane]
