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
from typing import TYPE_CHECKING, Any

import numpy as np

from .process_group import ProcessGroup, current_group, share_of

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = ["Slab", "Slabs", "Whole"]

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


class Whole:
    """The voxels of a volume on the host, all of them in this process."""

    #: Where they lie in the volume.
    index: Any = ...

    def total(self, values: Any) -> Any:
        """Return the sum of an array, or of a number, over all ranks."""
        return values

    def places(self, at: np.ndarray) -> np.ndarray:
        """Return the places in the volume, flattened, of voxels by their places here."""
        return at

    def sampled(self, values: np.ndarray, at: np.ndarray) -> np.ndarray:
        """Return the values (..., voxels here) at places in the volume, on all ranks."""
        out: np.ndarray = values[..., at]
        return out

    def widened(
        self, part: np.ndarray, reach: Sequence[int], periodic: Sequence[bool]
    ) -> tuple[np.ndarray, Any]:
        """Return an array (..., z, y, x) with the slices that others have within ``reach`` of it.

        And its own voxels, as an index.
        """
        return part, (...,)

    def with_next(self, part: np.ndarray, axis: int) -> np.ndarray:
        """Return an array (z, y, x), with the slice behind it along an axis if others have it."""
        return part

    def whole(self, part: np.ndarray) -> np.ndarray:
        """Return the labels of the volume, on all ranks."""
        return part

    def chunked(self, part: np.ndarray, most: int) -> tuple[Sequence[int], Any, np.ndarray]:
        """Return extents of chunks, and voxels that fill those of this rank, with their index.

        No chunk belongs to two ranks, and none is longer than ``most``.
        """
        return (most,) * 3, self.index, part


class Slab(Whole):
    """The slices of a volume, along one axis, that this rank holds on the host.

    Parameters
    ----------
    slabs : Slabs
    shape : (nz, ny, nx)
        Of the volume.
    axis : int
    owned : sequence of range
        The slices of each rank.
    """

    def __init__(
        self, slabs: Slabs, shape: tuple[int, int, int], axis: int, owned: Sequence[range]
    ) -> None:
        self.slabs, self.shape, self.owned, self.own = slabs, shape, owned, owned[slabs.rank]
        self.axis, self.n, self._inner = axis, shape[axis], math.prod(shape[axis + 1 :])
        self.index = self._index(self.own)

    def _index(self, slices: range) -> tuple[slice, ...]:
        return (*(slice(None) for _ in range(self.axis)), slice(slices.start, slices.stop))

    def total(self, values: Any) -> Any:
        import torch

        sums = torch.from_numpy(np.array(values)).to(self.slabs.device)
        self.slabs.add(sums)
        return sums.cpu().numpy()

    def places(self, at: np.ndarray) -> np.ndarray:
        rows, inner = np.divmod(at, self._inner)
        outer, slices = np.divmod(rows, max(len(self.own), 1))
        out: np.ndarray = (outer * self.n + self.own.start + slices) * self._inner + inner
        return out

    def sampled(self, values: np.ndarray, at: np.ndarray) -> np.ndarray:
        rows, inner = np.divmod(at, self._inner)
        outer, slices = np.divmod(rows, self.n)
        here = (slices >= self.own.start) & (slices < self.own.stop)
        found = (outer * len(self.own) + slices - self.own.start) * self._inner + inner
        out = np.zeros((*values.shape[:-1], len(at)), values.dtype)
        out[..., here] = values[..., found[here]]
        sums: np.ndarray = self.total(out)
        return sums

    def widened(
        self, part: np.ndarray, reach: Sequence[int], periodic: Sequence[bool]
    ) -> tuple[np.ndarray, Any]:
        wraps, far = periodic[self.axis], reach[self.axis]

        def needed(of: range) -> list[int]:
            wide = range(of.start - far, of.stop + far) if of else range(0)
            return [k % self.n if wraps else k for k in wide if wraps or 0 <= k < self.n]

        start = far if wraps else min(self.own.start, far)
        own = (..., slice(start, start + len(self.own)), *[slice(None)] * (2 - self.axis))
        return self.moved(part, [needed(each) for each in self.owned]), own

    def with_next(self, part: np.ndarray, axis: int) -> np.ndarray:
        if axis != self.axis:
            return part
        return self.moved(
            part, [range(o.start, min(o.stop + len(o[:1]), self.n)) for o in self.owned]
        )

    def moved(self, part: np.ndarray, wanted: Sequence[Sequence[int]]) -> np.ndarray:
        """Return the slices that this rank wants, of an array (..., z, y, x) of its own.

        ``wanted`` holds those of each rank.
        """
        import torch

        slices = np.moveaxis(part, self.axis - 3, 0)
        mine = wanted[self.slabs.rank]
        sent = [[k - self.own.start for k in each if k in self.own] for each in wanted]
        places = [[at for at, k in enumerate(mine) if k in each] for each in self.owned]
        source = torch.from_numpy(slices[_joined(sent)]).to(self.slabs.device)
        target = source.new_empty((len(mine), *slices.shape[1:]))
        size = math.prod(slices.shape[1:])
        to, come = ([len(each) * size for each in lists] for lists in (sent, places))
        self.slabs.exchange(source.view(-1), target.view(-1), to, come)
        out = np.empty(target.shape, part.dtype)
        out[_joined(places)] = target.cpu().numpy()
        return np.moveaxis(out, 0, self.axis - 3)

    def whole(self, part: np.ndarray) -> np.ndarray:
        import torch
        import torch.distributed as dist

        out = np.empty(self.shape, part.dtype)
        for rank, slices in enumerate(self.owned):
            place = out[self._index(slices)]
            if rank == self.slabs.rank:
                place[:] = part
            labels = np.ascontiguousarray(place)
            for piece in torch.from_numpy(labels.reshape(-1)).split(_PART):
                sent = piece.to(self.slabs.device)
                dist.broadcast(sent, rank)
                piece.copy_(sent)
            place[:] = labels
        return out

    def chunked(self, part: np.ndarray, most: int) -> tuple[Sequence[int], Any, np.ndarray]:
        ranks, chunks = self.slabs.ranks, [most] * 3
        size = chunks[self.axis] = max(1, min(most, self.n // ranks))
        shares = [share_of(-(-self.n // size), rank, ranks) for rank in range(ranks)]
        slices = [range(each.start * size, min(each.stop * size, self.n)) for each in shares]
        return chunks, self._index(slices[self.slabs.rank]), self.moved(part, slices)


def _joined(lists: Sequence[Sequence[int]]) -> list[int]:
    return list(itertools.chain(*lists))
