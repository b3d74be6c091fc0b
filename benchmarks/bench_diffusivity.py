# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Relative diffusivity and tortuosity against TauFactor: agreement first, then seconds.

    pytest benchmarks/bench_diffusivity.py --benchmark-only -s
    M3D_BENCH_EDGES=64,128,192 OMP_NUM_THREADS=2 pytest benchmarks/bench_diffusivity.py ...

Ours at a true relative residual of 1e-6 (an error of the order of its square in the diffusivity);
TauFactor stopped at its criterion 1e-4 (spread of the flux over the planes), on the same threads.
"""

from __future__ import annotations

import os

import numpy as np
import pytest

import micro3d_fast as m3
from _measure import THREADS, once, peak_memory, peer, row, timed, version

BENCH = "relative diffusivity"
EDGES = [int(n) for n in os.environ.get("M3D_BENCH_EDGES", "64,128").split(",")]
LARGEST_PEER = int(os.environ.get("M3D_BENCH_PEER", "128"))
TOL = 1e-6
GOALS = {64: 5, 128: 10}


def pores(n: int, fraction: float = 0.5, seed: int = 1) -> np.ndarray:
    """Return a level cut with features of n / 16 voxels, the pores 1."""
    from scipy import fft

    rng = np.random.default_rng(seed)
    k = np.array(np.meshgrid(fft.fftfreq(n), fft.fftfreq(n), fft.rfftfreq(n), indexing="ij"))
    field = fft.rfftn(rng.standard_normal((n, n, n))) * np.exp(-0.5 * (k**2).sum(0) * n**2 / 9)
    field = fft.irfftn(field, s=(n, n, n))
    return (field > np.quantile(field, 1 - fraction)).astype(np.uint8)


@pytest.mark.parametrize("n", EDGES)
def test_against_taufactor(benchmark, n):
    labels = pores(n)
    case = f"pores {n}^3, 50 %"

    def ours():
        return m3.relative_diffusivity(labels, 1, axis=0, tol=TOL, threads=THREADS)

    got = ours()
    assert got.residual <= TOL
    seconds = timed(benchmark, ours, rounds=5 if n <= 64 else 2)
    common = {"bench": BENCH, "precision": "mixed", "tolerance": f"{TOL:g}"}
    row(case, "time", seconds, "s", notes=f"{got.iterations} iterations", **common)
    row(case, "peak memory", peak_memory(ours) / n**3, "B/voxel", **common)
    if n > LARGEST_PEER:
        return
    taufactor = peer("taufactor")
    import torch

    torch.set_num_threads(THREADS)
    name = version("taufactor")
    for criterion in (1e-2, 1e-4):
        solver = taufactor.Solver(labels, device="cpu")

        def solve(solver=solver, criterion=criterion):
            solver.solve(verbose=False, conv_crit=criterion, iter_limit=100_000)

        seconds_peer, _ = once(solve)
        theirs = float(np.asarray(solver.D_rel).squeeze())
        difference = abs(theirs / got.relative - 1)
        assert difference < (2e-2 if criterion == 1e-2 else 1e-3)
        more = {"bench": BENCH, "precision": "float32", "tolerance": f"{criterion:g}", "peer": name}
        row(case, "time", seconds_peer, "s", notes=f"{solver.iter} iterations", **more)
        row(case, "difference", difference, "1", **more)
        goal = f"goal {GOALS[n]}" if n in GOALS and criterion == 1e-4 else ""
        row(case, "speed-up", seconds_peer / seconds, "1", notes=goal, **more)


@pytest.mark.parametrize("sides", ["no-flux", "periodic"])
def test_sides_and_precision(benchmark, sides):
    n = EDGES[0]
    labels = pores(n)
    for precision in ("mixed", "float64"):

        def ours(precision=precision):
            return m3.relative_diffusivity(
                labels, 1, axis="x", sides=sides, tol=TOL, precision=precision, threads=THREADS
            )

        seconds, got = once(ours)
        case = f"pores {n}^3, 50 %, {sides}"
        row(case, "time", seconds, "s", bench=BENCH, precision=precision, tolerance=f"{TOL:g}",
            notes=f"{got.iterations} iterations")  # fmt: skip
    benchmark.pedantic(ours, rounds=1)
