# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""One multigrid cycle for diffusion between two plates, in whole-array numpy and float64.

Cells are joined 2 x 2 x 2.  The conductance of a coarse face is the sum of those of its fine
faces, halved for each axis that was coarsened.  Corrections are piecewise constant.  Gauss-Seidel
smoothing goes red, black on the way down and black, red on the way up; the red cells are those with
an even z + y + x + 1 (the cell number of the padded field).
"""

from __future__ import annotations

import numpy as np

__all__ = ["Level", "coarse_level", "cycle", "fine_level", "joined", "multigrid"]


class Level:
    """Faces to the next cell along z, y, x (wrapping where periodic), and conductance to plates."""

    def __init__(self, faces, plates):
        self.faces, self.plates = faces, plates
        self.shape = plates.shape
        self.diagonal = plates.copy()
        for axis, f in enumerate(faces):
            self.diagonal += f + np.roll(f, 1, axis)
        number = np.indices(self.shape).sum(axis=0) + 1
        self.red = number % 2 == 0

    def inflow(self, v):
        total = np.zeros(self.shape)
        for axis, f in enumerate(self.faces):
            total += f * np.roll(v, -1, axis) + np.roll(f * v, 1, axis)
        return total

    def smooth(self, x, b, red):
        with np.errstate(invalid="ignore", divide="ignore"):
            new = np.where(self.diagonal > 0, (b + self.inflow(x)) / self.diagonal, 0.0)
        return np.where(self.red == red, new, x)


def fine_level(k, weights, periodic):
    """Return level 0 of cells with conductivity k (nz, ny, nx), plates at the ends of axis 0."""
    faces = []
    for axis, (w, wraps) in enumerate(zip(weights, (False, *periodic), strict=True)):
        other = np.roll(k, -1, axis)
        with np.errstate(invalid="ignore", divide="ignore"):
            f = np.where(k + other > 0, 2 * w * k * other / (k + other), 0.0)
        if not wraps or k.shape[axis] == 1:
            np.moveaxis(f, axis, 0)[-1] = 0.0
        faces.append(f)
    plates = np.zeros(k.shape)
    plates[0] += 2 * weights[0] * k[0]
    plates[-1] += 2 * weights[0] * k[-1]
    return Level(faces, plates)


def joined(a):
    """Return sums over 2 x 2 x 2 cells; the last groups may be smaller."""
    for axis in range(3):
        a = np.add.reduceat(a, np.arange(0, a.shape[axis], 2), axis=axis)
    return a


def coarse_level(level):
    factor = [0.5 if n > 1 else 1.0 for n in level.shape]
    faces = []
    for axis, f in enumerate(level.faces):
        n = level.shape[axis]
        at = np.arange(n)
        ends = (at % 2 == 1) | (at + 1 == n)  # of its pair
        keep = np.where(ends, factor[axis], 0.0).reshape([-1 if a == axis else 1 for a in range(3)])
        coarse = joined(f * keep)
        faces.append(coarse * (coarse.shape[axis] > 1))
    return Level(faces, joined(level.plates) * factor[0])


def cycle(levels, depth, b, visits, x=None):
    """Visit a level, starting from zero or from x."""
    level = levels[depth]
    x = np.zeros(level.shape) if x is None else x
    if depth + 1 == len(levels):
        for _ in range(4):
            x = level.smooth(level.smooth(x, b, True), b, False)
        for _ in range(4):
            x = level.smooth(level.smooth(x, b, False), b, True)
        return x
    x = level.smooth(level.smooth(x, b, True), b, False)
    residual = np.where(level.diagonal > 0, b + level.inflow(x) - level.diagonal * x, 0.0)
    fine = cycle(levels, depth + 1, joined(residual), visits)
    for _ in range(visits - 1):
        fine = cycle(levels, depth + 1, joined(residual), visits, fine)
    for axis in range(3):
        fine = fine.repeat(2, axis=axis)
    nz, ny, nx = level.shape
    x = x + np.where(level.diagonal > 0, fine[:nz, :ny, :nx], 0.0)
    return level.smooth(level.smooth(x, b, False), b, True)


def multigrid(k, weights, periodic, r, visits):
    """Return z = M r."""
    levels = [fine_level(k, weights, periodic)]
    while max(levels[-1].shape) > 4:
        levels.append(coarse_level(levels[-1]))
    return cycle(levels, 0, r, visits)
