# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""multigrid: cycle = reference, symmetric and positive, the same for any number of threads."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from micro3d_fast import ops
from micro3d_fast.reference import multigrid as reference

SHAPES = [(1, 1, 1), (4, 3, 2), (5, 6, 7), (12, 1, 9), (1, 8, 8), (9, 16, 11), (21, 5, 1)]
PERIODIC = list(itertools.product((False, True), repeat=2))
TABLES = [(0.0, 1.0), (0.0, 1.0, 0.1)]
WEIGHTS = (1.0, 2.0, 0.7)


class Plates:
    """Levels of an image on a backend, and padded fields."""

    def __init__(self, codes, table, periodic, send=np.asarray, threads=1):
        self.codes, self.k, self.send = codes, np.array(table), send
        binary = len(table) == 2
        floats, self.padded = ops.multigrid_layout(codes.shape, binary)
        self.shape = codes.shape
        common = {"weights": WEIGHTS, "periodic": periodic, "binary": binary}
        self.host = ops.multigrid_setup(
            codes, self.k, buffer=np.empty(floats, np.float32), **common
        )
        self.buffer = send(self.host.copy())
        self.options = {
            **common, "threads": threads, "partials": send(np.zeros(ops.REDUCE_PARTIALS)),
        }  # fmt: skip

    def pad(self, field):
        out = np.zeros(self.padded, np.float32)
        self.cells(out)[...] = field
        return out.reshape(-1)

    def cells(self, padded):
        nz, ny, nx = self.shape
        return padded.reshape(self.padded)[1 : nz + 1, 1 : ny + 1, 1 : nx + 1]

    def cycle(self, r, visits, fetch=np.asarray):
        z, rz = self.send(self.pad(0 * r)), self.send(np.zeros(1))
        ops.multigrid_cycle(
            self.buffer, self.shape, r=self.send(self.pad(r)), z=z, rz=rz, visits=visits,
            **self.options,
        )  # fmt: skip
        return self.cells(fetch(z)), float(fetch(rz)[0])


def image(rng, shape, table):
    return rng.choice(len(table), shape, p=[0.3, *[0.7 / (len(table) - 1)] * (len(table) - 1)])


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("periodic", PERIODIC, ids=str)
@pytest.mark.parametrize("table", TABLES, ids=["binary", "phases"])
def test_cycle_equals_reference(backend, shape, periodic, table, rng):
    send, fetch = backend
    codes = image(rng, shape, table).astype(np.uint8)
    k = np.array(table)[codes]
    plates = Plates(codes, table, periodic, send)
    field = rng.standard_normal(shape).astype(np.float32) * (k > 0)
    for visits in (1, 2):
        want = reference.multigrid(k, WEIGHTS, periodic, field.astype(float), visits)
        got, rz = plates.cycle(field, visits, fetch)
        np.testing.assert_allclose(got, want, atol=1e-5 * max(np.abs(want).max(), 1.0))
        assert rz == pytest.approx(np.vdot(field, want), rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("periodic", PERIODIC, ids=str)
@pytest.mark.parametrize("visits", [1, 2])
def test_cycle_is_symmetric_and_positive(periodic, visits, rng):
    codes = image(rng, (11, 14, 9), (0.0, 1.0)).astype(np.uint8)
    plates = Plates(codes, (0.0, 1.0), periodic)
    r = [rng.standard_normal(codes.shape) * codes for _ in range(3)]
    z = [plates.cycle(field, visits) for field in r]
    for (i, a), (j, b) in itertools.combinations(enumerate(r), 2):
        assert np.vdot(a, z[j][0]) == pytest.approx(np.vdot(b, z[i][0]), rel=1e-4, abs=1e-3)
    assert min(rz for _, rz in z) > 0


@pytest.mark.parametrize("periodic", [(False, False), (True, True)], ids=str)
@pytest.mark.parametrize("table", TABLES, ids=["binary", "phases"])
def test_threads_do_not_matter(periodic, table, rng):
    codes = image(rng, (61, 70, 66), table).astype(np.uint8)
    r = rng.standard_normal(codes.shape) * (codes > 0)
    results = []
    for threads in (1, 2, 4):
        plates = Plates(codes, table, periodic, threads=threads)
        z, rz = plates.cycle(r, 2)
        results.append((z.copy(), rz))
    for z, rz in results[1:]:
        np.testing.assert_array_equal(z, results[0][0])
        assert rz == results[0][1]


def test_refusals_name_the_argument():
    plates = Plates(np.ones((2, 2, 2), np.uint8), (0.0, 1.0), (False, False))
    field, one = np.zeros(np.prod(plates.padded), np.float32), np.zeros(1)
    with pytest.raises(ValueError, match="`buffer` must hold all levels"):
        ops.multigrid_cycle(
            plates.buffer[:3], (2, 2, 2), r=field, z=field.copy(), rz=one, **plates.options
        )
    with pytest.raises(ValueError, match="`r` must be a padded field"):
        ops.multigrid_cycle(
            plates.buffer, (2, 2, 2), r=field[1:], z=field.copy(), rz=one, **plates.options
        )
    with pytest.raises(ValueError, match="must not share memory"):
        ops.multigrid_cycle(plates.buffer, (2, 2, 2), r=field, z=field, rz=one, **plates.options)
    with pytest.raises(ValueError, match=r"`visits` must be an integer 1 ... 2, got 3"):
        ops.multigrid_cycle(
            plates.buffer, (2, 2, 2), r=field, z=field.copy(), rz=one, visits=3, **plates.options
        )
    with pytest.raises(ValueError, match="`shape` must be three positive integers"):
        ops.multigrid_layout((2, 0, 2), True)
