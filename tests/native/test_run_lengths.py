# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""run_lengths: kernel = reference on every backend and stride."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from micro3d_fast import ops
from micro3d_fast.reference.run_lengths import run_lengths as reference

SHAPES = [
    (1, 1, 1),
    (5, 4, 3),
    (2, 1, 70),
    (9, 130, 17),
    (70, 3, 5),
    (33, 2, 129),
    (40, 33, 12),
    (3, 2, 1000),
    (70, 4, 8),
]


def blobs(rng, shape, n_phases, smooth=3):
    """Labels with runs of some length along every axis."""
    coarse = rng.integers(0, n_phases, tuple(-(-n // smooth) for n in shape), dtype=np.uint8)
    for axis in range(len(shape)):
        coarse = np.repeat(coarse, smooth, axis=axis)
    labels = np.ascontiguousarray(coarse[tuple(slice(n) for n in shape)])
    noise = rng.random(shape) < 0.05
    labels[noise] = rng.integers(0, n_phases, int(noise.sum()))
    return labels


def check(got, want, fetch=np.asarray):
    for g, w in zip(got, want, strict=True):
        g = fetch(g)
        assert g.dtype == np.int64
        np.testing.assert_array_equal(g, w)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("periodic", [False, True], ids=["open", "periodic"])
@pytest.mark.parametrize("masked", [False, True], ids=["whole", "masked"])
def test_equals_reference(backend, rng, shape, axis, periodic, masked):
    send, fetch = backend
    labels = blobs(rng, shape, 3)
    mask = blobs(rng, shape, 2) if masked else None
    kwargs = {"axis": axis, "n_phases": 3, "periodic": periodic}
    got = ops.run_lengths(send(labels), mask=None if mask is None else send(mask), **kwargs)
    check(got, reference(labels, mask=mask, **kwargs), fetch)


@pytest.mark.parametrize("view", [np.s_[:, :, ::2], np.s_[::-1, 1:, ::-3], np.s_[::2, ::2, 5:]])
@pytest.mark.parametrize("order", list(itertools.permutations(range(3))), ids=str)
def test_strided_views_are_read_in_place(rng, view, order):
    labels = blobs(rng, (12, 15, 40), 2)[view].transpose(order)
    mask = blobs(rng, (12, 15, 40), 2)[view].transpose(order)
    for axis, m in itertools.product(range(3), (None, mask)):
        kwargs = {"axis": axis, "n_phases": 2, "periodic": True, "mask": m}
        check(ops.run_lengths(labels, **kwargs), reference(labels, **kwargs))


def test_threads_do_not_matter(rng):
    labels = blobs(rng, (20, 33, 65), 4)
    for axis in range(3):
        one = ops.run_lengths(labels, axis=axis, n_phases=4, threads=1)
        check(ops.run_lengths(labels, axis=axis, n_phases=4, threads=3), one)


def test_long_rows_and_many_phases(rng):
    labels = rng.integers(0, 256, (2, 3, 5000), dtype=np.uint8)
    for axis in range(3):
        kwargs = {"axis": axis, "n_phases": 256}
        check(ops.run_lengths(labels, **kwargs), reference(labels, **kwargs))


def test_every_voxel_is_counted_once(rng):
    labels = blobs(rng, (17, 19, 23), 3)
    for axis in range(3):
        counts, full = ops.run_lengths(labels, axis=axis, n_phases=3, periodic=True)
        n = labels.shape[axis]
        voxels = (counts * np.arange(n + 1)).sum(axis=1) + n * full
        np.testing.assert_array_equal(voxels, np.bincount(labels.ravel(), minlength=3))


def test_labels_beyond_n_phases_end_runs(rng):
    row = np.array([[1, 1, 7, 1, 0]], dtype=np.uint8)
    counts, _ = ops.run_lengths(row, axis="x", n_phases=2)
    assert counts[1].tolist() == [0, 1, 1, 0, 0, 0]
    assert counts[0].tolist() == [0, 1, 0, 0, 0, 0]


def test_two_dimensions_bool_and_axis_names(rng):
    image = blobs(rng, (30, 41), 2)
    for axis, name in enumerate("yx"):
        want = reference(image, axis=axis, n_phases=2)
        check(ops.run_lengths(image.astype(bool), axis=name, n_phases=2), want)


def test_empty_volume_counts_nothing():
    counts, full = ops.run_lengths(np.zeros((0, 3, 4), np.uint8), axis=2, n_phases=2)
    assert not counts.any()
    assert not full.any()


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"labels": np.zeros((2, 2, 2))}, TypeError, "`labels` must be uint8, got float64"),
        ({"labels": [[1, 2]]}, TypeError, "`labels` must be an array, got list"),
        ({"labels": np.zeros(3, np.uint8)}, ValueError, r"2 or 3 axes, got shape \(3,\)"),
        ({"axis": 3}, ValueError, "`axis`"),
        ({"n_phases": 0}, ValueError, "`n_phases`"),
        ({"n_phases": 257}, ValueError, "`n_phases`"),
        ({"n_phases": 2.0}, TypeError, "`n_phases`"),
        ({"threads": -1}, ValueError, "`threads`"),
        ({"mask": np.ones((2, 2, 3), np.uint8)}, ValueError, r"`mask` must have the shape"),
        ({"mask": np.ones((2, 2, 2), np.int32)}, TypeError, "`mask` must be uint8, got int32"),
    ],
)
def test_refusals_name_the_argument(change, error, words):
    good = {"labels": np.zeros((2, 2, 2), np.uint8), "axis": 0, "n_phases": 2}
    arguments = {**good, **change}
    with pytest.raises(error, match=words):
        ops.run_lengths(arguments.pop("labels"), **arguments)
