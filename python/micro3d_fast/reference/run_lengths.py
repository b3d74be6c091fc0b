# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Run lengths, row by row in plain Python."""

from __future__ import annotations

import numpy as np

__all__ = ["run_lengths"]


def run_lengths(
    labels: np.ndarray,
    *,
    axis: int,
    n_phases: int,
    periodic: bool = False,
    mask: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return counts[p, n] of maximal runs of n voxels of phase p, and full[p] of endless rows."""
    labels = np.asarray(labels).astype(int)
    if mask is not None:
        labels = np.where(np.asarray(mask) != 0, labels, -1)  # -1: no phase
    n = labels.shape[axis]
    counts = np.zeros((n_phases, n + 1), dtype=np.int64)
    full = np.zeros(n_phases, dtype=np.int64)
    for row in np.moveaxis(labels, axis, -1).reshape(-1, n):
        runs: list[list[int]] = []  # [phase, length]
        for phase in row:
            if runs and runs[-1][0] == phase:
                runs[-1][1] += 1
            else:
                runs.append([phase, 1])
        if periodic and len(runs) == 1:
            if 0 <= runs[0][0] < n_phases:
                full[runs[0][0]] += 1
            continue
        if periodic and runs[0][0] == runs[-1][0]:
            runs[0][1] += runs.pop()[1]
        for phase, length in runs:
            if 0 <= phase < n_phases:
                counts[phase, length] += 1
    return counts, full
