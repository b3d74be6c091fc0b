# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Two-point correlations by their definition: a sum over every pair of voxels."""

import itertools

import numpy as np

__all__ = [
    "map_lags",
    "moved",
    "pair_counts",
    "two_point_correlation",
    "two_point_map",
    "two_point_radial",
]


def moved(x, lag, shape, wrap):
    """Return x + lag, periodic axes wrapped; None outside the image."""
    y = [a + r for a, r in zip(x, lag, strict=True)]
    y = [b % n if w else b for b, n, w in zip(y, shape, wrap, strict=True)]
    inside = all(0 <= b < n for b, n in zip(y, shape, strict=True))
    return tuple(y) if inside else None


def pair_counts(labels, phase, other, lag, periodic=False, mask=None):
    """Count the voxels x with x + lag in the image (and both in the mask), and the hits.

    Returns (hits, pairs); a hit has ``labels[x] == phase`` and ``labels[x + lag] == other``.
    Periodic axes wrap.
    """
    labels = np.asarray(labels)
    wrap = np.broadcast_to(np.asarray(periodic, dtype=bool), (labels.ndim,))
    hits = pairs = 0
    for x in np.ndindex(*labels.shape):
        y = moved(x, lag, labels.shape, wrap)
        if y is None:
            continue
        if mask is not None and not (mask[x] and mask[y]):
            continue
        pairs += 1
        hits += int(labels[x] == phase and labels[y] == other)
    return hits, pairs


def map_lags(shape, periodic=False):
    """Return the lags of a full map along each axis, in wrap order (0, 1, ..., -2, -1)."""
    wrap = np.broadcast_to(np.asarray(periodic, dtype=bool), (len(shape),))
    lags = []
    for n, w in zip(shape, wrap, strict=True):
        if w:
            lags.append([r if r <= n // 2 else r - n for r in range(n)])
        else:
            lags.append(list(range(n)) + list(range(-(n - 1), 0)))
    return lags


def two_point_map(labels, phase, other=None, periodic=False, mask=None):
    """Return S_ij at every lag of the full map; nan where no pair exists."""
    other = phase if other is None else other
    lags = map_lags(np.shape(labels), periodic)
    out = np.empty([len(r) for r in lags])
    for index in np.ndindex(*out.shape):
        lag = [r[i] for r, i in zip(lags, index, strict=True)]
        hits, pairs = pair_counts(labels, phase, other, lag, periodic, mask)
        out[index] = hits / pairs if pairs else np.nan
    return out


def two_point_correlation(
    labels, phase, other=None, *, direction, max_lag, periodic=False, mask=None
):
    """Return S_ij(r d) for r = 0 ... max_lag along the lattice vector d = ``direction``."""
    other = phase if other is None else other
    out = np.empty(max_lag + 1)
    for r in range(max_lag + 1):
        lag = [r * d for d in direction]
        hits, pairs = pair_counts(labels, phase, other, lag, periodic, mask)
        out[r] = hits / pairs if pairs else np.nan
    return out


def two_point_radial(
    labels, phase, other=None, *, max_lag, periodic=False, mask=None, spacing=None, width=1.0
):
    """Average S_ij over all lag vectors of the full map whose length rounds to the bin.

    Returns (value, count).  All lag vectors have the same weight if periodic and without a mask;
    otherwise the weight is the pair count.
    """
    other = phase if other is None else other
    spacing = (1.0,) * np.ndim(labels) if spacing is None else spacing
    uniform = np.all(periodic) and mask is None
    top = np.zeros(max_lag + 1)
    bottom = np.zeros(max_lag + 1)
    count = np.zeros(max_lag + 1, dtype=np.int64)
    for lag in itertools.product(*map_lags(np.shape(labels), periodic)):
        length = np.sqrt(sum((r * h) ** 2 for r, h in zip(lag, spacing, strict=True)))
        b = int(np.rint(length / width))
        if b > max_lag:
            continue
        hits, pairs = pair_counts(labels, phase, other, lag, periodic, mask)
        top[b] += hits
        bottom[b] += pairs
        count[b] += 1 if uniform else pairs
    with np.errstate(invalid="ignore"):
        return top / bottom, count
