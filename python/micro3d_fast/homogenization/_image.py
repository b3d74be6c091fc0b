# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The labelled image as the solvers take it: three axes, phases present, voxel size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from micro3d_fast._checks import as_labels, voxel_size3

__all__ = ["Image", "as_image"]


@dataclass(frozen=True, eq=False)
class Image:
    """``labels`` (nz, ny, nx) uint8 on the host; a 2D image is one voxel thick along z."""

    labels: np.ndarray
    voxel_size: tuple[float, float, float]
    counts: np.ndarray  # voxels of every label, (256,)
    ndim: int  # of the image as given

    @property
    def present(self) -> np.ndarray:
        return self.counts > 0

    def fractions(self, count: int) -> np.ndarray:
        """Volume fractions of labels 0 ... count - 1."""
        return self.counts[:count] / self.labels.size


def as_image(labels: Any, voxel_size: Any) -> Image:
    """Check the labels; ``voxel_size`` None is that of a Microstructure, or 1."""
    if voxel_size is None:
        voxel_size = getattr(labels, "voxel_size", 1.0)
    array = as_labels(labels)
    size = voxel_size3(voxel_size)
    ndim = array.ndim
    if ndim == 2:
        array = array[None]
    counts = np.zeros(256, dtype=np.int64)
    flat = array.reshape(-1)
    for start in range(0, flat.size, 1 << 22):  # bincount widens its input to 8 bytes
        counts += np.bincount(flat[start : start + (1 << 22)], minlength=256)
    return Image(array, size, counts, ndim)
