# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Percolation of small cells: definition, closed forms, identities, refusals."""

import importlib
import itertools

import numpy as np
import pytest

import micro3d_fast as m3
from micro3d_fast import statistics
from micro3d_fast.reference import descriptors as reference
from volumes import blobs, random_labels

SHAPES = [(1, 4), (5, 4), (4, 3, 5), (1, 4, 3), (3, 1, 1)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_equals_brute_force(shape, monkeypatch):
    module = importlib.import_module("micro3d_fast.statistics.local_percolation")
    monkeypatch.setattr(module, "_BATCH", 100)  # several batches
    labels = random_labels(shape, phases=2, seed=3)
    longest = min([n for n in shape if n > 1], default=1)
    wraps = itertools.product((False, True), repeat=len(shape))
    neighbours = (4, 8) if len(shape) == 2 else (6, 18, 26)
    for periodic, connectivity in itertools.product(wraps, neighbours):
        sizes = range(1, longest + 1)
        keys = {"sizes": sizes, "stride": 1, "bins": 4, "periodic": periodic}
        got = m3.local_percolation(labels, 1, connectivity=connectivity, **keys)
        for k, size in enumerate(sizes):
            fraction = reference.window_fractions(labels == 1, size, periodic)
            crossed = reference.crossed_windows(labels == 1, size, connectivity, periodic)
            want = {name: crossed[:, a] for a, name in enumerate("zyx"[3 - len(shape) :])}
            want |= {"all": crossed.all(axis=1), "any": crossed.any(axis=1)}
            assert got.cells[k] == len(fraction)
            assert list(got.share) == list(got.probability) == list(want)
            where = np.minimum((fraction * 4 + 1e-12).astype(int), 3)
            for name, cross in want.items():
                assert got.share[name][k] == pytest.approx(cross.mean())
                for b in range(4):
                    if (where == b).any():
                        chance = cross[where == b].mean()
                        assert got.probability[name][k, b] == pytest.approx(chance)
                    else:
                        assert np.isnan(got.probability[name][k, b])
        windows = statistics.local_fractions(labels, 1, sizes=sizes, bins=4, periodic=periodic)
        np.testing.assert_allclose(got.distribution, windows.distribution)


def test_independent_voxels(rng):
    """Two voxels along an axis: one of the pairs along it must be full."""
    p = 0.4
    labels = (rng.random((70, 70, 70)) < p).astype(np.uint8)
    got = m3.local_percolation(labels, 1, sizes=[1, 2], stride=1, periodic=True)
    for name in "zyx":
        assert got.share[name][0] == labels.mean()
        assert got.share[name][1] == pytest.approx(1 - (1 - p**2) ** 4, abs=0.006)
    image = (rng.random((700, 700)) < p).astype(np.uint8)
    flat = m3.local_percolation(image, 1, sizes=[2], stride=1)
    assert flat.share["y"][0] == pytest.approx(1 - (1 - p**2) ** 2, abs=0.005)
    every, some = 4 * p**3 * (1 - p) + p**4, 4 * p**2 * (1 - p) ** 2 + 4 * p**3 * (1 - p) + p**4
    assert flat.share["all"][0] == pytest.approx(every, abs=0.005)
    assert flat.share["any"][0] == pytest.approx(some, abs=0.005)
    diagonal = m3.local_percolation(image, 1, sizes=[2], stride=1, connectivity=8)
    both = every + 2 * p**2 * (1 - p) ** 2  # the diagonal pairs connect along both axes
    assert diagonal.share["all"][0] == pytest.approx(both, abs=0.005)


def test_layers():
    """Layers of 4 voxels in a period of 10: crossed along them wherever a cell holds one."""
    labels = np.zeros((20, 20, 20), np.uint8)
    labels[np.arange(20) % 10 < 4] = 1
    got = m3.local_percolation(labels, 1, sizes=[1, 3, 6, 10], stride=1, periodic=True)
    np.testing.assert_allclose(got.share["x"], [0.4, 0.6, 0.9, 1.0])
    np.testing.assert_array_equal(got.share["x"], got.share["y"])
    np.testing.assert_allclose(got.share["z"], [0.4, 0.2, 0, 0])
    np.testing.assert_allclose(got.share["all"], got.share["z"])


@pytest.mark.parametrize("periodic", [False, True])
def test_share_is_the_integral_over_fractions(periodic):
    labels = blobs((30, 31, 32), (0.55, 0.45), seed=3)
    got = m3.local_percolation(labels, 1, periodic=periodic)
    assert got.size.tolist() == [1, 2, 4, 8]
    np.testing.assert_allclose(got.distribution.sum(axis=1), 1)
    for name, share in got.share.items():
        integral = np.nansum(got.distribution * got.probability[name], axis=1)
        np.testing.assert_allclose(integral, share, rtol=1e-12)
    assert (got.share["all"] <= got.share["z"]).all()
    assert (got.share["z"] <= got.share["any"]).all()


def test_cells_at_a_distance():
    """They are spread evenly from face to face; those of a periodic image can tile it."""
    labels = blobs((24, 24, 24), (0.5, 0.5), seed=1)
    every = m3.local_percolation(labels, 1, sizes=[6], stride=1)
    assert every.cells[0] == 19**3
    some = m3.local_percolation(labels, 1, sizes=[6], stride=5)
    assert some.cells[0] == 5**3  # at 0, 4.5, 9, 13.5 and 18
    assert some.share["x"][0] == pytest.approx(every.share["x"][0], abs=0.1)
    wrapped = m3.local_percolation(labels, 1, sizes=[6], stride=6, periodic=True, bins=216)
    assert wrapped.cells[0] == 4**3
    means = labels.reshape(4, 6, 4, 6, 4, 6).mean((1, 3, 5)).ravel()
    counts = np.bincount(np.minimum(np.rint(means * 216), 215).astype(int), minlength=216)
    np.testing.assert_allclose(wrapped.distribution[0], counts / 64)


def test_it_prints_itself_and_refuses():
    labels = random_labels((8, 8, 8), phases=2)
    assert repr(m3.local_percolation(labels, 1, sizes=2)).startswith(
        "LocalPercolation(phase 1 crosses"
    )
    for keys, words in (
        ({"sizes": [9]}, "`sizes` must be an integer 1 ... 8, got 9"),
        ({"stride": 0}, "`stride` must be an integer of at least 1"),
        ({"bins": 0}, "`bins` must be an integer of at least 1"),
        ({"connectivity": 8}, "`connectivity` must be 6, 18, 26 in 3D"),
    ):
        with pytest.raises(ValueError, match=words):
            m3.local_percolation(labels, 1, **keys)
    with pytest.warns(UserWarning, match="phase 2 does not occur"):
        assert not m3.local_percolation(labels, 2).share["any"].any()
