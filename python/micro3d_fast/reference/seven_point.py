# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Diffusion between two plates: the dense matrix, face by face, and a direct solve."""

from __future__ import annotations

import itertools

import numpy as np

__all__ = ["matrix", "relative_diffusivity"]


def matrix(k: np.ndarray, weights, periodic) -> tuple[np.ndarray, np.ndarray]:
    """Return the dense A and b of cells with conductivity k (nz, ny, nx).

    The plates are at the ends of axis 0, the first at 1; ``weights`` is area / distance per axis,
    ``periodic`` is for axes 1 and 2.
    """
    shape = k.shape
    number = np.arange(k.size).reshape(shape)
    a = np.zeros((k.size, k.size))
    b = np.zeros(k.size)
    for cell in itertools.product(*map(range, shape)):
        i = number[cell]
        for axis in range(3):
            other = list(cell)
            other[axis] += 1
            if other[axis] == shape[axis]:
                if axis == 0 or not periodic[axis - 1]:
                    continue
                other[axis] = 0
            j = number[tuple(other)]
            k1, k2 = k[cell], k[tuple(other)]
            if i == j or k1 == 0 or k2 == 0:
                continue
            g = weights[axis] * 2 * k1 * k2 / (k1 + k2)
            a[i, i] += g
            a[j, j] += g
            a[i, j] -= g
            a[j, i] -= g
        if cell[0] == 0:
            a[i, i] += 2 * weights[0] * k[cell]
            b[i] += 2 * weights[0] * k[cell]
        if cell[0] == shape[0] - 1:
            a[i, i] += 2 * weights[0] * k[cell]
    return a, b


def relative_diffusivity(mask: np.ndarray, periodic=(False, False)) -> float:
    """Return the relative diffusivity of cubic voxels along axis 0.

    All clusters are included; least squares gives those that do not percolate no current.
    """
    k = mask.astype(float)
    a, b = matrix(k, (1.0, 1.0, 1.0), periodic)
    c = np.linalg.lstsq(a, b, rcond=1e-12)[0].reshape(k.shape)
    current = (2 * k[0] * (1 - c[0])).sum()
    return float(current * k.shape[0] / k[0].size)
