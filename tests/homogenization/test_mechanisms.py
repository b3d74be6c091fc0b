# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Where nothing connects there is no stiffness; soft directions beside stiff phases are kept."""

import math

import numpy as np
import pytest

import micro3d_fast as m3
from micro3d_fast.homogenization import PORE, ConvergenceError
from micro3d_fast.homogenization.connectivity import solid_connectivity
from volumes import blocks

STEEL = m3.Isotropic(E=200e9, nu=0.3, alpha=12e-6)


def ball(n, radius):
    grid = np.indices((n,) * 3) - (n - 1) / 2
    return ((grid**2).sum(0) < radius**2).astype(np.uint8)


@pytest.mark.parametrize("tol", [1e-2, 1e-6])
@pytest.mark.parametrize("precision", ["mixed", "float64"])
def test_an_island_has_no_stiffness(tol, precision):
    got = m3.homogenize_elasticity(ball(12, 4), [PORE, STEEL], tol=tol, precision=precision)
    assert not got.stiffness.any()
    assert not got.E.any()
    assert not any(got.G.values())
    assert all(math.isnan(nu) for nu in got.nu.values())
    assert np.isnan(got.thermal_expansion).all()
    assert np.isnan(got.compliance).all()
    assert not got.young([[1, 0, 0], [1, 1, 1]]).any()
    np.testing.assert_allclose(got.phase_strain[:, 1], 0.0, atol=1e-12)


def test_fibres_resist_loads_along_them_alone():
    labels = np.zeros((6, 8, 8), np.uint8)
    labels[:, 2:6, 2:6] = 1
    got = m3.homogenize_elasticity(labels, [PORE, STEEL], fields=True)
    only = np.zeros((6, 6))
    only[2, 2] = 50e9
    np.testing.assert_allclose(got.stiffness, only, rtol=1e-6)
    assert (got.stiffness[only == 0] == 0).all()
    assert got.young([0, 0, -2]) == pytest.approx(50e9, rel=1e-6)
    assert not got.young([[1, 0, 0], [1, 0, 1], [0.01, 0, 1]]).any()
    assert got.compliance[2, 2] == pytest.approx(1 / 50e9, rel=1e-6)
    assert np.isnan(np.delete(got.compliance.reshape(-1), 14)).all()
    assert got.thermal_expansion[2, 2] == pytest.approx(12e-6, rel=1e-6)
    assert np.isnan(np.diag(got.thermal_expansion)[:2]).all()
    axial = got.local(stress=[0, 0, 1e6, 0, 0, 0])
    assert axial.phase_stress[1, 2] == pytest.approx(4e6, rel=1e-4)
    with pytest.raises(ValueError, match="`stress` must be a stress that the structure carries"):
        got.local(stress=[1e6, 0, 1e6, 0, 0, 0])


@pytest.mark.parametrize("voxel_size", [(1.0, 1.0, 1.0), (1.0, 2.0, 1.0)])
def test_an_oblique_wall_resists_in_its_plane(voxel_size):
    """A wall along z and (x, y) = (dx, dy) carries Sym^2 of its plane: 3 of 6 stresses."""
    row = (np.arange(8)[:, None] - np.arange(8)) % 8 < 3
    labels = np.repeat(row[None].astype(np.uint8), 4, axis=0)
    got = m3.homogenize_elasticity(labels, [PORE, STEEL], voxel_size=voxel_size, tol=1e-8)
    values = np.linalg.eigvalsh(got.stiffness)
    assert (np.abs(values[:3]) < 1e-12 * values[-1]).all()
    assert (values[3:] > 1e-3 * values[-1]).all()
    _, dy, dx = voxel_size
    assert got.young([dx, dy, 0]) > 0.1 * 200e9 * 3 / 8
    assert got.young([dx, dy, 1]) > 0
    assert not got.young([[dy, -dx, 0], [1, 0, 0], [0, 1, 0], [dx, dy + 0.01, 0]]).any()
    assert got.E[2] == pytest.approx(200e9 * 3 / 8, rel=1e-3)
    assert math.isnan(got.nu["zx"])


def test_crossed_fibres_that_do_not_touch_carry_each_its_own():
    labels = np.zeros((8, 6, 6), np.uint8)
    labels[1:3, 1:4] = 1  # along x
    labels[5:7, :, 1:4] = 1  # along y
    got = m3.homogenize_elasticity(labels, [PORE, STEEL])
    np.testing.assert_allclose(got.E, [200e9 / 8, 200e9 / 8, 0.0], rtol=1e-6)
    assert got.G == {"yz": 0.0, "xz": 0.0, "xy": 0.0}
    assert not got.young([1, 1, 0])  # a shear is free
    assert got.nu["xy"] == pytest.approx(0.0, abs=1e-9)
    assert math.isnan(got.nu["xz"])


def test_windings_of_pieces():
    solid = np.zeros((4, 6, 6), bool)
    solid[:, 1, 1] = True
    solid[0, 4] = True
    windings = solid_connectivity(solid).windings
    assert sorted(np.abs(w).tolist() for w in windings) == [[[0, 0, 1]], [[1, 0, 0]]]
    assert solid_connectivity(np.ones((2, 2, 2), bool)).windings[0].shape == (3, 3)


@pytest.mark.parametrize("contrast", [1e4, 1e8, 1e10, 1e12])
@pytest.mark.parametrize("precision", ["mixed", "float64"])
def test_a_soft_direction_beside_a_stiff_phase_is_kept(contrast, precision):
    labels = np.zeros((4, 2, 2), np.uint8)
    labels[2:] = 1
    phases = [
        m3.Isotropic(E=1.0, nu=0.0, alpha=1e-5),
        m3.Isotropic(E=contrast, nu=0.0, alpha=2e-5),
    ]
    got = m3.homogenize_elasticity(labels, phases, precision=precision)
    series = 2 / (1 + 1 / contrast)  # Reuss
    assert got.E[2] == pytest.approx(series, rel=1e-3)
    assert got.G["xz"] == pytest.approx(series / 2, rel=1e-3)
    assert got.young([0, 0, 1]) == pytest.approx(series, rel=1e-3)
    assert got.compliance[2, 2] == pytest.approx(1 / series, rel=1e-3)
    assert got.thermal_expansion[2, 2] == pytest.approx(1.5e-5, rel=1e-3)
    np.testing.assert_allclose(got.phase_strain[2, :, 2], [series, series / contrast], rtol=1e-3)
    assert got.warnings == ()
    assert got.thermal_expansion_error == 0.0


def test_soft_walls_beside_pores_are_kept():
    """A laminate of soft, stiff and pore columns along z: in series along x, free along y."""
    labels = np.zeros((2, 4, 8), np.uint8)
    labels[:, :2, :4] = 1
    labels[:, :2, 4:] = 2
    phases = [PORE, m3.Isotropic(E=1.0, nu=0.0), m3.Isotropic(E=1e10, nu=0.0)]
    got = m3.homogenize_elasticity(labels, phases)
    np.testing.assert_allclose(got.E, [1.0, 0.0, 0.25e10], rtol=1e-2)  # tol^2 times the contrast


def test_expansion_of_three_phases_states_its_error(rng):
    labels = np.ones((12, 8, 8), np.uint8)
    labels[1:5] = 2 * (rng.random((4, 8, 8)) < 0.2)
    labels[[0, 5]] = 0

    def phases(contrast):
        return [
            m3.Isotropic(E=1.0, nu=0.3, alpha=5e-5),
            m3.Isotropic(E=contrast, nu=0.2, alpha=1e-5),
            m3.Isotropic(E=contrast / 3, nu=0.25, alpha=2e-5),
        ]

    mild = m3.homogenize_elasticity(labels, phases(100.0))
    assert 0 < mild.thermal_expansion_error < 1e-5
    with pytest.warns(UserWarning, match="thermal expansion is known to about"):
        got = m3.homogenize_elasticity(labels, phases(1e8))
    want = m3.homogenize_elasticity(
        labels, phases(1e8), tol=1e-12, precision="float64", max_iterations=5000
    )
    error = np.abs(got.thermal_expansion - want.thermal_expansion).max()
    assert error / np.abs(want.thermal_expansion).max() < 3 * got.thermal_expansion_error
    assert want.thermal_expansion_error < 1e-3


@pytest.mark.parametrize("contrast", [10.0, 1e4])
def test_expansion_of_directed_fibres_states_its_error(rng, contrast):
    labels = blocks((9, 9, 9), (0.4, 0.4, 0.2), (3, 3, 3), 0)
    directions = rng.standard_normal((*labels.shape, 3))
    fibre = m3.TransverselyIsotropic(
        E_axial=10 * contrast, E_transverse=contrast, G_axial=contrast / 2,
        nu_axial=0.2, nu_transverse=0.3, alpha_axial=-1e-6, alpha_transverse=1e-5,
    )  # fmt: skip
    phases = [
        m3.Isotropic(E=1.0, nu=0.35, alpha=6e-5),
        fibre,
        m3.Isotropic(E=contrast**0.5, nu=0.2),
    ]

    def solve(**options):
        return m3.homogenize_elasticity(
            labels, phases, directions=directions, fields=True, max_iterations=5000, **options
        )

    want = solve(tol=1e-10, precision="float64")
    for tol, precision in ((1e-5, "mixed"), (1e-6, "float64")):
        got = solve(tol=tol, precision=precision)
        error = np.abs(got.thermal_expansion - want.thermal_expansion).max()
        error /= np.abs(want.thermal_expansion).max()
        assert error <= got.thermal_expansion_error < min(100 * error, 1e-3)
        np.testing.assert_allclose(got.phase_strain, want.phase_strain, atol=100 * tol)
    assert want.thermal_expansion_error < 1e-7


def test_partial_results_hold_nan_for_loads_never_run():
    phases = [m3.Isotropic(E=1.0, nu=0.3), m3.Isotropic(E=100.0, nu=0.3)]
    with pytest.raises(ConvergenceError) as caught:
        m3.homogenize_elasticity(ball(12, 4.5), phases, max_iterations=3, fields=True)
    partial = caught.value.partial
    assert caught.value.residual == partial.residuals[0] > 1e-6
    assert np.isnan(partial.residuals[1:]).all()
    assert np.isfinite(partial.stiffness[0, 0])
    assert np.isnan(np.delete(partial.stiffness.reshape(-1), 0)).all()
    assert np.isnan([*partial.E, *partial.G.values(), *partial.nu.values()]).all()
    assert np.isnan(partial.thermal_expansion).all()
    assert np.isnan(partial.phase_strain[1:]).all()
    assert np.isnan(partial.young([1, 0, 0]))
    assert np.isnan(partial.compliance).all()
    assert "nan" in repr(partial)
    with pytest.raises(ValueError, match="`local` must follow a call that converged"):
        partial.local(strain=[1, 0, 0, 0, 0, 0])
    with pytest.raises(ConvergenceError) as caught:
        m3.homogenize_conductivity(ball(12, 4.5), [1.0, 100.0], max_iterations=1, fields=True)
    partial = caught.value.partial
    assert np.isnan(partial.residuals[1:]).all()
    assert np.isnan(np.delete(partial.tensor.reshape(-1), 0)).all()
    assert np.isnan(partial.flux[1:]).all()
    assert "nan" in repr(partial)


def test_conduction_is_zero_where_no_conductor_connects():
    assert not m3.homogenize_conductivity(ball(12, 4), [0.0, 5.0]).tensor.any()
    labels = np.zeros((8, 8, 8), np.uint8)
    labels[:, 2:6, 2:6] = 1
    wires = m3.homogenize_conductivity(labels, [0.0, 5.0]).tensor
    assert wires[2, 2] == pytest.approx(1.25)
    assert np.count_nonzero(wires) == 1
    soft = m3.homogenize_conductivity(labels, [1e-10, 1.0]).tensor  # no insulator: kept
    assert soft[0, 0] == pytest.approx(2e-10, rel=0.5)


def test_nearly_incompressible_phases_warn_of_locking():
    labels = np.ones((8, 8, 8), np.uint8)
    labels[2:5, 2:5, 2:5] = 0
    rubber = m3.Isotropic(E=1.0, nu=0.495)
    with pytest.warns(UserWarning, match="phase 1 is nearly incompressible"):
        locked = m3.homogenize_elasticity(labels, [PORE, rubber])
    assert any("bbar=True" in sentence for sentence in locked.warnings)
    free = m3.homogenize_elasticity(labels, [PORE, rubber], bbar=True)
    assert free.warnings == ()
    assert free.stiffness[:3, :3].sum() < locked.stiffness[:3, :3].sum()
    turned = rubber.rotated(np.eye(3))
    with pytest.warns(UserWarning, match="bbar=True"):
        m3.homogenize_elasticity(labels, [PORE, turned])
    assert m3.homogenize_elasticity(labels, [PORE, m3.Isotropic(E=1.0, nu=0.48)]).warnings == ()
