# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Floor, scatter and bootstrap interval of a comparison, from random choices of units."""

from __future__ import annotations

import math

import numpy as np

from ._curves import ratio
from ._samples import Counts
from .measures import relative_error, scaled_autocovariance


def curves(hits: np.ndarray, lines: np.ndarray) -> np.ndarray:
    """Return S2, L and autocovariance (..., 3, P, lags) of counts (..., 2, P, lags)."""
    values = ratio(hits, lines[..., None, None, :])
    s2, path = values[..., 0, :, :], values[..., 1, :, :]
    return np.stack([s2, path, scaled_autocovariance(s2)], axis=-3)


def error_of_parts(counts: Counts, taken: int, times: int, rng: np.random.Generator) -> np.ndarray:
    """Return the mean error (3, P) of ``taken`` random units against the other units.

    nan where ``taken`` leaves no units on one side.
    """
    units = len(counts.unit)
    if not 0 < taken < units:
        return np.full((3, counts.unit.shape[2]), np.nan)
    order = np.argsort(rng.random((times, units)), axis=1)
    chosen = (order < taken).astype(float)
    return relative_error(_pooled(chosen, counts), _pooled(1 - chosen, counts)).mean(0)


def bootstrap_interval(
    error: np.ndarray,
    generated: Counts,
    reference: Counts,
    times: int,
    level: float,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the ends (3, P) of the interval of the error with both sides resampled.

    Resampling adds scatter, which makes the errors larger: the interval is widened to its
    estimate ``error`` (3, P) where all resampled errors are on one side of it.
    """
    resampled = []
    for counts in (generated, reference):
        units = len(counts.unit)
        weights = rng.multinomial(units, [1 / units] * units, times)
        resampled.append(_pooled(weights, counts))
    errors = relative_error(*resampled)
    errors.sort(axis=0)  # by rank, since an error can be infinite
    low = errors[int((1 - level) / 2 * (times - 1))]
    high = errors[math.ceil((1 + level) / 2 * (times - 1))]
    return np.minimum(low, error), np.maximum(high, error)


def _pooled(weights: np.ndarray, counts: Counts) -> np.ndarray:
    """Return the curves (K, 3, P, lags) of units taken ``weights`` (K, U) times."""
    units = len(counts.unit)
    hits = weights @ counts.unit.reshape(units, -1).astype(float)
    lines = weights @ counts.unit_lines.astype(float)
    return curves(hits.reshape(len(weights), *counts.unit.shape[1:]), lines)
