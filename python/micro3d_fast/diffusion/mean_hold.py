# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Hold the mean of the predicted x0 at that of the requested phase fractions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .._planes import SLICE_AXES

if TYPE_CHECKING:
    from torch import Tensor

    from .field import Field

__all__ = ["MeanHold", "tilted"]

_CHUNK_VOXELS = 2**21  # tilted at once: bounds the memory of the few copies


def tilted(x0: Tensor, w: Tensor) -> Tensor:
    """Return the predicted x0 (S, C, H, W) under other prior odds of the phases.

    Data are -1 or +1, so (1 + x0) / 2 is the network's probability of a phase.  Another prior
    multiplies its odds by the same number in every voxel, exp(2 w): voxels with a certain
    prediction stay.  Each channel is tilted independently; normalizing the probabilities of three
    phases to a sum of 1 again was no better (measured on a cathode: its thin phase further from the
    truth before matching).
    """
    import torch

    tanh = torch.tanh(w)[:, None, None]
    return (x0 + tanh) / (1 + x0 * tanh)


class MeanHold:
    """Tilts the network's output so that the mean of the predicted x0 is the requested one.

    At high noise the mean of the whole volume is free, and repeated denoising would drive it to
    the majority phase.  The mean is taken over the requested shape, which may be smaller than the
    sampled shape.
    """

    def __init__(self, field: Field) -> None:
        import torch

        self.field = field
        # One w per volume and channel, kept from pass to pass as the start of Newton's method.
        self.tilts = torch.zeros(len(field.seeds), field.channels, device=field.device)

    def apply(self, p: float, q: float) -> None:
        """Change the network's outputs in place, with x0 = p x + q net."""
        field = self.field
        size = tuple(field.wanted[axis] for axis in SLICE_AXES[field.plane])
        inside = (slice(None), slice(size[1]), slice(size[2]))
        for i in range(len(field.seeds)):
            x, outputs = field.net_slices(i)
            every = -(-math.prod(size) // _CHUNK_VOXELS)  # w is found on a part of large volumes
            part = (slice(0, size[0], every), *inside)
            chunk = max(1, _CHUNK_VOXELS // (x.shape[2] * x.shape[3]))
            whole = self.predicted_x0(x, outputs, p, q) if chunk >= len(x) else None
            if whole is None:
                w = self._tilt(i, self.predicted_x0(x[part], [out[part] for out in outputs], p, q))
            else:
                w = self._tilt(i, whole[part].contiguous())
            for k in range(0, len(x), chunk):
                some = [out[k : k + chunk] for out in outputs]
                x0 = self.predicted_x0(x[k : k + chunk], some, p, q) if whole is None else whole
                change = ((tilted(x0, w) - x0) / q).to(some[0].dtype)
                for out in some:  # their guidance weights sum to 1
                    out.add_(change)

    def predicted_x0(self, x: Tensor, outputs: list[Tensor], p: float, q: float) -> Tensor:
        """Return the predicted x0, clipped just inside [-1, 1]."""
        net = outputs[0].float()
        if len(outputs) == 2:
            guidance = self.field.guidance
            net = guidance * net + (1 - guidance) * outputs[1].float()
        return (p * x + q * net).clamp_(-0.999, 0.999)

    def _tilt(self, i: int, x0: Tensor) -> Tensor:
        """Return w of each channel of volume i, by Newton's method from that of the last pass."""
        w = self.tilts[i]
        for _ in range(4):
            now = tilted(x0, w)
            slope = 1 - now.square().mean((0, 2, 3))
            miss = self.field.mean - now.mean((0, 2, 3))
            w = w + (miss / slope.clamp_min(1e-3)).clamp(-0.5, 0.5)
        # On a grid, so that the order of a sum, and with it the number of threads, hardly matters.
        self.tilts[i] = (w * 4096).round() / 4096
        return self.tilts[i]
