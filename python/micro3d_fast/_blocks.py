# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Blocks of larger images."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

import numpy as np

Window = tuple[slice, ...]

_CALL = 1 << 17  # voxels that could be counted while a block is set up


def even_windows(shape: Sequence[int], size: Sequence[int]) -> list[Window]:
    """Return windows of ``size`` at equal distances that give all places about the same weight.

    Their number along an axis is the nearest to n / size, so neighbours overlap by at most half a
    window, or leave out as much; a single one lies in the middle.
    """
    along = []
    for n, m in zip(shape, size, strict=True):
        count = min(int(n / m + 0.5), n - m + 1) if n >= m else 0
        starts = np.linspace(0, n - m, count) if count > 1 else [(n - m) / 2] * count
        along.append([slice(int(s), int(s) + m) for s in starts])
    return list(itertools.product(*along))


def spread_evenly(count: int, most: int) -> list[int]:
    """Return ``most`` of the indices 0 ... count - 1 at equal distances, or all."""
    return [int(k) for k in np.linspace(0, count - 1, min(most, count)).round()]


def best_block(
    shape: Sequence[int],
    chunks: Sequence[int],
    halo: Sequence[int],
    whole: Sequence[bool],
    most: int,
) -> tuple[int, ...]:
    """Return the size of the blocks of an array in chunks that cost the least to read and count.

    Parameters
    ----------
    shape, chunks : sequence of int
        Extents of the array and of its chunks, which are always read as a whole.
    halo : sequence of int
        Voxels read beyond the end of a block; none along axes that are not cut.
    whole : sequence of bool
        Axes that are not cut.
    most : int
        Voxels of a block with its halo.

    Returns
    -------
    tuple of int
        The smallest possible if that is too large.
    """
    axes = [list(_costs(*each)) for each in zip(shape, chunks, halo, whole, strict=True)]

    def cost(block: tuple[tuple[int, ...], ...]) -> tuple[int, int]:
        _, extent, read, counted, number = map(math.prod, zip(*block, strict=True))
        return max(extent, most), read + counted + _CALL * number

    return tuple(size for size, *_ in min(itertools.product(*axes), key=cost))


def _costs(n: int, chunk: int, halo: int, whole: bool) -> Iterator[tuple[int, int, int, int, int]]:
    """Yield sizes along an axis: with the halo, voxels read and counted, and number of blocks."""
    yield n, n, n, n, 1
    doubled = [chunk << k for k in range(n.bit_length())]
    halved = [chunk >> k for k in range(1, chunk.bit_length())]
    for size in () if whole else sorted({*halved, *doubled}):
        if size + halo < n:
            starts = np.arange(0, n, size)
            read = -(-(starts + size + halo) // chunk) - starts // chunk
            number = len(starts)
            yield size, size + halo, chunk * int(read.sum()), (size + halo) * number, number
