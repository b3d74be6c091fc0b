# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Measures of correlation curves: the relative error and the scaled autocovariance."""

from __future__ import annotations

import numpy as np

__all__ = ["relative_error", "scaled_autocovariance"]


def relative_error(curve: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Return ``Σ |curve - reference| / Σ |reference|`` over the last axis; 0 where both are zero.

    Examples
    --------
    >>> float(relative_error(np.array([0.5, 0.25]), np.array([0.25, 0.25])))
    0.5
    """
    difference = np.abs(curve - reference).sum(-1)
    scale = np.broadcast_to(np.abs(reference).sum(-1), np.shape(difference))
    out = np.where(difference == 0, 0.0, np.inf)
    return np.divide(difference, scale, out=out, where=scale > 0)


def scaled_autocovariance(s2: np.ndarray) -> np.ndarray:
    """Return ``(S2 - φ²) / (φ - φ²)`` along the last axis, φ = S2(0); zeros if φ is 0 or 1.

    Examples
    --------
    >>> scaled_autocovariance(np.array([0.5, 0.25, 0.0]))
    array([ 1.,  0., -1.])
    """
    s2 = np.asarray(s2, dtype=float)
    fraction = s2[..., :1]
    variance = np.broadcast_to(fraction - fraction**2, s2.shape)
    return np.divide(s2 - fraction**2, variance, out=np.zeros(s2.shape), where=variance > 0)
