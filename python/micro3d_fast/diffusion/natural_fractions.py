# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Phase fractions drawn for each volume from the scatter of real specimens."""

from __future__ import annotations

import warnings

import numpy as np

from .. import _checks
from .labelling import UNKNOWN, whole_counts
from .model import Model

__all__ = ["draw_fractions", "leave_room", "natural_covariance"]

_DRAW = 0x66726163  # makes the generator of the fractions another one than those of other uses
_GOLDEN = 0x9E3779B97F4A7C15  # 2**64 over the golden ratio
_GRID = 2**32  # fractions are whole multiples of 1 / _GRID, so that they sum to 1 exactly
_POORLY_KNOWN = 0.25  # relative error of the standard deviation that warns


def natural_covariance(model: Model, shape: tuple[int, int, int], *, stacklevel: int) -> np.ndarray:
    """Return the covariance (P, P) of the phase fractions of specimens of a shape."""
    law = model.fraction_scatter
    if law is None:
        raise _checks.refuse(
            "volume_fractions",
            "be 'auto', None or one number per phase for a model without a record of how its "
            "micrographs scatter",
            "'natural'",
            "train the model again, or set its `fraction_scatter` to "
            "statistics.fraction_scatter(micrographs) with dataclasses.replace",
        )
    error = law.relative_error(shape)
    if error > _POORLY_KNOWN:
        warnings.warn(
            f"the natural scatter of the volume fractions of {shape} voxels is poorly known: the "
            f"micrographs hold {1 / error**2:.1f} independent sections of that size per plane, so "
            f"its standard deviation has an error of about {100 * error:.0f} %",
            stacklevel=stacklevel + 1,
        )
    return law.covariance(shape)


def draw_fractions(mean: np.ndarray, covariance: np.ndarray, seed: int) -> np.ndarray:
    """Return phase fractions (P,) of a mean and a covariance, a function of the seed alone.

    The logarithms are normal, so that rare phases stay positive: each fraction has its mean and its
    variance before all are divided by their sum, which differs from 1 to second order.  Along the
    direction of the largest scatter, consecutive seeds are spread evenly over the law by the golden
    ratio: eight of them miss its mean by half as much as independent draws, and its scatter by a
    third.
    """
    from scipy.special import ndtri

    values, vectors = np.linalg.eigh(covariance)
    root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    along = _direction(vectors[:, -1])  # values are in ascending order
    normal = np.random.default_rng([seed, _DRAW]).standard_normal(len(mean))
    normal = root @ (normal + along * (ndtri(_spread(seed)) - along @ normal))
    relative = np.diag(covariance) / np.maximum(mean, 1e-12) ** 2
    variance = np.log1p(relative)  # of the logarithm
    deviation = normal / np.maximum(np.sqrt(np.diag(covariance)), 1e-300)
    fractions = mean * np.exp(np.sqrt(variance) * deviation - variance / 2)
    out: np.ndarray = whole_counts(fractions / fractions.sum(), _GRID) / _GRID
    return out


def _direction(vector: np.ndarray) -> np.ndarray:
    """Return a vector or its opposite: the first of its large components is positive."""
    large = np.abs(vector) > 0.37 * np.abs(vector).max()  # a ratio that no symmetry makes
    return vector * np.sign(vector[large.argmax()])


def _spread(seed: int) -> float:
    """Return 1/2 + seed / golden ratio modulo 1, above 0 and below 1."""
    return (((2**63 + int(seed) * _GOLDEN) % 2**64 >> 12) + 0.5) / 2**52


def leave_room(fractions: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return fractions of which no phase has less than its known voxels; others make room."""
    given = np.bincount(known[known != UNKNOWN], minlength=len(fractions)) / known.size
    free = np.maximum(fractions - given, 0.0)
    out: np.ndarray = given + free * ((1 - given.sum()) / max(free.sum(), 1e-300))
    return out
