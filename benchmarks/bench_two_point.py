# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Two-point correlations against bare scipy, PyMKS and PoreSpy: agreement first, then seconds.

pytest benchmarks/bench_two_point.py --benchmark-only -s
"""

from __future__ import annotations

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
from micro3d_fast import statistics

BENCH = "two_point"


def bare_scipy(labels: np.ndarray, shape: tuple[int, ...], workers: int = THREADS) -> np.ndarray:
    """rfftn -> |F|^2 -> irfftn, nothing else: the practical limit of a full map."""
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
    """Both signs of the lag, both boundaries, with and without a mask."""
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
    """max_lag saves time and memory, not only output."""
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
    """Mean of a whole map over lags of length [k, k + 1), every lag alike."""
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


@pytest.mark.skipif(not SLOW, reason="M3D_BENCH_SLOW=1 asks for what takes minutes")
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
