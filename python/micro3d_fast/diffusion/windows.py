# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Cut slices into the inputs of the network: whole, or in shifted windows.

Every pass has windows at a new offset, a function of (seed, draw), so that no voxel stays at a
border and nothing has to be blended.  Along a periodic axis they wrap; along others the outermost
are moved inwards.  Every voxel is taken from one window.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["MARGIN", "Cell", "Layout", "cut", "layout", "offsets", "whole"]

MARGIN = 16  # by which a whole periodic axis wraps if its length is not a multiple of the stride


@dataclass(frozen=True)
class Cell:
    """Along one axis of n voxels: read ``length`` from ``start`` on (mod n), keep first ... stop.

    ``first`` and ``stop`` may lie beyond n on a periodic axis; they too are read mod n.
    """

    start: int
    length: int
    first: int
    stop: int

    def read(self, x: Tensor, axis: int) -> Tensor:
        """Return the input of the network along an axis of a slice batch."""
        import torch

        n = x.shape[axis]
        if self.start >= 0 and self.start + self.length <= n:
            return x.narrow(axis, self.start, self.length)
        index = torch.arange(self.start, self.start + self.length, device=x.device) % n
        return x.index_select(axis, index)

    def pieces(self, n: int) -> list[tuple[slice, slice]]:
        """Return (target in the slice, source in the output); two pairs if the cell wraps."""
        out = []
        at = self.first
        while at < self.stop:
            to = min(self.stop, (at // n + 1) * n)
            here = at - self.start
            out.append((slice(at % n, at % n + to - at), slice(here, here + to - at)))
            at = to
        return out


def whole(n: int, stride: int, periodic: bool) -> list[Cell]:
    """Return one cell; with a margin if periodic and not a multiple of the stride."""
    if not periodic or n % stride == 0:
        return [Cell(0, n, 0, n)]
    return [Cell(-MARGIN, -(-(n + 2 * MARGIN) // stride) * stride, 0, n)]


def cut(n: int, window: int, periodic: bool, offset: int) -> list[Cell]:
    """Return windows over an axis longer than one window.

    Parameters
    ----------
    n : int
        Voxels of the axis, more than ``window``.
    window : int
    periodic : bool
        Spread evenly, as few as cover the axis; else the borders lie at ``offset`` plus multiples
        of ``window``, and the windows at both ends are moved inwards.
    offset : int
        0 ... n - 1 if periodic, otherwise 0 ... window - 1.
    """
    if periodic:
        count = -(-n // window)
        borders = [offset + i * n // count for i in range(count + 1)]
        starts = [a - (window - (b - a)) // 2 for a, b in itertools.pairwise(borders)]
    else:
        borders = [0, *range(offset or window, n, window), n]
        starts = [min(a, n - window) for a in borders[:-1]]
    return [
        Cell(start, window, a, b) for start, a, b in zip(starts, borders, borders[1:], strict=False)
    ]


def offsets(seed: int, draw: int, limits: tuple[int, int]) -> tuple[int, int]:
    """Return the offsets of the windows of a pass along rows and columns."""
    random = np.random.default_rng((seed, draw))
    rows, columns = (int(random.integers(limit)) for limit in limits)
    return rows, columns


@dataclass(frozen=True)
class Layout:
    """The windows of one slice in one pass."""

    rows: list[Cell]
    columns: list[Cell]

    @property
    def spots(self) -> list[tuple[Cell, Cell]]:
        return [(row, column) for row in self.rows for column in self.columns]


def layout(
    sides: tuple[int, int],
    periodic: tuple[bool, bool],
    stride: int,
    window: int | None,
    seed: int,
    draw: int,
) -> tuple[Layout, tuple[bool, bool]]:
    """Return the windows of a pass over slices (h, w), and along which axes convolutions wrap.

    An axis no longer than the window is taken whole.
    """
    windowed = [window is not None and n > window for n in sides]
    span = window or 1
    limits = [n if p else span for n, p in zip(sides, periodic, strict=True)]
    offset = offsets(seed, draw, (limits[0], limits[1])) if any(windowed) else (0, 0)
    cells = [
        cut(n, span, p, o) if w else whole(n, stride, p)
        for n, p, o, w in zip(sides, periodic, offset, windowed, strict=True)
    ]
    wraps = [
        p and not w and n % stride == 0 for n, p, w in zip(sides, periodic, windowed, strict=True)
    ]
    return Layout(cells[0], cells[1]), (wraps[0], wraps[1])
