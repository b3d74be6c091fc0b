# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""results.csv: one row a measurement, appended, with what it was measured on.

from _results import record
record(bench="two_point", case="map 256^3 periodic", metric="seconds", value=1.2, unit="s")
"""

from __future__ import annotations

import csv
import datetime
import functools
import os
import platform
import subprocess
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
    "peer",  # whose number it is, with its version; empty: ours
    "notes",
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
        What was run, on what, and what was measured.
    value : float
    unit : str
        ``"s"``, ``"GB/s"``, ``"1"`` for a ratio.
    threads : int, optional
        CPU threads; default OMP_NUM_THREADS or all of the machine's.
    precision, tolerance, peer, notes : str
    gpu : str
        Card and driver; empty for what ran on the CPU.
    path : Path
        The file; made with its header if it is not there.
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
        file.write(text.getvalue())  # in one piece: several may append


@functools.lru_cache(maxsize=1)
def commit() -> str:
    """Short commit, with a + if tracked files differ from it; M3D_COMMIT where there is no git."""
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
    """Name of the processor."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def usual_threads() -> int:
    """What OpenMP would take."""
    wished = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if wished.isdigit() and int(wished) > 0:
        return int(wished)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
