# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Synthetic volumes agree with the truth in their provenance."""

from __future__ import annotations

import json

import numpy as np
import pytest

from micro3d_fast import synthetic
from micro3d_fast.microstructure import Microstructure

ALL = {
    "fibre_composite": synthetic.fibre_composite,
    "separator": synthetic.separator,
    "cathode": synthetic.cathode,
    "level_cut": synthetic.level_cut,
    "overlapping_spheres": synthetic.overlapping_spheres,
    "layered": synthetic.layered,
    "checkerboard": synthetic.checkerboard,
}
RANDOM = [name for name in ALL if name not in ("layered", "checkerboard")]


def two_point(phase, axis, lags):
    """Periodic S2 of a boolean volume along one axis."""
    return np.array([np.mean(phase & np.roll(phase, -r, axis)) for r in range(lags)])


def face_jump(labels, axis):
    """Voxels that differ across the joined faces, over those that differ across a cut inside."""
    pairs = np.moveaxis(labels, axis, 0)
    inside = np.mean(pairs[1:] != pairs[:-1])
    return np.mean(pairs[0] != pairs[-1]) / inside


# ---------------------------------------------------------------------------------- all of them


@pytest.mark.parametrize("name", ALL)
def test_every_volume_holds_its_truth(name):
    m = ALL[name]((24, 20, 28))
    assert isinstance(m, Microstructure)
    assert m.shape == (24, 20, 28)
    assert m.provenance["generator"] == name
    assert m.provenance["parameters"]["shape"] == [24, 20, 28]
    truth = m.provenance["truth"]
    assert truth["volume_fractions"] == m.volume_fractions.tolist()
    assert sum(truth["voxels"]) == m.labels.size
    json.dumps(m.provenance, allow_nan=False)
    assert ALL[name]((8, 8, 8), voxel_size=1e-6).voxel_size == (1e-6, 1e-6, 1e-6)


@pytest.mark.parametrize("name", RANDOM)
def test_the_seed_decides_the_volume(name):
    one, again, other = (ALL[name]((24, 24, 24), seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.labels, again.labels)
    assert one.provenance == again.provenance
    assert (one.labels != other.labels).any()


@pytest.mark.parametrize("name", RANDOM)
@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 30, 30), (30, 1, 30), (3, 4, 5)], ids=str)
@pytest.mark.parametrize("periodic", [False, True, (True, False, True)], ids=str)
def test_every_shape_works(name, shape, periodic):
    assert ALL[name](shape, periodic=periodic).shape == shape


@pytest.mark.parametrize("name", RANDOM)
def test_periodic_axes_join_and_others_do_not(name):
    options = {"misalignment": 8.0} if name == "fibre_composite" else {}
    for axis in range(3):
        periodic = tuple(a == axis for a in range(3))
        labels = ALL[name]((48, 48, 48), seed=3, periodic=periodic, **options).labels
        jumps = [face_jump(labels, a) for a in range(3)]
        assert jumps[axis] < 1.6
        assert all(jump > 1.6 for a, jump in enumerate(jumps) if a != axis)


# ---------------------------------------------------------------------------------- fibres


def test_fibres_run_along_z():
    m = synthetic.fibre_composite((64, 64, 64), seed=0)
    assert m.phase_names == ("matrix", "fibre")
    truth = m.provenance["truth"]
    assert truth["misalignment_rms_degrees"] == pytest.approx(3.0, rel=0.1)
    assert truth["fibre_radius"] == pytest.approx(4.5, rel=0.02)
    assert m.volume_fractions[1] == pytest.approx(0.45, abs=0.01)
    changes = [np.mean(np.diff(m.labels, axis=a) != 0) for a in range(3)]
    assert changes[0] < 0.2 * min(changes[1:])
    assert changes[1] == pytest.approx(changes[2], rel=0.15)


def test_straight_fibres_are_discs_repeated():
    m = synthetic.fibre_composite((9, 64, 64), misalignment=0.0, periodic=True, seed=0)
    assert (m.labels == m.labels[0]).all()
    truth = m.provenance["truth"]
    area = truth["fibres"] * np.pi * truth["fibre_radius"] ** 2
    assert area / 64**2 == pytest.approx(0.45)  # the radius is fitted to the number
    assert m.volume_fractions[1] == pytest.approx(0.45, abs=0.01)  # voxels of round discs


@pytest.mark.parametrize(("fraction", "gap"), [(0.2, 2.0), (0.45, 2.0), (0.6, 1.0)])
def test_fibres_do_not_overlap(fraction, gap):
    from scipy import ndimage

    m = synthetic.fibre_composite((40, 80, 80), fraction, periodic=True, seed=1, gap=gap)
    truth = m.provenance["truth"]
    assert truth["smallest_gap"] > 0.45 * gap
    assert m.volume_fractions[1] == pytest.approx(fraction, abs=0.01)
    if gap >= 2.0:  # wide enough to show between voxels: every piece of a slice is one disc
        pieces, _ = ndimage.label(m.labels[20])
        assert np.bincount(pieces.ravel())[1:].max() < 1.2 * np.pi * truth["fibre_radius"] ** 2


def test_misalignment_is_the_requested_one():
    for angle in (1.0, 6.0):
        m = synthetic.fibre_composite((64, 64, 64), 0.3, misalignment=angle, seed=0)
        assert m.provenance["truth"]["misalignment_rms_degrees"] == pytest.approx(angle, rel=0.1)


# ---------------------------------------------------------------------------------- level cuts


def test_separator_is_exact_and_anisotropic():
    m = synthetic.separator((48, 48, 48), seed=0)
    assert m.phase_names == ("pore", "polymer")
    assert m.provenance["truth"]["voxels"] == [48**3 - round(0.4 * 48**3), round(0.4 * 48**3)]
    changes = [np.mean(np.diff(m.labels, axis=a) != 0) for a in range(3)]
    assert changes[0] == pytest.approx(changes[1], rel=0.1)
    assert changes[2] == pytest.approx(2.0 * changes[0], rel=0.15)  # 7 / 3.5


def test_both_phases_of_the_separator_are_connected():
    from scipy import ndimage

    m = synthetic.separator((64, 64, 64), seed=0)
    for phase in (0, 1):
        pieces, _ = ndimage.label(m.labels == phase)
        assert np.bincount(pieces.ravel())[1:].max() > 0.95 * np.sum(m.labels == phase)


def test_two_point_of_the_level_cut_is_the_analytic_one():
    lengths = (7.0, 5.0, 4.0)
    got = np.mean(
        [
            [
                two_point(
                    synthetic.separator((64,) * 3, 0.4, lengths, s, periodic=True).labels == 1,
                    a,
                    16,
                )
                for a in range(3)
            ]
            for s in range(6)
        ],
        axis=0,
    )
    for axis, length in enumerate(lengths):
        field = np.exp(-((np.arange(16) / length) ** 2))
        expected = synthetic.level_cut_two_point(0.4, field)
        np.testing.assert_allclose(got[axis], expected, atol=0.006)  # 3 sigma of six volumes


def test_two_point_of_one_half_is_the_arcsine():
    rho = np.array([-1.0, -0.3, 0.0, 0.5, 0.99, 1.0])
    got = synthetic.level_cut_two_point(0.5, rho)
    np.testing.assert_allclose(got, 0.25 + np.arcsin(rho) / (2 * np.pi), atol=1e-12)


def test_two_point_ends_are_fraction_and_square():
    np.testing.assert_allclose(
        synthetic.level_cut_two_point(0.2, np.array([1.0, 0.0])), [0.2, 0.04], atol=1e-8
    )


def test_level_cut_of_many_phases_is_exact():
    fractions = (0.1, 0.0, 0.35, 0.55)
    m = synthetic.level_cut((20, 20, 20), fractions)
    assert m.provenance["truth"]["voxels"] == [800, 0, 2800, 4400]


# ---------------------------------------------------------------------------------- cathode


def test_cathode_is_exact_and_isotropic():
    m = synthetic.cathode((64, 64, 64), seed=0)
    assert m.phase_names == ("pore", "active material", "binder")
    wanted = [round(f * 64**3) for f in (0.5, 0.15)]
    assert m.provenance["truth"]["voxels"][1:] == wanted
    for phase in range(3):
        changes = [np.mean(np.diff(m.labels == phase, axis=a)) for a in range(3)]
        assert max(changes) < 1.15 * min(changes)


def test_binder_sits_at_the_contacts():
    """Nearly all binder is close to active material, and it fills gaps first."""
    from scipy import ndimage

    m = synthetic.cathode((64, 64, 64), seed=0, periodic=True)
    distance = ndimage.distance_transform_edt(np.pad(m.labels, 8, mode="wrap") != 1)
    distance = distance[8:-8, 8:-8, 8:-8]
    assert distance[m.labels == 2].mean() < 0.6 * distance[m.labels == 0].mean()
    near = distance <= 1.5  # the skin of the particles: wet only where another one is near
    assert 0.15 < np.mean(m.labels[near & (m.labels != 1)] == 2) < 0.7


def test_active_particles_are_whole_spheres():
    from scipy import ndimage

    m = synthetic.cathode((48, 48, 48), (0.75, 0.25, 0.0), radius_spread=0.0, seed=0, periodic=True)
    padded = np.pad(m.labels == 1, 16, mode="wrap")
    pieces, _ = ndimage.label(padded)
    inner = np.unique(pieces[16:-16, 16:-16, 16:-16])[1:]
    sizes = np.bincount(pieces.ravel())[inner]
    volume = 4 / 3 * np.pi * m.provenance["truth"]["mean_radius"] ** 3
    assert np.median(sizes) == pytest.approx(volume, rel=0.1)


# ---------------------------------------------------------------------------------- the others


def test_overlapping_spheres_follow_the_boolean_model():
    volumes = [
        synthetic.overlapping_spheres((64,) * 3, 0.4, 5.0, seed, periodic=True).labels == 1
        for seed in range(8)
    ]
    got = np.mean([[two_point(v, a, 14) for a in range(3)] for v in volumes], axis=(0, 1))
    expected = synthetic.overlapping_spheres_two_point(0.4, 5.0, np.arange(14))
    np.testing.assert_allclose(got, expected, atol=0.02)  # 3 sigma of eight volumes
    assert expected[0] == pytest.approx(0.4)
    assert expected[-1] == pytest.approx(0.16)


@pytest.mark.parametrize("axis", ["z", "y", "x"])
def test_layers(axis):
    m = synthetic.layered((16, 24, 32), (0.25, 0.5, 0.25), period=8, axis=axis)
    number = "zyx".index(axis)
    line = np.moveaxis(m.labels, number, 0)
    assert (line == line[:, :1, :1]).all()
    assert line[:8, 0, 0].tolist() == [0, 0, 1, 1, 1, 1, 2, 2]
    np.testing.assert_array_equal(line[:8], line[8:16])
    truth = m.provenance["truth"]
    assert truth["thickness"] == [2, 4, 2]
    assert truth["periodic"] is True
    assert truth["symmetry_axis"] == axis
    assert synthetic.layered((16, 25, 33), axis="y").provenance["truth"]["periodic"] is False


def test_checkerboard():
    m = synthetic.checkerboard((8, 8, 16), (2, 4, 8))
    assert m.labels[0, 0, 0] == 0
    assert m.labels[2, 0, 0] == m.labels[0, 4, 0] == m.labels[0, 0, 8] == 1
    assert m.labels[2, 4, 0] == 0
    assert m.volume_fractions.tolist() == [0.5, 0.5]
    assert m.provenance["truth"]["periodic"] == [True, True, True]


# ---------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: synthetic.separator((8, 8)), ValueError, "`shape` must be one or three positive"),
        (
            lambda: synthetic.separator((8, 8, 0)),
            ValueError,
            "`shape` must be one or three positive",
        ),
        (lambda: synthetic.separator((8,) * 3, 1.0), ValueError, r"in \(0, 1\), got 1"),
        (lambda: synthetic.separator((8,) * 3, seed=-1), ValueError, "`seed` must be an integer"),
        (lambda: synthetic.separator((8,) * 3, 0.5, (1, 2)), ValueError, "`correlation_length` m"),
        (lambda: synthetic.separator((8,) * 3, 0.5, 0.0), ValueError, "`correlation_length` must"),
        (lambda: synthetic.separator((8,) * 3, periodic=1), TypeError, "`periodic` must be True"),
        (
            lambda: synthetic.fibre_composite((8,) * 3, 0.72),
            ValueError,
            "`volume_fraction` must leave room for fibres and gaps, at most 0.608 here, got 0.72",
        ),
        (
            lambda: synthetic.fibre_composite((8,) * 3, misalignment=20),
            ValueError,
            r"`misalignment` must be a number in \[0, 15\), got 20",
        ),
        (lambda: synthetic.fibre_composite((8,) * 3, radius=0), ValueError, "`radius` must be"),
        (lambda: synthetic.fibre_composite((8,) * 3, gap=-1), ValueError, "`gap` must be"),
        (
            lambda: synthetic.cathode((8,) * 3, (0.5, 0.5)),
            ValueError,
            r"`volume_fractions` must hold 3 numbers in \[0, 1\] with sum 1, one per phase, got 2",
        ),
        (lambda: synthetic.cathode((8,) * 3, (0.5, 0.4, 0.2)), ValueError, "got sum 1.1"),
        (lambda: synthetic.cathode((8,) * 3, (0.2, 0.7, 0.1)), ValueError, "at most 0.6 active"),
        (lambda: synthetic.cathode((8,) * 3, radius_spread=1), ValueError, "`radius_spread` must"),
        (lambda: synthetic.level_cut((8,) * 3, 0.5), TypeError, "`volume_fractions` must hold"),
        (
            lambda: synthetic.layered((8,) * 3, (0.9, 0.1), 4),
            ValueError,
            "`period` must give every",
        ),
        (lambda: synthetic.layered((8,) * 3, period=1), ValueError, "`period` must be an integer"),
        (lambda: synthetic.layered((8,) * 3, axis="w"), ValueError, "`axis` must be 0, 1, 2 or"),
        (
            lambda: synthetic.checkerboard((8,) * 3, 0),
            ValueError,
            "`cell` must be one or three positive",
        ),
        (
            lambda: synthetic.overlapping_spheres_two_point(0.5, 0.0, 1.0),
            ValueError,
            "`radius` must be a positive number",
        ),
    ],
)
def test_refusals(call, error, message):
    with pytest.raises(error, match=message):
        call()
