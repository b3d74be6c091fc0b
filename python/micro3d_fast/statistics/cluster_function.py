# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Two-point cluster function: both ends of a lag in one connected cluster of a phase."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..typing import Axis, Labels, Periodic
from . import _fourier
from ._clusters import cluster_boxes, find_clusters, neighbour_count
from ._curves import LatticeLine, ratio
from ._threads import thread_count
from ._transforms import ScipyFFT
from ._volume import LabelVolume

__all__ = ["two_point_cluster", "two_point_cluster_map"]


def two_point_cluster_map(
    labels: Labels,
    phase: int | str,
    *,
    connectivity: int | None = None,
    periodic: Periodic = False,
    mask: Labels | None = None,
    threads: int = 0,
) -> np.ndarray:
    """Compute the two-point cluster function C2 of all lag vectors.

    C2 is the probability that both ends of a lag lie in the same cluster of the phase: the sum of
    the autocorrelations of the clusters, each computed in the bounding box of its cluster.

    Parameters
    ----------
    labels, phase, connectivity, periodic, mask
        As of `cluster_labels`; periodic axes let pairs, and clusters, cross the faces.
    threads : int
        CPU threads, 0 for all.

    Returns
    -------
    array of float64
        Layout and normalisation as of `two_point_map`; ``C2 ≤ S2``.

    References
    ----------
    .. [1] S. Torquato, J. D. Beasley and Y. C. Chiew, J. Chem. Phys. 88, 6540 (1988).

    Examples
    --------
    >>> two_point_cluster_map(np.array([[1, 0, 1, 1]]), 1)[0] * [4, 3, 2, 1, 1, 2, 3]
    array([3., 1., 0., 0., 0., 0., 1.])
    """
    volume = LabelVolume.of(labels, mask, bytes_per_voxel=6)
    wrap = volume.periodic_axes(periodic)
    neighbours = neighbour_count(volume, connectivity)
    found = find_clusters(volume, volume.phase(phase), neighbours, wrap)
    win = _fourier.windows(volume.shape, wrap, None)
    number = thread_count(threads)
    counts = np.zeros(tuple(w.size for w in win))
    for cluster, crossing in cluster_boxes(found, wrap):
        if cluster.size == 1:
            counts[0, 0, 0] += 1
            continue
        part = _fourier.windows(cluster.shape, crossing, None)
        _add_wrapped(counts, _autocorrelation(cluster, part, number), [w.lags for w in part])
    if volume.mask is None:
        counts /= _fourier.pair_map(win)
    else:
        pairs = _autocorrelation(volume.mask, win, number)
        counts /= np.where(pairs > 0, pairs, np.nan)
    return counts.reshape(counts.shape[volume.lead :])


def two_point_cluster(
    labels: Labels,
    phase: int | str,
    *,
    axis: Axis,
    max_lag: int | None = None,
    connectivity: int | None = None,
    periodic: Periodic = False,
    mask: Labels | None = None,
    threads: int = 0,
) -> np.ndarray:
    """Compute the two-point cluster function C2 along an axis or a lattice direction.

    Parameters
    ----------
    labels, phase, connectivity, periodic, mask
        As of `cluster_labels`.
    axis, max_lag, threads
        As of `two_point_correlation`.

    Returns
    -------
    array of float64, shape (max_lag + 1,)
        ``L ≤ C2 ≤ S2``; nan where the mask leaves no pair.

    Examples
    --------
    >>> two_point_cluster(np.array([[1, 0, 1, 1]]), 1, axis="x")
    array([0.75      , 0.33333333, 0.        ])
    """
    volume = LabelVolume.of(labels, mask, bytes_per_voxel=6)
    line = LatticeLine.of(volume, axis, max_lag, periodic, threads)
    neighbours = neighbour_count(volume, connectivity)
    found = find_clusters(volume, volume.phase(phase), neighbours, line.periodic)
    hits = np.zeros(line.max_lag + 1, dtype=np.int64)
    for cluster, crossing in cluster_boxes(found, line.periodic):
        if cluster.size == 1 and not any(crossing):
            hits[0] += 1
        else:
            hits += _pairs_in_cluster(line, cluster, crossing)
    return ratio(hits, line.all_pairs())


def _autocorrelation(inside: np.ndarray, win: _fourier.Windows, threads: int) -> np.ndarray:
    """Return the pair counts of a bool volume at all lags of the windows."""
    fft = ScipyFFT(np.float64, threads if inside.size > 1 << 17 else 1)
    labels = np.ascontiguousarray(inside).view(np.uint8)
    counts = _fourier.Map(labels, win, fft.real)
    spectra = _fourier.plane_spectra(_fourier.Indicator(labels, None, 1), win, fft)
    _fourier.autocorrelate(spectra, win, counts, fft)
    return counts.out


def _pairs_in_cluster(
    line: LatticeLine, cluster: np.ndarray, crossing: tuple[bool, ...]
) -> np.ndarray:
    """Count the pairs within the bounding box of one cluster at each lag.

    A box smaller than a periodic axis that the line steps along is put into a volume that has the
    whole axis, where lags come back after one turn.
    """
    stepped = [w and d != 0 for w, d in zip(line.periodic, line.direction, strict=True)]
    if any(s and not c for s, c in zip(stepped, crossing, strict=True)):
        sides = zip(line.volume.shape, cluster.shape, stepped, strict=True)
        whole = np.zeros([n if s else m for n, m, s in sides], dtype=np.uint8)
        whole[tuple(slice(m) for m in cluster.shape)] = cluster
        cluster = whole
    z, y, x = (s or c for s, c in zip(stepped, crossing, strict=True))
    box = LabelVolume(np.ascontiguousarray(cluster, dtype=np.uint8), None, 3)
    return replace(line, volume=box, periodic=(z, y, x)).pairs(1, 1)


def _add_wrapped(total: np.ndarray, part: np.ndarray, lags: list[np.ndarray]) -> None:
    """Add a small map to a large one, lag by lag, modulo the periodic axes."""
    index = [lag % n for lag, n in zip(lags, total.shape, strict=True)]
    if all(len(np.unique(k)) == len(k) for k in index):
        total[np.ix_(*index)] += part
    else:
        np.add.at(total, np.ix_(*index), part)
