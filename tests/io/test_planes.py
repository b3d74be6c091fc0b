# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Planes that are borrowed, and planes that contradict each other."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest

from _micrographs import LABELS, SERIAL, VOLUME, refused, transverse
from micro3d_fast import synthetic
from micro3d_fast._planes import AXIS_NAMES, IMAGE_AXES, NORMAL, PLANES
from micro3d_fast.micrographs import Micrographs, correlation_length
from micro3d_fast.statistics.lengths import autocorrelation

pytestmark = pytest.mark.filterwarnings(f"ignore:{SERIAL}:UserWarning")


def lengths_of(micrographs, plane):
    return [correlation_length(micrographs.images[plane], a) for a in (0, 1)]


def test_one_plane_stands_for_three():
    m = Micrographs.load({"xz": LABELS[:, 0]}, phases="labels")
    assert m.given == ("xz",)
    assert m.borrowed == {"xy": "xz, taken as isotropic", "yz": "xz, taken as isotropic"}
    for plane in PLANES:
        np.testing.assert_array_equal(m.images[plane][0], LABELS[:, 0])
    assert "xy borrowed (xz, taken as isotropic)" in repr(m)
    assert "borrowed: xz, taken as isotropic" in repr(m.check())


@pytest.mark.parametrize("axis", ["x", "y", "z"])
def test_two_planes_give_the_third(axis):
    volume = transverse(axis)
    truth = Micrographs.from_volume(volume)
    isotropic = next(p for p in PLANES if AXIS_NAMES[NORMAL[p]] == axis)
    for other in set(PLANES) - {isotropic}:
        (missing,) = set(PLANES) - {isotropic, other}
        given = {plane: truth.images[plane] for plane in (isotropic, other)}
        for symmetry in ("auto", axis):
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                warnings.filterwarnings("ignore", SERIAL)
                m = Micrographs.load(given, phases="labels", symmetry_axis=symmetry)
            text = m.borrowed[missing]
            assert text.startswith(f"{other} with ")
            assert text.endswith(f": {isotropic} is taken as isotropic")
            assert lengths_of(m, missing) == pytest.approx(lengths_of(truth, missing), rel=0.1)
            transposed = ", transposed" in text
            image = truth.images[other][0]
            np.testing.assert_array_equal(m.images[missing][0], image.T if transposed else image)


def test_borrowing_reads_the_shared_direction_as_the_missing_one():
    """All six cases by hand: (isotropic, source) -> which direction is read as which."""
    expected = {
        ("xy", "xz"): "xz with x read as y",
        ("xy", "yz"): "yz with y read as x",
        ("xz", "xy"): "xy with x read as z, transposed",
        ("xz", "yz"): "yz with z read as x, transposed",
        ("yz", "xy"): "xy with y read as z",
        ("yz", "xz"): "xz with z read as y",
    }
    m = Micrographs.from_volume(LABELS, 2)
    for (isotropic, source), reading in expected.items():
        axis = AXIS_NAMES[NORMAL[isotropic]]
        given = {plane: m.images[plane] for plane in (isotropic, source)}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            got = Micrographs.load(given, phases="labels", symmetry_axis=axis)
        (text,) = got.borrowed.values()
        assert text == f"{reading}: {isotropic} is taken as isotropic"


def test_from_volume_borrows_too():
    m = Micrographs.from_volume(transverse("z"), 5, planes=("xy", "yz"))
    assert m.borrowed == {"xz": "yz with y read as x: xy is taken as isotropic"}


def test_refusals_of_borrowing():
    xy, xz = LABELS[:2], LABELS[:, :2].transpose(1, 0, 2)
    with pytest.raises(
        ValueError,
        match="`symmetry_axis` must be normal to one of the planes given, xy and xz, got 'x': "
        "plane yz cannot be borrowed",
    ):
        Micrographs.load({"xy": xy, "xz": xz}, phases="labels", symmetry_axis="x")
    with pytest.raises(ValueError, match="`symmetry_axis` must be 'auto' where one plane"):
        Micrographs.load({"xy": xy}, phases="labels", symmetry_axis="x")
    with pytest.raises(ValueError, match="`symmetry_axis` must be 'auto' where all three"):
        Micrographs.from_volume(LABELS, 2, symmetry_axis="x")
    with pytest.raises(ValueError, match="`symmetry_axis` must be 'auto' or 'x' or 'y' or 'z'"):
        Micrographs.load({"xy": xy}, phases="labels", symmetry_axis="w")
    with pytest.raises(ValueError, match="`voxel_size` must be the same along all axes where one"):
        Micrographs.load({"xy": xy}, phases="labels", voxel_size=(1, 1, 2))
    with pytest.raises(ValueError, match="`voxel_size` must be the same along x and y, the direc"):
        Micrographs.load(
            {"xy": xy, "xz": xz}, phases="labels", voxel_size=(1, 1, 2), symmetry_axis="z"
        )


def test_autocorrelation_is_the_fraction_of_equal_pairs():
    image = np.array([[0, 0, 1, 1], [0, 1, 0, 1]], dtype=np.uint8)
    assert autocorrelation(image, 1, 3).tolist() == [1.0, 2 / 6, 2 / 4, 0.0]
    assert autocorrelation(image, 0, 1).tolist() == [1.0, 0.5]


def test_correlation_length_of_the_model():
    """1/e of the S2 of a cut Gaussian field, found on its analytic curve."""
    volume = synthetic.level_cut((96, 96, 96), (0.6, 0.4), (3.0, 5.0, 8.0), seed=0)
    m = Micrographs.from_volume(volume)
    for plane in PLANES:
        for row_or_column, axis in enumerate(IMAGE_AXES[plane]):
            length = (3.0, 5.0, 8.0)[axis]
            r = np.linspace(0, 20, 2001)
            s2 = synthetic.level_cut_two_point(0.4, np.exp(-((r / length) ** 2)))
            expected = r[np.argmax((s2 - 0.16) / 0.24 < np.exp(-1))]
            got = correlation_length(m.images[plane], row_or_column, most=96)
            assert got == pytest.approx(expected, rel=0.08)


def test_check_reports_and_prints():
    m = Micrographs.from_volume(transverse("x"), 8, seed=1)
    report = m.check()
    assert report.warnings == ()
    assert [p.plane for p in report.planes] == list(PLANES)
    assert [p.images for p in report.planes] == [8, 8, 8]
    assert [(a.axis, a.planes) for a in report.axes] == [
        ("x", ("xy", "xz")),
        ("y", ("xy", "yz")),
        ("z", ("xz", "yz")),
    ]
    text = str(report)
    assert "xy  8 images of 80 x 80; pore 0." in text
    assert text.endswith("the planes agree")
    assert report.to_dict()["planes"][0]["images"] == 8


def test_contradicting_fractions_warn():
    other = synthetic.level_cut((40, 44, 48), (0.4, 0.6), 3.0, seed=2).labels
    images = {"xy": LABELS[::4], "xz": LABELS.swapaxes(0, 1)[::4], "yz": other.T.swapaxes(1, 2)}
    with pytest.warns(UserWarning, match="contradict each other: volume fraction of") as caught:
        m = Micrographs.load(images, phases="labels")
    assert len(caught) == len(m.check().warnings)
    assert sum("xy and yz" in str(w.message) for w in caught) == 1
    assert f"warning: {caught[0].message}" in str(m.check())


def test_a_turned_plane_warns():
    volume = Micrographs.from_volume(transverse("x"))
    images = dict(volume.images)
    images["xz"] = [image.T for image in images["xz"]]
    with pytest.warns(UserWarning, match="share the direction") as caught:
        Micrographs.load(images, phases="labels")
    messages = sorted(m for w in caught if "amount to" not in (m := str(w.message)))
    assert [("direction x" in m, "direction z" in m) for m in messages] == [
        (True, False),
        (False, True),
    ]
    assert all("check the orientation of the images" in m for m in messages)


def test_an_anisotropic_plane_that_stands_alone_warns():
    images = Micrographs.from_volume(transverse("x")).images
    with pytest.warns(UserWarning, match=r"plane xy is taken as isotropic \(xz, yz borrowed\)"):
        Micrographs.load({"xy": images["xy"]}, phases="labels")
    with pytest.warns(
        UserWarning, match=r"isotropic \(yz borrowed\), but along . and . S2 differs"
    ):
        Micrographs.load({"xy": images["xy"], "xz": images["xz"]}, phases="labels")


def test_few_images_have_no_false_alarm():
    for seed, count in itertools.product(range(8), (1, 2, 4)):
        m = Micrographs.from_volume(VOLUME, count, seed=seed)
        assert m.check().warnings == ()


def test_planes_must_hold_the_same_phases():
    three = synthetic.level_cut((20, 20, 20), (0.4, 0.3, 0.3), 3.0, seed=0).labels
    two = np.minimum(three, 1)
    message = "must hold the same phases in all planes, got phase 2 in plane xy and not in plane xz"
    refused(ValueError, message, {"xy": three, "xz": two, "yz": three}, phases="labels")
