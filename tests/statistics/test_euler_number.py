# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Euler number: definition, scikit-image, bodies of known topology, and its density."""

import itertools
import math

import numpy as np
import pytest
from skimage import measure

from micro3d_fast import statistics
from micro3d_fast.reference import descriptors as reference
from volumes import ball, blobs, random_labels, random_mask

SHAPES = [(3, 4), (5, 2), (1, 5), (4, 3, 3), (1, 4, 2), (2, 1, 3)]


def number(labels, **keys):
    return statistics.euler_number(np.asarray(labels).astype(np.uint8), 1, **keys).number


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_equals_brute_force(shape):
    wraps = itertools.product((False, True), repeat=len(shape))
    choices = (4, 8) if len(shape) == 2 else (6, 26)
    for periodic, connectivity, seed in itertools.product(wraps, choices, range(3)):
        labels, mask = random_labels(shape, phases=2, seed=seed), random_mask(shape)
        labels.flat[0], mask.flat[0] = 1, True
        keys = {"connectivity": connectivity, "periodic": periodic}
        closed = connectivity in (8, 26)
        assert number(labels, **keys) == reference.euler_number(labels, closed, periodic)
        want = reference.euler_number((labels == 1) & mask, closed, periodic)
        assert number(labels, mask=mask, **keys) == want


@pytest.mark.parametrize("shape", [(17, 23), (12, 15, 13)], ids=str)
def test_equals_scikit_image(shape):
    for labels in (random_labels(shape, phases=2), blobs(shape, (0.6, 0.4))):
        for connectivity, order in ((4, 1), (8, 2)) if len(shape) == 2 else ((6, 1), (26, 3)):
            want = measure.euler_number(labels, connectivity=order)
            assert number(labels, connectivity=connectivity) == want


def test_known_bodies():
    solid = ball(8.3)
    assert number(solid) == number(solid, connectivity=26) == 1
    shell = solid.copy()
    shell[ball(4.2, n=solid.shape[0]) == 1] = 0
    assert number(shell) == number(shell, connectivity=26) == 2  # a cavity
    z, y, x = np.indices((11, 31, 31)) - np.array([5, 15, 15]).reshape(3, 1, 1, 1)
    torus = (np.hypot(y, x) - 9) ** 2 + z**2 < 3.4**2
    assert number(torus) == number(torus, connectivity=26) == 0
    assert number(torus[5]) == 0  # one island with one hole
    assert number(torus[:, 15]) == 2
    corner = np.zeros((2, 2, 2), np.uint8)
    corner[0, 0, 0] = corner[1, 1, 1] = 1
    assert number(corner) == 2
    assert number(corner, connectivity=26) == 1


def test_periodic_bodies():
    rod = np.zeros((6, 5, 5), np.uint8)
    rod[:, 2, 2] = 1
    assert number(rod) == 1
    assert number(rod, periodic=(True, False, False)) == 0  # a ring
    assert number(np.ones((4, 5, 6)), periodic=True) == 0  # the torus of three dimensions
    frame = np.zeros((8, 8, 8), np.uint8)  # one node and three bars per cell
    frame[0, 0], frame[0, :, 0], frame[:, 0, 0] = 1, 1, 1
    for connectivity in (6, 26):
        assert number(frame, periodic=True, connectivity=connectivity) == 1 - 3
        many = np.tile(frame, (2, 3, 2))
        found = statistics.euler_number(many, 1, periodic=True, connectivity=connectivity)
        assert found.number == -2 * 12
        assert found.density == pytest.approx(-2 / 8**3, rel=1e-12)


def test_density_of_independent_voxels(rng):
    """p - 3 p² + 3 p⁴ - p⁸ with 6 neighbours; the complement has the same with 26."""
    p = 0.3
    labels = (rng.random((70, 60, 50)) < p).astype(np.uint8)
    want = p - 3 * p**2 + 3 * p**4 - p**8
    keys = {"mask": rng.random(labels.shape) < 0.9, "voxel_size": 2e-6}
    for change in ({}, keys, {"periodic": True}):
        unit = 1.0 if "mask" not in change else 8e-18
        lattice = statistics.euler_number(labels, 1, connectivity=6, **change)
        closed = statistics.euler_number(labels, 0, connectivity=26, **change)
        assert lattice.density * unit == pytest.approx(want, abs=0.006)
        assert closed.density == pytest.approx(lattice.density, rel=1e-9)
    flat = statistics.euler_number(labels[0], 1)
    assert flat.density == pytest.approx(p - 2 * p**2 + p**4, abs=0.015)


def test_density_has_no_effect_of_the_faces():
    """Windows at all places of a periodic image have its density on average."""
    labels = blobs((8, 7, 6), (0.6, 0.4), seed=4)
    for connectivity in (6, 26):
        keys = {"connectivity": connectivity}
        want = statistics.euler_number(labels, 1, periodic=True, **keys).density
        wide = np.pad(labels, 4, mode="wrap")
        windows = [
            wide[z : z + 4, y : y + 3, x : x + 4]
            for z, y, x in np.ndindex(labels.shape)
            if wide[z : z + 4, y : y + 3, x : x + 4].any()
        ]
        found = sum(statistics.euler_number(w, 1, **keys).density for w in windows)
        assert found / labels.size == pytest.approx(want, abs=1e-12)


def test_one_slice_has_no_density():
    found = statistics.euler_number(np.ones((1, 4, 4), int), 1)
    assert found.number == 1
    assert math.isnan(found.density)


def test_it_prints_itself_and_refuses():
    labels = random_labels((5, 5, 5), phases=2)
    assert "per m³; 26 neighbours" in repr(
        statistics.euler_number(labels, 1, connectivity=26, voxel_size=1e-6)
    )
    with pytest.raises(ValueError, match="`connectivity` must be 6 or 26 in 3D, got 18"):
        statistics.euler_number(labels, 1, connectivity=18)
    with pytest.raises(ValueError, match="`connectivity` must be 4 or 8 in 2D, got 6"):
        statistics.euler_number(labels[0], 1, connectivity=6)
