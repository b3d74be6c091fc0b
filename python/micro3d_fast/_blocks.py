# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Disjoint blocks of one size in larger images."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

Window = tuple[slice, ...]


def disjoint_windows(shape: Sequence[int], size: Sequence[int]) -> list[Window]:
    """Return as many disjoint windows of ``size`` as fit side by side, spread evenly."""
    along = [
        [slice(int(s), int(s) + m) for s in np.linspace(0, n - m, n // m)]
        for n, m in zip(shape, size, strict=True)
    ]
    return list(itertools.product(*along))


def spread_evenly(count: int, most: int) -> list[int]:
    """Return ``most`` of the indices 0 ... count - 1 at equal distances, or all."""
    return [int(k) for k in np.linspace(0, count - 1, min(most, count)).round()]
