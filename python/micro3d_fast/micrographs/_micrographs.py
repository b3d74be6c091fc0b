# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The class: loading from files, arrays and volumes; fractions, fingerprint, random patches."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import warnings
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _checks, _figures, _notebook
from .._checks import refuse, refuse_type
from .._grey_images import gather
from .._phase_rules import Segmentation, label_images
from .._phases import phase_counts
from .._planes import NORMAL, PLANES
from ..microstructure import (
    Microstructure,
    describe_fractions,
    describe_voxel_size,
    phase_names_for,
    recorded_crop,
)
from ..typing import Images, Labels, VoxelSize
from ._borrowing import complete_planes
from ._check import check
from ._mirror import mirror_symmetric
from ._patch import measure_patch
from ._pixel_sizes import voxel_size_of
from ._report import MicrographReport, describe_sizes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NO_THRESHOLD = Segmentation()


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
    voxel_size_source : str
        Where the voxel size comes from if not from an argument, such as ``"ImageJ calibration of
        a.tif"``; else empty.
    thresholds : tuple of float
        Grey values between the phases that :meth:`load` used, such as those of Otsu's method; empty
        if it used none.
    segmentation : str
        The same in words, such as ``"grey values above 127 are phase 1 (otsu)"``.
    """

    images: dict[str, list[np.ndarray]]
    n_phases: int
    phase_names: tuple[str, ...]
    voxel_size: tuple[float, float, float]
    borrowed: dict[str, str]
    sources: dict[str, list[str]]
    voxel_size_source: str = ""
    thresholds: tuple[float, ...] = ()
    segmentation: str = ""

    # ----------------------------------------------------------------------------- construction

    @classmethod
    def load(
        cls,
        images: Mapping[str, Images],
        phases: Mapping[Any, int] | str | None = None,
        *,
        voxel_size: VoxelSize | None = None,
        phase_names: Sequence[str] | None = None,
        threshold: float | Sequence[float] | str | None = None,
        n_phases: int | None = None,
        symmetry_axis: str = "auto",
    ) -> Micrographs:
        """Load images of one, two or three planes, from files or arrays.

        Parameters
        ----------
        images : dict
            Plane (``"xy"``, ``"xz"``, ``"yz"``) to a glob pattern or path (.png, .tif with all its
            pages, .jpg, .bmp, .npy, .npz; found files in natural order), an array
            (rows, columns) or (n, rows, columns), or a list of these.  Sizes may differ.
        phases : dict or "labels", optional
            Grey value to phase, one map for all planes, such as ``{0: 0, 255: 1}``; several
            values may share a phase.  ``"labels"``: the values are phases ``0 ... P-1`` already.
            Boolean arrays need neither this nor a threshold.  One-bit files hold 0 and 1, or 0 and
            255 if those are in the map.  Palette images give grey values, or indices where the
            palette is coloured.
        voxel_size : float or (dz, dy, dx), optional
            In metres; 1.0 means "in voxels".  Default: what the TIFF files state in their OME
            metadata, ImageJ calibration or resolution (unless that is a printer's, such as 300
            dpi); else 1.0.  ``voxel_size_source`` names it.
        phase_names : sequence of str, optional
            One per phase.
        threshold : float, increasing floats, "otsu" or "multi-otsu", optional
            For grey images: class = number of thresholds that the value exceeds, so 0 is the
            darkest; ``phases`` may then map class to phase, such as ``{0: 1, 1: 0}``.  The two
            Otsu methods take the histogram of all images of all planes together; the attribute
            ``thresholds`` holds what they found, and :meth:`check` says it.
        n_phases : int, optional
            Number of phases; needed by ``"multi-otsu"``.
        symmetry_axis : {"auto", "x", "y", "z"}
            The axis of transverse isotropy if two planes are given, normal to one of them.
            ``"auto"``: the isotropic plane is the one whose autocorrelation has the more equal
            lengths along rows and columns.  `micro3d_fast.micrographs` describes how the missing
            plane is borrowed; ``borrowed`` and :meth:`check` report it.

        Returns
        -------
        Micrographs

        Warns
        -----
        UserWarning
            The planes contradict each other or the symmetry assumed; see :meth:`check`.  A file
            states another pixel size than ``voxel_size``.  An Otsu threshold leaves a phase with
            less than 0.5 % of the pixels.

        Raises
        ------
        FileNotFoundError
            A pattern matches no file.
        ValueError, TypeError
            Unknown grey values, planes with different phases, colours, transparency, lossy
            labels, unreadable files; files with different pixel sizes, or in unknown units, where
            no ``voxel_size`` is given.
        """
        if not isinstance(images, Mapping):
            wanted = "be a dict of 'xy', 'xz', 'yz' to patterns, paths or arrays"
            raise refuse_type("images", wanted, type(images).__name__)
        planes = _plane_names(list(images), name="images")
        found = {plane: gather(images[plane], plane) for plane in planes}
        given, count, segmentation = label_images(found, phases, threshold, n_phases)
        if isinstance(phases, Mapping) and count < 2:
            raise refuse("phases", "lead to at least two phases", "phase 0 alone")
        names = phase_names_for(count, phase_names)
        if len(names) != count:
            wanted = f"hold one name for each of {count} phases"
            raise refuse("phase_names", wanted, str(len(names)))
        _refuse_different_phases(given, count)
        sources = {plane: [image.source for image in found[plane]] for plane in planes}
        size, origin = voxel_size_of(found, voxel_size)
        made = cls._complete(given, sources, names, size, symmetry_axis, origin, segmentation)
        for warning in made.check().warnings:
            warnings.warn(warning, UserWarning, stacklevel=2)
        return made

    @classmethod
    def from_volume(
        cls,
        labels: Labels,
        images_per_plane: int = 300,
        seed: int = 0,
        planes: str | Sequence[str] = PLANES,
        *,
        voxel_size: VoxelSize | None = None,
        phase_names: Sequence[str] | None = None,
        symmetry_axis: str = "auto",
    ) -> Micrographs:
        """Take random whole slices of a volume, without repetition: the paper's protocol.

        Parameters
        ----------
        labels : array of bool or integers, shape (nz, ny, nx), or Microstructure
            The tomogram; a ``Microstructure`` brings its voxel size and phase names.
        images_per_plane : int
            Upper bound; all slices are taken of a volume thinner than this.
        seed : int
            Decides which slices are taken.
        planes : str or sequence of str
            Which of ``"xy"``, ``"xz"``, ``"yz"`` to take; the others are borrowed.
        voxel_size : float or (dz, dy, dx), optional
            In metres.
        phase_names : sequence of str, optional
            One per phase.
        symmetry_axis : {"auto", "x", "y", "z"}
            As in :meth:`load`, if two planes are taken.

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
                "`labels` holds only 0 and 255 and is taken as 256 phases; if these are grey "
                "values, map them to the phases 0 and 1 first",
                stacklevel=2,
            )
        names = phase_names_for(int(volume.max()) + 1, phase_names)
        given, sources = {}, {}
        for plane in _plane_names(planes, name="planes"):
            axis = NORMAL[plane]
            n = volume.shape[axis]
            chosen = np.sort(rng.choice(n, size=min(count, n), replace=False))
            given[plane] = [np.take(volume, index, axis=axis) for index in chosen]
            sources[plane] = [f"labels[{_slice_text(axis, index)}]" for index in chosen]
        size = 1.0 if voxel_size is None else voxel_size
        segmentation = _recorded_segmentation(getattr(labels, "provenance", None))
        return cls._complete(given, sources, names, size, symmetry_axis, segmentation=segmentation)

    @classmethod
    def _complete(
        cls,
        given: dict[str, list[np.ndarray]],
        sources: dict[str, list[str]],
        names: tuple[str, ...],
        voxel_size: Any,
        symmetry_axis: Any,
        voxel_size_source: str = "",
        segmentation: Segmentation = _NO_THRESHOLD,
    ) -> Micrographs:
        """Return micrographs of all three planes from labelled images of one, two or three."""
        size = _checks.voxel_size3(voxel_size)
        images, sources, borrowed = complete_planes(given, sources, size, symmetry_axis)
        return cls(
            images=images,
            n_phases=len(names),
            phase_names=names,
            voxel_size=size,
            borrowed=borrowed,
            sources=sources,
            voxel_size_source=voxel_size_source,
            thresholds=segmentation.thresholds,
            segmentation=segmentation.text,
        )

    def check(self, patch: int | None = None) -> MicrographReport:
        """Report counts, sizes and fractions per plane, and what would spoil a model.

        ``warnings`` of the report is empty if nothing is wrong.  It has one sentence for each

        * contradiction between planes: of their volume fractions, or of the autocorrelation along
          the direction that two planes share (a plane taken as isotropic is compared with itself,
          rows against columns);
        * plane whose images repeat each other: serial sections, copies (turned or flipped, too),
          overlapping crops; the number of independent images says how much they amount to;
        * image that several planes share;
        * noisy segmentation: single pixels, or interface that a slight smoothing removes;
        * data bar or frame at an edge of all images of a plane;
        * gradient of a volume fraction across all images of a plane;
        * patch too short for the structure, or larger than an image, if a patch is given.

        ``notes`` holds what is no fault but must be known, such as a tilt against the axes.

        Parameters
        ----------
        patch : int, optional
            Side in pixels of the patches that a network is to be trained on.

        Returns
        -------
        MicrographReport
        """
        if patch is None:
            return self._report
        size = measure_patch(self, _checks.integer(patch, name="patch", minimum=1))
        found = (*self._report.warnings, *size.warnings)
        return dataclasses.replace(self._report, patch=size, warnings=found)

    @functools.cached_property
    def _report(self) -> MicrographReport:
        return check(self)

    # ------------------------------------------------------------------------------- properties

    @property
    def given(self) -> tuple[str, ...]:
        """Planes that have images of their own."""
        return tuple(plane for plane in PLANES if plane not in self.borrowed)

    @functools.cached_property
    def min_side(self) -> int:
        """Shortest image side in pixels: the largest patch that every image can give."""
        return min(min(image.shape) for images in self.images.values() for image in images)

    def plane_fractions(self, plane: str) -> np.ndarray:
        """Return volume fractions pooled over the pixels of one plane, shape (P,)."""
        images = self.images[_checks.choice(plane, PLANES, name="plane")]
        counts = sum(phase_counts(image, self.n_phases) for image in images)
        return np.asarray(counts) / sum(image.size for image in images)

    def volume_fractions(self) -> np.ndarray:
        """Return volume fractions with equal weight for every plane, shape (P,), dimensionless."""
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
        """Return the hexadecimal SHA-256 of planes, shapes, pixels and number of phases."""
        return self._fingerprint

    # ---------------------------------------------------------------------------------- sampling

    @functools.cached_property
    def mirrored(self) -> tuple[str, ...]:
        """Planes whose images have the law of their mirror images, as far as S2 can tell.

        Where the structure is tilted against the axes they have not.  A plane that is borrowed is
        taken to be symmetric.
        """
        return tuple(
            plane
            for plane, images in self.images.items()
            if plane in self.borrowed or mirror_symmetric(images, self.n_phases)
        )

    def sample(
        self,
        rng: np.random.Generator,
        batch_size: int,
        patch: int,
        mirrored: Collection[str] | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw training patches: random plane, image, crop and flips; never rotated by 90 degrees.

        Planes are equally likely; an image of the plane is drawn with probability proportional to
        its area; every crop of it is equally likely.  Each axis is flipped with probability 1/2,
        in planes that are not mirrored both or none.

        Parameters
        ----------
        rng : numpy.random.Generator
            The only source of randomness.
        batch_size : int
            Number of patches B.
        patch : int
            Side of the square patches in pixels, at most ``min_side``.
        mirrored : collection of str, optional
            Planes whose patches may be mirror images; default: those of the attribute.

        Returns
        -------
        labels : array of uint8, shape (B, patch, patch)
        plane : array of int64, shape (B,)
            0 is xy, 1 is xz, 2 is yz.
        """
        if not isinstance(rng, np.random.Generator):
            raise refuse_type("rng", "be a numpy.random.Generator", type(rng).__name__)
        count = _checks.integer(batch_size, name="batch_size", minimum=1)
        side = _checks.integer(patch, name="patch", minimum=1)
        if side > self.min_side:
            self._refuse_patch(side)
        mirrored = self.mirrored if mirrored is None else mirrored
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
            chosen = draw[b, [3, 4 if name in mirrored else 3]]
            flip = [slice(None, None, -1) if u < 0.5 else slice(None) for u in chosen]
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
                    raise refuse(
                        "patch",
                        f"be at most {self.min_side}, the shortest image side",
                        str(side),
                        f"{source.removesuffix(of_plane)}{of_plane} has {rows} x {columns} pixels",
                    )

    def plot(self, axes: Sequence[Axes] | np.ndarray | None = None) -> np.ndarray:
        """Draw the first image of each plane that has images of its own.

        Parameters
        ----------
        axes : sequence of as many matplotlib axes, optional
            Where to draw; default a new figure.

        Returns
        -------
        array of matplotlib.axes.Axes
        """
        pictures = _notebook.first_images(self.images, self.given)
        return _figures.plot_labels(pictures, self.voxel_size, self.phase_names, axes)

    def _repr_html_(self) -> str:
        return _notebook.micrographs_html(self)

    def __repr__(self) -> str:
        planes = []
        for plane, images in self.images.items():
            if plane in self.borrowed:
                planes.append(f"{plane} borrowed ({self.borrowed[plane]})")
            else:
                planes.append(f"{plane} {len(images)} of {describe_sizes(images)}")
        phases = describe_fractions(self.phase_names, self.volume_fractions())
        size = describe_voxel_size(self.voxel_size).replace(" of ", "; voxel size ")
        size += f" ({self.voxel_size_source})" if self.voxel_size_source else ""
        return f"Micrographs: {'; '.join(planes)}{size}; {phases}"


def _recorded_segmentation(provenance: Any) -> Segmentation:
    """Return how the grey values of a volume were segmented when it was loaded."""
    whole = recorded_crop(provenance)
    record = provenance if whole is None else whole[2]
    text = record.get("segmentation") if isinstance(record, Mapping) else None
    if not isinstance(text, str):
        return Segmentation()
    thresholds = record.get("thresholds")
    numbers = thresholds if isinstance(thresholds, list) else []
    return Segmentation(tuple(float(n) for n in numbers if isinstance(n, int | float)), text)


def _refuse_different_phases(given: dict[str, list[np.ndarray]], n_phases: int) -> None:
    """Refuse a phase that does not occur, or not in every plane."""
    present = {
        plane: np.flatnonzero(sum(phase_counts(image, n_phases) for image in images))
        for plane, images in given.items()
    }
    everywhere = set().union(*(set(phases.tolist()) for phases in present.values()))
    if len(everywhere) < n_phases:
        never = min(set(range(n_phases)) - everywhere)
        raise refuse("phases", "all occur in the images", f"no pixel of phase {never}")
    for plane, phases in present.items():
        absent = everywhere - set(phases.tolist())
        if absent:
            other = next(p for p in given if min(absent) in present[p])
            got = f"phase {min(absent)} in plane {other} and not in plane {plane}"
            raise refuse("images", "hold the same phases in all planes", got)


def _plane_names(planes: Any, *, name: str) -> list[str]:
    """Return the names of some planes in their fixed order."""
    wanted = "hold one, two or three of 'xy', 'xz', 'yz'"
    if not isinstance(planes, Iterable):
        raise refuse_type(name, wanted, _checks.shown(planes))
    planes = [planes] if isinstance(planes, str) else list(planes)
    known = [plane for plane in PLANES if plane in planes]
    if not planes or len(known) != len(planes):
        raise refuse(name, wanted, _checks.shown(planes))
    return known


def _slice_text(axis: int, index: int) -> str:
    """Return ``":, 3, :"`` for the slice 3 normal to axis 1."""
    return ", ".join(str(index) if a == axis else ":" for a in range(3))
