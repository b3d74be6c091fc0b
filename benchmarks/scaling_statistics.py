# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Seconds of every statistic against the size of the volume, 64^3 to 512^3, and the plot.

python benchmarks/scaling_statistics.py --out docs/scaling_statistics.svg [--sizes 64 128 256 512]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import micro3d_fast as m3
from _measure import THREADS, best, row, version, volume
from bench_lineal_path import numpy_lineal_path
from bench_two_point import bare_scipy


def cases(n: int) -> dict:
    """Name and call; peers carry theirs in brackets."""
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 128, 256, 512])
    arguments = parser.parse_args()
    seconds: dict[str, list[float]] = {}
    for n in arguments.sizes:
        for name, call in cases(n).items():
            value = best(call, rounds=3 if n <= 256 else 2, least=0.2)
            seconds.setdefault(name, []).append(value)
            who = (
                version("scipy") if "scipy" in name else version("numpy") if "numpy" in name else ""
            )
            row(f"{name}, {n}^3", "time", value, "s", bench="scaling", peer=who)
        volume.cache_clear()

    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.4), layout="constrained")
    ax = figure.subplots()
    colours: dict[str, str] = {}
    for name, values in seconds.items():
        mine = "(" not in name
        key = name.split(" (")[0]
        (line,) = ax.loglog(
            arguments.sizes, values, "o-" if mine else "s--", color=colours.get(key),
            markersize=4, linewidth=1.4, label=name,
        )  # fmt: skip
        colours.setdefault(key, line.get_color())
    ax.set_xticks(arguments.sizes, [f"{n}³" for n in arguments.sizes])
    ax.minorticks_off()
    ax.set_xlabel("voxels")
    ax.set_ylabel(f"seconds, {THREADS} CPU threads")
    ax.grid(alpha=0.3)
    ax.legend(fontsize=8, frameon=False)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(arguments.out)


if __name__ == "__main__":
    main()
