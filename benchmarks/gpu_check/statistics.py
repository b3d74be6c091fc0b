# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Correlations on the GPU.  Goals: S2 map within twice the floor of its FFT passes, curves without
the map in 5 ms at 256^3 and 25 ms at 512^3, lineal path at half of copy speed.

Seconds of kernels exclude transfers between host and GPU; seconds of a call include everything.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from micro3d_fast._planes import AXIS_NAMES

from .job import Job
from .timing import kernel_seconds, seconds_of
from .volumes import blobs

#: bytes per voxel that six passes of a real transform forth and back must move: each reads and
#: writes half a complex volume, which is as large as a real one
PASSES = {"float64": 6 * 2 * 8, "float32": 6 * 2 * 4}


def run(job: Job) -> None:
    job.step("agreement", agreement, job, 10 if job.toy else 64, expect=10)
    for n in (8,) if job.toy else (256, 512):
        job.step(f"curves {n}", curves, job, n, expect=10)
    for n in (8,) if job.toy else (256, 512):
        for dtype, periodic in (("float64", True), ("float64", False), ("float32", True)):
            if job.quick and n == 512 and (dtype, periodic) != ("float64", True):
                continue
            kind = "periodic" if periodic else "open"
            job.step(
                f"S2 map {n} {dtype} {kind}", two_point_map, job, n, dtype, periodic, expect=10
            )


def agreement(job: Job, n: int) -> None:
    """Compare every public function with its result on the host."""
    import micro3d_fast as m3

    labels = blobs(n, job.device, scale=4)
    host = labels.cpu().numpy()
    for periodic in (False, True):
        keys: dict[str, Any] = {"periodic": periodic}
        np.testing.assert_allclose(
            m3.two_point_map(labels, 1, **keys), m3.two_point_map(host, 1, **keys), rtol=1e-15
        )
        got, want = m3.two_point_radial(labels, 1, **keys), m3.two_point_radial(host, 1, **keys)
        np.testing.assert_allclose(got.value, want.value, rtol=1e-13)
        np.testing.assert_array_equal(got.count, want.count)
        for axis in range(3):
            keys["axis"] = axis
            for function in (m3.two_point_correlation, m3.lineal_path):
                np.testing.assert_array_equal(
                    function(labels, 1, **keys), function(host, 1, **keys)
                )
    np.testing.assert_array_equal(m3.volume_fractions(labels), m3.volume_fractions(host))
    job.row(f"statistics of {n}^3", "agree with the host", 1.0, "1")


def two_point_map(job: Job, n: int, dtype: str, periodic: bool) -> None:
    """Time the map, its kernels alone and those of the plain transforms of torch and cupy."""
    import torch

    import micro3d_fast as m3

    labels = blobs(n, job.device)
    copy = job.ceilings()["copy"]  # before the peak of memory is measured
    case = f"S2 map {n}^3 {dtype} {'periodic' if periodic else 'open'}"

    def ours() -> np.ndarray:
        return m3.two_point_map(labels, 1, periodic=periodic, dtype=np.dtype(dtype))

    padded = n if periodic else 2 * n
    plain_torch(job, case, labels, padded, dtype, ours() if periodic else None)
    plain_cupy(job, case, labels, padded, dtype)
    if not job.rehearse:
        torch.cuda.reset_peak_memory_stats()
    kernels = kernel_seconds(ours, job.device)  # raises if the labels went to the host
    # open: x is padded before its pass, y before its own, z before its own
    volume = n**3 if periodic else n**3 * 14 / 3
    floor = volume * PASSES[dtype] / copy
    job.row(case, "kernels", kernels, "s", precision=dtype)
    whole = seconds_of(ours, job.device, warm=0)
    job.row(case, "call with the map on the host", whole, "s", precision=dtype)
    notes = f"floor {floor:.3g} s: six FFT passes at copy speed; goal 2"
    job.row(case, "times the FFT floor", kernels / floor, "1", notes=notes, precision=dtype)
    if not job.rehearse:
        peak = torch.cuda.max_memory_allocated() / n**3
        job.row(case, "peak memory", peak, "bytes/voxel", precision=dtype)


def plain_torch(
    job: Job, case: str, labels: Any, padded: int, dtype: str, want: np.ndarray | None
) -> None:
    """Time the transforms alone and the whole map in torch; compare the latter with ours."""
    import torch

    n = len(labels)
    keys = {"peer": f"torch {torch.__version__}", "precision": dtype}

    def field() -> Any:
        out = torch.zeros((padded,) * 3, dtype=getattr(torch, dtype), device=job.device)
        out[:n, :n, :n] = labels
        return out

    def transforms() -> float:
        x = field()
        pair = lambda: torch.fft.irfftn(torch.fft.rfftn(x), s=x.shape)  # noqa: E731
        return kernel_seconds(pair, job.device)

    def whole() -> float:
        x = field()
        plain = lambda: torch.fft.irfftn(torch.fft.rfftn(x).abs().square(), s=x.shape)  # noqa: E731
        if want is not None:
            tolerance = 1e-12 if dtype == "float64" else 2e-5
            np.testing.assert_allclose((plain() / n**3).cpu().numpy(), want, atol=tolerance)
        return kernel_seconds(plain, job.device)

    job.peer(case, "kernels, rfftn and irfftn alone", transforms, **keys)
    job.peer(case, "kernels, plain torch", whole, **keys)


def plain_cupy(job: Job, case: str, labels: Any, padded: int, dtype: str) -> None:
    """Time the map in cupy."""
    try:
        import cupy
    except ImportError:
        print("cupy is not installed")
        return
    n = len(labels)

    def whole() -> float:
        x = cupy.zeros((padded,) * 3, dtype=dtype)
        x[:n, :n, :n] = cupy.asarray(labels)
        plain = lambda: cupy.fft.irfftn(cupy.abs(cupy.fft.rfftn(x)) ** 2, s=x.shape)  # noqa: E731
        return kernel_seconds(plain, job.device)

    peer = f"cupy {cupy.__version__}"
    job.peer(case, "kernels, plain cupy", whole, peer=peer, precision=dtype)


def curves(job: Job, n: int) -> None:
    """Time radial and directional S2, and lineal paths of all phases from one scan per axis."""
    import micro3d_fast as m3
    from micro3d_fast import statistics

    labels = blobs(n, job.device)
    copy = job.ceilings()["copy"]
    lags = min(128, n // 2)
    goal = {256: "goal 0.005", 512: "goal 0.025"}.get(n, "")
    for name, call in {
        f"radial S2, {n}^3 periodic": lambda: m3.two_point_radial(labels, 1, periodic=True),
        f"S2 along three axes to lag {lags}, {n}^3": lambda: [
            m3.two_point_correlation(labels, 1, axis=a, max_lag=lags) for a in range(3)
        ],
        f"lineal path along three axes to lag {lags}, {n}^3": lambda: [
            m3.lineal_path(labels, 1, axis=a, max_lag=lags) for a in range(3)
        ],
    }.items():
        notes = goal if "S2" in name else ""
        job.row(name, "call", seconds_of(call, job.device), "s", notes=notes)
        job.row(name, "kernels", kernel_seconds(call, job.device), "s")
    for axis, name in enumerate(AXIS_NAMES):
        scan = partial(statistics.lineal_paths, labels, axis=axis, n_phases=2)
        kernels = kernel_seconds(scan, job.device)
        case = f"lineal paths of all phases, {n}^3 along {name}"
        share = n**3 / kernels / copy
        job.row(case, "share of copy", share, "1", notes="labels read once; goal 0.5")
