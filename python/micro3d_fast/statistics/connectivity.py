# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""How the phases of a volume connect, in 3D and in its slices, beside a reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import _checks
from .._blocks import even_windows, spread_evenly
from .._planes import NORMAL, PLANES
from .._spread import with_spread
from ..typing import Labels, Periodic, Specimens
from ._clusters import find_clusters, neighbour_count
from ._samples import ImageSample, Sample, sample_of, some_slices
from ._volume import LabelVolume
from .percolation import Percolation, percolation_of

__all__ = ["Connectivity", "PhaseConnectivity", "connectivity"]

MOST = 64  # slices of each plane, and blocks of a reference volume
OPEN = (False, False, False)

#: Mean and standard deviation of a single window, block or volume; the latter nan for one.
Spread = tuple[float, float]


@dataclass(frozen=True)
class PhaseConnectivity:
    """How one phase connects (see `connectivity`).

    A pair holds the mean and the standard deviation of a single block or window.

    Attributes
    ----------
    phase : int
    name : str
    percolating : dict of axis to float
        Share of the phase in clusters that connect opposite faces; nan if the phase is absent.
    particles : int
        Connected clusters in 3D.
    per_megavoxel : float
        Particles per 100 x 100 x 100 voxels.
    islands : dict of plane to (float, float)
        Connected islands in a window of a slice.
    reference_percolating : dict of axis to (float, float)
        Of the blocks of a reference volume; empty for images.
    reference_particles : (float, float) or None
    reference_islands : dict of plane to (float, float)
        Of the planes that the reference shows.
    """

    phase: int
    name: str
    percolating: dict[str, float]
    particles: int
    per_megavoxel: float
    islands: dict[str, Spread]
    reference_percolating: dict[str, Spread]
    reference_particles: Spread | None
    reference_islands: dict[str, Spread]

    def __str__(self) -> str:
        shares, islands = [], []
        for axis, share in self.percolating.items():
            real = self.reference_percolating.get(axis)
            shares.append(f"{axis} {100 * share:.1f} %{_beside(real, 100.0)}")
        for plane, (mean, _) in self.islands.items():
            islands.append(f"{plane} {mean:.3g}{_beside(self.reference_islands.get(plane))}")
        return (
            f"{self.name}: {', '.join(shares)} of it connects the faces; "
            f"{self.particles} particle{'s' if self.particles != 1 else ''}"
            f"{_beside(self.reference_particles)}, "
            f"{self.per_megavoxel:.3g} per 100³ voxels; islands per slice {', '.join(islands)}"
        )


@dataclass(frozen=True)
class Connectivity:
    """How the phases of a volume connect (see `connectivity`).

    Attributes
    ----------
    phases : tuple of PhaseConnectivity
        Those that occur in the volume or in the reference.
    shape : (nz, ny, nx)
        Of the volume, and of the blocks of a reference volume.
    windows : dict of plane to (int, int)
        Size in which islands are counted, in the volume and in the reference.
    connectivity : int
        6, 18 or 26 neighbours.
    """

    phases: tuple[PhaseConnectivity, ...]
    shape: tuple[int, int, int]
    windows: dict[str, tuple[int, int]]
    connectivity: int

    def __repr__(self) -> str:
        windows = ", ".join(f"{plane} {h} x {w}" for plane, (h, w) in self.windows.items())
        beside = any(p.reference_islands for p in self.phases)
        head = (
            f"Connectivity ({' x '.join(map(str, self.shape))} voxels, {self.connectivity} "
            f"neighbours; slices {windows}{'; in brackets the reference' if beside else ''})"
        )
        return "\n".join([head, *(f"  {phase}" for phase in self.phases)])


def connectivity(
    labels: Labels,
    reference: Specimens | None = None,
    *,
    connectivity: int | None = None,
    periodic: Periodic = False,
) -> Connectivity:
    """Count particles and islands of every phase, and how much of it percolates.

    Sections do not determine how a phase connects in 3D.  What can be compared with micrographs is
    the number of connected islands in slices; with a tomogram, particles and percolation too.

    Parameters
    ----------
    labels : array of bool or integers 0 ... 255, 3D, or Microstructure
        Phase of each voxel.
    reference : Micrographs, mapping of plane to images, or volume(s), optional
        Islands are counted in windows of the same size in both.  Blocks of the size of ``labels``
        are cut from volumes, evenly spread over them.
    connectivity : int, optional
        6 (default), 18 or 26 neighbours in 3D; 4 for 6, otherwise 8, in slices.
    periodic : bool or one per axis
        Particles connect across the faces of ``labels``; slices and blocks are open.  By default
        faces are not joined, not even those of a volume that was made periodic.

    Returns
    -------
    Connectivity

    Examples
    --------
    Two bars along z, side by side:

    >>> bars = np.zeros((6, 5, 5), dtype=np.uint8)
    >>> bars[:, 1:4, [1, 3]] = 1
    >>> print(connectivity(bars).phases[1])  # doctest: +NORMALIZE_WHITESPACE
    phase 1: z 100.0 %, y 0.0 %, x 0.0 % of it connects the faces; 2 particles,
    1.33e+04 per 100³ voxels; islands per slice xy 2, xz 1.2, yz 0.4
    """
    array = _checks.as_labels(labels, ndim=3)
    volume = LabelVolume(array, None, 3)
    wrap = volume.periodic_axes(periodic)
    neighbours = neighbour_count(volume, connectivity)
    real = None if reference is None else sample_of(reference, "reference")
    windows, slices, real_slices = {}, {}, {}
    for plane in PLANES:
        images = some_slices(array, NORMAL[plane], MOST)
        others = [] if real is None else _images(real, plane)
        size = np.min([i.shape for i in images + others], axis=0)
        windows[plane] = (int(size[0]), int(size[1]))
        slices[plane] = _cut(images, windows[plane])
        if others:
            real_slices[plane] = _cut(others, windows[plane])
    blocks = _blocks(real, array.shape)
    count = max(int(array.max()) + 1, 0 if real is None else real.n_phases)
    names: Sequence[str] = getattr(labels, "phase_names", getattr(reference, "phase_names", ()))
    found = []
    for phase in range(count):
        whole = percolation_of(volume, phase, neighbours, wrap)
        one = PhaseConnectivity(
            phase=phase,
            name=names[phase] if phase < len(names) else f"phase {phase}",
            percolating=whole.fraction,
            particles=whole.clusters,
            per_megavoxel=1e6 * whole.clusters / array.size,
            islands=_islands(slices, phase, neighbours),
            reference_islands=_islands(real_slices, phase, neighbours),
            **_of_blocks([percolation_of(LabelVolume.of(b), phase, neighbours) for b in blocks]),
        )
        if one.particles or any(mean for mean, _ in one.reference_islands.values()):
            found.append(one)
    nz, ny, nx = array.shape
    return Connectivity(tuple(found), (nz, ny, nx), windows, neighbours)


# ------------------------------------------------------------------------------------- helpers


def _images(sample: Sample, plane: str) -> list[np.ndarray]:
    if isinstance(sample, ImageSample):
        return sample.images.get(plane, [])
    if plane not in sample.planes:
        return []
    return [
        image for volume in sample.volumes for image in some_slices(volume, NORMAL[plane], MOST)
    ]


def _cut(images: Sequence[np.ndarray], size: tuple[int, int]) -> np.ndarray:
    """Return windows of one size of images, evenly spread: (n, h, w)."""
    return np.stack([image[w] for image in images for w in even_windows(image.shape, size)])


def _blocks(sample: Sample | None, shape: Sequence[int]) -> list[np.ndarray]:
    """Return blocks of one shape, evenly spread over the volumes of a reference."""
    if sample is None or isinstance(sample, ImageSample):
        return []
    places = [
        (volume, window)
        for volume in sample.volumes
        for window in even_windows(volume.shape, shape)
    ]
    return [places[k][0][places[k][1]] for k in spread_evenly(len(places), MOST)]


def _islands(windows: dict[str, np.ndarray], phase: int, neighbours: int) -> dict[str, Spread]:
    """Return the number of connected islands of a phase in the windows of each plane."""
    flat = 4 if neighbours == 6 else 8
    return {
        plane: _spread(
            [
                int(find_clusters(image, phase, flat, OPEN).max())
                for image in LabelVolume(stack, None, 2, batch=True).slices()
            ]
        )
        for plane, stack in windows.items()
    }


def _of_blocks(blocks: Sequence[Percolation]) -> dict[str, Any]:
    """Return the arguments of `PhaseConnectivity` that come from blocks of a reference volume."""
    if not blocks:
        return {"reference_percolating": {}, "reference_particles": None}
    shares = {axis: _spread([b.fraction[axis] for b in blocks]) for axis in blocks[0].fraction}
    particles = _spread([b.clusters for b in blocks])
    return {"reference_percolating": shares, "reference_particles": particles}


def _spread(values: Sequence[float]) -> Spread:
    std = float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")
    return float(np.mean(values)), std


def _beside(real: Spread | None, factor: float = 1.0) -> str:
    return "" if real is None else f" ({with_spread(factor * real[0], factor * real[1])})"
