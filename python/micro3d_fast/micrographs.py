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
import hashlib
import itertools
import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from micro3d_fast import _checks, _images
from micro3d_fast.microstructure import (
    Microstructure,
    count_labels,
    describe_fractions,
    describe_voxel_size,
    phase_names_for,
)
from micro3d_fast.statistics.lengths import autocorrelation, pooled_correlation_length

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
    def load(
        cls,
        images: Mapping[str, Any],
        phases: Mapping[Any, int] | str | None = None,
        *,
        voxel_size: Any = 1.0,
        phase_names: Sequence[str] | None = None,
        threshold: float | Sequence[float] | str | None = None,
        n_phases: int | None = None,
        symmetry_axis: str = "auto",
    ) -> Micrographs:
        """Images of one, two or three planes, from files or arrays.

        Parameters
        ----------
        images : dict
            Plane (``"xy"``, ``"xz"``, ``"yz"``) to a glob pattern or path (.png, .tif with all its
            pages, .jpg, .bmp, .npy, .npz; found files in natural order), an array
            (rows, columns) or (n, rows, columns), or a list of these.  Sizes may differ.
        phases : dict or "labels", optional
            Grey value to phase, one map for all planes, such as ``{0: 0, 255: 1}``; several
            values may share a phase.  ``"labels"``: the values are phases ``0 ... P-1`` already.
            Boolean arrays need neither this nor a threshold.  One-bit files count as 0 and 1, or
            as 0 and 255 if the map speaks of those.  Of palette images the grey values count, or
            the indices where the palette is coloured.
        voxel_size : float or (dz, dy, dx)
            In metres; 1.0 means "in voxels".
        phase_names : sequence of str, optional
            One per phase.
        threshold : float, increasing floats, "otsu" or "multi-otsu", optional
            For grey images: class = number of thresholds that the value exceeds, so 0 is the
            darkest; ``phases`` may then map class to phase, such as ``{0: 1, 1: 0}``.  The two
            Otsu methods take the histogram of all images of all planes together.
        n_phases : int, optional
            Number of phases; needed by ``"multi-otsu"``.
        symmetry_axis : {"auto", "x", "y", "z"}
            Where two planes are given: the axis of transverse isotropy, normal to one of them.
            ``"auto"`` takes that plane of the two for isotropic whose autocorrelation has the
            more equal lengths along rows and columns.  See the head of this module for how
            the missing plane is borrowed; ``borrowed`` and :meth:`check` tell what was done.

        Returns
        -------
        Micrographs

        Warns
        -----
        UserWarning
            The planes contradict each other or the symmetry assumed; see :meth:`check`.

        Raises
        ------
        FileNotFoundError
            A pattern matches no file.
        ValueError, TypeError
            Unknown grey values, planes with different phases, colours, transparency, lossy
            labels, unreadable files: one sentence with file, requirement, and what came.
        """
        if not isinstance(images, Mapping):
            raise TypeError(
                "`images` must be a dict of 'xy', 'xz', 'yz' to patterns, paths or arrays, "
                f"got {type(images).__name__}"
            )
        planes = _plane_names(list(images), name="images")
        found = {plane: _images.gather(images[plane], plane) for plane in planes}
        given, count = _images.label_images(found, phases, threshold, n_phases)
        names = phase_names_for(count, phase_names)
        if len(names) != count:
            raise ValueError(
                f"`phase_names` must hold one name for each of {count} phases, got {len(names)}"
            )
        _refuse_different_phases(given, count)
        sources = {plane: [image.source for image in found[plane]] for plane in planes}
        made = _assemble(given, sources, names, voxel_size, symmetry_axis)
        for warning in made.check().warnings:
            warnings.warn(warning, UserWarning, stacklevel=2)
        return made

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
        if set(np.unique(volume)) == {0, 255}:
            warnings.warn(
                "`labels` holds 0 and 255 alone and is taken as it is, as 256 phases; if these are "
                "grey values, make them the phases 0 and 1 first",
                stacklevel=2,
            )
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

    def check(self) -> MicrographReport:
        """Counts, sizes and fractions per plane, and where the planes contradict each other.

        Two things are compared, each against the scatter between images as yardstick (between
        parts of the images where a plane has fewer than eight): the volume fractions of the planes
        given, and the autocorrelation along the direction that two planes share.  A plane that
        stands for an isotropic one is compared with itself, rows against columns.  The report's
        ``warnings`` are empty where everything agrees.
        """
        return _check(self)

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
                    of_plane = f" of plane {plane}"
                    words = source.removesuffix(of_plane) + of_plane
                    raise ValueError(
                        f"`patch` must be at most {self.min_side}, the shortest image side, "
                        f"got {side}: {words} has {rows} x {columns} pixels"
                    )

    def __repr__(self) -> str:
        planes = []
        for plane in PLANES:
            if plane in self.borrowed:
                planes.append(f"{plane} borrowed ({self.borrowed[plane]})")
            else:
                planes.append(f"{plane} {len(self.images[plane])} of {_sizes(self.images[plane])}")
        phases = describe_fractions(self.phase_names, self.volume_fractions())
        size = describe_voxel_size(self.voxel_size).replace(" of ", "; voxel size ")
        return f"Micrographs: {'; '.join(planes)}{size}; {phases}"


# ------------------------------------------------------------------------------------- the check


@dataclass(frozen=True)
class PlaneReport:
    """One plane: number and sizes of its images, volume fractions and their standard error."""

    plane: str
    images: int
    sizes: str
    fractions: tuple[float, ...]
    standard_errors: tuple[float, ...]
    lengths: tuple[float, float]  # 1/e of the autocorrelation along rows' and columns' axis, pixels
    borrowed: str = ""


@dataclass(frozen=True)
class AxisReport:
    """Autocorrelation along one axis as two planes show it.

    ``difference`` is ``sum |a - b| / sum (a + b) / 2`` of the two normalized curves, ``scatter``
    what that would be from the scatter between images alone.
    """

    axis: str
    planes: tuple[str, str]
    difference: float
    scatter: float


@dataclass(frozen=True, repr=False)
class MicrographReport:
    """What :meth:`Micrographs.check` found; prints as a small table."""

    phase_names: tuple[str, ...]
    voxel_size: tuple[float, float, float]
    planes: tuple[PlaneReport, ...]
    axes: tuple[AxisReport, ...]
    warnings: tuple[str, ...]

    def __repr__(self) -> str:
        lines = [f"Micrographs, voxel size (z, y, x) {self.voxel_size} m"]
        if all(size == 1.0 for size in self.voxel_size):
            lines = ["Micrographs, lengths in pixels"]
        for p in self.planes:
            if p.borrowed:
                lines.append(f"  {p.plane}  borrowed: {p.borrowed}")
                continue
            fractions = ", ".join(
                f"{name} {f:.4f} ± {e:.4f}"
                for name, f, e in zip(self.phase_names, p.fractions, p.standard_errors, strict=True)
            )
            rows, columns = (_checks.AXIS_NAMES[axis] for axis in PLANE_AXES[p.plane])
            lines.append(
                f"  {p.plane}  {p.images} images of {p.sizes}; {fractions}; correlation length "
                f"{rows} {p.lengths[0]:.1f}, {columns} {p.lengths[1]:.1f} pixels"
            )
        for a in self.axes:
            first, second = a.planes
            pair = f"{first} and {second}" if a.axis else f"rows and columns of {first}"
            along = f" along {a.axis}" if a.axis else ""
            lines.append(
                f"  S2{along} of {pair} differs by {a.difference:.1%} "
                f"(scatter between images {a.scatter:.1%})"
            )
        lines.extend(f"  warning: {warning}" for warning in self.warnings)
        if not self.warnings:
            lines.append("  the planes agree")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)


_UNITS = 8  # a plane with fewer images than this is split into parts to estimate the scatter
_MOST = 32  # images of a plane that the autocorrelation looks at
_SIGMAS = 3.0  # a difference counts from here, in standard errors, ...
_FRACTION = 0.01  # ... and from here, absolutely: fractions
_CURVE = 0.10  # ... and relative: autocorrelations


def _check(micrographs: Micrographs) -> MicrographReport:
    given, names = micrographs.given, micrographs.phase_names
    reports, found = {}, []
    for plane in PLANES:
        images = micrographs.images[plane]
        errors = _fraction_errors(images, micrographs.n_phases)
        lengths = (correlation_length(images, 0), correlation_length(images, 1))
        reports[plane] = PlaneReport(
            plane=plane,
            images=len(images),
            sizes=_sizes(images),
            fractions=tuple(micrographs.plane_fractions(plane).tolist()),
            standard_errors=tuple(errors.tolist()),
            lengths=lengths,
            borrowed=micrographs.borrowed.get(plane, ""),
        )
    for first, second in itertools.combinations(given, 2):
        found.extend(_fraction_warnings(reports[first], reports[second], names))
    axes = []
    for first, second in itertools.combinations(given, 2):
        (shared,) = set(PLANE_AXES[first]) & set(PLANE_AXES[second])
        a = _curves(micrographs.images[first], PLANE_AXES[first].index(shared))
        b = _curves(micrographs.images[second], PLANE_AXES[second].index(shared))
        difference, scatter = _curve_difference(a, b)
        axis = _checks.AXIS_NAMES[shared]
        axes.append(AxisReport(axis, (first, second), difference, scatter))
        if difference > max(_SIGMAS * scatter, _CURVE):
            found.append(
                f"planes {first} and {second} share the direction {axis} but not the "
                f"autocorrelation along it: S2 differs by {difference:.0%}, the scatter between "
                f"images explains {scatter:.0%}; check the orientation of the images"
            )
    isotropic = _isotropic_plane(micrographs)
    if isotropic:
        a, b = (_curves(micrographs.images[isotropic], axis) for axis in (0, 1))
        difference, scatter = _curve_difference(a, b)
        axes.append(AxisReport("", (isotropic, isotropic), difference, scatter))
        if difference > max(_SIGMAS * scatter, _CURVE):
            rows, columns = (_checks.AXIS_NAMES[axis] for axis in PLANE_AXES[isotropic])
            found.append(
                f"plane {isotropic} is taken as isotropic ({', '.join(micrographs.borrowed)} "
                f"borrowed), but S2 along {rows} and {columns} differs by {difference:.0%}, the "
                f"scatter between images explains {scatter:.0%}; give the images of more planes"
            )
    return MicrographReport(
        phase_names=names,
        voxel_size=micrographs.voxel_size,
        planes=tuple(reports[plane] for plane in PLANES),
        axes=tuple(axes),
        warnings=tuple(found),
    )


def _isotropic_plane(micrographs: Micrographs) -> str:
    """The plane whose two directions the borrowing takes as equal, or nothing."""
    if len(micrographs.given) == 1:
        return micrographs.given[0]
    for text in micrographs.borrowed.values():
        source = text.split()[0]
        return next(plane for plane in micrographs.given if plane != source)
    return ""


def _fraction_errors(images: Sequence[np.ndarray], n_phases: int) -> np.ndarray:
    """Standard error of the plane's volume fractions from the scatter between its images."""
    units: Sequence[np.ndarray] = images
    if len(images) < _UNITS:
        units = [
            part
            for image in images
            for half in np.array_split(image, min(2, image.shape[0]), axis=0)
            for part in np.array_split(half, min(2, image.shape[1]), axis=1)
        ]
    fractions = [count_labels(np.ascontiguousarray(u), n_phases) / u.size for u in units]
    if len(units) < 2:
        return np.zeros(n_phases)
    return np.std(fractions, axis=0, ddof=1) / np.sqrt(len(units)) * _small_sample(len(units))


def _fraction_warnings(a: PlaneReport, b: PlaneReport, names: tuple[str, ...]) -> list[str]:
    worst, words = 0.0, ""
    for phase, name in enumerate(names):
        difference = abs(a.fractions[phase] - b.fractions[phase])
        scatter = math.hypot(a.standard_errors[phase], b.standard_errors[phase])
        if difference > max(_SIGMAS * scatter, _FRACTION, worst):
            worst = difference
            words = (
                f"planes {a.plane} and {b.plane} contradict each other: volume fraction of "
                f"{name} {a.fractions[phase]:.4f} and {b.fractions[phase]:.4f}, where the "
                f"scatter between images explains ± {scatter:.4f}"
            )
    return [words] if words else []


def _curves(images: Sequence[np.ndarray], axis: int) -> np.ndarray:
    """Normalized autocorrelations along one axis, one row for each image or part of one."""
    chosen = [np.moveaxis(image, axis, 1) for image in _spread(images, _MOST)]  # rows run along it
    limit = max(min(min(rows.shape[1] for rows in chosen) // 2, 64), 1)
    limit = min(limit, min(rows.shape[1] for rows in chosen) - 1)
    fractions = sum(count_labels(np.ascontiguousarray(rows), 256) for rows in chosen)
    random = float(np.sum((fractions / np.sum(fractions)) ** 2))
    if random >= 1.0:
        return np.ones((2, limit + 1))
    parts = -(-_UNITS // len(chosen)) if len(chosen) < _UNITS else 1
    curves = []
    for rows in chosen:
        budget = (1 << 21) // len(chosen)
        for band in np.array_split(rows, min(parts, len(rows))):
            step = max(1, parts * band.size // budget)
            same = autocorrelation(band[::step], 1, limit)
            curves.append((same - random) / (1.0 - random))
    return np.array(curves)


def _curve_difference(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """Relative difference of two mean curves, and what their scatter alone would make of it."""
    lags = min(a.shape[1], b.shape[1])
    mean_a, mean_b = a[:, :lags].mean(axis=0), b[:, :lags].mean(axis=0)
    mean = (mean_a + mean_b) / 2
    low = np.flatnonzero(mean < np.exp(-1.0))
    lags = min(lags, 4 * int(low[0]) + 1) if low.size else lags  # the rest is noise about zero
    total = np.sum(np.abs(mean[:lags]))
    errors = np.zeros(lags)
    for curves in (a, b):
        n = len(curves)
        if n > 1:
            errors += (np.std(curves[:, :lags], axis=0, ddof=1) * _small_sample(n)) ** 2 / n
    difference = np.sum(np.abs(mean_a - mean_b)[:lags]) / total
    return float(difference), float(np.sum(np.sqrt(2.0 / np.pi * errors)) / total)


def _small_sample(n: int) -> float:
    """How much wider a standard error from n values must be read (Student's t, roughly)."""
    return 1.0 + 2.0 / (n - 1)


# ------------------------------------------------------------------------------------- assembling


def _refuse_different_phases(given: dict[str, list[np.ndarray]], n_phases: int) -> None:
    present = {
        plane: np.flatnonzero(sum(count_labels(image, n_phases) for image in images))
        for plane, images in given.items()
    }
    everywhere = set().union(*(set(phases.tolist()) for phases in present.values()))
    if len(everywhere) < n_phases:
        never = min(set(range(n_phases)) - everywhere)
        raise ValueError(f"every phase of `phases` must occur, got no pixel of phase {never}")
    for plane, phases in present.items():
        absent = everywhere - set(phases.tolist())
        if absent:
            other = next(p for p in given if min(absent) in present[p])
            raise ValueError(
                f"all planes must hold the same phases, got phase {min(absent)} in plane {other} "
                f"and not in plane {plane}"
            )


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
    images = {plane: [_frozen(image) for image in stack] for plane, stack in given.items()}
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


def _frozen(image: np.ndarray) -> np.ndarray:
    """Contiguous and read-only; the image is our own, so it need not be copied."""
    image = np.ascontiguousarray(image)
    image.flags.writeable = False
    return image


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
        images[missing] = [_frozen(image.T) for image in images[source]]
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


def correlation_length(images: Sequence[np.ndarray], axis: int, most: int = 16) -> float:
    """Return the lag in pixels at which the pooled autocorrelation of some images falls to 1/e.

    Where it never does within half an image, half the image.
    """
    return pooled_correlation_length(_spread(images, most), axis)


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
