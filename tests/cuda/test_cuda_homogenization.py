# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Effective properties computed on a GPU: those of the CPU."""

from __future__ import annotations

import numpy as np
import pytest

import micro3d_fast as m3

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.cuda

DEVICE = "cuda"


def spheres(n):
    rng = np.random.default_rng(2)
    grid = np.stack(np.meshgrid(*[np.arange(n)] * 3, indexing="ij"), axis=-1)
    nearest = np.full((n,) * 3, np.inf)
    for centre in rng.random((5, 3)) * n:
        away = np.abs(grid - centre)
        nearest = np.minimum(nearest, (np.minimum(away, n - away) ** 2).sum(axis=-1))
    return (nearest < np.quantile(nearest, 0.3)).astype(np.uint8)


PHASES = [
    m3.Isotropic(E=1.0, nu=0.3, alpha=1.0),
    m3.TransverselyIsotropic(
        E_axial=10.0,
        E_transverse=3.0,
        G_axial=2.0,
        nu_axial=0.25,
        nu_transverse=0.3,
        alpha_axial=0.1,
        alpha_transverse=0.5,
        axis="x",
    ),
]


@pytest.mark.parametrize("precision", ["mixed", "float64"])
@pytest.mark.parametrize("bbar", [False, True])
def test_stiffness_and_expansion(precision, bbar):
    labels = spheres(20)
    keys = {"tol": 1e-7, "precision": precision, "bbar": bbar}
    got = m3.homogenize_elasticity(labels, PHASES, device=DEVICE, **keys)
    want = m3.homogenize_elasticity(labels, PHASES, device="cpu", **keys)
    assert max(got.residuals) <= 1e-7
    np.testing.assert_allclose(got.stiffness, want.stiffness, atol=1e-6)
    np.testing.assert_allclose(got.thermal_expansion, want.thermal_expansion, atol=1e-5)


def test_every_gpu_of_the_machine_gives_the_same():
    """Kernels, transforms and captured iterations run where the labels are."""
    labels = spheres(12)
    before = torch.cuda.current_device()
    want = m3.homogenize_conductivity(labels, [1.0, 10.0], tol=1e-7, device="cpu").tensor
    for index in range(torch.cuda.device_count()):
        there = torch.from_numpy(labels).to(f"cuda:{index}")
        got = m3.homogenize_conductivity(there, [1.0, 10.0], tol=1e-7).tensor
        np.testing.assert_allclose(got, want, atol=1e-6)
        got = m3.two_point_map(there, 1, periodic=True)
        np.testing.assert_allclose(got, m3.two_point_map(labels, 1, periodic=True), rtol=1e-15)
        assert torch.cuda.current_device() == before


def test_stiffness_of_a_porous_solid():
    labels = spheres(20)
    phases = [m3.Isotropic(E=1.0, nu=0.3), m3.Isotropic(E=0.0, nu=0.0)]
    got, want = (
        m3.homogenize_elasticity(labels, phases, device=d, tol=1e-7) for d in (DEVICE, "cpu")
    )
    np.testing.assert_allclose(got.stiffness, want.stiffness, atol=1e-6)


@pytest.mark.parametrize("room", [True, False], ids=["kept", "fetched"])
def test_a_load_at_a_time_is_all_loads_at_once(monkeypatch, room):
    """What is done above a size where six loads do not fit together, or not even their fields."""
    from micro3d_fast.homogenization import _compute, _hex8

    labels = spheres(16)
    whole = m3.homogenize_elasticity(labels, PHASES, device=DEVICE, tol=1e-7, fields=True)
    monkeypatch.setattr(_compute, "_ONE_BY_ONE", 0)
    monkeypatch.setattr(_compute, "_PINNED", 0)
    monkeypatch.setattr(_compute.TorchCompute, "has_room", lambda *_: room)
    solve_all = _hex8.Hex8Problem.solve_all
    monkeypatch.setattr(
        _hex8.Hex8Problem, "solve_all", lambda self, **keys: solve_all(self, **{**keys, "batch": 1})
    )
    single = m3.homogenize_elasticity(labels, PHASES, device=DEVICE, tol=1e-7, fields=True)
    np.testing.assert_allclose(single.stiffness, whole.stiffness, atol=1e-6)
    stress = [r.local(strain=np.eye(6)[3]).mean_stress for r in (single, whole)]
    np.testing.assert_allclose(*stress, atol=1e-4)


@pytest.mark.parametrize("precision", ["mixed", "float64"])
def test_conductivity(precision):
    labels, phases = spheres(24), [1.0, np.diag([10.0, 5.0, 2.0]) + 0.5]
    keys = {"tol": 1e-7, "precision": precision}
    got, want = (
        m3.homogenize_conductivity(labels, phases, device=d, **keys).tensor for d in (DEVICE, "cpu")
    )
    np.testing.assert_allclose(got, want, atol=1e-6)


@pytest.mark.parametrize("sides", ["no-flux", "periodic"])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_relative_diffusivity(sides, axis):
    labels = spheres(21)
    got, want = (
        m3.relative_diffusivity(labels, 0, axis=axis, sides=sides, device=d, tol=1e-7).relative
        for d in (DEVICE, "cpu")
    )
    assert got == pytest.approx(want, abs=1e-6)


def test_labels_on_the_gpu_are_solved_there():
    labels = spheres(16)
    got = m3.homogenize_conductivity(torch.from_numpy(labels).to(DEVICE), [1.0, 10.0], tol=1e-7)
    want = m3.homogenize_conductivity(labels, [1.0, 10.0], tol=1e-7)
    assert str(got.device).startswith(DEVICE)
    np.testing.assert_allclose(got.tensor, want.tensor, atol=1e-6)


def test_a_side_stream_is_as_good():
    labels = spheres(16)
    want = m3.homogenize_conductivity(labels, [1.0, 10.0], tol=1e-7, device="cpu").tensor
    with torch.cuda.stream(torch.cuda.Stream()):
        got = m3.homogenize_conductivity(labels, [1.0, 10.0], tol=1e-7, device=DEVICE).tensor
    np.testing.assert_allclose(got, want, atol=1e-6)
