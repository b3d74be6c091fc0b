# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Units in which lengths are shown, and round lengths of scale bars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class LengthUnit:
    """The unit in which lengths are printed."""

    name: str  # "voxels", "nm", "µm", "mm", "m"
    metres: float  # one unit in metres, or in voxels

    def __call__(self, length: Any) -> Any:
        """Convert a length from metres (or voxels) to this unit."""
        return length / self.metres


def length_unit(voxel_size: Sequence[float], longest: float) -> LengthUnit:
    """Return the unit in which a length of ``longest`` metres (or voxels) reads best."""
    if all(size == 1.0 for size in voxel_size):
        return LengthUnit("voxels", 1.0)
    for name, metres in (("nm", 1e-9), ("µm", 1e-6), ("mm", 1e-3)):
        if longest < 1000.0 * metres:
            return LengthUnit(name, metres)
    return LengthUnit("m", 1.0)


def nice_length(limit: float) -> float:
    """Return the largest of 1, 2, 5 times a power of ten that is no longer than ``limit``."""
    power = 10.0 ** np.floor(np.log10(limit))
    return float(max(step * power for step in (1.0, 2.0, 5.0) if step * power <= limit * 1.0001))
