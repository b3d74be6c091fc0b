# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Homogenization against closed forms, bounds and symmetries."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import micro3d_fast as m3
from micro3d_fast.homogenization import PORE
from micro3d_fast.homogenization._voigt import rotate_stiffness, strain_tensor, strain_voigt
from micro3d_fast.reference import hex8 as reference
from volumes import blobs, spheres

TIGHT = {"tol": 1e-9, "precision": "float64", "threads": 1}


def random_material(rng, *, stiff=1.0):
    a = rng.standard_normal((6, 6))
    alpha = rng.standard_normal((3, 3))
    return m3.Anisotropic(C=stiff * (a @ a.T + 2 * np.eye(6)), alpha=alpha + alpha.T)


def random_tensor(rng):
    a = rng.standard_normal((3, 3))
    return a @ a.T + 0.5 * np.eye(3)


def laminate(coefficients, weights, normal):
    """Return the exact effective matrix of layers, and the map of their (thermal) stresses.

    ``normal``: components of the stress that are continuous; the other strains are uniform.
    """
    n = list(normal)
    t = [i for i in range(coefficients.shape[-1]) if i not in n]
    size = coefficients.shape[-1]

    def mean(values):
        return np.einsum("p,p...->...", weights, values)

    inv = np.linalg.inv(coefficients[:, n][:, :, n])
    nt, tn = coefficients[:, n][:, :, t], coefficients[:, t][:, :, n]
    tt = coefficients[:, t][:, :, t]
    nn = np.linalg.inv(mean(inv))
    p = mean(inv @ nt)
    out = np.zeros((size, size))
    out[np.ix_(n, n)] = nn
    out[np.ix_(n, t)] = nn @ p
    out[np.ix_(t, n)] = (nn @ p).T
    out[np.ix_(t, t)] = mean(tt - tn @ inv @ nt) + p.T @ nn @ p

    def stress(tau):
        a = mean(np.einsum("pij,pj->pi", inv, tau[:, n]))
        result = np.zeros(size)
        result[n] = nn @ a
        result[t] = mean(tau[:, t] - np.einsum("pij,pj->pi", tn @ inv, tau[:, n])) + p.T @ nn @ a
        return result

    return out, stress


# ----------------------------------------------------------------------------------- exact cases


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("size", [(1.0, 1.0, 1.0), (0.7, 1.0, 2.0)], ids=["cubes", "bricks"])
def test_laminates_of_anisotropic_phases(axis, size, rng):
    layers = np.array([0, 0, 1, 2, 2, 2, 1, 0], dtype=np.uint8)
    shape = [3, 2, 3]
    shape[axis] = len(layers)
    image = np.broadcast_to(layers.reshape([-1 if a == axis else 1 for a in range(3)]), shape)
    weights = np.bincount(layers) / len(layers)
    materials = [random_material(rng), random_material(rng, stiff=5.0), random_material(rng)]
    normal = {2: (0, 4, 5), 1: (1, 3, 5), 0: (2, 3, 4)}[axis]
    want, stress = laminate(np.stack([m.stiffness for m in materials]), weights, normal)
    got = m3.homogenize_elasticity(image, materials, voxel_size=size, **TIGHT)
    assert np.abs(got.stiffness - want).max() <= 1e-9 * np.abs(want).max()
    alpha = np.linalg.solve(want, stress(np.stack([m.thermal_stress for m in materials])))
    assert np.abs(strain_voigt(got.thermal_expansion) - alpha).max() <= 1e-8 * np.abs(alpha).max()
    np.testing.assert_array_equal(got.stiffness, got.stiffness.T)

    tensors = np.stack([random_tensor(rng) for _ in range(3)])
    want, _ = laminate(tensors, weights, (2 - axis,))
    got = m3.homogenize_conductivity(image, list(tensors), voxel_size=size, **TIGHT)
    assert np.abs(got.tensor - want).max() <= 1e-9 * np.abs(want).max()


def test_mixed_precision_laminate():
    """float32 storage reaches 1e-9 in the stiffness too: its error is of second order."""
    layers = np.array([0, 0, 1, 1, 1, 0, 0, 0, 0, 0], dtype=np.uint8)
    image = np.broadcast_to(layers, (2, 3, 10))
    materials = [m3.Isotropic(E=1.0, nu=0.3), m3.Isotropic(E=30.0, nu=0.2)]
    weights = np.bincount(layers) / len(layers)
    want, _ = laminate(np.stack([m.stiffness for m in materials]), weights, (0, 4, 5))
    got = m3.homogenize_elasticity(image, materials, tol=1e-6)
    assert np.abs(got.stiffness - want).max() <= 1e-9 * np.abs(want).max()


def test_levin_on_a_random_image(rng):
    image = blobs((7, 8, 9), (0.6, 0.4), rng)
    a, b = random_material(rng), random_material(rng, stiff=4.0)
    got = m3.homogenize_elasticity(image, [a, b], **TIGHT)
    sa, sb = np.linalg.inv(a.stiffness), np.linalg.inv(b.stiffness)
    fa, fb = got.volume_fractions
    aa, ab = strain_voigt(a.thermal_expansion), strain_voigt(b.thermal_expansion)
    effective = np.linalg.inv(got.stiffness)
    levin = fa * aa + fb * ab + (effective - fa * sa - fb * sb) @ np.linalg.solve(sa - sb, aa - ab)
    np.testing.assert_allclose(got.thermal_expansion, strain_tensor(levin), rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("precision", ["mixed", "float64"])
def test_uniform_image_takes_no_iterations(precision, rng):
    material = random_material(rng)
    labels = np.full((5, 4, 6), 3, np.uint8)
    got = m3.homogenize_elasticity(labels, [PORE] * 3 + [material], precision=precision)
    assert got.iterations == (0,) * 6
    assert got.residuals == (0.0,) * 6
    np.testing.assert_allclose(got.stiffness, material.stiffness, rtol=1e-13)
    np.testing.assert_allclose(got.thermal_expansion, material.thermal_expansion, rtol=1e-10)
    k = random_tensor(rng)
    conduction = m3.homogenize_conductivity(labels, [0, 0, 0, k], precision=precision)
    assert conduction.iterations == (0, 0, 0)
    np.testing.assert_allclose(conduction.tensor, k, rtol=1e-13)


def test_a_layer_needs_no_iterations_along_it():
    """Right-hand sides that are zero except for rounding: no 0 / 0, no iteration."""
    image = np.zeros((4, 4, 6), dtype=np.uint8)
    image[:, :, 3:] = 1
    got = m3.homogenize_conductivity(image, [1.0 / 3.0, 7.1], tol=1e-10)
    assert got.iterations[1:] == (0, 0)
    assert got.iterations[0] > 0
    np.testing.assert_allclose(np.diag(got.tensor), [2 / (3 + 1 / 7.1), *2 * [(1 / 3 + 7.1) / 2]])


@pytest.mark.parametrize("shape", [(2, 3, 2), (1, 3, 4), (3, 1, 1)], ids=str)
def test_small_images_equal_the_dense_reference(shape, rng):
    image = rng.integers(0, 3, shape, dtype=np.uint8)
    image.reshape(-1)[:3] = (0, 1, 2)
    size = (1.0, 0.5, 0.8)
    materials = [random_material(rng) for _ in range(3)]
    want = reference.homogenize(np.stack([m.stiffness for m in materials])[image], size)
    got = m3.homogenize_elasticity(image, materials, voxel_size=size, **TIGHT)
    np.testing.assert_allclose(got.stiffness, want, atol=1e-9 * np.abs(want).max())
    tensors = [random_tensor(rng) for _ in range(3)]
    want = reference.homogenize(np.stack(tensors)[image], size)
    got = m3.homogenize_conductivity(image, tensors, voxel_size=size, **TIGHT)
    np.testing.assert_allclose(got.tensor, want, atol=1e-9 * np.abs(want).max())


def square(n, half=2):
    image = np.zeros((n, n), dtype=np.uint8)
    image[: n // half, : n // half] = 1
    return image


def test_obnosov_square_inclusions_of_a_quarter():
    for s in (10.0, 0.1):
        exact = np.sqrt((1 + 3 * s) / (3 + s))
        errors = []
        for n in (8, 16, 32):
            k = m3.homogenize_conductivity(square(n), [1.0, s], tol=1e-8).tensor
            assert k[0, 0] == pytest.approx(k[1, 1], rel=1e-9)
            errors.append(abs(k[0, 0] / exact - 1))
        assert errors[0] > errors[1] > errors[2]
        assert errors[2] < 4e-3
        assert k[2, 2] == pytest.approx(0.75 + 0.25 * s, rel=1e-9)  # along the prisms


def test_keller_duality_and_the_checkerboard():
    """k_xx(k1, k2) k_yy(k2, k1) = k1 k2 in two dimensions; elements approach it from one side."""
    board = (np.indices((32, 32)) // 16).sum(axis=0) % 2
    k = m3.homogenize_conductivity(board.astype(np.uint8), [1.0, 4.0], tol=1e-8).tensor
    assert k[0, 0] == pytest.approx(2.0, rel=2e-2)  # slow at the corners
    image = square(32)
    image[20:26, 3:30] = 1
    one = m3.homogenize_conductivity(image, [1.0, 4.0], tol=1e-8).tensor
    other = m3.homogenize_conductivity(image, [4.0, 1.0], tol=1e-8).tensor
    assert one[0, 0] * other[1, 1] == pytest.approx(4.0, rel=1e-2)


def test_hill_equal_shear_moduli():
    """K* = 1 / <1 / (K + 4G/3)> - 4G/3 whatever the geometry; up to the discretization here."""
    g, bulk = 1.0, np.array([1.0, 5.0])
    nu = (3 * bulk - 2 * g) / (2 * (3 * bulk + g))
    materials = [m3.Isotropic(E=2 * g * (1 + v), nu=v) for v in nu]
    errors = []
    for n in (16, 32):
        image = spheres(n, n / 3.1, 0.12, seed=3)
        got = m3.homogenize_elasticity(image, materials)
        f = got.volume_fractions
        exact = 1 / (f / (bulk + 4 * g / 3)).sum() - 4 * g / 3
        k = got.stiffness[:3, :3].sum() / 9
        low, high = got.bounds.hashin_shtrikman.K
        assert low == pytest.approx(high)
        assert low == pytest.approx(exact)
        errors.append(k / exact - 1)
    assert 0.0 < errors[1] < errors[0] < 0.01
    assert abs(2 * errors[1] - errors[0]) < 1e-4  # of first order in the voxel size


# ------------------------------------------------------------------------------------ inequalities


def test_bounds_of_random_images(rng):
    materials = [m3.Isotropic(E=1.0, nu=0.35), m3.Isotropic(E=10.0, nu=0.2)]
    image = spheres(16, 4.0, 0.3)
    got = m3.homogenize_elasticity(image, materials)
    scale = np.abs(got.stiffness).max()
    assert np.linalg.eigvalsh(got.bounds.voigt - got.stiffness).min() > -1e-9 * scale
    assert np.linalg.eigvalsh(got.stiffness - got.bounds.reuss).min() > -1e-9 * scale
    bulk = got.stiffness[:3, :3].sum() / 9
    low, high = got.bounds.hashin_shtrikman.K
    assert low < bulk < high
    k = m3.homogenize_conductivity(image, [1.0, 10.0])
    assert k.bounds.hashin_shtrikman[0] < np.trace(k.tensor) / 3 < k.bounds.hashin_shtrikman[1]
    anisotropic = [random_material(rng), random_material(rng, stiff=8.0)]
    got = m3.homogenize_elasticity(image, anisotropic, **TIGHT)
    scale = np.abs(got.stiffness).max()
    assert np.linalg.eigvalsh(got.bounds.voigt - got.stiffness).min() > 0
    assert np.linalg.eigvalsh(got.stiffness - got.bounds.reuss).min() > 0


# ------------------------------------------------------------------------------------- symmetries


def test_shifts_change_nothing(rng):
    image = blobs((6, 7, 8), (0.5, 0.5), rng)
    materials = [random_material(rng), random_material(rng, stiff=3.0)]
    want = m3.homogenize_elasticity(image, materials, **TIGHT)
    got = m3.homogenize_elasticity(np.roll(image, (2, 3, 5), (0, 1, 2)), materials, **TIGHT)
    scale = np.abs(want.stiffness).max()
    np.testing.assert_allclose(got.stiffness, want.stiffness, atol=1e-12 * scale)


@pytest.mark.parametrize("case", [*itertools.permutations(range(3)), "flip z", "flip y", "flip x"])
def test_axis_permutations_and_reflections_turn_the_stiffness(case, rng):
    image = blobs((5, 6, 7), (0.5, 0.5), rng)
    materials = [random_material(rng), random_material(rng, stiff=3.0)]
    want = m3.homogenize_elasticity(image, materials, **TIGHT)
    if isinstance(case, str):
        axis = "zyx".index(case[-1])
        moved, r = np.flip(image, axis), np.eye(3)
        r[2 - axis, 2 - axis] = -1.0
    else:
        moved = image.transpose(case)
        r = np.zeros((3, 3))
        for new, old in enumerate(case):  # array axis `old` becomes `new`
            r[2 - new, 2 - old] = 1.0
    turned = [m.rotated(r) for m in materials]
    got = m3.homogenize_elasticity(moved, turned, **TIGHT)
    expected = rotate_stiffness(want.stiffness, r)
    np.testing.assert_allclose(got.stiffness, expected, atol=1e-11 * np.abs(expected).max())
    np.testing.assert_allclose(got.thermal_expansion, r @ want.thermal_expansion @ r.T, atol=1e-7)


def test_phase_order_and_unused_labels_change_nothing(rng):
    image = blobs((6, 6, 6), (0.5, 0.3, 0.2), rng)
    materials = [random_material(rng) for _ in range(3)]
    want = m3.homogenize_elasticity(image, materials, **TIGHT).stiffness
    table = np.array([7, 2, 200], dtype=np.uint8)
    many = [PORE] * 201
    many[7], many[2], many[200] = materials
    got = m3.homogenize_elasticity(table[image], many, **TIGHT)
    np.testing.assert_allclose(got.stiffness, want, rtol=1e-10, atol=1e-10)
    assert got.volume_fractions.sum() == pytest.approx(1.0)
    assert got.volume_fractions.shape == (201,)


def test_bricks_are_cubes_of_a_stretched_image(rng):
    image = blobs((5, 5, 6), (0.5, 0.5), rng)
    materials = [m3.Isotropic(E=1.0, nu=0.3), m3.Isotropic(E=8.0, nu=0.25)]
    sizes = [(2.0, 1.0, 1.0), (4e-6, 2e-6, 2e-6)]
    a, b = (m3.homogenize_elasticity(image, materials, voxel_size=s, **TIGHT) for s in sizes)
    np.testing.assert_allclose(a.stiffness, b.stiffness, rtol=1e-10, atol=1e-12)
    full = m3.homogenize_elasticity(image.repeat(2, axis=0), materials, **TIGHT)
    np.testing.assert_allclose(a.stiffness, full.stiffness, rtol=0.08, atol=0.02)


def test_units_scale_out(rng):
    image = blobs((6, 6, 6), (0.5, 0.5), rng)
    one = [m3.Isotropic(E=1.0, nu=0.3), m3.Isotropic(E=8.0, nu=0.25)]
    pascal = [m3.Isotropic(E=1e9, nu=0.3), m3.Isotropic(E=8e9, nu=0.25)]
    a, b = m3.homogenize_elasticity(image, one), m3.homogenize_elasticity(image, pascal)
    np.testing.assert_allclose(b.stiffness, 1e9 * a.stiffness, rtol=1e-9, atol=1e3)
    assert a.iterations == b.iterations


# -------------------------------------------------------------------------------- the solver


@pytest.mark.parametrize("tol", [1e-4, 1e-6, 1e-9])
@pytest.mark.parametrize("contrast", [10.0, 1000.0])
def test_the_true_residual_meets_the_tolerance(tol, contrast):
    image = spheres(12, 3.5, 0.3)
    materials = [m3.Isotropic(E=1.0, nu=0.3), m3.Isotropic(E=contrast, nu=0.3)]
    exact = m3.homogenize_elasticity(image, materials, tol=1e-11, precision="float64")
    for precision in ("mixed", "float64"):
        got = m3.homogenize_elasticity(image, materials, tol=tol, precision=precision)
        assert max(got.residuals) <= tol
        assert min(got.residuals) > 0.0
        error = np.abs(got.stiffness - exact.stiffness).max() / np.abs(exact.stiffness).max()
        assert error <= max(100 * tol**2 * contrast, 2e-11)


def test_mixed_precision_takes_the_iterations_of_float64():
    image = spheres(16, 4.0, 0.3)
    for contrast, slack in ((10.0, 1), (1e3, 6)):
        materials = [m3.Isotropic(E=1.0, nu=0.3), m3.Isotropic(E=contrast, nu=0.3)]
        a = m3.homogenize_elasticity(image, materials, precision="mixed")
        b = m3.homogenize_elasticity(image, materials, precision="float64")
        for mixed, double in zip(a.iterations, b.iterations, strict=True):
            assert mixed <= double + slack


@pytest.mark.parametrize("sizes", [(16, 32), pytest.param((32, 64, 128), marks=pytest.mark.slow)])
def test_iterations_do_not_depend_on_size(sizes):
    materials = [m3.Isotropic(E=1.0, nu=0.3), m3.Isotropic(E=10.0, nu=0.3)]
    counts = []
    for n in sizes:  # the same geometry, finer
        coarse = spheres(sizes[0], sizes[0] / 5, 0.31)
        image = coarse
        for axis in range(3):
            image = image.repeat(n // sizes[0], axis=axis)
        counts.append(sum(m3.homogenize_elasticity(image, materials).iterations))
    assert max(counts) <= 1.1 * min(counts)
    assert max(counts) <= 150


def test_pores_converge_with_full_integration():
    image = spheres(16, 4.0, 0.3)
    got = m3.homogenize_elasticity(image, [m3.Isotropic(E=1.0, nu=0.3), PORE], tol=1e-8)
    assert max(got.residuals) <= 1e-8
    assert max(got.iterations) < 200
    assert got.contrast == np.inf
    assert 0.3 < got.E.min() < got.E.max() < 0.7
    assert not got.bounds.reuss.any()
    soft = m3.Isotropic(E=1e-7, nu=0.0)
    near = m3.homogenize_elasticity(image, [m3.Isotropic(E=1.0, nu=0.3), soft], tol=1e-8)
    np.testing.assert_allclose(near.stiffness, got.stiffness, atol=1e-5)
    k = m3.homogenize_conductivity(image, [1.0, 0.0], tol=1e-8)
    assert max(k.residuals) <= 1e-8
    assert k.tensor[0, 0] < k.bounds.hashin_shtrikman[1]


def test_thermal_expansion_of_a_porous_solid_is_that_of_the_solid():
    image = spheres(12, 4.0, 0.3)
    alpha = np.array([[1.0, 0.2, 0.0], [0.2, -1.0, 0.3], [0.0, 0.3, 2.0]])
    solid = m3.Anisotropic(C=m3.Isotropic(E=1.0, nu=0.3).stiffness, alpha=alpha)
    got = m3.homogenize_elasticity(image, [solid, PORE], tol=1e-8)
    np.testing.assert_allclose(got.thermal_expansion, alpha, atol=1e-6)


def test_nearly_incompressible_phases_do_not_lock_with_bbar():
    """Uniform cells along x do not show locking; a curved geometry does."""
    image = spheres(12, 4.0, 0.3)
    rubber = m3.Isotropic(E=1.0, nu=0.4999)
    stiff = m3.Isotropic(E=10.0, nu=0.3)
    with pytest.warns(UserWarning, match="use `bbar=True`"):
        locked = m3.homogenize_elasticity(image, [rubber, stiff], max_iterations=5000)
    free = m3.homogenize_elasticity(image, [rubber, stiff], bbar=True, max_iterations=5000)
    assert free.bbar
    assert not locked.bbar
    assert free.G["xy"] < locked.G["xy"]
    plain = m3.homogenize_elasticity(image, [m3.Isotropic(E=1.0, nu=0.3), stiff])
    other = m3.homogenize_elasticity(image, [m3.Isotropic(E=1.0, nu=0.3), stiff], bbar=True)
    np.testing.assert_allclose(other.stiffness, plain.stiffness, rtol=0.03, atol=0.03)
    uniform = m3.homogenize_elasticity(np.zeros((4, 4, 4), np.uint8), [rubber], bbar=True)
    np.testing.assert_allclose(uniform.stiffness, rubber.stiffness, rtol=1e-9)
    assert uniform.iterations == (0,) * 6


def test_directions_of_fibres(rng):
    fibre = m3.TransverselyIsotropic(
        E_axial=20.0, E_transverse=3.0, G_axial=2.0, nu_axial=0.25, nu_transverse=0.3,
        alpha_axial=-1.0, alpha_transverse=10.0,
    )  # fmt: skip
    matrix = m3.Isotropic(E=1.0, nu=0.35, alpha=50.0)
    image = blobs((6, 6, 6), (0.5, 0.5), rng)
    for axis in ((0, 0, 1), (1, 2, -2)):
        aligned = m3.TransverselyIsotropic(**{**fibre.__dict__, "axis": axis})
        want = m3.homogenize_elasticity(image, [matrix, aligned], **TIGHT)
        field = np.broadcast_to(np.array(axis, dtype=float), (*image.shape, 3))
        got = m3.homogenize_elasticity(
            image, [matrix, fibre], directions=field, fields=True, **TIGHT
        )
        np.testing.assert_allclose(got.stiffness, want.stiffness, atol=1e-10 * 20)
        np.testing.assert_allclose(got.thermal_expansion, want.thermal_expansion, atol=1e-6)
    # layers of two directions: an exact laminate
    layers = np.array([0, 0, 1, 1, 1], dtype=np.uint8)
    axes = np.array([[1.0, 1.0, 0.0], [0.0, 1.0, 2.0]])
    field = np.broadcast_to(axes[layers], (3, 2, 5, 3))
    got = m3.homogenize_elasticity(
        np.zeros((3, 2, 5), np.uint8), [fibre], directions=field, fields=True, **TIGHT
    )
    turned = [m3.TransverselyIsotropic(**{**fibre.__dict__, "axis": tuple(a)}) for a in axes]
    want, stress = laminate(np.stack([m.stiffness for m in turned]), [0.4, 0.6], (0, 4, 5))
    np.testing.assert_allclose(got.stiffness, want, atol=1e-8)
    alpha = np.linalg.solve(want, stress(np.stack([m.thermal_stress for m in turned])))
    np.testing.assert_allclose(strain_voigt(got.thermal_expansion), alpha, atol=1e-6)
    mixed = m3.homogenize_elasticity(np.zeros((3, 2, 5), np.uint8), [fibre], directions=field,
                                     fields=True)  # fmt: skip
    np.testing.assert_allclose(mixed.stiffness, want, rtol=1e-6, atol=1e-6)


def test_real_ply_and_bone(shared_data):
    from micro3d_fast.homogenization import load_materials

    ply = np.load(shared_data / "ud_fibre_ply.npz")["labels"][:12, :28, :48]
    with pytest.warns(UserWarning, match="opposite faces do not match along y, x"):
        got = m3.homogenize_elasticity(ply, load_materials("carbon-epoxy").materials)
    assert got.E[2] > 5 * got.E[:2].max()  # fibres along z
    assert np.linalg.eigvalsh(got.bounds.voigt - got.stiffness).min() > 0
    assert got.thermal_expansion[2, 2] < 2e-6 < got.thermal_expansion[0, 0]
    bone = np.load(shared_data / "trabecular_bone56.npz")["labels"][:32, :32, :32]
    with pytest.warns(UserWarning, match="opposite faces do not match along z, y"):
        got = m3.homogenize_elasticity(bone, load_materials("trabecular-bone").materials)
    assert max(got.residuals) <= 1e-6
    assert 0.0 < got.E.min() < got.E.max() < 18e9
