# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Local percolation: which share of small cells a phase crosses."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from .. import _checks
from .._planes import AXIS_NAMES
from .._results import Result
from ..typing import Labels, Periodic
from ._clusters import find_clusters, neighbour_count
from ._volume import Flags3, LabelVolume, Shape3
from .fluctuations import bin_of, checked_edges

__all__ = ["LocalPercolation", "local_percolation"]

_BATCH = 1 << 21  # voxels of cells that are labelled at a time
OPEN = (False, False, False)


@dataclass(frozen=True, eq=False)
class LocalPercolation(Result):
    """Percolation of a phase through cubic cells (see `local_percolation`).

    The directions are "z", "y", "x" (in 2D "y", "x"), "all" of them, and "any".

    Attributes
    ----------
    size : array of int64
        Edge of the cells in voxels.
    cells : array of int64
        Number of cells of each size.
    share : dict of str to array of float64, shape (sizes,)
        Share of the cells that the phase crosses in each direction: p(M).
    edges : array of float64, shape (bins + 1,)
        Edges of equal bins of the fraction of the phase in a cell, from 0 to 1.
    distribution : array of float64, shape (sizes, bins)
        Share of the cells with a fraction in each bin: μ(φ, M).
    probability : dict of str to array of float64, shape (sizes, bins)
        Share of the cells with a fraction in the bin that the phase crosses: λ(φ, M); nan without
        such cells.
    phase, connectivity : int
    """

    size: np.ndarray
    cells: np.ndarray
    share: dict[str, np.ndarray]
    edges: np.ndarray
    distribution: np.ndarray
    probability: dict[str, np.ndarray]
    phase: int
    connectivity: int

    def __repr__(self) -> str:
        sizes = ", ".join(
            f"{100 * every:.3g} … {100 * some:.3g} % of {size}"
            for every, some, size in zip(
                self.share["all"], self.share["any"], self.size, strict=True
            )
        )
        return (
            f"LocalPercolation(phase {self.phase} crosses along all … any axes: {sizes} voxels; "
            f"{self.connectivity} neighbours)"
        )


def local_percolation(
    labels: Labels,
    phase: int | str,
    *,
    sizes: int | Iterable[int] | None = None,
    stride: int | None = None,
    bins: int = 10,
    connectivity: int | None = None,
    periodic: Periodic = False,
) -> LocalPercolation:
    r"""Compute the share of cubic (square) cells that a phase crosses, by size of the cell.

    Hilfer's local porosity theory [1]_: a cell percolates along an axis if a cluster of the phase
    inside it touches both of its faces.  With the distribution μ(φ, M) of the fraction in cells of
    edge M and the local percolation probability λ(φ, M), the share of percolating cells is

    .. math:: p(M) = \int_0^1 \mu(\varphi, M)\, \lambda(\varphi, M)\, d\varphi .

    It tells how a phase connects over short distances, where two-point statistics may agree.

    Parameters
    ----------
    labels : array of bool or integers 0 ... 255, 2D or 3D, or Microstructure
        Phase of each voxel.
    phase : int or str
        The phase: its label, or its name in a `Microstructure`.
    sizes : int or iterable of int, optional
        Edges in voxels, as of `local_fractions`.  Default: 1, 2, 4, … up to half of the shortest
        axis.
    stride : int, optional
        Distance of the cells along each axis, about; 1 for a cell at every position.  Default: half
        of the edge.
    bins : int
        Number of bins of the fraction.
    connectivity : int, optional
        6 (default), 18 or 26 neighbours in 3D; 4 (default) or 8 in 2D.
    periodic : bool or one per axis
        Cells may lie across the faces; each cell is open.

    Returns
    -------
    LocalPercolation

    References
    ----------
    .. [1] R. Hilfer, Phys. Rev. B 45, 7115 (1992); B. Biswal, C. Manwart and R. Hilfer, Physica A
       255, 221 (1998).

    Examples
    --------
    Layers two voxels thick:

    >>> layers = np.repeat([1, 0, 1, 0], 2 * 64).reshape(8, 8, 8)
    >>> found = local_percolation(layers, 1, sizes=[1, 2, 4], stride=1, periodic=True)
    >>> found.share["x"]
    array([0.5 , 0.75, 1.  ])
    >>> found.share["z"]
    array([0.5 , 0.25, 0.  ])
    """
    volume = LabelVolume.of(labels)
    number = volume.phase(phase)
    adjacent = neighbour_count(volume, connectivity)
    wrap = volume.periodic_axes(periodic)
    window_edges = checked_edges(sizes, volume.shortest)
    if stride is not None:
        stride = _checks.integer(stride, name="stride", minimum=1)
    bins = _checks.integer(bins, name="bins", minimum=1)
    inside = volume.indicator(number)
    counts, percolating = [], []
    for edge in window_edges:
        z, y, x = (edge if n > 1 else 1 for n in volume.shape)
        step = stride or max(1, edge // 2)
        count = np.zeros(bins, dtype=np.int64)
        crossed = np.zeros((volume.ndim + 2, bins), dtype=np.int64)
        for cells in _cells(inside, (z, y, x), step, wrap):
            where = bin_of(np.count_nonzero(cells, axis=(1, 2, 3)), z * y * x, bins)
            count += np.bincount(where, minlength=bins)
            along = _crossed(cells, adjacent)[volume.lead :]
            for total, cross in zip(crossed, [*along, along.all(0), along.any(0)], strict=True):
                total += np.bincount(where[cross], minlength=bins)
        counts.append(count)
        percolating.append(crossed)
    number_of_cells, total = np.array(counts), np.array(percolating)
    probability = np.full(total.shape, np.nan)
    np.divide(total, number_of_cells[:, None], out=probability, where=number_of_cells[:, None] > 0)
    names = (*AXIS_NAMES[volume.lead :], "all", "any")
    cells_of_size = number_of_cells.sum(axis=1)
    return LocalPercolation(
        size=np.array(window_edges),
        cells=cells_of_size,
        share={name: total[:, k].sum(axis=1) / cells_of_size for k, name in enumerate(names)},
        edges=np.arange(bins + 1) / bins,
        distribution=number_of_cells / cells_of_size[:, None],
        probability={name: probability[:, k] for k, name in enumerate(names)},
        phase=number,
        connectivity=adjacent,
    )


def _cells(inside: np.ndarray, size: Shape3, stride: int, periodic: Flags3) -> Iterator[np.ndarray]:
    """Yield the cells (n, *size) of one size in batches, evenly spread."""
    beyond = [(0, e - 1) if w else (0, 0) for e, w in zip(size, periodic, strict=True)]
    views = np.lib.stride_tricks.sliding_window_view(np.pad(inside, beyond, mode="wrap"), size)
    starts = []
    for n, places, wrap in zip(inside.shape, views.shape[:3], periodic, strict=True):
        if wrap:
            spread = np.linspace(0, n, -(-n // stride), endpoint=False)
        else:
            spread = np.linspace(0, places - 1, -(-(places - 1) // stride) + 1)
        starts.append(np.unique(spread.round().astype(int)))
    corners = np.stack(np.meshgrid(*starts, indexing="ij"), axis=-1).reshape(-1, 3)
    batch = max(1, _BATCH // math.prod(size))
    for k in range(0, len(corners), batch):
        z, y, x = corners[k : k + batch].T
        yield views[z, y, x]


def _crossed(cells: np.ndarray, connectivity: int) -> np.ndarray:
    """Return which cells a cluster crosses along z, y and x: bool (3, n).

    The cells are labelled as one volume, stacked along z with a gap of one voxel.
    """
    stack = np.pad(cells, [(0, 0), (0, 1), (0, 0), (0, 0)])
    volume = LabelVolume(stack.reshape(-1, *cells.shape[2:]).view(np.uint8), None, 3)
    connectivity = {4: 6, 8: 18}.get(connectivity, connectivity)
    found = find_clusters(volume, 1, connectivity, OPEN).reshape(stack.shape)[:, :-1]
    crossed = []
    for axis in (1, 2, 3):
        ends = np.zeros((2, int(found.max()) + 1), dtype=bool)
        for face, end in zip((0, -1), ends, strict=True):
            end[found.take(face, axis=axis)] = True
        spanning = ends[0] & ends[1]
        spanning[0] = False
        crossed.append(spanning[found.take(0, axis=axis)].any(axis=(1, 2)))
    return np.array(crossed)
