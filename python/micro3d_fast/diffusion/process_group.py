# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The processes that share one training or one volume: torch's default process group."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from .. import _checks
from .._device import find_device
from .._torchrun import torchrun_processes

if TYPE_CHECKING:
    import torch

__all__ = [
    "OtherProcessError",
    "ProcessGroup",
    "current_group",
    "leave_group",
    "share_of",
    "shared",
    "torchrun_group",
]

T = TypeVar("T")

_left: list[Any] = []  # the group that was left last
_PATIENCE = 60.0  # seconds after which a network file system shows what another host has written


class OtherProcessError(RuntimeError):
    """Another process of the group has raised an error."""


@dataclass(frozen=True)
class ProcessGroup:
    """This process among others; by default it is alone, and nothing is communicated.

    All processes of a group must call its methods in the same order.
    """

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the process that prints and writes."""
        return self.rank == 0

    def device(self, device: Any) -> torch.device:
        """Check the device of this process; among others "cuda" is the GPU of its local rank."""
        if self.size == 1:
            return find_device(device)
        found = _local_device(device)
        if found.type == "cpu" and _wire() != "cpu":
            wanted = "be a CUDA device in a process group of NCCL"
            raise _checks.refuse("device", wanted, str(found))
        return found

    def broadcast(self, value: Any) -> Any:
        """Return the value of rank 0, which JSON can hold (tuples become lists)."""
        if self.size == 1:
            return value
        import torch

        data = bytearray(json.dumps(value).encode()) if self.first else bytearray()
        length = torch.tensor([len(data)], device=_wire())
        torch.distributed.broadcast(length, 0)
        text = torch.frombuffer(data or bytearray(int(length)), dtype=torch.uint8).to(_wire())
        torch.distributed.broadcast(text, 0)
        return value if self.first else json.loads(text.cpu().numpy().tobytes())

    def largest(self, value: float) -> float:
        """Return the largest of the values of all processes."""
        if self.size == 1:
            return value
        import torch

        found = torch.tensor([value], dtype=torch.float64, device=_wire())
        torch.distributed.all_reduce(found, torch.distributed.ReduceOp.MAX)
        return found.item()

    def require_same(self, digests: Mapping[str, str]) -> None:
        """Refuse, on all processes, the first argument whose digest differs from rank 0's."""
        others, names = self.broadcast(dict(digests)), list(digests)
        wrong = [k for k, name in enumerate(names) if others[name] != digests[name]]
        found = int(self.largest(len(names) - wrong[0] if wrong else 0))
        if found:
            wanted = "be the same on all ranks of the process group"
            raise _checks.refuse(names[len(names) - found], wanted, "different values")

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Wait for all processes at the end of the with block; raise if any of them failed in it.

        The block must not communicate.
        """
        try:
            yield
        except BaseException:
            self.largest(1.0)
            raise
        if self.largest(0.0):
            raise OtherProcessError("another process of the group failed; see its error")


def current_group() -> ProcessGroup:
    """Return this process in torch's default group, if that is initialized; else alone."""
    import torch

    distributed = torch.distributed
    if not distributed.is_available() or not distributed.is_initialized():
        return ProcessGroup()
    return ProcessGroup(distributed.get_rank(), distributed.get_world_size())


def share_of(n: int, k: int, count: int) -> range:
    """Return the k-th of ``count`` nearly equal parts of n things."""
    return range(n * k // count, n * (k + 1) // count)


def shared(look: Callable[[], T | None], out: Path) -> T:
    """Return what another process has written in ``out``, once this one sees it.

    ``look`` returns None as long as it does not.
    """
    until = time.monotonic() + _PATIENCE
    while (found := look()) is None:
        if time.monotonic() > until:
            raise _checks.refuse("out", "be in a directory that all processes share", str(out))
        time.sleep(0.1)
    return found


def _local_device(device: Any) -> torch.device:
    """Check the device of this process; None and "cuda" are the GPU of its local rank.

    The local rank is that of torchrun (``LOCAL_RANK``).  A process that sees one GPU takes it.
    """
    import torch

    found = find_device(device)
    if found.type != "cuda" or found.index is not None:
        return found
    local = os.environ.get("LOCAL_RANK")
    if local is None or torch.cuda.device_count() == 1:
        return torch.device("cuda", torch.cuda.current_device())
    return find_device(f"cuda:{int(local)}")


@contextlib.contextmanager
def torchrun_group(device: str | None) -> Iterator[str | None]:
    """Join the processes that torchrun started, inside the with block; yield the device to use.

    NCCL connects GPUs, gloo CPUs.  Without torchrun, or in a group already, nothing is done.
    """
    if torchrun_processes() == 1:
        yield device
        return
    import torch

    if current_group().size > 1:
        yield device
        return
    found = _local_device(device)
    if found.type == "cuda":
        torch.cuda.set_device(found)
    torch.distributed.init_process_group("nccl" if found.type == "cuda" else "gloo")
    try:
        yield str(found)
    finally:
        leave_group()


def leave_group() -> None:
    """Leave torch's default group, but keep it until the next is left or Python ends.

    Torch before 2.8 frees a group of gloo while it holds the interpreter's lock and waits for the
    group's threads, one of which may be waiting for that lock to free what it sent: a deadlock.
    """
    import torch

    _left[:] = [torch.distributed.group.WORLD]
    torch.distributed.destroy_process_group()


def _wire() -> str:
    """Return the device whose tensors the group sends: NCCL sends those of GPUs alone."""
    import torch

    return str(_local_device(None)) if torch.distributed.get_backend() == "nccl" else "cpu"
