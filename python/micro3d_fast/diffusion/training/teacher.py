# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""A network and its copy, guided away from the copy: what a student network learns to predict."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..model import Model
from .batches import Batch

if TYPE_CHECKING:
    import torch

__all__ = ["Teacher", "Teaching"]


@dataclass(frozen=True, eq=False)
class Teacher:
    """The guided pair network + weight (network - copy), for networks of the same prediction."""

    network: Model
    copy: Model
    weight: float

    def record(self) -> dict[str, Any]:
        """Return what identifies it, for the settings of a run."""
        return {"network": self.network.hash, "copy": self.copy.hash, "weight": self.weight}


class Teaching:
    """A teacher on a device."""

    def __init__(self, teacher: Teacher, device: torch.device, dtype: torch.dtype) -> None:
        from ..device import channels_last

        self._weight, self._dtype = teacher.weight, dtype
        self._networks = [
            channels_last(copy.deepcopy(model.net).to(device, dtype)).eval().requires_grad_(False)
            for model in (teacher.network, teacher.copy)
        ]

    def target(self, batch: Batch) -> torch.Tensor:
        """Return what the pair predicts for the noisy images of a batch."""
        import torch

        x_t = batch.x_t.to(self._dtype)
        with torch.no_grad():
            network, other = (
                net(x_t, net.condition(batch.t, batch.plane, batch.fractions, batch.kept)).float()
                for net in self._networks
            )
        return network + self._weight * (network - other)
