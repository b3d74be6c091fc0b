# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Argument checks: accepted values, and the messages of refusals."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import micro3d_fast as m3
from micro3d_fast import _checks, statistics
from micro3d_fast.microstructure import Microstructure

# -------------------------------------------------------------------------------------- as_labels


def test_labels_of_uint8_are_not_copied():
    labels = np.zeros((2, 3, 4), dtype=np.uint8)
    assert np.shares_memory(_checks.as_labels(labels), labels)


def test_labels_of_bool_are_viewed_as_zero_and_one():
    labels = np.array([[True, False]])
    got = _checks.as_labels(labels)
    assert got.dtype == np.uint8
    assert got.tolist() == [[1, 0]]
    assert np.shares_memory(got, labels)


def test_pillow_images_of_one_value_per_pixel_are_arrays():
    pillow = pytest.importorskip("PIL.Image")
    labels = np.array([[0, 1, 1], [1, 0, 1]], dtype=np.uint8)
    for image in (pillow.fromarray(labels), pillow.fromarray(labels > 0)):
        np.testing.assert_array_equal(_checks.as_labels(image), labels)
    with pytest.raises(TypeError, match="got Image"):
        _checks.as_labels(pillow.fromarray(labels).convert("RGB"))


def test_true_is_one_whatever_byte_stores_it():
    """Pillow stores 0xFF for true; numpy takes any byte but zero for true."""
    foreign = np.array([[0, 255, 1], [2, 0, 0]], dtype=np.uint8).view(np.bool_)
    torch = pytest.importorskip("torch")
    for array in (foreign, foreign[:, ::-1][:, ::-1], torch.from_numpy(foreign.copy())):
        assert _checks.as_labels(array).tolist() == [[0, 1, 1], [1, 0, 0]]
        assert _checks.to_host(array, name="a").view(np.uint8).tolist() == [[0, 1, 1], [1, 0, 0]]


@pytest.mark.parametrize("dtype", [np.int8, np.uint16, np.int32, np.int64, np.uint64, ">i4"])
def test_other_integers_are_converted(dtype):
    got = _checks.as_labels(np.array([[0, 3], [127, 1]], dtype=dtype))
    assert got.dtype == np.uint8
    assert got.tolist() == [[0, 3], [127, 1]]


def test_views_that_are_not_contiguous_are_accepted():
    big = np.arange(4 * 5 * 6, dtype=np.uint8).reshape(4, 5, 6)
    got = _checks.as_labels(big[::2, :, ::-1].T)
    assert got.flags.c_contiguous
    np.testing.assert_array_equal(got, big[::2, :, ::-1].T)


def test_every_array_library_is_accepted(backend):
    send, _ = backend
    labels = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    np.testing.assert_array_equal(_checks.as_labels(send(labels)), labels)


def test_torch_bool_and_a_microstructure_are_accepted():
    torch = pytest.importorskip("torch")
    assert _checks.as_labels(torch.ones(2, 2, dtype=torch.bool)).tolist() == [[1, 1], [1, 1]]
    labels = np.ones((1, 2, 3), dtype=np.uint8)
    np.testing.assert_array_equal(_checks.as_labels(Microstructure(labels)), labels)


def test_dlpack_is_accepted():
    class Dlpack:
        def __init__(self, array):
            self.array = array

        def __dlpack__(self, **options):
            return self.array.__dlpack__(**options)

        def __dlpack_device__(self):
            return self.array.__dlpack_device__()

    assert _checks.as_labels(Dlpack(np.ones((2, 2), dtype=np.uint8))).sum() == 4


@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        (np.zeros((2, 2)), TypeError, "bool or integers 0 ... 255, got dtype float64"),
        (np.zeros((2, 2), dtype=complex), TypeError, "got dtype complex128"),
        (np.array([["a"]]), TypeError, "got dtype <U1"),
        (np.array([[None]]), TypeError, "got dtype object"),
        ([[0, 1]], TypeError, "must be an array of bool or integers 0 ... 255, got list"),
        (None, TypeError, "got NoneType"),
        (3, TypeError, "got int"),
        (np.ma.masked_array(np.zeros((2, 2), int), mask=True), TypeError, "got a masked array"),
        (np.zeros(3, int), ValueError, r"must have 2 or 3 dimensions, got shape \(3,\)"),
        (np.zeros((1, 1, 1, 1), int), ValueError, "must have 2 or 3 dimensions"),
        (np.zeros((0, 3), int), ValueError, r"must not be empty, got shape \(0, 3\)"),
        (np.array([[-1, 3]]), ValueError, "must hold values 0 ... 255, got -1 ... 3"),
        (np.array([[0, 256]]), ValueError, "must hold values 0 ... 255, got 0 ... 256"),
    ],
)
def test_labels_are_refused(labels, error, message):
    with pytest.raises(error, match=f"^`labels` .*{message}"):
        _checks.as_labels(labels)


def test_torch_floats_are_refused():
    torch = pytest.importorskip("torch")
    for dtype in (torch.bfloat16, torch.float16, torch.float32):
        with pytest.raises(TypeError, match=r"`volume` .* got dtype float"):
            _checks.as_labels(torch.zeros(2, 2, dtype=dtype), name="volume")


# ---------------------------------------------------------------------------------------- scalars


@pytest.mark.parametrize("value", [3, np.int8(3), np.uint64(3), np.array(3)])
def test_integers_are_returned_as_int(value):
    got = _checks.integer(value, name="n")
    assert got == 3
    assert type(got) is int


@pytest.mark.parametrize(
    ("value", "limits", "error", "message"),
    [
        (True, {}, TypeError, r"`n` must be an integer, got True \(bool\)"),
        (np.True_, {}, TypeError, r"\(bool\)"),
        (3.0, {}, TypeError, r"`n` must be an integer, got 3.0 \(float\)"),
        ("3", {}, TypeError, r"got '3' \(str\)"),
        (0, {"minimum": 1}, ValueError, "`n` must be an integer of at least 1, got 0"),
        (9, {"maximum": 8}, ValueError, "`n` must be an integer of at most 8, got 9"),
        (9, {"minimum": 0, "maximum": 8}, ValueError, "`n` must be an integer 0 ... 8, got 9"),
    ],
)
def test_integers_are_refused(value, limits, error, message):
    with pytest.raises(error, match=message):
        _checks.integer(value, name="n", **limits)


@pytest.mark.parametrize(
    "value", [2, 2.0, np.float32(2), np.int64(2), np.array(2.0), Fraction(2, 1)]
)
def test_reals_are_returned_as_float(value):
    got = _checks.real(value, name="x")
    assert got == 2.0
    assert type(got) is float


@pytest.mark.parametrize(
    ("value", "limits", "error", "message"),
    [
        (float("nan"), {}, ValueError, "`x` must be a finite number, got nan"),
        (float("inf"), {"minimum": 0}, ValueError, "of at least 0, got inf"),
        (10**400, {}, ValueError, "must be a finite number"),
        (True, {}, TypeError, r"\(bool\)"),
        ("1", {}, TypeError, r"got '1' \(str\)"),
        (1j, {}, TypeError, r"\(complex\)"),
        (np.ones(2), {}, TypeError, r"got an array of shape \(2,\)"),
        (np.ones(1), {}, TypeError, r"got an array of shape \(1,\)"),
        (None, {}, TypeError, "got None"),
        (-1, {"minimum": 0, "open_ends": True}, ValueError, "must be a positive number, got -1"),
        (0, {"minimum": 0, "open_ends": True}, ValueError, "must be a positive number, got 0"),
        (1, {"minimum": 0, "maximum": 1, "open_ends": True}, ValueError, r"in \(0, 1\), got 1"),
        (
            1,
            {"minimum": 0, "maximum": 1, "open_ends": (False, True)},
            ValueError,
            r"a number in \[0, 1\), got 1",
        ),
        (3, {"maximum": 2}, ValueError, "of at most 2, got 3"),
        (2, {"maximum": 2, "open_ends": True}, ValueError, "below 2, got 2"),
    ],
)
def test_reals_are_refused(value, limits, error, message):
    with pytest.raises(error, match=message):
        _checks.real(value, name="x", **limits)


def test_booleans():
    assert _checks.boolean(np.True_, name="resume") is True
    with pytest.raises(TypeError, match=r"`resume` must be True or False, got 1 \(int\)"):
        _checks.boolean(1, name="resume")


def test_choice():
    assert _checks.choice("fast", ("fast", "paper"), name="sampler") == "fast"
    with pytest.raises(ValueError, match="`sampler` must be 'fast' or 'paper', got 'slow'"):
        _checks.choice("slow", ("fast", "paper"), name="sampler")
    with pytest.raises(TypeError, match=r"`sampler` must be 'fast' or 'paper', got 3 \(int\)"):
        _checks.choice(3, ("fast", "paper"), name="sampler")


def test_paths():
    assert _checks.path("a/b") == Path("a/b")
    with pytest.raises(TypeError, match="`path` must be a path, got 3"):
        _checks.path(3)
    with pytest.raises(TypeError, match="`path` must be a path, got b'a'"):
        _checks.path(b"a")
    with pytest.raises(ValueError, match="got an empty string"):
        _checks.path("")


def test_seeds():
    assert _checks.seed_number(2**64 - 1) == 2**64 - 1
    with pytest.raises(ValueError, match=r"`seed` must be an integer 0 ... 18446744073709551615"):
        _checks.seed_number(-1)


# --------------------------------------------------------------------------- phases, axes, shapes


def test_phase_numbers():
    assert _checks.phase_number(np.uint8(255)) == 255
    with pytest.raises(ValueError, match=r"`phase` must be an integer 0 ... 255, got 256"):
        _checks.phase_number(256)


@pytest.mark.parametrize(
    ("axis", "ndim", "number"),
    [
        ("z", 3, 0),
        ("y", 3, 1),
        ("x", 3, 2),
        ("y", 2, 0),
        ("x", 2, 1),
        (2, 3, 2),
        (np.int8(1), 2, 1),
    ],
)
def test_axes(axis, ndim, number):
    assert _checks.axis_number(axis, ndim) == number


@pytest.mark.parametrize(
    ("axis", "ndim", "error", "message"),
    [
        (3, 3, ValueError, "`axis` must be 0, 1, 2 or 'z', 'y', 'x', got 3"),
        (-1, 3, ValueError, "got -1"),
        ("z", 2, ValueError, "`axis` must be 0, 1 or 'y', 'x', got 'z'"),
        ("X", 3, ValueError, "got 'X'"),
        (1.0, 3, TypeError, r"got 1.0 \(float\)"),
        (True, 3, TypeError, r"got True \(bool\)"),
        (None, 3, TypeError, "got None"),
    ],
)
def test_axes_are_refused(axis, ndim, error, message):
    with pytest.raises(error, match=message):
        _checks.axis_number(axis, ndim)


def test_lag_limits():
    assert _checks.lag_limit(None, 9) == 4
    assert _checks.lag_limit(None, 1) == 0
    assert _checks.lag_limit(8, 9) == 8
    with pytest.raises(ValueError, match=r"`max_lag` must be an integer 0 ... 8, got 9"):
        _checks.lag_limit(9, 9)


def test_shapes():
    assert _checks.shape3(np.array([2, 3, 4])) == (2, 3, 4)
    assert _checks.shape3(64) == _checks.shape3(np.int64(64)) == (64, 64, 64)
    message = r"`volume_shape` must be one or three positive integers \(nz, ny, nx\), got"
    for wrong, error in [
        ((2, 3), ValueError),
        ((2, 3, 0), ValueError),
        ((2, 3, 4.0), TypeError),
        (0, ValueError),
        (True, TypeError),
        ("64", TypeError),
    ]:
        with pytest.raises(error, match=message):
            _checks.shape3(wrong)


def test_voxel_sizes():
    assert _checks.voxel_size3(1e-6) == (1e-6, 1e-6, 1e-6)
    assert _checks.voxel_size3(np.float64(2e-6)) == (2e-6, 2e-6, 2e-6)
    assert _checks.voxel_size3([1, 2, 3]) == (1.0, 2.0, 3.0)
    message = r"`voxel_size` must be a positive number or three \(dz, dy, dx\), got"
    for wrong, error in [
        (0, ValueError),
        (-1.0, ValueError),
        (float("nan"), ValueError),
        ((1, 2), ValueError),
        ((1, 2, 0), ValueError),
        ((1, 2, "3"), TypeError),
        ("1 um", TypeError),
        (None, TypeError),
    ]:
        with pytest.raises(error, match=message):
            _checks.voxel_size3(wrong)
    assert _checks.voxel_size3((2e-6, 1e-6), ndim=2) == (2e-6, 2e-6, 1e-6)
    assert _checks.voxel_size3((3e-6, 2e-6, 1e-6), ndim=2) == (3e-6, 2e-6, 1e-6)
    with pytest.raises(ValueError, match=r"number, two \(dy, dx\) or three \(dz, dy, dx\), got"):
        _checks.voxel_size3((1, 2, 3, 4), ndim=2)


@pytest.mark.parametrize("size", [0.5, (0.5, 0.25, 0.5), 1e-2])
def test_voxels_of_half_a_metre_are_questioned(size):
    labels = np.eye(8, dtype=np.uint8)
    for function in (
        lambda: m3.Microstructure(labels[None], voxel_size=size),
        lambda: m3.Micrographs.from_volume(np.ones((4, 4, 4), np.uint8), voxel_size=size),
        lambda: m3.two_point_radial(labels, 1, voxel_size=size),
        lambda: m3.homogenize_conductivity(labels, [1.0, 2.0], voxel_size=size),
    ):
        with pytest.warns(
            UserWarning, match="`voxel_size` is in metres, not micrometres"
        ) as caught:
            function()
        assert [w.filename for w in caught] == [__file__]


def test_voxel_sizes_that_are_not_questioned():
    for size in (1.0, (2.0, 1.0, 1.0), 9e-3, 1e-9):
        m3.Microstructure(np.ones((2, 2, 2), np.uint8), voxel_size=size)
    with pytest.warns(UserWarning, match="really 0.5 m long"):
        volume = m3.Microstructure(np.ones((8, 8, 8), np.uint8), voxel_size=0.5)
    statistics.specific_surface(volume, 1)  # asked before
    m3.homogenize_conductivity(volume, [1.0, 2.0])


def test_bools_per_axis():
    assert _checks.per_axis_bool(True) == (True, True, True)
    assert _checks.per_axis_bool([np.True_, False], 2) == (True, False)
    message = "`periodic` must be True, False or one of them for each of the 3 axes, got"
    for wrong, error in [
        ((True, False), ValueError),
        (1, TypeError),
        ((1, 0, 0), TypeError),
        ("all", TypeError),
    ]:
        with pytest.raises(error, match=message):
            _checks.per_axis_bool(wrong)
