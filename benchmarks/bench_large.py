# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Large and periodic volumes with preset small, and several small ones at once: seconds, memory.

    OMP_NUM_THREADS=2 pytest benchmarks/bench_large.py --benchmark-only -s

A face of a periodic axis is judged by the share of voxels that differ across it, over the mean of
that share between neighbouring slices inside; the scatter of that ratio inside is recorded too.
"""

from __future__ import annotations

import numpy as np
import pytest

import micro3d_fast as m3
from _measure import peak_memory, row
from micro3d_fast._planes import AXIS_NAMES
from micro3d_fast.diffusion.labelling import face_mismatch


def test_periodic(benchmark):
    shape, model = (96, 200, 64), m3.load_model("separator")
    made: list[m3.Microstructure] = []
    benchmark.pedantic(
        lambda: made.append(m3.reconstruct(shape, model, periodic=True, seed=1)), rounds=1
    )
    volume = made[0]
    about = volume.provenance
    case = f"separator 96 x 200 x 64 periodic, {about['passes']} passes, preset small"
    more = {"bench": "large", "precision": about["precision"]}
    row(case, "seconds", about["seconds"], "s", **more)
    for axis, name in enumerate(AXIS_NAMES):
        ratio, noise = face_mismatch(volume.labels, axis)
        row(case, f"mismatch of the {name} faces over inside", ratio, "1", **more)
        row(case, f"scatter of that ratio inside, {name}", noise, "1", **more)
        assert abs(ratio - 1) < 4 * noise


def test_cube(benchmark):
    shape, model = (128,) * 3, m3.load_model("separator")
    m3.reconstruct((16, 16, 16), model, passes=3)  # loads once what every volume shares
    made: list[m3.Microstructure] = []
    grown: list[float] = []

    def run() -> None:
        grown.append(peak_memory(lambda: made.append(m3.reconstruct(shape, model, seed=1))))

    benchmark.pedantic(run, rounds=1)
    about = made[0].provenance
    case = f"separator 128^3, {about['passes']} passes, preset small"
    more = {"bench": "large", "precision": about["precision"]}
    row(case, "seconds", about["seconds"], "s", **more)
    row(case, "share outside the network", 1 - about["network_seconds"] / about["seconds"], "1",
        **more)  # fmt: skip
    row(case, "peak memory above the loaded model", grown[0] / 2**20, "MiB", **more)
    assert made[0].shape == shape


@pytest.mark.parametrize(("edge", "batches"), [(32, (1, 4, 8)), (48, (1, 2))])
def test_many(benchmark, edge, batches):
    model, passes, n = m3.load_model("separator"), 7, 8
    seconds = {}
    for batch in batches:
        volumes = m3.reconstruct_many((edge,) * 3, model, range(n), batch=batch, passes=passes)
        about = [volume.provenance for volume in volumes]
        seconds[batch] = float(np.median([p["seconds"] for p in about[batch:]]))
        case = f"separator {edge}^3, {passes} passes, {batch} volumes at once"
        row(case, "seconds a volume", seconds[batch], "s", bench="large",
            precision=about[0]["precision"])  # fmt: skip
    benchmark.extra_info.update({str(batch): value for batch, value in seconds.items()})
    benchmark.pedantic(lambda: None, rounds=1)
