# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Couple neighbouring voxels, so that volumes have the surface of the micrographs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .._planes import SLICE_AXES
from .mean_hold import LIMIT

if TYPE_CHECKING:
    from torch import Tensor

    from .field import Field

__all__ = ["Coupling"]

_AT_ONCE = 2**22  # values, which bounds the memory of a pass


class Coupling:
    r"""Tilts the network's output by the number of unlike neighbours along each axis.

    Of all laws whose mean number of unlike neighbours U along the axes a is a given one, the
    nearest to the network's is its own times :math:`\exp(-\sum_a 2 J_a U_a)` (Jaynes 1957; the
    Ising model's coupling).  With the prediction x0 of -1 or +1 in place of the neighbours, the
    odds of a voxel are multiplied by exp(2 w), w = sum of J_a times the second difference of x0
    along a; flat and certain predictions stay.  A pass couples the two axes of its slices.
    Positive J makes volumes smoother along an axis: on the bundled models the number of unlike
    neighbours falls by a factor of about exp(-0.9 J), and by less than .01 J along the others.
    With three phases or more each channel has its own J.

    Parameters
    ----------
    field : Field
    strength : sequence of (J_z, J_y, J_x)
        Of every phase, or of all.
    """

    def __init__(self, field: Field, strength: Sequence[Sequence[float]]) -> None:
        import torch

        self.field = field
        table = np.broadcast_to(np.array(strength, dtype=np.float32), (field.channels, 3))
        self._coupled = [bool(table[:, axis].any()) for axis in range(3)]
        #: J along each axis, shape (3, C, 1, 1)
        self.strength = torch.from_numpy(table.T[..., None, None].copy()).to(field.device)

    def apply(self, p: float, q: float) -> None:
        """Change the network's outputs in place, with x0 = p x + q net."""
        import torch

        field = self.field
        axes = SLICE_AXES[field.plane][1:]
        if not any(self._coupled[axis] for axis in axes):
            return
        x, *outputs = (each.flatten(0, 1) for each in field.volumes())
        step = max(1, _AT_ONCE // x[0].numel())
        with torch.inference_mode():
            for part, net, *uncond in zip(*(b.split(step) for b in (x, *outputs)), strict=True):
                output = net.float()
                if uncond:
                    output = torch.lerp(uncond[0].float(), output, field.guidance)
                x0 = (p * part + q * output).clamp(-LIMIT, LIMIT)
                w = torch.zeros_like(x0)
                for dim, axis in enumerate(axes, start=2):
                    bend = second_difference(x0, dim, field.periodic[axis])
                    w.addcmul_(bend, self.strength[axis])
                t = torch.tanh(w)
                change = t * (1 - x0 * x0) / (1 + x0 * t) / q
                for out in (net, *uncond):
                    out += change


def second_difference(x: Tensor, dim: int, periodic: bool) -> Tensor:
    """Return x[i - 1] - 2 x[i] + x[i + 1]; at an end that is not periodic x goes on as it is."""
    n = x.shape[dim]
    before, after = x.roll(1, dim), x.roll(-1, dim)
    if not periodic:
        before.select(dim, 0).copy_(x.select(dim, 0))
        after.select(dim, n - 1).copy_(x.select(dim, n - 1))
    return before.add_(after).sub_(x, alpha=2)
