# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The run-length scan of all phases along each axis against one reading of the volume.

pytest benchmarks/bench_run_lengths.py --benchmark-only -s
"""

from __future__ import annotations

import numpy as np
import pytest

from _measure import SIZE, THREADS, reading_seconds, row, timed, volume
from micro3d_fast import ops
from micro3d_fast.reference.run_lengths import run_lengths as reference

BENCH = "run_lengths"


@pytest.mark.parametrize("masked", [False, True], ids=["whole", "masked"])
@pytest.mark.parametrize("axis", [0, 1, 2], ids="zyx")
def test_all_phases(benchmark, axis, masked):
    labels = volume()
    mask = np.ascontiguousarray(labels[::-1]) if masked else None
    small = np.s_[:9, :21, :70]
    for got, want in zip(
        ops.run_lengths(labels[small], axis=axis, n_phases=2),
        reference(labels[small], axis=axis, n_phases=2),
        strict=True,
    ):
        np.testing.assert_array_equal(got, want)
    counts, _ = ops.run_lengths(labels, axis=axis, n_phases=2)
    voxels = (counts * np.arange(counts.shape[1])).sum(axis=1)
    np.testing.assert_array_equal(voxels, np.bincount(labels.ravel(), minlength=2))

    seconds = timed(
        benchmark,
        lambda: ops.run_lengths(labels, axis=axis, n_phases=2, mask=mask, threads=THREADS),
    )
    read = reading_seconds(labels)
    case = f"all phases along {'zyx'[axis]}, {SIZE}^3" + (", masked" if masked else "")
    row(case, "time", seconds, "s", bench=BENCH, precision="integer", tolerance="exact")
    row(case, "readings of the volume", seconds / read, "1", bench=BENCH, precision="integer",
        notes=f"one reading {1e3 * read:.3g} ms; goal at most 8")  # fmt: skip
