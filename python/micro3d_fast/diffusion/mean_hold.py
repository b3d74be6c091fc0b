# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Hold the mean of the predicted x0 at that of the requested phase fractions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import ops
from .._planes import SLICE_AXES

if TYPE_CHECKING:
    from .field import Field

__all__ = ["LIMIT", "MeanHold"]

LIMIT = 0.999  # of the predicted x0, whose odds are tilted; that of the operator

_BLOCKS = 64  # of CUDA that sum a slice
_PART_VOXELS = 2**21  # at least as many are used to find w in large volumes


class MeanHold:
    """Tilts the network's output so that the mean of the predicted x0 is the requested one.

    At high noise the mean of the whole volume is free, and repeated denoising would drive it to
    the majority phase.  The mean is taken over the requested shape, which may be smaller than the
    sampled shape.

    Data are -1 or +1, so (1 + x0) / 2 is the network's probability of a phase.  Another prior
    multiplies its odds by the same number in every voxel, exp(2 w): voxels with a certain
    prediction stay.  Each channel is tilted independently; normalizing the probabilities of three
    phases to a sum of 1 again was no better (measured on a cathode: its thin phase further from the
    truth before matching).
    """

    def __init__(self, field: Field) -> None:
        import torch

        self.field = field
        # One w per volume and channel, kept from pass to pass as the start of Newton's method.
        self.tilts = torch.zeros(len(field.seeds), field.channels, device=field.device)
        needed = self.tilts.numel() * ops.MEAN_HOLD_PARTIALS if self.tilts.is_cuda else 0
        self._partials = self.tilts.new_empty(needed, dtype=torch.float64)

    def apply(self, p: float, q: float) -> None:
        """Change the network's outputs in place, with x0 = p x + q net."""
        field = self.field
        slices, h, w = (field.wanted[axis] for axis in SLICE_AXES[field.plane])
        every = -(-slices * h * w // _PART_VOXELS)
        if field.slabs.ranks > 1:
            self._find(p, q, (slices, h, w), every)
            slices, h, w = 1, 1, 1
        groups = (each.tensor_split(len(field.mean)) for each in (self.tilts, *field.volumes()))
        for mean, tilt, x, *outputs in zip(field.mean, *groups, strict=True):
            ops.hold_mean(
                x,
                *outputs,
                guidance=field.guidance,
                mean=mean,
                tilt=tilt,
                p=p,
                q=q,
                part=(slices, h, w),
                every=every,
                given=field.slabs.ranks > 1,
                partials=self._partials,
            )

    def _find(self, p: float, q: float, part: tuple[int, int, int], every: int) -> None:
        """Find w of the whole volume, of which each rank sums its own slices.

        The sums of each slice are exchanged, not those of each rank, so that w does not depend on
        the number of ranks.  Each step of Newton's method exchanges some kilobytes; all steps could
        share one exchange, of the voxels that are summed, but these are 8 MB per channel.
        """
        import torch

        field, (slices, h, w) = self.field, part
        own = field.own_slices(field.plane)
        first = -(-own.start // every)  # of the slices that count
        seen = range(first * every - own.start, min(own.stop, slices) - own.start)
        counted = range(seen.start, seen.stop, every)
        shape = (*self.tilts.shape, len(counted), _BLOCKS if self.tilts.is_cuda else 1, 2)
        mine = self.tilts.new_empty(shape, dtype=torch.float64)
        of_all = -(-slices // every)  # slices that count
        total = of_all * h * w
        for _ in range(ops.MEAN_HOLD_STEPS):
            sums = mine.new_zeros(*self.tilts.shape, of_all, 2)
            if counted:
                ops.mean_hold_sums(
                    *(each[:, seen.start : seen.stop] for each in field.volumes()),
                    tilt=self.tilts,
                    out=mine,
                    p=p,
                    q=q,
                    guidance=field.guidance,
                    part=(len(seen), h, w),
                    every=every,
                )
                sums[:, :, first : first + len(counted)] = mine.sum(3)
            field.slabs.add(sums)
            y, y2 = sums.sum(2).unbind(-1)
            slope = (1 - y2 / total).clamp(min=1e-3)
            self.tilts += ((field.mean - y / total) / slope).clamp(-0.5, 0.5).float()
        self.tilts.mul_(ops.MEAN_HOLD_GRID).round_().div_(ops.MEAN_HOLD_GRID)
