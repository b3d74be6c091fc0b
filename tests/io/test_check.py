# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""`Micrographs.check` on planted faults, and on clean images."""

from __future__ import annotations

import functools
import json
import math
import warnings

import numpy as np
import pytest

from micro3d_fast import synthetic
from micro3d_fast._planes import PLANES
from micro3d_fast.micrographs import Gradient, Micrographs, Repeat

AMOUNT = "amount to about"


@functools.cache
def specimen(seed, shape=(96, 96), fraction=0.4, length=4.0):
    volume = synthetic.level_cut((1, *shape), (1 - fraction, fraction), length, seed=seed)
    return volume.labels[0]


def clean(n, plane=0, **options):
    """Images of independent specimens."""
    return [specimen(1000 * plane + k, **options) for k in range(n)]


def checked(images, patch=None):
    """Return the report on images, of plane xy if no planes are given."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        planes = images if isinstance(images, dict) else {"xy": images}
        return Micrographs.load(planes, phases="labels").check(patch)


def only(report, words):
    """Assert that a report has one warning, which holds these words; return it."""
    (warning,) = report.warnings
    assert words in warning
    assert f"warning: {warning}" in str(report)
    return warning


@pytest.mark.parametrize("n", [1, 3, 8, 40])
def test_clean_images_have_no_warnings(n):
    report = checked({plane: clean(n, k) for k, plane in enumerate(PLANES)}, patch=64)
    assert report.warnings == ()
    assert str(report).endswith("no faults found; the planes agree")
    for plane in report.planes:
        assert plane.independent == pytest.approx(n, rel=0.1)
    json.dumps(report.to_dict(), allow_nan=False)


@pytest.mark.parametrize(
    "material", [synthetic.fibre_composite, synthetic.separator, synthetic.cathode]
)
def test_clean_materials_have_no_warnings(material):
    volumes = [material((64, 64, 64), seed=seed).labels for seed in range(12)]
    report = checked({
        plane: [v.take(20, axis) for v in volumes] for axis, plane in enumerate(PLANES)
    })  # fmt: skip
    assert report.warnings == ()


def test_images_of_several_planes_are_found():
    own, again = clean(5), [image.copy() for image in clean(3)]
    assert "the same 3 images are given for planes xy and yz" in only(
        checked({"xy": own, "xz": clean(5, 1), "yz": again}), "give each plane images of its own"
    )
    only(checked(dict.fromkeys(PLANES, own)), "the same 5 images are given for planes xy, xz and y")


def test_slices_of_a_symmetric_volume_share_no_images():
    cell = np.zeros((16, 16, 16), np.uint8)
    cell[4:12, 4:12, 4:12] = 1
    report = Micrographs.from_volume(np.tile(cell, (4, 4, 4)), 64).check()
    assert not [warning for warning in report.warnings if "given for planes" in warning]


def test_laminates_share_no_images():
    volume = np.repeat(np.uint8([0, 1, 0, 1]), 8)[:, None, None].repeat(32, 1).repeat(32, 2)
    report = Micrographs.from_volume(volume, 4, planes=("xz", "yz")).check()
    assert not [warning for warning in report.warnings if "same" in warning]


def test_an_image_smaller_than_the_patch_is_found():
    report = checked([*clean(4), specimen(9)[:, :50]], patch=64)
    only(report, "the shortest image side is 50 pixels, less than the patch of 64: give larger")


def test_a_tilt_is_a_note_and_no_fault(monkeypatch):
    """A plane that looks tilted at the level of crops, and not at that of a fault."""
    monkeypatch.setattr(Micrographs, "mirrored", ("xz", "yz"))
    report = checked(clean(8))
    (note,) = report.notes
    assert note.startswith("plane xy looks tilted against the axes, so its crops are not mirrored")
    assert str(report).endswith(f"  note: {note}\n  no faults found")


def test_serial_sections():
    volume = synthetic.level_cut((60, 64, 64), (0.6, 0.4), 6.0, seed=3).labels
    report = checked(list(volume))
    repeats = report.planes[0].repeats
    warning = only(report, "plane xy holds serial sections: neighbouring images correlate by 0.8")
    assert f"its 60 images {AMOUNT} {repeats.independent:.1f} independent ones" in warning
    # the pixel correlation of this model is that of S2 along the axis
    k = np.arange(1, 60)
    rho = (synthetic.level_cut_two_point(0.4, np.exp(-((k / 6.0) ** 2))) - 0.16) / 0.24
    assert repeats.neighbours == pytest.approx(rho[0], abs=0.02)
    want = 60**2 / (60 + 2 * np.sum((60 - k) * rho))
    assert repeats.independent == pytest.approx(want, rel=0.15)
    # in any order
    shuffled = checked(list(volume[np.random.default_rng(0).permutation(60)]))
    assert "the images of plane xy are not independent" in only(shuffled, AMOUNT)
    assert shuffled.planes[0].independent == pytest.approx(want, rel=0.25)


def test_serial_sections_widen_the_standard_error():
    volume = synthetic.level_cut((60, 64, 64), (0.6, 0.4), 6.0, seed=3).labels
    (error, _) = checked(list(volume)).planes[0].standard_errors
    scatter = np.std(volume.mean(axis=(1, 2)), ddof=1) / math.sqrt(60)
    assert error > 2 * scatter


TURNED = {
    "": np.copy,
    "flipped vertically": np.flipud,
    "flipped horizontally": np.fliplr,
    "turned by 180 degrees": lambda image: np.rot90(image, 2),
    "transposed": np.transpose,
    "turned by 90 degrees": np.rot90,
    "turned by -90 degrees": lambda image: np.rot90(image, 3),
    "transposed and turned by 180 degrees": lambda image: np.rot90(image, 2).T,
}


@pytest.mark.parametrize("how", TURNED)
def test_copies(how):
    images = clean(8)
    images[6] = np.ascontiguousarray(TURNED[how](images[2]))
    images[6][:2, :2] ^= 1  # nearly
    report = checked(images)
    assert report.planes[0].repeats.equal == (Repeat(6, 2, how),)
    turned = f" ({how})" if how else ""
    only(report, f"1 of the 8 images of plane xy repeat others: image 6 of 2{turned}; leave")


def test_many_copies():
    report = checked([image for image in clean(6) for _ in range(3)])
    assert report.planes[0].independent == pytest.approx(6, rel=0.1)
    only(report, "12 of the 18 images of plane xy repeat others: image 1 of 0, image 2 of 0, ")


def test_equal_images_of_one_phase_are_no_copies():
    images = clean(6, fraction=0.02)
    images += [np.zeros_like(images[0])] * 2
    assert checked(images).planes[0].repeats.equal == ()


def test_overlapping_crops():
    large = specimen(7, shape=(160, 160))
    corners = [(0, 0), (30, 20), (64, 80), (90, 96)]
    report = checked([large[r : r + 64, c : c + 64] for r, c in corners])
    part = (64 - 30) * (64 - 20) / 64**2
    assert Repeat(1, 0, f"overlapping by {part:.0%}") in report.planes[0].repeats.overlaps
    assert [(r.image, r.of) for r in report.planes[0].repeats.overlaps] == [(1, 0), (3, 2)]
    only(report, "images of plane xy show the same place: image 1 of 0 (overlapping by ")


def speckled(image, share, seed):
    rng = np.random.default_rng(seed)
    return np.where(rng.random(image.shape) < share, 1 - image, image).astype(np.uint8)


@pytest.mark.parametrize("n", [2, 20])
def test_speckle(n):
    report = checked([speckled(image, 0.012, k) for k, image in enumerate(clean(n))])
    noise = report.planes[0].noise
    assert noise.speckle == pytest.approx(0.012, abs=4 * noise.speckle_error)
    only(report, f"segmentation of plane xy is noisy or its details are as fine as pixels: "
                 f"{noise.speckle:.1%} of the pixels")  # fmt: skip
    assert checked([speckled(image, 0.002, k) for k, image in enumerate(clean(n))]).warnings == ()


def test_ragged_interfaces():
    rng = np.random.default_rng(0)
    smooth = [np.cumsum(rng.normal(size=(96, 96)), axis=1) for _ in range(4)]
    ragged = [(s - s.mean() + rng.normal(0, 1.5, s.shape) > 0).astype(np.uint8) for s in smooth]
    noise = checked(ragged).planes[0].noise
    assert noise.surface > 1.5
    assert "majority filter removes" in " ".join(checked(ragged).warnings)


@pytest.mark.parametrize(("edge", "turns"), [("bottom", 0), ("right", 1), ("top", 2), ("left", 3)])
@pytest.mark.parametrize("n", [1, 3, 20])
def test_data_bar(edge, turns, n):
    rng = np.random.default_rng(n)
    images = []
    side = 256 if n == 1 else 96
    for image in clean(n, shape=(side, side)):
        bar = np.zeros((10, side), np.uint8)
        for column in rng.integers(0, side - 2, 6):  # letters
            bar[3:8, column : column + 2] = 1
        images.append(np.rot90(np.vstack([image, bar]), turns))
    report = checked(images)
    (bar,) = report.planes[0].bars
    assert bar.edge == edge
    assert bar.pixels == pytest.approx(10, abs=3)
    bars = [w for w in report.warnings if "data bar" in w]
    assert bars == [
        f"the images of plane xy have a data bar or a frame: {bar.pixels} pixels at the {edge} are "
        "alike in all images or unlike the rest; crop them off"
    ]


def test_a_pattern_at_the_same_place_is_a_bar():
    pattern = specimen(99, shape=(9, 96))
    sizes = [96, 90, 100, 96, 92, 96]
    images = [
        np.vstack([image[:rows], pattern]) for image, rows in zip(clean(6), sizes, strict=True)
    ]
    (bar,) = checked(images).planes[0].bars
    assert (bar.edge, bar.pixels) == ("bottom", pytest.approx(9, abs=1))


@pytest.mark.parametrize("axis", [0, 1])
def test_gradient(axis):
    """Phase 1 of fraction 0.3 at one edge, 0.5 at the other, in all images of yz."""
    images = []
    for k in range(40):
        low, high = (specimen(5000 + k, fraction=f) for f in (0.25, 0.55))
        place = np.arange(96) / 95
        choose = np.random.default_rng(k).random((12, 12)).repeat(8, 0).repeat(8, 1)
        grid = place[:, None] if axis == 0 else place
        images.append(np.where(choose < grid, high, low).astype(np.uint8))
    report = checked({"xy": clean(40, fraction=0.4), "yz": images})
    gradients = report.planes[2].gradients
    assert [g.axis for g in gradients] == ["z", "y"]
    found, other = gradients[axis], gradients[1 - axis]
    assert abs(found.change) == pytest.approx(0.3, abs=5 * found.standard_error)
    assert abs(other.change) < 4 * other.standard_error
    sentences = [w for w in report.warnings if "across all images of plane yz" in w]
    assert len(sentences) == 1
    verb = "rises" if found.change > 0 else "falls"
    assert f"{verb} by {abs(found.change):.3f} ± " in sentences[0]
    assert f"along {'zy'[axis]} across" in sentences[0]


def test_scatter_of_a_gradient_is_that_of_its_law():
    reports = [checked(clean(10, 20 + k)).planes[0].gradients[0] for k in range(30)]
    assert all(isinstance(g, Gradient) for g in reports)
    scatter = np.sqrt(np.mean([g.change**2 for g in reports]))
    stated = np.mean([g.standard_error for g in reports])  # widened for few images
    assert 1.0 < stated / scatter < 1.6


def test_patch_shorter_than_the_structure():
    images = clean(4, shape=(256, 256), length=24.0)
    report = checked(images, patch=64)
    length = report.patch.axes[0].length
    assert length == pytest.approx(report.planes[0].lengths[1], rel=0.3)
    words = "a patch of 64 pixels is short for the structure, whose correlation length is "
    warning = only(report, words)
    side = int(warning.split("patch=")[1].split(",")[0])
    assert side % 8 == 0
    assert f"patch of 64 pixels; correlation length {report.patch.axes[0].axis} " in str(report)
    assert checked(images, patch=side).warnings == ()
    assert "scale the images down" in warning
    # the images are too small for a patch that would do
    small = only(checked(clean(4, length=40.0), patch=64), words)
    assert "train with patch=" not in small
    with pytest.raises(ValueError, match="`patch` must be"):
        checked(images, patch=0)


def test_structure_without_end():
    stripes = {"xy": clean(5), "xz": [np.tile(specimen(k)[:1], (96, 1)) for k in range(5, 10)]}
    report = checked({**stripes, "yz": [image.copy() for image in stripes["xz"]]}, patch=64)
    warning = only(report, "the structure does not decorrelate along z within half an image")
    assert "unless the material is uniform along z, give longer images or scale" in warning


def test_planes_that_are_borrowed_are_not_checked():
    report = checked([speckled(image, 0.02, k) for k, image in enumerate(clean(6))])
    assert len(report.warnings) == 1
    assert [plane.noise is None for plane in report.planes] == [False, True, True]
