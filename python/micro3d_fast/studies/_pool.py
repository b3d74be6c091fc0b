# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Tasks of a study on this machine: a pool of processes that respects cores and memory.

How many threads a worker gets is measured: the passes of the network are timed with 1, 2, 4, ...
threads, and the number is taken whose workers together make most passes a second.  The first task
runs alone and shows what memory a worker needs; a further worker starts only while the machine has
that much left.  Each worker is an executor of its own, so that one that dies takes nobody along.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import numpy as np

from ..diffusion.settings import SamplerSettings
from ._plan import REAL, Plan, Task
from ._tasks import Outcome, run_task

ATTEMPTS = 3  # of a task whose worker died
_MARGIN = 1.2  # memory of a further worker over the largest seen
_UNGUARDED = (
    "workers of the study end as they start: a script that calls study must do so under "
    '`if __name__ == "__main__":`, or with workers=1'
)
_TICK = 0.2  # seconds between two looks at Ctrl-C


def imports_a_script() -> bool:
    """Return whether this process has just been started and still imports the calling script."""
    return bool(getattr(multiprocessing.current_process(), "_inheriting", False))


def usable_cores() -> int:
    """Return the number of CPUs that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def free_memory() -> int:
    """Return the bytes that this process may still use: of the machine, or of its container."""
    import torch

    from ..diffusion.device import free_memory_bytes

    free = free_memory_bytes(torch.device("cpu"))
    group = Path("/sys/fs/cgroup")
    with contextlib.suppress(OSError, ValueError):
        limit = int((group / "memory.max").read_text())  # "max" without a limit
        used = int((group / "memory.current").read_text())
        cached = dict(
            line.split() for line in (group / "memory.stat").read_text().splitlines()
        ).get("inactive_file", 0)
        free = min(free, max(0, limit - used + int(cached)))
    return free


def run_here(folder: Path, tasks: list[Task], _: Callable[[], None]) -> Iterator[Outcome]:
    """Do tasks in this process, one after the other."""
    for task in tasks:
        yield run_task(str(folder), task)


class LocalPool:
    """Workers on this machine.

    Parameters
    ----------
    plan : Plan
    workers : int or None
        Most workers; None: as many as the cores can feed.
    """

    def __init__(self, plan: Plan, workers: int | None) -> None:
        self.plan, self.cores = plan, usable_cores()
        self.limit, self.threads = workers or 0, 0
        self.rates: dict[int, float] = {}  # measured: passes a second of one worker, by threads
        self.most_workers = 0  # that worked at once
        self.peak = 0  # bytes of the largest worker
        self._free: list[_Worker] = []
        self._busy: dict[Future[Outcome], tuple[_Worker, Task]] = {}
        self._attempts: dict[Task, int] = {}
        self._broken = 0  # workers in a row that were dead before their task

    def run(self, tasks: list[Task], check: Callable[[], None]) -> Iterator[Outcome]:
        """Do tasks and yield their outcomes as they come; ``check`` is called between."""
        self._choose_threads(any(task.group != REAL for task in tasks))
        waiting = deque(tasks)
        try:
            while waiting or self._busy:
                while waiting and self._may_start():
                    self._start(waiting)
                self.most_workers = max(self.most_workers, len(self._busy))
                done, _ = wait(self._busy, _TICK, FIRST_COMPLETED)
                for future in done:
                    yield from self._finished(future, waiting)
                check()
        finally:
            for worker in [*self._free, *(worker for worker, _ in self._busy.values())]:
                worker.kill()
            self._free, self._busy = [], {}

    def _start(self, waiting: deque[Task]) -> None:
        """Give the next task to a worker; one that died before is dropped."""
        try:
            worker = self._free.pop() if self._free else _Worker(self.threads)
            future = worker.submit(self.plan.folder, waiting[0])
        except BrokenProcessPool:
            self._broken += 1
            if self._broken == ATTEMPTS:
                raise RuntimeError(_UNGUARDED) from None
            return
        self._broken = 0
        self._busy[future] = (worker, waiting.popleft())

    def _finished(self, future: Future[Outcome], waiting: deque[Task]) -> Iterator[Outcome]:
        """Yield the outcome of a task; one whose worker died waits again, at most twice."""
        worker, task = self._busy.pop(future)
        try:
            outcome = future.result()
        except BrokenProcessPool:
            worker.kill()
            tries = self._attempts[task] = self._attempts.get(task, 0) + 1
            if tries < ATTEMPTS:
                waiting.append(task)
                return
            outcome = Outcome(task, f"its worker died {tries} times", 0.0, 0, worker.name)
        else:
            self._free.append(worker)
        self.peak = max(self.peak, outcome.peak_bytes)
        yield outcome

    def _may_start(self) -> bool:
        """Return whether a task may start now: on a free worker, or on a new one."""
        if self._free or not self._busy:
            return True
        if len(self._busy) >= self.limit or not self.peak:
            return False  # the first task runs alone
        return free_memory() > _MARGIN * self.peak

    def _choose_threads(self, with_network: bool) -> None:
        """Measure how many threads a worker should have, unless the workers are given."""
        if self.limit:
            self.threads = max(1, self.cores // self.limit)
            return
        self.threads = 1
        on_cpu = self.plan.device is None or self.plan.device.startswith("cpu")
        if with_network and on_cpu and self.cores > 1 and not _has_gpu(self.plan):
            try:
                worker = _Worker(self.cores)
            except BrokenProcessPool:
                raise RuntimeError(_UNGUARDED) from None
            try:
                self.rates = worker.call(_pass_rates, str(self.plan.folder), self.cores)
            finally:
                worker.kill()
            self.threads = max(self.rates, key=lambda t: (self.cores // t) * self.rates[t])
        elif with_network and (not on_cpu or _has_gpu(self.plan)):
            self.threads, self.limit = self.cores, 1  # one process feeds the GPU
            return
        self.limit = max(1, self.cores // self.threads)


def _has_gpu(plan: Plan) -> bool:
    from .._device import find_device

    return find_device(plan.device).type != "cpu"


class _Worker:
    """A process of its own."""

    def __init__(self, threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._executor = ProcessPoolExecutor(1, context, _begin, (os.getpid(),))
        with _environment(OMP_NUM_THREADS=str(threads), MKL_NUM_THREADS=str(threads)):
            started = self._executor.submit(os.getpid)  # the process starts here
        self.pid: int | None = started.result()
        self.name = f"process {self.pid}"

    def submit(self, folder: Path, task: Task) -> Future[Outcome]:
        return self._executor.submit(run_task, str(folder), task)

    def call(self, function: Callable[..., dict[int, float]], *args: object) -> dict[int, float]:
        return self._executor.submit(function, *args).result()

    def kill(self) -> None:
        """End the process now; what it was writing stays under a temporary name."""
        if self.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            self.pid = None
        self._executor.shutdown(wait=True, cancel_futures=True)


@contextlib.contextmanager
def _environment(**variables: str) -> Iterator[None]:
    """Set environment variables that processes started meanwhile inherit."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _begin(parent: int) -> None:
    """Leave Ctrl-C to the parent, and end when it has gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _pass_rates(folder: str, cores: int) -> dict[int, float]:
    """Return passes of the network a second with 1, 2, 4, ... threads, measured."""
    import torch

    from ..diffusion import reconstruct

    plan = Plan.load(Path(folder))
    group = next(g for g in plan.groups.values() if g.model)
    options: dict[str, Any] = {
        "sampler": SamplerSettings(1, 0, 1.0),
        "volume_fractions": None,
        "device": plan.device,
        "progress": False,
    }
    model = plan.model_of(group)
    rates = {}
    for threads in sorted({*(2**k for k in range(cores.bit_length())), cores}):
        if threads <= cores:
            torch.set_num_threads(threads)
            seconds = [
                reconstruct(plan.volume_shape, model, **options).provenance["network_seconds"]
                for _ in range(3)
            ]
            rates[threads] = 1.0 / max(float(np.median(seconds)), 1e-4)
    return rates
