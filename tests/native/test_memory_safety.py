# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Operators refuse what they would read or write beyond, in one sentence with the argument."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from micro3d_fast import _core, ops
from micro3d_fast.statistics import two_point_correlation

SHAPE = (4, 4, 4)
ONES = (1.0, 1.0, 1.0)


def strided(array, shape, strides):
    """Return a view with strides counted in elements."""
    return np.lib.stride_tricks.as_strided(array, shape, [array.itemsize * s for s in strides])


def green(**changes):
    tables = tuple(np.ones((4, n)) for n in (4, 4, 3))
    given = {"nx": 4, "tables": tables, "symbol": [1.0] * 36, "rz": np.zeros(6)} | changes
    return ops.green(np.zeros((6, 3, 4, 4, 3), complex), **given)


def hex8(labels, **changes):
    given = {"out": np.zeros((1, 3, *SHAPE), "f4"), "macro": np.ones((1, 6), "f4")} | changes
    return ops.hex8(labels, "elasticity_isotropic", np.ones((2, 3), "f4"), **given)


def test_sums_need_numbers_side_by_side():
    kept = np.full(12, 7.0)
    with pytest.raises(ValueError, match="`rz` must be C-contiguous"):
        green(rz=kept[:6][::-1])
    assert (kept == 7.0).all()
    size, padded = ops.multigrid_layout((2, 2, 2), False)
    one = np.zeros(padded, np.float32)
    with pytest.raises(ValueError, match=r"`rz` must have shape \(1,\), got \(0,\)"):
        ops.multigrid_cycle(
            np.zeros(size, np.float32), (2, 2, 2), weights=ONES, periodic=(False, False),
            binary=False, r=one, z=one.copy(), rz=np.zeros(0),
        )  # fmt: skip


def test_labels_beyond_a_table():
    u, labels = np.zeros((1, 3, *SHAPE)), np.zeros(SHAPE, np.uint8)
    labels[1, 2, 3] = 2
    with pytest.raises(ValueError, match="`labels` must be below 2, the size of `out`, got 2"):
        ops.phase_strain(u, labels, out=np.zeros((1, 2, 6)))
    ops.phase_strain(u, labels, out=np.zeros((1, 3, 6)))
    with pytest.raises(ValueError, match="`labels` must be below 3, the size of `mean`, got 9"):
        hex8(np.full(SHAPE, 9, np.uint8))
    keys = {"weights": ONES, "binary": False, "periodic": (False, False)}
    with pytest.raises(ValueError, match="`codes` must be below 1, the size of `conductivity`"):
        ops.seven_point(labels, np.ones(1), out=np.zeros(SHAPE), u=np.ones(SHAPE), **keys)
    buffer = np.zeros(ops.multigrid_layout(SHAPE, False)[0], np.float32)
    with pytest.raises(ValueError, match="`codes` must be below 2, the size of `conductivity`"):
        ops.multigrid_setup(labels, np.ones(2), buffer=buffer, **keys)
    ops.multigrid_setup(labels, np.ones(3), buffer=buffer, **keys)


@pytest.mark.parametrize("wrap", [(False,) * 3, (True,) * 3], ids=str)
def test_no_step_at_all_counts_the_same_at_every_lag(wrap):
    labels = np.random.default_rng(3).integers(0, 2, (3, 5, 70)).astype(np.uint8)
    for count in (lambda *a, **k: ops.pair_counts(labels, 1, *a, **k), ops.segment_counts):
        first = (1,) if count is not ops.segment_counts else (labels, 1)
        got = count(*first, direction=(0, 0, 0), max_lag=3, periodic=wrap)
        assert got.sum(0).tolist() == [np.count_nonzero(labels == 1)] * 4


def test_empty_arrays_divide_nothing():
    empty = np.zeros((3, 4, 0), np.uint8)
    ops.load_phase(empty, None, out=np.zeros((3, 4, 0)), phase=1)
    for count in (ops.segment_counts, lambda *a, **k: ops.pair_counts(*a, 1, **k)):
        with pytest.raises(ValueError, match="`labels` must not be empty"):
            count(empty, 1, direction=(0, 0, 1), max_lag=3)
    with pytest.raises(ValueError, match="`x` must have an axis of rows"):
        ops.unit_rows(np.zeros((), "f4"), out=np.zeros((), "f4"), scale=np.zeros(0, "f4"))
    u = np.zeros((1, 3, 4, 0, 4))
    assert not ops.phase_strain(u, np.zeros((4, 0, 4), np.uint8), out=np.ones((1, 2, 6))).any()
    x = np.zeros((1, 2, 1, 2, 2), np.float32)
    with pytest.raises(ValueError, match="`every` must be"):
        ops.hold_mean(
            x, x.copy(), mean=np.zeros(1, "f4"), tilt=np.zeros((1, 1), "f4"), p=1.0, q=1.0,
            part=(2, 2, 2), every=0,
        )  # fmt: skip


def test_lengths_of_lags_that_are_no_numbers():
    planes, hits = np.ones((1, 2, 2)), np.zeros(4, np.int64)
    squares = (np.array([0.0]), np.array([0.0, -5.0]), np.array([0.0, 1e300]))
    ops.sum_radially(
        planes, hits=hits, pairs=None, lags=None, first=0, size_z=1, y=(2, 1, 2), x=(2, 1, 2),
        scale=1.0, pair_factors=None, squares=squares, width=1e-300,
    )  # fmt: skip
    assert hits.tolist() == [1, 0, 0, 0]


@pytest.mark.parametrize("threads", [-1, 1025, 2**31, 2**40, 2**80])
def test_threads_are_bounded(threads):
    x = np.ones((1, 4))
    wanted = r"^`threads` must be an integer 0 ... 1024, got -?[0-9]+$"
    with pytest.raises(ValueError, match=wanted):
        ops.dot(x, x, out=np.zeros(1), threads=threads)
    with pytest.raises(ValueError, match=wanted):
        two_point_correlation(np.ones((4, 4, 4), np.uint8), 1, axis="x", threads=threads)


def test_what_dlpack_cannot_share():
    x, out = np.ones((1, 4)), np.zeros(1)
    swapped = x.astype(">f8" if np.little_endian else "<f8")
    with pytest.raises(TypeError, match=r"`x` must be an array that DLPack can share.*dtype >f8"):
        ops.dot(swapped, x, out=out)
    with pytest.raises(TypeError, match=r"`y` must be an array that DLPack can share.*object"):
        ops.dot(x, x.astype(object), out=out)
    odd = np.frombuffer(bytes(33), np.float64, 4, 1).reshape(1, 4)
    with pytest.raises(ValueError, match="`x` must be aligned"):
        ops.dot(odd, x, out=out)


def test_absurd_layouts():
    torch = pytest.importorskip("torch")
    huge = torch.zeros(1, dtype=torch.uint8).expand(1 << 31, 1 << 31, 1)
    with pytest.raises(ValueError, match=r"`labels` must have at most 2\^48 elements"):
        ops.load_phase(huge, None, out=np.zeros((1, 1, 1)), phase=0)
    with pytest.raises(ValueError, match="`spectrum` must have nx / 2"):
        green(nx=2**31 - 1)
    for nx in (0, -1, 2**62):
        with pytest.raises(ValueError, match="`nx` must be an integer 1"):
            green(nx=nx)
    with pytest.raises(ValueError, match=r"`shape` must be of fewer than 2\^31 cells a plane"):
        ops.multigrid_layout((2, 1 << 20, 1 << 20), True)
    bits, counts = np.zeros((2, 40), np.int64), np.zeros((2, 9), np.int64)
    for steps in itertools.permutations((0, 1, 2**31 - 1)):
        with pytest.raises(ValueError, match="must hold the rows"):
            _core.bit_segments(bits, bits, counts, 2, 2**31 - 1, steps, True, True, None, 1)
    volume = np.zeros((2, 3, 4), np.uint8)
    for words, rows in ((2**31 - 1, 2**31 - 1), (1, 2**31 - 1)):
        with pytest.raises(ValueError, match="`out` must hold all rows"):
            _core.pack_bits(volume, None, bits, 1, False, words, rows, 64, None, 1)


def test_outputs_share_no_memory():
    shared = np.zeros((2, 8))
    x, y = shared[:1], shared[1:]
    with pytest.raises(ValueError, match="`sum` must not share memory with `x`"):
        ops.dot(x, y, out=shared[0, :1])
    with pytest.raises(ValueError, match="`p` must not share memory with `z`"):
        ops.cg_direction(shared[0, None, :4], shared[0, None, 2:6], rz=np.ones(1),
                         rz_before=np.ones(1))  # fmt: skip
    with pytest.raises(ValueError, match="`r` must not share memory with `x`"):
        ops.cg_update(x, x, y.copy(), y.copy(), rz=np.ones(1), pq=np.ones(1), rr=np.ones(1))
    labels = np.zeros(SHAPE, np.uint8)
    field = np.zeros((1, 3, *SHAPE), np.float32)
    with pytest.raises(ValueError, match="`out` must not share memory with `macro`"):
        hex8(labels, out=field, macro=field.reshape(-1)[:6].reshape(1, 6))
    windows = strided(np.zeros(9, np.float32), (1, 3, 3, 3), (0, 1, 2, 3))
    with pytest.raises(ValueError, match="`out` must have an element of its own for every index"):
        ops.reverse_step(windows.copy(), windows.copy(), out=windows, a=1.0, b=1.0)
    images = np.zeros((2, 1, 1, 8), np.float32).transpose(0, 3, 1, 2)
    apart = np.zeros(24, np.float32)[4:20].reshape(2, 1, 1, 8).transpose(0, 3, 1, 2)
    ops.channel_affine(images, out=images)  # in place is right
    over = apart.base[8:24].reshape(2, 1, 1, 8).transpose(0, 3, 1, 2)
    with pytest.raises(ValueError, match="`out` must not share memory with `x`"):
        ops.channel_affine(apart, out=over)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: ops.pair_counts([0], 0, 1, direction=(0, 0, 1), max_lag=1), TypeError, "labels"),
        (lambda: ops.connected_components([[[1]]]), TypeError, "mask"),
        (lambda: ops.multigrid_layout((2, 2), True), ValueError, "shape"),
        (lambda: ops.multigrid_layout((2, 2, 2), "yes"), TypeError, "binary"),
        (lambda: green(tables=(1, 2)), ValueError, "tables"),
        (lambda: green(symbol="ab"), TypeError, "symbol"),
        (lambda: green(divide=2), TypeError, "divide"),
        (lambda: hex8(np.zeros(SHAPE, np.uint8), sign="1"), TypeError, "sign"),
        (lambda: hex8(np.zeros(SHAPE, np.uint8), dot_kind="sum"), ValueError, "dot_kind"),
        (lambda: ops.green_convolve_takes((4, 4, 0)), ValueError, "nx"),
    ],
)
def test_refusals_are_one_sentence_with_the_name(call, error, words):
    with pytest.raises(error, match=rf"^`{words}(\[\d\])?` must .*, got .*$") as caught:
        call()
    assert "\n" not in str(caught.value)
