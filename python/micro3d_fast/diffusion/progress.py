# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Progress of several reconstructions as one job."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

__all__ = ["as_one_job"]


def as_one_job(
    callback: Callable[[dict[str, Any]], None] | None,
    *,
    volumes: int = 1,
    passes: int | None = None,
) -> Callable[..., None] | None:
    """Wrap ``callback`` so that several volumes report progress as one job.

    Parameters
    ----------
    callback : callable or None
        Takes the events of `reconstruct`.
    volumes : int
        Volumes of the job, with as many passes each.
    passes : int, optional
        Passes of all volumes together, for volumes with different passes.

    Returns
    -------
    callable or None
        Takes an event of one volume, or of volumes sampled together, and keywords to add to it.
    """
    if callback is None:
        return None
    started, done = time.perf_counter(), 0

    def report(event: dict[str, Any], **more: Any) -> None:
        nonlocal done
        done += len(event["seeds"])
        total = volumes * event["passes"] if passes is None else passes
        seconds = time.perf_counter() - started
        eta = seconds / done * (total - done)
        job = {"pass_index": done, "passes": total, "seconds": seconds, "eta": eta}
        callback({**event, **job, **more})

    return report
