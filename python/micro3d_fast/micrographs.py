# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Micrographs: 2D labelled images of up to three orthogonal planes, the source of training patches.

Conventions: plane ``"xy"`` has normal z and image axes (rows, columns) = (y, x); ``"xz"`` normal y
and (z, x); ``"yz"`` normal x and (z, y).  Row 0 of a file is the first voxel of its row axis.
Images are uint8 labels ``0 ... P-1``, C-contiguous, read-only; their sizes may differ.  Grey
images become labels by the user's word only: an explicit value -> phase map, or a threshold.
Planes that were not given are borrowed:

* one plane: the material is isotropic, all three planes show the same images;
* two planes: it is transversely isotropic about the normal of one of them.  Let A = (a, s) and
  B = (b, s) share the direction s; the missing plane is (a, b).  If B is the isotropic plane
  (symmetry axis a), s and b are alike, so (a, b) shows the images of A with s read as b,
  transposed where the axis order asks for it; if A is, the other way round.
"""

from __future__ import annotations

import functools
import glob
import hashlib
import os
import re
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from micro3d_fast import _checks
from micro3d_fast.microstructure import (
    Microstructure,
    count_labels,
    describe_voxel_size,
    phase_names_for,
    read_only,
)

PLANES = ("xy", "xz", "yz")
PLANE_AXES = {"xy": (1, 2), "xz": (0, 2), "yz": (0, 1)}  # volume axes of (rows, columns)
PLANE_NORMAL = {"xy": 0, "xz": 1, "yz": 2}


@dataclass(frozen=True, eq=False, repr=False)
class Micrographs:
    """Labelled images of the planes ``"xy"``, ``"xz"`` and ``"yz"``.

    Made by :meth:`load` (files or arrays) or :meth:`from_volume` (slices of a tomogram).

    Attributes
    ----------
    images : dict of str to list of array
        Plane to its images, each uint8 of shape (rows, columns), read-only; all three planes,
        borrowed ones included.
    n_phases : int
        Number of phases P.
    phase_names : tuple of str
        One per phase.
    voxel_size : (dz, dy, dx)
        In metres; 1.0 means "in voxels".
    borrowed : dict of str to str
        Missing plane to what it shows instead, such as ``{"yz": "xz with x read as y"}``.
    sources : dict of str to list of str
        Where each image comes from, image by image.
    """

    images: dict[str, list[np.ndarray]]
    n_phases: int
    phase_names: tuple[str, ...]
    voxel_size: tuple[float, float, float]
    borrowed: dict[str, str]
    sources: dict[str, list[str]]

    # ----------------------------------------------------------------------------- construction

    @classmethod
    def from_volume(
        cls,
        labels: Any,
        images_per_plane: int = 300,
        seed: int = 0,
        planes: Sequence[str] = PLANES,
        *,
        voxel_size: Any = None,
        phase_names: Sequence[str] | None = None,
        symmetry_axis: str = "auto",
    ) -> Micrographs:
        """Random whole slices of a volume, without repetition: the paper's protocol.

        Parameters
        ----------
        labels : array of bool or integers, shape (nz, ny, nx), or Microstructure
            The tomogram; a ``Microstructure`` brings its voxel size and phase names.
        images_per_plane : int
            Upper bound; a volume thinner than this gives all its slices.
        seed : int
            Of the choice of slices.
        planes : sequence of str
            Which of ``"xy"``, ``"xz"``, ``"yz"`` to take; the others are borrowed.
        voxel_size : float or (dz, dy, dx), optional
            In metres.
        phase_names : sequence of str, optional
            One per phase.
        symmetry_axis : {"auto", "x", "y", "z"}
            As in :meth:`load`, where two planes are taken.

        Returns
        -------
        Micrographs
        """
        volume = _checks.as_labels(labels, ndim=3)
        count = _checks.integer(images_per_plane, name="images_per_plane", minimum=1)
        rng = np.random.default_rng(_checks.seed_number(seed))
        if isinstance(labels, Microstructure):
            voxel_size = labels.voxel_size if voxel_size is None else voxel_size
            phase_names = labels.phase_names if phase_names is None else phase_names
        names = phase_names_for(int(volume.max()) + 1, phase_names)
        given, sources = {}, {}
        for plane in _plane_names(planes, name="planes"):
            axis = PLANE_NORMAL[plane]
            n = volume.shape[axis]
            chosen = np.sort(rng.choice(n, size=min(count, n), replace=False))
            given[plane] = [np.take(volume, index, axis=axis) for index in chosen]
            sources[plane] = [f"labels[{_slice_text(axis, index)}]" for index in chosen]
        return _assemble(
            given, sources, names, 1.0 if voxel_size is None else voxel_size, symmetry_axis
        )

    # ----------------------------------------------------------------------------------- numbers

    @property
    def given(self) -> tuple[str, ...]:
        """Planes that came with images of their own."""
        return tuple(plane for plane in PLANES if plane not in self.borrowed)

    @functools.cached_property
    def min_side(self) -> int:
        """Shortest image side in pixels: the largest patch that every image can give."""
        return min(min(image.shape) for images in self.images.values() for image in images)

    def plane_fractions(self, plane: str) -> np.ndarray:
        """Volume fractions pooled over the pixels of one plane, shape (P,)."""
        images = self.images[_checks.choice(plane, PLANES, name="plane")]
        counts = sum(count_labels(image, self.n_phases) for image in images)
        return np.asarray(counts) / sum(image.size for image in images)

    def volume_fractions(self) -> np.ndarray:
        """Volume fractions with equal weight for every plane, shape (P,), dimensionless."""
        return np.mean([self.plane_fractions(plane) for plane in PLANES], axis=0)

    @functools.cached_property
    def _fingerprint(self) -> str:
        digest = hashlib.sha256(f"micrographs 1 phases {self.n_phases}".encode())
        for plane in PLANES:
            digest.update(f" plane {plane} images {len(self.images[plane])}".encode())
            for image in self.images[plane]:
                digest.update(f" {image.shape[0]}x{image.shape[1]} ".encode())
                digest.update(image)
        return digest.hexdigest()

    def fingerprint(self) -> str:
        """SHA-256 of planes, shapes, pixels and number of phases, as hexadecimal digits."""
        return self._fingerprint

    # ---------------------------------------------------------------------------------- sampling

    def sample(
        self, rng: np.random.Generator, batch_size: int, patch: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Random training patches: random plane, image, crop and flips; never rotated.

        Planes are equally likely; within a plane an image is drawn with the weight of its area;
        every crop of it is equally likely, and each axis is flipped with probability one half.

        Parameters
        ----------
        rng : numpy.random.Generator
            The only source of randomness: its state decides the patches.
        batch_size : int
            Number of patches B.
        patch : int
            Side of the square patches in pixels, at most ``min_side``.

        Returns
        -------
        labels : array of uint8, shape (B, patch, patch)
        plane : array of int64, shape (B,)
            0 is xy, 1 is xz, 2 is yz.
        """
        if not isinstance(rng, np.random.Generator):
            raise TypeError(f"`rng` must be a numpy.random.Generator, got {type(rng).__name__}")
        count = _checks.integer(batch_size, name="batch_size", minimum=1)
        side = _checks.integer(patch, name="patch", minimum=1)
        if side > self.min_side:
            self._refuse_patch(side)
        plane = rng.integers(0, 3, size=count)
        draw = rng.random((count, 5))  # image, row, column, flip, flip
        out = np.empty((count, side, side), dtype=np.uint8)
        for b in range(count):
            name = PLANES[plane[b]]
            number = np.searchsorted(self._cumulative_area[name], draw[b, 0], side="right")
            image = self.images[name][number]
            row, column = (
                int(u * (n - side + 1)) for u, n in zip(draw[b, 1:3], image.shape, strict=True)
            )
            crop = image[row : row + side, column : column + side]
            flip = [slice(None, None, -1) if u < 0.5 else slice(None) for u in draw[b, 3:5]]
            out[b] = crop[flip[0], flip[1]]
        return out, plane.astype(np.int64, copy=False)

    @functools.cached_property
    def _cumulative_area(self) -> dict[str, np.ndarray]:
        cumulative = {}
        for plane, images in self.images.items():
            area = np.cumsum([float(image.size) for image in images])
            cumulative[plane] = area[:-1] / area[-1]  # all but the last: draws lie in [0, 1)
        return cumulative

    def _refuse_patch(self, side: int) -> None:
        for plane in self.given:
            for image, source in zip(self.images[plane], self.sources[plane], strict=True):
                if min(image.shape) < side:
                    rows, columns = image.shape
                    raise ValueError(
                        f"`patch` must be at most {self.min_side}, the shortest image side, "
                        f"got {side}: {source} of plane {plane} has {rows} x {columns} pixels"
                    )

    def __repr__(self) -> str:
        planes = []
        for plane in PLANES:
            if plane in self.borrowed:
                planes.append(f"{plane} borrowed ({self.borrowed[plane]})")
            else:
                planes.append(f"{plane} {len(self.images[plane])} of {_sizes(self.images[plane])}")
        phases = ", ".join(
            f"{name} {fraction:.4f}"
            for name, fraction in zip(self.phase_names, self.volume_fractions(), strict=True)
        )
        size = describe_voxel_size(self.voxel_size).replace(" of ", "; voxel size ")
        return f"Micrographs: {'; '.join(planes)}{size}; {phases}"


# ------------------------------------------------------------------------------------- assembling


def _assemble(
    given: dict[str, list[np.ndarray]],
    sources: dict[str, list[str]],
    names: tuple[str, ...],
    voxel_size: Any,
    symmetry_axis: Any,
) -> Micrographs:
    """Micrographs of all three planes from labelled images of one, two or three."""
    size = _checks.voxel_size3(voxel_size)
    axis = _checks.choice(symmetry_axis, ("auto", "x", "y", "z"), name="symmetry_axis")
    images = {
        plane: [read_only(np.ascontiguousarray(image)) for image in stack]
        for plane, stack in given.items()
    }
    sources = {plane: list(texts) for plane, texts in sources.items()}
    if len(images) == 1:
        borrowed = _borrow_isotropic(images, sources, size, axis)
    elif len(images) == 2:
        borrowed = _borrow_transverse(images, sources, size, axis)
    else:
        borrowed = {}
        if axis != "auto":
            raise ValueError(
                f"`symmetry_axis` must be 'auto' where all three planes are given, got {axis!r}"
            )
    return Micrographs(
        images={plane: images[plane] for plane in PLANES},
        n_phases=len(names),
        phase_names=names,
        voxel_size=size,
        borrowed=borrowed,
        sources={plane: sources[plane] for plane in PLANES},
    )


def _borrow_isotropic(
    images: dict[str, list[np.ndarray]],
    sources: dict[str, list[str]],
    size: tuple[float, float, float],
    axis: str,
) -> dict[str, str]:
    (source,) = images
    if axis != "auto":
        raise ValueError(
            "`symmetry_axis` must be 'auto' where one plane is given (it is taken as isotropic), "
            f"got {axis!r}; give the images of two planes"
        )
    if len(set(size)) != 1:
        raise ValueError(
            "`voxel_size` must be the same along all axes where one plane stands for three, "
            f"got {size}"
        )
    borrowed = {}
    for plane in PLANES:
        if plane != source:
            images[plane], sources[plane] = images[source], sources[source]
            borrowed[plane] = f"{source}, taken as isotropic"
    return borrowed


def _borrow_transverse(
    images: dict[str, list[np.ndarray]],
    sources: dict[str, list[str]],
    size: tuple[float, float, float],
    axis: str,
) -> dict[str, str]:
    given = [plane for plane in PLANES if plane in images]
    (missing,) = (plane for plane in PLANES if plane not in images)
    if axis == "auto":
        isotropic = min(given, key=lambda plane: _anisotropy(images[plane], plane, size))
    else:
        (isotropic,) = (p for p in PLANES if _checks.AXIS_NAMES[PLANE_NORMAL[p]] == axis)
        if isotropic == missing:
            raise ValueError(
                f"`symmetry_axis` must be normal to one of the planes given, {given[0]} and "
                f"{given[1]}, got {axis!r}: plane {missing} cannot be borrowed from them"
            )
    (source,) = (plane for plane in given if plane != isotropic)
    (shared,) = set(PLANE_AXES[source]) & set(PLANE_AXES[isotropic])
    (replaced,) = set(PLANE_AXES[isotropic]) - {shared}
    if size[shared] != size[replaced]:
        s, b = _checks.AXIS_NAMES[shared], _checks.AXIS_NAMES[replaced]
        raise ValueError(
            f"`voxel_size` must be the same along {s} and {b}, the directions of the isotropic "
            f"plane {isotropic} that plane {missing} is borrowed by, got {size}"
        )
    axes = tuple(replaced if a == shared else a for a in PLANE_AXES[source])
    transposed = axes != PLANE_AXES[missing]
    if transposed:
        images[missing] = [read_only(np.ascontiguousarray(i.T)) for i in images[source]]
    else:
        images[missing] = images[source]
    sources[missing] = sources[source]
    s, b = _checks.AXIS_NAMES[shared], _checks.AXIS_NAMES[replaced]
    text = f"{source} with {s} read as {b}{', transposed' if transposed else ''}"
    return {missing: f"{text}: {isotropic} is taken as isotropic"}


def _anisotropy(images: list[np.ndarray], plane: str, size: tuple[float, float, float]) -> float:
    """``|log|`` of the ratio of the two correlation lengths of a plane, in metres."""
    lengths = [
        correlation_length(images, row_or_column) * size[axis]
        for row_or_column, axis in enumerate(PLANE_AXES[plane])
    ]
    return abs(float(np.log(lengths[0] / lengths[1])))


# -------------------------------------------------------------------------------- own statistics


def autocorrelation(image: np.ndarray, axis: int, max_lag: int) -> np.ndarray:
    """Summed two-point function ``sum_i S_ii(r)`` of an image along one axis, not periodic.

    The fraction of voxel pairs at distance r that share their phase; exact counts, lags
    ``0 ... max_lag``.
    """
    rows = np.moveaxis(image, axis, -1)
    n = rows.shape[-1]
    return np.array(
        [
            np.count_nonzero(rows[..., : n - r] == rows[..., r:]) / (rows[..., r:].size)
            for r in range(max_lag + 1)
        ]
    )


def correlation_length(images: Sequence[np.ndarray], axis: int, most: int = 16) -> float:
    """Lag in pixels at which the pooled autocorrelation of some images has fallen to 1/e.

    Where it never does within half an image, half the image.
    """
    chosen = _spread(images, most)
    limit = max(min(image.shape[axis] for image in chosen) // 2, 1)
    limit = min(limit, min(image.shape[axis] for image in chosen) - 1)
    same = np.mean([autocorrelation(image, axis, limit) for image in chosen], axis=0)
    fractions = np.mean([count_labels(i, 256) / i.size for i in chosen], axis=0)
    random = float(np.sum(fractions**2))
    if random >= 1.0:  # one phase only
        return float(max(limit, 1))
    rho = (same - random) / (1.0 - random)
    below = np.flatnonzero(rho < np.exp(-1.0))
    if below.size == 0:
        return float(max(limit, 1))
    r = int(below[0])
    return float(r - 1 + (rho[r - 1] - np.exp(-1.0)) / (rho[r - 1] - rho[r]))


def _spread(items: Sequence[Any], most: int) -> list[Any]:
    """At most ``most`` of the items, evenly spread."""
    if len(items) <= most:
        return list(items)
    return [items[i] for i in np.linspace(0, len(items) - 1, most).round().astype(int)]


# ------------------------------------------------------------------------------------------ words


def _plane_names(planes: Any, *, name: str) -> list[str]:
    wanted = "one, two or three of 'xy', 'xz', 'yz'"
    if isinstance(planes, str) or not isinstance(planes, Iterable):
        raise TypeError(f"`{name}` must hold {wanted}, got {planes!r}")
    planes = list(planes)
    known = [plane for plane in PLANES if plane in planes]
    if not planes or len(known) != len(planes):
        raise ValueError(f"`{name}` must hold {wanted}, got {planes!r}")
    return known


def _slice_text(axis: int, index: int) -> str:
    return ", ".join(str(index) if a == axis else ":" for a in range(3))


def _sizes(images: Sequence[np.ndarray]) -> str:
    low = np.min([image.shape for image in images], axis=0)
    high = np.max([image.shape for image in images], axis=0)
    text = f"{low[0]} x {low[1]}"
    return text if (low == high).all() else f"{text} to {high[0]} x {high[1]}"
