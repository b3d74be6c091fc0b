# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Volumes that are not in memory: counts by blocks equal those of the whole volume."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

import micro3d_fast as m3
from micro3d_fast import statistics
from micro3d_fast._blocks import best_block
from micro3d_fast._stored import StoredLabels
from volumes import blobs, blocks, random_labels, random_mask

SHAPES = [(7, 11, 13), (1, 9, 12), (8, 8, 8), (5, 1, 6)]


class Chunked:
    """An array that is read by slices, as zarr's are; remembers its largest read."""

    def __init__(self, array: np.ndarray, chunks: tuple[int, ...]) -> None:
        self._array, self.chunks = array, chunks
        self.shape, self.dtype, self.ndim = array.shape, array.dtype, array.ndim
        self.largest = 0

    def __getitem__(self, index: tuple[slice, ...]) -> np.ndarray:
        found = self._array[index]
        self.largest = max(self.largest, found.size)
        return found

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        return np.array(self._array, dtype=dtype)


def stored(labels: np.ndarray, chunk: int = 3, block_bytes: int = 90) -> StoredLabels:
    """Return labels in blocks that are far smaller than the volume and do not divide it."""
    return StoredLabels(Chunked(labels, (chunk,) * labels.ndim), block_bytes=block_bytes)


def both(function, labels: np.ndarray, block_bytes: int = 90, **arguments):
    """Return a result of blocks and that of the whole volume."""
    got = stored(labels, block_bytes=block_bytes)
    result = function(got, **arguments)
    sample = math.prod(-(-n // 2) for n in labels.shape)  # in which the phase is looked for first
    assert got.array.largest <= max(block_bytes, sample)
    return result, function(labels, **arguments)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("masked", [False, True])
def test_volume_fractions(shape, masked):
    labels = random_labels(shape, phases=4)
    mask = random_mask(shape) if masked else None
    got, expected = both(m3.volume_fractions, labels, mask=mask)
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("axis", ["z", "y", "x", (0, 1, -1), (1, -1, 0), (1, 1, 1), (1, -2, 1)])
@pytest.mark.parametrize("periodic", [False, True, (True, False, True)])
def test_curves(shape, axis, periodic):
    labels = blocks(shape, (0.3, 0.5, 0.2), side=2)
    steps = (0, 0, 0) if isinstance(axis, str) else axis
    most = [(n - 1) // abs(d) for n, d in zip(shape, steps, strict=True) if d]
    how = {"axis": axis, "periodic": periodic, "max_lag": min([*most, 3])}
    if isinstance(axis, str):
        how["max_lag"] = shape["zyx".index(axis)] - 1
    for phase in range(3):
        got, expected = both(m3.lineal_path, labels, 400, phase=phase, **how)
        np.testing.assert_array_equal(got, expected)
        other = (phase + 1) % 3
        got, expected = both(m3.two_point_correlation, labels, 400, phase=phase, other=other, **how)
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("periodic", [False, True])
@pytest.mark.parametrize("axis", ["z", "y", "x"])
def test_curves_in_a_mask(axis, periodic):
    labels, mask = random_labels((7, 10, 9)), random_mask((7, 10, 9))
    how = {"axis": axis, "periodic": periodic, "mask": mask}
    for function in (m3.lineal_path, m3.two_point_correlation):
        got, expected = both(function, labels, phase=1, **how)
        np.testing.assert_array_equal(got, expected)
    got, expected = both(statistics.chord_lengths, labels, phase=1, **how)
    assert got == expected
    masked = {**how, "mask": stored(mask.view(np.uint8))}
    np.testing.assert_array_equal(
        m3.lineal_path(stored(labels), 1, **masked), m3.lineal_path(labels, 1, **how)
    )


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("periodic", [False, True, (False, True, False)])
def test_runs(shape, periodic):
    labels = blocks(shape, (0.3, 0.5, 0.2), side=(2, 3, 2))
    for axis, cut in itertools.product("zyx", ("keep", "drop")):
        how = {"axis": axis, "periodic": periodic}
        got, expected = both(statistics.lineal_paths, labels, **how)
        np.testing.assert_array_equal(got, expected)
        got, expected = both(statistics.chord_lengths, labels, phase=1, cut=cut, **how)
        assert got == expected


@pytest.mark.parametrize("shape", SHAPES[:2])
@pytest.mark.parametrize("periodic", [False, True, (False, True, False)])
@pytest.mark.parametrize("masked", [False, True])
def test_surface(shape, periodic, masked):
    labels = blobs(shape, (0.3, 0.5, 0.2))
    mask = random_mask(shape) if masked else None
    for method in ("crofton", "faces"):
        how = {"phase": 1, "method": method, "periodic": periodic, "mask": mask}
        got, expected = both(statistics.specific_surface, labels, 150, **how)
        np.testing.assert_equal(got, expected)


def test_surface_of_a_body_inside_the_image():
    labels = np.pad(blobs((6, 7, 8), (0.5, 0.5)), 2)
    for phase in (0, 1):
        got, expected = both(statistics.specific_surface, labels, 200, phase=phase)
        assert got == expected != 0.0


def test_images():
    image = blobs((17, 23), (0.4, 0.6))
    for function in (m3.lineal_path, m3.two_point_correlation, statistics.chord_lengths):
        for axis in ("y", "x"):
            got, expected = both(function, image, 60, phase=1, axis=axis)
            assert np.array_equal(got, expected) or got == expected
    got, expected = both(m3.two_point_correlation, image, 60, phase=1, axis=(1, -1), max_lag=3)
    np.testing.assert_array_equal(got, expected)
    got, expected = both(statistics.specific_surface, image, 60, phase=1)
    assert got == expected
    batch = blobs((7, 9, 8), (0.4, 0.6))
    got, expected = both(m3.lineal_path, batch, 150, phase=1, axis="x", batch=True)
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("sides", ["both", "generated", "reference"])
def test_compare(sides):
    made, truth = blobs((14, 12, 13), (0.6, 0.4), 1), blobs((25, 31, 28), (0.6, 0.4), 2)
    expected = m3.compare(made, truth, splits=5, bootstrap=5)
    ours = made if sides == "reference" else stored(made, 4, 700)
    theirs = truth if sides == "generated" else stored(truth, 8, 2500)
    got = m3.compare(ours, theirs, splits=5, bootstrap=5)
    assert got == expected
    assert m3.compare([ours], [theirs], splits=5, bootstrap=5) == expected


def test_blocks_of_a_comparison_that_are_larger_than_memory():
    made, truth = blobs((14, 12, 13), (0.6, 0.4), 1), blobs((29, 25, 28), (0.6, 0.4), 2)
    source = stored(truth, 4, 500)
    got = m3.compare(made, source, splits=5, bootstrap=5, verdict=False)
    assert got == m3.compare(made, truth, splits=5, bootstrap=5, verdict=False)
    assert source.array.largest <= 500


@pytest.mark.parametrize("kind", ["zarr", "dask", "h5py"])
def test_libraries(tmp_path, kind):
    labels = blobs((20, 33, 17), (0.5, 0.3, 0.2))
    if kind == "zarr":
        zarr = pytest.importorskip("zarr")
        array = zarr.create_array(
            str(tmp_path / "a.zarr"), shape=labels.shape, dtype="uint16", chunks=(8, 16, 16)
        )
        array[...] = labels
    elif kind == "dask":
        dask = pytest.importorskip("dask.array")
        array = dask.from_array(labels, chunks=((8, 12), (16, 10, 7), 17)).astype("int64")
    else:
        h5py = pytest.importorskip("h5py")
        file = h5py.File(tmp_path / "a.h5", "w")
        array = file.create_dataset("labels", data=labels, chunks=(8, 16, 16))
    np.testing.assert_array_equal(m3.volume_fractions(array), m3.volume_fractions(labels))
    for axis in "zyx":
        got = m3.lineal_path(array, 2, axis=axis, periodic=True)
        np.testing.assert_array_equal(got, m3.lineal_path(labels, 2, axis=axis, periodic=True))
    assert statistics.specific_surface(array, 1) == statistics.specific_surface(labels, 1)
    whole = statistics.percolation(array, 1)  # small arrays are read where all voxels are needed
    assert whole == statistics.percolation(labels, 1)


def test_blocks_count_the_bytes_that_are_stored():
    labels = random_labels((12, 13, 14))
    source = StoredLabels(Chunked(labels.astype(np.int64), (3, 3, 3)), block_bytes=4000)
    np.testing.assert_array_equal(source.counts[:3], np.bincount(labels.ravel()))
    assert source.array.largest <= 500


def test_refusals():
    labels = random_labels((6, 7, 8))
    wrong = StoredLabels(Chunked(labels.astype(np.int16) - 1, (3, 3, 3)), block_bytes=90)
    with pytest.raises(ValueError, match=r"must hold values 0 \.\.\. 255, got -1 \.\.\. 1"):
        m3.lineal_path(wrong, 1, axis="z")
    with pytest.raises(TypeError, match="`labels` must be an array of bool or integers"):
        m3.lineal_path(Chunked(labels.astype(float), (3, 3, 3)), 1, axis="z")
    with pytest.raises(ValueError, match="must have 2 or 3 dimensions"):
        m3.volume_fractions(Chunked(labels[None], (1, 3, 3, 3)))
    with pytest.raises(ValueError, match="`mask` must be bool or hold 0 and one other value"):
        m3.volume_fractions(stored(labels), mask=stored(labels + 1))
    halves = np.repeat(np.uint8([1, 2]), 3)[:, None, None] * np.ones((6, 7, 8), np.uint8)
    with pytest.raises(ValueError, match="`mask` must be bool or hold 0 and one other value"):
        m3.volume_fractions(stored(labels), mask=stored(halves))
    with pytest.raises(ValueError, match="`mask` must have the shape of `labels`"):
        m3.volume_fractions(stored(labels), mask=np.ones((6, 7, 7), bool))
    with pytest.raises(ValueError, match=r"blocks of 90 bytes, got lags or lines that need \d+"):
        m3.two_point_correlation(stored(labels), 1, axis=(1, 1, 1), max_lag=5)


class Huge(Chunked):
    """1024³ voxels that are never read."""

    def __init__(self) -> None:
        super().__init__(np.zeros((1, 1, 1), np.uint8), (64, 64, 64))
        self.shape = (1024, 1024, 1024)


@pytest.mark.parametrize(
    ("function", "size"),
    [
        (lambda v: m3.two_point_map(v, 1), "at least 17.2 GB"),
        (lambda v: statistics.percolation(v, 1), "at least 6.44 GB"),
        (lambda v: m3.homogenize_conductivity(v, [1, 2]), "at least 39.7 GB"),
        (lambda v: m3.homogenize_elasticity(v, [m3.Isotropic(E=1, nu=0)]), "at least 156 GB"),
        (lambda v: m3.relative_diffusivity(v, 1, axis="z"), "at least 39.7 GB"),
        (lambda v: m3.Microstructure(v), "at least 1.07 GB"),
    ],
)
def test_what_needs_all_voxels_states_the_memory(function, size):
    sentence = r"must be in memory, because all voxels are needed at once \({}\), got 1024 x 1024"
    with pytest.raises(ValueError, match=sentence.format(size)):
        function(Huge())


def test_blocks_follow_chunks_within_the_memory():
    whole = (False, False, False)
    shape, chunks = (1024, 1024, 1024), (128, 128, 128)
    for halo in ((0, 0, 0), (1, 1, 1), (0, 0, 512), (0, 40, 40)):
        size = best_block(shape, chunks, halo, whole, 1 << 28)
        cut = [m < n for m, n in zip(size, shape, strict=True)]
        assert math.prod(m + h * c for m, h, c in zip(size, halo, cut, strict=True)) <= 1 << 28
        assert all(m % 128 == 0 for m in size)
    assert best_block(shape, chunks, (512, 0, 0), whole, 1 << 28)[0] == 1024  # no join along lines
    assert best_block(shape, (1, 1024, 1024), (0, 0, 9), whole, 1 << 20) == (1, 1024, 1024)
    assert best_block((9, 9, 9), (3, 3, 3), (0, 0, 0), (True, True, True), 700) == (9, 9, 9)
