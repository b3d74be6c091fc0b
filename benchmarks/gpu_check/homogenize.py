# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Effective properties on the GPU.  Goal: an iteration within 2.5 times its floor from 256^3 on.

The image is a periodic cell of spheres (31 %, stiffness 10 : 1), repeated to size, so neither
the number of iterations nor the result depends on the size.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from .job import Job
from .timing import kernel_seconds
from .volumes import spheres

#: float32 bytes that one load moves per voxel and component in an iteration of the conjugate
#: gradients, each array read once and written once: operator 8, transforms forth and back 6 x 8,
#: Green operator 8, update of x and r 24, direction 12
ITERATION = 8 + 48 + 8 + 24 + 12


def run(job: Job) -> None:
    import micro3d_fast as m3

    try:
        m3.homogenize_elasticity  # noqa: B018
    except AttributeError:
        print("this package has no homogenization: nothing to check")
        return
    job.step("agreement", agreement, job, 8 if job.toy else 32, expect=20)
    for n in (8,) if job.toy else (64, 128, 256, 512):
        job.step(f"conductivity {n}", conductivity, job, n, expect=10 if n < 512 else 40)
        job.step(f"elasticity {n}", elasticity, job, n, expect=10 if n < 512 else 120)
        job.step(f"diffusivity {n}", diffusivity, job, n, expect=10 if n < 512 else 60)


def phases() -> list[Any]:
    import micro3d_fast as m3

    return [m3.Isotropic(E=1.0, nu=0.3), m3.Isotropic(E=10.0, nu=0.2)]


def agreement(job: Job, n: int) -> None:
    """Compare the properties with those of the CPU, at the tolerance of the solver."""
    import micro3d_fast as m3

    labels = spheres(n)
    keys = {"tol": 1e-8}
    pairs = {
        "stiffness": [
            m3.homogenize_elasticity(labels, phases(), device=d, **keys).stiffness
            for d in (job.device, "cpu")
        ],
        "conductivity": [
            m3.homogenize_conductivity(labels, [1.0, 10.0], device=d, **keys).tensor
            for d in (job.device, "cpu")
        ],
        "relative diffusivity": [
            m3.relative_diffusivity(labels, 0, axis="z", device=d, **keys).relative
            for d in (job.device, "cpu")
        ],
    }
    for name, (got, want) in pairs.items():
        error = float(np.abs(np.asarray(got) - want).max() / np.abs(want).max())
        job.row(f"{name} of {n}^3", "difference from the CPU", error, "1", tolerance="1e-8")
        if error > 1e-6:
            raise AssertionError(f"{name} differs from the CPU's by {error:.2g}")


def timed(call: Any) -> tuple[Any, float]:
    """Return the result of a second call and its seconds; the first one warms up."""
    call()
    started = time.perf_counter()
    result = call()
    return result, time.perf_counter() - started


def record(job: Job, case: str, n: int, call: Any, components: int) -> Any:
    """Record seconds, iterations, memory and the ratio to the floor of memory traffic."""
    copy = job.ceilings()["copy"]  # before the peak of memory is measured
    reset(job)
    result, seconds = timed(call)
    keys = {"tolerance": "1e-6"}
    iterations = np.atleast_1d(result.iterations)  # one number per load
    notes = f"iterations {iterations.tolist()}, host and transfers included"
    job.row(case, "seconds", seconds, "s", notes=notes, **keys)
    floor = iterations.sum() * components * ITERATION * n**3 / copy
    notes = f"floor {floor:.3g} s, {ITERATION * components} bytes per voxel, load and iteration"
    job.row(case, "times the floor, whole call", seconds / floor, "1", notes=notes, **keys)
    if not job.rehearse:
        import torch

        peak = torch.cuda.max_memory_allocated() / n**3
        job.row(case, "peak memory", peak, "bytes/voxel", notes="of the solve's own batch", **keys)
    kernels = kernel_seconds(call, job.device)
    job.row(case, "kernels", kernels, "s", **keys)
    job.row(case, "times the floor", kernels / floor, "1", notes=f"{notes}; goal 2.5", **keys)
    return result


def elasticity(job: Job, n: int) -> None:
    import micro3d_fast as m3

    labels = spheres(n)
    case = f"elasticity {n}^3, six loads"
    keys = {"tol": 1e-6, "device": job.device}
    made = record(job, case, n, lambda: m3.homogenize_elasticity(labels, phases(), **keys), 3)
    job.row(case, "C11", float(made.stiffness[0, 0]), "1", notes="the same at every size")


def conductivity(job: Job, n: int) -> None:
    import micro3d_fast as m3

    labels = spheres(n)
    case = f"conductivity {n}^3, three loads"
    keys = {"tol": 1e-6, "device": job.device}
    record(job, case, n, lambda: m3.homogenize_conductivity(labels, [1.0, 10.0], **keys), 1)


def diffusivity(job: Job, n: int) -> None:
    import micro3d_fast as m3

    labels = spheres(n)
    keys = {"axis": "z", "tol": 1e-6, "device": job.device}
    result, seconds = timed(lambda: m3.relative_diffusivity(labels, 0, **keys))
    case = f"relative diffusivity {n}^3"
    job.row(
        case, "seconds", seconds, "s", notes=f"relative {result.relative:.6f}", tolerance="1e-6"
    )
    if n <= 256:
        taufactor(job, case, labels, result.relative)


def taufactor(job: Job, case: str, labels: np.ndarray, ours: float) -> None:
    """Time TauFactor on the same GPU, at its own tolerance."""
    try:
        import taufactor
    except ImportError:
        print("taufactor is not installed")
        return
    started = time.perf_counter()
    solver = taufactor.Solver((labels == 0).astype(np.uint8), device=job.device)
    solver.solve(verbose=False)
    seconds = time.perf_counter() - started
    version = f"taufactor {getattr(taufactor, '__version__', '')}"
    theirs = float(np.asarray(solver.D_eff).squeeze())
    notes = f"relative {theirs:.5f} against {ours:.5f}"
    job.row(case, "seconds, taufactor", seconds, "s", notes=notes, peer=version)


def reset(job: Job) -> None:
    if not job.rehearse:
        import torch

        torch.cuda.reset_peak_memory_stats()
