# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Operators that CUDA runs cell by cell, against the tuned loops of the CPU."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from micro3d_fast import ops

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.cuda

DEVICE = "cuda"
SHAPES = [(1, 1, 1), (1, 5, 2), (7, 4, 9), (12, 8, 6)]
BOTH = [False, True]


def there(array):
    return None if array is None else torch.from_numpy(array).to(DEVICE)


def scratch(count):
    return torch.full((count,), float("nan"), dtype=torch.float64, device=DEVICE)


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
            want, dot = np.zeros(padded, storage), np.zeros(1)
            got, summed = there(want), scratch(1)
            keys = {
                "weights": (1.0, 2.0, 0.7), "periodic": periodic, "binary": len(table) == 2,
                "plate": 1.5, "sign": -1.0, "dot_kind": kind,
            }  # fmt: skip
            k = np.array(table, arithmetic)
            ops.seven_point(
                codes, k, out=want[inner], u=u[inner], u_low=None if low is None else low[inner],
                dot=dot, threads=1, **keys,
            )  # fmt: skip
            ops.seven_point(
                there(codes), there(k), out=got[inner], u=there(u)[inner],
                u_low=None if low is None else there(low)[inner], dot=summed,
                partials=scratch(ops.REDUCE_PARTIALS), **keys,
            )  # fmt: skip
            got, summed = got.cpu().numpy(), summed.cpu().numpy()
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
    keys = {"weights": weights, "periodic": periodic, "binary": binary}
    floats, padded = ops.multigrid_layout(shape, binary)
    levels = np.empty(floats, np.float32)
    ops.multigrid_setup(codes, np.array(table), buffer=levels, **keys)
    sent = there(levels.copy())
    r = np.zeros(padded, np.float32)
    cells = tuple(slice(1, n + 1) for n in shape)
    r[cells] = np.where(codes > 0, rng.standard_normal(shape), 0)
    want, rz = np.zeros(padded, np.float32), np.zeros(1)
    got, summed = there(want), scratch(1)
    ops.multigrid_cycle(levels, shape, r=r, z=want, rz=rz, visits=visits, threads=1, **keys)
    ops.multigrid_cycle(
        sent, shape, r=there(r), z=got, rz=summed, visits=visits,
        partials=scratch(ops.REDUCE_PARTIALS), **keys,
    )  # fmt: skip
    got, want, summed = got.cpu().numpy()[cells], want[cells], summed.cpu().numpy()
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5 * max(1.0, np.abs(want).max()))
    np.testing.assert_allclose(summed, rz, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("components", [1, 3])
def test_phase_strain(rng, shape, components):
    labels = rng.integers(0, 3, shape, dtype=np.uint8)
    for storage in ("float32", "float64"):
        u = rng.standard_normal((2, components, *shape)).astype(storage)
        for low in (None, (1e-7 * u).astype(storage)):
            want = np.zeros((2, 3, 6 if components == 3 else 3))
            got = there(np.full_like(want, np.nan))
            ops.phase_strain(u, labels, out=want, u_low=low, threads=1)
            ops.phase_strain(
                there(u), there(labels), out=got, u_low=there(low),
                partials=scratch(2 * ops.REDUCE_PARTIALS),
            )  # fmt: skip
            np.testing.assert_allclose(got.cpu().numpy(), want, rtol=1e-12, atol=1e-11)


@pytest.mark.parametrize("mirrored", BOTH)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sum_radially(rng, dtype, mirrored):
    """Counts of more than 32 bits, by halves."""
    size, planes = (9, 8, 11), 4
    counts = np.floor(rng.random((planes, *size[1:])) * 2.0**40).astype(dtype)
    squares = [np.minimum(i := np.arange(n), n - i).astype(float) ** 2 for n in size]
    pairs = [rng.integers(1, 3000, n).astype(float) for n in size]
    sums = []
    for send in (np.asarray, there):
        hits, of_pairs, lags = (send(np.ones(7, np.int64)) for _ in range(3))
        ops.sum_radially(
            send(counts), hits=hits, pairs=of_pairs, lags=lags, first=1, size_z=size[0],
            y=(8, 8, 8), x=(11, 11, 11), scale=1.0, pair_factors=tuple(send(p) for p in pairs),
            squares=tuple(send(q) for q in squares), width=1.0, mirrored=mirrored,
        )  # fmt: skip
        sums.append(
            np.stack([np.asarray(t.cpu() if send is there else t) for t in (hits, of_pairs, lags)])
        )
    assert sums[0][0].max() > 2**40
    np.testing.assert_array_equal(sums[1], sums[0])
