# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Hardware counters of the native kernels by Nsight Compute (not in the default sections).

python benchmarks/gpu_check.py --out runs/gpu --section profile
"""

from __future__ import annotations

import csv
import re
import shutil
from pathlib import Path

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
    if ncu is None and not job.rehearse:
        raise RuntimeError("ncu (Nsight Compute) must be on the PATH")
    # the clocks of the GPU stay as they are
    prefix = (
        *(str(ncu), "--clock-control", "none", "--csv", "--page", "raw"),
        *("--metrics", ",".join(METRICS), "--kernel-name-base", "function"),
        # names may begin with <unnamed>:: and no other namespace
        *("--kernel-name", f"regex:.*({'|'.join(kernels(job.root / 'csrc'))}).*"),
    )
    printed = job.python(code, prefix=() if job.rehearse else prefix)
    (job.out / "counters.csv").write_text(printed)
    lines = table(printed)
    print("\n".join(lines))
    if not lines and not job.rehearse:
        raise RuntimeError(f"ncu counted no kernel: {printed[-300:]}")


def kernels(folder: Path) -> list[str]:
    """Return the names of the kernels in the CUDA files of a folder."""
    found: set[str] = set()
    for file in [*folder.rglob("*.cu"), *folder.rglob("*.hpp"), *folder.rglob("*.cuh")]:
        text = file.read_text()
        if "__global__" in text:
            found |= set(re.findall(r"(?<![.:\w])(\w+_kernel)\(", text))
    return sorted(found)


def table(printed: str) -> list[str]:
    """Return a line for each kernel that ncu counted, from its CSV among other lines."""
    lines = [line for line in printed.splitlines() if line.startswith('"')]
    entries = list(csv.DictReader(lines))
    units = next((entry for entry in entries if not entry.get("ID")), {})  # the first row
    out = []
    for entry in entries:
        if entry.get("ID"):
            name = re.sub(r"^void |<unnamed>::|micro3d::", "", entry.get("Kernel Name", ""))
            values = (
                f"{label} {entry.get(m, '?')} {units.get(m, '')};" for m, label in METRICS.items()
            )
            out.append(" ".join([f"{name:60.60s}", *values]))
    return out
