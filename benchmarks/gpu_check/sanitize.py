# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""compute-sanitizer over the small tests, which takes minutes (not in the default sections).

python benchmarks/gpu_check.py --out runs/gpu --section sanitize --only memcheck
"""

from __future__ import annotations

import shutil
import subprocess

from .job import Job
from .tests import judge, pytest

#: files that the sanitizer runs: every kernel on small odd shapes
SMALL = [
    f"tests/{folder}/test_{name}.py"
    for folder, names in {
        "cuda": ("cuda_operators", "cuda_solvers"),
        "native": (
            "run_lengths",
            "bit_correlation",
            "spectrum",
            "hex8",
            "multigrid",
            "seven_point",
        ),
    }.items()
    for name in names
]


def run(job: Job) -> None:
    if job.toy:
        return
    for tool in ("memcheck", "racecheck"):
        job.step(tool, sanitize, job, tool, expect=60)


def sanitize(job: Job, tool: str) -> None:
    """Run a tool: memcheck finds bad accesses, racecheck hazards in shared memory."""
    sanitizer = shutil.which("compute-sanitizer")
    if sanitizer is None:
        raise RuntimeError("compute-sanitizer must be on the PATH")
    options = sanitizer_options(sanitizer, tool)
    outcome = pytest(
        job,
        tool,
        "-m",
        "cuda",
        "-k",
        "not cupy and not 70001 and not 65536 and not 65537",  # cupy compiles its own kernels
        *[file for file in SMALL if (job.root / file).exists()],
        prefix=(sanitizer, *options),
        M3D_REQUIRE_CUDA="1",
        PYTORCH_NO_CUDA_MEMORY_CACHING="1",  # one allocation per array: its true end is known
    )
    judge(job, f"compute-sanitizer {tool}", outcome)


def sanitizer_options(sanitizer: str, tool: str) -> list[str]:
    """Return the options that this version knows: an unknown one would end it at once."""
    known = subprocess.run([sanitizer, "--help"], capture_output=True, text=True, timeout=60).stdout
    options = ["--tool", tool, "--error-exitcode", "86", "--print-limit", "20"]
    wanted = {
        "--kernel-name": "kernel_substring=micro3d",  # those of other libraries cost minutes
        "--launch-timeout": "120",  # until the tests have loaded torch
    }
    if tool == "memcheck":
        wanted["--leak-check"] = "no"
        # torch asks the driver for functions that it may lack; launches are checked by ourselves
        wanted["--report-api-errors"] = "no"
    for option, value in wanted.items():
        if option in known:
            options += [option, value]
    return options
