# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Connected clusters of a phase: labels, percolation, two-point cluster function."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import _checks, ops
from . import _fourier, _image
from .two_point import along, curves, lines_of

_CONNECTIVITY = {2: (4, 8), 3: (6, 18, 26)}


@dataclass(frozen=True)
class Percolation:
    """Whether a phase connects opposite faces (see `percolation`).

    Attributes
    ----------
    percolates : dict of str to bool
        For each axis name.
    fraction : dict of str to float
        Share of the phase's voxels in clusters that do; nan if the phase is absent.
    clusters : int
        Clusters of the phase.
    largest : float
        Share of the phase's voxels in its largest cluster.
    phase, connectivity : int
    """

    percolates: dict[str, bool]
    fraction: dict[str, float]
    clusters: int
    largest: float
    phase: int
    connectivity: int

    def __repr__(self) -> str:
        said = ", ".join(f"{axis} {100 * f:.1f} %" for axis, f in self.fraction.items())
        return (
            f"Percolation(phase {self.phase}: {said} of it connects the faces; "
            f"{self.clusters} clusters, largest {100 * self.largest:.1f} %)"
        )


def cluster_labels(
    labels: Any,
    phase: int,
    *,
    connectivity: int | None = None,
    periodic: Any = False,
    mask: Any = None,
) -> np.ndarray:
    """Number of the connected cluster of every voxel of a phase; 0 elsewhere.

    Parameters
    ----------
    labels : array of bool or integers 0 ... 255, 2D or 3D, or Microstructure
        Phase of each voxel.
    phase : int
        The phase.
    connectivity : int, optional
        6 (default), 18 or 26 neighbours in 3D; 4 (default) or 8 in 2D.
    periodic : bool or one per axis
        Neighbours across the faces connect too.
    mask : array of bool, optional
        Only voxels inside belong to the phase.

    Returns
    -------
    array of int32, shape of ``labels``
        1 ... number of clusters, in no particular order; 0 outside the phase.

    Notes
    -----
    Labelled by cc3d where it is installed, else by scipy.ndimage; faces are joined here.

    Examples
    --------
    >>> cluster_labels(np.array([[1, 0, 1, 1]]), 1)
    array([[1, 0, 2, 2]], dtype=int32)
    >>> cluster_labels(np.array([[1, 0, 1, 1]]), 1, periodic=True)
    array([[1, 0, 1, 1]], dtype=int32)
    """
    image = _image.load(labels, mask)
    found = _clusters(image, phase, connectivity, image.periodic3(periodic))
    return found.reshape(found.shape[image.lead :])


def percolation(
    labels: Any,
    phase: int,
    *,
    connectivity: int | None = None,
    periodic: Any = False,
    mask: Any = None,
) -> Percolation:
    """Whether clusters of a phase reach from face to face, per axis, and how much of it does.

    Along the axis looked at the image counts as open, whatever ``periodic`` says; other axes
    connect across their faces if periodic.

    Parameters
    ----------
    labels, phase, connectivity, periodic, mask
        As of `cluster_labels`.

    Returns
    -------
    Percolation

    Examples
    --------
    >>> percolation(np.array([[1, 0, 1], [1, 1, 1]]), 1)
    Percolation(phase 1: y 100.0 %, x 100.0 % of it connects the faces; 1 clusters, largest 100.0 %)
    """
    image = _image.load(labels, mask)
    wrap = image.periodic3(periodic)
    links = _connectivity(image, connectivity)
    number = _checks.phase_number(phase)
    percolates: dict[str, bool] = {}
    fraction: dict[str, float] = {}
    memory: dict[tuple[bool, ...], np.ndarray] = {}

    def clusters(flags: tuple[bool, ...]) -> np.ndarray:
        if flags not in memory:
            memory[flags] = _clusters(image, number, links, flags)
        return memory[flags]

    for axis in range(image.lead, 3):
        found = clusters(tuple(w and k != axis for k, w in enumerate(wrap)))
        sizes = np.bincount(found.ravel())
        spanning = np.intersect1d(found.take(0, axis=axis), found.take(-1, axis=axis))
        spanning = spanning[spanning > 0]
        name = _checks.AXIS_NAMES[axis]
        percolates[name] = bool(spanning.size)
        total = int(sizes[1:].sum())
        fraction[name] = float(sizes[spanning].sum() / total) if total else float("nan")
    sizes = np.bincount(clusters(wrap).ravel())[1:]
    return Percolation(
        percolates,
        fraction,
        len(sizes),
        float(sizes.max() / sizes.sum()) if len(sizes) else float("nan"),
        number,
        links,
    )


def two_point_cluster_map(
    labels: Any,
    phase: int,
    *,
    connectivity: int | None = None,
    periodic: Any = False,
    mask: Any = None,
    threads: int = 0,
) -> np.ndarray:
    """Two-point cluster function C2 of all lag vectors: both ends in one cluster of the phase.

    The sum of the clusters' own autocorrelations, each taken over the cluster's bounding box.

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
    image = _image.load(labels, mask)
    wrap = image.periodic3(periodic)
    found = _clusters(image, phase, connectivity, wrap)
    win = _fourier.windows(image.shape, wrap, None)
    number = _image.thread_count(threads)
    counts = np.zeros(tuple(w.size for w in win))
    for own, crossing in _boxes(found, wrap):
        if own.size == 1:
            counts[0, 0, 0] += 1
            continue
        part = _fourier.windows(own.shape, crossing, None)
        _add_wrapped(counts, _autocorrelation(own, part, number), [w.lags for w in part])
    if image.mask is None:
        z, y, x = _fourier.pair_numbers(win, wrap)
        counts /= z[:, None, None] * y[:, None] * x
    else:
        pairs = _autocorrelation(image.mask, win, number)
        counts /= np.where(pairs > 0, pairs, np.nan)
    return counts.reshape(counts.shape[image.lead :])


def two_point_cluster(
    labels: Any,
    phase: int,
    *,
    axis: Any,
    max_lag: int | None = None,
    connectivity: int | None = None,
    periodic: Any = False,
    mask: Any = None,
    threads: int = 0,
) -> np.ndarray:
    """Two-point cluster function C2 along an axis or a lattice direction.

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
    image = _image.load(labels, mask)
    direction, lag, wrap = along(image, axis, max_lag, periodic)
    found = _clusters(image, phase, connectivity, image.periodic3(periodic))
    keys: dict[str, Any] = {
        "direction": direction,
        "max_lag": lag,
        "threads": _image.thread_count(threads),
    }
    hits = np.zeros(lag + 1, dtype=np.int64)
    for own, crossing in _boxes(found, wrap):
        if own.size == 1 and not any(crossing):
            hits[0] += 1
            continue
        hits += _closed(own, direction, crossing, wrap, image.shape, keys)
    if image.mask is None:
        pairs = lines_of(image, direction, lag, wrap)
    else:
        pairs = ops.pair_counts(
            image.labels, None, None, periodic=wrap, mask=image.mask, **keys
        ).sum(0)
    return curves(hits[None], pairs, image)


def _autocorrelation(inside: np.ndarray, win: Any, threads: int) -> np.ndarray:
    """Pair counts of a bool volume at all lags of the windows."""
    engine = _fourier.Cpu(np.float64, threads if inside.size > 1 << 17 else 1)
    labels = np.ascontiguousarray(inside).view(np.uint8)
    counts = _fourier.Map(labels, win, engine.real)
    spectra = _fourier.plane_spectra(_fourier.Field(labels, None, 1), win, engine)
    _fourier.autocorrelate(spectra, win, counts, engine)
    return counts.out


def _closed(
    own: np.ndarray,
    direction: tuple[int, ...],
    crossing: tuple[bool, ...],
    wrap: tuple[bool, ...],
    shape: tuple[int, ...],
    keys: dict[str, Any],
) -> np.ndarray:
    """Pairs within one cluster; in a box, a periodic lag comes back after a turn of the image."""
    turns = any(w and d and not c for w, d, c in zip(wrap, direction, crossing, strict=True))
    if turns:  # put the box into a volume that is whole along the periodic axes of the direction
        full = [
            n if w and d else m
            for n, m, w, d in zip(shape, own.shape, wrap, direction, strict=True)
        ]
        whole = np.zeros(full, dtype=np.uint8)
        whole[tuple(slice(m) for m in own.shape)] = own
        own = whole
    flags = tuple(bool(w and d) or c for w, d, c in zip(wrap, direction, crossing, strict=True))
    return ops.pair_counts(
        np.ascontiguousarray(own, dtype=np.uint8), 1, 1, periodic=flags, **keys
    ).sum(0)


def _connectivity(image: _image.Image, connectivity: Any) -> int:
    allowed = _CONNECTIVITY[image.ndim]
    if connectivity is None:
        return allowed[0]
    number = _checks.integer(connectivity, name="connectivity")
    if number not in allowed:
        raise ValueError(
            f"`connectivity` must be {', '.join(map(str, allowed))} in {image.ndim}D, got {number}"
        )
    return number


def _order(image: _image.Image, links: int) -> int:
    """Axes along which neighbours may differ at once: 1, 2 or 3."""
    return _CONNECTIVITY[image.ndim].index(links) + 1


def _clusters(
    image: _image.Image, phase: Any, connectivity: Any, wrap: tuple[bool, ...]
) -> np.ndarray:
    """Cluster numbers of a volume, int32."""
    order = _order(image, _connectivity(image, connectivity))
    inside = image.indicator(_checks.phase_number(phase))
    found = _label(inside, order, image.ndim)
    if any(wrap):
        found = _join_faces(found, wrap, order, image.lead)
    return found


def _label(inside: np.ndarray, order: int, ndim: int) -> np.ndarray:
    """Clusters with open boundaries, int32."""
    space: Any = inside[0] if ndim == 2 else inside
    try:
        import cc3d
    except ImportError:
        from scipy import ndimage

        structure = ndimage.generate_binary_structure(ndim, order)
        found, _ = ndimage.label(space, structure, output=np.int32)
    else:
        links = _CONNECTIVITY[ndim][order - 1]
        label: Any = cc3d.connected_components
        found = label(space, connectivity=links, binary_image=True)
    return np.ascontiguousarray(found, dtype=np.int32).reshape(inside.shape)


def _join_faces(found: np.ndarray, wrap: tuple[bool, ...], order: int, lead: int) -> np.ndarray:
    """Join clusters that touch across periodic faces, and number them anew."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    pairs = []
    for axis in range(lead, 3):
        if not wrap[axis]:
            continue
        end, start = found.take(-1, axis=axis), found.take(0, axis=axis)
        others = [k for k in range(3) if k != axis]
        steps = [(-1, 0, 1) if k >= lead else (0,) for k in others]
        for shift in itertools.product(*steps):
            if np.count_nonzero(shift) > order - 1:
                continue
            moved = start
            for plane_axis, (k, s) in enumerate(zip(others, shift, strict=True)):
                moved = _stepped(moved, s, plane_axis, wrap[k])
            both = (end > 0) & (moved > 0)
            pairs.append(np.stack([end[both], moved[both]]))
    joined = np.unique(np.concatenate(pairs, axis=1), axis=1)
    number = int(found.max()) + 1
    graph = coo_array((np.ones(joined.shape[1]), (joined[0], joined[1])), shape=(number, number))
    _, group = connected_components(graph, directed=False)
    group[0] = -1  # outside is no cluster
    return np.unique(group, return_inverse=True)[1].astype(np.int32)[found]


def _stepped(plane: np.ndarray, step: int, axis: int, periodic: bool) -> np.ndarray:
    """plane[k + step] at k, 0 beyond an open edge."""
    if step == 0:
        return plane
    out = np.roll(plane, -step, axis=axis)
    if not periodic:
        edge: list[Any] = [slice(None)] * plane.ndim
        edge[axis] = -1 if step > 0 else 0
        out[tuple(edge)] = 0
    return out


def _boxes(found: np.ndarray, wrap: tuple[bool, ...]) -> Any:
    """(bool box, axes on which it fills a periodic axis) of each cluster.

    A cluster that touches both faces of a periodic axis has the whole axis as its box there.
    """
    from scipy.ndimage import find_objects

    for number, box in enumerate(find_objects(found), 1):
        if box is None:
            continue
        own = found[box] == number
        crossing = tuple(
            w and part.start == 0 and part.stop == n and n > 1
            for w, part, n in zip(wrap, box, found.shape, strict=True)
        )
        yield own, crossing


def _add_wrapped(total: np.ndarray, part: np.ndarray, lags: list[np.ndarray]) -> None:
    """Add a small map to a large one, lag by lag; lags beyond a periodic axis come around."""
    index = [lag % n for lag, n in zip(lags, total.shape, strict=True)]
    if all(len(np.unique(k)) == len(k) for k in index):
        total[np.ix_(*index)] += part
    else:
        np.add.at(total, np.ix_(*index), part)
