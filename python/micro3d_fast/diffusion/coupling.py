# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Couple neighbouring voxels and the passes in different planes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .. import ops
from .._planes import SLICE_AXES
from .mean_hold import LIMIT

if TYPE_CHECKING:
    from .field import Field

__all__ = ["Coupling"]


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
        tables = {plane: table[:, SLICE_AXES[plane][1:]].copy() for plane in field.planes}
        #: J of each channel along the rows and columns of each plane
        self._strength = {k: torch.from_numpy(t).to(field.device) for k, t in tables.items()}
        self._coupled = {k: bool(t.any()) for k, t in tables.items()}
        #: w of earlier passes, in slices of the plane of the last one
        self._earlier, self._plane = field.zeros() if agreement else None, field.plane
        prior = torch.atanh(field.mean.clamp(-LIMIT, LIMIT))
        self._prior = prior.expand(len(field.seeds), -1).contiguous()

    def apply(self, p: float, q: float, bar: float) -> None:
        """Change the network's outputs in place, with x0 = p x + q net, at \\bar\\alpha_t = bar."""
        field, earlier = self.field, None
        if self._earlier is not None:
            self._earlier = field.turned(self._earlier, self._plane)
            self._plane = field.plane
            earlier = field.slices_of_all(self._earlier)
        elif not self._coupled[field.plane]:
            return
        _, rows, columns = SLICE_AXES[field.plane]
        ops.couple(
            *field.volumes(),
            x0=field.scratch(),
            strength=self._strength[field.plane],
            periodic=(field.periodic[rows], field.periodic[columns]),
            p=p,
            q=q,
            guidance=field.guidance,
            earlier=earlier,
            prior=self._prior,
            evidence=bar**0.5 / (1 - bar),
            agreement=self.agreement,
        )
