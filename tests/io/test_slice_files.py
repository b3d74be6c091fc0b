# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Volumes of slices, and tomograms that are cropped, masked and segmented when they are read."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import tifffile

from _micrographs import loaded, pillow
from micro3d_fast import io, statistics, synthetic
from micro3d_fast.microstructure import Microstructure

LABELS = synthetic.level_cut((12, 40, 44), (0.6, 0.4), 4.0, seed=2).labels
MAP = {0: 0, 255: 1}


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "scan [1]"
    path.mkdir()
    for k, image in enumerate(LABELS):
        pillow().fromarray(image * np.uint8(255)).save(path / f"slice_{k + 1}.png")
    (path / "notes.txt").write_text("no slice")
    return path


def test_a_folder_a_pattern_and_a_list(folder):
    files = [folder / f"slice_{k + 1}.png" for k in range(12)]
    for given in (folder, str(folder / "slice_*.png"), files, [str(file) for file in files]):
        got = Microstructure.load(given, phases=MAP)
        np.testing.assert_array_equal(got.labels, LABELS)
        assert got.voxel_size == (1.0, 1.0, 1.0)
    np.testing.assert_array_equal(io.load(files[:1], phases=MAP).labels, LABELS[:1])


def test_slices_that_do_not_fit_are_refused(folder):
    (folder / "slice_3.png").unlink()
    with pytest.warns(UserWarning, match=r"jump from slice_2.png to slice_4.png"):
        io.load(folder, phases=MAP)
    pillow().fromarray(LABELS[2, :, :30] * np.uint8(255)).save(folder / "slice_3.png")
    match = r"slice_3.png must be 40 x 44 uint8 as .*slice_1.png, got 40 x 30 uint8"
    with pytest.raises(ValueError, match=match):
        io.load(folder, phases=MAP)
    pillow().fromarray(LABELS[2]).save(folder / "slice_3.tif")
    with pytest.raises(ValueError, match=r"got files ending in .png and .tif: give a pattern such"):
        io.load(folder)
    with pytest.raises(FileNotFoundError, match=r"no file matches .*slice_x"):
        io.load(str(folder / "slice_x*.png"))
    with pytest.raises(ValueError, match=r"must name at least one slice"):
        io.load([])
    (folder.parent / "empty").mkdir()
    with pytest.raises(ValueError, match=r"empty must hold slices ending in .*, got none"):
        io.load(folder.parent / "empty")


def test_slices_bring_their_pixel_size(tmp_path):
    tifffile = pytest.importorskip("tifffile")
    for k, image in enumerate(LABELS):
        path = tmp_path / f"{k}.tif"
        tifffile.imwrite(path, image, resolution=(20000, 20000), resolutionunit=3)
    with pytest.warns(UserWarning, match=r"0.tif ... .*11.tif states .* not the distance of its"):
        got = io.load(tmp_path)
    assert got.voxel_size == pytest.approx((5e-7,) * 3)
    np.testing.assert_array_equal(got.labels, LABELS)
    tifffile.imwrite(tmp_path / "3.tif", LABELS[3], resolution=(10000, 10000), resolutionunit=3)
    match = r"3.tif must have pixels of 5e-07 x 5e-07 m as .*0.tif, got 1e-06 x 1e-06 m"
    with pytest.raises(ValueError, match=match):
        io.load(tmp_path)


def test_brackets_and_the_home_directory(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder.parent))
    for pattern in ("~/scan [1]/slice_*.png", str(folder / "*.png")):
        np.testing.assert_array_equal(loaded(pattern), LABELS)
    np.testing.assert_array_equal(
        io.load("~/scan [1]/slice_[12].png", phases=MAP).labels.shape, (2, 40, 44)
    )
    (folder.parent / "scan 1").mkdir()
    (folder / "slice_1.png").rename(folder.parent / "scan 1" / "slice_1.png")
    with pytest.raises(ValueError, match=r"must have no \[ and \] of two meanings, got"):
        loaded(str(folder / "*.png"))


def test_whole_numbers_of_floating_point_are_labels_on_request(tmp_path):
    np.save(tmp_path / "a.npy", LABELS.astype(np.float32))
    with pytest.raises(TypeError, match=r"a.npy must be an array of bool or integers"):
        io.load(tmp_path / "a.npy")
    for phases in ("labels", {0: 0, 1: 1}, {0.0: 1, 1.0: 0}):
        got = io.load(tmp_path / "a.npy", phases=phases).labels
        np.testing.assert_array_equal(got, LABELS if phases != {0: 1, 1: 0} else 1 - LABELS)
    np.save(tmp_path / "a.npy", LABELS * 0.5)
    with pytest.raises(ValueError, match=r"a.npy must hold whole numbers 0 ... 255, got others"):
        io.load(tmp_path / "a.npy", phases="labels")


def test_threshold_crop_and_mask_of_a_tomogram(tmp_path):
    """Outside the mask lie values that would mislead the threshold."""
    rng = np.random.default_rng(0)
    y, x = np.ogrid[:40, :44]
    inside = np.broadcast_to((y - 20) ** 2 + (x - 22) ** 2 < 19**2, LABELS.shape)
    grey = np.where(inside, 900 + 200.0 * LABELS + rng.normal(0, 15, LABELS.shape), 10_000)
    np.save(tmp_path / "a.npy", grey.astype(np.uint16))
    np.save(tmp_path / "mask.npy", inside)
    box = ((2, 10), None, slice(5, -4))
    for mask in (inside, tmp_path / "mask.npy"):
        got = io.load(
            tmp_path / "a.npy", threshold="otsu", mask=mask, phase_names=("pore", "solid")
        )
        np.testing.assert_array_equal(got.labels, np.where(inside, LABELS, 2))
        assert got.phase_names == ("pore", "solid", "outside")
    part = io.load(tmp_path / "a.npy", threshold="otsu", mask=inside, crop=box)
    np.testing.assert_array_equal(part.labels, got.labels[2:10, :, 5:-4])
    square = io.load(tmp_path / "a.npy", threshold=1000, crop=((0, 9), (12, 28), (14, 30)))
    np.testing.assert_array_equal(square.labels, LABELS[:9, 12:28, 14:30])
    for wrong in ((0, 3), ((0, 99), None, None), ((5, 5), None, None), ((0, 1.5), None, None), 3):
        with pytest.raises(
            ValueError, match=r"`crop` must be three of .start, stop. within .12, 40"
        ):
            io.load(tmp_path / "a.npy", threshold=1000, crop=wrong)
    with pytest.raises(
        ValueError, match=r"`mask` must have the shape .12, 40, 44., got .1, 40, 44."
    ):
        io.load(tmp_path / "a.npy", threshold=1000, mask=inside[:1])


def masked(tmp_path, mask, labels=LABELS, **options):
    np.save(tmp_path / "labels.npy", labels)
    return io.load(tmp_path / "labels.npy", mask=mask, **options)


def test_masks_hold_one_value_inside(tmp_path):
    """Statistics and files take the same masks."""
    inside = np.ones(LABELS.shape, np.uint8)
    inside[:, :3] = 0
    for value in (1, 255):
        assert masked(tmp_path, value * inside).n_phases == 3
        got = statistics.volume_fractions(LABELS, mask=value * inside)
        np.testing.assert_array_equal(got, statistics.volume_fractions(LABELS, mask=inside > 0))
    inside[:, :5] += 1  # 1 and 2, of which neither is outside
    for refused in (masked, lambda _, mask: statistics.volume_fractions(LABELS, mask=mask)):
        with pytest.raises(ValueError, match="`mask` must be bool or hold 0 and one other value"):
            refused(tmp_path, inside)


def test_the_phase_outside_a_mask_is_the_last_and_named(tmp_path):
    inside = np.ones(LABELS.shape, bool)
    inside[:, :3] = False
    expected = np.where(inside, LABELS, 2)
    for value in (1, 255, 65535):  # as other programs save a mask
        tifffile.imwrite(tmp_path / "mask.tif", np.where(inside, value, 0).astype(np.uint16))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            got = masked(tmp_path, tmp_path / "mask.tif")
        np.testing.assert_array_equal(got.labels, expected)
        assert got.phase_names == ("phase 0", "phase 1", "outside")
    got = masked(tmp_path, inside, phase_names=("a", "b", "outside"))
    assert got.phase_names == ("a", "b", "outside")
    assert masked(tmp_path, np.ones_like(inside)).phase_names == ("phase 0", "phase 1")


def test_the_phase_outside_a_mask_is_no_phase_that_does_not_occur(tmp_path):
    """A named or mapped phase without voxels keeps its number."""
    inside = np.ones(LABELS.shape, bool)
    inside[:, :3] = False
    expected = np.where(inside, LABELS, 3)
    got = masked(tmp_path, inside, phase_names=("a", "b", "c"))
    np.testing.assert_array_equal(got.labels, expected)
    assert got.phase_names == ("a", "b", "c", "outside")
    got = masked(tmp_path, inside, phases={0: 0, 1: 1, 7: 2})
    np.testing.assert_array_equal(got.labels, expected)
    Microstructure(LABELS, 1.0, ("a", "b", "c")).save(tmp_path / "a.npz")
    got = io.load(tmp_path / "a.npz", mask=inside)
    np.testing.assert_array_equal(got.labels, expected)


def test_masks_that_do_not_fit_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"`phase_names` must hold one .*, got 1 names for 3 ph"):
        masked(tmp_path, LABELS > 0, phase_names=("a", "outside"), labels=LABELS + (LABELS > 0))
    with pytest.raises(TypeError, match="`mask` must be an array of bool or integers, got dtype f"):
        masked(tmp_path, LABELS.astype(float))
    with pytest.raises(FileNotFoundError, match=r"`mask` must be an existing file, got no.npy"):
        masked(tmp_path, "no.npy")
    with pytest.raises(ValueError, match="`mask` must end in one of"):
        masked(tmp_path, "no.txt")


def test_crop_takes_the_fields_along(tmp_path):
    field = np.arange(LABELS.size, dtype=np.float32).reshape(LABELS.shape)
    Microstructure(LABELS, 2e-6, ("a", "b"), fields={"u": field}).save(tmp_path / "a.npz")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = io.load(tmp_path / "a.npz", crop=((1, 4), (2, 5), (3, 9)))
        assert got.provenance["crop"]["box"] == [[1, 4], [2, 5], [3, 9]]
    np.testing.assert_array_equal(got.fields["u"], field[1:4, 2:5, 3:9])
    assert got.phase_names == ("a", "b")
