# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Chords, clusters, surfaces and local fractions by their definitions, voxel by voxel."""

import itertools

import numpy as np

from .two_point import moved

__all__ = [
    "chords",
    "clusters",
    "crossed_windows",
    "ends_in_sight",
    "euler_number",
    "face_area",
    "neighbours",
    "same_cluster_counts",
    "triple_points",
    "window_fractions",
    "windows",
]


def chords(inside, axis, periodic=False):
    """Return the sorted lengths of the maximal runs of True along an axis, but of endless ones."""
    lengths = []
    lines = np.moveaxis(np.asarray(inside), axis, -1)
    for index in np.ndindex(lines.shape[:-1]):
        line = [bool(v) for v in lines[index]]
        if periodic:
            if all(line):
                continue
            start = line.index(False)
            line = line[start:] + line[:start]
        for value, run in itertools.groupby(line):
            if value:
                lengths.append(len(list(run)))
    return sorted(lengths)


def ends_in_sight(inside, axis, periodic=False, mask=None):
    """Return (length, number of ends next to a voxel of the image and the mask) of each chord."""
    inside = np.asarray(inside) if mask is None else np.asarray(inside) & mask
    wrap = np.broadcast_to(np.asarray(periodic, dtype=bool), (inside.ndim,))
    forward = [int(k == axis) for k in range(inside.ndim)]
    found = []
    for x in np.ndindex(inside.shape):
        before = moved(x, [-s for s in forward], inside.shape, wrap)
        if not inside[x] or (before is not None and inside[before]):
            continue
        length, after = 0, x
        while after is not None and inside[after]:
            length, after = length + 1, moved(after, forward, inside.shape, wrap)
        seen = [y is not None and (mask is None or mask[y]) for y in (before, after)]
        found.append((length, int(sum(seen))))
    return found


def neighbours(ndim, connectivity):
    """Return the steps to the neighbours of a voxel: faces, then edges, then corners."""
    order = {4: 1, 8: 2, 6: 1, 18: 2, 26: 3}[connectivity]
    steps = itertools.product((-1, 0, 1), repeat=ndim)
    return [s for s in steps if 0 < np.count_nonzero(s) <= order]


def clusters(inside, connectivity, periodic):
    """Return cluster numbers by flood fill, in the order of first voxels; 0 outside."""
    inside = np.asarray(inside)
    out = np.zeros(inside.shape, dtype=np.int32)
    wrap = np.broadcast_to(np.asarray(periodic, dtype=bool), (inside.ndim,))
    number = 0
    for seed in np.ndindex(inside.shape):
        if not inside[seed] or out[seed]:
            continue
        number += 1
        out[seed] = number
        todo = [seed]
        while todo:
            x = todo.pop()
            for step in neighbours(inside.ndim, connectivity):
                y = moved(x, step, inside.shape, wrap)
                if y is None:
                    continue
                if inside[y] and not out[y]:
                    out[y] = number
                    todo.append(y)
    return out


def same_cluster_counts(numbers, lag, periodic=False, mask=None):
    """Return (hits, pairs) of one lag; a hit has both ends in the same cluster."""
    wrap = np.broadcast_to(np.asarray(periodic, dtype=bool), (numbers.ndim,))
    hits = pairs = 0
    for x in np.ndindex(numbers.shape):
        y = moved(x, lag, numbers.shape, wrap)
        if y is None:
            continue
        if mask is not None and not (mask[x] and mask[y]):
            continue
        pairs += 1
        hits += int(numbers[x] > 0 and numbers[x] == numbers[y])
    return hits, pairs


def face_area(inside, periodic=False, mask=None):
    """Return, per axis, the neighbour pairs with exactly one voxel inside, per voxel."""
    inside = np.asarray(inside)
    share = []
    for axis in range(inside.ndim):
        lag = [int(k == axis) for k in range(inside.ndim)]
        changes = 0
        wrap = np.broadcast_to(np.asarray(periodic, dtype=bool), (inside.ndim,))
        for x in np.ndindex(inside.shape):
            y = moved(x, lag, inside.shape, wrap)
            if y is None:
                continue
            if mask is not None and not (mask[x] and mask[y]):
                continue
            changes += int(inside[x] != inside[y])
        share.append(changes / (inside.size if mask is None else np.count_nonzero(mask)))
    return share


def windows(inside, edge, periodic=False):
    """Yield every window of ``edge`` voxels per axis longer than one."""
    inside = np.asarray(inside)
    wrap = np.broadcast_to(np.asarray(periodic, dtype=bool), (inside.ndim,))
    edges = [edge if n > 1 else 1 for n in inside.shape]
    starts = [
        range(n if w else n - e + 1) for n, w, e in zip(inside.shape, wrap, edges, strict=True)
    ]
    for start in itertools.product(*starts):
        index = [
            [(s + k) % n for k in range(e)]
            for s, e, n in zip(start, edges, inside.shape, strict=True)
        ]
        yield inside[np.ix_(*index)]


def window_fractions(inside, edge, periodic=False):
    """Return the fraction of True in every window of ``edge`` voxels per axis longer than one."""
    return np.array([window.mean() for window in windows(inside, edge, periodic)])


def crossed_windows(inside, edge, connectivity, periodic=False):
    """Return along which axes a cluster within it joins the faces of every window: (n, ndim)."""
    crossed = []
    for window in windows(inside, edge, periodic):
        found = clusters(window, connectivity, False)
        crossed.append(
            [
                bool(set(found.take(0, axis).flat) & set(found.take(-1, axis).flat) - {0})
                for axis in range(found.ndim)
            ]
        )
    return np.array(crossed)


def euler_number(inside, closed, periodic=False):
    """Return the Euler number of closed voxels, or of the lattice of voxels and face neighbours.

    All cells are listed; those of closed voxels by their centres in half voxels.
    """
    inside = np.asarray(inside)
    wrap = np.broadcast_to(np.asarray(periodic, dtype=bool), (inside.ndim,))
    cells = set()  # (place, dimension)
    if closed:
        for x in zip(*np.nonzero(inside), strict=True):
            for step in itertools.product((-1, 0, 1), repeat=inside.ndim):
                centre = [2 * int(a) + 1 + s for a, s in zip(x, step, strict=True)]
                folded = (
                    c % (2 * n) if w else c
                    for c, n, w in zip(centre, inside.shape, wrap, strict=True)
                )
                cells.add((tuple(folded), inside.ndim - np.count_nonzero(step)))
    else:
        for x in np.ndindex(inside.shape):
            for extent in itertools.product((0, 1), repeat=inside.ndim):
                corners = [
                    moved(x, step, inside.shape, wrap)
                    for step in itertools.product(*(range(e + 1) for e in extent))
                ]
                if all(y is not None and inside[y] for y in corners):
                    cells.add(((x, extent), sum(extent)))
    return sum((-1) ** dimension for _, dimension in cells)


def triple_points(labels, axes, phases=None, periodic=False, mask=None):
    """Return the corners of four voxels in the plane of two axes, and those where phases meet.

    There meet three phases or more, or all of ``phases``.
    """
    labels = np.asarray(labels)
    wrap = np.broadcast_to(np.asarray(periodic, dtype=bool), (labels.ndim,))
    steps = [
        [a * int(k == axes[0]) + b * int(k == axes[1]) for k in range(labels.ndim)]
        for a, b in itertools.product((0, 1), repeat=2)
    ]
    points = places = 0
    for x in np.ndindex(labels.shape):
        around = [moved(x, step, labels.shape, wrap) for step in steps]
        if None in around or (mask is not None and not all(mask[y] for y in around)):
            continue
        found = {int(labels[y]) for y in around}
        places += 1
        points += int(len(found) > 2 if phases is None else set(phases) <= found)
    return points, places
