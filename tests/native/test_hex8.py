# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""hex8, green, phase_strain, cg: kernel = reference on every backend."""

from __future__ import annotations

import numpy as np
import pytest

from micro3d_fast import ops
from micro3d_fast.homogenization import _hex8
from micro3d_fast.homogenization._compute import NumpyCompute, TorchCompute
from micro3d_fast.homogenization._unit_elements import UnitElements
from micro3d_fast.homogenization.solver import solver_options
from micro3d_fast.reference import hex8 as reference

SHAPES = [(1, 1, 1), (2, 1, 3), (3, 4, 5), (9, 10, 7), (2, 17, 33)]
VOXELS = [(1.0, 1.0, 1.0), (0.5, 1.0, 1.7)]
TOL = {"float32": 3e-6, "float64": 1e-13}


def isotropic(lam, mu):
    c = np.zeros((6, 6))
    c[:3, :3] = lam
    c[range(3), range(3)] += 2 * mu
    c[range(3, 6), range(3, 6)] = mu
    return c


def phases_of(kind, rng, count=3):
    """Coefficient matrices (count, n, n) of a kind of material."""
    if kind == "elasticity_isotropic":
        return np.stack([isotropic(*rng.uniform(0.5, 2.0, 2)) for _ in range(count)])
    if kind == "conduction_isotropic":
        return rng.uniform(0.5, 2.0, count)[:, None, None] * np.eye(3)
    n = 3 if kind.startswith("conduction") else 6
    a = rng.standard_normal((count, n, n))
    c = a @ a.transpose(0, 2, 1) + np.eye(n)
    if kind == "elasticity_orthotropic":
        c[:, 3:, :3] = c[:, :3, 3:] = 0.0
        c[:, range(3, 6), range(3, 6)] *= 2.0
        for i in range(3, 6):
            for j in range(3, 6):
                if i != j:
                    c[:, i, j] = 0.0
    return c


KINDS = list(ops.HEX8_MODELS)


def relative(got, want):
    return np.abs(got - want).max() / max(np.abs(want).max(), 1e-300)


def make(kind, shape, voxel, rng, precision, compute=None, **options):
    labels = rng.integers(0, 3, shape, dtype=np.uint8)
    c = phases_of(kind, rng)
    problem = _hex8.Hex8Problem(
        "test",
        UnitElements(labels, c, voxel, **options),
        compute or NumpyCompute(1),
        solver_options(1e-6, 10, precision, None),
    )
    return problem, labels, c


def in_units(problem, u):
    """Physical nodal values -> those of the kernel."""
    el = problem.elements
    return u / el.g[:, None, None, None] if el.components == 3 else u


def forces_in_units(problem, f):
    """Physical nodal forces (of spacings whose mean is 1) -> those of the kernel."""
    el = problem.elements
    f = f * el.g[:, None, None, None] if el.components == 3 else f
    return f / el.scale


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("voxel", VOXELS, ids=["cubes", "bricks"])
@pytest.mark.parametrize("precision", ["mixed", "float64"])
def test_operator_equals_gauss_points(kind, shape, voxel, precision, rng):
    problem, labels, c = make(kind, shape, voxel, rng, precision)
    el, op = problem.elements, problem.operator
    dtype = problem.options.storage
    u = rng.standard_normal((el.components, *shape))
    macro = rng.standard_normal(el.n)
    spacing = el.h[::-1]
    want = forces_in_units(problem, reference.apply(u, c[labels], spacing, macro))

    field = in_units(problem, u)[None].astype(dtype)
    out, dot = np.full_like(field, np.nan), np.zeros(1)
    scaled = (macro / el.w)[None]
    ops.hex8(
        labels, op.model, op.mean, out=out, macro=scaled.astype(dtype), u=field, dot=dot, threads=1
    )
    # absolute: forces cancel at the nodes, so the scale is that of the element forces
    scale = np.abs(el.c).max() * (np.abs(field).max() * 8 + np.abs(scaled).max())
    assert np.abs(out[0] - want).max() <= TOL[dtype] * scale
    terms = np.abs(out.astype(float) * field).sum() + scale * 1e-30
    assert abs(dot[0] - np.vdot(out.astype(float), field)) <= 1e-12 * terms


@pytest.mark.parametrize("kind", ["conduction_anisotropic", "elasticity_anisotropic"])
def test_float32_sum_in_float64_arithmetic(kind, rng):
    problem, labels, c = make(kind, (4, 5, 6), (1.0, 1.0, 1.0), rng, "mixed")
    el, op = problem.elements, problem.operator
    u = rng.standard_normal((el.components, 4, 5, 6))
    macro = rng.standard_normal(el.n)
    high = in_units(problem, u)[None].astype(np.float32)
    low = (in_units(problem, u)[None] - high).astype(np.float32)
    r, rr = np.empty_like(high), np.zeros(1)
    ops.hex8(
        labels, op.model64, op.mean64, out=r, macro=(macro / el.w)[None], u=high, u_low=low,
        sign=-1.0, dot=rr, dot_kind="output", threads=1,
    )  # fmt: skip
    want = forces_in_units(problem, -reference.apply(u, c[labels], (1, 1, 1), macro))
    np.testing.assert_allclose(r[0], want, rtol=1e-6, atol=1e-9 * np.abs(want).max())
    assert rr[0] == pytest.approx((r.astype(float) ** 2).sum(), rel=1e-13)


def test_no_field_gives_the_forces_of_the_uniform_strain(rng):
    problem, labels, c = make("elasticity_isotropic", (4, 5, 6), VOXELS[1], rng, "float64")
    el, op = problem.elements, problem.operator
    macro = rng.standard_normal(6)
    out = np.empty((1, 3, 4, 5, 6))
    ops.hex8(labels, op.model, op.mean, out=out, macro=(macro / el.w)[None], threads=1)
    zero = np.zeros((3, 4, 5, 6))
    want = forces_in_units(problem, reference.apply(zero, c[labels], el.h[::-1], macro))
    np.testing.assert_allclose(out[0], want, atol=1e-14)


def test_several_loads_and_threads_change_nothing(rng):
    problem, labels, _ = make("elasticity_orthotropic", (37, 33, 20), VOXELS[0], rng, "mixed")
    op = problem.operator
    u = rng.standard_normal((6, 3, 37, 33, 20)).astype(np.float32)
    macro = rng.standard_normal((6, 6)).astype(np.float32)
    many, dots = np.empty_like(u), np.zeros(6)
    arguments = {"labels": labels, "model": op.model, "mean": op.mean}
    ops.hex8(**arguments, out=many, macro=macro, u=u, dot=dots, threads=3)
    for k in range(6):
        one, dot = np.empty_like(u[:1]), np.zeros(1)
        ops.hex8(**arguments, out=one, macro=macro[k : k + 1], u=u[k : k + 1], dot=dot, threads=1)
        np.testing.assert_array_equal(one[0], many[k])
        assert dot[0] == dots[k]


def test_bbar_is_the_mean_dilatation(rng):
    problem, labels, c = make(
        "elasticity_isotropic", (4, 3, 5), VOXELS[1], rng, "float64", bbar=True
    )
    el, op = problem.elements, problem.operator
    u = rng.standard_normal((3, 4, 3, 5))
    macro = rng.standard_normal(6)
    out = np.empty((1, 3, 4, 3, 5))
    ops.hex8(
        labels, op.model, op.mean, out=out, macro=(macro / el.w)[None],
        u=in_units(problem, u)[None], rest=op.rest, threads=1,
    )  # fmt: skip
    want = reference.apply(u, c[labels], el.h[::-1], macro, bbar=True)
    np.testing.assert_allclose(out[0], forces_in_units(problem, want), rtol=1e-11, atol=1e-12)


def test_directions_turn_the_stiffness_voxel_by_voxel(rng):
    from micro3d_fast import Isotropic, TransverselyIsotropic
    from micro3d_fast.homogenization._voigt import rotate_stiffness, rotation_from_z

    shape = (3, 4, 5)
    fibre = TransverselyIsotropic(
        E_axial=20.0, E_transverse=3.0, G_axial=2.0, nu_axial=0.25, nu_transverse=0.3
    )
    phases = np.stack([Isotropic(E=1.0, nu=0.3).stiffness, fibre.stiffness])
    labels = rng.integers(0, 2, shape, dtype=np.uint8)
    n = rng.standard_normal((*shape, 3))
    n /= np.linalg.norm(n, axis=-1, keepdims=True)
    full = np.empty((*shape, 6, 6))
    for v in np.ndindex(shape):
        full[v] = phases[labels[v]]
        if labels[v]:
            full[v] = rotate_stiffness(fibre.along_z, rotation_from_z(n[v]))
    problem = _hex8.Hex8Problem(
        "test",
        UnitElements(
            labels, phases, (1.0, 1.0, 1.0), directions=n, fibre_phases=np.array([False, True])
        ),
        NumpyCompute(1), solver_options(1e-6, 10, "float64", None),
    )  # fmt: skip
    el, op = problem.elements, problem.operator
    u, macro = rng.standard_normal((3, *shape)), rng.standard_normal(6)
    want = forces_in_units(problem, reference.apply(u, full, (1, 1, 1), macro))
    out = np.empty((1, 3, *shape))
    field, scaled = in_units(problem, u)[None], (macro / el.w)[None]
    ops.hex8(
        labels, op.model, op.mean, out=out, macro=scaled, u=field, directions=op.fibre_directions,
        fibre=op.fibre, threads=1,
    )  # fmt: skip
    np.testing.assert_allclose(out[0], want, rtol=1e-11, atol=1e-12 * np.abs(want).max())
    mean = el.c_mean * el.scale / el.volume / np.outer(el.w, el.w)
    np.testing.assert_allclose(mean, full.reshape(-1, 6, 6).mean(axis=0), atol=1e-12 * 20)


@pytest.mark.parametrize("kind", ["conduction_anisotropic", "elasticity_anisotropic"])
@pytest.mark.parametrize("shape", [(4, 3, 5), (1, 4, 6), (2, 2, 2)], ids=str)
@pytest.mark.parametrize("voxel", VOXELS, ids=["cubes", "bricks"])
@pytest.mark.parametrize("bbar", [False, True], ids=["full", "bbar"])
def test_green_inverts_the_operator_of_a_uniform_medium(kind, shape, voxel, bbar, rng):
    if bbar and kind.startswith("conduction"):
        pytest.skip("elasticity only")
    c = phases_of(kind, rng, 1)
    problem = _hex8.Hex8Problem(
        "test", UnitElements(np.zeros(shape, np.uint8), c, voxel, bbar=bbar), NumpyCompute(1),
        solver_options(1e-6, 10, "float64", None),
    )  # fmt: skip
    el, op = problem.elements, problem.operator
    u = rng.standard_normal((1, el.components, *shape))
    u -= u.mean(axis=(2, 3, 4), keepdims=True)
    f, rz = np.empty_like(u), np.zeros(1)
    zero = np.zeros((1, el.n))
    ops.hex8(
        op.phase_codes, op.model, op.mean, out=f, macro=zero, u=u, rest=op.rest,
        threads=1,
    )  # fmt: skip
    system = _hex8.UnitLoads(problem, [0])
    z = system.precondition(f, rz)
    np.testing.assert_allclose(z, u, atol=1e-11)
    assert rz[0] == pytest.approx(np.vdot(f, u), rel=1e-11)


CONVOLVED = [(8, 8, 8), (9, 10, 12), (16, 13, 11), (8, 1, 5), (20, 7, 1), (33, 26, 49)]


def random_system(kind, shape, precision, rng, *, bbar=False, threads=1):
    labels = rng.integers(0, 2, shape, dtype=np.uint8)
    labels.reshape(-1)[:2] = (0, 1)
    problem = _hex8.Hex8Problem(
        "test", UnitElements(labels, phases_of(kind, rng, 2), (1.0, 0.8, 1.1), bbar=bbar),
        NumpyCompute(threads), solver_options(1e-6, 10, precision, None),
    )  # fmt: skip
    return _hex8.UnitLoads(problem, [0, 1])


@pytest.mark.parametrize("shape", CONVOLVED, ids=str)
@pytest.mark.parametrize("precision", ["mixed", "float64"])
@pytest.mark.parametrize(
    ("kind", "bbar"),
    [("conduction_anisotropic", False), ("elasticity_anisotropic", False),
     ("elasticity_isotropic", True)],
)  # fmt: skip
def test_green_convolve_is_green_between_transforms(shape, precision, kind, bbar, rng, monkeypatch):
    system = random_system(kind, shape, precision, rng, bbar=bbar)
    r = rng.standard_normal(system.shape).astype(system.problem.options.storage)
    before = r.copy()
    rz, rz_want = np.zeros(2), np.zeros(2)
    assert system.compute.convolves(system.problem.elements.grid)
    z = system.precondition(r, rz)
    assert z.dtype == r.dtype
    np.testing.assert_array_equal(r, before)
    monkeypatch.setattr(NumpyCompute, "convolves", lambda self, grid: False)
    want = system.precondition(r, rz_want)
    close = 2e-6 if precision == "mixed" else 1e-14
    np.testing.assert_allclose(z, want, atol=close * np.abs(want).max())
    np.testing.assert_allclose(rz, rz_want, rtol=close)


def test_green_convolve_does_not_depend_on_threads(rng):
    seed = rng.integers(1 << 30)
    found = []
    for threads in (1, 2, 3):
        rng = np.random.default_rng(seed)
        system = random_system("elasticity_isotropic", (40, 33, 30), "mixed", rng, threads=threads)
        r, rz = rng.standard_normal(system.shape, dtype=np.float32), np.zeros(2)
        found.append((system.precondition(r, rz), rz))
    for z, rz in found[1:]:
        np.testing.assert_array_equal(z, found[0][0])
        np.testing.assert_array_equal(rz, found[0][1])


def test_other_lengths_are_left_to_scipy():
    compute = NumpyCompute(1)
    assert compute.convolves((8, 2 * 3 * 5 * 7 * 11 * 13, 1))
    assert not compute.convolves((17, 8, 8))
    assert not compute.convolves((8, 8, 2 * 29))
    assert not compute.convolves((1, 64, 64))  # a thin one wastes its lanes
    r = np.zeros((1, 3, 17, 8, 8), np.float32)
    work = np.zeros((1, 5, 3, 17, 2, 8), np.float32)
    options = {"z": r.copy(), "spectrum": work, "rz": np.zeros(1)}
    with pytest.raises(ValueError, match="`r` must have lengths without a prime factor above 13"):
        ops.green_convolve(r, [0.0] * 36, **options)
    r = np.zeros((1, 3, 8, 8, 8), np.float32)
    options["z"] = r.copy()
    with pytest.raises(ValueError, match="`spectrum` must have shape"):
        ops.green_convolve(r, [0.0] * 36, **options)
    options["spectrum"] = np.zeros((1, 5, 3, 8, 2, 8), np.float32)
    with pytest.raises(ValueError, match="`symbol` must hold 36 numbers"):
        ops.green_convolve(r, [0.0] * 6, **options)
    with pytest.raises(TypeError, match="`rz` must be float64"):
        ops.green_convolve(r, [0.0] * 36, **{**options, "rz": np.zeros(1, np.float32)})


def test_torch_transforms_are_those_of_scipy(rng):
    pytest.importorskip("torch")
    here, there = NumpyCompute(1), TorchCompute("cpu")
    for shape in ((4, 5, 6), (3, 1, 2), (1, 4, 7), (5, 8, 1)):
        x = rng.standard_normal(shape)
        for periodic in ((False, False), (True, False), (False, True), (True, True)):
            a = here.forward_box(x, periodic)
            b = there.forward_box(there.send(x), periodic)
            np.testing.assert_allclose(b.numpy(), a, atol=1e-13)
            np.testing.assert_allclose(here.backward_box(a.copy(), periodic), x, atol=1e-13)
            np.testing.assert_allclose(there.backward_box(b, periodic).numpy(), x, atol=1e-13)
        y = x[None, None]
        a, b = here.rfft3(y), there.rfft3(there.send(y))
        np.testing.assert_allclose(b.numpy(), a, atol=1e-13)
        np.testing.assert_allclose(there.irfft3(b, shape).numpy() / y.size, y, atol=1e-13)


@pytest.mark.parametrize("components", [1, 3])
def test_phase_strain_equals_reference(backend, components, rng):
    send, fetch = backend
    labels = rng.integers(0, 3, (4, 5, 6), dtype=np.uint8)
    u = rng.standard_normal((2, components, 4, 5, 6))
    n = 6 if components == 3 else 3
    for dtype in ("float32", "float64"):
        high = u.astype(dtype)
        low = (u - high).astype(dtype)
        out = send(np.zeros((2, 3, n)))
        partials = send(np.zeros(2 * ops.REDUCE_PARTIALS))
        ops.phase_strain(
            send(high), send(labels), out=out, u_low=send(low), partials=partials, threads=1
        )
        for load in range(2):
            # h = 1/4: gradients in unit elements (g = 1)
            strain = reference.mean_strain(u[load], (0.25,) * 3)
            for p in range(3):
                want = strain[labels.reshape(-1) == p].sum(axis=0)
                np.testing.assert_allclose(fetch(out)[load, p], want, atol=1e-11)


@pytest.mark.parametrize("row", [1001, 1004])  # the second is moved 16 bytes at a time
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_cg_vectors(backend, dtype, row, rng):
    send, fetch = backend
    shape = (3, 1, 5, 7, row)
    x, r, p, q, z = (rng.standard_normal(shape).astype(dtype) for _ in range(5))
    rz, pq, before = np.array([1.0, 2.0, 3.0]), np.array([2.0, 0.0, 4.0]), np.array([0.0, 1.0, 2.0])
    mask = (rng.random(shape[1:]) < 0.5).astype(np.uint8)
    a = np.array([0.5, 0.0, 0.75]).astype(dtype)[:, None, None, None, None]
    b = np.array([0.0, 2.0, 1.5]).astype(dtype)[:, None, None, None, None]
    sx, sr, sp, rr = send(x.copy()), send(r.copy()), send(p.copy()), send(np.zeros(3))
    partials = send(np.zeros(3 * ops.REDUCE_PARTIALS))
    ops.cg_update(
        sx, sr, sp, send(q), rz=send(rz), pq=send(pq), rr=rr, partials=partials, threads=2
    )
    tol = {"rtol": 1e-5 if dtype == "float32" else 1e-13, "atol": 1e-6}
    np.testing.assert_allclose(fetch(sx), x + a * p, **tol)
    np.testing.assert_allclose(fetch(sr), r - a * q, **tol)
    want = (fetch(sr).astype(float) ** 2).sum(axis=(1, 2, 3, 4))
    np.testing.assert_allclose(fetch(rr), want, rtol=1e-12)
    ops.cg_direction(sp, send(z), rz=send(rz), rz_before=send(before), mask=send(mask), threads=2)
    np.testing.assert_allclose(fetch(sp), (z + b * p) * mask, **tol)
    out = send(np.zeros(3))
    ops.dot(send(x), send(r), out=out, partials=partials, threads=2)
    want = (x.astype(float) * r).sum(axis=(1, 2, 3, 4))
    np.testing.assert_allclose(fetch(out), want, rtol=1e-11)


def test_two_sum_loses_nothing(backend, rng):
    send, fetch = backend
    x = rng.standard_normal((1, 50)).astype(np.float32)
    low = (1e-3 * rng.standard_normal((1, 50))).astype(np.float32)
    a, b = send(x.copy()), send(low.copy())
    ops.two_sum(a, b)
    high, rest = fetch(a), fetch(b)
    np.testing.assert_allclose(high.astype(float) + rest, x.astype(float) + low, rtol=1e-14)
    np.testing.assert_array_equal(high, (x.astype(float) + low).astype(np.float32))
    assert np.abs(rest).max() <= np.abs(np.spacing(high)).max()


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"model": "rubber"}, ValueError, "`model`"),
        ({"labels": np.zeros((2, 2), np.uint8)}, ValueError, "`labels` must have 3 axes"),
        ({"out": np.zeros((1, 1, 2, 2, 2), np.float32)}, ValueError, "`out` must have shape"),
        ({"mean": np.zeros((3, 1), np.float32)}, ValueError, "`mean` must have shape"),
        ({"macro": np.zeros((2, 6), np.float32)}, ValueError, "`macro` must have shape"),
        ({"mean": np.zeros((2, 1))}, TypeError, "`mean` must be float32"),
        ({"u": np.zeros((1, 3, 2, 2, 2))}, TypeError, "`u` must be float32"),
    ],
)
def test_refusals_name_the_argument(change, error, words):
    arguments = {
        "labels": np.zeros((2, 2, 2), np.uint8),
        "model": "elasticity_isotropic",
        "mean": np.ones((2, 1), np.float32),
        "out": np.zeros((1, 3, 2, 2, 2), np.float32),
        "macro": np.zeros((1, 6), np.float32),
        **change,
    }
    with pytest.raises(error, match=words):
        ops.hex8(**arguments)


def test_models_and_their_sizes():
    sizes = {name: (m.components, m.coefficients, m.strains) for name, m in ops.HEX8_MODELS.items()}
    assert sizes == {
        "conduction_isotropic": (1, 1, 3),
        "conduction_anisotropic": (1, 6, 3),
        "elasticity_isotropic": (3, 2, 6),
        "elasticity_orthotropic": (3, 9, 6),
        "elasticity_anisotropic": (3, 21, 6),
    }
    labels, table = np.zeros((1, 1, 1), np.uint8), np.ones((1, 1))
    with pytest.raises(ValueError, match="`model` must be one of HEX8_MODELS, got 'plastic'"):
        ops.hex8(labels, "plastic", table, out=np.zeros((1, 1, 1, 1, 1)), macro=np.ones((1, 3)))
    with pytest.raises(TypeError, match="`mean` must be float32, got float64"):
        ops.hex8(
            labels, "conduction_isotropic", table, out=np.zeros((1, 1, 1, 1, 1)),
            macro=np.ones((1, 3)),
        )  # fmt: skip
