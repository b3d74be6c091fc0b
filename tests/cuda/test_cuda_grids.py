# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""More work than the grid of a launch has blocks for: every block goes round its loop again.

Shared memory that is used anew each time needs a barrier more than the other tests can show.
Shapes are the smallest that do it.
"""

from __future__ import annotations

import numpy as np
import pytest

from micro3d_fast import _core, ops

pytestmark = pytest.mark.cuda

DEVICE = "cuda"


@pytest.fixture
def send():
    torch = pytest.importorskip("torch")
    return lambda a: torch.from_numpy(np.ascontiguousarray(a)).to(DEVICE)


@pytest.mark.parametrize(
    ("shape", "axis"),
    [
        ((1100, 1930, 1), 2),  # 2074 tiles of 1024 rows, blocks for 2048
        ((1025, 1025, 40), 2),  # the same with two words a row, that its threads share
        ((2, 1030, 1030), 0),
        ((66_000, 33, 1), 0),  # rows too long for tiles
        ((1030, 2, 1030), 1),
    ],
    ids=str,
)
@pytest.mark.parametrize("periodic", [False, True], ids=["open", "periodic"])
def test_run_lengths(send, rng, shape, axis, periodic):
    labels = rng.integers(0, 2, shape, dtype=np.uint8)
    keys = {"axis": axis, "n_phases": 2, "periodic": periodic}
    for got, want in zip(
        ops.run_lengths(send(labels), **keys), ops.run_lengths(labels, **keys), strict=True
    ):
        np.testing.assert_array_equal(got.cpu().numpy(), want)


def test_run_lengths_without_shared_counts(send, rng):
    """A histogram too large for shared memory: as many blocks as tiles, to 65535."""
    labels = rng.integers(0, 200, (66_000, 2, 48), dtype=np.uint8)
    labels[:, 1] = 7
    keys = {"axis": 2, "n_phases": 200}
    for got, want in zip(
        ops.run_lengths(send(labels), **keys), ops.run_lengths(labels, **keys), strict=True
    ):
        np.testing.assert_array_equal(got.cpu().numpy(), want)


def test_pairs(send, rng):
    """A block counts one slab at one lag: 260 times 259 are more than 65535."""
    labels = rng.integers(0, 2, (260, 2, 3), dtype=np.uint8)
    keys = {"direction": (1, 0, 0), "max_lag": 258}
    got = ops.pair_counts(send(labels), 1, 1, **keys)
    np.testing.assert_array_equal(got.cpu().numpy(), ops.pair_counts(labels, 1, 1, **keys))


def test_segments(send, rng):
    """A block counts 256 words of one slab: 65 600 slabs are more than 65535."""
    labels = rng.integers(0, 2, (65_600, 1, 2), dtype=np.uint8)
    keys = {"direction": (1, 0, 0), "max_lag": 2}
    got = ops.segment_counts(send(labels), 1, **keys)
    np.testing.assert_array_equal(got.cpu().numpy(), ops.segment_counts(labels, 1, **keys))


@pytest.mark.parametrize("n", [1024 * 256, 1024 * 256 + 1, 600_001])
def test_sums(send, rng, n):
    """1024 blocks of 256 threads make the partial sums."""
    x, y = (rng.standard_normal((2, n)).astype(np.float32) for _ in range(2))
    total, partials = np.zeros(2), np.zeros(2 * _core.REDUCE_PARTIALS)
    total, partials = send(total), send(partials)
    _core.dot(send(x), send(y), total, partials, 1, 1)
    want = (x.astype(float) * y).sum(1)
    np.testing.assert_allclose(total.cpu().numpy(), want, rtol=1e-11, atol=1e-9)
