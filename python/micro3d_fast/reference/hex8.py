# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Hex8 on a periodic voxel grid from shape functions and Gauss points, in physical units.

Node (z, y, x) is the low corner of voxel (z, y, x). Fields are (components, nz, ny, nx), components
x, y, z. ``voxel_size`` is (dz, dy, dx). There are no modes and no scaled units.
"""

from __future__ import annotations

import itertools

import numpy as np

__all__ = [
    "apply",
    "dense_matrix",
    "gather",
    "gauss_matrices",
    "gradients",
    "homogenize",
    "mean_strain",
    "scatter",
    "strain_matrix",
]

CORNERS = [(a, b, c) for c in (0, 1) for b in (0, 1) for a in (0, 1)]  # offsets along x, y, z


def gradients(point: tuple[float, float, float], h: np.ndarray) -> np.ndarray:
    """Return dN/dx, dN/dy, dN/dz of the eight shape functions at a point in [-1, 1]^3: (8, 3)."""
    out = np.empty((8, 3))
    for n, corner in enumerate(CORNERS):
        sign = 2.0 * np.array(corner) - 1.0
        factors = (1.0 + sign * np.array(point)) / 2.0
        for j in range(3):
            others = [factors[k] for k in range(3) if k != j]
            out[n, j] = sign[j] / 2.0 * np.prod(others) * 2.0 / h[j]
    return out


def strain_matrix(grad: np.ndarray) -> np.ndarray:
    """Return the matrix (6, 24) from 24 displacements to the Voigt strain.

    Its order is 11, 22, 33, 23, 13, 12, with engineering shear.
    """
    b = np.zeros((6, 24))
    for n in range(8):
        gx, gy, gz = grad[n]
        b[:, 3 * n : 3 * n + 3] = [
            [gx, 0, 0],
            [0, gy, 0],
            [0, 0, gz],
            [0, gz, gy],
            [gz, 0, gx],
            [gy, gx, 0],
        ]
    return b


def gauss_matrices(voxel_size, components: int, bbar: bool = False):
    """Return [(B, weight)] of the 2 x 2 x 2 rule; B (6, 24) or (3, 8); Σ weight is the volume."""
    h = np.array(voxel_size, dtype=float)[::-1]
    points = list(itertools.product((-1 / np.sqrt(3), 1 / np.sqrt(3)), repeat=3))
    make = strain_matrix if components == 3 else np.transpose
    matrices = [make(gradients(p, h)) for p in points]
    if bbar:  # the volumetric part of every point is that of the mean
        volumetric = np.zeros((6, 6))
        volumetric[:3, :3] = 1.0 / 3.0
        mean = sum(matrices) / len(matrices)
        matrices = [b - volumetric @ b + volumetric @ mean for b in matrices]
    return [(b, h.prod() / len(points)) for b in matrices]


def gather(u: np.ndarray) -> np.ndarray:
    """Return values at the corners of all voxels, (voxels, 8 * components), components fastest."""
    corners = [np.roll(u, (-c, -b, -a), axis=(1, 2, 3)) for a, b, c in CORNERS]
    return np.stack(corners, axis=1).transpose(2, 3, 4, 1, 0).reshape(u[0].size, -1)


def scatter(f: np.ndarray, shape) -> np.ndarray:
    """Return the sum of the corner forces at every node, the transpose of :func:`gather`."""
    components = f.shape[1] // 8
    f = f.reshape(*shape, 8, components)
    out = np.zeros((components, *shape))
    for n, (a, b, c) in enumerate(CORNERS):
        out += np.roll(np.moveaxis(f[..., n, :], -1, 0), (c, b, a), axis=(1, 2, 3))
    return out


def apply(u, coefficients, voxel_size, macro, bbar: bool = False) -> np.ndarray:
    """Return the nodal forces of a field u about a uniform strain (6,) or gradient (3,).

    ``coefficients``: stiffness (nz, ny, nx, 6, 6) or conductivity (nz, ny, nx, 3, 3) of voxels.
    """
    shape = u.shape[1:]
    c = coefficients.reshape(-1, *coefficients.shape[-2:])
    values = gather(u)
    forces = np.zeros_like(values)
    for b, weight in gauss_matrices(voxel_size, u.shape[0], bbar):
        strain = values @ b.T + macro
        stress = np.einsum("vij,vj->vi", c, strain)
        forces += weight * stress @ b
    return scatter(forces, shape)


def mean_strain(u, voxel_size) -> np.ndarray:
    """Return the mean strain or gradient of every voxel, (voxels, 6 or 3)."""
    rule = gauss_matrices(voxel_size, u.shape[0])
    volume = sum(weight for _, weight in rule)
    values = gather(u)
    return sum(weight / volume * values @ b.T for b, weight in rule)


def dense_matrix(coefficients, voxel_size, bbar: bool = False) -> np.ndarray:
    """Return the whole matrix, column by column; for the smallest grids."""
    components = 3 if coefficients.shape[-1] == 6 else 1
    shape = coefficients.shape[:3]
    size = components * int(np.prod(shape))
    zero = np.zeros(coefficients.shape[-1])
    columns = []
    for k in range(size):
        unit = np.zeros(size)
        unit[k] = 1.0
        u = unit.reshape(components, *shape)
        columns.append(apply(u, coefficients, voxel_size, zero, bbar).reshape(-1))
    return np.stack(columns, axis=1)


def homogenize(coefficients, voxel_size) -> np.ndarray:
    """Return the effective stiffness (6, 6) or conductivity (3, 3) by dense least squares."""
    components = 3 if coefficients.shape[-1] == 6 else 1
    shape = coefficients.shape[:3]
    a = dense_matrix(coefficients, voxel_size)
    strains = coefficients.shape[-1]
    zero = np.zeros((components, *shape))
    f = np.stack(
        [apply(zero, coefficients, voxel_size, e).reshape(-1) for e in np.eye(strains)], axis=1
    )
    u = np.linalg.lstsq(a, -f, rcond=1e-12)[0]
    volume = np.prod(voxel_size) * np.prod(shape)
    mean = coefficients.reshape(-1, strains, strains).mean(axis=0)
    return mean + f.T @ u / volume
