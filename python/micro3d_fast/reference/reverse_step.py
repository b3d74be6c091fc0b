# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The reverse step in float64, as in the equations of the paper."""

from __future__ import annotations

import numpy as np

from .philox import normals

__all__ = ["reverse_step"]


def reverse_step(
    x: np.ndarray,
    net: np.ndarray,
    *,
    a: float,
    b: float,
    noise: float = 0.0,
    net_uncond: np.ndarray | None = None,
    guidance: float = 1.0,
    h0: np.ndarray | None = None,
    h: float = 0.0,
    clip: tuple[float, float] | None = None,
    seed: int = 0,
    draw: int = 0,
    origin: tuple[int, int, int] = (0, 0, 0),
) -> np.ndarray:
    """Return a x + b e + h h0 + noise z (C, Z, Y, X); with ``clip`` e is the clamped prediction."""
    x = x.astype(np.float64)
    e = net.astype(np.float64)
    if net_uncond is not None:
        e = guidance * e + (1.0 - guidance) * net_uncond.astype(np.float64)  # Eq. 9
    if clip is not None:
        p, q = clip
        e = np.clip(p * x + q * e, -1.0, 1.0)
    out = a * x + b * e
    if h0 is not None:
        out = out + h * h0.astype(np.float64)
    if noise != 0.0:
        out = out + noise * normals(x.shape, seed=seed, draw=draw, origin=origin)
    return out
