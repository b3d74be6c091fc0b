# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""More than 2^31 voxels, more rows than a grid has threads: no index is 32 bits wide."""

from __future__ import annotations

import numpy as np
import pytest

from micro3d_fast import ops
from micro3d_fast.reference.run_lengths import run_lengths as reference

pytestmark = pytest.mark.cuda

DEVICE = "cuda"
SHAPE = (3, 26755, 26755)  # 2 147 490 075 voxels: 2^31 and 6427
ONES = [(0, 0, 0), (2, -1, -2), (2, -1, -1)]  # the first voxel and the last two


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


def need(torch, gigabytes):
    """Skip on a GPU with too little memory."""
    if DEVICE == "cpu":
        return
    torch.cuda.empty_cache()
    free = torch.cuda.mem_get_info()[0] / 1e9
    if free < gigabytes:
        pytest.skip(f"too little GPU memory: {gigabytes} GB needed, {free:.0f} GB free")


def nearly_empty(torch):
    labels = torch.zeros(SHAPE, dtype=torch.uint8, device=DEVICE)
    for voxel in ONES:
        labels[voxel] = 1
    return labels


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("periodic", [False, True], ids=["open", "periodic"])
def test_run_lengths(torch, axis, periodic):
    need(torch, 4)
    counts, full = ops.run_lengths(nearly_empty(torch), axis=axis, n_phases=2, periodic=periodic)
    # the rows through the ones by the reference, all others are one run of zeros
    n = SHAPE[axis]
    rows: dict[tuple[int, ...], np.ndarray] = {}
    for voxel in ONES:
        at = [i % m for i, m in zip(voxel, SHAPE, strict=True)]
        k = at.pop(axis)
        rows.setdefault(tuple(at), np.zeros(n, np.uint8))[k] = 1
    want = np.zeros((2, n + 1), np.int64)
    want_full = np.zeros(2, np.int64)
    for row in rows.values():
        c, f = reference(row[None, None], axis=2, n_phases=2, periodic=periodic)
        want += c
        want_full += f
    others = int(np.prod(SHAPE)) // n - len(rows)
    if periodic:
        want_full[0] += others
    else:
        want[0, n] += others
    np.testing.assert_array_equal(counts.cpu().numpy(), want)
    np.testing.assert_array_equal(full.cpu().numpy(), want_full)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_pairs_and_segments(torch, axis):
    need(torch, 6)
    labels = nearly_empty(torch)
    direction = tuple(int(k == axis) for k in range(3))
    keys = {"direction": direction, "max_lag": 1}
    ones = ops.pair_counts(labels, 1, 1, **keys).sum(0).tolist()
    assert ones == [3, 1 if axis == 2 else 0]
    zeros = ops.segment_counts(labels, 0, **keys).sum(0).tolist()
    voxels = int(np.prod(SHAPE))
    pairs = voxels - voxels // SHAPE[axis]  # three of them hold a one, along every axis
    assert zeros == [voxels - 3, pairs - 3]


@pytest.mark.parametrize("shape", [(4096, 4100, 2), (2, 4096, 4100)], ids=str)
def test_more_rows_than_threads_in_a_grid(torch, shape):
    need(torch, 1)
    axis = int(np.argmin(shape))
    rng = np.random.default_rng(8)
    labels = rng.integers(0, 2, shape, dtype=np.uint8)
    first, second = labels.take(0, axis), labels.take(1, axis)
    want = np.zeros((2, 3), np.int64)
    for p in range(2):
        want[p, 2] = np.count_nonzero((first == p) & (second == p))
        want[p, 1] = np.count_nonzero(labels == p) - 2 * want[p, 2]
    counts, _ = ops.run_lengths(torch.from_numpy(labels).to(DEVICE), axis=axis, n_phases=2)
    np.testing.assert_array_equal(counts.cpu().numpy(), want)


@pytest.mark.parametrize("turned", [False, True], ids=["same layout", "next plane"])
def test_reverse_step(torch, turned):
    need(torch, 28)
    shape = (1, *SHAPE)
    x = torch.empty(shape, device=DEVICE).normal_()
    net = torch.empty(shape, dtype=torch.bfloat16, device=DEVICE).normal_()
    if turned:  # the slices of normal x
        out = torch.empty((1, SHAPE[2], SHAPE[0], SHAPE[1]), device=DEVICE).permute(0, 2, 3, 1)
    else:
        out = torch.empty(shape, device=DEVICE)
    keys = {"a": 0.9, "b": 0.4, "noise": 0.6, "seed": 4, "draw": 3}
    ops.reverse_step(x, net, out=out, **keys)
    z, y, x0 = SHAPE[0] - 1, SHAPE[1] - 40, SHAPE[2] - 90
    for origin in [(0, 0, 0), (1, 13377, 26000), (z, y, x0)]:
        part = (slice(None), *(slice(o, o + 90) for o in origin))
        small = [array[part].contiguous() for array in (x, net)]
        want = ops.reverse_step(*small, out=torch.empty_like(small[0]), origin=origin, **keys)
        assert torch.equal(out[part], want)
