# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Statistics of a zarr volume by blocks: time over that of reading it, and peak memory.

    OMP_NUM_THREADS=1 pytest benchmarks/bench_out_of_core.py --benchmark-only -s

A volume of 256³ is repeated and 2 % of its voxels are drawn anew, so that the chunks differ and
compress as badly as segmented tomograms do.  M3D_BENCH_SLOW=1: 1024³ voxels.  The process that
counts is a child, which reports its peak memory; another one counts in memory, and both must agree
to the last integer.  Ratios are of CPU time, which other work on the machine changes least.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

EDGE, CHUNK = (1024, 128) if os.environ.get("M3D_BENCH_SLOW") == "1" else (256, 64)
BLOCK_BYTES = 1 << 28 if EDGE == 1024 else 1 << 22
LAG = EDGE // 2
BENCH, READING = "out_of_core", "reading"


def test_out_of_core(benchmark, tmp_path):
    import pytest

    from _measure import row, version

    pytest.importorskip("zarr")
    make(tmp_path / "a.zarr")
    found = []
    benchmark.pedantic(lambda: found.append(run(tmp_path / "a.zarr", "blocks")), rounds=1)
    whole = run(tmp_path / "a.zarr", "memory")
    (blocks,) = found
    more = {"bench": BENCH, "precision": "integer", "threads": 1}
    for case, (seconds, cpu, _, curves) in blocks["counted"].items():
        text = f"{case}, zarr of {EDGE}^3 in chunks of {CHUNK}^3"
        row(text, "time", seconds, "s", **more)
        if case != READING:
            assert curves == whole["counted"][case][3], case
            ratio = cpu / blocks["counted"][READING][1]
            row(text, "CPU time over that of reading", ratio, "1", **more,
                notes=f"{version('zarr')}, blocks of at most {BLOCK_BYTES >> 20} MiB")  # fmt: skip
    for mode, result in (("by blocks", blocks), ("in memory", whole)):
        cases = list(result["counted"])
        for what, case in (("L and S2 along axes", cases[2]), ("all of them", cases[-1])):
            text = f"{what} {mode}, zarr of {EDGE}^3"
            peak = result["counted"][case][2] / 2**20
            row(text, "peak memory of the process", peak, "MiB", **more)


def run(path: Path, mode: str) -> dict:
    """Return what a child process reports."""
    child = [sys.executable, __file__, str(path), mode]
    made = subprocess.run(child, capture_output=True, text=True, check=True)
    return json.loads(made.stdout.splitlines()[-1])


def make(path: Path) -> None:
    """Write a volume larger than the one in `_measure`, chunk layer by chunk layer."""
    import zarr

    from _measure import volume

    tile, rng = volume(256), np.random.default_rng(2)
    array = zarr.create_array(
        str(path), shape=(EDGE,) * 3, chunks=(CHUNK,) * 3, dtype="uint8", fill_value=None,
        config={"write_empty_chunks": True},
    )  # fmt: skip
    for start in range(0, EDGE, CHUNK):
        layer = np.tile(tile[start % 256 : start % 256 + CHUNK], (1, EDGE // 256, EDGE // 256))
        noisy = rng.random(layer.shape, dtype=np.float32)
        layer[noisy < 0.01], layer[noisy > 0.99] = 0, 1
        array[start : start + CHUNK] = layer


def count(path: str, mode: str) -> dict:
    """Return curves, seconds and peak memory of this process."""
    import zarr

    import micro3d_fast as m3
    from micro3d_fast._planes import AXIS_NAMES

    zarr.config.set({"threading.max_workers": 1})
    volume = m3.Microstructure.open(path, block_bytes=BLOCK_BYTES, phase_names=("0", "1"))
    labels = volume.labels if mode == "blocks" else np.asarray(volume.labels)
    cases = {
        READING: lambda: sum(1 for _ in volume.labels.parts()),
        f"L on three axes to lag {LAG}": lambda: [
            m3.lineal_path(labels, 1, axis=axis, max_lag=LAG, threads=1).tolist()
            for axis in AXIS_NAMES
        ],
        f"S2 on three axes to lag {LAG}": lambda: [
            m3.two_point_correlation(labels, 1, axis=axis, max_lag=LAG, threads=1).tolist()
            for axis in AXIS_NAMES
        ],
        "S2 along (1, 1, 1) to lag 32": lambda: m3.two_point_correlation(
            labels, 1, axis=(1, 1, 1), max_lag=32, threads=1
        ).tolist(),
        "volume fractions": lambda: m3.volume_fractions(labels).tolist(),
        "chord lengths along z": lambda: m3.chord_lengths(
            labels, 1, axis="z", threads=1
        ).count.tolist(),
        "specific surface": lambda: m3.specific_surface(labels, 1, threads=1),
    }
    m3.specific_surface(np.eye(4, dtype=np.uint8), 1)  # imports
    cases[READING]()  # the operating system's cache
    counted = {}
    for case, call in cases.items():
        start, cpu = time.perf_counter(), time.process_time()
        result = call()
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
        status = Path("/proc/self/status").read_text().split("VmHWM:")[1]  # not that of the parent
        counted[case] = seconds, cpu, 1024 * int(status.split()[0]), result
        print(case, *counted[case][:3], file=sys.stderr, flush=True)
    return {"counted": counted}


if __name__ == "__main__":
    print(json.dumps(count(*sys.argv[1:])))
