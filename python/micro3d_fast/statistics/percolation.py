# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Connected clusters of a phase, and whether they percolate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .._planes import AXIS_NAMES
from ..typing import Labels, Periodic
from ._clusters import find_clusters, neighbour_count
from ._volume import Flags3, LabelVolume

__all__ = ["Percolation", "cluster_labels", "percolation"]


@dataclass(frozen=True)
class Percolation:
    """Whether a phase connects opposite faces (see `percolation`).

    Attributes
    ----------
    percolates : dict of str to bool
        For each axis name.
    fraction : dict of str to float
        Share of the phase's voxels in clusters that do; nan if the phase is absent.
    clusters : int
        Clusters of the phase.
    largest : float
        Share of the phase's voxels in its largest cluster.
    phase, connectivity : int
    """

    percolates: dict[str, bool]
    fraction: dict[str, float]
    clusters: int
    largest: float
    phase: int
    connectivity: int

    def __repr__(self) -> str:
        fractions = ", ".join(f"{axis} {100 * f:.1f} %" for axis, f in self.fraction.items())
        return (
            f"Percolation(phase {self.phase}: {fractions} of it connects the faces; "
            f"{self.clusters} clusters, largest {100 * self.largest:.1f} %)"
        )


def cluster_labels(
    labels: Labels,
    phase: int | str,
    *,
    connectivity: int | None = None,
    periodic: Periodic = False,
    mask: Labels | None = None,
) -> np.ndarray:
    """Return the number of the connected cluster of every voxel of a phase; 0 elsewhere.

    Parameters
    ----------
    labels : array of bool or integers 0 ... 255, 2D or 3D, or Microstructure
        Phase of each voxel.
    phase : int or str
        The phase: its label, or its name in a `Microstructure`.
    connectivity : int, optional
        6 (default), 18 or 26 neighbours in 3D; 4 (default) or 8 in 2D.
    periodic : bool or one per axis
        Neighbours across the faces connect too.
    mask : array of bool, optional
        Only voxels inside belong to the phase.

    Returns
    -------
    array of int32, shape of ``labels``
        1 ... number of clusters, in no particular order; 0 outside the phase.

    Notes
    -----
    cc3d labels where it is installed, otherwise scipy.ndimage; periodic faces are joined here.

    Examples
    --------
    >>> cluster_labels(np.array([[1, 0, 1, 1]]), 1)
    array([[1, 0, 2, 2]], dtype=int32)
    >>> cluster_labels(np.array([[1, 0, 1, 1]]), 1, periodic=True)
    array([[1, 0, 1, 1]], dtype=int32)
    """
    volume = LabelVolume.of(labels, mask, bytes_per_voxel=6)
    neighbours = neighbour_count(volume, connectivity)
    number = volume.phase(phase)
    found = find_clusters(volume, number, neighbours, volume.periodic_axes(periodic))
    return found.reshape(found.shape[volume.lead :])


def percolation(
    labels: Labels,
    phase: int | str,
    *,
    connectivity: int | None = None,
    periodic: Periodic = False,
    mask: Labels | None = None,
) -> Percolation:
    """Determine whether clusters of a phase connect opposite faces, and how much of it does.

    Along the axis in question the image is treated as open even if it is periodic; the other axes
    connect across their faces if periodic.

    Parameters
    ----------
    labels, phase, connectivity, periodic, mask
        As of `cluster_labels`.

    Returns
    -------
    Percolation

    Examples
    --------
    >>> percolation(np.array([[1, 0, 1], [1, 1, 1]]), 1)
    Percolation(phase 1: y 100.0 %, x 100.0 % of it connects the faces; 1 clusters, largest 100.0 %)
    """
    volume = LabelVolume.of(labels, mask, bytes_per_voxel=6)
    wrap = volume.periodic_axes(periodic)
    neighbours = neighbour_count(volume, connectivity)
    return percolation_of(volume, volume.phase(phase), neighbours, wrap)


def percolation_of(
    volume: LabelVolume, number: int, neighbours: int, wrap: Flags3 = (False, False, False)
) -> Percolation:
    """Return the `percolation` of a phase, which may be absent, with checked arguments."""
    percolates: dict[str, bool] = {}
    fraction: dict[str, float] = {}
    memory: dict[Flags3, np.ndarray] = {}

    def clusters(flags: Flags3) -> np.ndarray:
        if flags not in memory:
            memory[flags] = find_clusters(volume, number, neighbours, flags)
        return memory[flags]

    for axis in range(volume.lead, 3):
        z, y, x = (w and k != axis for k, w in enumerate(wrap))
        found = clusters((z, y, x))
        sizes = np.bincount(found.ravel())
        spanning = np.intersect1d(found.take(0, axis=axis), found.take(-1, axis=axis))
        spanning = spanning[spanning > 0]
        name = AXIS_NAMES[axis]
        percolates[name] = bool(spanning.size)
        total = int(sizes[1:].sum())
        fraction[name] = float(sizes[spanning].sum() / total) if total else float("nan")
    sizes = np.bincount(clusters(wrap).ravel())[1:]
    return Percolation(
        percolates,
        fraction,
        clusters=len(sizes),
        largest=float(sizes.max() / sizes.sum()) if len(sizes) else float("nan"),
        phase=number,
        connectivity=neighbours,
    )
