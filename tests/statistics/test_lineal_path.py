# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Lineal path against its definition, its identities, and every refusal."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import micro3d_fast as m3
from micro3d_fast.reference import lineal_path as reference
from volumes import random_labels, random_mask, small_images

SHAPES = [(1, 1), (2, 3), (5, 4), (1, 1, 1), (3, 1, 4), (4, 3, 5), (1, 6, 1), (2, 2, 2)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("periodic", [False, True])
def test_equals_brute_force(shape, masked, periodic):
    mask = random_mask(shape) if masked else None
    full = np.ones(shape, dtype=np.uint8)
    for labels, axis in itertools.product(
        (random_labels(shape, phases=2), full), range(len(shape))
    ):
        direction = tuple(int(k == axis) for k in range(len(shape)))
        keys = {"max_lag": shape[axis] - 1, "periodic": periodic, "mask": mask}
        got = m3.lineal_path(labels, 1, axis=axis, **keys)
        want = reference.lineal_path(labels, 1, direction=direction, **keys)
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize(
    "direction", [(1, 1, 0), (1, -1, 2), (0, -1, 0), (-1, 0, 1), (2, 1, 0), (1, 1, 1), (1, -1, 1)]
)
@pytest.mark.parametrize("periodic", [False, True, (False, True, False)], ids=str)
def test_lattice_directions_equal_brute_force(direction, periodic):
    labels = random_labels((5, 4, 6), phases=2)
    for mask, max_lag in itertools.product((None, random_mask((5, 4, 6))), (0, 1)):
        keys = {"max_lag": max_lag, "periodic": periodic, "mask": mask}
        got = m3.lineal_path(labels, 0, axis=direction, **keys)
        want = reference.lineal_path(labels, 0, direction=direction, **keys)
        np.testing.assert_array_equal(got, want)


def test_diagonals_of_oblique_layers():
    """Layers of normal (1, 1, 1), 3 of every 8 voxels: a body diagonal crosses 3 per step."""
    labels = np.uint8(np.indices((16, 16, 16)).sum(axis=0) % 8 < 3)
    keys = {"max_lag": 8, "periodic": True}
    for along in ((0, 1, -1), (1, 0, -1), (1, -1, 0)):  # the face diagonals in the layers
        np.testing.assert_array_equal(m3.lineal_path(labels, 1, axis=along, **keys), 3 / 8)
    for across, step in (((1, 1, 1), 3), ((0, 1, 1), 2), ((1, -1, 1), 1)):
        pairs = m3.two_point_correlation(labels, 1, axis=across, **keys)
        shift = [min(r * step % 8, -r * step % 8) for r in range(9)]
        np.testing.assert_array_equal(pairs, [max(3 - s, 0) / 8 for s in shift])
        path = m3.lineal_path(labels, 1, axis=across, **keys)
        np.testing.assert_array_equal(path, [max(3 - r * step, 0) / 8 for r in range(9)])


def test_any_backend(backend):
    send, _ = backend
    labels = random_labels((4, 5, 6), phases=2)
    for axis in "zyx":
        want = m3.lineal_path(labels, 1, axis=axis)
        np.testing.assert_array_equal(m3.lineal_path(send(labels), 1, axis=axis), want)
        np.testing.assert_array_equal(m3.lineal_path(send(labels == 1), 1, axis=axis), want)


def test_batch_is_one_curve_per_image():
    stack, mask = random_labels((4, 6, 7), phases=2), random_mask((4, 6, 7))
    for axis, periodic in itertools.product(("y", "x", (1, -1)), (False, True)):
        got = m3.lineal_path(stack, 1, axis=axis, batch=True, periodic=periodic)
        each = [m3.lineal_path(i, 1, axis=axis, periodic=periodic) for i in stack]
        np.testing.assert_array_equal(got, each)
    got = m3.lineal_path(stack, 1, axis=0, batch=True, mask=mask)
    each = [m3.lineal_path(i, 1, axis=0, mask=m) for i, m in zip(stack, mask, strict=True)]
    np.testing.assert_array_equal(got, each)


def test_full_rows_of_a_periodic_axis_count_every_lag():
    labels = np.zeros((3, 4, 5), dtype=np.uint8)
    labels[0, 0] = 1
    got = m3.lineal_path(labels, 1, axis="x", max_lag=4, periodic=True)
    np.testing.assert_array_equal(got, np.full(5, 5 / 60))


def test_shape_of_default():
    assert m3.lineal_path(np.ones((4, 9), int), 1, axis="x").shape == (5,)
    assert m3.lineal_path(np.ones((1, 9), int), 1, axis="y").shape == (1,)


@settings(max_examples=60, deadline=None)
@given(small_images(), st.booleans())
def test_identities(labels, periodic):
    """L(0) = φ, L(1) = S2(e), L ≤ S2, L falls; periodic: L convex."""
    fractions = np.bincount(labels.ravel(), minlength=3) / labels.size
    for axis, n in enumerate(labels.shape):
        for phase in range(3):
            keys = {"axis": axis, "max_lag": n - 1, "periodic": periodic}
            path = m3.lineal_path(labels, phase, **keys)
            pairs = m3.two_point_correlation(labels, phase, **keys)
            assert path[0] == fractions[phase]
            np.testing.assert_array_equal(path[:2], pairs[:2])
            assert (path <= pairs).all()
            if periodic:
                assert (np.diff(path) <= 0).all()
                assert (np.diff(path, 2) >= -1e-15).all()


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"phase": -1}, ValueError, r"`phase` must be an integer 0 \.\.\. 255, got -1"),
        ({"axis": 3}, ValueError, "`axis` must be 0, 1, 2"),
        ({"axis": (0, 0, 0)}, ValueError, "primitive lattice vector"),
        ({"axis": (0, 0.5, 1)}, TypeError, "`axis` must be an integer"),
        ({"max_lag": 4}, ValueError, r"`max_lag` must be an integer 0 \.\.\. 3, got 4"),
        ({"max_lag": 1.0}, TypeError, "`max_lag` must be"),
        ({"periodic": "yes"}, TypeError, "`periodic` must be"),
        ({"mask": np.ones((4, 4), bool)}, ValueError, "`mask` must have the shape"),
        ({"mask": np.ones((4, 4, 4))}, TypeError, "`mask` must be an array of bool"),
        ({"threads": True}, TypeError, "`threads` must be"),
        ({"labels": np.zeros((4, 4, 4))}, TypeError, "`labels` must be an array of bool"),
        ({"labels": np.full((4, 4, 4), 256)}, ValueError, r"values 0 \.\.\. 255"),
    ],
)
def test_refusals(change, error, words):
    good = {"labels": np.zeros((4, 4, 4), np.uint8), "phase": 0, "axis": 0}
    call = {**good, **change}
    labels, phase = call.pop("labels"), call.pop("phase")
    with pytest.raises(error, match=words):
        m3.lineal_path(labels, phase, **call)
