# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Euler number of a phase: particles minus tunnels plus cavities."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np

from .. import _checks
from ..typing import Labels, Periodic, VoxelSize
from ._volume import Flags3, LabelVolume, neighbours

__all__ = ["EulerNumber", "euler_number"]


@dataclass(frozen=True)
class EulerNumber:
    """Euler number of a phase (see `euler_number`).

    Attributes
    ----------
    number : int
        Of the phase in the image: particles - tunnels + cavities; in 2D islands - holes.
    density : float
        Per volume (in 2D per area), without the effect of open faces; nan if an open axis has one
        voxel.
    phase, connectivity : int
    unit : str
        Unit of ``density``.
    """

    number: int
    density: float
    phase: int
    connectivity: int
    unit: str

    def __repr__(self) -> str:
        return (
            f"EulerNumber(phase {self.phase}: {self.number}, density {self.density:.4g} "
            f"{self.unit}; {self.connectivity} neighbours)"
        )


def euler_number(
    labels: Labels,
    phase: int | str,
    *,
    connectivity: int | None = None,
    periodic: Periodic = False,
    mask: Labels | None = None,
    voxel_size: VoxelSize | None = None,
) -> EulerNumber:
    r"""Compute the Euler number of a phase, and its density.

    With 26 (in 2D 8) neighbours the phase is the union of closed voxels, and the Euler number is
    their vertices - edges + faces - voxels.  With 6 (4) it is that of the lattice: voxels - pairs
    of face neighbours + squares of 4 - cubes of 8.  Both are exact integers.  A connected network
    has a negative number, isolated particles a positive one.

    Parameters
    ----------
    labels : array of bool or integers 0 ... 255, 2D or 3D, or Microstructure
        Phase of each voxel, axes (z, y, x) or (y, x).
    phase : int or str
        The phase: its label, or its name in a `Microstructure`.
    connectivity : int, optional
        6 (default) or 26 neighbours in 3D; 4 (default) or 8 in 2D.
    periodic : bool or one per axis
        Neighbours across the faces connect too.
    mask : array of bool, optional
        Only voxels inside belong to the phase, and ``density`` is that of the inside.
    voxel_size : float or one per axis, optional
        Spacing in metres; the density is then per m³ (m²), otherwise per voxel.  Default: that of a
        Microstructure.

    Returns
    -------
    EulerNumber

    Notes
    -----
    ``density`` takes each configuration of 1, 2, 4 and 8 voxels relative to the places that it has
    in the image [1]_, so volumes of different sizes compare.  Independent voxels of fraction p and
    6 neighbours have p - 3 p² + 3 p⁴ - p⁸ per voxel.  It is an unbiased estimate for windows cut
    from a larger material, not ``number`` over the volume: of isolated bodies that touch no face,
    as of one ball, use that quotient, or ``periodic=True``.

    References
    ----------
    .. [1] J. Ohser and F. Mücklich, Statistical Analysis of Microstructures in Materials Science,
       Wiley 2000, Chapter 4.

    Examples
    --------
    A ring has one tunnel:

    >>> ring = np.ones((1, 3, 3), dtype=int)
    >>> ring[0, 1, 1] = 0
    >>> euler_number(ring, 1).number
    0
    >>> euler_number(ring[0], 0, periodic=True)
    EulerNumber(phase 0: 1, density 0.1111 per voxel; 4 neighbours)
    """
    volume = LabelVolume.of(labels, mask)
    nearest, farthest = (4, 8) if volume.ndim == 2 else (6, 26)
    adjacent = _checks.integer(
        nearest if connectivity is None else connectivity, name="connectivity"
    )
    if adjacent not in (nearest, farthest):
        wanted = f"be {nearest} or {farthest} in {volume.ndim}D"
        raise _checks.refuse("connectivity", wanted, str(adjacent))
    number = volume.phase(phase)
    wrap = volume.periodic_axes(periodic)
    spacing, unit = volume.spacing(voxel_size)
    inside = volume.indicator(number)
    seen = np.ones(inside.shape, dtype=bool) if volume.mask is None else volume.mask
    closed = adjacent == farthest
    cells = inside
    if closed:
        beyond = [(0, 0) if w or k < volume.lead else (1, 1) for k, w in enumerate(wrap)]
        cells = np.pad(inside, beyond)
    total, density = 0, 0.0
    for axes in _subsets(volume.lead):
        order = volume.ndim - len(axes) if closed else len(axes)
        total += (-1) ** order * int(np.count_nonzero(_cells(cells, axes, wrap, closed)))
        places = _cells(seen, axes, wrap, False)
        found = int(np.count_nonzero(_cells(inside, axes, wrap, closed) & places))
        count = int(np.count_nonzero(places))
        density += (-1) ** order * (found / count if count else math.nan)
    space = math.prod(spacing[volume.lead :])
    per = "per voxel" if unit == "voxels" else f"per m{'²' if volume.ndim == 2 else '³'}"
    return EulerNumber(total, density / space, number, adjacent, per)


def _subsets(lead: int) -> list[tuple[int, ...]]:
    """Return all sets of axes of space."""
    axes = range(lead, 3)
    return [s for count in range(4 - lead) for s in itertools.combinations(axes, count)]


def _cells(inside: np.ndarray, axes: tuple[int, ...], periodic: Flags3, either: bool) -> np.ndarray:
    """Return whether any (or else all) of the 2 voxels along each of some axes lie inside."""
    for axis in axes:
        first, second = neighbours(inside, axis, periodic[axis])
        inside = first | second if either else first & second
    return inside
