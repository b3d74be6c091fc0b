# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Blocks of one size in larger images."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

Window = tuple[slice, ...]


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
