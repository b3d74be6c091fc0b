# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Exact integer counts along a lattice direction, per slice of a volume."""

from __future__ import annotations

import numpy as np

from ._image import Flags3


def _shifted(b: np.ndarray, lag: tuple[int, ...], periodic: Flags3) -> np.ndarray:
    """b[x + lag] at x; False where x + lag leaves a non-periodic axis."""
    for axis, (r, wrap) in enumerate(zip(lag, periodic, strict=True)):
        if r == 0:
            continue
        n = b.shape[axis]
        if wrap:
            b = np.roll(b, -r, axis=axis)
            continue
        out = np.zeros_like(b)
        if abs(r) < n:
            to = [slice(None)] * 3
            of = [slice(None)] * 3
            to[axis] = slice(max(-r, 0), n - max(r, 0))
            of[axis] = slice(max(r, 0), n - max(-r, 0))
            out[tuple(to)] = b[tuple(of)]
        b = out
    return b


def pair_counts(
    a: np.ndarray, b: np.ndarray, direction: tuple[int, ...], max_lag: int, periodic: Flags3
) -> np.ndarray:
    """Pairs x in ``a``, x + r d in ``b``: int64 (nz, max_lag + 1), by the slice of x."""
    out = np.empty((a.shape[0], max_lag + 1), dtype=np.int64)
    for r in range(max_lag + 1):
        lag = tuple(r * d for d in direction)
        out[:, r] = np.count_nonzero(a & _shifted(b, lag, periodic), axis=(1, 2))
    return out


def segment_counts(
    a: np.ndarray, direction: tuple[int, ...], max_lag: int, periodic: Flags3
) -> np.ndarray:
    """Segments x ... x + r d wholly in ``a``: int64 (nz, max_lag + 1), by the slice of x."""
    out = np.zeros((a.shape[0], max_lag + 1), dtype=np.int64)
    inside = a.copy()
    for r in range(max_lag + 1):
        if r:
            inside &= _shifted(a, tuple(r * d for d in direction), periodic)
        out[:, r] = np.count_nonzero(inside, axis=(1, 2))
        if not out[:, r].any():
            break
    return out


def line_numbers(
    shape: tuple[int, ...], direction: tuple[int, ...], max_lag: int, periodic: Flags3
) -> np.ndarray:
    """Pairs (and segments) of each lag that the image holds without a mask: int64."""
    r = np.arange(max_lag + 1)
    out = np.ones(max_lag + 1, dtype=np.int64)
    for n, d, wrap in zip(shape, direction, periodic, strict=True):
        out *= n if wrap else np.maximum(n - r * abs(d), 0)
    return out
