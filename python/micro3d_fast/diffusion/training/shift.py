# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The shift of the noise schedule that suits a material.

Structure of correlation length l shows through noise of signal-to-noise ratio R per pixel where
R l^2 is of order one.  A schedule whose log signal-to-noise ratio is lowered by 2 log k spends as
many of its steps on structure of length k l as the unshifted one on length l (Hoogeboom et al. 2023
say the same of the resolution of an image).  So k is proportional to l; of the finest phase,
because coarse structure bears too few steps at low noise worse than fine structure bears too many.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ...statistics.lengths import pooled_correlation_length

if TYPE_CHECKING:
    from ...micrographs import Micrographs

__all__ = ["material_shift"]

PER_PIXEL = 0.8  # shift per pixel of correlation length (docs/study.md)
LEAST, MOST = 2.0, 8.0
_IMAGES = 32  # of a plane that are measured


def material_shift(micrographs: Micrographs) -> float:
    """Return the shift for the correlation length of the finest phase, two digits."""
    lengths = []
    for phase in range(micrographs.n_phases if micrographs.n_phases > 2 else 1):
        logs = []
        for images in micrographs.images.values():
            step = -(-len(images) // _IMAGES)
            masks = [np.ascontiguousarray(i == phase, dtype=np.uint8) for i in images[::step]]
            logs += [math.log(pooled_correlation_length(masks, axis)) for axis in (0, 1)]
        lengths.append(math.exp(sum(logs) / len(logs)))
    return round(min(max(PER_PIXEL * min(lengths), LEAST), MOST), 2)
