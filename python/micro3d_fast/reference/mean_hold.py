# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The held mean in float64."""

from __future__ import annotations

import numpy as np

from .prediction import predicted

__all__ = ["hold_mean"]


def hold_mean(
    x: np.ndarray,
    net: np.ndarray,
    net_uncond: np.ndarray | None = None,
    *,
    mean: np.ndarray,
    tilt: np.ndarray,
    p: float,
    q: float,
    part: tuple[int, int, int],
    every: int = 1,
    guidance: float = 1.0,
) -> tuple[list[np.ndarray], np.ndarray]:
    """Return the changed outputs (N, S, C, H, W) and w (N, C)."""
    x0 = predicted(x, net, net_uncond, p, q, guidance)
    seen = x0[:, : part[0] : every, :, : part[1], : part[2]]
    w = np.array(tilt, dtype=np.float64)
    for _ in range(4):
        y = _tilted(seen, w)
        slope = np.maximum(1.0 - (y**2).mean((1, 3, 4)), 1e-3)
        w += np.clip((np.asarray(mean) - y.mean((1, 3, 4))) / slope, -0.5, 0.5)
    w = np.round(w * 4096) / 4096
    change = (_tilted(x0, w) - x0) / q
    return [out + change for out in (net, net_uncond) if out is not None], w


def _tilted(x0: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Return x0 under prior odds that are exp(2 w) times as large."""
    t = np.tanh(w)[:, None, :, None, None]
    return (x0 + t) / (1.0 + x0 * t)
