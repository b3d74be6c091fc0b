# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The coupling of neighbours and of passes in float64, by odds."""

from __future__ import annotations

import numpy as np

from .prediction import predicted

__all__ = ["couple"]


def couple(
    x: np.ndarray,
    net: np.ndarray,
    net_uncond: np.ndarray | None = None,
    *,
    strength: np.ndarray,
    periodic: tuple[bool, bool],
    p: float,
    q: float,
    guidance: float = 1.0,
    earlier: np.ndarray | None = None,
    prior: np.ndarray | None = None,
    evidence: float = 0.0,
    agreement: float = 0.0,
) -> tuple[list[np.ndarray], np.ndarray | None]:
    """Return the changed outputs (N, S, C, H, W), and what later passes add."""
    x0 = predicted(x, net, net_uncond, p, q, guidance)
    w = np.zeros(x.shape) if earlier is None else np.array(earlier, dtype=np.float64)
    for axis, j, wraps in zip((3, 4), np.transpose(strength), periodic, strict=True):
        ends = [(1, 1) if k == axis else (0, 0) for k in range(5)]
        wide = np.pad(x0, ends, mode="wrap" if wraps else "edge")
        w += j[:, None, None] * np.diff(wide, 2, axis=axis)
    odds = (1 + x0) / (1 - x0) * np.exp(2 * w)
    change = ((odds - 1) / (odds + 1) - x0) / q
    outputs = [out + change for out in (net, net_uncond) if out is not None]
    if earlier is None or prior is None:
        return outputs, None
    own = np.asarray(prior)[:, None, :, None, None] + evidence * x
    found = np.clip(np.arctanh(x0), -1, 1) - np.clip(own, -1, 1)
    return outputs, agreement * (earlier + found)
