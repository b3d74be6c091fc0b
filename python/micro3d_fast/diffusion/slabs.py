# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""One volume over the processes of a group: which slices are whose, and what is exchanged.

Each rank holds a slab: contiguous slices of the plane that is denoised.  When the plane changes,
every rank sends every other the block of voxels that both their slabs share.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .. import _checks
from .process_group import ProcessGroup, current_group

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = ["Slabs"]

_PART = 2**26  # bytes of labels that are sent at once


class Slabs:
    """The share of this process in a volume; by default it is alone and has everything.

    Parameters
    ----------
    group : ProcessGroup
    device : torch.device, optional
        Where the tensors are that are exchanged; not needed in a process alone.
    """

    def __init__(self, group: ProcessGroup | None = None, device: torch.device | None = None):
        group = ProcessGroup() if group is None else group
        self.group, self.rank, self.ranks, self.device = group, group.rank, group.size, device
        self.bytes_sent = 0  # to other ranks, by `exchange`

    @classmethod
    def of_group(cls, device: torch.device) -> Slabs:
        """Return the share in torch's process group, if that is initialized."""
        import torch.distributed as dist

        group = current_group()
        if group.size > 1 and device.type == "cpu" and dist.get_backend() == "nccl":
            wanted = "be a CUDA device in a process group of NCCL"
            raise _checks.refuse("device", wanted, str(device))
        return cls(group, device)

    def slices(self, n: int, rank: int | None = None) -> range:
        """Return which of n slices belong to a rank, default this one."""
        k = self.rank if rank is None else rank
        return range(n * k // self.ranks, n * (k + 1) // self.ranks)

    def exchange(
        self, source: Tensor, target: Tensor, sent: Sequence[int], received: Sequence[int]
    ) -> None:
        """Send each rank its part of a flat buffer; ``target`` takes the parts of all ranks."""
        import torch.distributed as dist

        source, target = source[: sum(sent)], target[: sum(received)]
        dist.all_to_all_single(target, source, list(received), list(sent))
        self.bytes_sent += (sum(sent) - sent[self.rank]) * source.element_size()

    def add(self, sums: Tensor) -> None:
        """Replace a tensor by its sum over all ranks."""
        import torch.distributed as dist

        dist.all_reduce(sums)

    def send(self, part: Tensor) -> None:
        """Send a part to rank 0, which receives it."""
        import torch.distributed as dist

        dist.send(part, 0)

    def receive(self, part: Tensor, rank: int) -> None:
        """Wait on rank 0 for the part of another."""
        import torch.distributed as dist

        dist.recv(part, rank)

    def share(self, labels: np.ndarray) -> None:
        """Overwrite a contiguous array of uint8 by that of rank 0."""
        import torch
        import torch.distributed as dist

        for part in torch.from_numpy(labels.reshape(-1)).split(_PART):
            sent = part.to(self.device)
            dist.broadcast(sent, 0)
            part.copy_(sent)
