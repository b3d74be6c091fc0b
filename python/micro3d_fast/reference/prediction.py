# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""What the network predicts for a noisy volume, in float64."""

from __future__ import annotations

import numpy as np

__all__ = ["predicted"]


def predicted(
    x: np.ndarray,
    net: np.ndarray,
    net_uncond: np.ndarray | None,
    p: float,
    q: float,
    guidance: float,
) -> np.ndarray:
    """Return x0 = p x + q e, limited to -0.999 ... 0.999, with e by guidance."""
    e = net if net_uncond is None else guidance * net + (1.0 - guidance) * net_uncond
    return np.clip(p * x + q * e, -0.999, 0.999)
