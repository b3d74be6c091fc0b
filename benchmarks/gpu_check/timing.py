# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""How the sections measure: events and graphs on a GPU, a clock on the CPU."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

Call = Callable[[], Any]


def seconds_of(
    call: Call, device: str, *, budget: float = 0.5, least: int = 3, warm: int = 2
) -> float:
    """Return the median seconds of a call, launch included, after ``warm`` calls."""
    import torch

    if device == "cpu":
        call()
        started = time.perf_counter()
        call()
        return time.perf_counter() - started
    for _ in range(warm):
        call()
    torch.cuda.synchronize()
    times: list[float] = []
    until = time.perf_counter() + budget
    while len(times) < least or (time.perf_counter() < until and len(times) < 1000):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        call()
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end) * 1e-3)
    return statistics.median(times)


def graph_seconds(calls: Sequence[Call], device: str, *, budget: float = 0.3) -> float:
    """Return the median seconds per call without launch gaps: a replayed CUDA graph.

    The calls should use different memory, more than the cache can hold.
    """
    import torch

    if device == "cpu":
        return seconds_of(calls[0], device)
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        for call in calls:
            call()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    repeats = max(1, 20 // len(calls))
    with torch.cuda.graph(graph):
        for call in itertools.chain.from_iterable([calls] * repeats):
            call()
    return seconds_of(graph.replay, device, budget=budget) / (repeats * len(calls))


def kernel_seconds(call: Call, device: str) -> float:
    """Return the seconds that the GPU spends on kernels and copies within its memory in a call.

    Transfers between host and GPU are excluded: neither the kernels nor the floor have them.
    """
    import torch

    call()
    if device == "cpu":
        return seconds_of(call, device)
    torch.cuda.synchronize()
    from torch.autograd import DeviceType
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CUDA, ProfilerActivity.CPU]) as profiler:
        call()
        torch.cuda.synchronize()
    busy = 0.0
    for event in profiler.events():
        if event.device_type != DeviceType.CUDA or "HtoD" in event.name or "DtoH" in event.name:
            continue
        busy += event.time_range.elapsed_us() * 1e-6
    if busy == 0.0:
        raise RuntimeError("the profiler saw no kernel: this call did not run on the GPU")
    return busy


def copies_for(bytes_each: int, device: str, most: int = 64) -> int:
    """Return the number of sets of arrays that together exceed the cache."""
    if device == "cpu":
        return 1
    import torch

    cache = getattr(torch.cuda.get_device_properties(0), "L2_cache_size", 64 << 20)
    return max(1, min(most, -(-4 * cache // max(bytes_each, 1))))


def copy_rate(size: int, device: str) -> float:
    """Return the bytes read and written per second by a copy of ``size`` bytes on the GPU."""
    import torch

    sets = copies_for(2 * size, device)
    pairs = [
        [torch.randint(0, 255, (size,), dtype=torch.uint8, device=device) for _ in range(2)]
        for _ in range(sets)
    ]
    calls = [lambda pair=pair: pair[0].copy_(pair[1]) for pair in pairs]
    return 2 * size / graph_seconds(calls, device)


def measured_ceilings(device: str, toy: bool) -> dict[str, float]:
    """Measure a large copy and a large bf16 matrix product, on random data."""
    import torch

    n = 64 if toy else 8192
    a, b = (torch.randn((n, n), device=device).to(torch.bfloat16) for _ in range(2))
    product = seconds_of(lambda: a @ b, device, budget=1.0, least=10)
    return {
        "copy": copy_rate(1 << 16 if toy else 4 << 30, device),
        "matmul": 2.0 * n**3 / product,
    }
