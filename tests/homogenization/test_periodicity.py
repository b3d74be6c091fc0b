# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Volumes that are homogenized as periodic although their opposite faces do not match."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import micro3d_fast as m3
from micro3d_fast.homogenization._periodicity import face_seams, known_periodic
from volumes import spheres

SOFT, HARD = m3.Isotropic(E=1.0, nu=0.3), m3.Isotropic(E=20.0, nu=0.2)
FAST = {"tol": 1e-3}


def half_of_a_period():
    """Periodic spheres, cut in the middle along x alone."""
    return spheres(32, 5.0, 0.5, seed=4)[:, :, :16].copy()


@pytest.mark.parametrize("shift", [(0, 0, 0), (5, 0, 7), (3, 11, 2)])
def test_a_periodic_volume_does_not_warn_wherever_it_is_cut(shift):
    image = np.roll(spheres(20, 4.0, 0.4, seed=1), shift, axis=(0, 1, 2))
    assert face_seams(image, range(3)) == {}
    for got in (
        m3.homogenize_elasticity(image, [SOFT, HARD], **FAST),
        m3.homogenize_conductivity(image, [1.0, 5.0], **FAST),
        m3.relative_diffusivity(image, 0, axis="x", sides="periodic", **FAST),
    ):
        assert got.warnings == ()
        assert "periodic" in got.boundary
        assert got.boundary in repr(got)


def test_layers_one_period_thick_do_not_warn():
    """The faces of a laminate of two layers are unlike in every voxel, as is the interface."""
    layers = np.zeros((18, 8, 8), dtype=np.uint8)
    layers[9:] = 1
    assert face_seams(layers, range(3)) == {}


def test_a_cut_volume_warns_once_along_the_axis_that_was_cut():
    image = half_of_a_period()
    match = r"periodic, but opposite faces do not match along x \(\d"
    with pytest.warns(UserWarning, match=match) as emitted:
        elastic = m3.homogenize_elasticity(image, [SOFT, HARD], **FAST)
    assert len(emitted) == 1
    assert emitted[0].filename == __file__
    assert elastic.warnings == (str(emitted[0].message),)
    assert f"  warning: {elastic.warnings[0]}" in repr(elastic)
    with pytest.warns(UserWarning, match=match):
        conducting = m3.homogenize_conductivity(image, [1.0, 5.0], **FAST)
    assert conducting.warnings == elastic.warnings
    assert conducting.warnings[0] in repr(conducting)


def test_two_plates_warn_along_periodic_sides_alone():
    image = half_of_a_period()
    quiet = m3.relative_diffusivity(image, 0, axis="z", **FAST)
    assert (quiet.warnings, quiet.boundary) == ((), "two plates, no-flux sides")
    across = m3.relative_diffusivity(image, 0, axis="x", sides="periodic", **FAST)
    assert across.warnings == ()
    with pytest.warns(UserWarning, match="do not match along x"):
        got = m3.relative_diffusivity(image, 0, axis="z", sides="periodic", **FAST)
    assert got.warnings[0] in repr(got)
    image[:, 4] = 1  # a wall
    with pytest.warns(UserWarning, match="do not match along x"):
        blocked = m3.relative_diffusivity(image, 0, axis="y", sides="periodic", **FAST)
    assert blocked.relative == 0.0
    assert blocked.warnings[0] in repr(blocked)


def test_a_provenance_that_knows_is_believed():
    image = half_of_a_period()
    made = m3.Microstructure(image, provenance={"periodic": [False, False, True]})
    assert m3.homogenize_conductivity(made, [1.0, 5.0], **FAST).warnings == ()
    open_volume = m3.Microstructure(image, provenance={"periodic": [True, True, False]})
    with pytest.warns(UserWarning, match="along x"):
        m3.homogenize_conductivity(open_volume, [1.0, 5.0], **FAST)


def test_periodic_axes_of_a_provenance():
    made = m3.synthetic.separator((8, 8, 8), periodic=(True, False, True))
    assert known_periodic(made.provenance) == (True, False, True)
    assert known_periodic(made[:, :, 1:].provenance) == (True, False, False)
    assert known_periodic(made[1:, 1:][:, :2].provenance) == (False, False, True)
    assert known_periodic(m3.synthetic.layered((8, 8, 8), (0.5, 0.5), 4).provenance) == (True,) * 3
    for unknown in (None, {}, {"periodic": "yes"}, {"periodic": [True]}, {"parameters": 3}):
        assert known_periodic(unknown) == (False,) * 3


def test_rates_of_alarm():
    """Of cut volumes nine in ten warn, of periodic ones without a provenance one in a hundred."""
    found = {
        periodic: np.mean(
            [
                [axis in face_seams(volume.labels, range(3)) for axis in range(3)]
                for seed in range(12)
                for generator in (m3.synthetic.fibre_composite, m3.synthetic.cathode)
                for volume in [generator((32, 32, 32), seed=seed, periodic=periodic)]
            ]
        )
        for periodic in (True, False)
    }
    assert found[True] <= 2 / 72
    assert found[False] >= 0.9


def test_a_seam_lowers_the_axial_modulus_of_fibres():
    """A periodic volume of wavy fibres is nearer to the rule of mixtures than an open one."""
    fibre = m3.Isotropic(E=50.0, nu=0.3)
    axial = {}
    for periodic in (True, False):
        volume = m3.synthetic.fibre_composite((24, 24, 24), seed=3, periodic=periodic)
        with warnings.catch_warnings(record=True) as emitted:
            warnings.simplefilter("always")
            got = m3.homogenize_elasticity(volume, [m3.Isotropic(E=1.0, nu=0.3), fibre], **FAST)
        assert bool(emitted) is not periodic
        axial[periodic] = got.E[2] / (volume.volume_fractions @ [1.0, 50.0])
    assert axial[False] < axial[True] - 0.02
    assert axial[True] < 1.0
