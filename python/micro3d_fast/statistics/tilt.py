# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Tilt of structure against the axes: S2 along one diagonal less that along the other."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

__all__ = ["mean_tilt", "tilt_lags", "tilt_map"]

_LAGS = (1, 2, 4, 8)


def tilt_lags(least: float) -> tuple[int, ...]:
    """Return the lags whose tilt is examined in images of such extents; none in tiny ones."""
    return tuple(lag for lag in _LAGS if 8 * lag <= least) if least >= 16 else ()


def _sums(images: np.ndarray, phases: Sequence[int], lags: Sequence[int]) -> np.ndarray:
    """Return `tilt_map`, but sums over the lags, as int8."""
    longest = lags[-1]
    rows, columns = (n - longest for n in images.shape[-2:])
    out = np.zeros((len(phases), *images.shape[:-2], rows, columns), dtype=np.int8)
    for found, phase in zip(out, phases, strict=True):
        inside = (images == phase).view(np.int8)
        corner = {
            (k, m): inside[..., k : k + rows, m : m + columns]
            for k, m in itertools.product((0, *lags), repeat=2)
        }
        for k, m in itertools.product(lags, repeat=2):
            found += corner[0, 0] & corner[k, m]
            found -= corner[0, m] & corner[k, 0]
    return out


def tilt_map(images: np.ndarray, phases: Sequence[int], lags: Sequence[int]) -> np.ndarray:
    """Return S2(k, l) - S2(k, -l), mean over the lags k and l, of each pixel of images.

    Where structure is tilted against the axes its mean is not 0.  Shape (P, ..., rows, columns),
    less the longest lag.
    """
    return _sums(images, phases, lags) / np.float32(len(lags) ** 2)


def mean_tilt(
    stacks: Sequence[np.ndarray], phases: Sequence[int], lags: Sequence[int]
) -> np.ndarray:
    """Return the mean tilt (P,) of stacks of images (n, rows, columns)."""
    total, pixels = np.zeros(len(phases)), 0
    for stack in stacks:
        found = _sums(stack, phases, lags)
        total += found.sum((1, 2, 3), dtype=float)
        pixels += found[0].size
    return total / (pixels * len(lags) ** 2)
