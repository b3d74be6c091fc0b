# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Threads: how many, and work cut into pieces for them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from .. import _checks, ops


def thread_count(threads: Any) -> int:
    """Return the threads to use; 0 is ``OMP_NUM_THREADS``, or every CPU this process may run on."""
    number = _checks.integer(threads, name="threads", minimum=0, maximum=ops.MAX_THREADS)
    if number:
        return number
    wished = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if wished.isdigit() and int(wished) > 0:
        return min(int(wished), ops.MAX_THREADS)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def pieces(n: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield (start, stop) of pieces of at most ``size`` that cover [0, n)."""
    size = max(1, size)
    for start in range(0, n, size):
        yield start, min(n, start + size)


def run_jobs(
    job: Callable[[int, int], None], jobs: Iterable[tuple[int, int]], threads: int
) -> None:
    """Call ``job(start, stop)`` for every piece, on ``threads`` threads."""
    if threads == 1:
        for start, stop in jobs:
            job(start, stop)
        return
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(job, start, stop) for start, stop in jobs]:
            done.result()
