# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Run lengths, lineal paths and chords against numpy, PoreSpy and one reading of the volume.

pytest benchmarks/bench_lineal_path.py --benchmark-only -s
"""

from __future__ import annotations

import numpy as np
import pytest

import micro3d_fast as m3
from _measure import (
    LAG,
    SIZE,
    THREADS,
    best,
    once,
    peak_memory,
    peer,
    reading_seconds,
    row,
    timed,
    version,
    volume,
)
from micro3d_fast import ops, statistics
from micro3d_fast._planes import AXIS_NAMES
from micro3d_fast.reference.run_lengths import run_lengths as reference

BENCH = "lineal_path"


def three_axes(labels: np.ndarray) -> list[np.ndarray]:
    """Return L of phase 1 along z, y and x."""
    return [m3.lineal_path(labels, 1, axis=a, max_lag=LAG, threads=THREADS) for a in range(3)]


def numpy_lineal_path(inside: np.ndarray, axis: int, max_lag: int) -> np.ndarray:
    """Compute L by numpy: run lengths by diff, histogram by bincount, segments by two sums."""
    lines = np.moveaxis(inside, axis, -1)
    n = lines.shape[-1]
    padded = np.zeros((*lines.shape[:-1], n + 2), dtype=np.int8)
    padded[..., 1:-1] = lines
    change = np.diff(padded, axis=-1).ravel()
    lengths = np.flatnonzero(change == -1) - np.flatnonzero(change == 1)
    runs = np.bincount(lengths, minlength=n + 1)
    at_least = np.cumsum(runs[::-1])[::-1]
    segments = np.cumsum(at_least[:0:-1])[::-1]
    r = np.arange(max_lag + 1)
    return segments[: max_lag + 1] / ((n - r) * (inside.size // n))


@pytest.mark.parametrize("masked", [False, True], ids=["whole", "masked"])
@pytest.mark.parametrize("axis", [0, 1, 2], ids=AXIS_NAMES)
def test_run_lengths(benchmark, axis, masked):
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
    case = f"all phases along {AXIS_NAMES[axis]}, {SIZE}^3" + (", masked" if masked else "")
    more = {"bench": "run_lengths", "precision": "integer"}
    row(case, "time", seconds, "s", tolerance="exact", **more)
    row(case, "readings of the volume", seconds / read, "1",
        notes=f"one reading {1e3 * read:.3g} ms; goal at most 8", **more)  # fmt: skip


def test_three_axes(benchmark):
    labels = volume()
    inside = labels == 1
    case = f"L on three axes to lag {LAG}, {SIZE}^3"

    def ours():
        return three_axes(labels)

    def theirs():
        return [numpy_lineal_path(inside, a, LAG) for a in range(3)]

    for got, want in zip(ours(), theirs(), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-15)
    seconds = timed(benchmark, ours)
    slow = best(theirs, rounds=2)
    read = reading_seconds(labels)
    name = version("numpy") + " diff and bincount"
    row(case, "time", seconds, "s", bench=BENCH, precision="integer", tolerance="exact counts")
    row(case, "time", slow, "s", bench=BENCH, peer=name, threads=1, precision="integer")
    row(case, "speed-up", slow / seconds, "1", bench=BENCH, peer=name, notes="goal 20")
    row(case, "readings of the volume per axis", seconds / 3 / read, "1", bench=BENCH,
        precision="integer", notes=f"one reading {1e3 * read:.3g} ms; goal at most 8")  # fmt: skip
    row(case, "peak memory", peak_memory(ours) / labels.size, "B/voxel", bench=BENCH)


def test_all_phases_in_one_scan(benchmark):
    labels = volume()
    case = f"L of all phases on three axes, {SIZE}^3"

    def ours():
        return [statistics.lineal_paths(labels, axis=a, threads=THREADS) for a in range(3)]

    for axis, got in enumerate(ours()):
        for phase in range(2):
            np.testing.assert_array_equal(got[phase], m3.lineal_path(labels, phase, axis=axis))
    row(case, "time", timed(benchmark, ours), "s", bench=BENCH, precision="integer")


def test_diagonals(benchmark):
    labels = volume()
    case = f"L on four body diagonals to lag {LAG}, {SIZE}^3"
    diagonals = [(1, 1, 1), (1, 1, -1), (1, -1, 1), (-1, 1, 1)]

    def ours():
        return [m3.lineal_path(labels, 1, axis=d, max_lag=LAG, threads=THREADS) for d in diagonals]

    got = ours()[0]
    inside = labels == 1
    alive = inside
    for r in range(1, 4):
        alive = alive[:-1, :-1, :-1] & inside[r:, r:, r:]
        assert got[r] == alive.mean()
    row(case, "time", timed(benchmark, ours), "s", bench=BENCH, precision="integer")


def test_lineal_path_of_porespy(benchmark):
    """Compare with PoreSpy's distance_transform_lin, from which L follows by counting."""
    porespy = peer("porespy")
    labels = volume()
    inside = labels == 1
    case = f"L on three axes, {SIZE}^3"

    def ours():
        return three_axes(labels)

    def theirs():
        return [
            porespy.filters.distance_transform_lin(inside, axis=a, mode="forward") for a in range(3)
        ]

    seconds_peer, distances = once(theirs)
    # the d-th voxel of its run ends a segment of each length up to d: L by counting
    for axis, got in enumerate(ours()):
        counts = np.bincount(distances[axis].ravel().astype(np.int64), minlength=SIZE + 1)
        segments = np.cumsum(counts[:0:-1])[::-1][: LAG + 1]
        pairs = (SIZE - np.arange(LAG + 1)) * SIZE**2
        np.testing.assert_allclose(got, segments / pairs, rtol=1e-14)
    seconds = timed(benchmark, ours)
    name = version("porespy")
    row(case, "time", seconds_peer, "s", bench=BENCH, peer=name, notes="distance transform alone",
        tolerance="1e-14 agree")  # fmt: skip
    row(case, "speed-up", seconds_peer / seconds, "1", bench=BENCH, peer=name)


def test_chords(benchmark):
    labels = volume()
    case = f"chord lengths on three axes, {SIZE}^3"

    def ours():
        return [statistics.chord_lengths(labels, 1, axis=a, threads=THREADS) for a in range(3)]

    seconds = timed(benchmark, ours)
    row(case, "time", seconds, "s", bench=BENCH, precision="integer")
    porespy = peer("porespy")
    n = min(SIZE, 128)  # PoreSpy's regionprops takes long
    small = np.ascontiguousarray(labels[:n, :n, :n])

    def theirs():
        return [
            porespy.metrics.chord_counts(
                porespy.filters.apply_chords(small == 1, axis=a, spacing=1)
            )
            for a in range(3)
        ]

    seconds_peer, chords = once(theirs)
    assert all(len(c) for c in chords)
    name = version("porespy")
    row(f"chord lengths on three axes, {n}^3, every second line", "time", seconds_peer, "s",
        bench=BENCH, peer=name)  # fmt: skip
    start = best(
        lambda: [statistics.chord_lengths(small, 1, axis=a, threads=THREADS) for a in range(3)]
    )
    row(f"chord lengths on three axes, {n}^3", "speed-up", seconds_peer / start, "1", bench=BENCH,
        peer=name, notes="ours takes every line")  # fmt: skip
