# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Connected clusters of a phase, joined across periodic faces."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from .. import _checks
from ._volume import Flags3, LabelVolume

_CONNECTIVITY = {2: (4, 8), 3: (6, 18, 26)}


def neighbour_count(volume: LabelVolume, connectivity: Any) -> int:
    """Check ``connectivity``; None is the neighbours across faces (in 2D: across edges)."""
    allowed = _CONNECTIVITY[volume.ndim]
    if connectivity is None:
        return allowed[0]
    number = _checks.integer(connectivity, name="connectivity")
    if number not in allowed:
        wanted = f"be {', '.join(map(str, allowed))} in {volume.ndim}D"
        raise _checks.refuse("connectivity", wanted, str(number))
    return number


def find_clusters(volume: LabelVolume, phase: int, neighbours: int, periodic: Flags3) -> np.ndarray:
    """Return the cluster number of each voxel of the phase from 1, 0 elsewhere; int32."""
    order = _CONNECTIVITY[volume.ndim].index(neighbours) + 1
    found = _label(volume.indicator(phase), order, volume.ndim)
    if any(periodic):
        found = _join_faces(found, periodic, order, volume.lead)
    return found


def cluster_boxes(
    found: np.ndarray, periodic: Flags3
) -> Iterator[tuple[np.ndarray, tuple[bool, ...]]]:
    """Yield the bounding box (bool) of each cluster and the periodic axes that it fills.

    A cluster that touches both faces of a periodic axis has the whole axis as its box there.
    """
    from scipy.ndimage import find_objects

    for number, box in enumerate(find_objects(found), 1):
        if box is None:
            continue
        crossing = tuple(
            wrap and part.start == 0 and part.stop == n and n > 1
            for wrap, part, n in zip(periodic, box, found.shape, strict=True)
        )
        yield found[box] == number, crossing


def _label(inside: np.ndarray, order: int, ndim: int) -> np.ndarray:
    """Return the clusters with open boundaries; ``order`` axes may differ between neighbours."""
    space: Any = inside[0] if ndim == 2 else inside
    try:
        import cc3d
    except ImportError:
        from scipy import ndimage

        structure = ndimage.generate_binary_structure(ndim, order)
        found, _ = ndimage.label(space, structure, output=np.int32)
    else:
        neighbours = _CONNECTIVITY[ndim][order - 1]
        label: Any = cc3d.connected_components
        found = label(space, connectivity=neighbours, binary_image=True)
    return np.ascontiguousarray(found, dtype=np.int32).reshape(inside.shape)


def _join_faces(found: np.ndarray, periodic: Flags3, order: int, lead: int) -> np.ndarray:
    """Join clusters that touch across periodic faces, and number them anew."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    touching = [
        pairs
        for axis in range(lead, 3)
        if periodic[axis]
        for pairs in _touching_pairs(found, axis, periodic, order, lead)
    ]
    joined = np.unique(np.concatenate(touching, axis=1), axis=1)
    number = int(found.max()) + 1
    graph = coo_array((np.ones(joined.shape[1]), (joined[0], joined[1])), shape=(number, number))
    _, group = connected_components(graph, directed=False)
    group[0] = -1  # outside is not a cluster
    return np.unique(group, return_inverse=True)[1].astype(np.int32)[found]


def _touching_pairs(
    found: np.ndarray, axis: int, periodic: Flags3, order: int, lead: int
) -> Iterator[np.ndarray]:
    """Yield the pairs of clusters that touch across the faces of an axis, (2, pairs) each."""
    end, start = found.take(-1, axis=axis), found.take(0, axis=axis)
    others = [k for k in range(3) if k != axis]
    steps: Sequence[Any] = [(-1, 0, 1) if k >= lead else (0,) for k in others]
    for shift in itertools.product(*steps):
        if np.count_nonzero(shift) > order - 1:
            continue
        moved = start
        for plane_axis, (k, step) in enumerate(zip(others, shift, strict=True)):
            moved = _shifted(moved, step, plane_axis, periodic[k])
        both = (end > 0) & (moved > 0)
        yield np.stack([end[both], moved[both]])


def _shifted(plane: np.ndarray, step: int, axis: int, periodic: bool) -> np.ndarray:
    """Return plane[k + step] at k, 0 beyond an open edge."""
    if step == 0:
        return plane
    out = np.roll(plane, -step, axis=axis)
    if not periodic:
        edge: list[Any] = [slice(None)] * plane.ndim
        edge[axis] = -1 if step > 0 else 0
        out[tuple(edge)] = 0
    return out
