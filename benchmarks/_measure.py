# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Shared by the benchmarks: volumes, clocks, peak memory, peers.

M3D_BENCH_SIZE   edge of the volume (default 256)
M3D_BENCH_SLOW   1: also cases that take minutes (PoreSpy's radial average, 512^3, scaling)
M3D_RESULTS      file of the rows (default benchmarks/results.csv)
"""

from __future__ import annotations

import functools
import gc
import importlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import _results
from micro3d_fast._planes import TO_FIELD
from micro3d_fast.statistics._threads import thread_count

SIZE = int(os.environ.get("M3D_BENCH_SIZE", "256"))
SLOW = os.environ.get("M3D_BENCH_SLOW") == "1"
RESULTS = Path(os.environ.get("M3D_RESULTS", _results.RESULTS))
THREADS = thread_count(0)
LAG = SIZE // 2
#: Permutation that turns a field (C, z, y, x) into the slice batch [S, C, H, W] of a plane.
TO_BATCH = {plane: tuple(int(i) for i in np.argsort(order)) for plane, order in TO_FIELD.items()}


@functools.lru_cache(maxsize=1)
def volume(n: int = SIZE, fraction: float = 0.35) -> np.ndarray:
    """Return a level cut of a smooth field, correlated twice as long along z as along y and x."""
    from scipy import fft

    rng = np.random.default_rng(1)
    field = fft.rfftn(rng.standard_normal((n, n, n), dtype=np.float32), workers=THREADS)
    k = [fft.fftfreq(n), fft.fftfreq(n), fft.rfftfreq(n)]
    for axis, (q, width) in enumerate(zip(k, (6.0, 3.0, 3.0), strict=True)):
        shape = [1, 1, 1]
        shape[axis] = -1
        field *= np.exp(-2 * (np.pi * width * q) ** 2).astype(np.float32).reshape(shape)
    field = fft.irfftn(field, s=(n, n, n), workers=THREADS)
    level = np.quantile(field[:: max(1, n // 64)], 1 - fraction)
    return np.ascontiguousarray(field > level).view(np.uint8)


def best(call: Callable[[], Any], rounds: int = 5, least: float = 0.5) -> float:
    """Return the shortest time of several calls, which take at least ``least`` seconds in all."""
    call()
    seconds: list[float] = []
    while len(seconds) < rounds or sum(seconds) < least:
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
        if sum(seconds) > 60:
            break
    return min(seconds)


def timed(benchmark: Any, call: Callable[[], Any], rounds: int = 5, least: float = 0.5) -> float:
    """Return the same as `best`, and show it in pytest-benchmark's table."""
    call()
    rounds = max(rounds, min(500, int(least / once(call)[0])))
    benchmark.pedantic(call, rounds=rounds)
    stats = getattr(benchmark, "stats", None)
    return float(stats["min"] if stats else best(call, rounds=2, least=0.0))


def once(call: Callable[[], Any]) -> tuple[float, Any]:
    """Return the seconds of one call and its result: for calls that take minutes."""
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result


def reading_seconds(labels: np.ndarray) -> float:
    """Return the time to read the volume once from memory, by copies larger than the cache."""
    copies = max(2, (1 << 28) // labels.size)
    memory = np.stack([labels] * copies).view(np.uint64)
    return best(lambda: memory.sum(), rounds=3) / copies


def peak_memory(call: Callable[[], Any]) -> float:
    """Return the bytes by which the process grows at most during the call (Linux; else nan)."""
    import ctypes

    status, reset = Path("/proc/self/status"), Path("/proc/self/clear_refs")

    def field(name: str) -> float:
        for line in status.read_text().splitlines():
            if line.startswith(name):
                return 1024.0 * int(line.split()[1])
        return float("nan")

    gc.collect()
    try:
        ctypes.CDLL(None).malloc_trim(0)  # returns freed memory to the system
        reset.write_text("5")  # resets the peak
    except (OSError, AttributeError):
        return float("nan")
    before = field("VmRSS")
    result = call()
    peak = field("VmHWM") - before
    del result
    return peak


def peer(name: str) -> Any:
    """Return the module of a peer, or skip the test."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(name)


def version(module: str, distribution: str | None = None) -> str:
    """Return name and version, such as "porespy 3.2.0"."""
    from importlib.metadata import version as installed

    importlib.import_module(module)
    return f"{module} {installed(distribution or module)}"


def row(case: str, metric: str, value: float, unit: str, *, bench: str, **more: Any) -> None:
    """Append a row to results.csv and print it."""
    more.setdefault("threads", THREADS)
    exact = bench in ("lineal_path", "run_lengths")
    more.setdefault("precision", "integer" if exact else "float64")
    path = more.pop("path", RESULTS)
    _results.record(
        bench=bench, case=case, metric=metric, value=value, unit=unit, path=path, **more
    )
    who = more.get("peer") or "micro3d-fast"
    print(f"  {case}: {metric} {value:.4g} {unit} ({who}, {more['threads']} threads)")
