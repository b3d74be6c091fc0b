# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The native operators as a share of copy speed.

Goals: reverse step at 256^3 in bfloat16 60 % with noise, 80 % without; run lengths at 512^3 50 %.

Bytes are counted once: those that must be read and written.  Times are of replayed CUDA graphs
over more arrays than the cache can hold.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from micro3d_fast._planes import AXIS_NAMES, TO_FIELD

from .job import Job
from .timing import copies_for, copy_rate, graph_seconds, seconds_of
from .volumes import blobs

STEP = {"a": 0.9, "b": 0.4, "seed": 4, "draw": 3}
TOLERANCE = {"rtol": 2e-6, "atol": 4e-6}


def run(job: Job) -> None:
    job.step("ceilings", ceilings, job, expect=15)
    for n in (8,) if job.toy else (256,) if job.quick else (256, 64, 128):
        for element in ("bfloat16",) if job.quick else ("bfloat16", "float32"):
            for noise in (0.6, 0.0):
                name = f"reverse_step {n} {element} {'noise' if noise else 'quiet'}"
                job.step(name, reverse_step, job, n, element, noise)
    for n in (8,) if job.toy else (256, 512):
        job.step(f"run_lengths {n}", run_lengths, job, n)


def ceilings(job: Job) -> None:
    rates = job.ceilings()
    job.row("copy of 4 GiB", "bandwidth", rates["copy"] / 1e9, "GB/s", notes="read and written")
    job.row(
        "bf16 product of 8192^2", "rate", rates["matmul"] / 1e12, "TFLOP/s", notes="random data"
    )
    for n in (8,) if job.toy else (64, 256, 512):
        rate = copy_rate(4 * n**3, job.device)
        job.row(f"copy of {n}^3 float32", "bandwidth", rate / 1e9, "GB/s")


# -------------------------------------------------------------------------------- the reverse step


def batch_of(field: Any, plane: str, dtype: Any = None, *, channels_last: bool = False) -> Any:
    """Store a field (C, z, y, x) as the slice batch of a plane; return a view of its shape."""
    import torch

    order = TO_FIELD[plane]
    slices = field.permute(tuple(int(i) for i in np.argsort(order)))
    memory = torch.channels_last if channels_last else torch.contiguous_format
    return slices.to(dtype or field.dtype).contiguous(memory_format=memory).permute(order)


def arrays_for(n: int, element: str, here: str, there: str, device: str) -> dict:
    """Make the arrays of a step as the sampler does: state, network output, and both outputs."""
    import torch

    dtype = getattr(torch, element)
    shape = (1, n, n, n)
    x, net = (torch.randn(shape, device=device) for _ in range(2))
    empty, too = (torch.full(shape, float("nan"), device=device) for _ in range(2))
    return {
        "x": batch_of(x, here),
        "net": batch_of(net, here, dtype, channels_last=True),
        "out": batch_of(empty, there),
        "out_net": batch_of(too, there, dtype, channels_last=True),
    }


def check(arrays: dict, **keys: Any) -> None:
    """Compare the GPU's result with the CPU's on a slab."""
    from micro3d_fast import ops

    ops.reverse_step(**arrays, **keys)
    slab = (slice(None), slice(-3, None))
    host = {k: v[slab].float().cpu().numpy() for k, v in arrays.items() if not k.startswith("out")}
    origin = (arrays["x"].shape[1] - 3, 0, 0)
    want = np.empty_like(host["x"])
    ops.reverse_step(**host, out=want, origin=origin, **keys)
    np.testing.assert_allclose(arrays["out"][slab].cpu().numpy(), want, **TOLERANCE)
    if not bool((arrays["out_net"] == arrays["out"].to(arrays["out_net"].dtype)).all()):
        raise AssertionError("out_net is not out, rounded")


def bytes_of(arrays: dict) -> int:
    return sum(a.numel() * a.element_size() for a in arrays.values())


def reverse_step(job: Job, n: int, element: str, noise: float) -> None:
    """Time every transition from the batch of one plane to that of another."""
    from micro3d_fast import ops

    keys = {**STEP, "noise": noise}
    copy = job.ceilings()["copy"]
    shares = []
    for here, there in itertools.product(TO_FIELD, repeat=2):
        first = arrays_for(n, element, here, there, job.device)
        check(first, **keys)
        size = bytes_of(first)
        sets = [first]
        sets += [
            arrays_for(n, element, here, there, job.device)
            for _ in range(copies_for(size, job.device) - 1)
        ]
        calls = [lambda a=arrays: ops.reverse_step(**a, **keys) for arrays in sets]
        rate = size / graph_seconds(calls, job.device, budget=0.1)
        shares.append(rate / copy)
        case = f"reverse_step {n}^3 {element} {'noise' if noise else 'quiet'} {here} to {there}"
        job.row(
            case,
            "share of copy",
            rate / copy,
            "1",
            notes=f"{rate / 1e9:.0f} GB/s",
            precision=element,
        )
        if here == there == "xy":
            call = seconds_of(calls[0], job.device, budget=0.1)
            job.row(
                case, "one call", call * 1e6, "us", notes="launched from Python", precision=element
            )
    case = f"reverse_step {n}^3 {element} {'noise' if noise else 'quiet'}"
    notes = f"slowest of nine transitions; goal {0.6 if noise else 0.8}"
    job.row(case, "least share of copy", min(shares), "1", notes=notes, precision=element)


# ------------------------------------------------------------------------------- the run lengths


def run_lengths(job: Job, n: int) -> None:
    from micro3d_fast import ops

    copy = job.ceilings()["copy"]
    sets = [blobs(n, job.device, seed=s) for s in range(copies_for(n**3, job.device, most=16))]
    slab = sets[0][: min(n, 64)]
    for axis, name in enumerate(AXIS_NAMES):
        got = ops.run_lengths(slab, axis=axis, n_phases=2)[0].cpu().numpy()
        want = ops.run_lengths(slab.cpu().numpy(), axis=axis, n_phases=2)[0]
        np.testing.assert_array_equal(got, want)
        calls = [lambda a=axis, v=v: ops.run_lengths(v, axis=a, n_phases=2) for v in sets]
        rate = n**3 / graph_seconds(calls, job.device)
        job.row(
            f"run_lengths {n}^3 along {name}",
            "share of copy",
            rate / copy,
            "1",
            notes=f"{rate / 1e9:.0f} GB/s of labels read once; goal 0.5",
        )
