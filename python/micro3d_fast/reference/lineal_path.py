# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Lineal path by its definition: every segment, voxel by voxel."""

import numpy as np

from .two_point import moved

__all__ = ["lineal_path", "segment_counts"]


def segment_counts(labels, phase, direction, lag, periodic=False, mask=None):
    """Count the segments x, x + d, ..., x + lag d in the image (and in the mask), and the hits.

    Returns (hits, segments); a hit lies entirely in the phase.  Periodic axes wrap, so a segment
    may overlap itself.
    """
    labels = np.asarray(labels)
    wrap = np.broadcast_to(np.asarray(periodic, dtype=bool), (labels.ndim,))
    hits = segments = 0
    for x in np.ndindex(*labels.shape):
        inside = True
        hit = True
        for r in range(lag + 1):
            y = moved(x, [r * d for d in direction], labels.shape, wrap)
            if y is None or (mask is not None and not mask[y]):
                inside = False
                break
            hit = hit and labels[y] == phase
        segments += int(inside)
        hits += int(inside and hit)
    return hits, segments


def lineal_path(labels, phase, *, direction, max_lag, periodic=False, mask=None):
    """Return L(0 ... max_lag) along the lattice vector ``direction``; nan without segments."""
    out = np.empty(max_lag + 1)
    for r in range(max_lag + 1):
        hits, segments = segment_counts(labels, phase, direction, r, periodic, mask)
        out[r] = hits / segments if segments else np.nan
    return out
