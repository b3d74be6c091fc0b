# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Runs a function in several processes of one process group."""

from __future__ import annotations

import datetime
import itertools
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest

SECONDS = 120  # after which a process that waits for another gives up
MOST = 3  # processes

#: Starts a command of micro3d in two processes.
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
TORCHRUN += ["--nproc-per-node", "2", "-m", "micro3d_fast"]

#: For tests of both backends; more than one GPU is needed for NCCL.
BACKENDS = ["gloo", pytest.param("nccl", marks=pytest.mark.cuda)]


def terminated(command: list[str], file: Path, ready: Callable[[], bool], *, within: float) -> str:
    """Start a command, send SIGTERM once it is ready, and return what it printed, into ``file``."""
    with file.open("w") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, env={**os.environ, "OMP_NUM_THREADS": "1"}
        )
        until = time.monotonic() + SECONDS
        while not ready():
            assert process.poll() is None, file.read_text()
            assert time.monotonic() < until
            time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(within) != 0
    return file.read_text()


class Ranks:
    """``ranks(n, work, *arguments)`` returns what ``work`` returns on each of n ranks.

    The fixture ``ranks`` is one of these.  The same processes serve all tests: each imports torch.
    """

    def __init__(self, folder: Path) -> None:
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(MOST, mp_context=context)
        self._stores = (folder / f"store-{n}" for n in itertools.count())

    def __call__(
        self, n: int, work: Callable[..., Any], *arguments: Any, backend: str = "gloo"
    ) -> list[Any]:
        if backend == "nccl":
            _require_gpus(n)
        store = next(self._stores)
        jobs = [
            self._pool.submit(_on_rank, rank, n, store, backend, work, arguments)
            for rank in range(n)
        ]
        return [job.result(SECONDS) for job in jobs]

    def close(self) -> None:
        self._pool.shutdown()


def _require_gpus(n: int) -> None:
    import torch

    if not torch.distributed.is_nccl_available():
        pytest.skip("this torch has no NCCL, as with emulated CUDA")
    if torch.cuda.device_count() < n:
        pytest.skip(f"this machine is too small: NCCL needs {n} GPUs")


def _on_rank(
    rank: int,
    size: int,
    store: Path,
    backend: str,
    work: Callable[..., Any],
    arguments: tuple[Any, ...],
) -> Any:
    import torch

    from micro3d_fast.diffusion.process_group import leave_group

    torch.set_num_threads(1)
    os.environ["LOCAL_RANK"] = str(rank)
    if backend == "nccl":
        torch.cuda.set_device(rank)
    torch.distributed.init_process_group(
        backend,
        init_method=store.as_uri(),
        rank=rank,
        world_size=size,
        timeout=datetime.timedelta(seconds=SECONDS),
    )
    try:
        return work(*arguments)
    finally:
        leave_group()
