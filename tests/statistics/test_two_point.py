# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Two-point correlations against the sum over every pair of voxels, and every refusal."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import micro3d_fast as m3
from micro3d_fast import statistics
from micro3d_fast.reference import two_point as reference
from micro3d_fast.statistics import _fourier
from volumes import blobs, random_labels, random_mask, small_images

SHAPES = [(1, 1), (2, 3), (5, 4), (1, 1, 1), (3, 1, 4), (4, 3, 5), (1, 6, 1), (2, 2, 2)]


def periodicities(ndim):
    return (False, True, (True,) + (False,) * (ndim - 1), (False,) * (ndim - 1) + (True,))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("masked", [False, True])
def test_map_equals_brute_force(shape, masked):
    labels = random_labels(shape)
    mask = random_mask(shape, 0.7) if masked else None
    for periodic, (i, j) in itertools.product(periodicities(len(shape)), [(1, None), (0, 2)]):
        got = m3.two_point_map(labels, i, j, periodic=periodic, mask=mask, threads=1)
        want = reference.two_point_map(labels, i, j, periodic, mask)
        # exact counts, one division or two roundings of it
        np.testing.assert_allclose(got, want, rtol=1e-16, atol=0)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("masked", [False, True])
def test_radial_equals_brute_force(shape, masked):
    labels = random_labels(shape)
    mask = random_mask(shape, 0.7) if masked else None
    for periodic, max_lag in itertools.product(periodicities(len(shape)), [0, max(shape) - 1]):
        for i, j in [(1, None), (0, 2)]:
            keys = {"periodic": periodic, "mask": mask, "max_lag": max_lag}
            got = m3.two_point_radial(labels, i, j, threads=1, **keys)
            value, count = reference.two_point_radial(labels, i, j, **keys)
            np.testing.assert_allclose(got.value, value, rtol=1e-14, atol=0)
            np.testing.assert_array_equal(got.count, count)
            np.testing.assert_array_equal(got.lag, np.arange(max_lag + 1))
            np.testing.assert_array_equal(got.edges, np.arange(max_lag + 2) - 0.5)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("masked", [False, True])
def test_direction_equals_brute_force(shape, masked):
    labels = random_labels(shape)
    mask = random_mask(shape, 0.7) if masked else None
    for axis, periodic in itertools.product(range(len(shape)), periodicities(len(shape))):
        direction = tuple(int(k == axis) for k in range(len(shape)))
        for i, j in [(1, None), (0, 2)]:
            keys = {"max_lag": shape[axis] - 1, "periodic": periodic, "mask": mask}
            got = m3.two_point_correlation(labels, i, j, axis=axis, **keys)
            want = reference.two_point_correlation(labels, i, j, direction=direction, **keys)
            np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("direction", [(1, 1, 0), (1, -1, 2), (0, -1, 0), (-1, 0, 1), (2, 1, 0)])
@pytest.mark.parametrize("periodic", [False, True, (False, True, False)], ids=str)
def test_lattice_directions_equal_brute_force(direction, periodic):
    labels = random_labels((5, 4, 6))
    for mask, max_lag in itertools.product((None, random_mask((5, 4, 6), 0.7)), (0, 1)):
        keys = {"max_lag": max_lag, "periodic": periodic, "mask": mask}
        got = m3.two_point_correlation(labels, 0, 1, axis=direction, **keys)
        want = reference.two_point_correlation(labels, 0, 1, direction=direction, **keys)
        np.testing.assert_array_equal(got, want)


def test_lattice_direction_runs_until_the_line_closes():
    labels = random_labels((3, 4))
    got = m3.two_point_correlation(labels, 0, axis=(1, 1), max_lag=11, periodic=True)
    want = reference.two_point_correlation(labels, 0, direction=(1, 1), max_lag=11, periodic=True)
    np.testing.assert_array_equal(got, want)
    with pytest.raises(ValueError, match=r"`max_lag` must be an integer 0 \.\.\. 11, got 12"):
        m3.two_point_correlation(labels, 0, axis=(1, 1), max_lag=12, periodic=True)


def test_any_backend_and_integer_kind(backend):
    send, _ = backend
    labels = random_labels((4, 5, 6))
    want = m3.two_point_map(labels, 1, 0)
    np.testing.assert_array_equal(m3.two_point_map(send(labels), 1, 0), want)
    np.testing.assert_array_equal(m3.two_point_map(send(labels.astype(np.int64)), 1, 0), want)
    strided = np.asfortranarray(labels)
    np.testing.assert_array_equal(m3.two_point_map(strided, 1, 0), want)
    truth = m3.two_point_correlation(labels == 1, 1, axis=2)
    np.testing.assert_array_equal(m3.two_point_correlation(send(labels == 1), 1, axis=2), truth)


def test_microstructure_is_an_array():
    labels = random_labels((4, 5, 6))
    micro = m3.Microstructure(labels, voxel_size=2e-6)
    np.testing.assert_array_equal(m3.two_point_map(micro, 1), m3.two_point_map(labels, 1))


@pytest.mark.parametrize("periodic", [False, True, (False, True, False)], ids=str)
def test_max_lag_crops_the_full_map(periodic):
    labels = random_labels((7, 6, 9))
    full = m3.two_point_map(labels, 0, 1, periodic=periodic)
    for max_lag in (0, 2, 8):
        got = m3.two_point_map(labels, 0, 1, periodic=periodic, max_lag=max_lag)
        for axis, n in enumerate(labels.shape):
            size = full.shape[axis]
            assert got.shape[axis] == min(size, 2 * max_lag + 1), (axis, n)
        lags = [np.fft.fftfreq(n, 1 / n).astype(int) for n in got.shape]
        np.testing.assert_array_equal(got, full[np.ix_(*lags)])


def test_max_lag_shortens_the_transforms():
    """Less time and memory, not only less output."""
    long, short = (_fourier.window(256, False, m) for m in (None, 16))
    assert long.padded >= 511
    assert short.padded < 290
    assert _fourier.window(256, True, 16).padded == 256  # a periodic axis is what it is


def test_shift_puts_zero_lag_in_the_middle():
    labels = random_labels((4, 5))
    full = m3.two_point_map(labels, 1)
    assert statistics.shift(full)[3, 4] == full[0, 0]


def test_float32_mode_is_close():
    labels = random_labels((16, 17, 18), phases=2)
    for periodic in (False, True):
        got = m3.two_point_map(labels, 1, periodic=periodic, dtype=np.float32)
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, m3.two_point_map(labels, 1, periodic=periodic), atol=1e-5)


def test_result_does_not_depend_on_threads():
    labels = random_labels((20, 21, 22), phases=2)
    for j in (None, 0):
        one, four = (m3.two_point_map(labels, 1, j, threads=t) for t in (1, 4))
        np.testing.assert_array_equal(one, four)
    one, four = (m3.two_point_radial(labels, 1, threads=t) for t in (1, 4))
    np.testing.assert_array_equal(one.value, four.value)


def test_batch_is_one_curve_per_image():
    stack = random_labels((4, 6, 7))
    mask = random_mask((4, 6, 7), 0.7)
    for axis, keys in itertools.product(("y", "x", (1, -1)), ({}, {"periodic": True})):
        got = m3.two_point_correlation(stack, 0, 2, axis=axis, batch=True, **keys)
        each = [m3.two_point_correlation(i, 0, 2, axis=axis, **keys) for i in stack]
        np.testing.assert_array_equal(got, each)
    got = m3.two_point_correlation(stack, 0, axis=0, batch=True, mask=mask)
    each = [
        m3.two_point_correlation(i, 0, axis=0, mask=m) for i, m in zip(stack, mask, strict=True)
    ]
    np.testing.assert_array_equal(got, each)


def test_radial_in_metres():
    labels = random_labels((5, 6, 7))
    got = m3.two_point_radial(labels, 1, voxel_size=2e-6)
    want = m3.two_point_radial(labels, 1)
    np.testing.assert_allclose(got.lag, 2e-6 * want.lag)
    np.testing.assert_allclose(got.edges, 2e-6 * want.edges)
    np.testing.assert_array_equal(got.value, want.value)
    assert (got.unit, want.unit) == ("m", "voxels")
    spacing = (2.0, 1.0, 1.5)
    got = m3.two_point_radial(labels, 1, voxel_size=spacing, max_lag=4)
    value, count = reference.two_point_radial(labels, 1, max_lag=4, spacing=spacing)
    np.testing.assert_allclose(got.value, value, rtol=1e-14)
    np.testing.assert_array_equal(got.count, count)


def test_absent_phase_gives_zeros():
    labels = random_labels((4, 5, 6))
    assert not m3.two_point_map(labels, 255).any()
    assert not m3.two_point_correlation(labels, 0, 99, axis=0).any()
    assert m3.volume_fractions(labels).shape == (3,)


def test_mask_without_pairs_gives_nan():
    mask = np.zeros((4, 4), dtype=bool)
    mask[0, 0] = True
    labels = np.ones((4, 4), dtype=np.uint8)
    got = m3.two_point_correlation(labels, 1, axis=0, max_lag=1, mask=mask)
    np.testing.assert_array_equal(got, [1.0, np.nan])
    assert np.isnan(m3.two_point_map(labels, 1, mask=mask)).sum() == 48


@settings(max_examples=60, deadline=None)
@given(small_images(), st.booleans())
def test_identities(labels, periodic):
    """S_ij(r) = S_ji(-r), S_ii(0) = φ_i, Σ S_ij = 1; periodic Σ_j S_ij = φ_i, Σ_r = N φ_i φ_j."""
    fractions = np.bincount(labels.ravel(), minlength=3) / labels.size
    maps = {
        (i, j): m3.two_point_map(labels, i, j, periodic=periodic, threads=1)
        for i in range(3)
        for j in range(3)
    }
    zero = (0,) * labels.ndim
    for i, j in maps:
        mirrored = np.flip(maps[j, i])
        mirrored = np.roll(mirrored, 1, axis=tuple(range(labels.ndim)))
        np.testing.assert_allclose(maps[i, j], mirrored, rtol=1e-16)
        assert maps[i, j][zero] == (fractions[i] if i == j else 0)
        if periodic:
            total = maps[i, j].sum()
            assert total == pytest.approx(labels.size * fractions[i] * fractions[j], abs=1e-9)
    np.testing.assert_allclose(sum(maps.values()), 1, rtol=1e-14)
    if periodic:
        for i in range(3):
            np.testing.assert_allclose(sum(maps[i, j] for j in range(3)), fractions[i], rtol=1e-14)


@settings(max_examples=40, deadline=None)
@given(small_images(), st.booleans())
def test_direction_is_a_line_of_the_map(labels, periodic):
    full = m3.two_point_map(labels, 1, 0, periodic=periodic, threads=1)
    for axis, n in enumerate(labels.shape):
        line = np.moveaxis(full, axis, 0).reshape(full.shape[axis], -1)[:n, 0]
        got = m3.two_point_correlation(labels, 1, 0, axis=axis, max_lag=n - 1, periodic=periodic)
        np.testing.assert_allclose(got, line, rtol=1e-16)


GOOD = np.zeros((4, 4, 4), dtype=np.uint8)
BARS = np.arange(64).reshape(4, 4, 4) % 2


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: m3.two_point_map(GOOD.astype(float), 0), TypeError, "`labels` must be an array"),
        (lambda: m3.two_point_map(np.zeros(4, int), 0), ValueError, "`labels` must have 2 or 3"),
        (lambda: m3.two_point_map(np.zeros((0, 4), int), 0), ValueError, "must not be empty"),
        (lambda: m3.two_point_map(GOOD, 256), ValueError, r"`phase` must be an integer 0 \.\.\. 2"),
        (lambda: m3.two_point_map(GOOD, 1.0), TypeError, "`phase` must be an integer"),
        (lambda: m3.two_point_map(GOOD, 0, -1), ValueError, "`other` must be an integer"),
        (lambda: m3.two_point_map(GOOD, 0, periodic=1), TypeError, "`periodic` must be"),
        (lambda: m3.two_point_map(GOOD, 0, periodic=(True,)), ValueError, "`periodic` must be"),
        (lambda: m3.two_point_map(GOOD, 0, max_lag=4), ValueError, "`max_lag` must be"),
        (lambda: m3.two_point_map(GOOD, 0, dtype=int), TypeError, "`dtype` must be float32"),
        (lambda: m3.two_point_map(GOOD, 0, threads=-1), ValueError, "`threads` must be"),
        (lambda: m3.two_point_map(GOOD, 0, mask=GOOD[0]), ValueError, "`mask` must have the shape"),
        (lambda: m3.two_point_correlation(GOOD, 0, axis=3), ValueError, "`axis` must be 0, 1, 2"),
        (lambda: m3.two_point_correlation(GOOD, 0, axis="w"), ValueError, "`axis` must be"),
        (lambda: m3.two_point_correlation(GOOD[0], 0, axis="z"), ValueError, "`axis` must be"),
        (
            lambda: m3.two_point_correlation(GOOD, 0, axis=(2, 2, 0)),
            ValueError,
            "primitive lattice",
        ),
        (lambda: m3.two_point_correlation(GOOD, 0, axis=(1, 0)), ValueError, "primitive lattice"),
        (lambda: m3.two_point_correlation(GOOD, 0, axis=0, max_lag=4), ValueError, "`max_lag`"),
        (lambda: m3.two_point_correlation(GOOD, 0, axis=0, max_lag=-1), ValueError, "`max_lag`"),
        (lambda: m3.two_point_correlation(GOOD, 0, axis=0, batch=1), TypeError, "`batch` must be"),
        (lambda: m3.two_point_radial(GOOD, 0, max_lag=4), ValueError, "`max_lag` must be"),
        (lambda: m3.two_point_radial(GOOD, 0, voxel_size=0), ValueError, "`voxel_size` must be"),
        (lambda: m3.volume_fractions(GOOD, mask=GOOD), ValueError, "`mask` must leave"),
        (
            lambda: m3.volume_fractions(m3.Micrographs.from_volume(BARS)),
            TypeError,
            r"got Micrographs: call its own method, `micrographs.volume_fractions\(\)`",
        ),
        (lambda: m3.euler_number(GOOD, 0, mask=GOOD), ValueError, "`mask` must leave"),
        (
            lambda: m3.two_point_map(GOOD, 0, mask=GOOD + np.arange(GOOD.shape[-1])),
            ValueError,
            "`mask` must be bool or",
        ),
    ],
)
def test_refusals(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_the_voxel_size_of_a_microstructure_is_used():
    labels = blobs((16, 12, 20), (0.6, 0.4))
    size = (4e-6, 1e-6, 2e-6)
    solid = m3.Microstructure(labels, voxel_size=size)
    given, taken = (
        m3.two_point_radial(labels, 1, voxel_size=size),
        m3.two_point_radial(solid, 1),
    )
    assert taken.unit == "m"
    np.testing.assert_array_equal(taken.value, given.value)
    np.testing.assert_array_equal(taken.lag, given.lag)
    for function in (m3.statistics.specific_surface, m3.statistics.correlation_lengths):
        assert repr(function(solid, 1)) == repr(function(labels, 1, voxel_size=size))
    chords = m3.statistics.chord_lengths(solid, 1, axis="z")
    assert chords.mean == m3.statistics.chord_lengths(labels, 1, axis="z", voxel_size=size).mean
    plain = m3.statistics.correlation_lengths(m3.Microstructure(labels), 1)
    assert plain == m3.statistics.correlation_lengths(labels, 1)


def test_radial_lags_count_metres_along_each_axis():
    """8 voxels of 4 and 20 voxels of 1: the longest lags are 28 and 19 bins of 1."""
    labels = blobs((8, 20, 20), (0.6, 0.4))
    got = m3.two_point_radial(labels, 1, voxel_size=(4, 1, 1), max_lag=28)
    assert len(got.lag) == 29
    with pytest.raises(ValueError, match="`max_lag`"):
        m3.two_point_radial(labels, 1, voxel_size=(4, 1, 1), max_lag=29)
    assert len(m3.two_point_radial(labels, 1, voxel_size=(4, 1, 1)).lag) == 11  # half of 20
