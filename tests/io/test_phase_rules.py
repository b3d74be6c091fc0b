# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Grey values to phases: maps, thresholds, labels, and what is refused."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from skimage.filters import threshold_multiotsu, threshold_otsu

from _micrographs import GREY, LABELS, MAP, SERIAL, loaded, refused, write
from micro3d_fast import io, synthetic
from micro3d_fast._otsu import otsu_thresholds
from micro3d_fast.micrographs import Micrographs

pytestmark = pytest.mark.filterwarnings(f"ignore:{SERIAL}:UserWarning")


def test_several_values_may_share_a_phase():
    image = np.array([[0, 10, 20], [30, 10, 0]] * 4)
    got = loaded(image, phases={0: 0, 10: 1, 20: 0, 30: 2})
    np.testing.assert_array_equal(got[0][:2], [[0, 1, 0], [2, 1, 0]])


def test_thresholds():
    image = np.array([[0, 99, 100, 101, 200, 255]])
    assert loaded(image, phases=None, threshold=100)[0][0].tolist() == [0, 0, 0, 1, 1, 1]
    assert loaded(image, phases=None, threshold=[99.5, 200])[0][0].tolist() == [0, 0, 1, 1, 1, 2]
    swapped = loaded(image, phases={0: 1, 1: 0}, threshold=100)
    assert swapped[0][0].tolist() == [1, 1, 1, 0, 0, 0]
    merged = loaded(image, phases={0: 0, 1: 1, 2: 0}, threshold=[99.5, 200])
    assert merged[0][0].tolist() == [0, 0, 1, 1, 1, 0]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_otsu_finds_the_gap_of_all_images_together(dtype):
    rng = np.random.default_rng(0)
    grey = np.where(LABELS[:6] == 1, 180, 60) + rng.normal(0, 8, LABELS[:6].shape)
    scale = {np.uint8: 1, np.uint16: 200, np.float32: 1e-3}[dtype]
    images = (grey.clip(0, 255) * scale).astype(dtype)
    np.testing.assert_array_equal(loaded(images, phases=None, threshold="otsu"), LABELS[:6])


def test_multi_otsu():
    truth = synthetic.level_cut((6, 40, 40), (0.3, 0.4, 0.3), 3.0, seed=2).labels
    rng = np.random.default_rng(0)
    images = (np.array([40, 128, 220])[truth] + rng.normal(0, 8, truth.shape)).astype(np.uint8)
    got = loaded(images, phases=None, threshold="multi-otsu", n_phases=3)
    np.testing.assert_array_equal(got, truth)


def test_a_map_to_one_phase_is_refused():
    with pytest.raises(ValueError, match="`phases` must lead to at least two phases, got phase 0"):
        Micrographs.load({"xy": np.zeros((4, 4))}, phases={0: 0, 1: 0})


def test_check_says_which_threshold_was_used():
    grey = np.where(LABELS[:6] == 1, 180, 60).astype(np.uint8)
    got = Micrographs.load({"xy": grey}, threshold="otsu")
    assert got.thresholds == (60.0,)
    assert "\n  grey values above 60 are phase 1 (otsu)\n" in str(got.check())
    again = Micrographs.load({"xy": grey}, threshold=got.thresholds)
    assert again.fingerprint() == got.fingerprint()
    assert again.segmentation == "grey values above 60 are phase 1"
    few = np.repeat(np.uint8([[0, 90, 200]]), 40, axis=0)
    found = Micrographs.load(
        {"xy": np.tile(few, (1, 13))}, {0: 2, 1: 1, 2: 0}, threshold="multi-otsu", n_phases=3
    ).segmentation
    assert found == "grey values above 0 are phase 1, above 90 phase 0, others phase 2 (multi-otsu)"


def test_slices_of_a_volume_know_its_threshold(tmp_path):
    np.save(tmp_path / "grey.npy", np.where(LABELS[:12] == 1, 180, 60).astype(np.uint8))
    words = "grey values above 60 are phase 1 (otsu)"
    for crop in (None, ((0, 8), (2, None), (None, 30))):
        volume = io.load(tmp_path / "grey.npy", threshold="otsu", crop=crop)
        got = Micrographs.from_volume(volume, 4)
        assert (got.segmentation, got.thresholds) == (words, (60.0,))
        volume.save(tmp_path / "v.npz")
        again = io.load(tmp_path / "v.npz")
        assert Micrographs.from_volume(again[:4], 4).segmentation == words
        again[:4].save(tmp_path / "part.npz")
        for name in ("v.npz", "part.npz"):
            swapped = io.load(tmp_path / name, phases={0: 1, 1: 0})
            assert Micrographs.from_volume(swapped, 4).segmentation == ""
            assert "otsu" not in str(swapped.provenance)
            cut = io.load(tmp_path / name, threshold=0)
            assert Micrographs.from_volume(cut, 4).segmentation.endswith("above 0 are phase 1")
            assert "otsu" not in str(cut.provenance)


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32])
@pytest.mark.parametrize("outliers", [0, 1, 50])
def test_otsu_of_a_narrow_contrast_beside_hot_pixels(dtype, outliers):
    """The known threshold of the same values without hot pixels, by exact counts."""
    rng = np.random.default_rng(1)
    truth = synthetic.level_cut((2, 300, 300), (0.5, 0.5), 4.0, seed=3).labels
    grey = (np.where(truth == 1, 1200, 1000) + rng.normal(0, 40, truth.shape)).round().astype(dtype)
    right = otsu_thresholds([grey], 2)
    assert abs(right[0] - threshold_otsu(grey, nbins=int(np.ptp(grey)) + 1)) <= 1
    spoilt = grey.copy()
    spoilt[0].flat[:outliers] = 65535
    assert abs(otsu_thresholds([spoilt], 2)[0] - right[0]) <= 2
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*is noisy")
        got = Micrographs.load({"xy": spoilt}, threshold="otsu").images["xy"]
    assert np.mean(np.array(got) == truth) > 0.985


def test_otsu_agrees_with_scikit_image_on_bytes():
    rng = np.random.default_rng(5)
    grey = (40 + 60 * (rng.random((200, 200)) < 0.3) + rng.normal(0, 15, (200, 200))).clip(0, 255)
    grey = grey.astype(np.uint8)
    assert otsu_thresholds([grey], 2)[0] == threshold_otsu(grey)
    grey[:, :60] = 200
    np.testing.assert_allclose(otsu_thresholds([grey], 3), threshold_multiotsu(grey, 3), atol=1)
    wide = grey.astype(np.uint16) * 100
    np.testing.assert_array_equal(otsu_thresholds([wide], 3), 100 * otsu_thresholds([grey], 3))


def test_otsu_says_when_a_class_is_nearly_empty():
    image = np.full((100, 100), 100, dtype=np.uint8)
    image[0, :30] = 250
    message = r"cuts at 100 and gives phase 1 only 0.3 % of the pixels; look at the result, or give"
    with pytest.warns(UserWarning, match=message):
        Micrographs.load({"xy": image}, threshold="otsu")


def test_jpeg_needs_a_threshold(tmp_path):
    path = write(tmp_path / "a.jpg", GREY[0], quality=90)
    np.testing.assert_array_equal(loaded(path, phases=None, threshold="otsu")[0], LABELS[0])
    message = (
        r"a.jpg must hold only the grey values 0, 255 of `phases`, got also .* values\): JPEG "
        r"compression blurs labels, give a `threshold` instead or lossless images$"
    )
    with pytest.raises(ValueError, match=message):
        loaded(path)
    with (
        pytest.warns(UserWarning, match=r"values of .*a.jpg and others for phases, but JPEG"),
        pytest.raises(ValueError, match="without a gap"),
    ):
        Micrographs.load({"xy": path}, phases="labels")


def test_grey_values_are_never_guessed():
    message = (
        "`phases` must be a map such as .* unless `threshold` is given, got None: the meaning of "
        "the grey values 0, 255 is not guessed$"
    )
    refused(ValueError, message, {"xy": GREY})
    message = r"the grey values 0 \.\.\. 255 is not guessed"
    refused(ValueError, message, {"xy": np.arange(256).reshape(16, 16)})


def test_unknown_grey_values_are_refused_by_name(tmp_path):
    odd = GREY[0].copy()
    odd[3, 3], odd[4, 4] = 7, 9
    path = write(tmp_path / "odd.png", odd)
    message = (
        r"/odd.png must hold only the grey values 0, 255 of `phases`, got also 7, 9: "
        r"give each of them a phase$"
    )
    refused(ValueError, message, {"xy": path, "xz": GREY}, phases=MAP)
    message = r"got also 1, 2, 3, 4, 5, .*: for grey images give a `threshold` instead, such as 'o"
    refused(ValueError, message, {"xy": np.arange(256).reshape(16, 16)}, phases=MAP)
    refused(ValueError, "image 2 of plane xz must hold only", {"xz": [*GREY[:2], odd]}, phases=MAP)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"phases": {}}, ValueError, "`phases` must map at least one grey value"),
        ({"phases": {0: 0, 255: 2}}, ValueError, r"0 ... P-1 without a gap, got \[0, 2\]"),
        ({"phases": {0: 0, 255: 300}}, ValueError, r"`phases\[255\]` must be an integer 0 ... 255"),
        ({"phases": {"0": 0}}, TypeError, "`key of phases` must be a finite number"),
        ({"phases": [0, 255]}, TypeError, "`phases` must be a map of grey value to phase or 'lab"),
        ({"phases": "0:0,255:1"}, ValueError, r"or 'labels', got '0:0,255:1': such as \{0: 0, 255"),
        ({"phases": {0: "pore"}}, TypeError, "number of a phase, from 0, .*: `phase_names` gives"),
        (
            {"phases": "labels"},
            ValueError,
            "got 'labels' with the labels 0, 255: give a map such as {0: 0, ",
        ),
        (
            {"phases": {0: 0, 255: 1, 7: 2}},
            ValueError,
            "must all occur in the images, got no pixel of phase 2",
        ),
        ({"phases": MAP, "n_phases": 3}, ValueError, "`n_phases` must be .* 2, got 3"),
        ({"phases": MAP, "phase_names": "ab"}, TypeError, "`phase_names` must be a sequence"),
        (
            {"phases": MAP, "phase_names": ("a", "b", "c")},
            ValueError,
            "one name for each of 2 phases, got 3",
        ),
        ({"phases": MAP, "voxel_size": -1}, ValueError, "`voxel_size` must be a positive number"),
        ({"threshold": 300}, ValueError, "got 300, which leaves phase 1 without a pixel"),
        ({"threshold": [9, 3]}, ValueError, r"in increasing order, got \[9.0, 3.0\]"),
        ({"threshold": []}, ValueError, "in increasing order"),
        ({"threshold": "foo"}, ValueError, "`threshold` must be 'otsu' or 'multi-otsu', got 'foo'"),
        ({"threshold": float("nan")}, ValueError, "`threshold` must be a finite number"),
        (
            {"threshold": "multi-otsu"},
            ValueError,
            "`n_phases` must be given for `threshold`='multi-otsu', got None",
        ),
        (
            {"threshold": "multi-otsu", "n_phases": 3},
            ValueError,
            "'multi-otsu' of at least 3 grey values",
        ),
        (
            {"threshold": "otsu", "n_phases": 3},
            ValueError,
            "2 for `threshold`='otsu', got 3",
        ),
        ({"threshold": 9, "phases": MAP}, ValueError, "map the classes 0 ... 1, darkest first"),
        ({"threshold": {"yz": "otsu"}}, TypeError, "one rule for all planes: numbers, 'otsu' or"),
        ({"threshold": 9, "phases": "labels"}, TypeError, "must be a map of class"),
    ],
    ids=lambda x: str(x)[:40],
)
def test_refusals_of_the_rule(options, error, message):
    refused(error, message, {"xy": GREY[:4]}, **options)
