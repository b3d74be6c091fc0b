# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The volume of a report, with the names of its phases and the unit of its lengths."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._lengths import LengthUnit, length_unit
from .._palette import phase_colour
from ._document import Key


@dataclass(frozen=True)
class Subject:
    """The volume of a report, with the names of its phases and the unit of its lengths."""

    labels: np.ndarray  # uint8 (nz, ny, nx)
    voxel_size: tuple[float, float, float]
    phase_names: tuple[str, ...]
    provenance: Mapping[str, Any]

    @property
    def unit(self) -> LengthUnit:
        """Unit in which lengths are printed."""
        return length_unit(self.voxel_size, self.longest)

    @property
    def longest(self) -> float:
        """Longest edge, in metres or voxels."""
        return max(n * size for n, size in zip(self.labels.shape, self.voxel_size, strict=True))

    @property
    def fractions(self) -> np.ndarray:
        """Volume fraction of every phase."""
        counts = np.bincount(self.labels.ravel(), minlength=len(self.phase_names))
        return counts / self.labels.size

    def phase_name(self, phase: int) -> str:
        """Return the name of a phase."""
        return self.phase_names[phase] if phase < len(self.phase_names) else f"phase {phase}"

    def edges(self) -> str:
        """Return the lengths of the three edges as text, along x, y, z."""
        numbers, unit = zip(*(self.edge(axis).rsplit(" ", 1) for axis in (2, 1, 0)), strict=True)
        return f"{' × '.join(numbers)} {unit[0]}"

    def edge(self, axis: int) -> str:
        """Return the length of an edge as text."""
        n = self.labels.shape[axis]
        if self.unit.name == "voxels":
            return f"{n} voxels"
        return f"{self.unit(n * self.voxel_size[axis]):.4g} {self.unit.name}"

    def key(self) -> Key:
        """Return the colour key of the phases."""
        return Key(
            [
                {"phase": phase, "name": name, "colour": phase_colour(phase)}
                for phase, name in enumerate(self.phase_names)
            ]
        )
