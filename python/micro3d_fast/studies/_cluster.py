# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Tasks of a study on a Dask cluster (extra ``cluster``)."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from .._checks import refuse_type
from ._plan import Task
from ._tasks import Outcome, run_task

_TICK = 0.5  # seconds between two looks at Ctrl-C


@contextlib.contextmanager
def client_of(scheduler: Any) -> Iterator[Any]:
    """Yield a client: the given one, or one of the scheduler at an address, closed at the end."""
    try:
        from dask.distributed import Client
    except ImportError as error:
        raise ImportError(
            "`scheduler` needs dask.distributed: pip install 'micro3d-fast[cluster]'"
        ) from error
    if isinstance(scheduler, Client):
        yield scheduler
        return
    if not isinstance(scheduler, str):
        wanted = "be an address such as 'tcp://host:8786', or a dask.distributed.Client"
        raise refuse_type("scheduler", wanted, type(scheduler).__name__)
    try:
        client = Client(scheduler, timeout="30s")
    except (OSError, TimeoutError) as error:
        raise ConnectionError(f"no Dask scheduler answers at {scheduler}: {error}") from error
    with client:
        yield client


def run_on_cluster(
    client: Any, folder: Path, tasks: list[Task], check: Callable[[], None]
) -> Iterator[Outcome]:
    """Do tasks on the workers of a cluster and yield their outcomes as they come.

    A task carries the path of the folder alone: the model, the truth and the volumes are files of
    it.  Dask does the tasks of a worker that died again, on others, and gives up those that end
    several workers.
    """
    from dask.distributed import wait

    where = str(folder.resolve())
    futures = {client.submit(run_task, where, task, pure=False): task for task in tasks}
    try:
        while futures:
            with contextlib.suppress(TimeoutError):
                wait(list(futures), timeout=_TICK, return_when="FIRST_COMPLETED")
            for future in [f for f in futures if f.done()]:
                task = futures.pop(future)
                if (error := future.exception()) is None:
                    yield Outcome(*future.result())
                else:
                    yield Outcome(task, f"{type(error).__name__}: {error}", 0.0, 0, "")
            check()
    finally:
        client.cancel(list(futures))
