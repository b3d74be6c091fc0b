# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Stiffness and conductivity against muGrid and against the bare FFTs of the same iterations.

    pytest benchmarks/bench_homogenize.py --benchmark-only -s
    M3D_BENCH_EDGES=64,128,192 OMP_NUM_THREADS=2 pytest benchmarks/bench_homogenize.py ...

The image: periodic overlapping spheres, 31 %, ten times as stiff as the matrix; relative residual
1e-6 for all. A *pair* is scipy's rfftn and irfftn in float64, of three components for the
stiffness and of one for the conductivity: the lower bound of a float64 solver with the same
preconditioner.
"""

from __future__ import annotations

import os

import numpy as np
import pytest

import micro3d_fast as m3
from _measure import THREADS, best, once, peak_memory, peer, row, timed, version

BENCH = "homogenize"
EDGES = [int(n) for n in os.environ.get("M3D_BENCH_EDGES", "64,128").split(",")]
LARGEST_PEER = int(os.environ.get("M3D_BENCH_PEER", "128"))
SOFT, HARD = m3.Isotropic(E=1.0, nu=0.3), m3.Isotropic(E=10.0, nu=0.3)
TOL = 1e-6
PAIRS = 129  # iterations of six loads at contrast 10
SCALAR_PAIRS = 63  # of three


def spheres(n: int, fraction: float = 0.31, seed: int = 0) -> np.ndarray:
    """Return periodic overlapping spheres of radius n / 8, until the fraction is reached."""
    rng = np.random.default_rng(seed)
    axis = np.arange(n)
    labels = np.zeros((n, n, n), dtype=np.uint8)
    while labels.mean() < fraction:
        d = [np.minimum(np.abs(axis - c), n - np.abs(axis - c)) ** 2 for c in rng.uniform(0, n, 3)]
        labels[d[0][:, None, None] + d[1][:, None] + d[2] <= (n / 8) ** 2] = 1
    return labels


def bare_pair(n: int, components: int):
    """Return a function that computes one pair of transforms."""
    from scipy import fft

    x = np.random.default_rng(0).standard_normal((components, n, n, n))

    def call():
        spectrum = fft.rfftn(x, axes=(1, 2, 3), workers=THREADS)
        return fft.irfftn(spectrum, s=(n, n, n), axes=(1, 2, 3), workers=THREADS)

    return call


def against_the_pairs(case, seconds, n, components, count, goal):
    """Record the ratio of a time to that of the bare transforms."""
    pair = best(bare_pair(n, components))
    name = version("scipy") + " bare"
    row(case, "one pair", pair, "s", bench=BENCH, peer=name, notes=f"{components} component(s)")
    notes = f"goal {goal}"
    row(case, f"time / {count} pairs", seconds / (count * pair), "1", bench=BENCH,
        precision="mixed", peer=name, notes=notes, tolerance=f"{TOL:g}")  # fmt: skip


@pytest.mark.parametrize("n", EDGES)
@pytest.mark.parametrize("precision", ["mixed", "float64"])
def test_stiffness(benchmark, n, precision):
    labels, phases = spheres(n), [SOFT, HARD]
    case = f"stiffness {n}^3, contrast 10, six loads"

    def ours():
        return m3.homogenize_elasticity(
            labels, phases, tol=TOL, precision=precision, threads=THREADS
        )

    got = ours()
    assert max(got.residuals) <= TOL
    assert np.linalg.eigvalsh(got.bounds.voigt - got.stiffness).min() > 0
    assert np.linalg.eigvalsh(got.stiffness - got.bounds.reuss).min() > 0
    common = {"bench": BENCH, "precision": precision, "tolerance": f"{TOL:g}"}
    seconds = timed(benchmark, ours, rounds=3 if n <= 64 else 1)
    row(case, "time", seconds, "s", notes=f"iterations {list(got.iterations)}", **common)
    row(case, "iterations", sum(got.iterations), "1", **common)
    rate = seconds / sum(got.iterations) / n**3
    row(case, "time a voxel and iteration", 1e9 * rate, "ns", **common)
    row(case, "peak memory", peak_memory(ours) / n**3, "B/voxel", **common)
    if precision == "mixed":
        against_the_pairs(case, seconds, n, 3, PAIRS, 2)


@pytest.mark.parametrize("n", EDGES)
def test_conductivity(benchmark, n):
    labels = spheres(n)
    case = f"conductivity {n}^3, contrast 10, three loads"

    def ours():
        return m3.homogenize_conductivity(labels, [1.0, 10.0], tol=TOL, threads=THREADS)

    got = ours()
    low, high = got.bounds.hashin_shtrikman
    assert low < np.trace(got.tensor) / 3 < high
    common = {"bench": BENCH, "precision": "mixed", "tolerance": f"{TOL:g}"}
    seconds = timed(benchmark, ours, rounds=5 if n <= 64 else 2)
    row(case, "time", seconds, "s", notes=f"iterations {list(got.iterations)}", **common)
    row(case, "peak memory", peak_memory(ours) / n**3, "B/voxel", **common)
    against_the_pairs(case, seconds, n, 1, SCALAR_PAIRS, 2.5)


@pytest.mark.parametrize("n", [n for n in EDGES if n <= LARGEST_PEER])
def test_stiffness_against_mugrid(benchmark, n):
    mugrid = peer("muGrid")
    labels, phases = spheres(n), [SOFT, HARD]
    case = f"stiffness {n}^3, contrast 10, six loads"

    def ours():  # on one thread, like the wheel of muGrid
        return m3.homogenize_elasticity(labels, phases, tol=TOL, threads=1)

    seconds_peer, (theirs, iterations) = once(lambda: mugrid_stiffness(mugrid, labels, TOL))
    # their axis 0 is the first array axis, ours the last
    turned = theirs[[2, 1, 0, 5, 4, 3]][:, [2, 1, 0, 5, 4, 3]]
    # their off-diagonals come from mean stresses, with an error of first order
    np.testing.assert_allclose(turned, ours().stiffness, atol=20 * TOL * theirs.max())
    seconds = timed(benchmark, ours, rounds=2 if n <= 64 else 1)
    name = version("muGrid") + ", fused operator, stored symbol"
    row(case, "time", seconds_peer, "s", bench=BENCH, peer=name, tolerance=f"{TOL:g}", threads=1,
        notes=f"iterations {iterations}")  # fmt: skip
    row(case, "speed-up", seconds_peer / seconds, "1", bench=BENCH, peer=name, notes="goal 6",
        precision="mixed", threads=1)  # fmt: skip


def mugrid_stiffness(mugrid, labels: np.ndarray, tol: float):
    """Solve the same problem by muGrid: fused hex8 operator, PCG, reference preconditioner."""
    from muGrid.Preconditioners import make_reference_stiffness_preconditioner
    from muGrid.Solvers import conjugate_gradients

    def plain(field):
        return getattr(field, "_cpp", field)

    communicator = mugrid.Communicator()
    ghosts = (1, 1, 1)
    engine = mugrid.FFTEngine(
        labels.shape, communicator, nb_ghosts_left=ghosts, nb_ghosts_right=ghosts
    )
    operator = mugrid.IsotropicStiffnessOperator(3, [1.0] * 3)
    moduli = np.array([[m.stiffness[0, 1], m.stiffness[3, 3]] for m in (SOFT, HARD)])
    fields = []
    for name, values in zip(("lambda", "mu"), moduli.T, strict=True):
        field = engine.real_space_field(name)
        field.s[...] = values[labels]
        engine.communicate_ghosts(field)
        fields.append(field)
    u, force = (engine.real_space_field(name, (3,)) for name in ("u", "force"))
    mean = np.bincount(labels.reshape(-1)) / labels.size @ moduli
    preconditioner = make_reference_stiffness_preconditioner(
        engine, element=mugrid.FEMElement.q1, grid_spacing=[1.0] * 3,
        lambda_ref=mean[0], mu_ref=mean[1],
    )  # fmt: skip

    def apply(x, y):
        engine.communicate_ghosts(x)
        operator.apply(x, *fields, y)

    pairs = [(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)]
    stiffness, iterations = np.zeros((6, 6)), []
    for column, (i, j) in enumerate(pairs):
        strain = np.zeros((3, 3))
        strain[i, j] = strain[j, i] = 1.0 if i == j else 0.5
        flat = strain.reshape(-1).tolist()
        operator.apply_macro_rhs(*map(plain, fields), flat, plain(force))
        force.s[...] *= -1.0
        u.s[...] = 0.0
        iterations.append(0)

        def count(iteration, _state):
            iterations[-1] = iteration

        conjugate_gradients(
            communicator, engine.real_space_collection, force, u, apply, prec=preconditioner,
            rtol=tol, callback=count,
        )  # fmt: skip
        engine.communicate_ghosts(u)
        stress = operator.average_stress(plain(u), *map(plain, fields), flat)
        stress = np.reshape(stress, (3, 3)) / labels.size
        stiffness[:, column] = [stress[a, b] for a, b in pairs]
    return stiffness, iterations


@pytest.mark.parametrize("contrast", [100.0, 1000.0, np.inf])
def test_contrast(benchmark, contrast):
    """Record iterations, which grow with the contrast and not with the size, also with pores."""
    n = EDGES[0]
    labels = spheres(n)
    hard = m3.Isotropic(E=1.0, nu=0.3)
    soft = m3.Isotropic(E=0.0 if contrast == np.inf else 1.0 / contrast, nu=0.3)
    case = f"stiffness {n}^3, pores" if contrast == np.inf else f"stiffness {n}^3, {contrast:g}"

    def ours():
        return m3.homogenize_elasticity(labels, [hard, soft], tol=TOL, threads=THREADS)

    got = ours()
    assert max(got.residuals) <= TOL
    common = {"bench": BENCH, "precision": "mixed", "tolerance": f"{TOL:g}"}
    seconds = timed(benchmark, ours, rounds=1)
    row(case, "time", seconds, "s", notes=f"iterations {list(got.iterations)}", **common)
    row(case, "iterations", sum(got.iterations), "1", **common)


@pytest.mark.parametrize("n", EDGES)
def test_parts_of_an_iteration(benchmark, n):
    """Record seconds and counted bytes of each part, beside the copy speed of this machine."""
    from micro3d_fast import ops
    from micro3d_fast.homogenization._compute import NumpyCompute
    from micro3d_fast.homogenization._hex8 import Hex8Problem, UnitLoads
    from micro3d_fast.homogenization._unit_elements import UnitElements
    from micro3d_fast.homogenization.solver import solver_options

    labels = spheres(n)
    problem = Hex8Problem(
        "parts", UnitElements(labels, np.stack([SOFT.stiffness, HARD.stiffness]), (1.0, 1.0, 1.0)),
        NumpyCompute(THREADS), solver_options(TOL, 1, "mixed", None),
    )  # fmt: skip
    system = UnitLoads(problem, [0])
    rng = np.random.default_rng(0)
    x, r, p, q = (rng.standard_normal(system.shape, dtype=np.float32) for _ in range(4))
    one, two, three = (np.ones(1) for _ in range(3))
    size = 12.0 * n**3  # bytes of a field
    source, target = np.zeros(2 * p.size, np.float32), np.zeros(2 * p.size, np.float32)
    copy = 2 * target.nbytes / best(lambda: np.copyto(target, source)) / 1e9
    row(f"copy {n}^3", "bandwidth", copy, "GB/s", bench=BENCH, precision="float32", threads=1,
        peer=version("numpy"))  # fmt: skip
    parts = {  # call, fields moved
        "operator": (lambda: system.apply(p, q, two), 2 + 1 / 12),
        # transform along y, the other axes for one k_y after another, and back along y
        "preconditioner": (lambda: system.precondition(r, one), 2 + 2 + 2),
        "update": (
            lambda: ops.cg_update(x, r, p, q, rz=one, pq=two, rr=three, threads=THREADS),
            6,
        ),
        "direction": (
            lambda: ops.cg_direction(p, q, rz=one, rz_before=two, threads=THREADS),
            3,
        ),
    }
    total = 0.0
    for name, (call, fields) in parts.items():
        one[:], two[:] = 1e-3, 1.0
        seconds = best(call)
        total += seconds
        case = f"{name} {n}^3 float32"
        row(case, "time", seconds, "s", bench=BENCH, precision="float32")
        row(case, "bandwidth", fields * size / seconds / 1e9, "GB/s", bench=BENCH,
            precision="float32", notes=f"{12 * fields:.0f} bytes per voxel counted")  # fmt: skip
    bytes_per_voxel = 12 * sum(fields for _, fields in parts.values())
    case = f"iteration {n}^3 float32"
    row(case, "time / copy floor", total / (bytes_per_voxel * n**3 / copy / 1e9), "1", bench=BENCH,
        precision="float32", notes=f"{bytes_per_voxel:.0f} bytes per voxel counted")  # fmt: skip
    benchmark.pedantic(parts["operator"][0], rounds=3)
