# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Particles, islands of slices and percolating shares, of volumes in which they are known."""

from __future__ import annotations

import numpy as np
import pytest

import micro3d_fast as m3
from micro3d_fast.statistics import connectivity


def boxes(count, n=12):
    """Boxes of 2 x 2 x 2 voxels (phase 1) that do not touch, in n**3 voxels, at most 27."""
    labels = np.zeros((n, n, n), dtype=np.uint8)
    for k in range(count):
        z, y, x = 4 * np.array(np.unravel_index(k, (3, 3, 3))) + 1
        labels[z : z + 2, y : y + 2, x : x + 2] = 1
    return labels


def test_boxes_are_counted_in_the_volume_and_in_its_slices():
    found = connectivity(boxes(27))
    matrix, box = found.phases
    assert (box.particles, matrix.particles) == (27, 1)
    assert box.per_megavoxel == pytest.approx(27e6 / 12**3)
    assert box.percolating == {"z": 0.0, "y": 0.0, "x": 0.0}
    assert matrix.percolating == {"z": 1.0, "y": 1.0, "x": 1.0}
    for plane in ("xy", "xz", "yz"):  # 9 in six of the twelve slices
        assert box.islands[plane] == (pytest.approx(4.5), pytest.approx(4.5 * np.sqrt(12 / 11)))
        assert matrix.islands[plane] == (1.0, 0.0)
    assert found.windows == dict.fromkeys(("xy", "xz", "yz"), (12, 12))
    assert (box.reference_percolating, box.reference_particles) == ({}, None)
    assert box.reference_islands == {}
    lines = repr(found).splitlines()
    assert len(lines) == 3
    assert lines[2] == (
        "  phase 1: z 0.0 %, y 0.0 %, x 0.0 % of it connects the faces; 27 particles, "
        "1.56e+04 per 100³ voxels; islands per slice xy 4.5, xz 4.5, yz 4.5"
    )


def test_particles_across_periodic_faces():
    labels = np.roll(boxes(27), (-2, 0, 0), axis=(0, 1, 2))  # cuts the first layer of boxes
    assert connectivity(labels).phases[1].particles == 36
    assert connectivity(labels, periodic=True).phases[1].particles == 27


@pytest.mark.parametrize(("neighbours", "particles", "islands"), [(6, 2, 2), (18, 1, 1)])
def test_voxels_that_share_an_edge(neighbours, particles, islands):
    labels = np.zeros((1, 4, 4), dtype=np.uint8)
    labels[0, 1, 1] = labels[0, 2, 2] = 1
    found = connectivity(labels, connectivity=neighbours)
    assert found.phases[1].particles == particles
    assert found.phases[1].islands["xy"][0] == islands
    assert found.connectivity == neighbours


def test_islands_beside_larger_micrographs():
    """Four windows of the size of a slice, with 9, 9, 0 and 3 islands."""
    slice_of_boxes = boxes(27)[1]
    three = slice_of_boxes.copy()
    three[4:] = 0
    empty = np.zeros_like(three)
    image = np.block([[slice_of_boxes, slice_of_boxes], [empty, three]])
    volume = np.repeat(slice_of_boxes[None], 5, axis=0)  # columns
    found = connectivity(volume, {"xy": [image]})
    counts = np.array([9, 9, 0, 3])
    column = found.phases[1]
    assert column.islands["xy"] == (9.0, 0.0)
    assert column.reference_islands == {
        "xy": (pytest.approx(counts.mean()), pytest.approx(counts.std(ddof=1)))
    }
    assert "xy 9 (5 ± 4), xz 1.5, yz 1.5" in repr(found)
    assert "in brackets the reference" in repr(found)
    smaller = connectivity(volume, {"xy": [slice_of_boxes[:6, :6]] * 2})  # windows of the image
    assert smaller.windows["xy"] == (6, 6)
    assert smaller.phases[1].reference_islands == {"xy": (4.0, 0.0)}
    assert smaller.phases[1].islands["xy"][0] == pytest.approx(4.0)


def test_particles_beside_the_blocks_of_a_tomogram():
    tomogram = np.concatenate([boxes(5), boxes(9), boxes(27)], axis=2)
    volume = m3.Microstructure(boxes(7), 1e-6, ("matrix", "box"))
    box = connectivity(volume, tomogram).phases[1]
    counts = np.array([5, 9, 27])
    assert box.particles == 7
    assert box.reference_particles == (
        pytest.approx(counts.mean()),
        pytest.approx(counts.std(ddof=1)),
    )
    assert box.reference_percolating == {axis: (0.0, 0.0) for axis in "zyx"}
    assert "box: z 0.0 % (0 ± 0), y" in str(box)
    assert "7 particles (14 ± 12)" in str(box)
    small = connectivity(volume, tomogram[:6])  # holds no block of this size
    assert small.phases[1].reference_particles is None
    assert set(small.phases[1].reference_islands) == {"xy", "xz", "yz"}


def test_a_phase_of_one_side_alone():
    tomogram = boxes(5)
    tomogram[0, 0, 0] = 3
    found = connectivity(boxes(5), tomogram)
    assert [phase.phase for phase in found.phases] == [0, 1, 3]
    lost = found.phases[2]
    assert lost.particles == 0
    assert np.isnan(lost.percolating["z"])
    assert lost.reference_particles == (1.0, pytest.approx(np.nan, nan_ok=True))
    assert [p.phase for p in connectivity(boxes(5) * 2).phases] == [0, 2]


def test_refusals():
    with pytest.raises(ValueError, match="`labels` must"):
        connectivity(boxes(3)[0])
    with pytest.raises(ValueError, match="`connectivity` must be 6, 18, 26"):
        connectivity(boxes(3), connectivity=4)
    with pytest.raises(ValueError, match="`reference` must hold images"):
        connectivity(boxes(3), {"ab": [boxes(3)[0]]})
