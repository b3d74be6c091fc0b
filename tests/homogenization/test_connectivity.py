# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Islands, hinges and missing connections of porous solids: counts, warnings, results."""

from __future__ import annotations

import numpy as np
import pytest

import micro3d_fast as m3
from micro3d_fast.homogenization import PORE
from micro3d_fast.homogenization.connectivity import solid_connectivity

SOFT = m3.Isotropic(E=1.0, nu=0.3, alpha=2.0)


def brute_force_pieces(solid):
    """Return the pieces of the periodic solid, connected by corners, by flood filling."""
    left = {tuple(v) for v in np.argwhere(solid)}
    pieces = []
    steps = [s for s in np.ndindex(3, 3, 3) if s != (1, 1, 1)]
    while left:
        queue, piece = [left.pop()], set()
        while queue:
            v = queue.pop()
            piece.add(v)
            for s in steps:
                w = tuple((a + b - 1) % n for a, b, n in zip(v, s, solid.shape, strict=True))
                if w in left:
                    left.remove(w)
                    queue.append(w)
        pieces.append(piece)
    return pieces


def test_islands_hinges_and_lost_axes():
    solid = np.zeros((8, 8, 8), dtype=bool)
    solid[:, 2:4, 2:4] = True  # a column around z
    found = solid_connectivity(solid)
    assert (found.islands, found.hanging) == (0, 0)
    assert found.unconnected_axes == ("y", "x")
    solid[2:4, 6:8, 6:8] = True  # an island
    found = solid_connectivity(solid)
    assert (found.islands, found.island_voxels) == (1, 8)
    solid[5, 4, 4] = True  # hangs by an edge
    solid[0, 1, 7] = True  # floats alone
    found = solid_connectivity(solid)
    assert (found.hanging, found.hanging_voxels) == (1, 1)
    assert (found.islands, found.island_voxels) == (2, 9)
    sentences = found.warnings(int(solid.sum()))
    assert len(sentences) == 3
    assert "2 solid islands (9 voxels" in sentences[0]
    assert "1 solid piece (1 voxels" in sentences[1]
    assert "along y, x" in sentences[2]


def test_pieces_across_the_periodic_faces(rng):
    ball = np.zeros((6, 6, 6), dtype=bool)
    ball[np.ix_([5, 0], [5, 0], [5, 0])] = True  # one island in eight corners
    found = solid_connectivity(ball)
    assert (found.islands, found.island_voxels, found.hanging) == (1, 8, 0)
    assert found.unconnected_axes == ("z", "y", "x")
    diagonal = np.zeros((4, 4, 4), dtype=bool)
    diagonal[range(4), range(4), 0] = True  # by edges around z and y at once
    found = solid_connectivity(diagonal)
    assert found.islands == 0
    assert (found.hanging, found.unconnected_axes) == (3, ("x",))
    full = np.ones((1, 2, 3), dtype=bool)
    assert solid_connectivity(full).unconnected_axes == ()
    for fraction in (0.05, 0.1, 0.3):
        solid = rng.random((6, 5, 7)) < fraction
        if not solid.any():
            continue
        pieces = brute_force_pieces(solid)
        found = solid_connectivity(solid)
        # a piece smaller than every extent cannot reach around
        small = [p for p in pieces if len(p) < 5]
        assert found.islands >= len(small)
        assert found.islands <= len(pieces)
        if len(small) == len(pieces):
            assert found.island_voxels == solid.sum()


def test_hanging_and_floating_pieces_warn():
    labels = np.zeros((8, 8, 8), dtype=np.uint8)
    labels[:, :4, :4] = labels[:4, :, :4] = labels[:4, :4, :] = 1  # a frame around all axes
    labels[6, 6, 6] = 1  # an island
    labels[4, 4, 3] = 0
    labels[5, 4, 4] = 1  # by an edge
    got = m3.homogenize_elasticity(labels, [PORE, SOFT], tol=1e-6)
    assert any("float" in w for w in got.warnings)
    assert any("hang by an edge" in w for w in got.warnings)
    assert got.E.min() > 0.0
    assert "warning: " in repr(got)
    without = labels.copy()
    without[6, 6, 6] = 0
    other = m3.homogenize_elasticity(without, [PORE, SOFT], tol=1e-6)
    np.testing.assert_allclose(got.stiffness, other.stiffness, atol=1e-8)


def test_no_stiffness_where_nothing_connects():
    labels = np.zeros((5, 6, 6), dtype=np.uint8)
    labels[:, 2:4, 2:4] = 1  # columns along z
    got = m3.homogenize_elasticity(labels, [PORE, SOFT])
    assert got.E[2] == pytest.approx(4 / 36, rel=1e-6)
    assert (got.E[0], got.E[1]) == (0.0, 0.0)
    assert np.isnan(got.nu["xy"])
    assert np.isnan(got.nu["zx"])  # nothing determines the mean strain across the columns
    assert got.thermal_expansion[2, 2] == pytest.approx(2.0, rel=1e-6)
    assert any("no stiffness there" in w for w in got.warnings)
    alone = np.pad(np.ones((2, 2, 2), np.uint8), 2)
    assert any(
        "100 % of the solid" in w for w in m3.homogenize_elasticity(alone, [PORE, SOFT]).warnings
    )
    nothing = m3.homogenize_elasticity(np.zeros((3, 3, 3), np.uint8), [PORE])
    assert not nothing.stiffness.any()
    assert nothing.iterations == (0,) * 6
    insulator = m3.homogenize_conductivity(np.zeros((3, 3, 3), np.uint8), [0.0])
    assert not insulator.tensor.any()
