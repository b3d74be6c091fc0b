# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Homogenization functions: refusals, local fields, convergence errors, printing, torch path."""

from __future__ import annotations

import numpy as np
import pytest

import micro3d_fast as m3
from micro3d_fast.homogenization import ConvergenceError

SOFT = m3.Isotropic(E=1.0, nu=0.3, alpha=2.0)
HARD = m3.Isotropic(E=20.0, nu=0.2, alpha=1.0)


def fibre_along_z(n=6):
    labels = np.zeros((n, n, n), dtype=np.uint8)
    labels[:, 1 : n // 2, 1 : n // 2] = 1
    return labels


# --------------------------------------------------------------------------------------- fields


def test_local_fields_average_to_the_macroscopic_ones(tmp_path):
    labels = fibre_along_z()
    got = m3.homogenize_elasticity(
        m3.Microstructure(labels, voxel_size=(2e-6, 1e-6, 1e-6)),
        [SOFT, HARD],
        fields=True,
        tol=1e-8,
    )
    mean = np.array([1e-3, -2e-3, 5e-4, 1e-3, 0.0, 3e-3])
    names = ("von_mises", "stress", "strain", "displacement")
    local = got.local(strain=mean, names=names)
    assert local.fields["stress"].shape == (6, 6, 6, 6)
    assert local.fields["displacement"].shape == (6, 6, 6, 3)
    np.testing.assert_allclose(local.mean_stress, got.stiffness @ mean, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(
        local.fields["strain"].mean(axis=(0, 1, 2)), mean, rtol=1e-4, atol=1e-9
    )
    for phase in range(2):
        want = np.einsum("l,lq->q", mean, got.phase_strain[:, phase])
        np.testing.assert_allclose(local.phase_strain[phase], want, rtol=1e-5, atol=1e-9)
    assert local.phase_von_mises[1] > local.phase_von_mises[0] > 0
    by_stress = got.local(stress=local.mean_stress)
    np.testing.assert_allclose(by_stress.mean_strain, mean, rtol=1e-6, atol=1e-9)
    assert set(by_stress.fields) == {"von_mises"}
    assert "phase 1: mean von Mises stress" in repr(local)
    volume = local.to_microstructure()
    assert volume.voxel_size == (2e-6, 1e-6, 1e-6)
    path = volume.save(tmp_path / "fields.vti")
    again = m3.Microstructure.load(path)
    np.testing.assert_array_equal(again.fields["von_mises"], local.fields["von_mises"])


def test_local_fields_are_refused_without_the_displacements():
    labels = fibre_along_z()
    got = m3.homogenize_elasticity(labels, [SOFT, HARD], tol=1e-3)
    with pytest.raises(ValueError, match="`local` must follow"):
        got.local(strain=np.zeros(6))
    kept = m3.homogenize_elasticity(labels, [SOFT, HARD], tol=1e-3, fields=True)
    with pytest.raises(ValueError, match="`strain` must be given, or `stress`, and not both"):
        kept.local()
    with pytest.raises(ValueError, match="`stress` must be six finite numbers"):
        kept.local(stress=[1.0, 2.0])
    with pytest.raises(ValueError, match="`names` must be from von_mises"):
        kept.local(strain=np.zeros(6), names=("tresca",))
    assert list(kept.local(strain=np.zeros(6), names="stress").fields) == ["stress"]
    with pytest.raises(ValueError, match="`names` must be from"):
        kept.local(strain=np.zeros(6), names=None)
    with pytest.raises(TypeError, match=r"got str: homogenization\.load_materials"):
        m3.homogenize_elasticity(np.zeros((2, 2, 2), np.uint8), "carbon-epoxy")


def test_flux_of_conduction_averages_to_the_tensor():
    labels = fibre_along_z()
    got = m3.homogenize_conductivity(labels, [1.0, [1.0, 2.0, 30.0]], fields=True, tol=1e-9)
    assert got.flux.shape == (3, 6, 6, 6, 3)
    np.testing.assert_allclose(
        got.flux.mean(axis=(1, 2, 3), dtype=float), got.tensor, rtol=1e-5, atol=1e-5
    )


# --------------------------------------------------------------------------------------- solver


def test_convergence_error_keeps_the_partial_result():
    labels = fibre_along_z()
    with pytest.raises(ConvergenceError, match=r"under load xx in 2 iterations .*contrast") as e:
        m3.homogenize_elasticity(labels, [SOFT, HARD], max_iterations=2)
    assert isinstance(e.value.partial, m3.ElasticProperties)
    assert e.value.iterations == 2
    assert e.value.residual > 1e-6
    assert e.value.contrast == pytest.approx(e.value.partial.contrast)
    with pytest.raises(ConvergenceError, match="homogenize_conductivity") as e:
        m3.homogenize_conductivity(labels, [1.0, 100.0], max_iterations=1)
    assert isinstance(e.value.partial, m3.ConductivityProperties)


def test_convergence_error_names_float64_where_float32_is_the_limit():
    """Almost incompressible: next to the bulk modulus, float32 loses the shear stiffness."""
    labels = fibre_along_z()
    rubber = m3.Isotropic(E=1.0, nu=0.4999999)
    with pytest.raises(ConvergenceError, match="precision='float64' gets further"):
        m3.homogenize_elasticity(labels, [rubber, SOFT], bbar=True, max_iterations=2)
    got = m3.homogenize_elasticity(labels, [rubber, SOFT], bbar=True, precision="float64")
    assert max(got.residuals) <= 1e-6
    with pytest.raises(ConvergenceError) as e:
        m3.homogenize_elasticity(labels, [SOFT, HARD], max_iterations=2)
    assert "float64" not in str(e.value)


def test_interrupted_by_the_callback_leaves_nothing_behind():
    labels = fibre_along_z()
    want = m3.homogenize_elasticity(labels, [SOFT, HARD]).stiffness

    def stop(progress):
        if progress.iteration == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        m3.homogenize_elasticity(labels, [SOFT, HARD], callback=stop)
    with pytest.raises(KeyboardInterrupt):
        m3.relative_diffusivity(labels, 0, axis="x", callback=stop)
    np.testing.assert_array_equal(m3.homogenize_elasticity(labels, [SOFT, HARD]).stiffness, want)


@pytest.mark.parametrize("precision", ["mixed", "float64"])
def test_tolerance_of_1e_12_is_met_in_both_precisions(precision):
    labels = fibre_along_z()
    options = {"tol": 1e-12, "precision": precision}
    assert max(m3.homogenize_elasticity(labels, [SOFT, HARD], **options).residuals) <= 1e-12
    assert max(m3.homogenize_conductivity(labels, [1.0, 9.0], **options).residuals) <= 1e-12
    assert m3.relative_diffusivity(labels, 0, axis="x", **options).residual <= 1e-12


def test_views_that_are_not_contiguous(rng):
    labels = rng.integers(0, 2, (16, 18, 20), dtype=np.uint8)
    for view in (labels[::2, ::-1, 3:17], labels.transpose(2, 0, 1), np.asfortranarray(labels)):
        copy = np.ascontiguousarray(view)
        for function in (
            lambda x: m3.homogenize_elasticity(x, [SOFT, HARD], tol=1e-3).stiffness,
            lambda x: m3.homogenize_conductivity(x, [1.0, 9.0], tol=1e-3).tensor,
            lambda x: m3.relative_diffusivity(x, 1, axis="y", tol=1e-3).relative,
        ):
            np.testing.assert_array_equal(function(view), function(copy))


def test_callback_gets_every_load():
    seen = []
    got = m3.homogenize_elasticity(fibre_along_z(), [SOFT, HARD], callback=seen.append)
    assert [p.loads[0] for p in seen if p.iteration == 1] == ["xx", "yy", "zz", "yz", "xz", "xy"]
    assert len(seen) == sum(got.iterations)
    assert all(p.tol == 1e-6 and p.problem == "elasticity" for p in seen)


def test_unreachable_tolerance_is_an_error():
    with pytest.raises(ConvergenceError, match="not `tol` 1e-17"):
        m3.homogenize_conductivity(fibre_along_z(), [1.0, 7.0], tol=1e-17, max_iterations=400)


@pytest.mark.parametrize("large", [False, True], ids=["together", "one by one"])
@pytest.mark.parametrize("precision", ["mixed", "float64"])
def test_torch_path_in_batches_is_the_numpy_path(precision, large, monkeypatch):
    """``large``: loads, transforms and solutions as above the sizes of a batch."""
    pytest.importorskip("torch")
    from micro3d_fast.homogenization import _call, _compute, _hex8
    from micro3d_fast.homogenization._compute import TorchCompute

    labels = np.random.default_rng(5).integers(0, 3, (4, 5, 6), dtype=np.uint8)
    phases = [SOFT, HARD, m3.TransverselyIsotropic(9, 3, 1, 0.2, 0.3, axis=(1, 1, 0))]
    options = {"precision": precision, "tol": 1e-8}

    class Torch(TorchCompute):
        def __init__(self):
            super().__init__("cpu")
            self.name = "cuda:0"  # so that loads are solved together
            self.captures = 0

        def has_room(self, nbytes):
            return nbytes < 4000  # two fields of float32, not of float64

        def fetch(self, array):
            return super().fetch(array).copy()  # as from a device

        def graph(self, body):
            self.captures += 1
            return body

    if large:
        solve_all = _hex8.Hex8Problem.solve_all
        monkeypatch.setattr(_compute, "_ONE_BY_ONE", 0)
        monkeypatch.setattr(
            _hex8.Hex8Problem,
            "solve_all",
            lambda self, **keys: solve_all(self, **{**keys, "batch": 1}),
        )
    want = m3.homogenize_elasticity(labels, phases, **options)
    k = m3.homogenize_conductivity(labels, [1.0, 9.0, 3.0], fields=True, **options)
    used = Torch()
    monkeypatch.setattr(_call, "compute_for", lambda *_: used)
    got = m3.homogenize_elasticity(labels, phases, fields=True, **options)
    assert used.captures == 1
    np.testing.assert_allclose(got.stiffness, want.stiffness, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(got.thermal_expansion, want.thermal_expansion, rtol=1e-5)
    assert max(got.residuals) <= 1e-8
    assert got.local(strain=np.ones(6)).mean_stress == pytest.approx(got.stiffness.sum(axis=1))
    other = m3.homogenize_conductivity(labels, [1.0, 9.0, 3.0], fields=True, **options)
    np.testing.assert_allclose(other.tensor, k.tensor, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(other.flux, k.flux, atol=1e-4)


@pytest.mark.cuda
@pytest.mark.parametrize("precision", ["mixed", "float64"])
def test_cuda_equals_cpu(precision, rng):
    labels = rng.integers(0, 3, (20, 33, 18), dtype=np.uint8)
    phases = [SOFT, HARD, m3.TransverselyIsotropic(9, 3, 1, 0.2, 0.3, axis=(1, 1, 0))]
    for options in ({}, {"bbar": True}, {"voxel_size": (1.0, 2.0, 0.7)}):
        a = m3.homogenize_elasticity(labels, phases, precision=precision, **options)
        b = m3.homogenize_elasticity(labels, phases, precision=precision, device="cuda", **options)
        np.testing.assert_allclose(b.stiffness, a.stiffness, rtol=1e-8, atol=1e-8)
        np.testing.assert_allclose(b.thermal_expansion, a.thermal_expansion, rtol=1e-4)
        assert max(b.residuals) <= 1e-6
    a = m3.homogenize_conductivity(labels, [1.0, 0.0, 7.0], precision=precision)
    b = m3.homogenize_conductivity(labels, [1.0, 0.0, 7.0], precision=precision, device="cuda")
    np.testing.assert_allclose(b.tensor, a.tensor, rtol=1e-8, atol=1e-8)


# --------------------------------------------------------------------- arguments and printing


def test_results_print_readably():
    got = m3.homogenize_elasticity(fibre_along_z(), [SOFT, HARD], tol=1e-4)
    text = repr(got)
    for word in (
        "stiffness",
        "Voigt 11, 22, 33, 23, 13, 12",
        "E   x",
        "thermal expansion",
        "on cpu",
    ):
        assert word in text
    assert got.bytes > 0
    assert got.seconds > 0.0
    assert got.compliance @ got.stiffness == pytest.approx(np.eye(6), abs=1e-9)
    assert got.young([0, 0, 2.0]) == pytest.approx(got.E[2])
    assert got.young(np.eye(3)) == pytest.approx(got.E)
    k = m3.homogenize_conductivity(fibre_along_z(), [1.0, 5.0])
    assert "ConductivityProperties" in repr(k)


def test_labels_of_any_kind():
    labels = fibre_along_z()
    want = m3.homogenize_conductivity(labels, [1.0, 5.0], tol=1e-8).tensor
    torch = pytest.importorskip("torch")
    for image in (
        labels.astype(bool),
        labels.astype(np.int64),
        labels[:, :, :],
        np.asfortranarray(labels),
        torch.from_numpy(labels),
        m3.Microstructure(labels),
        labels[0],
    ):
        got = m3.homogenize_conductivity(image, [1.0, 5.0], tol=1e-8).tensor
        np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(
        m3.homogenize_conductivity(labels, np.array([1.0, 5.0]), tol=1e-8).tensor, want
    )


DIRECTIONS = np.ones((2, 2, 2, 3))
FIBRE = m3.TransverselyIsotropic(9, 3, 1, 0.2, 0.3)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"labels": np.zeros((2, 2, 2))}, TypeError, "`labels` must be an array of bool or int"),
        ({"labels": np.zeros((2, 0, 2), np.uint8)}, ValueError, "`labels` must not be empty"),
        ({"labels": np.full((2, 2, 2), 300)}, ValueError, "`labels` must hold values 0 ... 255"),
        ({"labels": np.zeros((1, 2, 2, 2), np.uint8)}, ValueError, "`labels` must have 2 or 3"),
        (
            {"labels": np.full((2, 2, 2), 5, np.uint8)},
            ValueError,
            r"`materials` must cover every label present \(5\), .* label 0, got 2 entries",
        ),
        (
            {"labels": np.array([[1, 2]])},
            ValueError,
            r"label present \(1 and 2\), .* got 2 entries: put an entry for label 0 first",
        ),
        (
            {"labels": np.array([[0, 255]])},
            ValueError,
            r"present \(0 and 255\), .* grey values into phases with `phases`={0: 0, 255: 1}",
        ),
        ({"materials": []}, ValueError, "`materials` must cover .* got 0 entries"),
        ({"materials": 3}, TypeError, "`materials` must be a sequence of materials"),
        ({"materials": [SOFT, 3.0]}, TypeError, r"`materials\[1\]` must be Isotropic, .*got float"),
        ({"tol": 0}, ValueError, "`tol`"),
        ({"tol": 2.0}, ValueError, "`tol`"),
        ({"device": "mps"}, ValueError, "`device` must be None, 'cpu', 'cuda' or"),
        ({"voxel_size": (1, 2)}, ValueError, "`voxel_size` must be a positive number or three"),
        ({"precision": "float16"}, ValueError, "`precision`"),
        ({"bbar": "yes"}, TypeError, "`bbar` must be True or False"),
        ({"fields": None}, TypeError, "`fields` must be True or False"),
        ({"max_iterations": 1.5}, TypeError, "`max_iterations`"),
        ({"callback": "print"}, TypeError, "`callback` must be callable, got str"),
        ({"threads": -2}, ValueError, "`threads`"),
        ({"directions": np.ones((2, 2, 3))}, ValueError, r"`directions` must be an array \(nz, ny"),
        ({"directions": DIRECTIONS}, ValueError, "with a TransverselyIsotropic phase, got none"),
        (
            {"directions": DIRECTIONS, "materials": [FIBRE], "voxel_size": (1, 1, 2)},
            ValueError,
            "`directions` must come with cubic voxels",
        ),
        (
            {"directions": DIRECTIONS, "materials": [FIBRE], "bbar": True},
            ValueError,
            "`directions` must come with bbar=False",
        ),
        (
            {"directions": 0 * DIRECTIONS, "materials": [FIBRE]},
            ValueError,
            "`directions` must be finite, and not zero",
        ),
        ({"directions": DIRECTIONS.astype(bool)}, TypeError, "`directions`.* got dtype bool"),
    ],
)
def test_refusals_of_elasticity(change, error, words):
    arguments = {"labels": np.zeros((2, 2, 2), np.uint8), "materials": [SOFT, HARD], **change}
    with pytest.raises(error, match=words):
        m3.homogenize_elasticity(arguments.pop("labels"), arguments.pop("materials"), **arguments)


@pytest.mark.parametrize(
    ("values", "error", "words"),
    [
        ([], ValueError, "`conductivities` must cover"),
        (1.0, TypeError, "`conductivities` must be a sequence"),
        ([-1.0], ValueError, r"`conductivities\[0\]` must be a number >= 0"),
        (["1"], TypeError, r"`conductivities\[0\]`"),
        ([[1.0, 2.0]], ValueError, r"`conductivities\[0\]`.* got shape \(2,\)"),
        ([np.ones((3, 3))], ValueError, r"`conductivities\[0\]` must be .* positive definite"),
    ],
)
def test_refusals_of_conduction(values, error, words):
    with pytest.raises(error, match=words):
        m3.homogenize_conductivity(np.zeros((2, 2, 2), np.uint8), values)


def test_no_negative_zeros():
    labels = np.repeat([0, 1], 32).reshape(4, 4, 4)
    materials = [m3.Isotropic(E=1.0, nu=0.0), m3.Isotropic(E=2.0, nu=0.0)]
    got = m3.homogenize_elasticity(labels, materials)
    assert set(got.nu.values()) == {0.0}
    assert not np.signbit(list(got.nu.values())).any()
    assert "-0" not in str(got).split("nu  ")[1].splitlines()[0]
