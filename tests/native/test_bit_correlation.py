# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Packed-bit pair and segment counts against the definition: backends, instruction sets."""

import itertools
import os
import subprocess
import sys

import numpy as np
import pytest

from micro3d_fast import _core, ops
from micro3d_fast.reference import lineal_path, two_point

SHAPES = [(1, 1, 1), (3, 4, 5), (2, 1, 7), (1, 3, 70), (5, 2, 1), (2, 66, 2)]
AXES = [(1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 0, -1), (0, -1, 0)]
LATTICE = [(1, 1, 0), (0, -1, 1), (1, -1, 2), (-1, 0, 1), (1, 1, 1), (3, 0, -2)]
WRAPS = [(False,) * 3, (True,) * 3, (True, False, True), (False, True, False)]


def image(shape, seed=0):
    rng = np.random.default_rng([seed, *shape])
    return rng.integers(0, 3, shape).astype(np.uint8), rng.random(shape) < 0.8


@pytest.mark.parametrize("direction", AXES + LATTICE, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_equals_brute_force(shape, direction):
    labels, inside = image(shape)
    lags = range(4 if labels.size < 100 else 2)
    for wrap, mask in itertools.product(WRAPS if labels.size < 100 else WRAPS[:2], (None, inside)):
        keys = {"direction": direction, "max_lag": lags[-1], "periodic": wrap, "mask": mask}
        pairs = ops.pair_counts(labels, 1, 0, **keys)
        segments = ops.segment_counts(labels, 0, **keys)
        for r in lags:
            lag = [r * d for d in direction]
            assert pairs.sum(0)[r] == two_point.pair_counts(labels, 1, 0, lag, wrap, mask)[0]
            want = lineal_path.segment_counts(labels, 0, direction, r, wrap, mask)[0]
            assert segments.sum(0)[r] == want


@pytest.mark.parametrize("direction", [(0, 1, 0), (0, 0, 1), (1, 1, 1)], ids=str)
def test_any_backend_dtype_and_layout(backend, direction):
    send, fetch = backend
    labels, inside = image((6, 20, 130))
    keys = {"direction": direction, "max_lag": 5, "periodic": (True, False, True)}
    for mask in (None, inside):
        want = ops.pair_counts(labels, 1, 2, mask=mask, **keys)
        sent = None if mask is None else send(mask)
        got = ops.pair_counts(send(labels), 1, 2, mask=sent, **keys)
        np.testing.assert_array_equal(fetch(got), want)
        want = ops.segment_counts(labels == 1, 1, mask=mask, **keys)
        got = ops.segment_counts(send(labels == 1), 1, mask=sent, **keys)
        np.testing.assert_array_equal(fetch(got), want)
    moved = send(np.ascontiguousarray(labels.transpose(2, 0, 1)))
    moved = moved.permute(1, 2, 0) if hasattr(moved, "permute") else moved.transpose(1, 2, 0)
    got = ops.pair_counts(moved, 1, 2, **keys)
    np.testing.assert_array_equal(fetch(got).sum(0), ops.pair_counts(labels, 1, 2, **keys).sum(0))


def test_threads_do_not_matter():
    labels, _ = image((70, 128, 300))
    for direction in ((1, 0, 0), (0, 0, 1), (0, 1, 1)):
        keys = {"direction": direction, "max_lag": 20}
        for count, phases in ((ops.pair_counts, (0, 1)), (ops.segment_counts, (2,))):
            one = count(labels, *phases, threads=1, **keys)
            np.testing.assert_array_equal(count(labels, *phases, threads=3, **keys), one)


def test_per_slice_counts_add_up():
    labels, inside = image((5, 9, 11))
    for direction in ((0, 1, 0), (0, 0, 1), (0, 2, -1)):
        keys = {"direction": direction, "max_lag": 4, "mask": inside}
        slices = ops.pair_counts(labels, 0, 1, per_slice=True, **keys)
        assert slices.shape == (5, 5)
        for k in range(5):
            own = {**keys, "mask": inside[k : k + 1]}
            one = ops.pair_counts(labels[k : k + 1], 0, 1, **own)
            np.testing.assert_array_equal(slices[k], one.sum(0))


def test_large_counts_match_numpy():
    """Real sizes: words, spare words and slabs all in use."""
    labels, _ = image((65, 64, 190), seed=4)
    inside = labels == 1
    for axis in range(3):
        direction = tuple(int(k == axis) for k in range(3))
        n = labels.shape[axis]
        got = ops.pair_counts(labels, 1, 1, direction=direction, max_lag=n - 1).sum(0)
        path = ops.segment_counts(labels, 1, direction=direction, max_lag=n - 1).sum(0)
        alive = moved = np.moveaxis(inside, axis, 0)
        for r in (0, 1, 2, 7, n // 2, n - 1):
            assert got[r] == np.count_nonzero(moved[: n - r] & moved[r:])
        for r in range(12):
            alive = alive[: n - r] & moved[r:]
            assert path[r] == np.count_nonzero(alive)


@pytest.mark.parametrize("isa", ["baseline", "avx2"])
def test_instruction_sets_agree(isa):
    """The loops of older CPUs, in a process of their own (the choice is made once)."""
    code = f"""
import numpy as np
from micro3d_fast import _core, ops
rng = np.random.default_rng(5)
labels, mask = rng.integers(0, 3, (7, 66, 131)).astype(np.uint8), rng.random((7, 66, 131)) < 0.9
for d in {AXES + LATTICE}:
    for wrap in (False, True):
        keys = dict(direction=d, max_lag=2, periodic=(wrap,) * 3, mask=mask)
        print(*ops.pair_counts(labels, 1, 2, **keys).sum(0))
        print(*ops.segment_counts(labels, 0, **keys).sum(0))
"""
    printed = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "MICRO3D_ISA": choice},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for choice in (isa, "best")
    ]
    assert printed[0] == printed[1]
    assert len(printed[0].splitlines()) == 4 * len(AXES + LATTICE)


def test_core_refuses_arrays_that_are_too_small():
    bits = np.zeros((2, 40), dtype=np.int64)
    counts = np.zeros((2, 9), dtype=np.int64)
    with pytest.raises(ValueError, match="`a` must hold the rows"):
        _core.bit_pairs(bits, bits, counts, 20, 1, (0, 1, 0), False, True, None, 1)
    with pytest.raises(ValueError, match="`out` must hold all rows"):
        _core.pack_bits(np.zeros((2, 30, 5), np.uint8), None, bits, 1, False, 1, 30, 5, None, 1)
