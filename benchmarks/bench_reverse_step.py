# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The fused reverse step against eager torch and against a memory copy of the same bytes.

    pytest benchmarks/bench_reverse_step.py --benchmark-only -s

Bytes are counted once: those that must be read and written. Every call takes the next of more
arrays than the caches can hold, as in a run, where the network comes between two steps; ours, the
copy and eager torch alternate, so that a busy machine slows all of them alike.

M3D_BENCH_SIZES  edges of the volumes (default 64,128,256)
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from _measure import THREADS, TO_BATCH, row, version
from micro3d_fast import ops
from micro3d_fast._planes import TO_FIELD
from micro3d_fast.reference.reverse_step import reverse_step as reference

BENCH = "reverse_step"
SIZES = [int(n) for n in os.environ.get("M3D_BENCH_SIZES", "64,128,256").split(",")]
COLD = 160 << 20  # bytes of arrays that exceed every cache
STEP = {"a": 0.9, "b": 0.4}
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def batch(n: int, channels: int, dtype: torch.dtype) -> torch.Tensor:
    """Return slices of a plane in the network's layout: channels last if there are several."""
    values = torch.randn(n, channels, n, n).to(dtype)
    memory = torch.channels_last if channels > 1 else torch.contiguous_format
    return values.contiguous(memory_format=memory)


def arrays(n: int, channels: int, here: str, there: str, element: str) -> dict[str, torch.Tensor]:
    """Return state and network output in the batch of one plane, outputs in that of another."""
    dtype = DTYPES[element]
    given = {
        "x": torch.randn(n, channels, n, n).permute(TO_FIELD[here]),
        "net": batch(n, channels, dtype).permute(TO_FIELD[here]),
        "out": torch.zeros(n, channels, n, n).permute(TO_FIELD[there]),
    }
    if element != "float32" or channels > 1:
        given["out_net"] = batch(n, channels, dtype).permute(TO_FIELD[there])
    return given


def size_of(given: dict[str, torch.Tensor]) -> int:
    """Return the bytes of all arrays."""
    return sum(a.numel() * a.element_size() for a in given.values())


def check(given: dict[str, torch.Tensor], **keys: Any) -> None:
    """Compare with the reference in float64 on two slabs."""
    ops.reverse_step(**given, **keys)
    for slab in (slice(0, 3), slice(-2, None)):
        x, net, out = (given[name][:, slab].float().numpy() for name in ("x", "net", "out"))
        z = range(given["x"].shape[1])[slab].start
        want = reference(x, net, origin=(z, 0, 0), **keys)
        np.testing.assert_allclose(out, want, rtol=2e-6, atol=4e-6)
    if "out_net" in given:
        assert torch.equal(given["out_net"], given["out"].to(given["out_net"].dtype))


def eager(given: dict[str, torch.Tensor], noise: float, there: str) -> torch.Tensor:
    """Compute the same step in eager torch, the result as the next batch of the network."""
    y = STEP["a"] * given["x"] + STEP["b"] * given["net"].float()
    if noise:
        y = y + noise * torch.randn_like(y)
    following = y.permute(TO_BATCH[there])
    if "out_net" in given:
        channels = y.shape[0]
        memory = torch.channels_last if channels > 1 else torch.contiguous_format
        following.to(given["out_net"].dtype).contiguous(memory_format=memory)
    return following.contiguous()


def alternating(calls: list[Callable[[int], Any]], rounds: int) -> list[float]:
    """Return the shortest time of each call; the calls alternate, each on its next arrays."""
    seconds = [[float("inf")] for _ in calls]
    for i in range(rounds):
        for call, times in zip(calls, seconds, strict=True):
            start = time.perf_counter()
            call(i)
            times.append(time.perf_counter() - start)
    return [min(times[2:]) for times in seconds]


@pytest.fixture(autouse=True)
def _threads():
    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("noise", [0.0, 0.3], ids=["quiet", "noise"])
@pytest.mark.parametrize(
    ("element", "channels"), [("float32", 1), ("bfloat16", 1), ("float32", 3)], ids=str
)
def test_transitions(benchmark, n, noise, element, channels):
    keys = {**STEP, "noise": noise, "seed": 4, "draw": 3}
    least_copy = least_eager = float("inf")
    kind = f"{element} {'noise' if noise else 'quiet'}" + (", 3 channels" if channels > 1 else "")
    torch_name = version("torch") + " eager"
    for here, there in itertools.product(TO_FIELD, repeat=2):
        if here != there and (here, there) not in (("xy", "xz"), ("xz", "yz"), ("yz", "xy")):
            continue
        first = arrays(n, channels, here, there, element)
        check(first, **keys)
        size = size_of(first)
        many = max(2, COLD // size + 1)
        sets = [first] + [arrays(n, channels, here, there, element) for _ in range(many - 1)]
        words = size // 8  # a copy reads half of the bytes and writes half
        pairs = [(torch.zeros(words), torch.ones(words)) for _ in range(many)]

        def ours(i, sets=sets):
            return ops.reverse_step(**sets[i % len(sets)], threads=THREADS, **keys)

        def copy(i, pairs=pairs):
            to, source = pairs[i % len(pairs)]
            return to.copy_(source)

        def theirs(i, sets=sets, there=there):
            return eager(sets[i % len(sets)], noise, there)

        rounds = int(np.clip(2e8 / size, 5, 60))
        seconds, copied = alternating([ours, copy], rounds)
        (slow,) = alternating([theirs], max(3, rounds // 6))
        case = f"{n}^3 {kind}, {here} to {there}"
        row(case, "time", seconds, "s", bench=BENCH, precision=element, tolerance="4e-6")
        row(case, "share of memory copy", copied / seconds, "1", bench=BENCH, precision=element,
            notes=f"copy {1e-9 * size / copied:.3g} GB/s read and written")  # fmt: skip
        row(case, "speed-up", slow / seconds, "1", bench=BENCH, precision=element, peer=torch_name)
        least_copy = min(least_copy, copied / seconds)
        least_eager = min(least_eager, slow / seconds)
        if here == there == "xy":
            benchmark.pedantic(lambda: ours(0), rounds=3, iterations=1, warmup_rounds=1)
    goal = 0.25 if noise else 0.5
    row(f"{n}^3 {kind}", "least share of memory copy", least_copy, "1", bench=BENCH,
        precision=element, notes=f"of six transitions; goal {goal}")  # fmt: skip
    row(f"{n}^3 {kind}", "least speed-up", least_eager, "1", bench=BENCH, precision=element,
        peer=torch_name, notes="of six transitions; goal 4")  # fmt: skip
