# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Correlations on the GPU.  Goals: S2 map within twice the floor of its FFT passes, lineal path at
half of copy speed.

Seconds of kernels exclude transfers between host and GPU; seconds of a call include everything.
"""

from __future__ import annotations

import time
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
    sizes = (8,) if job.toy else (256, 512, 1024)
    job.step("agreement", agreement, job, 10 if job.toy else 64, expect=10)
    for n in sizes:
        for dtype in ("float64", "float32"):
            for periodic in (True, False):
                if not periodic and (n > 512 or dtype == "float32"):
                    continue
                name = f"S2 map {n} {dtype} {'periodic' if periodic else 'open'}"
                job.step(
                    name, two_point_map, job, n, dtype, periodic, expect=10 if n < 1024 else 60
                )
    for n in sizes:
        job.step(f"curves {n}", curves, job, n, expect=10 if n < 1024 else 40)


def check_on_gpu(job: Job, call: Any, labels: Any) -> None:
    """Check that a CUDA array is processed on the GPU, not copied to the host."""
    if job.rehearse:
        return
    import torch

    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    call()
    if torch.cuda.max_memory_allocated() - before < labels.numel() // 16:
        raise AssertionError("nothing was allocated on the GPU: the labels went to the host")


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
    import torch

    import micro3d_fast as m3

    labels = blobs(n, job.device)
    copy = job.ceilings()["copy"]  # before the peak of memory is measured
    padded = n if periodic else 2 * n

    def ours() -> np.ndarray:
        return m3.two_point_map(labels, 1, periodic=periodic, dtype=np.dtype(dtype))

    real = getattr(torch, dtype)
    if n <= 512:
        field = torch.zeros((padded,) * 3, dtype=real, device=job.device)
        field[:n, :n, :n] = labels
        plain = torch.fft.irfftn(torch.fft.rfftn(field).abs().square(), s=field.shape) / n**3
        if periodic:
            got, want = ours(), plain.cpu().numpy()
            np.testing.assert_allclose(got, want, atol=1e-12 if dtype == "float64" else 2e-5)
        del plain
        case = f"S2 map {n}^3 {dtype} {'periodic' if periodic else 'open'}"

        def peer() -> Any:
            spectrum = torch.fft.rfftn(field)
            return torch.fft.irfftn(spectrum.abs().square(), s=field.shape)

        theirs = kernel_seconds(peer, job.device)
        pair = kernel_seconds(
            lambda: torch.fft.irfftn(torch.fft.rfftn(field), s=field.shape), job.device
        )
        version = f"torch {torch.__version__}"
        job.row(case, "kernels, rfftn and irfftn alone", pair, "s", peer=version, precision=dtype)
        job.row(case, "kernels, plain torch", theirs, "s", peer=version, precision=dtype)
        del field
        _cupy(job, case, labels, padded, dtype)
    case = f"S2 map {n}^3 {dtype} {'periodic' if periodic else 'open'}"
    check_on_gpu(job, ours, labels)
    kernels = kernel_seconds(ours, job.device)
    started = time.perf_counter()
    ours()
    wall = time.perf_counter() - started
    # open: x is padded before its pass, y before its own, z before its own
    volume = n**3 if periodic else n**3 * 14 / 3
    floor = volume * PASSES[dtype] / copy
    job.row(case, "kernels", kernels, "s", precision=dtype)
    job.row(case, "call with the map on the host", wall, "s", precision=dtype)
    notes = f"floor {floor:.3g} s: six FFT passes at copy speed; goal 2"
    job.row(case, "times the FFT floor", kernels / floor, "1", notes=notes, precision=dtype)
    if not job.rehearse:
        peak = torch.cuda.max_memory_allocated() / n**3
        job.row(case, "peak memory", peak, "bytes/voxel", precision=dtype)


def _cupy(job: Job, case: str, labels: Any, padded: int, dtype: str) -> None:
    try:
        import cupy
    except ImportError:
        print("cupy is not installed")
        return
    n = labels.shape[0]
    field = cupy.zeros((padded,) * 3, dtype=dtype)
    field[:n, :n, :n] = cupy.asarray(labels)

    def peer() -> Any:
        spectrum = cupy.fft.rfftn(field)
        return cupy.fft.irfftn(cupy.abs(spectrum) ** 2, s=field.shape)

    seconds = kernel_seconds(peer, job.device)
    cupy.get_default_memory_pool().free_all_blocks()
    job.row(
        case, "kernels, plain cupy", seconds, "s", peer=f"cupy {cupy.__version__}", precision=dtype
    )


def curves(job: Job, n: int) -> None:
    """Time directional S2, radial S2, and lineal paths of all phases from one scan per axis."""
    import micro3d_fast as m3
    from micro3d_fast import statistics

    labels = blobs(n, job.device)
    copy = job.ceilings()["copy"]
    lags = min(128, n // 2)
    for name, call in {
        f"S2 along three axes to lag {lags}": lambda: [
            m3.two_point_correlation(labels, 1, axis=a, max_lag=lags) for a in range(3)
        ],
        f"lineal path along three axes to lag {lags}": lambda: [
            m3.lineal_path(labels, 1, axis=a, max_lag=lags) for a in range(3)
        ],
    }.items():
        check_on_gpu(job, call, labels)
        job.row(f"{name}, {n}^3", "call", seconds_of(call, job.device), "s")
        job.row(f"{name}, {n}^3", "kernels", kernel_seconds(call, job.device), "s")
    for axis, name in enumerate(AXIS_NAMES):
        kernels = kernel_seconds(lambda a=axis: statistics.lineal_paths(labels, axis=a), job.device)
        case = f"lineal paths of all phases, {n}^3 along {name}"
        share = n**3 / kernels / copy
        job.row(case, "share of copy", share, "1", notes="labels read once; goal 0.5")
    if n <= 512:
        call = lambda: m3.two_point_radial(labels, 1, periodic=True)  # noqa: E731
        job.row(f"radial S2, {n}^3 periodic", "call", seconds_of(call, job.device), "s")
