# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Effective properties on the GPU.  Goals: an iteration within 2.5 times its floor from 256^3 on,
whole calls within `GOALS`, relative diffusivity in a tenth of TauFactor's time.

The image is a periodic cell of spheres (31 %, stiffness 10 : 1), repeated to size, so neither
the number of iterations nor the result depends on the size.
"""

from __future__ import annotations

import importlib.util
import sys
import time
from importlib.metadata import version as installed
from typing import Any
from unittest.mock import MagicMock

import numpy as np

from .job import Job
from .timing import kernel_seconds, seconds_of
from .volumes import spheres

#: float32 bytes that one load moves per voxel and component in an iteration of the conjugate
#: gradients, each array read once and written once: operator 8, transforms forth and back 6 x 8,
#: Green operator 8, update of x and r 24, direction 12
ITERATION = 8 + 48 + 8 + 24 + 12
#: edge -> seconds of a whole call
GOALS = {"elasticity": {64: 0.02, 256: 0.8}, "conductivity": {256: 0.15, 512: 1.2}}


def run(job: Job) -> None:
    job.step("agreement", agreement, job, 8 if job.toy else 32, expect=20)
    for kind, solve in (("conductivity", conductivity), ("elasticity", elasticity)):
        for n in (8,) if job.toy else GOALS[kind] if job.quick else (64, 128, 256, 512):
            job.step(f"{kind} {n}", solve, job, n, expect=10 if n < 512 else 60)
    for n in (8,) if job.toy else (64, 128, 256):
        job.step(f"diffusivity {n}", diffusivity, job, n, expect=20)


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


def timed(call: Any, device: str) -> tuple[Any, float]:
    """Return the result of a first call and the median seconds of later ones."""
    started = time.perf_counter()
    result = call()
    long = time.perf_counter() - started > 2
    return result, seconds_of(call, device, least=1 if long else 5, warm=0 if long else 1)


def record(job: Job, kind: str, n: int, call: Any, loads: str) -> Any:
    """Record seconds, iterations, memory and the ratio to the floor of memory traffic."""
    copy = job.ceilings()["copy"]  # before the peak of memory is measured
    reset(job)
    result, seconds = timed(call, job.device)
    case, keys = f"{kind} {n}^3, {loads} loads", {"tolerance": "1e-6"}
    components = 3 if kind == "elasticity" else 1
    iterations = np.atleast_1d(result.iterations)  # one number per load
    goal = f"; goal {GOALS[kind][n]}" if n in GOALS[kind] else ""
    notes = f"iterations {iterations.tolist()}, host and transfers included{goal}"
    job.row(case, "seconds", seconds, "s", notes=notes, **keys)
    floor = iterations.sum() * components * ITERATION * n**3 / copy
    notes = f"floor {floor:.3g} s, {ITERATION * components} bytes per voxel, load and iteration"
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
    keys = {"tol": 1e-6, "device": job.device}
    call = lambda: m3.homogenize_elasticity(labels, phases(), **keys)  # noqa: E731
    made = record(job, "elasticity", n, call, "six")
    case = f"elasticity {n}^3, six loads"
    job.row(case, "C11", float(made.stiffness[0, 0]), "1", notes="the same at every size")


def conductivity(job: Job, n: int) -> None:
    import micro3d_fast as m3

    labels = spheres(n)
    keys = {"tol": 1e-6, "device": job.device}
    call = lambda: m3.homogenize_conductivity(labels, [1.0, 10.0], **keys)  # noqa: E731
    record(job, "conductivity", n, call, "three")


def diffusivity(job: Job, n: int) -> None:
    import micro3d_fast as m3

    labels = spheres(n)
    keys = {"axis": "z", "tol": 1e-6, "device": job.device}
    result, seconds = timed(lambda: m3.relative_diffusivity(labels, 0, **keys), job.device)
    case = f"relative diffusivity {n}^3"
    notes = f"relative {result.relative:.6f}, {result.iterations} iterations"
    job.row(case, "seconds", seconds, "s", notes=notes, tolerance="1e-6")
    beside_taufactor(job, case, labels, result.relative, seconds)


def beside_taufactor(
    job: Job, case: str, labels: np.ndarray, relative: float, seconds: float
) -> None:
    """Time TauFactor on the same GPU, at its default criterion and at one of comparable error."""
    taufactor = import_taufactor()
    if taufactor is None:
        return
    keys = {"peer": f"taufactor {installed('taufactor')}", "precision": "float32"}
    pores, found = (labels == 0).astype(np.uint8), []

    def solve(criterion: float) -> float:
        started = time.perf_counter()
        solver = taufactor.Solver(pores, device=job.device)
        solver.solve(verbose=False, conv_crit=criterion, iter_limit=100_000)
        found.append((float(np.asarray(solver.D_rel).squeeze()), solver.iter))
        return time.perf_counter() - started

    solve(1e-2)  # warms up
    for criterion in (1e-2, 1e-4):
        tolerance = {"tolerance": f"{criterion:g}"}
        theirs = job.peer(case, "seconds", lambda c=criterion: solve(c), **keys, **tolerance)
        value, iterations = found[-1]
        notes = f"relative {value:.6f} against {relative:.6f}, {iterations} iterations"
        job.row(
            case, "difference", abs(value / relative - 1), "1", notes=notes, **keys, **tolerance
        )
        goal = "goal 10" if criterion == 1e-4 else "its default criterion"
        job.row(case, "speed-up", theirs / seconds, "1", notes=goal, **keys, **tolerance)


def import_taufactor() -> Any:
    """Return the package, or None; what it imports for pictures and surfaces may be absent."""
    unused = ("IPython", "IPython.display", "psutil", "skimage")
    absent = [name for name in unused if importlib.util.find_spec(name.split(".")[0]) is None]
    sys.modules.update({name: MagicMock() for name in absent})
    try:
        return importlib.import_module("taufactor")
    except ImportError as error:
        print(f"taufactor cannot be imported: {error}")
        return None
    finally:
        for name in absent:
            del sys.modules[name]


def reset(job: Job) -> None:
    if not job.rehearse:
        import torch

        torch.cuda.reset_peak_memory_stats()
