# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""What CUDA does voxel by voxel, walked on the host: the result is that of the CPU's own walk.

The tiled schedules are walked in the tests of their operators: reverse_step, run_lengths,
pack_bits, pair_counts, hex8.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from micro3d_fast import _core

SHAPES = [(1, 1, 1), (1, 5, 2), (7, 4, 9), (12, 8, 6)]
BOTH = [False, True]


def test_division_by_multiplication(rng):
    """Quotients and remainders of what is below 2^31, at its bounds, and beyond."""
    by = [
        1,
        2,
        3,
        5,
        7,
        31,
        32,
        33,
        255,
        641,
        65535,
        65537,
        10**9,
        2**30 + 1,
        2**31 - 1,
        2**31,
        10**10,
    ]
    by += rng.integers(1, 2**31, 50).tolist()
    for d in by:
        near = [k * d + e for k in (0, 1, 2, (2**31 - 1) // d) for e in (-1, 0, 1)]
        for n in [*near, 2**31 - 1, 2**31, 2**40 + 5, *rng.integers(0, 2**31, 50).tolist()]:
            if n >= 0:
                assert tuple(_core.divide(n, d)) == divmod(n, d), (n, d)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("periodic", list(itertools.product(BOTH, BOTH)), ids=str)
@pytest.mark.parametrize("table", [(0.0, 1.0), (0.0, 1.0, 0.25)], ids=["binary", "graded"])
def test_seven_point(rng, shape, periodic, table):
    codes = rng.integers(0, len(table), shape, dtype=np.uint8)
    padded = tuple(n + 2 for n in shape)
    inner = np.s_[1:-1, 1:-1, 1:-1]
    for storage, arithmetic in (("float32", "float32"), ("float32", "float64"), ("float64",) * 2):
        u = rng.standard_normal(padded).astype(storage)
        low = (1e-8 * u).astype(storage) if storage != arithmetic else None
        for kind in ("input", "output"):
            results = []
            for on_host in BOTH:
                out, dot = np.zeros(padded, storage), np.zeros(1)
                _core.seven_point(
                    u[inner], None if low is None else low[inner], out[inner], codes,
                    np.array(table, arithmetic), (1.0, 2.0, 0.7), periodic, len(table) == 2,
                    1.5, -1.0, kind, dot, None, None, 1, on_host,
                )  # fmt: skip
                results.append((out, dot))
            (want, dot), (got, summed) = results
            rtol = 1e-5 if arithmetic == "float32" else 1e-12
            np.testing.assert_allclose(got, want, rtol=rtol, atol=20 * rtol)
            np.testing.assert_allclose(summed, dot, rtol=rtol, atol=20 * rtol * want.size)


@pytest.mark.parametrize("shape", [*SHAPES, (20, 17, 33)], ids=str)
@pytest.mark.parametrize("periodic", list(itertools.product(BOTH, BOTH)), ids=str)
@pytest.mark.parametrize("table", [(0.0, 1.0), (0.0, 1.0, 0.25)], ids=["binary", "graded"])
@pytest.mark.parametrize("visits", [1, 2])
def test_multigrid_cycle(rng, shape, periodic, table, visits):
    codes = rng.integers(0, len(table), shape, dtype=np.uint8)
    binary, weights = len(table) == 2, (1.0, 2.0, 0.7)
    floats, padded = _core.multigrid_layout(shape, binary)
    levels = np.empty(floats, np.float32)
    _core.multigrid_setup(codes, np.array(table), weights, periodic, binary, levels)
    r = np.zeros(padded, np.float32)
    cells = tuple(slice(1, n + 1) for n in shape)
    r[cells] = np.where(codes > 0, rng.standard_normal(shape), 0)
    results = []
    for on_host in BOTH:
        z, rz = np.zeros(padded, np.float32), np.zeros(1)
        _core.multigrid_cycle(
            levels.copy(),
            shape,
            binary,
            weights,
            periodic,
            z,
            r,
            visits,
            rz,
            None,
            None,
            1,
            on_host,
        )
        results.append((z[cells], rz))
    (want, rz), (got, summed) = results
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5 * max(1.0, np.abs(want).max()))
    np.testing.assert_allclose(summed, rz, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("components", [1, 3])
def test_phase_strain(rng, shape, components):
    labels = rng.integers(0, 3, shape, dtype=np.uint8)
    for storage in ("float32", "float64"):
        u = rng.standard_normal((2, components, *shape)).astype(storage)
        for low in (None, (1e-7 * u).astype(storage)):
            want, got = (np.zeros((2, 3, 6 if components == 3 else 3)) for _ in range(2))
            _core.phase_strain(u, low, labels, want, None, None, 1)
            _core.phase_strain(u, low, labels, got, None, None, 1, True)
            np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-11)


@pytest.mark.parametrize("mirrored", BOTH)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sum_radially(rng, dtype, mirrored):
    """Counts of more than 32 bits, by halves."""
    size, planes = (9, 8, 11), 4
    counts = np.floor(rng.random((planes, *size[1:])) * 2.0**40).astype(dtype)
    squares = [np.minimum(i := np.arange(n), n - i).astype(float) ** 2 for n in size]
    pairs = [rng.integers(1, 3000, n).astype(float) for n in size]
    sums = []
    for on_host in BOTH:
        hits, of_pairs, lags = (np.ones(7, np.int64) for _ in range(3))
        _core.sum_radially(
            counts, hits, of_pairs, lags, 1, size[0], (8, 8, 8), (11, 11, 11), 1.0, pairs, squares,
            1.0, mirrored, None, 1, on_host,
        )  # fmt: skip
        sums.append(np.stack([hits, of_pairs, lags]))
    assert sums[0][0].max() > 2**40
    np.testing.assert_array_equal(sums[1], sums[0])
