# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""One volume over the processes of a group: which slices are whose, and what is exchanged.

Each rank holds a slab: contiguous slices of the plane that is denoised.  When the plane changes,
every rank sends every other the block of voxels that both their slabs share.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .process_group import ProcessGroup, current_group, share_of

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
        return cls(current_group(), device)

    def slices(self, n: int, rank: int | None = None) -> range:
        """Return which of n slices belong to a rank, default this one."""
        return share_of(n, self.rank if rank is None else rank, self.ranks)

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

    def widened(
        self, part: np.ndarray, owned: Sequence[range], axis: int, reach: int, wraps: bool
    ) -> tuple[np.ndarray, slice]:
        """Return this rank's slices with ``reach`` more on both sides, and where its own are.

        Parameters
        ----------
        part : array
        owned : sequence of range
            The slices of each rank, along the axis.
        axis : int
        reach : int
        wraps : bool
            Whether the first slice is beside the last; if not, there are no slices beyond them.
        """
        import torch

        n, own = owned[-1].stop, owned[self.rank]
        slices = np.moveaxis(part, axis, 0)

        def needed(of: range) -> list[int]:
            wide = range(of.start - reach, of.stop + reach) if of else range(0)
            return [k % n for k in wide] if wraps else [k for k in wide if 0 <= k < n]

        sent = [[k - own.start for k in needed(each) if k in own] for each in owned]
        wanted = needed(own)
        places = [[at for at, k in enumerate(wanted) if k in each] for each in owned]
        source = torch.from_numpy(slices[_joined(sent)]).to(self.device)
        target = source.new_empty((len(wanted), *slices.shape[1:]))
        size = math.prod(slices.shape[1:])
        to, come = ([len(each) * size for each in lists] for lists in (sent, places))
        self.exchange(source.view(-1), target.view(-1), to, come)
        wide = np.empty(target.shape, part.dtype)
        wide[_joined(places)] = target.cpu().numpy()
        start = reach if wraps else min(own.start, reach)
        return np.moveaxis(wide, 0, axis), slice(start, start + len(own))

    def collect(self, part: np.ndarray, owned: Sequence[range], axis: int) -> np.ndarray | None:
        """Return the slices of all ranks along an axis on rank 0, None on the others."""
        import torch
        import torch.distributed as dist

        if self.rank > 0:
            if part.size:
                dist.send(torch.from_numpy(np.ascontiguousarray(part)).to(self.device), 0)
            return None
        whole = np.empty((*part.shape[:axis], owned[-1].stop, *part.shape[axis + 1 :]), part.dtype)
        for rank, slices in enumerate(owned):
            place = whole[(slice(None),) * axis + (slice(slices.start, slices.stop),)]
            if rank == 0:
                place[:] = part
            elif place.size:
                received = torch.from_numpy(np.empty(place.shape, part.dtype)).to(self.device)
                dist.recv(received, rank)
                place[:] = received.cpu().numpy()
        return whole

    def share(self, labels: np.ndarray) -> None:
        """Overwrite a contiguous array of uint8 by that of rank 0."""
        import torch
        import torch.distributed as dist

        for part in torch.from_numpy(labels.reshape(-1)).split(_PART):
            sent = part.to(self.device)
            dist.broadcast(sent, 0)
            part.copy_(sent)


def _joined(lists: Sequence[Sequence[int]]) -> list[int]:
    return list(itertools.chain(*lists))
