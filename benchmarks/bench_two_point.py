# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Two-point correlations against bare scipy, PyMKS and PoreSpy: agreement first, then seconds.

    pytest benchmarks/bench_two_point.py --benchmark-only -s
    M3D_BENCH_SLOW=1 pytest benchmarks/bench_two_point.py --benchmark-only -s -k scaling

M3D_BENCH_PLOT   file to which `test_scaling` draws seconds against the size of the volume
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import micro3d_fast as m3
from _measure import (
    LAG,
    SIZE,
    SLOW,
    THREADS,
    best,
    once,
    peak_memory,
    peer,
    row,
    timed,
    version,
    volume,
)
from bench_lineal_path import numpy_lineal_path
from micro3d_fast import statistics

BENCH = "two_point"
SCALING_SIZES = (64, 128, 256, 512)


def bare_scipy(labels: np.ndarray, shape: tuple[int, ...], workers: int = THREADS) -> np.ndarray:
    """Compute rfftn -> |F|^2 -> irfftn, nothing else: the practical limit of a full map."""
    from scipy import fft

    f = fft.rfftn(labels.astype(np.float64), s=shape, workers=workers)
    power = f.real**2 + f.imag**2
    return fft.irfftn(power, s=shape, workers=workers)


def test_map_periodic(benchmark):
    labels = volume()
    case = f"map {SIZE}^3 periodic"

    def ours():
        return m3.two_point_map(labels, 1, periodic=True, threads=THREADS)

    def theirs():
        return bare_scipy(labels, labels.shape)

    np.testing.assert_allclose(ours(), theirs() / labels.size, rtol=0, atol=1e-12)
    seconds = timed(benchmark, ours)
    limit = best(theirs)
    name = version("scipy") + " bare"
    row(case, "time", seconds, "s", bench=BENCH, tolerance="exact counts")
    row(case, "time", limit, "s", bench=BENCH, peer=name)
    row(case, "speed-up", limit / seconds, "1", bench=BENCH, peer=name, tolerance="1e-12 agree",
        notes="goal 1.0")  # fmt: skip
    for call, who in ((ours, ""), (theirs, name)):
        row(case, "peak memory", peak_memory(call) / labels.size, "B/voxel", bench=BENCH, peer=who)


def test_map_periodic_float32(benchmark):
    labels = volume()
    case = f"map {SIZE}^3 periodic float32"
    want = m3.two_point_map(labels, 1, periodic=True)

    def ours():
        return m3.two_point_map(labels, 1, periodic=True, dtype=np.float32, threads=THREADS)

    error = np.abs(ours() - want).max()
    assert error < 1e-5
    seconds = timed(benchmark, ours)
    row(case, "time", seconds, "s", bench=BENCH, precision="float32", tolerance=f"{error:.1e}")
    row(case, "peak memory", peak_memory(ours) / labels.size, "B/voxel", bench=BENCH,
        precision="float32")  # fmt: skip


def test_map_against_pymks(benchmark):
    pymks = peer("pymks")
    labels = volume()
    case = f"map {SIZE}^3 periodic"
    field = labels[None].astype(float)

    def theirs():
        return np.asarray(pymks.two_point_stats(field, field, periodic_boundary=True))

    def ours():
        return m3.two_point_map(labels, 1, periodic=True, threads=THREADS)

    # PyMKS: zero lag in the centre, at most (N - 1) // 2 lags to a side: lag N/2 is lost
    half = (SIZE - 1) // 2
    centre = SIZE // 2
    part = slice(centre - half, centre + half + 1)
    want = statistics.shift(ours())[part, part, part]
    got = theirs()
    np.testing.assert_allclose(got[0], want, rtol=0, atol=1e-12)
    del got, want
    seconds, seconds_peer = timed(benchmark, ours), best(theirs, rounds=2)
    name = version("pymks")
    row(case, "time", seconds_peer, "s", bench=BENCH, peer=name, tolerance="1e-12 agree")
    row(case, "speed-up", seconds_peer / seconds, "1", bench=BENCH, peer=name, notes="goal 5")
    row(case, "peak memory", peak_memory(theirs) / labels.size, "B/voxel", bench=BENCH, peer=name)


@pytest.mark.parametrize(
    ("case", "shape"),
    [
        ("periodic", (20, 24, 33)),
        ("open", (21, 24, 32)),
        ("masked", (20, 24, 33)),
        ("masked periodic", (21, 24, 32)),
    ],
)
def test_definitions_of_pymks(benchmark, case, shape):
    """Compare both signs of the lag, both boundaries, with and without a mask."""
    pymks = peer("pymks")
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 3, shape).astype(np.uint8)
    labels[:, :, 1:][rng.random(labels[:, :, 1:].shape) < 0.5] = 1  # S_02(r) is not S_02(-r)
    mask = rng.random(shape) < 0.8 if "masked" in case else None
    periodic = "periodic" in case

    def ours():
        return m3.two_point_map(labels, 0, 2, periodic=periodic, mask=mask)

    fields = [(labels == p)[None].astype(float) for p in (0, 2)]
    got = np.asarray(
        pymks.two_point_stats(
            *fields,
            periodic_boundary=periodic,
            mask=None if mask is None else mask[None].astype(float),
        )
    )[0]
    half = (min(shape) - 1) // 2
    want = statistics.shift(ours())
    want = want[tuple(slice(n // 2 - half, n // 2 + half + 1) for n in want.shape)]
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-12)
    assert np.abs(want - want[::-1, ::-1, ::-1]).max() > 1e-3
    benchmark.pedantic(ours, rounds=3)
    row(f"S_02 {case}, {shape}", "largest difference", np.abs(got - want).max(), "1", bench=BENCH,
        peer=version("pymks"), tolerance="1e-12 agree")  # fmt: skip


def test_map_open_against_pymks(benchmark):
    pymks = peer("pymks")
    n = min(SIZE, 128)
    labels = np.ascontiguousarray(volume()[:n, :n, :n])
    case = f"map {n}^3 open to lag {(n - 1) // 2}"
    field = labels[None].astype(float)
    half = (n - 1) // 2

    def theirs():
        return np.asarray(pymks.two_point_stats(field, field, periodic_boundary=False))

    def ours():
        return m3.two_point_map(labels, 1, max_lag=half, threads=THREADS)

    measured = []
    memory = peak_memory(lambda: measured.append(once(theirs)))
    seconds_peer, got = measured.pop()
    np.testing.assert_allclose(got[0], statistics.shift(ours()), rtol=0, atol=1e-12)
    seconds = timed(benchmark, ours)
    name = version("pymks")
    row(case, "time", seconds, "s", bench=BENCH, tolerance="exact counts")
    row(case, "time", seconds_peer, "s", bench=BENCH, peer=name, tolerance="1e-12 agree")
    row(case, "speed-up", seconds_peer / seconds, "1", bench=BENCH, peer=name)
    row(case, "peak memory", peak_memory(ours) / labels.size, "B/voxel", bench=BENCH)
    row(case, "peak memory", memory / labels.size, "B/voxel", bench=BENCH, peer=name)


def test_map_open(benchmark):
    labels = volume()
    case = f"map {SIZE}^3 open"
    padded = tuple(2 * n for n in labels.shape)

    def ours():
        return m3.two_point_map(labels, 1, threads=THREADS)

    def theirs():
        return bare_scipy(labels, padded)

    got, counts = ours(), theirs()
    pairs = [n - np.abs(np.r_[:n, -n + 1 : 0]) for n in labels.shape]
    keep = [np.r_[:n, n + 1 : 2 * n] for n in labels.shape]
    pairs = pairs[0][:, None, None] * pairs[1][:, None] * pairs[2]
    np.testing.assert_allclose(got, counts[np.ix_(*keep)] / pairs, rtol=0, atol=1e-7)
    near = np.ix_(*(np.r_[:LAG, -LAG:0] for _ in range(3)))
    np.testing.assert_allclose(got[near], (counts[np.ix_(*keep)] / pairs)[near], rtol=0, atol=1e-12)
    del got, counts, pairs
    seconds = timed(benchmark, ours, rounds=2)
    limit = best(theirs, rounds=2)
    name = version("scipy") + " bare, padded to 2N"
    row(case, "time", seconds, "s", bench=BENCH, tolerance="exact counts")
    row(case, "time", limit, "s", bench=BENCH, peer=name)
    row(case, "speed-up", limit / seconds, "1", bench=BENCH, peer=name)
    for call, who in ((ours, ""), (theirs, name)):
        row(case, "peak memory", peak_memory(call) / labels.size, "B/voxel", bench=BENCH, peer=who)


@pytest.mark.parametrize("max_lag", [SIZE // 16, SIZE // 4])
def test_map_open_with_max_lag(benchmark, max_lag):
    """Check that max_lag saves time and memory, not only output."""
    labels = volume()
    case = f"map {SIZE}^3 open to lag {max_lag}"

    def ours():
        return m3.two_point_map(labels, 1, max_lag=max_lag, threads=THREADS)

    line = m3.two_point_correlation(labels, 1, axis="x", max_lag=max_lag)
    np.testing.assert_array_equal(ours()[0, 0, : max_lag + 1], line)
    row(case, "time", timed(benchmark, ours, rounds=3), "s", bench=BENCH)
    row(case, "peak memory", peak_memory(ours) / labels.size, "B/voxel", bench=BENCH)


def test_three_directions(benchmark):
    labels = volume()
    case = f"three directions to lag {LAG}, {SIZE}^3"

    def ours():
        return [m3.two_point_correlation(labels, 1, axis=a, max_lag=LAG, periodic=True,
                                         threads=THREADS) for a in range(3)]  # fmt: skip

    def theirs():
        return bare_scipy(labels, labels.shape)

    counts = theirs() / labels.size
    lines = (counts[: LAG + 1, 0, 0], counts[0, : LAG + 1, 0], counts[0, 0, : LAG + 1])
    for got, want in zip(ours(), lines, strict=True):
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-12)
    seconds = timed(benchmark, ours)
    limit = best(theirs)
    name = version("scipy") + " bare full map"
    row(case, "time", seconds, "s", bench=BENCH, precision="integer", tolerance="exact counts")
    row(case, "speed-up", limit / seconds, "1", bench=BENCH, peer=name, notes="goal 10")
    row(case, "peak memory", peak_memory(ours) / labels.size, "B/voxel", bench=BENCH)


def test_radial_against_porespy(benchmark):
    labels = volume()
    case = f"radial {SIZE}^3 open"

    def ours():
        return m3.two_point_radial(labels, 1, threads=THREADS)

    result = ours()
    seconds = timed(benchmark, ours, rounds=3)
    row(case, "time", seconds, "s", bench=BENCH, tolerance="exact counts")
    row(case, "peak memory", peak_memory(ours) / labels.size, "B/voxel", bench=BENCH)
    assert result.value[0] == labels.mean()
    if SIZE > 128 and not SLOW:
        pytest.skip("PoreSpy takes minutes: M3D_BENCH_SLOW=1")
    porespy = peer("porespy")
    edges = np.arange(LAG + 1)
    measured = []
    memory = peak_memory(
        lambda: measured.append(
            once(lambda: porespy.metrics.two_point_correlation(labels == 1, bins=edges))
        )
    )
    seconds_peer, theirs = measured.pop()
    want = bins_of_porespy(m3.two_point_map(labels, 1, threads=THREADS), LAG)
    np.testing.assert_allclose(theirs.probability_scaled, want, rtol=0, atol=1e-12)
    name = version("porespy")
    row(case, "time", seconds_peer, "s", bench=BENCH, peer=name,
        tolerance="1e-12 agree, their bins")  # fmt: skip
    row(case, "speed-up", seconds_peer / seconds, "1", bench=BENCH, peer=name, notes="goal 60")
    row(case, "peak memory", memory / labels.size, "B/voxel", bench=BENCH, peer=name)


def bins_of_porespy(full: np.ndarray, last: int) -> np.ndarray:
    """Return the mean of a whole map over lags of length [k, k + 1), every lag alike."""
    squares = [np.r_[: (m + 1) // 2, -(m // 2) : 0] ** 2 for m in full.shape]
    sums, lags = np.zeros(last), np.zeros(last)
    for square, plane in zip(squares[0], full, strict=True):
        length = np.sqrt(square + squares[1][:, None] + squares[2])
        inside = length < last
        bins = length[inside].astype(int)
        sums += np.bincount(bins, plane[inside], minlength=last)
        lags += np.bincount(bins, minlength=last)
    return sums / lags


def test_matrix_of_three_phases(benchmark):
    labels = volume().copy()
    labels[: SIZE // 2] += volume()[: SIZE // 2] * (
        np.indices(labels[: SIZE // 2].shape)[2] % 2 == 0
    )
    case = f"3 x 3 matrix {SIZE}^3 periodic"

    def ours():
        return statistics.two_point_matrix(labels, periodic=True, threads=THREADS)

    got = ours()
    np.testing.assert_array_equal(got[0, 2], m3.two_point_map(labels, 0, 2, periodic=True))
    del got
    row(case, "time", timed(benchmark, ours, rounds=2), "s", bench=BENCH, tolerance="exact counts")


@pytest.mark.skipif(not SLOW, reason="takes minutes: M3D_BENCH_SLOW=1")
def test_open_512_in_24_gigabytes(benchmark):
    labels = volume(512)
    case = "map 512^3 open"

    def ours():
        return m3.two_point_map(labels, 1, threads=THREADS)

    measured = []
    peak = peak_memory(lambda: measured.append(once(ours)))
    seconds, got = measured.pop()
    line = m3.two_point_correlation(labels, 1, axis="z", max_lag=511)
    np.testing.assert_array_equal(got[:512, 0, 0], line)
    del got
    benchmark.pedantic(lambda: None, rounds=1)
    assert not peak > 24e9
    row(case, "time", seconds, "s", bench=BENCH, tolerance="exact counts")
    row(case, "peak memory", peak, "B", bench=BENCH, notes="goal 24e9")
    row(case, "peak memory", peak / labels.size, "B/voxel", bench=BENCH)

    def radial():
        return m3.two_point_radial(labels, 1, threads=THREADS)

    peak = peak_memory(lambda: measured.append(once(radial)))
    row("radial 512^3 open", "time", measured.pop()[0], "s", bench=BENCH, tolerance="exact counts")
    row("radial 512^3 open", "peak memory", peak, "B", bench=BENCH)


def scaling_cases(n: int) -> dict[str, Callable[[], Any]]:
    """Return the calls to time at n^3 voxels by name; peers are named in brackets."""
    labels = volume(n)
    lag = min(128, n // 2)
    return {
        "S2 map, periodic": lambda: m3.two_point_map(labels, 1, periodic=True),
        "S2 radial, periodic": lambda: m3.two_point_radial(labels, 1, periodic=True),
        "S2, three axes": lambda: [
            m3.two_point_correlation(labels, 1, axis=a, max_lag=lag) for a in range(3)
        ],
        "L, three axes": lambda: [m3.lineal_path(labels, 1, axis=a, max_lag=lag) for a in range(3)],
        "S2 map, periodic (bare scipy)": lambda: bare_scipy(labels, labels.shape),
        "L, three axes (numpy)": lambda: [numpy_lineal_path(labels == 1, a, lag) for a in range(3)],
    }


@pytest.mark.skipif(not SLOW, reason="takes minutes: M3D_BENCH_SLOW=1")
def test_scaling(benchmark):
    seconds: dict[str, list[float]] = {}
    for n in SCALING_SIZES:
        for name, call in scaling_cases(n).items():
            value = best(call, rounds=3 if n <= 256 else 2, least=0.2)
            seconds.setdefault(name, []).append(value)
            library = next((m for m in ("scipy", "numpy") if m in name), None)
            row(f"{name}, {n}^3", "time", value, "s", bench="scaling",
                peer=version(library) if library else "")  # fmt: skip
        volume.cache_clear()
    benchmark.pedantic(lambda: None, rounds=1)
    if plot := os.environ.get("M3D_BENCH_PLOT"):
        plot_scaling(seconds, Path(plot))


def plot_scaling(seconds: dict[str, list[float]], file: Path) -> None:
    """Draw seconds against the size of the volume, ours and a peer's in one colour."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.4), layout="constrained")
    ax = figure.subplots()
    colours: dict[str, str] = {}
    for name, values in seconds.items():
        key = name.split(" (")[0]
        (line,) = ax.loglog(
            SCALING_SIZES, values, "s--" if "(" in name else "o-", color=colours.get(key),
            markersize=4, linewidth=1.4, label=name,
        )  # fmt: skip
        colours.setdefault(key, line.get_color())
    ax.set_xticks(SCALING_SIZES, [f"{n}³" for n in SCALING_SIZES])
    ax.minorticks_off()
    ax.set_xlabel("voxels")
    ax.set_ylabel(f"seconds, {THREADS} CPU threads")
    ax.grid(alpha=0.3)
    ax.legend(fontsize=8, frameon=False)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file)
