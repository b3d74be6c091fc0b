# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Volumes that are opened without reading their voxels."""

from __future__ import annotations

import numpy as np
import pytest

import micro3d_fast as m3
from micro3d_fast import io, statistics
from micro3d_fast._stored import StoredLabels
from volumes import blobs

zarr = pytest.importorskip("zarr")

LABELS = blobs((40, 33, 27), (0.5, 0.3, 0.2))
WEIGHT = np.random.default_rng(0).random((*LABELS.shape, 2)).astype(np.float32)
VOLUME = m3.Microstructure(
    LABELS, 1e-6, ("pore", "solid", "binder"), {"seed": 3}, {"weight": WEIGHT}
)


@pytest.fixture
def path(tmp_path):
    return VOLUME.save(tmp_path / "a.zarr")


def stored_array(tmp_path, labels, **more):
    """Return labels in a zarr array of another program."""
    more = {"chunks": tuple(min(n, 16) for n in labels.shape), "dtype": labels.dtype, **more}
    array = zarr.create_array(str(tmp_path / "b.zarr"), shape=labels.shape, overwrite=True, **more)
    array[...] = labels
    return array


def test_metadata_are_read_and_labels_are_not(path):
    volume = m3.Microstructure.open(path)
    assert isinstance(volume.labels, StoredLabels)
    assert volume.shape == LABELS.shape
    assert volume.voxel_size == (1e-6,) * 3
    assert volume.phase_names == VOLUME.phase_names
    assert volume.provenance == VOLUME.provenance
    expected = "40 x 33 x 27 voxels (z, y, x) of 1e-06 m, 3 phases, not in memory, fields weight"
    assert expected in repr(volume)
    assert "3 phases" not in volume._repr_html_()
    np.testing.assert_array_equal(volume.volume_fractions, VOLUME.volume_fractions)
    assert repr(volume) == repr(VOLUME)
    assert volume._repr_html_() == VOLUME._repr_html_()
    assert len(volume) == 40
    assert 2 in volume
    assert 3 not in volume


def test_slices_read(path):
    volume = m3.Microstructure.open(path)
    for index in (3, (3, 4), (..., 5), (slice(None), 2), (slice(1, 9, 3), 4, slice(None))):
        np.testing.assert_array_equal(volume[index], LABELS[index])
    crop, expected = volume[3:17, :, 5:], VOLUME[3:17, :, 5:]
    assert isinstance(crop.labels, np.ndarray)
    np.testing.assert_array_equal(crop.labels, expected.labels)
    np.testing.assert_array_equal(crop.fields["weight"], expected.fields["weight"])
    assert crop.provenance == expected.provenance
    assert volume[:, :, :] is volume
    np.testing.assert_array_equal(np.asarray(volume), LABELS)
    np.testing.assert_array_equal(volume == 1, LABELS == 1)
    np.testing.assert_array_equal(volume.labels.take(7, axis=1), LABELS[:, 7])
    with pytest.raises(TypeError, match="`index` must hold integers and slices alone"):
        volume.labels[[1, 2]]


def test_statistics_equal_those_in_memory(path):
    volume = m3.Microstructure.open(path, block_bytes=5000)
    for axis in "zyx":
        got = m3.lineal_path(volume, "binder", axis=axis)
        np.testing.assert_array_equal(got, m3.lineal_path(VOLUME, "binder", axis=axis))
    got = statistics.specific_surface(volume, "solid")
    assert got == statistics.specific_surface(VOLUME, "solid")
    assert statistics.chord_lengths(volume, 0, axis="x").unit == "m"
    half = VOLUME[:20]
    assert m3.compare(half, volume, verdict=False, splits=5, bootstrap=5) == m3.compare(
        half, VOLUME, verdict=False, splits=5, bootstrap=5
    )
    assert statistics.percolation(volume, 0) == statistics.percolation(VOLUME, 0)


def test_a_volume_that_is_opened_is_saved(tmp_path, path):
    for name in ("b.npz", "a.zarr"):
        m3.Microstructure.open(path).save(tmp_path / name)
        got = io.load(tmp_path / name)
        np.testing.assert_array_equal(got.labels, LABELS)
        np.testing.assert_array_equal(got.fields["weight"], WEIGHT)
        assert got.provenance == VOLUME.provenance


def test_arrays_of_other_programs(tmp_path):
    array = stored_array(tmp_path, LABELS[None, None].astype("int32"))
    for source in (tmp_path / "b.zarr", str(tmp_path / "b.zarr")):
        volume = m3.Microstructure.open(source, voxel_size=2e-6)
        assert volume.phase_names == ("phase 0", "phase 1", "phase 2")
        np.testing.assert_array_equal(volume[2:9].labels, LABELS[2:9])
    with pytest.raises(ValueError, match=r"`source` must hold a volume \(nz, ny, nx\), got shape"):
        m3.Microstructure.open(array)
    image = m3.Microstructure.open(stored_array(tmp_path, LABELS[0]), phase_names=list("abc"))
    assert image.shape == (1, 33, 27)
    np.testing.assert_array_equal(image[0], LABELS[0])


def test_absent_chunks_of_other_programs_warn(tmp_path):
    array = stored_array(tmp_path, LABELS)
    array[:16, :16, :16] = 0
    with pytest.warns(UserWarning, match="chunks are not stored and are taken to hold 0"):
        volume = m3.Microstructure.open(tmp_path / "b.zarr")
    assert volume.labels[:16, :16, :16].max() == 0


def test_labels_beyond_the_names_are_refused_when_read(path):
    volume = m3.Microstructure.open(path, phase_names=("pore", "solid"))
    with pytest.raises(ValueError, match=r"`labels` must hold values 0 \.\.\. 1, got 0 \.\.\. 2"):
        _ = volume.volume_fractions


def test_a_damaged_chunk_is_refused_when_read(path):
    files = [f for f in (path / "labels").rglob("*") if f.is_file() and f.name != "zarr.json"]
    content = bytearray(files[0].read_bytes())
    content[len(content) // 2] ^= 1
    files[0].write_bytes(content)
    volume = m3.Microstructure.open(path)
    with pytest.raises(ValueError, match="40 x 33 x 27 voxels of a zarr array cannot be read"):
        m3.lineal_path(volume, 0, axis="z")


def test_refusals(tmp_path, path):
    with pytest.raises(ValueError, match=r"`source` must end in one of \.zarr, got"):
        m3.Microstructure.open(tmp_path / "a.npz")
    with pytest.raises(FileNotFoundError, match="`source` must be an existing file"):
        m3.Microstructure.open(tmp_path / "absent.zarr")
    with pytest.raises(TypeError, match="`source` must be a path"):
        m3.Microstructure.open(LABELS)
    with pytest.raises(ValueError, match="`block_bytes` must be an integer of at least 1, got 0"):
        m3.Microstructure.open(path, block_bytes=0)
    with pytest.raises(TypeError, match="`labels` must be an array of bool or integers"):
        m3.Microstructure.open(stored_array(tmp_path, LABELS.astype(float)))


def test_progress_of_a_pass(path, capsys):
    volume = m3.Microstructure.open(path, block_bytes=9000, progress=True)
    m3.lineal_path(volume, 1, axis="z")
    shown = capsys.readouterr().err
    assert "Reading 40 x 33 x 27 voxels of a zarr array" in shown
