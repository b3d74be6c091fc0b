# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Correlations of microstructures whose correlations are known in closed form.

Deterministic ones to rounding; random ones within about five standard errors of their sample.
"""

import numpy as np
import pytest

import micro3d_fast as m3


def wrapped(n):
    """Lags of a periodic axis in wrap order."""
    return np.abs(np.fft.fftfreq(n, 1 / n))


@pytest.mark.parametrize("c", [1, 2, 3])
@pytest.mark.parametrize("ndim", [2, 3])
def test_checkerboard(c, ndim):
    """S2 = (1 + ∏ A(r_k)) / 4 with A = 1 - 2 min(d, 2c - d) / c, d = r mod 2c; L = (c - r) / 2c."""
    shape = tuple(2 * c * k for k in (2, 3, 1)[:ndim])
    labels = sum(np.indices(shape) // c) % 2

    def a(r):
        d = r % (2 * c)
        return 1 - 2 * np.minimum(d, 2 * c - d) / c

    grids = np.meshgrid(*(wrapped(n) for n in shape), indexing="ij")
    want = (1 + np.prod([a(g) for g in grids], axis=0)) / 4
    np.testing.assert_allclose(m3.two_point_map(labels, 1, periodic=True), want, atol=1e-15)
    for axis, n in enumerate(shape):
        path = m3.lineal_path(labels, 0, axis=axis, periodic=True, max_lag=n - 1)
        r = np.arange(n)
        np.testing.assert_allclose(path, np.maximum(c - r, 0) / (2 * c), atol=1e-15)


@pytest.mark.parametrize(("w", "period"), [(1, 2), (2, 5), (4, 7), (3, 6)])
def test_stripes(w, period):
    """S2 = (max(w - d, 0) + max(w - P + d, 0)) / P; L = max(w - r, 0) / P."""
    n = 3 * period
    labels = np.broadcast_to(np.arange(n) % period < w, (2, 3, n))
    r = np.arange(n)
    d = r % period
    s2 = m3.two_point_correlation(labels, 1, axis="x", max_lag=n - 1, periodic=True)
    want = (np.maximum(w - d, 0) + np.maximum(w - period + d, 0)) / period
    np.testing.assert_allclose(s2, want, atol=1e-15)
    path = m3.lineal_path(labels, 1, axis="x", max_lag=n - 1, periodic=True)
    np.testing.assert_allclose(path, np.maximum(w - r, 0) / period, atol=1e-15)
    for axis in "zy":
        constant = m3.two_point_correlation(labels, 1, axis=axis)
        np.testing.assert_allclose(constant, w / period, rtol=1e-15)


@pytest.mark.parametrize("periodic", [False, True])
def test_bernoulli(rng, periodic):
    """Independent voxels: S2 = p² away from 0, L = p^(r + 1)."""
    p = 0.4
    labels = rng.random((64, 64, 64)) < p
    map_ = m3.two_point_map(labels, 1, periodic=periodic, max_lag=4)
    map_[0, 0, 0] = p * p
    assert np.abs(map_ - p * p).max() < 6 * 0.5 / np.sqrt(labels.size) * 0.8
    for axis in "zyx":
        path = m3.lineal_path(labels, 1, axis=axis, periodic=periodic)
        r = np.arange(len(path))
        assert np.abs(path - p ** (r + 1)).max() < 5 * 0.5 / np.sqrt(labels.size)
    radial = m3.two_point_radial(labels, 1, periodic=periodic)
    np.testing.assert_allclose(radial.value[1:], p * p, atol=2e-3)


def test_markov_rows(rng):
    """Rows are Markov chains: S_ij = π_i (T^r)_ij, L_i = π_i T_ii^r; T is not reversible."""
    matrix = np.array([[0.6, 0.35, 0.05], [0.05, 0.6, 0.35], [0.4, 0.1, 0.5]])
    values, vectors = np.linalg.eig(matrix.T)
    pi = np.real(vectors[:, np.argmax(np.real(values))])
    pi /= pi.sum()
    flow = pi[:, None] * matrix
    assert np.abs(flow - flow.T).max() > 0.05  # a wrong sign of r shows
    rows, n = 40_000, 24
    labels = np.empty((rows, n), dtype=np.uint8)
    labels[:, 0] = np.searchsorted(np.cumsum(pi), rng.random(rows))
    steps = np.cumsum(matrix, axis=1)
    for k in range(1, n):
        labels[:, k] = (rng.random(rows)[:, None] > steps[labels[:, k - 1]][:, :-1]).sum(1)
    cube = labels.reshape(200, 200, n)
    tolerance = 6 * 0.5 / np.sqrt(rows)  # rows are independent, lags of a row are not
    power = [np.linalg.matrix_power(matrix, r) for r in range(9)]
    for view, axis in ((cube, "x"), (np.moveaxis(cube, 2, 1), "y"), (np.moveaxis(cube, 2, 0), "z")):
        for i in range(3):
            for j in range(3):
                got = m3.two_point_correlation(view, i, j, axis=axis, max_lag=8)
                want = np.array([pi[i] * p[i, j] for p in power])
                assert np.abs(got - want).max() < tolerance
            path = m3.lineal_path(view, i, axis=axis, max_lag=8)
            assert np.abs(path - pi[i] * matrix[i, i] ** np.arange(9)).max() < tolerance


def ball(radius):
    grid = np.indices((2 * radius + 1,) * 3) - radius
    return np.argwhere((grid**2).sum(0) <= radius**2) - radius


def test_boolean_grains_on_a_torus(rng):
    """Grains B at Bernoulli(λ) points, exact on the lattice.

    Void S2 = (1 - λ)^(2|B| - |B ∩ (B + r)|), L = (1 - λ)^(|B| + r |proj B|).
    """
    n, chance = 96, 0.012
    grain = ball(2)
    germs = rng.random((n, n, n)) < chance
    solid = np.zeros((n, n, n), dtype=bool)
    for offset in grain:
        solid |= np.roll(germs, tuple(offset), axis=(0, 1, 2))
    size = len(grain)
    points = {tuple(p) for p in grain}
    shadow = {tuple(p[:2]) for p in grain}
    fraction = (1 - chance) ** size
    tolerance = 5 * np.sqrt(fraction * size / solid.size)  # correlated within a grain
    assert abs(1 - solid.mean() - fraction) < tolerance
    s2 = m3.two_point_correlation(solid, 0, axis="x", max_lag=8, periodic=True)
    for r in range(9):
        both = sum((a, b, c + r) in points for a, b, c in points)
        assert abs(s2[r] - (1 - chance) ** (2 * size - both)) < tolerance
    for axis in "zyx":
        path = m3.lineal_path(solid, 0, axis=axis, max_lag=8, periodic=True)
        want = (1 - chance) ** (size + np.arange(9) * len(shadow))
        assert np.abs(path - want).max() < tolerance


@pytest.mark.parametrize(("shape", "c"), [((256, 256), 4), ((48, 48, 48), 3)], ids=str)
def test_dead_leaves(rng, shape, c):
    """Cubes dropped on each other: q = γ / (2 c^d - γ), S_ij = (1 - q) p_i p_j + q p_i δ_ij.

    Of all leaves anchored at a lattice point only the first matters: the colour of a voxel is that
    of the earliest of the c^d anchors whose leaf covers it.
    """
    p = np.array([0.5, 0.3, 0.2])
    time = rng.random(shape)
    colour = rng.choice(3, size=shape, p=p)
    first = np.full(shape, np.inf)
    labels = np.zeros(shape, dtype=np.uint8)
    for offset in np.ndindex(*(c,) * len(shape)):
        t = np.roll(time, offset, axis=tuple(range(len(shape))))
        leaf = np.roll(colour, offset, axis=tuple(range(len(shape))))
        labels = np.where(t < first, leaf, labels)
        first = np.minimum(t, first)
    lags = np.meshgrid(*(wrapped(n) for n in shape), indexing="ij")
    overlap = np.prod([np.maximum(c - r, 0) for r in lags], axis=0)
    q = overlap / (2 * c ** len(shape) - overlap)
    tolerance = 5 * 0.5 * np.sqrt(2 * c ** len(shape) / labels.size)
    for i in range(3):
        for j in range(3):
            got = m3.two_point_map(labels, i, j, periodic=True)
            want = (1 - q) * p[i] * p[j] + (q * p[i] if i == j else 0)
            assert np.abs(got - want).max() < tolerance
