# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Micrographs of a volume: slices, fingerprint, random patches, refusals."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from _micrographs import LABELS, VOLUME, refused
from micro3d_fast._planes import NORMAL, PLANES
from micro3d_fast.micrographs import Micrographs
from micro3d_fast.microstructure import Microstructure


def test_from_volume_takes_whole_slices_of_all_planes():
    m = Micrographs.from_volume(LABELS, images_per_plane=300)
    for plane in PLANES:
        axis = NORMAL[plane]
        assert len(m.images[plane]) == LABELS.shape[axis]
        for index, image in enumerate(m.images[plane]):
            np.testing.assert_array_equal(image, np.take(LABELS, index, axis=axis))
    assert m.borrowed == {}
    assert m.sources["xz"][3] == "labels[:, 3, :]"
    assert m.volume_fractions() == pytest.approx([0.6, 0.4], abs=1e-4)


def test_from_volume_takes_random_slices_without_repetition():
    m = Micrographs.from_volume(LABELS, images_per_plane=10, seed=3)
    again = Micrographs.from_volume(LABELS, images_per_plane=10, seed=3)
    other = Micrographs.from_volume(LABELS, images_per_plane=10, seed=4)
    assert m.sources == again.sources
    assert m.fingerprint() == again.fingerprint()
    assert m.fingerprint() != other.fingerprint()
    assert all(len(set(sources)) == 10 for sources in m.sources.values())


def test_voxel_size_and_names_come_from_a_microstructure():
    volume = Microstructure(LABELS, (1e-6, 2e-6, 3e-6), ("pore", "solid"))
    m = Micrographs.from_volume(volume, 5)
    assert m.voxel_size == (1e-6, 2e-6, 3e-6)
    assert m.phase_names == ("pore", "solid")
    assert Micrographs.from_volume(volume, 5, voxel_size=1.0).voxel_size == (1.0, 1.0, 1.0)


def test_prints_readably():
    m = Micrographs.from_volume(VOLUME, 5, voxel_size=1e-6)
    assert repr(m).startswith(
        "Micrographs: xy 5 of 44 x 48; xz 5 of 40 x 48; yz 5 of 40 x 44; voxel size 1e-06 m; "
        "phase 0 0."
    )


def test_real_volumes_raise_no_false_alarm(shared_data):
    for file in sorted(shared_data.glob("*.npz")):
        labels = np.load(file)["labels"]
        for count in (1, 3, 12):
            report = Micrographs.from_volume(labels, images_per_plane=count).check()
            # neighbouring slices of a small volume do depend on each other
            assert all("amount to about" in warning for warning in report.warnings)


def test_fingerprint_sees_pixels_shapes_planes_and_phases():
    base = {"xy": LABELS[0], "xz": LABELS[:, 0], "yz": LABELS[:, :, 0]}
    seen = set()

    def fingerprint(images, **options):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            seen.add(Micrographs.load(images, **options).fingerprint())

    fingerprint(base, phases="labels")
    fingerprint(base, phases="labels", voxel_size=1e-6)  # the same images
    assert len(seen) == 1
    fingerprint({**base, "xy": base["xy"][:-1]}, phases="labels")
    fingerprint({**base, "xy": base["xy"].T}, phases="labels")
    fingerprint({**base, "xy": [base["xy"], base["xy"]]}, phases="labels")
    fingerprint({**base, "xz": base["yz"], "yz": base["xz"]}, phases="labels")
    fingerprint(base, phases={0: 1, 1: 0})
    assert len(seen) == 6
    assert all(len(text) == 64 for text in seen)


def test_patches_are_crops_of_their_plane_up_to_flips():
    coded = np.arange(12 * 13 * 14).reshape(12, 13, 14) % 251
    m = Micrographs.from_volume(coded.astype(np.uint8))
    labels, plane = m.sample(np.random.default_rng(0), 60, 8)
    assert labels.shape == (60, 8, 8)
    assert labels.dtype == np.uint8
    assert plane.dtype == np.int64
    for patch, number in zip(labels, plane, strict=True):
        windows = [
            np.lib.stride_tricks.sliding_window_view(image, (8, 8))
            for image in m.images[PLANES[number]]
        ]
        flips = (patch, patch[::-1], patch[:, ::-1], patch[::-1, ::-1])
        assert any((w == f).all(axis=(2, 3)).any() for w in windows for f in flips)


def test_sampling_is_repeatable_and_moves_on():
    m = Micrographs.from_volume(LABELS, 5)
    rng = np.random.default_rng(7)
    first = m.sample(rng, 16, 32)
    second = m.sample(rng, 16, 32)
    again = m.sample(np.random.default_rng(7), 16, 32)
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert (first[0] != second[0]).any()


def test_sampling_resumes_from_the_state_of_its_generator():
    m = Micrographs.from_volume(LABELS, 5)
    rng = np.random.default_rng(7)
    m.sample(rng, 5, 16)
    state = rng.bit_generator.state
    expected = m.sample(rng, 5, 16)
    fresh = np.random.default_rng(0)
    fresh.bit_generator.state = state
    np.testing.assert_array_equal(m.sample(fresh, 5, 16)[0], expected[0])


def test_planes_crops_and_flips_are_equally_likely():
    """A chain of corner marks: each plane 1/3, each of 4 orientations 1/4, both crops 1/2."""
    image = np.zeros((4, 5), dtype=np.uint8)
    image[0, 0], image[0, 4] = 1, 1
    with pytest.warns(UserWarning, match="same image is given for planes xy, xz and yz"):
        m = Micrographs.load({p: image for p in PLANES}, phases="labels")
    labels, plane = m.sample(np.random.default_rng(0), 6000, 4)
    counts = np.bincount(plane, minlength=3) / 6000
    assert counts == pytest.approx([1 / 3] * 3, abs=0.025)  # 4 standard deviations
    corners = labels[:, [0, 0, -1, -1], [0, -1, 0, -1]].mean(axis=0)
    assert corners == pytest.approx([0.25] * 4, abs=0.025)


def test_images_weigh_by_area():
    small, large = np.zeros((8, 8), np.uint8), np.ones((8, 24), np.uint8)
    images = [small, large]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        m = Micrographs.load({"xy": images}, phases="labels")
    labels, _ = m.sample(np.random.default_rng(0), 4000, 8)
    assert labels.mean() == pytest.approx(0.75, abs=0.03)


def test_patches_larger_than_an_image_are_refused_by_name():
    m = Micrographs.load({"xy": [LABELS[0], LABELS[1, :30]]}, phases="labels")
    assert m.min_side == 30
    m.sample(np.random.default_rng(0), 2, 30)
    message = (
        "^`patch` must be at most 30, the shortest image side, got 64: "
        "image 0 of plane xy has 44 x 48 pixels$"
    )
    with pytest.raises(ValueError, match=message):
        m.sample(np.random.default_rng(0), 2, 64)
    message = "got 31: image 1 of plane xy has 30 x 48 pixels$"
    with pytest.raises(ValueError, match=message):
        m.sample(np.random.default_rng(0), 2, 31)
    with pytest.raises(TypeError, match=r"`rng` must be a numpy.random.Generator, got int"):
        m.sample(0, 2, 8)
    with pytest.raises(ValueError, match="`batch_size` must be an integer of at least 1, got 0"):
        m.sample(np.random.default_rng(0), 0, 8)


def test_refusals_of_the_planes(tmp_path):
    refused(TypeError, "`images` must be a dict of 'xy', 'xz', 'yz' to patterns", "a/*.png")
    refused(ValueError, r"`images` must hold one, two or three of .*, got \['zx'\]", {"zx": LABELS})
    refused(ValueError, r"`images` must hold .*, got \[\]", {})
    refused(
        ValueError, r"`images\['xy'\]` must hold at least one image, got an empty list", {"xy": []}
    )
    refused(TypeError, r"`images\['xy'\]` must be a path, a pattern, an array .*int", {"xy": 3})
    refused(
        FileNotFoundError, r"plane 'xz': no file matches .*/q\*.png", {"xz": tmp_path / "q*.png"}
    )
    refused(FileNotFoundError, "plane 'xz': no file matches", {"xz": [tmp_path / "none.png"]})
    refused(
        ValueError,
        r"`images\['xy'\]` must be files, got the directory .*: give .*/\*.png",
        {"xy": tmp_path},
    )
    assert Micrographs.from_volume(LABELS, planes="xy").given == ("xy",)
    with pytest.raises(ValueError, match=r"`planes` must hold one, two or three .*, got \['zx'\]"):
        Micrographs.from_volume(LABELS, planes="zx")
    with pytest.raises(ValueError, match="`planes` must hold one, two or three"):
        Micrographs.from_volume(LABELS, planes=("xy", "xy"))
    with pytest.raises(ValueError, match="`images_per_plane` must be an integer of at least 1"):
        Micrographs.from_volume(LABELS, 0)


def test_two_lengths_are_the_pixel_of_one_plane(tmp_path):
    np.save(tmp_path / "xy.npy", LABELS[0])
    one = {"xy": str(tmp_path / "xy.npy")}
    found = Micrographs.load(one, phases="labels", voxel_size=(2e-6, 2e-6))
    assert found.voxel_size == (2e-6, 2e-6, 2e-6)
    options = {"phases": "labels", "voxel_size": (2e-6, 1e-6)}
    refused(ValueError, "`voxel_size` must be the same along all axes where one", one, **options)
    two = {**one, "xz": one["xy"]}
    refused(ValueError, "`voxel_size` must be a positive number or three", two, **options)
