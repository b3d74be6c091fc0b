# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The labelled image that the solvers work on: three axes, phases present, voxel size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .._checks import as_labels, lengths3, names_of_phases, voxel_size3
from .._phases import phase_counts
from ._compute import Compute
from ._periodicity import known_periodic


@dataclass(frozen=True, eq=False)
class LabelledVoxels:
    """Labels (nz, ny, nx) of uint8 on the host; a 2D image is one voxel thick along z."""

    labels: np.ndarray
    voxel_size: tuple[float, float, float]
    counts: np.ndarray  # voxels of every label, (256,)
    ndim: int  # of the image as given
    periodic: tuple[bool, bool, bool]  # axes along which it is known to be
    names: tuple[str, ...]  # of the phases of a Microstructure

    @classmethod
    def of(
        cls, labels: Any, voxel_size: Any, compute: Compute, bytes_per_voxel: int
    ) -> LabelledVoxels:
        """Check the labels; ``voxel_size`` None is that of a Microstructure, or 1."""
        array = as_labels(labels, bytes_per_voxel=bytes_per_voxel)
        if voxel_size is None:
            size = lengths3(getattr(labels, "voxel_size", 1.0))
        else:
            size = voxel_size3(voxel_size, ndim=array.ndim)
        volume = array[None] if array.ndim == 2 else array
        periodic = known_periodic(getattr(labels, "provenance", None))
        counts = phase_counts(compute.send_labels(volume), 256)
        return cls(volume, size, counts, array.ndim, periodic, names_of_phases(labels))

    @property
    def present(self) -> np.ndarray:
        """Which labels occur, (256,)."""
        return self.counts > 0

    def fractions(self, count: int) -> np.ndarray:
        """Return the volume fractions of labels 0 ... count - 1."""
        return self.counts[:count] / self.labels.size

    def phase_codes(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the voxels as codes 0 ... P - 1 without gaps, and the label of every code."""
        labels_of_code = np.flatnonzero(self.present)
        if np.array_equal(labels_of_code, np.arange(len(labels_of_code))):
            return self.labels, labels_of_code
        table = np.zeros(256, dtype=np.uint8)
        table[labels_of_code] = np.arange(len(labels_of_code))
        return table[self.labels], labels_of_code
