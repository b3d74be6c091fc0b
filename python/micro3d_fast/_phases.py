# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Exact counts of the voxels of each phase."""

from __future__ import annotations

import numpy as np

from ._arrays import Array, framework, to_numpy

_PIECE = 1 << 18  # voxels at a time: numpy's bincount copies its argument to int64


def phase_counts(labels: Array, n_phases: int) -> np.ndarray:
    """Return the number of voxels of phases ``0 ... n_phases - 1``, as int64 (n_phases,).

    ``labels`` is a uint8 array of any shape, numpy or torch; larger labels are not counted.
    """
    flat = labels.reshape(-1)
    if framework(labels) == "torch":
        return to_numpy(flat.bincount(minlength=n_phases))[:n_phases]
    counts = np.zeros(n_phases, dtype=np.int64)
    for start in range(0, flat.size, _PIECE):
        piece = flat[start : start + _PIECE]
        if n_phases <= 8:
            counts += [np.count_nonzero(piece == phase) for phase in range(n_phases)]
        else:
            counts += np.bincount(piece, minlength=n_phases)[:n_phases]
    return counts
