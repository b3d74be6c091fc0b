# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""How many pairs and segments an image without a mask holds."""

from __future__ import annotations

import numpy as np

from ._image import Flags3


def line_numbers(
    shape: tuple[int, ...], direction: tuple[int, ...], max_lag: int, periodic: Flags3
) -> np.ndarray:
    """Pairs (and segments) of each lag: int64 (max_lag + 1,)."""
    r = np.arange(max_lag + 1)
    out = np.ones(max_lag + 1, dtype=np.int64)
    for n, d, wrap in zip(shape, direction, periodic, strict=True):
        out *= n if wrap else np.maximum(n - r * abs(d), 0)
    return out
