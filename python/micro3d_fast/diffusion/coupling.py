# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Couple neighbouring voxels and the passes in different planes."""

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

_CERTAIN = 1.0  # half log odds beyond which an earlier pass adds nothing
_AT_ONCE = 2**22  # values, which bounds the memory of a pass


class Coupling:
    r"""Tilts the network's output by the unlike neighbours along each axis and by earlier passes.

    Data are -1 or +1, so (1 + x0) / 2 is a probability, and its odds are multiplied by exp(2 w).

    **Neighbours.**  Of all laws whose mean number of unlike neighbours U along the axes a is a
    given one, the nearest to the network's is its own times :math:`\exp(-\sum_a 2 J_a U_a)` (Jaynes
    1957; the Ising model's coupling).  With the prediction x0 in place of the neighbours, w is the
    sum of J_a times the second difference of x0 along a; flat and certain predictions stay.  A pass
    couples the two axes of its slices.  Positive J makes volumes smoother along an axis: on the
    bundled models the number of unlike neighbours falls by a factor of about exp(-0.9 J), and by
    less than .01 J along the others.  With three phases or more each channel has its own J.

    **Earlier passes.**  Each saw the volume in slices of its own plane.  What it found beyond the
    noisy voxel itself is e = [atanh(x0)] - [atanh(m) + :math:`\sqrt{\bar\alpha}\, x / (1 -
    \bar\alpha)`], half the log odds that its slices add to the prior mean m and the likelihood of
    Eq. 3.  Experts that see different things multiply their odds (Hinton 2002), so the last pass
    enters w as r e, the one before as r :sup:`2` e and so on, with r = ``agreement``.  Brackets
    limit to -1 ... 1: a network cannot tell one near certainty from another, and without the limit
    its doubt would count against what the voxel itself shows (measured: speckle, from r = .3 on).

    Parameters
    ----------
    field : Field
    strength : sequence of (J_z, J_y, J_x)
        Of every phase, or of all.
    agreement : float
        From 0, where earlier passes do not count, to below 1.
    """

    def __init__(
        self, field: Field, strength: Sequence[Sequence[float]], agreement: float = 0.0
    ) -> None:
        import torch

        self.field, self.agreement = field, agreement
        table = np.broadcast_to(np.array(strength, dtype=np.float32), (field.channels, 3))
        self._coupled = [bool(table[:, axis].any()) for axis in range(3)]
        #: J along each axis, shape (3, C, 1, 1)
        self.strength = torch.from_numpy(table.T[..., None, None].copy()).to(field.device)
        #: w of earlier passes, in slices of the plane of the last one
        self._earlier, self._plane = field.zeros() if agreement else None, field.plane

    def apply(self, p: float, q: float, bar: float) -> None:
        """Change the network's outputs in place, with x0 = p x + q net, at \\bar\\alpha_t = bar."""
        import torch

        field = self.field
        axes = SLICE_AXES[field.plane][1:]
        coupled = [(dim, axis) for dim, axis in enumerate(axes, start=2) if self._coupled[axis]]
        if self._earlier is not None:
            self._earlier = field.turned(self._earlier, self._plane)
            self._plane = field.plane
        elif not coupled:
            return
        buffers = [each.flatten(0, 1) for each in field.volumes()]
        if self._earlier is not None:
            prior = torch.atanh(field.mean.clamp(-LIMIT, LIMIT)).expand(len(field.seeds), -1)
            slices = len(field.own_slices(field.plane))
            buffers += [
                field.batch(self._earlier, field.plane),
                prior.repeat_interleave(slices, 0)[..., None, None],
            ]
        step = max(1, _AT_ONCE // buffers[0][0].numel())
        n_outputs = len(field.net_outputs)
        with torch.inference_mode():
            for x, *others in zip(*(each.split(step) for each in buffers), strict=True):
                outputs, earlier = others[:n_outputs], others[n_outputs:]
                output = outputs[0].float()
                if n_outputs > 1:
                    output = torch.lerp(outputs[1].float(), output, field.guidance)
                x0 = (p * x + q * output).clamp(-LIMIT, LIMIT)
                w = torch.zeros_like(x0)
                for dim, axis in coupled:
                    bend = second_difference(x0, dim, field.periodic[axis])
                    w.addcmul_(bend, self.strength[axis])
                if earlier:
                    carried, own = earlier
                    w += carried
                    own = own + bar**0.5 / (1 - bar) * x
                    seen = torch.atanh(x0).clamp(-_CERTAIN, _CERTAIN)
                    carried.add_(seen - own.clamp(-_CERTAIN, _CERTAIN)).mul_(self.agreement)
                t = torch.tanh(w)
                change = t * (1 - x0 * x0) / (1 + x0 * t) / q
                for out in outputs:
                    out += change


def second_difference(x: Tensor, dim: int, periodic: bool) -> Tensor:
    """Return x[i - 1] - 2 x[i] + x[i + 1]; at an end that is not periodic x goes on as it is."""
    n = x.shape[dim]
    before, after = x.roll(1, dim), x.roll(-1, dim)
    if not periodic:
        before.select(dim, 0).copy_(x.select(dim, 0))
        after.select(dim, n - 1).copy_(x.select(dim, n - 1))
    return before.add_(after).sub_(x, alpha=2)
