# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""A study by one process and by the pool: volumes an hour.

pytest benchmarks/bench_study.py --benchmark-only -s
"""

from __future__ import annotations

import micro3d_fast as m3

SIDE, COUNT, PROCESSES = 32, 40, (1, 2)


def test_study(benchmark, tmp_path):
    from time import perf_counter

    from _measure import row

    truth = m3.synthetic.separator((96,) * 3, seed=9)
    seconds: dict[int, list[float]] = {n: [] for n in PROCESSES}

    def both() -> None:
        turn = len(seconds[1])
        for n in PROCESSES:
            started = perf_counter()
            options = {"volume_shape": SIDE, "workers": n, "device": "cpu", "progress": False}
            m3.study("separator", truth, tmp_path / f"{n}-{turn}", count=COUNT, **options)
            seconds[n].append(perf_counter() - started)

    benchmark.pedantic(both, rounds=2)
    for n, times in seconds.items():
        together = "one process" if n == 1 else f"{n} processes"
        case = f"{COUNT} volumes {SIDE}^3 and 27 blocks, {together}, separator, preset small"
        row(
            case,
            "volumes an hour",
            3600 * COUNT / min(times),
            "1/h",
            bench="study",
            precision="auto",
        )
