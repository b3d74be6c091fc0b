# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The samplers with untrained networks: whole volumes, ensembles, and passes of the network.

Goals: `GOALS`, the first volume of a process 1 s, 20 volumes of 64^3 a second by `small`, the
paper's 5000 passes 95 s, 2 % outside the network, 40 % of the bf16 matrix rate for `base` and
`paper`.
"""

from __future__ import annotations

import json
import statistics
import time
from typing import Any

from .job import Job

#: preset -> seconds of a pass, and of a volume that is not the first, at 64^3
GOALS = {"small": (0.0015, 0.1), "base": (0.005, 0.25), "paper": (0.02, 1.0)}
#: preset -> other edges whose passes are timed
LARGER = {"small": (128, 256), "base": (128, 256), "paper": (128,)}
FIRST = """
import json
from gpu_check.sampler import first_and_later
print(json.dumps(first_and_later("{preset}", {n}, "{device}")))
"""


def run(job: Job) -> None:
    presets, n = (("small",), 16) if job.toy else (tuple(GOALS), 64)
    for preset in presets:
        job.step(f"{preset} {n} volume", volumes, job, preset, n, expect=20)
        if preset == "small":
            job.step(f"{preset} {n} ensemble", ensemble, job, preset, n, expect=20)
        job.step(f"{preset} {n} passes", passes, job, preset, n, expect=10)
    if job.quick or job.toy:
        return
    for preset in presets:
        for larger in LARGER[preset]:
            job.step(f"{preset} {larger} passes", passes, job, preset, larger, expect=15)
        job.step(f"{preset} {n} kernels", kernels, job, preset, n)
    for preset in presets[:2]:
        job.step(f"{preset} {n} compiled passes", passes, job, preset, n, True, expect=75)
    job.step("paper 64 paper sampler", paper_sampler, job, expect=130)


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


# ---------------------------------------------------------------------------- volumes as they come


def volumes(job: Job, preset: str, n: int) -> None:
    """Record the first volume of a new process, and later ones, by default options."""
    if job.toy:
        found = first_and_later(preset, n, job.device, passes=3)
    else:
        printed = job.python(FIRST.format(preset=preset, n=n, device=job.device))
        found = json.loads(printed.splitlines()[-1])
    case, goal = f"reconstruct {preset} {n}^3, default options", GOALS[preset][1]
    made = f"{found['passes']} passes, all included"
    notes = f"after import; {made}; goal 1"
    job.row(case, "seconds, first in a process", found["first"], "s", notes=notes)
    notes = f"median of {found['count']}; {made}; goal {goal:g}"
    job.row(case, "seconds", found["later"], "s", notes=notes)


def first_and_later(preset: str, n: int, device: str, **keys: Any) -> dict:
    """Return the seconds of the first call of `reconstruct` and the median of later ones."""
    import micro3d_fast as m3

    model = untrained(preset)
    seconds, labels = [], []
    for seed in (0, 1, 1, 2, 3, 4):
        started = time.perf_counter()
        made = m3.reconstruct((n, n, n), model, seed=seed, device=device, **keys)
        seconds.append(time.perf_counter() - started)
        labels.append(made.labels)
    if (labels[1] != labels[2]).any():
        raise AssertionError("the same seed made two volumes")
    later = statistics.median(seconds[1:])
    passes = made.provenance["passes"]
    return {"first": seconds[0], "later": later, "passes": passes, "count": len(seconds) - 1}


def ensemble(job: Job, preset: str, n: int) -> None:
    """Record how many volumes a second `reconstruct_many` makes."""
    import micro3d_fast as m3

    model, count = untrained(preset), 2 if job.toy else 64
    keys: dict[str, Any] = {"device": job.device} | ({"passes": 3} if job.toy else {})
    if not job.rehearse:
        list(
            m3.reconstruct_many((n, n, n), model, range(100, 100 + count // 2), **keys)
        )  # warms up
    started = time.perf_counter()
    made = list(m3.reconstruct_many((n, n, n), model, range(count), **keys))
    rate = count / (time.perf_counter() - started)
    case = f"reconstruct_many {preset} {n}^3, {count} volumes"
    together = made[0].provenance.get("volumes_at_once")
    notes = f"{together} at once, {made[0].provenance['passes']} passes; goal 20"
    job.row(case, "volumes a second", rate, "1/s", notes=notes)


def paper_sampler(job: Job) -> None:
    """Time one volume of the paper's sampler by the paper's network."""
    import micro3d_fast as m3

    model, started = untrained("paper"), time.perf_counter()

    def watch(event: dict[str, Any]) -> None:
        if job.time_left < 5:
            took = time.perf_counter() - started
            raise RuntimeError(f"no time was left after {event['pass_index']} passes, {took:.1f} s")

    made = m3.reconstruct((64, 64, 64), model, sampler="paper", device=job.device, callback=watch)
    seconds = time.perf_counter() - started
    case = "reconstruct paper 64^3, paper sampler"
    kind = "compiled" if made.provenance["compiled"] else "not compiled"
    notes = f"{made.provenance['passes']} passes, {kind}, all included; goal 95 on an H200"
    job.row(case, "seconds", seconds, "s", notes=notes)


# ---------------------------------------------------------------------------- passes of the network


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


def field_and_network(job: Job, model: Any, n: int, compiled: bool = False) -> tuple[Any, Any]:
    """Return a field of n^3 voxels and the network that denoises it."""
    import torch

    from micro3d_fast.diffusion import copies
    from micro3d_fast.diffusion.field import Field
    from micro3d_fast.diffusion.network_pass import NetworkPass

    device = torch.device(job.device)
    dtype = torch.float32 if job.rehearse else torch.bfloat16
    field = Field((n, n, n), model, device, dtype, seeds=(1,))
    return field, NetworkPass(field, copies.make(model, device, dtype, compiled))


def passes(job: Job, preset: str, n: int, compiled: bool = False) -> None:
    """Time passes of the default sampler, which are replayed from CUDA graphs."""
    import torch

    model = untrained(preset)
    matmul = job.ceilings()["matmul"]  # before the peak of memory is measured
    if not job.rehearse:
        torch.cuda.reset_peak_memory_stats()
    field, network = field_and_network(job, model, n, compiled)
    flops = flops_of(network.net, n, n, field.device, field.dtype)
    steps = 2 if job.toy or n > 128 else 6  # a few seconds
    count, first, seconds, inside = timed_passes(job, field, network, steps)
    each = seconds / count
    case = f"{preset} {n}^3{' compiled' if compiled else ''}"
    keys = {"precision": str(field.dtype).removeprefix("torch.")}
    goal = f"; goal {GOALS[preset][0]:g}" if n == 64 and not compiled else ""
    notes = f"mean of {count} passes{goal}"
    job.row(case, "seconds a pass", each, "s", notes=notes, **keys)
    job.row(case, "share outside the network", 1 - inside / seconds, "1", notes="goal 0.02", **keys)
    notes = f"{flops / 1e12:.3g} TFLOP per pass"
    job.row(case, "rate", flops / each / 1e12, "TFLOP/s", notes=notes, **keys)
    share, goal = flops / each / matmul, "" if preset == "small" else "goal 0.4"
    job.row(case, "share of the bf16 matrix rate", share, "1", notes=goal, **keys)
    if compiled:
        job.row(case, "first run, with compilation", first, "s", **keys)
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


def kernels(job: Job, preset: str, n: int) -> None:
    """Print the kernels that take the time of the passes."""
    import torch
    from torch.profiler import ProfilerActivity, profile

    from micro3d_fast.diffusion.sampling import sample
    from micro3d_fast.diffusion.settings import fast_settings

    field, network = field_and_network(job, untrained(preset), n)
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
