# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""seven_point: kernel = matrix written face by face."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from micro3d_fast import ops
from micro3d_fast.reference import seven_point as reference

SHAPES = [(1, 1, 1), (4, 3, 5), (1, 4, 6), (5, 1, 2), (3, 4, 1), (2, 2, 2)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("periodic", list(itertools.product((False, True), repeat=2)), ids=str)
@pytest.mark.parametrize("table", [(0.0, 1.0), (0.0, 1.0, 0.25)], ids=["binary", "phases"])
def test_equals_reference(backend, shape, periodic, table, rng):
    send, fetch = backend
    weights = (1.0, 2.0, 0.7)
    codes = rng.integers(0, len(table), shape, dtype=np.uint8)
    k = np.array(table)
    a, b = reference.matrix(k[codes], weights, periodic)
    u = rng.standard_normal(shape)
    partials = send(np.zeros(ops.REDUCE_PARTIALS))
    common = {
        "weights": weights,
        "periodic": periodic,
        "binary": len(table) == 2,
        "partials": partials,
        "threads": 1,
    }
    for dtype, tol in (("float32", 3e-6), ("float64", 1e-13)):
        out, dot = send(np.zeros(shape, dtype)), send(np.zeros(1))
        ops.seven_point(
            send(codes), send(k.astype(dtype)), out=out, u=send(u.astype(dtype)), dot=dot, **common
        )
        want = (a @ u.reshape(-1)).reshape(shape)
        np.testing.assert_allclose(fetch(out), want, atol=30 * tol)
        assert fetch(dot)[0] == pytest.approx(
            np.vdot(fetch(out).astype(float), u.astype(dtype)), rel=1e-12, abs=1e-12
        )
    # the residual in float64 of a field that is the sum of two floats
    high = u.astype(np.float32)
    low = (u - high).astype(np.float32)
    out = send(np.zeros(shape, np.float32))
    ops.seven_point(
        send(codes), send(k), out=out, u=send(high), u_low=send(low), plate=1.0, sign=-1.0,
        dot=dot, dot_kind="output", **common,
    )  # fmt: skip
    want = (b - a @ u.reshape(-1)).reshape(shape)
    np.testing.assert_allclose(fetch(out), want, rtol=1e-6, atol=1e-11)
    assert fetch(dot)[0] == pytest.approx((fetch(out).astype(float) ** 2).sum(), rel=1e-12)


def test_threads_do_not_matter(rng):
    codes = rng.integers(0, 2, (40, 41, 43), dtype=np.uint8)
    u = rng.standard_normal(codes.shape).astype(np.float32)
    results = []
    for threads in (1, 3):
        out, dot = np.empty_like(u), np.zeros(1)
        ops.seven_point(
            codes, np.array([0, 1], np.float32), out=out, weights=(1.0, 1.0, 1.0), u=u, dot=dot,
            binary=True, threads=threads,
        )  # fmt: skip
        results.append((out, dot[0]))
    np.testing.assert_array_equal(results[0][0], results[1][0])
    assert results[0][1] == results[1][1]


def test_refusals_name_the_argument():
    codes, k = np.zeros((2, 2, 2), np.uint8), np.ones(1, np.float32)
    out = np.zeros((2, 2, 2), np.float32)
    with pytest.raises(ValueError, match="`codes` must have shape"):
        ops.seven_point(codes[:1], k, out=out, weights=(1, 1, 1))
    with pytest.raises(TypeError, match="`out` and `conductivity` must be float32 and float32"):
        ops.seven_point(codes, k, out=out.astype(np.float64), weights=(1, 1, 1))
    with pytest.raises(ValueError, match="`u` must not share memory with `out`"):
        ops.seven_point(codes, k, out=out, u=out, weights=(1, 1, 1))
