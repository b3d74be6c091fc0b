# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""results.csv: one row per measurement, appended, with the machine it was made on.

    from _results import record
    record(bench="two_point", case="map 256^3 periodic", metric="seconds", value=1.2, unit="s")

    python benchmarks/_results.py --trim      # drop superseded rows; git keeps them

A row is superseded when a later one measures the same thing on the same machine. A superseded row
that README.md or a page of docs/ quotes stays: it is listed in `QUOTED`.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import functools
import os
import platform
import subprocess
from collections.abc import Collection, Sequence
from io import StringIO
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results.csv"
COLUMNS = (
    "date",
    "commit",  # with a + where files differed from it
    "cpu",
    "gpu",
    "threads",
    "bench",
    "case",
    "metric",
    "value",
    "unit",
    "precision",
    "tolerance",
    "peer",  # the library measured, with its version; empty: micro3d-fast
    "notes",
)
#: columns that say what was measured, and on which machine; rows that agree in all of them compete
SERIES = (
    *("bench", "case", "metric", "unit", "precision", "tolerance", "peer"),
    *("cpu", "gpu", "threads"),
)
#: (bench, case, metric, value) of superseded rows that a page quotes
QUOTED = (
    # docs/characterize.md: ratios measured while the machine did other work
    ("two_point", "map 256^3 periodic", "speed-up", "1.05019"),
    ("two_point", "map 256^3 periodic", "speed-up", "8.00909"),
    ("two_point", "three directions to lag 128, 256^3", "speed-up", "22.9894"),
    ("lineal_path", "L on three axes to lag 128, 256^3", "speed-up", "11.3153"),
    # docs/reconstruct.md: a pass of the network not compiled, 0.48 to 0.50 s
    ("sampler", "separator 64^3, preset small, network alone", "seconds a pass, eager", "0.476956"),
)


def record(
    *,
    bench: str,
    case: str,
    metric: str,
    value: float,
    unit: str,
    threads: int | None = None,
    precision: str = "",
    tolerance: str = "",
    peer: str = "",
    gpu: str = "",
    notes: str = "",
    path: Path = RESULTS,
) -> None:
    """Append a row.

    Parameters
    ----------
    bench, case, metric : str
        The benchmark, its input, and the quantity measured.
    value : float
    unit : str
        ``"s"``, ``"GB/s"``, ``"1"`` for a ratio.
    threads : int, optional
        CPU threads; default OMP_NUM_THREADS, else all of the machine.
    precision, tolerance, peer, notes : str
    gpu : str
        GPU and driver; empty if the CPU did the work.
    path : Path
        The file; created with its header if it does not exist.
    """
    row = {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d"),
        "commit": commit(),
        "cpu": cpu(),
        "gpu": gpu,
        "threads": usual_threads() if threads is None else threads,
        "bench": bench,
        "case": case,
        "metric": metric,
        "value": f"{value:.6g}",
        "unit": unit,
        "precision": precision,
        "tolerance": tolerance,
        "peer": peer,
        "notes": notes,
    }
    text = StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    if not path.exists() or path.stat().st_size == 0:
        writer.writeheader()
    writer.writerow(row)
    with path.open("a", encoding="utf-8", newline="") as file:
        file.write(text.getvalue())  # in one call: several processes may append


def trim(rows: Sequence[dict[str, str]], quoted: Collection[tuple[str, ...]] = QUOTED) -> list:
    """Return the newest row of each series and the quoted ones, in their order.

    Parameters
    ----------
    rows : sequence of dict
        Rows of results.csv, oldest first.
    quoted : collection of tuple
        ``(bench, case, metric, value)`` of rows to keep though a newer one exists.
    """
    newest = {tuple(row[name] for name in SERIES): index for index, row in enumerate(rows)}
    keep = set(newest.values())
    return [
        row
        for index, row in enumerate(rows)
        if index in keep or tuple(row[n] for n in ("bench", "case", "metric", "value")) in quoted
    ]


def trim_file(path: Path = RESULTS) -> tuple[int, int]:
    """Rewrite a file without its superseded rows; return the rows before and after."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    kept = trim(rows)
    text = StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(kept)
    path.write_text(text.getvalue(), encoding="utf-8", newline="")
    return len(rows), len(kept)


@functools.lru_cache(maxsize=1)
def commit() -> str:
    """Return the short commit, with a + if tracked files differ; M3D_COMMIT overrides it."""
    if os.environ.get("M3D_COMMIT"):
        return os.environ["M3D_COMMIT"]

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", *words], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "--short", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


@functools.lru_cache(maxsize=1)
def cpu() -> str:
    """Return the name of the processor."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def usual_threads() -> int:
    """Return the number of threads that OpenMP would use."""
    requested = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if requested.isdigit() and int(requested) > 0:
        return int(requested)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def main() -> None:
    parser = argparse.ArgumentParser(description="Maintain results.csv.")
    parser.add_argument("--trim", action="store_true", required=True, help="drop superseded rows")
    parser.add_argument("--file", type=Path, default=RESULTS)
    before, after = trim_file(parser.parse_args().file)
    print(f"{before} rows, {after} kept")


if __name__ == "__main__":
    main()
