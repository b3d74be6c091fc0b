# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Crops of tilted structure are turned, but not mirrored."""

from __future__ import annotations

import numpy as np
import pytest

import micro3d_fast as m3
from _tilted import tilted
from micro3d_fast.micrographs import Micrographs

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # of serial sections, of borrowing

PLANES = ("xy", "xz", "yz")


def test_a_tilted_plane_is_found():
    assert Micrographs.from_volume(tilted(64, 1), 20).mirrored == ("xy", "xz")


def test_a_tilted_phase_of_three_is_found():
    labels = tilted(64, 1)
    straight = tilted(64, 2)[:, ::-1] & tilted(64, 2)
    assert Micrographs.from_volume(np.where(labels, 2, straight), 20).mirrored == ("xy", "xz")


def test_untilted_planes_are_symmetric():
    """The test is at the level of 5 %, somewhat conservative."""
    found = 0
    for seed in range(8):
        truth = m3.synthetic.level_cut((64,) * 3, (0.6, 0.4), (6.0, 2.0, 2.0), seed)
        found += len(Micrographs.from_volume(truth, 20).mirrored)
    assert found >= 21  # of 24


def test_images_beside_their_mirror_images_are_symmetric():
    images = Micrographs.from_volume(tilted(64, 1), 20).images["yz"]
    both = [*images, *(image[:, ::-1] for image in images)]
    pairs = Micrographs.load({p: both for p in PLANES}, phases="labels")
    assert pairs.mirrored == PLANES


def test_a_borrowed_plane_is_symmetric():
    images = Micrographs.from_volume(tilted(64, 1), 20).images["yz"]
    one = Micrographs.load({"yz": images}, phases="labels")
    assert one.mirrored == ("xy", "xz")


def test_a_tilted_plane_is_not_isotropic():
    stacks = Micrographs.from_volume(tilted(64, 1), 20).images
    words = "plane yz is taken as isotropic .* its structure is tilted against the axes"
    with pytest.warns(UserWarning, match=words):
        one = Micrographs.load({"yz": stacks["yz"]}, phases="labels")
    assert "along rising z, and the columns along rising y" in one.check().notes[0]


def test_tiny_images_are_symmetric():
    images = {p: np.eye(20, dtype=np.uint8) for p in PLANES}
    assert Micrographs.load(images, phases="labels").mirrored == PLANES


def test_patches_of_tilted_planes_are_turned_by_180_degrees():
    y, x = np.mgrid[:48, :48]
    image = ((y + x) % 8 < 3).astype(np.uint8)
    m = Micrographs.load({p: [image] for p in PLANES}, phases="labels")
    assert m.mirrored == ()
    labels, _ = m.sample(np.random.default_rng(0), 200, 8)
    assert (labels[:, 1:, :-1] == labels[:, :-1, 1:]).all()  # the stripes of no mirror image
    labels, plane = m.sample(np.random.default_rng(0), 200, 8, mirrored=("xz",))
    kept = (labels[:, 1:, :-1] == labels[:, :-1, 1:]).all((1, 2))
    assert kept[plane != 1].all()
    assert 0.3 < kept[plane == 1].mean() < 0.7


def test_both_turns_are_equally_likely():
    image = np.zeros((48, 48), np.uint8)
    image[:, :24] = np.tri(48, 24, dtype=np.uint8)
    m = Micrographs.load({p: image for p in PLANES}, phases="labels")
    labels, _ = m.sample(np.random.default_rng(0), 2000, 48, mirrored=())
    kept = (labels == image).all((1, 2))
    assert ((labels == image[::-1, ::-1]).all((1, 2)) | kept).all()
    assert kept.mean() == pytest.approx(0.5, abs=0.05)
