# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""One task of a study: a volume or a real block, and what is measured of it."""

from __future__ import annotations

import functools
import json
import math
import os
import socket
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import Any, NamedTuple

from .._atomic import atomic_write
from .._files import first_line
from ..diffusion import reconstruct
from ..microstructure import Microstructure, plain_json
from ..statistics import compare
from . import _measure
from ._plan import GENERATED, REAL, Plan, Task

_one_at_a_time = threading.Lock()  # warnings and networks are those of the process


class Outcome(NamedTuple):
    """What a worker reports of a task."""

    task: Task
    error: str  # empty if the task is done
    seconds: float
    peak_bytes: int  # of the memory of the worker's process
    worker: str  # its machine and process


def run_task(folder: str, task: Task) -> Outcome:
    """Do one task of the study in a folder; a failure is reported, not raised."""
    started, error = time.perf_counter(), ""
    task = Task(*task)
    try:
        with _one_at_a_time:
            _do(_plan_in(folder), task)
    except Exception as failure:
        error = f"{type(failure).__name__}: {first_line(failure)}"
    return Outcome(task, error, time.perf_counter() - started, peak_bytes(), worker_name())


def worker_name() -> str:
    """Return the machine and the process."""
    return f"{socket.gethostname()}, process {os.getpid()}"


def peak_bytes() -> int:
    """Return the largest memory that this process has had."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def _plan_in(folder: str) -> Plan:
    file = Path(folder) / "plan.json"
    try:
        written = file.stat().st_mtime_ns
    except OSError:
        raise FileNotFoundError(
            f"the folder of the study must be seen by all workers, but {socket.gethostname()} "
            f"has no {file}"
        ) from None
    return _loaded(folder, written)


@functools.lru_cache(maxsize=1)
def _loaded(folder: str, _: int) -> Plan:
    return Plan.load(Path(folder))


def _do(plan: Plan, task: Task) -> None:
    """Do a task, unless it is done, and write its file."""
    file = plan.task_file(task)
    if file.exists():
        return
    clock = time.perf_counter()
    seconds: dict[str, float] = {}

    def lap(name: str) -> None:
        nonlocal clock
        now = time.perf_counter()
        seconds[name], clock = round(now - clock, 3), now

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        volume = _block(plan, task.number) if task.group == REAL else _made(plan, task)
        lap("volume")
        found = _measure.descriptors(volume, plan.phase_names)
        lines = _measure.curves(volume, len(plan.phase_names))
        verdict = None
        if task.group == GENERATED:
            verdict = compare(volume, plan.images, splits=2, bootstrap=2).verdict
        lap("descriptors")
        if task.group in (GENERATED, REAL):
            found |= _measure.properties(
                volume, plan.phase_names, plan.material_set, plan.diffusing, plan.tol, plan.device
            )
        lap("properties")
    record = {
        "seed": None if task.group == REAL else plan.seed + task.number,
        "quantities": {name: _record(quantity) for name, quantity in found.items()},
        "curves": lines,
        "verdict": None if verdict is None else verdict.outcome,
        "sentence": None if verdict is None else verdict.sentence,
        "warnings": list(dict.fromkeys(str(w.message) for w in caught)),
        "seconds": seconds,
        "worker": worker_name(),
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(file) as path:
        text = json.dumps(plain_json(record, name="task"), allow_nan=False)
        path.write_text(text + "\n", encoding="utf-8")


def _record(quantity: _measure.Quantity) -> dict[str, Any]:
    values = [value if math.isfinite(value) else None for value in quantity.values]
    return {**quantity._asdict(), "values": values}


def _block(plan: Plan, number: int) -> Microstructure:
    """Return a real block."""
    truth = plan.truth_volume
    assert truth is not None
    starts = plan.blocks[number]
    window = tuple(slice(s, s + n) for s, n in zip(starts, plan.volume_shape, strict=True))
    block: Microstructure = truth[window]
    return block


def _made(plan: Plan, task: Task) -> Microstructure:
    """Return the volume of a task, made unless its file exists."""
    file, group = plan.volume_file(task), plan.groups[task.group]
    if file.exists():
        return Microstructure.load(file)
    volume = reconstruct(
        plan.volume_shape,
        plan.model_of(group),
        seed=plan.seed + task.number,
        progress=False,
        **plan.options_of(group),
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    volume.save(file)
    return volume
