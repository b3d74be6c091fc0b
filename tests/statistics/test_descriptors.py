# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Matrix, chords, clusters, surfaces, local fractions, lengths: definitions and closed forms."""

import itertools
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import micro3d_fast as m3
from micro3d_fast import statistics
from micro3d_fast.reference import descriptors as reference
from micro3d_fast.statistics import _fourier, fluctuations
from volumes import ball, blobs, blocks, random_labels, random_mask, small_images

SHAPES = [(1, 1), (3, 4), (6, 5), (1, 1, 1), (4, 3, 5), (1, 6, 1), (3, 1, 4)]


def flags(ndim):
    return (False, True, (True,) + (False,) * (ndim - 1))


# ------------------------------------------------------------------------------------ the matrix


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("masked", [False, True])
def test_matrix_is_all_maps(shape, masked):
    labels = random_labels(shape, phases=4)
    mask = random_mask(shape) if masked else None
    for periodic in flags(len(shape)):
        for max_lag in (None, min(1, max(shape) - 1)):
            keys = {"periodic": periodic, "mask": mask, "max_lag": max_lag}
            got = statistics.two_point_matrix(labels, n_phases=4, **keys)
            for i, j in itertools.product(range(4), range(4)):
                np.testing.assert_array_equal(got[i, j], m3.two_point_map(labels, i, j, **keys))


@pytest.mark.parametrize("phases", [1, 2, 3, 5])
def test_matrix_takes_one_forward_transform_less(phases, monkeypatch):
    labels = random_labels((6, 7, 8), phases=phases)
    labels.flat[:phases] = range(phases)
    forward = []
    original = _fourier.plane_spectra
    monkeypatch.setattr(_fourier, "plane_spectra", lambda *a: forward.append(1) or original(*a))
    got = statistics.two_point_matrix(labels)
    assert len(forward) == phases - 1
    assert got.shape[:2] == (phases, phases)
    np.testing.assert_allclose(got.sum((0, 1)), 1, rtol=1e-14)


def test_batch_of_maps():
    stack, mask = random_labels((3, 6, 7), phases=2), random_mask((3, 6, 7))
    for keys in ({}, {"periodic": True}, {"max_lag": 2}):
        got = m3.two_point_map(stack, 1, 0, batch=True, mask=mask, threads=2, **keys)
        each = [m3.two_point_map(i, 1, 0, mask=m, **keys) for i, m in zip(stack, mask, strict=True)]
        np.testing.assert_array_equal(got, each)


# ---------------------------------------------------------------------- lineal paths and chords


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_lineal_paths_of_all_phases(shape):
    labels, mask = random_labels(shape, phases=3), random_mask(shape)
    for axis, periodic, m in itertools.product(range(len(shape)), (False, True), (None, mask)):
        keys = {"axis": axis, "max_lag": shape[axis] - 1, "periodic": periodic, "mask": m}
        got = statistics.lineal_paths(labels, n_phases=4, **keys)
        want = [m3.lineal_path(labels, p, **keys) for p in range(4)]
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_chords_equal_brute_force(shape):
    labels, mask = random_labels(shape, phases=2), random_mask(shape)
    for axis, periodic, m in itertools.product(range(len(shape)), (False, True), (None, mask)):
        got = statistics.chord_lengths(labels, 1, axis=axis, periodic=periodic, mask=m)
        phase = (labels == 1) if m is None else (labels == 1) & m
        want = reference.chords(phase, axis, periodic)
        np.testing.assert_array_equal(np.repeat(got.length, got.count), want)
        if want:
            assert got.mean == pytest.approx(np.mean(want))
            assert got.density.sum() == pytest.approx(1)
        else:
            assert math.isnan(got.mean)


def test_chords_cut_by_faces_can_be_dropped():
    labels = np.array([[1, 1, 0, 1, 0, 1, 1, 1], [1] * 8, [0] * 8, [0, 1, 1, 0, 0, 0, 0, 0]])
    keep = statistics.chord_lengths(labels, 1, axis="x")
    drop = statistics.chord_lengths(labels, 1, axis="x", cut="drop")
    assert np.repeat(keep.length, keep.count).tolist() == [1, 2, 2, 3, 8]
    assert np.repeat(drop.length, drop.count).tolist() == [1, 2]
    assert drop.mean == 1.5


def test_survival_of_chords():
    labels = np.array([[1, 1, 0, 1, 0, 1, 1, 1], [0] * 8, [0, 1, 1, 0, 0, 1, 0, 0]])
    got = statistics.chord_lengths(labels, 1, axis="x")  # 1, 1, 2, 2, 3; the first and last cut
    np.testing.assert_allclose(got.survival, [3 / 5, 1 / 5, 0, 0, 0, 0, 0, 0])
    # ends in sight: 4 of chords of 1, 4 of longer ones; then 2 of chords of 2, 1 of longer ones
    np.testing.assert_allclose(got.unbiased_survival[:2], [4 / 8, 4 / 8 * 1 / 3])
    assert np.isnan(got.unbiased_survival[2:]).all()  # the longest is cut
    inner = statistics.chord_lengths(labels, 1, axis="x", cut="drop")
    np.testing.assert_allclose(inner.survival[:2], [1 / 3, 0])
    np.testing.assert_array_equal(inner.unbiased_survival, got.unbiased_survival)
    wrapped = statistics.chord_lengths(labels[1:], 1, axis="x", periodic=True)
    np.testing.assert_allclose(wrapped.survival[:2], [1 / 2, 0])
    np.testing.assert_array_equal(wrapped.survival, wrapped.unbiased_survival)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_survival_of_cut_chords_equals_brute_force(shape):
    mask = random_mask(shape, 0.7)
    for seed, axis, periodic, m in itertools.product(
        range(3), range(len(shape)), (False, True), (None, mask)
    ):
        labels = random_labels(shape, phases=2, seed=seed)
        labels.flat[0] = 1
        keys = {"axis": axis, "periodic": periodic, "mask": m}
        chords = reference.ends_in_sight(labels == 1, **keys)
        want, survival = [], 1.0 if chords else 0.0
        for k in range(1, shape[axis] + 1):
            ended = sum(2 for length, ends in chords if ends == 2 and length == k)
            longer = sum(ends for length, ends in chords if length > k)
            if ended + longer:
                survival *= longer / (ended + longer)
            elif survival:
                survival = np.nan
            want.append(survival)
        got = statistics.chord_lengths(labels, 1, **keys)
        np.testing.assert_allclose(got.unbiased_survival, want)
        inner = statistics.chord_lengths(labels, 1, cut="drop", **keys)
        whole = sorted(length for length, ends in chords if ends == 2)
        np.testing.assert_array_equal(np.repeat(inner.length, inner.count), whole)


def test_chords_cut_by_a_mask():
    """The border of a mask cuts like a face, across periodic faces too."""
    labels = np.array([[0, 1, 1, 0, 1, 1, 1, 1, 0, 1, 0]])
    mask = np.arange(11)[None] < 6
    part = statistics.chord_lengths(labels[:, :6], 1, axis="x")
    got = statistics.chord_lengths(labels, 1, axis="x", mask=mask)
    np.testing.assert_array_equal(got.count[:6], part.count)
    np.testing.assert_array_equal(got.unbiased_survival[:3], part.unbiased_survival[:3])
    np.testing.assert_allclose(got.unbiased_survival[:3], [1, 0, 0])  # 2, and at least 2 voxels
    dropped = statistics.chord_lengths(labels, 1, axis="x", mask=mask, cut="drop")
    assert np.repeat(dropped.length, dropped.count).tolist() == [2]
    turned = {"labels": np.roll(labels, 4, 1), "mask": np.roll(mask, 4, 1)}
    wrapped = statistics.chord_lengths(phase=1, axis="x", periodic=True, **turned)
    np.testing.assert_array_equal(wrapped.unbiased_survival, got.unbiased_survival)


def test_mean_chord_of_a_ball():
    """4R/3, each chord weighing the same; the unbiased mean agrees, for the ball is not cut."""
    radius = 20.3
    labels = ball(radius)
    for axis in "zyx":
        got = statistics.chord_lengths(labels, 1, axis=axis, voxel_size=2e-6)
        assert got.mean == pytest.approx(2e-6 * 4 / 3 * radius, rel=0.01)
        assert got.unbiased_mean == pytest.approx(got.mean, rel=1e-12)
        assert got.unit == "m"


def test_chords_of_a_markov_chain_are_geometric(rng):
    stay = 0.7
    rows = np.empty((4000, 60), dtype=np.uint8)
    rows[:, 0] = rng.random(4000) < 0.5
    for k in range(1, 60):
        rows[:, k] = np.where(rng.random(4000) < stay, rows[:, k - 1], 1 - rows[:, k - 1])
    got = statistics.chord_lengths(rows, 1, axis="x")
    assert got.unbiased_mean == pytest.approx(1 / (1 - stay), rel=0.01)
    assert got.mean < got.unbiased_mean  # faces cut some
    short = statistics.chord_lengths(rows.reshape(12000, 20), 1, axis="x")
    tail = stay ** np.arange(1, 11)
    np.testing.assert_allclose(short.unbiased_survival[:10], tail, rtol=0.05)
    assert (short.survival[:10] < 0.97 * tail).all()  # cut ones count as shorter
    inner = statistics.chord_lengths(rows, 1, axis="x", cut="drop")
    ratio = inner.count[1:6] / inner.count[:5]
    np.testing.assert_allclose(ratio, stay, atol=0.07)


# -------------------------------------------------------------------------------------- clusters


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("library", ["cc3d", "scipy"])
def test_clusters_equal_flood_fill(shape, library, monkeypatch):
    if library == "scipy":
        monkeypatch.setitem(__import__("sys").modules, "cc3d", None)
    else:
        pytest.importorskip("cc3d")
    allowed = (4, 8) if len(shape) == 2 else (6, 18, 26)
    wraps = itertools.product((False, True), repeat=len(shape))
    for periodic, connectivity, seed in itertools.product(wraps, allowed, range(2)):
        labels, mask = random_labels(shape, phases=2, seed=seed), random_mask(shape)
        keys = {"connectivity": connectivity, "periodic": periodic}
        got = statistics.cluster_labels(labels, 1, mask=mask, **keys)
        want = reference.clusters((labels == 1) & mask, connectivity, periodic)
        assert got.dtype == np.int32
        assert got.max() == want.max()
        both = np.unique(np.stack([got.ravel(), want.ravel()]), axis=1)
        assert both.shape[1] == len(np.unique(want))  # the same parts, numbered in any order
        assert (both == 0).all(axis=0).sum() == (both == 0).any(axis=0).sum()


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_cluster_function_equals_brute_force(shape):
    for periodic, masked in itertools.product(flags(len(shape)), (False, True)):
        labels = random_labels(shape, phases=2, seed=5)
        mask = random_mask(shape) if masked else None
        phase = (labels == 1) & mask if masked else labels == 1
        numbers = reference.clusters(phase, 4 if len(shape) == 2 else 6, periodic)
        got = statistics.two_point_cluster_map(labels, 1, periodic=periodic, mask=mask)
        full = m3.two_point_map(labels, 1, periodic=periodic, mask=mask)
        lags = [np.fft.fftfreq(n, 1 / n).astype(int) for n in got.shape]
        for index in np.ndindex(got.shape):
            lag = [r[k] for r, k in zip(lags, index, strict=True)]
            hits, pairs = reference.same_cluster_counts(numbers, lag, periodic, mask)
            want = hits / pairs if pairs else np.nan
            np.testing.assert_allclose(got[index], want, rtol=1e-14)
        assert (got <= full + 1e-15)[~np.isnan(full)].all()
        directions = [tuple(int(k == a) for k in range(len(shape))) for a in range(len(shape))]
        for d in (*directions, tuple((-1) ** k for k in range(len(shape)))):
            lag = min(n for n, s in zip(shape, d, strict=True) if s) - 1
            curve = statistics.two_point_cluster(
                labels, 1, axis=d, max_lag=lag, periodic=periodic, mask=mask
            )
            for r in range(lag + 1):
                hits, pairs = reference.same_cluster_counts(
                    numbers, [r * s for s in d], periodic, mask
                )
                np.testing.assert_allclose(curve[r], hits / pairs if pairs else np.nan)


@settings(max_examples=40, deadline=None)
@given(small_images(phases=2, longest=6), st.booleans())
def test_path_cluster_pair(labels, periodic):
    """L ≤ C2 ≤ S2 at every lag."""
    for axis, n in enumerate(labels.shape):
        keys = {"axis": axis, "max_lag": n - 1, "periodic": periodic}
        path = m3.lineal_path(labels, 1, **keys)
        cluster = statistics.two_point_cluster(labels, 1, **keys)
        pair = m3.two_point_correlation(labels, 1, **keys)
        assert (path <= cluster).all()
        assert (cluster <= pair).all()


def test_percolation():
    labels = np.zeros((5, 6, 7), dtype=np.uint8)
    labels[:, 2, 3] = 1  # a rod along z
    labels[0, 5, 5] = 1  # and a speck
    got = statistics.percolation(labels, 1)
    assert got.percolates == {"z": True, "y": False, "x": False}
    assert got.fraction == {"z": 5 / 6, "y": 0, "x": 0}
    assert got.clusters == 2
    assert got.largest == 5 / 6
    assert statistics.percolation(labels, 0).fraction == {"z": 1, "y": 1, "x": 1}
    absent = statistics.percolation(labels, 7)
    assert absent.clusters == 0
    assert math.isnan(absent.fraction["z"])


def test_percolation_across_periodic_sides():
    """Two rods meet across the y faces: they connect z only if y wraps."""
    labels = np.zeros((6, 3, 3), dtype=np.uint8)
    labels[:3, 0, 1] = 1
    labels[2:, 2, 1] = 1
    open_sides = statistics.percolation(labels, 1)
    wrapped = statistics.percolation(labels, 1, periodic=(False, True, False))
    assert not open_sides.percolates["z"]
    assert wrapped.percolates["z"]
    # along the axis itself the faces stay open
    assert not statistics.percolation(np.eye(4, dtype=int), 1, periodic=True).percolates["y"]


# -------------------------------------------------------------------------------------- surfaces


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_faces_equal_brute_force(shape):
    for periodic, mask in itertools.product(flags(len(shape)), (None, random_mask(shape))):
        labels = random_labels(shape, phases=2)
        sizes = (2e-6, 3e-6, 5e-6)[: len(shape)]
        keys = {"periodic": periodic, "mask": mask, "method": "faces", "voxel_size": sizes}
        want = reference.face_area(labels == 1, periodic, mask)
        assert statistics.specific_surface(labels, 1, **keys) == pytest.approx(
            sum(s / h for s, h in zip(want, sizes, strict=True)), rel=1e-13
        )


@pytest.mark.parametrize("radius", [12.4, 25.6])
def test_surface_of_a_ball(radius):
    labels = ball(radius)
    want = 4 * np.pi * radius**2 / labels.size
    got = statistics.specific_surface(labels, 1, periodic=True)
    assert got == pytest.approx(want, rel=0.015)
    faces = statistics.specific_surface(labels, 1, method="faces", periodic=True)
    assert faces == pytest.approx(1.5 * want, rel=0.02)
    metres = statistics.specific_surface(labels, 1, voxel_size=1e-6)
    assert metres == pytest.approx(1e6 * statistics.specific_surface(labels, 1))


@pytest.mark.parametrize("ndim", [2, 3])
def test_bodies_inside_an_open_image_have_their_whole_surface(ndim):
    """A ball of radius 7 in 20 voxels per edge: the open image is wholly known."""
    grid = np.indices((20,) * ndim) - 9.5
    labels = ((grid**2).sum(0) <= 49).astype(np.uint8)
    want = (2 * np.pi * 7 if ndim == 2 else 4 * np.pi * 49) / labels.size
    got = statistics.specific_surface(labels, 1)
    assert got == pytest.approx(want, rel=0.025)
    assert got == statistics.specific_surface(labels, 0)  # the hole in the other phase
    assert got == statistics.specific_surface(labels, 1, periodic=True)
    assert got == statistics.contact_areas(labels)[0, 1]
    flags = (True,) + (False,) * (ndim - 1)
    assert got == statistics.specific_surface(labels, 1, periodic=flags)
    # a slice of a volume is an image; a mask leaves unknown what surrounds it
    if ndim == 2:
        assert statistics.specific_surface(labels[None], 1) == pytest.approx(got)
    masked = statistics.specific_surface(labels, 1, mask=np.ones(labels.shape, bool))
    assert masked > got
    labels[(0,) * ndim] = 1  # the faces show both phases: a piece of a larger material
    assert statistics.specific_surface(labels, 1) > masked


def test_surface_of_open_pieces_is_unbiased():
    """Small open pieces of a periodic material have its surface on average."""
    labels = blobs((32, 32, 32), (0.6, 0.4))
    whole = statistics.specific_surface(labels, 1, periodic=True)
    pieces = [
        statistics.specific_surface(np.roll(labels, np.add(shift, half), (0, 1, 2))[:8, :8, :8], 1)
        for shift in itertools.product(range(0, 32, 8), repeat=3)
        for half in (0, 4)
    ]
    assert np.mean(pieces) == pytest.approx(whole, rel=0.01)


def test_surface_of_a_ball_on_long_voxels():
    grid = np.indices((31, 61, 61)) - np.array([15.1, 30.2, 29.9]).reshape(3, 1, 1, 1)
    spacing = np.array([2.0, 1.0, 1.0]).reshape(3, 1, 1, 1)
    labels = ((grid * spacing) ** 2).sum(0) <= 25.0**2
    want = 4 * np.pi * 25.0**2 / (2.0 * labels.size)
    got = statistics.specific_surface(labels, 1, voxel_size=(2.0, 1.0, 1.0), periodic=True)
    assert got == pytest.approx(want, rel=0.015)


def test_perimeter_of_a_disk():
    labels = ball(40.3, ndim=2)
    want = 2 * np.pi * 40.3 / labels.size
    got = statistics.specific_surface(labels, 1, periodic=True)
    assert got == pytest.approx(want, rel=0.02)
    faces = statistics.specific_surface(labels, 1, method="faces", periodic=True)
    assert faces == pytest.approx(4 / np.pi * want, rel=0.02)


@pytest.mark.parametrize(("aspect", "limit"), [(1, 0.05), (2, 0.08), (4, 0.12)])
def test_surface_of_planes(aspect, limit):
    """Layers normal to the axes are exact, oblique ones within the stated error."""
    spacing = (float(aspect), 1.0, 1.0)
    z = np.zeros((32, 8, 8), np.uint8)
    z[np.arange(32) % 8 < 4] = 1
    got = statistics.specific_surface(z, 1, periodic=True, voxel_size=spacing)
    assert got == pytest.approx(0.25 / aspect, rel=0.003)
    x = np.moveaxis(z, 0, 2)
    got = statistics.specific_surface(x, 1, periodic=True, voxel_size=spacing)
    assert got == pytest.approx(0.25, rel=0.003)
    rng = np.random.default_rng(3)
    grid = np.stack(np.indices((80 // aspect, 80, 80)), -1) * spacing
    for n in rng.standard_normal((8, 3)):
        n /= np.linalg.norm(n)
        layers = (grid @ n % 20 < 10).astype(np.uint8)
        got = statistics.specific_surface(layers, 1, voxel_size=spacing) / 0.1
        assert 1 - 0.04 < got < 1 + limit + 0.04  # 0.04: layers cut by the faces


def test_surface_of_one_slice_is_that_of_the_image():
    disk = ball(20.3, ndim=2)
    want = 2 * np.pi * 20.3 / disk.size
    image = statistics.specific_surface(disk, 1)
    assert image == pytest.approx(want, rel=0.04)
    for axis in range(3):
        assert statistics.specific_surface(np.expand_dims(disk, axis), 1) == pytest.approx(image)
    for slices in (2, 5):
        prism = np.repeat(disk[None], slices, 0)
        assert statistics.specific_surface(prism, 1) == pytest.approx(want, rel=0.04)
    wrapped = statistics.specific_surface(disk[None], 1, periodic=(True, False, False))
    assert wrapped == pytest.approx(want, rel=0.04)
    line = np.array([0, 0, 1, 1, 1, 0, 0, 0, 1], np.uint8)
    assert statistics.specific_surface(line[None, :, None], 1) == pytest.approx(3 / 8)
    assert np.isnan(statistics.specific_surface(np.ones((1, 1, 1), np.uint8), 1))


def test_directions_outside_of_a_mask_do_not_count_as_zero():
    disk = ball(20.3, ndim=2)
    volume = np.repeat(disk[None], 5, 0)
    mask = np.zeros(volume.shape, bool)
    mask[2] = True  # one slice: no pairs along z
    got = statistics.specific_surface(volume, 1, mask=mask)
    assert got == pytest.approx(2 * np.pi * 20.3 / disk.size, rel=0.05)


def test_surface_of_an_isotropic_solid_on_flat_voxels():
    """Balls of random places: the same from cubic and from flat voxels."""
    rng = np.random.default_rng(0)
    z, y, x = np.indices((96, 96, 96))
    labels = np.zeros((96, 96, 96), bool)
    for c in rng.random((20, 3)) * 96:
        d = [(g - k + 48) % 96 - 48 for g, k in zip((z, y, x), c, strict=True)]
        labels |= sum(k**2 for k in d) < 13.0**2
    fine = statistics.specific_surface(labels, 1, periodic=True)
    flat = statistics.specific_surface(labels[::3], 1, periodic=True, voxel_size=(3.0, 1.0, 1.0))
    assert flat == pytest.approx(fine, rel=0.02)


def test_faces_of_open_volumes_divide_by_the_volume():
    box = np.zeros((16, 16, 16), np.uint8)
    box[4:12, 4:12, 4:12] = 1
    assert statistics.specific_surface(box, 1, method="faces") == 6 * 64 / 4096
    two = np.zeros((2, 16, 16), np.uint8)
    two[0] = 1
    assert statistics.specific_surface(two, 1, method="faces") == 0.5


# -------------------------------------------------------------------------------- local fractions


def test_variance_in_large_windows():
    """The sums of their squares go beyond 2^63; small variances are not rounded away."""
    column = np.arange(3000) % 17 != 0
    image = np.broadcast_to(column, (1100, 3000)).astype(np.uint8)
    got = statistics.local_fractions(image, 1, sizes=[1024], periodic=True)
    sums = np.convolve(np.r_[column, column[:1023]], np.ones(1024), "valid") / 1024
    assert got.mean[0] == pytest.approx(sums.mean(), rel=1e-12)
    assert got.variance[0] == pytest.approx(sums.var(), rel=1e-9)


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_window_sums_do_not_wrap(dtype):
    values = np.full((1, 8), 2**29, dtype)  # running sums of int32 wrap, differences do not
    got = fluctuations._window_sums(values, 3, 1, True)
    np.testing.assert_array_equal(got, np.full((1, 8), 3 * 2**29))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_local_fractions_equal_brute_force(shape):
    labels = random_labels(shape, phases=2)
    longest = min([n for n in shape if n > 1], default=1)
    for periodic in flags(len(shape)):
        sizes = list(range(1, longest + 1))
        got = statistics.local_fractions(labels, 1, sizes=sizes, periodic=periodic)
        for k, size in enumerate(sizes):
            want = reference.window_fractions(labels == 1, size, periodic)
            assert got.windows[k] == len(want)
            assert got.mean[k] == pytest.approx(want.mean())
            assert got.variance[k] == pytest.approx(want.var(), abs=1e-15)
            shares, _ = np.histogram(want + 1e-12, np.r_[got.edges[:-1], 1.1])
            np.testing.assert_allclose(got.distribution[k], shares / len(want))


def test_distribution_of_local_fractions():
    """Independent voxels: binomial; a fraction on an edge belongs to the bin above."""
    labels = (np.random.default_rng(2).random((60, 60, 60)) < 0.3).astype(np.uint8)
    got = statistics.local_fractions(labels, 1, sizes=[1, 2], bins=8, periodic=True)
    fraction = labels.mean()
    np.testing.assert_allclose(got.distribution[0], [1 - fraction, *[0] * 6, fraction])
    law = [math.comb(8, k) * fraction**k * (1 - fraction) ** (8 - k) for k in range(9)]
    want = [*law[:7], law[7] + law[8]]
    np.testing.assert_allclose(got.distribution[1], want, atol=0.003)
    np.testing.assert_allclose(got.edges, np.arange(9) / 8)
    with pytest.raises(ValueError, match="`bins` must be an integer of at least 1"):
        statistics.local_fractions(labels, 1, bins=0)


def test_local_variance_follows_from_the_covariance():
    """Periodic: σ² ℓ^6 = Σ_r cov(r) ∏ (ℓ - |r_k|), and φ(1 - φ) at ℓ = 1."""
    labels = random_labels((8, 9, 10), phases=2, seed=3)
    fraction = labels.mean()
    covariance = m3.two_point_map(labels, 1, periodic=True) - fraction**2
    got = statistics.local_fractions(labels, 1, sizes=[1, 3, 4], periodic=True)
    for size, variance in zip(got.size, got.variance, strict=True):
        weights = [np.maximum(size - np.abs(np.fft.fftfreq(n, 1 / n)), 0) for n in labels.shape]
        z, y, x = weights
        want = (covariance * z[:, None, None] * y[:, None] * x).sum() / size**6
        assert variance == pytest.approx(want, rel=1e-9)
    assert got.variance[0] == pytest.approx(fraction * (1 - fraction))


def test_local_variance_of_large_windows_does_not_wrap():
    """Half of 400 x 400 x 400 is full: sums of squares of counts exceed 64 bits."""
    labels = np.zeros((400, 400, 400), dtype=np.uint8)
    labels[200:] = 1
    got = statistics.local_fractions(labels, 1, sizes=200)
    share = np.arange(201) / 200
    assert got.mean[0] == pytest.approx(share.mean(), rel=1e-12)
    assert got.variance[0] == pytest.approx(share.var(), rel=1e-9)


# ------------------------------------------------------------------------------------- lengths


def test_correlation_length_of_an_exponential(rng):
    """A two-state chain of equal phases has covariance (2 s - 1)^r: length -1 / ln(2 s - 1)."""
    stay = 0.9
    rows = np.empty((30000, 64), dtype=np.uint8)
    rows[:, 0] = rng.random(30000) < 0.5
    for k in range(1, 64):
        rows[:, k] = np.where(rng.random(30000) < stay, rows[:, k - 1], 1 - rows[:, k - 1])
    got = statistics.correlation_lengths(rows.reshape(300, 100, 64), 1, voxel_size=(1, 1, 0.5))
    assert got.length["x"] == pytest.approx(-0.5 / np.log(2 * stay - 1), rel=0.02)
    assert got.length["z"] == pytest.approx(1 - np.exp(-1), rel=0.05)  # uncorrelated
    assert got.anisotropy == pytest.approx(max(got.length.values()) / min(got.length.values()))
    assert np.prod(list(got.ratios.values())) == pytest.approx(1)
    integral = statistics.correlation_lengths(
        rows.reshape(300, 100, 64), 1, method="integral", voxel_size=(1, 1, 0.5)
    )
    want = 0.5 * (0.5 + 0.8 / 0.2)  # trapezoids of 0.8^r
    assert integral.length["x"] == pytest.approx(want, rel=0.03)


def test_correlation_length_without_variance_is_nan():
    got = statistics.correlation_lengths(np.ones((4, 4, 4), int), 1)
    assert all(math.isnan(v) for v in got.length.values())
    assert math.isnan(got.anisotropy)


@pytest.mark.parametrize("method", ["1/e", "integral"])
def test_anisotropy_is_that_of_the_axes_that_have_a_length(rng, method):
    layer = np.repeat(rng.integers(0, 2, (40, 20)), 4, axis=1)
    flat = statistics.correlation_lengths(layer, 1, method=method)
    for axis, name in enumerate("zyx"):
        got = statistics.correlation_lengths(np.expand_dims(layer, axis), 1, method=method)
        assert math.isnan(got.length[name])
        assert math.isnan(got.ratios[name])
        assert got.anisotropy == pytest.approx(flat.anisotropy)
    assert flat.anisotropy > 1.5
    line = statistics.correlation_lengths(layer[None, :1], 1, method=method)
    assert line.anisotropy == 1
    assert line.ratios["x"] == 1
    assert math.isnan(
        statistics.correlation_lengths(np.ones((1, 1, 1), int), 1, method=method).anisotropy
    )


@pytest.mark.parametrize("name", ["trabecular_bone56", "sand_pack", "nmc_cal_cbd_bridge"])
def test_correlation_lengths_of_real_volumes(shared_data, name):
    """Against the values measured independently when the data was collected."""
    labels = np.load(shared_data / f"{name}.npz")["labels"]
    record = json.loads((shared_data / f"{name}.json").read_text())
    for phase, want in record["s2_correlation_length_1e_voxels_axis012"].items():
        got = statistics.correlation_lengths(labels, int(phase))
        np.testing.assert_allclose(list(got.length.values()), want, atol=0.006)
    for phase, want in record["volume_fractions"].items():
        assert m3.volume_fractions(labels)[int(phase)] == pytest.approx(want, abs=1e-5)


# --------------------------------------------------------------------------- printing, refusals


def test_results_print_themselves():
    labels = random_labels((6, 7, 8), phases=2)
    for result, word in (
        (statistics.chord_lengths(labels, 1, axis=0), "mean"),
        (statistics.percolation(labels, 1), "clusters"),
        (statistics.local_fractions(labels, 1), "coarseness"),
        (statistics.correlation_lengths(labels, 1), "anisotropy"),
    ):
        assert word in repr(result)
        assert "\n" not in repr(result)


GOOD = np.zeros((4, 4, 4), dtype=np.uint8)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: statistics.two_point_matrix(GOOD + 2, n_phases=2), ValueError, "`n_phases`"),
        (lambda: statistics.lineal_paths(GOOD, axis=(1, 1, 0)), TypeError, "`axis` must be 0"),
        (lambda: statistics.chord_lengths(GOOD, 0, axis=3), ValueError, "`axis` must be"),
        (lambda: statistics.chord_lengths(GOOD, 0, axis=0, cut="no"), ValueError, "`cut` must be"),
        (lambda: statistics.cluster_labels(GOOD, 0, connectivity=8), ValueError, "in 3D, got 8"),
        (lambda: statistics.percolation(GOOD[0], 0, connectivity=6), ValueError, "4, 8 in 2D"),
        (lambda: statistics.specific_surface(GOOD, 0, method="x"), ValueError, "`method` must be"),
        (lambda: statistics.specific_surface(GOOD, 0, voxel_size=-1), ValueError, "`voxel_size`"),
        (lambda: statistics.local_fractions(GOOD, 0, sizes=[5]), ValueError, "`sizes` must be"),
        (lambda: statistics.local_fractions(GOOD, 0, sizes=[]), ValueError, "at least one size"),
        (lambda: statistics.local_fractions(GOOD, 0, sizes=2.5), TypeError, "`sizes` must be"),
        (lambda: statistics.correlation_lengths(GOOD, 0, method="e"), ValueError, "`method`"),
        (lambda: statistics.two_point_cluster(GOOD, 300, axis=0), ValueError, "`phase` must be"),
    ],
)
def test_refusals(call, error, words):
    with pytest.raises(error, match=words):
        call()


FLAT = {
    "two_point_radial": lambda image, size: m3.two_point_radial(image, 1, voxel_size=size),
    "chord_lengths": lambda image, size: statistics.chord_lengths(
        image, 1, axis="y", voxel_size=size
    ),
    "correlation_lengths": lambda image, size: statistics.correlation_lengths(
        image, 1, voxel_size=size
    ),
    "specific_surface": lambda image, size: statistics.specific_surface(image, 1, voxel_size=size),
    "homogenize_elasticity": lambda image, size: m3.homogenize_elasticity(
        image, [m3.Isotropic(E=1.0, nu=0.3), m3.Isotropic(E=5.0, nu=0.2)], voxel_size=size
    ).stiffness.tolist(),
    "homogenize_conductivity": lambda image, size: m3.homogenize_conductivity(
        image, [1.0, 5.0], voxel_size=size
    ).tensor.tolist(),
    "relative_diffusivity": lambda image, size: (
        m3.relative_diffusivity(image, 1, axis="y", voxel_size=size).relative
    ),
}


@pytest.mark.parametrize("name", FLAT)
def test_images_take_one_two_or_three_voxel_sizes(name):
    image = blocks((24, 18), (0.2, 0.8), (3, 3), 1)
    found = FLAT[name]
    assert found(image, (2e-6, 2e-6)) == found(image, 2e-6)
    assert found(image, np.array([2e-6, 1e-6])) == found(image, (2e-6, 2e-6, 1e-6))
    assert found(image, (2e-6, 1e-6)) != found(image, (1e-6, 2e-6))
    for wrong in ((1e-6,), (1e-6,) * 4):
        with pytest.raises(ValueError, match=r"`voxel_size` must be a positive number, two"):
            found(image, wrong)
    with pytest.raises(ValueError, match=r"number or three \(dz, dy, dx\)"):
        found(np.stack([image, image]), (2e-6, 1e-6))
