# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Connected pieces of a phase: percolating clusters, islands, pieces joined by edges alone."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .. import ops
from .._arrays import Array, framework, to_numpy
from .._planes import AXIS_NAMES
from .._results import Result

__all__ = ["Connectivity", "percolating", "solid_connectivity"]


def percolating(mask: Array, periodic_sides: Sequence[bool]) -> Array:
    """Return the cells of clusters (6-connectivity) that join the first and last plane of axis 0.

    ``mask`` is an array of bool, numpy or torch. ``periodic_sides``: whether clusters connect
    across the sides of axes 1 and 2.
    """
    from scipy import ndimage

    if framework(mask) == "torch":
        if mask.numel() < 1 << 31:
            return _percolating_torch(mask, periodic_sides)
        return mask.new_tensor(percolating(to_numpy(mask), periodic_sides))
    clusters, count = ndimage.label(mask)
    root = np.arange(count + 1)
    for axis, wraps in zip((1, 2), periodic_sides, strict=True):
        if wraps:
            _join(root, np.take(clusters, 0, axis), np.take(clusters, -1, axis))
    root = _flat(root)
    first, last = np.zeros(count + 1, bool), np.zeros(count + 1, bool)
    first[root[clusters[0]]] = True
    last[root[clusters[-1]]] = True
    through = first & last
    through[root[0]] = False
    return through[root][clusters]


def _percolating_torch(mask: Array, periodic_sides: Sequence[bool]) -> Array:
    """Return the same where the mask is; a component is numbered by its first cell."""
    y, x = periodic_sides
    first = ops.connected_components(mask, periodic=(False, y, x))
    plane = mask[0].numel()
    # only those with a cell in the first plane have a number below its size: all others are `plane`
    first.masked_fill_((first < 0) | (first >= plane), plane)
    through = mask.new_zeros(plane + 1)
    through.index_fill_(0, first[-1].reshape(-1).long(), True)
    through[plane:].zero_()
    return through.index_select(0, first.reshape(-1)).reshape(mask.shape)


@dataclass(frozen=True, eq=False)
class Connectivity(Result):
    """Pieces of the solid of a periodic image.

    Attributes
    ----------
    islands, island_voxels : int
        Pieces (connected by faces, edges or corners) that do not reach around the periodic cell
        along any axis. They carry no load.
    hanging, hanging_voxels : int
        Parts connected by faces that touch the rest of their piece by edges or corners alone:
        hinges, so near-mechanisms. All but the largest part of each piece are counted.
    unconnected_axes : tuple of str
        Axes along which no piece reaches around the cell: the stiffness is zero there.
    windings : tuple of array (k, 3)
        Per piece that reaches around the cell, an orthonormal basis of the vectors, in voxels of
        the axes (z, y, x), along which it does.
    """

    islands: int
    island_voxels: int
    hanging: int
    hanging_voxels: int
    unconnected_axes: tuple[str, ...]
    windings: tuple[np.ndarray, ...] = ()

    def spans(self, voxel_size: tuple[float, float, float]) -> tuple[np.ndarray, ...]:
        """Return the distinct `windings` in space: orthonormal vectors (k, 3), components x, y, z.

        A piece that reaches around the cell along all axes makes those of others redundant.
        """
        found = []
        for winding in self.windings:
            if len(winding) == 3:
                return (np.eye(3),)
            q, _ = np.linalg.qr((winding * voxel_size)[:, ::-1].T)
            found.append(q.T)
        return tuple(found)

    def warnings(self, solid_voxels: int) -> tuple[str, ...]:
        """Return one sentence per finding."""
        sentences = []
        if self.islands:
            share = 100.0 * self.island_voxels / solid_voxels
            sentences.append(
                f"{self.islands} solid island{'s' if self.islands > 1 else ''} "
                f"({self.island_voxels} voxels, {share:.3g} % of the solid) float in the pores and "
                "carry no load"
            )
        if self.hanging:
            share = 100.0 * self.hanging_voxels / solid_voxels
            sentences.append(
                f"{self.hanging} solid piece{'s' if self.hanging > 1 else ''} "
                f"({self.hanging_voxels} voxels, {share:.3g} % of the solid) hang by an edge or a "
                "corner alone: near-mechanisms, whose stiffness depends on the voxel grid"
            )
        if self.unconnected_axes:
            axes = ", ".join(self.unconnected_axes)
            sentences.append(f"no solid reaches around the cell along {axes}: no stiffness there")
        return tuple(sentences)


def solid_connectivity(solid: np.ndarray) -> Connectivity:
    """Count the floating and the hanging pieces of a periodic solid (nz, ny, nx)."""
    from scipy import ndimage

    faces, n_faces = ndimage.label(solid)
    face_root = np.arange(n_faces + 1)
    for axis in range(3):
        _join(face_root, np.take(faces, -1, axis), np.take(faces, 0, axis))
    face_root = _flat(face_root)

    pieces, n_pieces = ndimage.label(solid, np.ones((3, 3, 3)))
    root, gram = _windings(pieces, n_pieces)
    # what holds for whole labels is found once for each, not for every voxel
    piece_of_face_label = np.zeros(n_faces + 1, dtype=pieces.dtype)
    piece_of_face_label[faces.reshape(-1)] = pieces.reshape(-1)
    size_of_face_label = np.bincount(faces.reshape(-1), minlength=n_faces + 1)
    size_of_face_label[0] = 0
    piece_of_face_label = root[piece_of_face_label]
    piece_size = _summed(piece_of_face_label, size_of_face_label, n_pieces)
    is_piece = (root == np.arange(n_pieces + 1)) & (piece_size > 0)
    reach = np.einsum("paa->pa", gram) > 0
    floats = is_piece & ~reach.any(axis=1)

    # parts connected by faces within pieces connected by corners: all but the largest hang
    part_size = _summed(face_root, size_of_face_label, n_faces)
    piece_of_part = np.zeros(n_faces + 1, dtype=np.int64)
    piece_of_part[face_root] = piece_of_face_label
    parts = np.flatnonzero(part_size)
    largest = np.zeros(n_pieces + 1, dtype=np.int64)
    np.maximum.at(largest, piece_of_part[parts], part_size[parts])
    parts_per_piece = np.bincount(piece_of_part[parts], minlength=n_pieces + 1)
    hanging = int((parts_per_piece[is_piece] - 1).sum())
    hanging_voxels = int((piece_size - largest)[is_piece].sum())

    lost = tuple(AXIS_NAMES[axis] for axis in range(3) if not (reach[:, axis] & is_piece).any())
    windings = tuple(
        _span(gram[piece] * np.outer(solid.shape, solid.shape))
        for piece in np.flatnonzero(is_piece & ~floats)
    )
    return Connectivity(
        int(floats.sum()), int(piece_size[floats].sum()), hanging, hanging_voxels, lost, windings
    )


# ------------------------------------------------------------------------------------- helpers


def _summed(root: np.ndarray, sizes: np.ndarray, count: int) -> np.ndarray:
    """Return the sums of the sizes of labels 0 ... count with the same root."""
    return np.bincount(root, weights=sizes, minlength=count + 1).astype(np.int64)


def _find(root: np.ndarray, i: int) -> int:
    """Return the root of label i, and shorten its path."""
    while root[i] != i:
        root[i] = root[root[i]]
        i = int(root[i])
    return i


def _pairs(a: np.ndarray, b: np.ndarray) -> list[tuple[int, int]]:
    """Return the pairs of labels other than 0 that are at the same position of ``a`` and ``b``."""
    both = ((a > 0) & (b > 0)).reshape(-1)
    pairs = a.reshape(-1)[both].astype(np.int64) << 32 | b.reshape(-1)[both]
    if len(pairs):  # neighbours are mostly alike
        pairs = np.unique(pairs[np.r_[True, pairs[1:] != pairs[:-1]]])
    return [(int(pair) >> 32, int(pair) & 0xFFFFFFFF) for pair in pairs]


def _join(root: np.ndarray, a: np.ndarray, b: np.ndarray) -> None:
    """Unite labels other than 0 that are at the same position of ``a`` and ``b``."""
    for i, j in _pairs(a, b):
        i, j = _find(root, i), _find(root, j)
        if i != j:
            root[max(i, j)] = min(i, j)


def _flat(root: np.ndarray) -> np.ndarray:
    """Return the root of every label."""
    return np.array([_find(root, i) for i in range(len(root))], dtype=np.int64)


def _crossings(pieces: np.ndarray) -> list[tuple[int, int, tuple[int, ...]]]:
    """Return pairs of labels that touch (26 neighbours) across the periodic faces, and which."""
    pairs: set[tuple[int, int, tuple[int, ...]]] = set()
    for d in itertools.product((-1, 0, 1), repeat=3):
        if d <= (0, 0, 0):
            continue  # the other half gives the same pairs in reverse
        for crossed in itertools.product((False, True), repeat=3):
            if not any(crossed) or any(c and not step for c, step in zip(crossed, d, strict=True)):
                continue
            here, there = [], []
            for n, step, crosses in zip(pieces.shape, d, crossed, strict=True):
                if crosses:
                    here.append(n - 1 if step > 0 else 0)
                    there.append(0 if step > 0 else n - 1)
                elif step:
                    here.append(slice(0, n - 1) if step > 0 else slice(1, n))
                    there.append(slice(1, n) if step > 0 else slice(0, n - 1))
                else:
                    here.append(slice(None))
                    there.append(slice(None))
            offset = tuple(step if c else 0 for step, c in zip(d, crossed, strict=True))
            touching = _pairs(pieces[tuple(here)], pieces[tuple(there)])
            pairs.update((i, j, offset) for i, j in touching)
    return sorted(pairs)


def _span(gram: np.ndarray) -> np.ndarray:
    """Return an orthonormal basis, in rows, of the vectors that ``gram`` sums the products of."""
    values, vectors = np.linalg.eigh(gram)
    return vectors[:, values > 1e-9 * values[-1]].T


def _windings(pieces: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the root of every label across the faces, and how pieces wind around the cell.

    The second is, per root, the sum of w w^T (3, 3) over closed paths that shift by w cells.
    """
    root = np.full(count + 1, -1, dtype=np.int64)
    gram = np.zeros((count + 1, 3, 3), dtype=np.int64)
    touching: list[list[tuple[int, np.ndarray]]] = [[] for _ in range(count + 1)]
    for i, j, offset in _crossings(pieces):
        touching[i].append((j, np.array(offset)))
        touching[j].append((i, -np.array(offset)))
    cell = np.zeros((count + 1, 3), dtype=np.int64)  # copy of the cell that a label is reached in
    for start in range(count + 1):
        if root[start] >= 0:
            continue
        root[start] = start
        queue = [start]
        while queue:
            i = queue.pop()
            for j, across in touching[i]:
                where = cell[i] + across
                if root[j] < 0:
                    root[j] = start
                    cell[j] = where
                    queue.append(j)
                else:
                    shift = where - cell[j]
                    gram[start] += np.outer(shift, shift)
    return root, gram
