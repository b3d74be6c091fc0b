# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Materials, their refusals, bounds, and the bundled sets."""

from __future__ import annotations

import json

import numpy as np
import pytest

import micro3d_fast as m3
from micro3d_fast.homogenization import (
    PORE,
    conductivity_bounds,
    elastic_bounds,
    load_materials,
    material_sets,
)
from micro3d_fast.homogenization._phase_arguments import conductivity_tensor
from micro3d_fast.homogenization._voigt import (
    rotate_stiffness,
    strain_tensor,
    strain_voigt,
    tensor_from_voigt,
    voigt_from_tensor,
)

FIBRE = {
    "E_axial": 230.0,
    "E_transverse": 15.0,
    "G_axial": 24.0,
    "nu_axial": 0.2,
    "nu_transverse": 0.25,
}
ORTHO = {"E_x": 10.0, "E_y": 20.0, "E_z": 30.0, "G_xy": 4.0, "G_xz": 5.0, "G_yz": 6.0}
NU = {"nu_xy": 0.2, "nu_xz": 0.1, "nu_yz": 0.3}


def random_spd(rng):
    a = rng.standard_normal((6, 6))
    return a @ a.T + np.eye(6)


def test_isotropic_by_lame_constants():
    c = m3.Isotropic(E=5.0, nu=0.25).stiffness
    lam = mu = 2.0  # E = 5 mu / 2 at nu = 1/4
    np.testing.assert_allclose(c[0], [lam + 2 * mu, lam, lam, 0, 0, 0], rtol=1e-14)
    np.testing.assert_allclose(np.diag(c)[3:], mu, rtol=1e-14)


def test_engineering_constants_come_back_from_the_compliance():
    fibre = m3.TransverselyIsotropic(**FIBRE, axis="x", alpha_axial=-1.0, alpha_transverse=10.0)
    s = np.linalg.inv(fibre.stiffness)
    np.testing.assert_allclose(1 / np.diag(s), [230, 15, 15, 6, 24, 24], rtol=1e-12)
    assert -s[1, 0] / s[0, 0] == pytest.approx(0.2)  # load along the axis
    assert -s[2, 1] / s[1, 1] == pytest.approx(0.25)
    np.testing.assert_allclose(fibre.thermal_expansion, np.diag([-1.0, 10.0, 10.0]))

    ortho = m3.Orthotropic(**ORTHO, **NU, alpha_x=1, alpha_y=2, alpha_z=3)
    s = np.linalg.inv(ortho.stiffness)
    np.testing.assert_allclose(1 / np.diag(s), [10, 20, 30, 6, 5, 4], rtol=1e-12)
    np.testing.assert_allclose(
        [-s[1, 0] * 10, -s[2, 0] * 10, -s[2, 1] * 20], [0.2, 0.1, 0.3], rtol=1e-12
    )
    turned = m3.Orthotropic(**ORTHO, nu_yx=0.4, nu_zx=0.3, nu_zy=0.45)
    np.testing.assert_allclose(turned.stiffness, ortho.stiffness, rtol=1e-12)


@pytest.mark.parametrize("axis", ["x", "y", "z", 0, 1, 2, (1, 2, -2), (0.0, 0.0, -3.0)])
def test_axis_is_where_the_stiff_direction_is(axis):
    fibre = m3.TransverselyIsotropic(**FIBRE, axis=axis, alpha_axial=5.0)
    n = fibre.direction
    s = tensor_from_voigt(
        np.linalg.inv(fibre.stiffness) * np.outer(*2 * [[1, 1, 1, 0.5, 0.5, 0.5]])
    )
    assert 1 / np.einsum("ijkl,i,j,k,l", s, n, n, n, n) == pytest.approx(230.0)
    np.testing.assert_allclose(fibre.thermal_expansion @ n, 5.0 * n, atol=1e-12)
    if axis in (0, 1, 2):
        assert n[2 - axis] == 1.0
    assert m3.TransverselyIsotropic(**FIBRE, axis=-n).stiffness == pytest.approx(fibre.stiffness)


def test_transverse_shear_or_poisson():
    g = {**FIBRE, "nu_transverse": None, "G_transverse": 6.0}
    np.testing.assert_allclose(
        m3.TransverselyIsotropic(**g).stiffness, m3.TransverselyIsotropic(**FIBRE).stiffness
    )
    assert m3.TransverselyIsotropic(**FIBRE).G_transverse == pytest.approx(6.0)


def test_voigt_forms_are_inverse_and_rotation_keeps_energy(rng):
    c = random_spd(rng)
    np.testing.assert_array_equal(voigt_from_tensor(tensor_from_voigt(c)), c)
    e = rng.standard_normal((3, 3))
    e = e + e.T
    np.testing.assert_allclose(strain_tensor(strain_voigt(e)), e)
    r = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    before = strain_voigt(e) @ c @ strain_voigt(e)
    turned = strain_voigt(r @ e @ r.T)
    assert turned @ rotate_stiffness(c, r) @ turned == pytest.approx(before)
    iso = m3.Isotropic(E=3.0, nu=0.2, alpha=2.0)
    np.testing.assert_allclose(iso.rotated(r).stiffness, iso.stiffness, atol=1e-14)
    np.testing.assert_allclose(iso.thermal_stress, iso.K * 3 * 2.0 * np.r_[1, 1, 1, 0, 0, 0])


def test_pores():
    assert PORE.is_pore
    assert m3.Isotropic(E=0).is_pore
    assert m3.Anisotropic(C=np.zeros((6, 6))).is_pore
    assert not m3.Isotropic(E=1.0, nu=0.0).is_pore


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: m3.Isotropic(E=-1.0, nu=0.3), ValueError, "`E` must be .*at least 0, got -1"),
        (lambda: m3.Isotropic(E=1.0, nu=0.5), ValueError, r"`nu` must be .*\(-1, 0.5\), got 0.5"),
        (lambda: m3.Isotropic(E=1.0, nu=-1), ValueError, "`nu`"),
        (lambda: m3.Isotropic(E=1.0), ValueError, "`nu` must be given"),
        (lambda: m3.Isotropic(E=float("nan"), nu=0.3), ValueError, "`E`"),
        (lambda: m3.Isotropic(E="1", nu=0.3), TypeError, "`E`"),
        (lambda: m3.Isotropic(E=1, nu=0.3, alpha=None), TypeError, "`alpha`"),
        (
            lambda: m3.TransverselyIsotropic(**FIBRE, G_transverse=5.03),
            ValueError,
            "`G_transverse` must be .* = 6, got 5.03",
        ),
        (
            lambda: m3.TransverselyIsotropic(**{**FIBRE, "nu_transverse": None}),
            ValueError,
            "got neither",
        ),
        (lambda: m3.TransverselyIsotropic(**{**FIBRE, "nu_axial": 4.0}), ValueError, "contradict"),
        (lambda: m3.TransverselyIsotropic(**FIBRE, axis="w"), ValueError, "`axis` must be 'x'"),
        (lambda: m3.TransverselyIsotropic(**FIBRE, axis=(0, 0, 0)), ValueError, "`axis`"),
        (lambda: m3.TransverselyIsotropic(**FIBRE, axis=3), ValueError, "`axis`"),
        (
            lambda: m3.Orthotropic(**ORTHO),
            ValueError,
            "`nu_xy` must be given, or `nu_yx`",
        ),
        (
            lambda: m3.Orthotropic(**ORTHO, **NU, nu_yx=0.1),
            ValueError,
            "`nu_xy` must be .* = 0.05, got 0.2",
        ),
        (lambda: m3.Orthotropic(**ORTHO, **{**NU, "nu_xy": 3.0}), ValueError, "contradict"),
        (lambda: m3.Orthotropic(**{**ORTHO, "E_y": 0}, **NU), ValueError, "`E_y`"),
        (lambda: m3.Anisotropic(C=np.eye(3)), ValueError, r"`C` must be .* got shape \(3, 3\)"),
        (lambda: m3.Anisotropic(C=np.triu(np.ones((6, 6)))), ValueError, "`C` must be symmetric"),
        (lambda: m3.Anisotropic(C=-np.eye(6)), ValueError, "`C` must be positive definite"),
        (lambda: m3.Anisotropic(C=np.diag([1, 1, 1, 1, 1, 0.0])), ValueError, "definite"),
        (lambda: m3.Anisotropic(C=np.eye(6) * 1j), TypeError, "`C`"),
        (lambda: m3.Anisotropic(C=np.eye(6), alpha=[1, 2]), ValueError, "`alpha`"),
        (lambda: m3.Anisotropic(C=np.eye(6)).rotated(2 * np.eye(3)), ValueError, "`rotation`"),
        (lambda: conductivity_tensor(-1.0), ValueError, "`conductivity` must be a number >= 0"),
        (lambda: conductivity_tensor([[1, 2, 0], [2, 1, 0], [0, 0, 1]]), ValueError, "positive"),
    ],
)
def test_refusals(make, error, words):
    with pytest.raises(error, match=words):
        make()


def test_bounds_are_ordered_and_collapse_for_one_phase(rng):
    a, b = m3.Isotropic(E=1.0, nu=0.2), m3.Isotropic(E=12.0, nu=0.35)
    bounds = elastic_bounds([a, b], [0.6, 0.4])
    hs = bounds.hashin_shtrikman
    assert np.linalg.eigvalsh(bounds.voigt - bounds.reuss).min() > 0
    for (low, high), reuss, voigt in (
        (hs.K, 1 / (0.6 / a.K + 0.4 / b.K), 0.6 * a.K + 0.4 * b.K),
        (hs.G, 1 / (0.6 / a.G + 0.4 / b.G), 0.6 * a.G + 0.4 * b.G),
    ):
        assert reuss < low < high < voigt
    # the closed form of Hashin and Shtrikman (1963)
    assert hs.K[0] == pytest.approx(a.K + 0.4 / (1 / (b.K - a.K) + 1.8 / (3 * a.K + 4 * a.G)))
    assert hs.G[0] == pytest.approx(
        a.G + 0.4 / (1 / (b.G - a.G) + 6 * 0.6 * (a.K + 2 * a.G) / (5 * a.G * (3 * a.K + 4 * a.G)))
    )
    one = elastic_bounds([a, b], [1.0, 0.0])
    np.testing.assert_allclose(one.voigt, a.stiffness)
    np.testing.assert_allclose(one.reuss, a.stiffness, atol=1e-14)
    np.testing.assert_allclose(one.hashin_shtrikman.K, a.K)
    with_pore = elastic_bounds([PORE, b], [0.5, 0.5])
    assert not with_pore.reuss.any()
    assert with_pore.hashin_shtrikman.K[0] == 0.0 == with_pore.hashin_shtrikman.G[0]
    assert (
        elastic_bounds([a, m3.TransverselyIsotropic(**FIBRE)], [0.5, 0.5]).hashin_shtrikman is None
    )


def test_conductivity_bounds():
    bounds = conductivity_bounds([np.eye(3), 10 * np.eye(3)], [0.7, 0.3])
    assert bounds.voigt[0, 0] == pytest.approx(3.7)
    assert bounds.reuss[0, 0] == pytest.approx(1 / 0.73)
    low, high = bounds.hashin_shtrikman
    assert low == pytest.approx(1 + 0.3 / (1 / 9 + 0.7 / 3))  # Maxwell
    assert bounds.reuss[0, 0] < low < high < bounds.voigt[0, 0]
    assert (
        conductivity_bounds([np.eye(3), np.diag([1, 2, 3.0])], [0.5, 0.5]).hashin_shtrikman is None
    )


def test_table_a1_is_as_printed_with_the_fibre_along_z():
    matrix, fibre = load_materials("paper-table-a1").materials
    assert (matrix.E, matrix.nu, matrix.alpha) == (225e9, 0.14, 0.164e-6)
    s = np.linalg.inv(fibre.stiffness)
    np.testing.assert_allclose(1 / np.diag(s) / 1e9, [15, 15, 230, 24, 24, 5.03], rtol=1e-9)
    assert -s[0, 2] / s[2, 2] == pytest.approx(0.2)
    assert -s[1, 0] / s[0, 0] == pytest.approx(0.25)
    np.testing.assert_allclose(fibre.thermal_expansion, np.diag([1.2e-6, 1.2e-6, 18e-6]))
    assert "swapped" in load_materials("paper-table-a1").note


def test_bundled_sets_load_and_print():
    assert set(material_sets()) >= {"paper-table-a1", "carbon-epoxy", "trabecular-bone"}
    for name in material_sets():
        loaded = load_materials(name)
        assert loaded.name == name
        assert len(loaded.materials) == len(loaded.phase_names)
        assert name in str(loaded)
    matrix, fibre = load_materials("carbon-epoxy").materials
    assert fibre.axis == (0.0, 0.0, 1.0)
    assert fibre.nu_transverse == pytest.approx(15 / 14 - 1)
    assert load_materials("trabecular-bone").materials[0].is_pore
    assert matrix.alpha == 55e-6


def test_yaml_and_json_files(tmp_path):
    text = """
phases:
  - name: matrix
    elastic: {type: isotropic, E: 4e9, nu: 0.35}
    conductivity: 0.2
  - elastic: {type: transversely isotropic, E_axial: 230, E_transverse: 15, G_axial: 24,
              nu_axial: 0.2, nu_transverse: 0.25, axis: [1, 1, 0]}
    conductivity: [1, 1, 8]
"""
    path = tmp_path / "m.yaml"
    path.write_text(text)
    loaded = load_materials(path)
    assert loaded.materials[0].E == 4e9  # a string to YAML 1.1
    assert loaded.phase_names == ("matrix", "phase 1")
    np.testing.assert_array_equal(loaded.conductivities[1], np.diag([1.0, 1.0, 8.0]))
    path = tmp_path / "m.json"
    c = np.eye(6).tolist()
    path.write_text(json.dumps({"phases": [{"elastic": {"type": "anisotropic", "C": c}}]}))
    assert load_materials(str(path)).conductivities is None


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("[1, 2]", ValueError, "must be a mapping"),
        ("phases: []", ValueError, "`phases` must be a list"),
        ("phases: [{elastic: {type: rubber}}]", ValueError, "`type` must be isotropic or"),
        (
            "phases: [{elastic: {type: isotropic, E: 1, mu: 2}}]",
            TypeError,
            "phases.0..elastic must have .*mu",
        ),
        ("phases: [{elastic: {type: isotropic, E: 1, nu: 2}}]", ValueError, "phases.0.*`nu` must"),
        ("phases: [{elastic: {type: isotropic, E: 0}}, {conductivity: 1}]", ValueError, "1 of 2"),
        ("phases: [{density: 3}]", ValueError, "no keys but conductivity, elastic, name"),
        ("phases: [{name: a}]", ValueError, "got neither"),
        ("phases: [", ValueError, "must be YAML"),
    ],
)
def test_wrong_files_are_refused_in_one_sentence(tmp_path, text, error, words):
    path = tmp_path / "m.yml"
    path.write_text(text)
    with pytest.raises(error, match=words) as caught:
        load_materials(path)
    assert "m.yml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_utf_8_is_refused_by_name(tmp_path):
    text = "phases: [{name: Faß, conductivity: 1}]"
    for name in ("m.yaml", "m.json"):
        (tmp_path / name).write_bytes(text.encode("latin-1"))
        with pytest.raises(ValueError, match=f"{name} must be a text in UTF-8, got"):
            load_materials(tmp_path / name)
    (tmp_path / "m.yaml").write_bytes(text.encode("utf-8-sig"))
    assert load_materials(tmp_path / "m.yaml").phase_names == ("Faß",)


def test_missing_files(tmp_path):
    with pytest.raises(FileNotFoundError, match="existing file"):
        load_materials(tmp_path / "no.yaml")
    with pytest.raises(ValueError, match="carbon-epoxy"):
        load_materials("carbon-fibre")
    with pytest.raises(TypeError, match="`source`"):
        load_materials(3)


LAYERS = np.repeat(np.uint8([0, 2]), 2 * 3 * 3).reshape(4, 3, 3)
NAMED = m3.Microstructure(LAYERS, phase_names=("matrix", "void", "fibre"))


def test_conductivities_by_label_or_name():
    for given in ({"fibre": 3.0, "matrix": 1.0}, {2: 3.0, 0: 1.0}, {"matrix": 1.0, 2: 3.0}):
        got = m3.homogenize_conductivity(NAMED, given)
        assert np.diag(got.tensor) == pytest.approx([2.0, 2.0, 1.5])
        assert got.bounds.voigt[0, 0] == pytest.approx(2.0)
        assert got.volume_fractions.tolist() == [0.5, 0.0, 0.5]
    assert m3.homogenize_conductivity(LAYERS, {2: 3.0, 0: 1.0}) == got


def test_materials_by_name_are_those_by_label():
    soft, hard = m3.Isotropic(E=1.0, nu=0.3), m3.Isotropic(E=5.0, nu=0.2)
    named = m3.homogenize_elasticity(NAMED, {"fibre": hard, "matrix": soft})
    listed = m3.homogenize_elasticity(NAMED, [soft, soft, hard])
    assert named.stiffness == pytest.approx(listed.stiffness)
    pore = {"matrix": soft, "void": m3.Isotropic(E=0), "fibre": hard}
    assert m3.homogenize_elasticity(NAMED, pore).stiffness == pytest.approx(listed.stiffness)


@pytest.mark.parametrize(
    ("labels", "values", "error", "message"),
    [
        (NAMED, {"fiber": 1.0}, ValueError, "one of the names 'matrix', 'void', 'fibre', got 'fib"),
        (NAMED, {"fibre": 1.0}, ValueError, "cover every phase present, matrix and fibre, got fib"),
        (NAMED, {}, ValueError, "cover every phase present, matrix and fibre, got an empty mapp"),
        (LAYERS, {0: 1.0}, ValueError, "cover every phase present, 0 and 2, got 0$"),
        (LAYERS, {"fibre": 1.0}, TypeError, "be an integer 0 ... 255, got 'fibre' .*: only a Micr"),
        (NAMED, 3.0, TypeError, "sequence of conductivities indexed by label, or a mapping of la"),
        (
            NAMED,
            {"matrix": -1.0, 2: 1.0},
            ValueError,
            r"`conductivities\[0\]` must be a number",
        ),
    ],
)
def test_refused_mappings_of_phases(labels, values, error, message):
    with pytest.raises(error, match=f"(?:`conductivities` must )?.*{message}"):
        m3.homogenize_conductivity(labels, values)
