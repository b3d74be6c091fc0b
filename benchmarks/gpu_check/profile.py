# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Hardware counters of the native kernels by Nsight Compute (not in the default sections).

python benchmarks/gpu_check.py --out runs/gpu --section profile
"""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys

from .job import Job

METRICS = {
    "gpu__time_duration.sum": "time",
    "dram__throughput.avg.pct_of_peak_sustained_elapsed": "share of memory bandwidth",
    "sm__throughput.avg.pct_of_peak_sustained_elapsed": "share of arithmetic",
    "sm__warps_active.avg.pct_of_peak_sustained_active": "occupancy",
    "launch__registers_per_thread": "registers",
}

ONCE = """
import torch
from micro3d_fast import ops
from gpu_check.operators import STEP, arrays_for
from gpu_check.volumes import blobs
n, device = {n}, "{device}"
for here, there in (("xy", "xy"), ("xy", "xz"), ("yz", "xy")):
    for noise in (0.0, 0.6):
        ops.reverse_step(**arrays_for(n, "bfloat16", here, there, device), **STEP, noise=noise)
labels = blobs(n, device)
for axis in range(3):
    ops.run_lengths(labels, axis=axis, n_phases=2)
    direction = [int(k == axis) for k in range(3)]
    ops.pair_counts(labels, 1, 1, direction=direction, max_lag=n // 4)
    ops.segment_counts(labels, 1, direction=direction, max_lag=n // 4)
if device == "cuda":
    torch.cuda.synchronize()
"""


def run(job: Job) -> None:
    job.step("operators", counters, job, expect=120)


def counters(job: Job) -> None:
    code = ONCE.format(n=8 if job.toy else 256, device=job.device)
    ncu = shutil.which("ncu")
    command = [sys.executable, "-c", code]
    if not job.rehearse:
        if ncu is None:
            raise RuntimeError("ncu (Nsight Compute) must be on the PATH")
        # the clocks of the GPU stay as they are
        command = [
            *(ncu, "--clock-control", "none", "--csv", "--page", "raw"),
            *("--metrics", ",".join(METRICS), "--kernel-name-base", "demangled"),
            *("--kernel-name", "regex:micro3d", *command),
        ]
    paths = [str(job.root / "benchmarks"), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    process = subprocess.run(
        command,
        cwd=job.root / "benchmarks",
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        timeout=max(job.time_left, 1),
    )
    (job.out / "counters.csv").write_text(process.stdout)
    print(process.stderr[-4000:])
    if process.returncode:
        raise RuntimeError(f"profiling ended with status {process.returncode}")
    lines = [line for line in process.stdout.splitlines() if line.startswith('"')]
    for entry in list(csv.DictReader(lines))[1:]:  # the first row holds the units
        name = entry.get("Kernel Name", "")
        if "micro3d" in name:
            print(f"{name:60.60s}", *(f"{METRICS[m]} {entry.get(m, '?')};" for m in METRICS))
