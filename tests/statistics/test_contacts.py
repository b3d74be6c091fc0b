# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Contact areas and the triple-phase boundary: definitions, bodies of known size, refusals."""

import itertools
import math

import numpy as np
import pytest

import micro3d_fast as m3
from micro3d_fast import statistics
from micro3d_fast.reference import descriptors as reference
from micro3d_fast.reference.two_point import pair_counts
from volumes import ball, blobs, random_labels, random_mask

SHAPES = [(1, 4), (5, 4), (3, 4, 5), (1, 4, 3), (2, 2, 1)]
SIZES = (2e-6, 3e-6, 5e-6)


def wraps(shape):
    return itertools.product((False, True), repeat=len(shape))


# ---------------------------------------------------------------------------------- contact areas


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_faces_equal_brute_force(shape):
    sizes = SIZES[: len(shape)]
    labels = random_labels(shape, phases=4)
    for periodic, mask in itertools.product(wraps(shape), (None, random_mask(shape))):
        keys = {"periodic": periodic, "mask": mask, "method": "faces", "voxel_size": sizes}
        got = statistics.contact_areas(labels, n_phases=5, **keys)
        voxels = labels.size if mask is None else np.count_nonzero(mask)
        want = np.zeros((5, 5))
        for axis, (i, j) in itertools.product(
            range(len(shape)), itertools.permutations(range(4), 2)
        ):
            lag = [int(k == axis) for k in range(len(shape))]
            hits = [pair_counts(labels, *ij, lag, periodic, mask)[0] for ij in ((i, j), (j, i))]
            want[i, j] += sum(hits) / sizes[axis] / voxels
        np.testing.assert_allclose(got, want, rtol=1e-13)
        each = [
            statistics.specific_surface(labels, p, **keys) if (labels == p).any() else 0
            for p in range(5)
        ]
        np.testing.assert_allclose(got.sum(axis=1), each, rtol=1e-13)


@pytest.mark.parametrize("method", ["faces", "crofton"])
def test_two_phases_have_one_surface(method):
    labels = blobs((14, 15, 16), (0.6, 0.4))
    keys = {"method": method, "periodic": (True, False, True), "voxel_size": SIZES}
    area = statistics.specific_surface(labels, 1, **keys)
    np.testing.assert_allclose(
        statistics.contact_areas(labels, **keys), [[0, area], [area, 0]], rtol=1e-12
    )


def test_coated_ball():
    """The core touches its coating alone, and the coating the matrix."""
    core, whole = ball(12.4, n=45), ball(18.6, n=45)
    labels = core + whole  # 0 matrix, 1 coating, 2 core
    got = statistics.contact_areas(labels, periodic=True, voxel_size=2e-6)
    volume = labels.size * 8e-18
    assert got[1, 2] == pytest.approx(4 * np.pi * (12.4 * 2e-6) ** 2 / volume, rel=0.015)
    assert got[0, 1] == pytest.approx(4 * np.pi * (18.6 * 2e-6) ** 2 / volume, rel=0.015)
    assert got[0, 2] == 0
    np.testing.assert_array_equal(got, got.T)


def test_crofton_rows_add_up_in_an_isotropic_material():
    labels = blobs((40, 40, 40), (0.3, 0.3, 0.4), seed=2)
    got = statistics.contact_areas(labels, periodic=True)
    each = [statistics.specific_surface(labels, p, periodic=True) for p in range(3)]
    np.testing.assert_allclose(got.sum(axis=1), each, rtol=0.002)


# --------------------------------------------------------------------------- triple-phase boundary


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_triple_points_equal_brute_force(shape):
    labels = random_labels(shape, phases=4)
    labels.flat[:4] = range(4)
    lead = 3 - len(shape)
    for periodic, mask, phases in itertools.product(
        wraps(shape), (None, random_mask(shape)), (None, (3, 0, 1))
    ):
        keys = {"periodic": periodic, "mask": mask}
        got = statistics.triple_phase_boundary(
            labels, phases, voxel_size=SIZES[: len(shape)], **keys
        )
        assert list(got.points) == (["xy"] if lead else ["xy", "xz", "yz"])
        for plane, value in got.points.items():
            axes = [{"z": 0, "y": 1, "x": 2}[name] - lead for name in plane[::-1]]
            points, places = reference.triple_points(labels, axes, phases, **keys)
            if not places:
                assert math.isnan(value)
                continue
            area = math.prod(SIZES[: len(shape)][axis] for axis in axes)
            assert value == pytest.approx(points / places / area, rel=1e-13)


def test_lines_along_an_axis():
    """A bar divided lengthwise has a line of contact on both sides, a third phase outside."""
    labels = np.zeros((9, 12, 12), np.uint8)
    labels[:, 4:8, 2:6], labels[:, 4:8, 6:10] = 1, 2
    got = m3.triple_phase_boundary(labels, periodic=True, voxel_size=(3e-6, 1e-6, 2e-6))
    assert got.points == {"xy": pytest.approx(2 / (144 * 2e-12)), "xz": 0, "yz": 0}
    assert got.edges == got.points["xy"]
    assert got.length == pytest.approx(2 / 3 * got.edges)
    assert got.unit == "1/m²"
    # open: 11 x 11 corners in a slice
    assert m3.triple_phase_boundary(labels).points["xy"] == pytest.approx(2 / 121)
    assert m3.triple_phase_boundary(labels[0]).length == pytest.approx(2 * 2 / 121)


def test_length_of_circles_of_all_directions():
    """Two halves of a ball in a matrix meet along the circle of their interface."""
    golden = (1 + math.sqrt(5)) / 2
    radius, n = 13.3, 35
    grid = np.stack(np.indices((n, n, n)), axis=-1) - (n - 1) / 2 + 0.137
    whole = ball(radius, n=n)
    lengths, edges = [], []
    for order in range(3):  # the six axes of an icosahedron
        for sign in (1, -1):
            normal = np.roll([0, 1, sign * golden], order)
            labels = np.where(whole, 1 + (grid @ normal > 0), 0)
            found = m3.triple_phase_boundary(labels, periodic=True)
            lengths.append(found.length)
            edges.append(found.edges)
    want = 2 * np.pi * radius / n**3
    assert np.mean(lengths) == pytest.approx(want, rel=0.02)
    assert np.mean(edges) == pytest.approx(1.5 * want, rel=0.02)
    flat = np.where(whole, 1 + (grid[..., 0] > 0), 0)  # normal to z: on the edges of voxels
    assert m3.triple_phase_boundary(flat).points["xy"] == 0
    assert m3.triple_phase_boundary(flat, periodic=True).edges == pytest.approx(
        8 * radius / n**3, rel=0.03
    )


def test_volume_is_the_mean_of_its_sections():
    labels = blobs((12, 13, 14), (0.3, 0.3, 0.2, 0.2), seed=1)
    for phases in (None, (0, 2, 3)):
        found = m3.triple_phase_boundary(labels, phases).points
        for normal, plane in enumerate(("xy", "xz", "yz")):
            sections = [
                m3.triple_phase_boundary(image, phases).points["xy"]
                for image in np.moveaxis(labels, normal, 0)
            ]
            assert found[plane] == pytest.approx(np.mean(sections), rel=1e-12)


def test_two_phases_have_no_triple_points():
    found = m3.triple_phase_boundary(blobs((9, 9, 9), (0.5, 0.5)))
    assert found.length == found.edges == 0


def test_one_slice_counts_as_a_section():
    labels = random_labels((8, 9), phases=3)
    flat, image = m3.triple_phase_boundary(labels[None]), m3.triple_phase_boundary(labels)
    assert flat.length == image.length == 2 * image.points["xy"]
    assert math.isnan(flat.edges)
    assert math.isnan(image.edges)


def test_it_prints_itself_and_refuses():
    labels = random_labels((5, 5, 5), phases=3)
    assert "any three phases" in repr(m3.triple_phase_boundary(labels))
    assert "phases (0, 1, 2)" in repr(m3.triple_phase_boundary(labels, (0, 1, 2)))
    for wrong in ((0, 1), (0, 1, 1), (0, 1, 2, 3)):
        with pytest.raises(ValueError, match="`phases` must be three different phases"):
            m3.triple_phase_boundary(labels, wrong)
    with pytest.raises(ValueError, match="`method` must be"):
        m3.contact_areas(labels, method="mesh")
    with pytest.warns(UserWarning, match="phase 7 does not occur"):
        m3.triple_phase_boundary(labels, (0, 1, 7))
