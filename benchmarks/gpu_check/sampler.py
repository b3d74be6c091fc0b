# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The samplers with untrained networks: seconds per pass, share outside the network, share of the
bf16 matrix rate.  Goals: 2 % outside, 40 % of the rate for `base` and `paper`.

A few passes are timed; times of whole volumes are computed from them, as their notes state.
"""

from __future__ import annotations

import time
from typing import Any

from .job import Job

SIZES = {"small": (64, 128, 256, 512), "base": (64, 96, 128, 256), "paper": (64, 96, 128, 256)}


def run(job: Job) -> None:
    presets = ("small",) if job.toy else ("base", "paper", "small")
    for preset in presets:
        for n in (16,) if job.toy else SIZES[preset]:
            job.step(f"{preset} {n} eager", passes, job, preset, n, "eager", expect=10)
        if not job.toy:
            job.step(f"{preset} 64 eager float32", passes, job, preset, 64, "float32", expect=15)
    job.step("kernels", kernels, job, "small" if job.toy else "base", 16 if job.toy else 64)
    job.step("whole volume", whole, job, expect=90)
    for n in (16,) if job.toy else (64, 128):  # compiling takes longest: last
        for preset in presets:
            job.step(f"{preset} {n} compiled", passes, job, preset, n, "compiled", expect=75)
    if not job.toy:
        job.step("base 64 max-autotune", passes, job, "base", 64, "max-autotune", expect=150)


def untrained(preset: str) -> Any:
    """Return a model whose output is not zero: zeros would be timed too fast."""
    import torch

    from micro3d_fast.diffusion.model import Model
    from micro3d_fast.diffusion.schedule import Schedule
    from micro3d_fast.diffusion.unet import PRESETS, UNet

    torch.manual_seed(0)
    net = UNet(PRESETS[preset]).eval().requires_grad_(False)
    torch.nn.init.normal_(net.head.weight, std=0.02)
    return Model(
        net=net,
        config=PRESETS[preset],
        schedule=Schedule(),
        prediction="v",
        phase_names=("a", "b"),
        volume_fractions=(0.6, 0.4),
        patch=64,
    )


def flops_of(net: Any, slices: int, n: int, device: Any, dtype: Any) -> float:
    """Count the floating-point operations of one pass, by torch on one slice."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    image = torch.randn((1, net.config.channels, n, n), device=device, dtype=dtype)
    with torch.inference_mode():
        cond = net.condition(torch.tensor([5], device=device), torch.tensor([0], device=device))
        with FlopCounterMode(display=False) as counter:
            net(image, cond)
    return float(counter.get_total_flops()) * slices


def field_and_network(model: Any, n: int, device: Any, dtype: Any) -> tuple[Any, Any]:
    """Return a field of n^3 voxels and the network that denoises it."""
    from micro3d_fast.diffusion import copies
    from micro3d_fast.diffusion.field import Field
    from micro3d_fast.diffusion.network_pass import NetworkPass

    field = Field((n, n, n), model, device, dtype, seeds=(1,))
    return field, NetworkPass(field, copies.make(model, device, dtype))


def passes(job: Job, preset: str, n: int, way: str) -> None:
    """Time passes of the default sampler; compute whole volumes from them."""
    import torch

    device = torch.device(job.device)
    full = way == "float32" or job.rehearse
    dtype = torch.float32 if full else torch.bfloat16
    torch.backends.cudnn.allow_tf32 = False  # float32 means float32 here
    model = untrained(preset)
    matmul = job.ceilings()["matmul"]  # before the peak of memory is measured
    if not job.rehearse:
        torch.cuda.reset_peak_memory_stats()
    field, network = field_and_network(model, n, device, dtype)
    flops = flops_of(network.net, n, n, device, dtype)
    compiled = way in ("compiled", "max-autotune")
    if compiled:
        torch._dynamo.reset()  # recompilations are counted by code, which all networks share
        options: dict[str, Any] = {} if way == "compiled" else {"mode": "max-autotune"}
        backend = "eager" if job.toy else "inductor"
        network.forward = torch.compile(network.net, backend=backend, **options)
    steps = 2 if job.toy or n > 128 else 6  # a few seconds
    count, first, seconds, inside = timed_passes(job, field, network, steps)
    each = seconds / count
    case, keys = f"{preset} {n}^3 {way}", {"precision": str(dtype).removeprefix("torch.")}
    job.row(case, "seconds a pass", each, "s", notes=f"mean of {count} passes", **keys)
    job.row(case, "share outside the network", 1 - inside / seconds, "1", notes="goal 0.02", **keys)
    notes = f"{flops / 1e12:.3g} TFLOP per pass"
    job.row(case, "rate", flops / each / 1e12, "TFLOP/s", notes=notes, **keys)
    if not full:
        share = flops / each / matmul
        job.row(case, "share of the bf16 matrix rate", share, "1", notes="goal 0.4", **keys)
    if compiled:
        job.row(case, "first run, with compilation", first, "s", **keys)
    whole_volumes(job, case, model, each, notes=f"computed from {count} passes", **keys)
    if not job.rehearse:
        peak = torch.cuda.max_memory_allocated() / 1e9
        job.row(case, "peak memory", peak, "GB", **keys)


def timed_passes(job: Job, field: Any, network: Any, steps: int) -> tuple[int, float, float, float]:
    """Run some outer steps of the default sampler twice.

    Returns the number of passes, the seconds of the first run, which warms up and compiles, and
    those of the second in all and in the network.
    """
    import torch

    from micro3d_fast.diffusion.sampling import sample
    from micro3d_fast.diffusion.settings import fast_settings

    settings = fast_settings(harmonize=(5,) * (steps - 1) + (0,))

    def run() -> tuple[float, float]:
        before, started = network.seconds, time.perf_counter()
        sample(field, network, settings)
        inside = network.seconds - before  # waits for the last pass of the network
        if not job.rehearse:
            torch.cuda.synchronize()
        return time.perf_counter() - started, inside

    first, _ = run()
    field.draw = 0
    return settings.passes, first, *run()


def whole_volumes(job: Job, case: str, model: Any, each: float, **keys: Any) -> None:
    """Record the seconds of whole volumes, from those of a pass."""
    from micro3d_fast.diffusion.settings import fast_settings, paper_settings

    for name, settings in (("fast", fast_settings()), ("paper", paper_settings(model))):
        metric = f"a volume, {name}, {settings.passes} passes"
        job.row(case, metric, settings.passes * each, "s", **keys)


def kernels(job: Job, preset: str, n: int) -> None:
    """Print the kernels that take the time of the passes."""
    import torch
    from torch.profiler import ProfilerActivity, profile

    from micro3d_fast.diffusion.sampling import sample
    from micro3d_fast.diffusion.settings import fast_settings

    dtype = torch.float32 if job.rehearse else torch.bfloat16
    field, network = field_and_network(untrained(preset), n, torch.device(job.device), dtype)
    settings = fast_settings(harmonize=(5, 0))
    sample(field, network, settings)
    activities = [ProfilerActivity.CPU]
    if not job.rehearse:
        activities.append(ProfilerActivity.CUDA)
    with profile(activities=activities) as profiler:
        sample(field, network, settings)
        if not job.rehearse:
            torch.cuda.synchronize()
    sort = "self_cpu_time_total" if job.rehearse else "self_cuda_time_total"
    print(profiler.key_averages().table(sort_by=sort, row_limit=30, max_name_column_width=80))


def whole(job: Job) -> None:
    """Time m3.reconstruct as a whole, matched fractions included."""
    import micro3d_fast as m3

    preset, n = ("small", 16) if job.toy else ("base", 64)
    model = untrained(preset)
    keys: dict[str, Any] = {"passes": 5} if job.toy else {}
    if not job.rehearse:
        m3.reconstruct((n, n, n), model, seed=0, device="cuda")  # warms up
    started = time.perf_counter()
    made = m3.reconstruct((n, n, n), model, seed=1, device=job.device, **keys)
    seconds = time.perf_counter() - started
    again = m3.reconstruct((n, n, n), model, seed=1, device=job.device, **keys)
    if (made.labels != again.labels).any():
        raise AssertionError("the same seed made two volumes")
    passes = made.provenance["passes"]
    case = f"reconstruct {preset} {n}^3, default sampler"
    job.row(case, "seconds", seconds, "s", notes=f"{passes} passes, all included")
