# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""One volume over one, two and three processes (gloo): equal voxels, and memory of each.

    OMP_NUM_THREADS=1 pytest benchmarks/bench_slabs.py --benchmark-only -s

The memory is the peak of the largest process, beyond that after a volume of 16³.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

SIDE, SAMPLER = 64, "draft"


def test_slabs(benchmark, tmp_path):
    from _measure import row

    found: list[dict[int, list[dict]]] = []
    benchmark.pedantic(
        lambda: found.append({n: run(n, tmp_path / f"{n}.npy") for n in (1, 2, 3)}), rounds=1
    )
    alone = np.load(tmp_path / "1.npy")
    for n, processes in found[0].items():
        together = "one process" if n == 1 else f"{n} processes"
        case = f"separator {SIDE}^3 over {together}, sampler {SAMPLER}, preset small"
        more = {"bench": "slabs", "precision": "float32", "threads": 1}
        peak = max(each["peak"] - each["before"] for each in processes) / 2**20
        row(case, "peak memory of a process beyond the start", peak, "MiB", **more)
        if n > 1:
            equal = float((np.load(tmp_path / f"{n}.npy") == alone).mean())
            row(case, "share of equal voxels", equal, "1", notes="labels before matching", **more)
            assert equal > 0.999


def run(n: int, out: Path) -> list[dict]:
    """Return what each of n processes reports."""
    start = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(n)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([*start, __file__, str(out)], env=environment, check=True)
    return [json.loads(out.with_suffix(f".{rank}.json").read_text()) for rank in range(n)]


def peak_bytes() -> int:
    status = Path("/proc/self/status").read_text().split("VmHWM:")[1]  # not that of the parent
    return 1024 * int(status.split()[0])


def work(out: Path) -> None:
    """Make the volume in this process of the group."""
    import micro3d_fast as m3
    from micro3d_fast.diffusion.process_group import current_group, torchrun_group

    options = {"device": "cpu", "precision": "float32", "keep_raw": True, "sampler": SAMPLER}
    with torchrun_group("cpu"):
        m3.reconstruct(16, "separator", **options)
        before = peak_bytes()
        volume = m3.reconstruct(SIDE, "separator", **options)
        peaks = json.dumps({"before": before, "peak": peak_bytes()})
        out.with_suffix(f".{current_group().rank}.json").write_text(peaks)
        if current_group().first:
            np.save(out, volume.fields["raw_labels"])


if __name__ == "__main__":
    work(Path(sys.argv[1]))
