# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The fast sampler at 64^3 with preset small: seconds, time outside the network, and the same
passes by an eager float32 loop of plain torch.

    OMP_NUM_THREADS=2 python -m pytest benchmarks/bench_sampler.py
    OMP_NUM_THREADS=2 python -m pytest benchmarks/bench_sampler.py -k "eager or qualities"
    OMP_NUM_THREADS=1 python -m pytest benchmarks/bench_sampler.py -k compiled

The loop is a straightforward implementation: slices permuted and made contiguous, noise by
torch.randn, the network in float32 and NCHW, the condition embedded at every pass. Both alternate
in one process; on a shared machine the ratio is more reliable than the seconds.
"""

from __future__ import annotations

import copy
import functools
import os
import time

import numpy as np
import pytest
import torch
from torch._inductor import config as inductor_config

import micro3d_fast as m3
from _measure import TO_BATCH, row
from micro3d_fast._planes import PLANES, TO_FIELD
from micro3d_fast.diffusion import copies
from micro3d_fast.diffusion.device import cpu_has_bfloat16, kept_memory
from micro3d_fast.diffusion.model import mean_field

EDGE = 64
record = functools.partial(row, bench="sampler")


def eager_loop(
    model: m3.Model, steps: int, harmonize: int = 1
) -> tuple[np.ndarray, dict[str, float]]:
    """Run the fast sampler of gamma 1 in plain torch; return field, passes and seconds."""
    net = copy.deepcopy(model.net).eval()
    schedule = model.schedule
    mean = torch.from_numpy(mean_field(model.volume_fractions)).float().view(-1, 1, 1, 1)
    torch.manual_seed(0)
    times = schedule.respaced(steps)
    start = time.perf_counter()
    bar = float(schedule.alpha_bar[times[0]])
    shape = (model.config.channels, EDGE, EDGE, EDGE)
    x = bar**0.5 * mean + (1 - bar) ** 0.5 * torch.randn(shape)
    turn = passes = 0
    with torch.inference_mode():
        for k, t in enumerate(times):
            s = times[k + 1] if k + 1 < steps else 0
            beta, (a, b) = schedule.beta(t, s), schedule.posterior(t, s)
            p, q = schedule.x0_from(t, model.prediction)
            repeats = harmonize if s > 0 else 0
            for repeat in range(repeats + 1):
                plane = PLANES[turn % 3]
                slices = x.permute(TO_BATCH[plane]).contiguous()
                cond = net.condition(torch.tensor([t]), torch.tensor([turn % 3]))
                out = torch.cat([net(part, cond) for part in slices.split(32)])
                x0 = p * x + q * out.permute(TO_FIELD[plane]).contiguous()
                x0 = x0 + mean - x0.mean((1, 2, 3), keepdim=True)
                x = a * x + b * (x0.clamp(-1, 1) if s > 0 else x0)
                if s > 0:
                    x = x + beta**0.5 * torch.randn(shape)
                if repeat < repeats:
                    x = (1 - beta) ** 0.5 * x + beta**0.5 * torch.randn(shape)
                turn += 1
                passes += 1
    return x.numpy(), {"passes": passes, "seconds": time.perf_counter() - start}


@pytest.mark.parametrize("name", ["separator", "cathode"])
def test_fast_sampler(benchmark, name):
    model = m3.load_model(name)
    made: list[m3.Microstructure] = []

    def run() -> None:
        made.append(m3.reconstruct((EDGE,) * 3, model, seed=len(made)))

    benchmark.pedantic(run, rounds=3, warmup_rounds=1)
    for volume in made:
        assert volume.shape == (EDGE,) * 3
        np.testing.assert_allclose(volume.volume_fractions, model.volume_fractions, atol=1e-4)
    timed = [v.provenance for v in made[1:]]
    seconds = float(np.median([p["seconds"] for p in timed]))
    outside = float(np.median([1 - p["network_seconds"] / p["seconds"] for p in timed]))
    case = f"{name} {EDGE}^3, {timed[0]['passes']} passes, preset small"
    precision = timed[0]["precision"]
    record(case, "seconds", seconds, "s", precision=precision)
    record(case, "share outside the network", outside, "1", precision=precision)
    assert outside < 0.06


def test_against_an_eager_float32_loop():
    """Record the ratio of the two at equal passes, alternating."""
    model = m3.load_model("separator")
    ours, theirs = [], []
    passes = 11
    for seed in range(4):
        volume = m3.reconstruct(
            (EDGE,) * 3, model, passes=passes, harmonize=1, gamma=1.0, seed=seed
        )
        assert volume.provenance["passes"] == passes
        x, numbers = eager_loop(model, steps=(passes + 1) // 2)
        assert numbers["passes"] == passes
        # the same method: both hold the raw fraction near the requested one
        assert abs((x > 0).mean() - model.volume_fractions[1]) < 0.1
        if seed:  # the first is a warm-up
            ours.append(volume.provenance["seconds"] / passes)
            theirs.append(numbers["seconds"] / passes)
    case = f"separator {EDGE}^3, preset small"
    precision = volume.provenance["precision"]
    peer = f"eager loop, torch {torch.__version__.split('+')[0]}"
    note = f"{passes} passes, median of {len(ours)}, alternating"
    record(case, "seconds a pass", float(np.median(ours)), "s", precision=precision, notes=note)
    record(
        case,
        "seconds a pass",
        float(np.median(theirs)),
        "s",
        precision="float32",
        peer=peer,
        notes=note,
    )
    ratio = float(np.median(np.array(theirs) / np.array(ours)))
    record(case, "eager loop / ours", ratio, "1", precision=precision, peer=peer, notes=note)


@pytest.mark.parametrize(("quality", "most"), [("draft", 12.0), ("standard", 30.0)])
def test_qualities(quality, most):
    """Record seconds beside the absolute goals, for two cores."""
    model = m3.load_model("separator")
    seconds = []
    for seed in range(3):
        volume = m3.reconstruct((EDGE,) * 3, model, quality=quality, seed=seed)
        seconds.append(volume.provenance["seconds"])
    case = f"separator {EDGE}^3, {quality}, {volume.provenance['passes']} passes, preset small"
    record(
        case,
        "seconds",
        float(np.median(seconds)),
        "s",
        precision=volume.provenance["precision"],
        notes=f"goal {most:g} s on two cores; median of 3",
    )


@pytest.mark.parametrize("freezing", [True, False], ids=["frozen", "plain"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=["bfloat16", "float32"])
def test_compiled_network(dtype, freezing, tmp_path, monkeypatch):
    """Time a pass by torch.compile on a CPU, frozen or not, and the passes that amortize it.

    On one thread processor time is measured, which other jobs disturb little, including that of the
    C++ compiler.
    """
    if dtype is torch.bfloat16 and not cpu_has_bfloat16():
        pytest.skip("no instructions for bfloat16")
    torch._dynamo.reset()
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))  # an empty cache
    one = torch.get_num_threads() == 1
    clock = time.process_time if one else time.perf_counter
    model, where = m3.load_model("separator"), torch.device("cpu")
    networks = {"eager": copies.make(model, where, dtype).net}
    networks["compiled"] = copies.make(model, where, dtype, compiled=True).forward
    torch.manual_seed(0)
    x = torch.randn(EDGE * EDGE * EDGE).to(dtype).view(EDGE, EDGE, EDGE, 1).permute(0, 3, 1, 2)
    outputs, seconds = {}, {name: [] for name in networks}
    # Not as an option of torch.compile: tracing depends on it too.
    frozen = inductor_config.patch(freezing=freezing)
    with torch.inference_mode(), kept_memory(), frozen:
        cond = networks["eager"].condition(torch.tensor([400]), torch.tensor([0]))
        for name, net in networks.items():
            begun = sum(os.times()[:4]) if one else clock()
            outputs[name] = net(x, cond).float()
            first = (sum(os.times()[:4]) if one else clock()) - begun  # the last: compiled
        for _ in range(9):
            for name, net in networks.items():
                begun = clock()
                net(x, cond)
                seconds[name].append(clock() - begun)
    scale = float(outputs["eager"].square().mean().sqrt())
    difference = float((outputs["compiled"] - outputs["eager"]).square().mean().sqrt()) / scale
    assert difference < (0.02 if dtype is torch.bfloat16 else 1e-4)
    a_pass = {name: min(times) for name, times in seconds.items()}
    gain = a_pass["eager"] - a_pass["compiled"]
    case = f"separator {EDGE}^3, preset small, network alone"
    peer = f"inductor, torch {torch.__version__.split('+')[0]}"
    more = {"precision": str(dtype).removeprefix("torch.")}
    spent = "CPU seconds, " if one else ""
    note = spent + f"least of {len(seconds['eager'])}, alternating"
    record(case, "seconds a pass, eager", a_pass["eager"], "s", notes=note, **more)
    note += f"; differs from eager by {difference:.2g} of its size"
    kind = "compiled and frozen" if freezing else "compiled"
    record(case, f"seconds a pass, {kind}", a_pass["compiled"], "s", peer=peer, notes=note, **more)
    record(case, f"seconds of the first call, {kind}", first, "s", peer=peer,
        notes=spent + "nothing cached", **more)  # fmt: skip
    if gain > 0:  # else it is never amortized
        record(case, f"passes until it has paid, {kind}", first / gain, "1", peer=peer, **more)
