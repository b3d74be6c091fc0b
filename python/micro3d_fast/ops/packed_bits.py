# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Pairs and segments along a lattice direction, counted on packed bits."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .. import _core
from .._arrays import Array, empty_like, framework, zeros_like
from .._checks import integer, per_axis_bool, refuse, shown
from ._shapes import require_mask, shape_of
from .device import current_stream

__all__ = ["pair_counts", "segment_counts"]

_SPARE_WORDS = 16  # csrc/ops/bit_correlation.hpp: spare_words
_LONGEST = 1 << 24  # of lags and steps: their product fits the sizes below


def pair_counts(
    labels: Array,
    phase: int | None,
    other: int | None,
    *,
    direction: Sequence[int],
    max_lag: int,
    periodic: Sequence[bool] = (False, False, False),
    mask: Array | None = None,
    per_slice: bool = False,
    threads: int = 0,
) -> Array:
    """Count pairs of voxels ``x`` in ``phase`` and ``x + r d`` in ``other``, r = 0 ... ``max_lag``.

    Parameters
    ----------
    labels : array of uint8 or bool, shape (nz, ny, nx)
        numpy, torch or cupy.
    phase, other : int or None
        Phases of the two ends; None: any phase.
    direction : three int
        The lattice vector d.
    max_lag : int
        Longest lag.
    periodic : three bool
        Axes that wrap.
    mask : array of uint8 or bool, same shape
        Both ends must be inside (non-zero).
    per_slice : bool
        One row of counts for each slice z; ``direction[0]`` must then be 0.
    threads : int
        CPU threads, 0 for all.  The result does not depend on it.  Ignored on CUDA.

    Returns
    -------
    array of int64, shape (groups, max_lag + 1)
        Exact counts of groups of slices, to be summed; groups are the slices if ``per_slice``.
        Same framework and device as ``labels``.
    """
    plan = _plan(labels, direction, max_lag, periodic, mask, per_slice)
    second = plan.pack(other, wrapped=True, threads=threads)
    first = second
    if phase != other or plan.wraps_columns:
        first = plan.pack(phase, wrapped=False, threads=threads)
    counts = zeros_like(plan.labels, (first.shape[0], plan.max_lag + 1), "int64")
    _core.bit_pairs(first, second, counts, *plan.lattice(), current_stream(counts), threads)
    return counts


def segment_counts(
    labels: Array,
    phase: int | None,
    *,
    direction: Sequence[int],
    max_lag: int,
    periodic: Sequence[bool] = (False, False, False),
    mask: Array | None = None,
    per_slice: bool = False,
    threads: int = 0,
) -> Array:
    """Count segments ``x, x + d, ..., x + r d`` wholly in ``phase``, for r = 0 ... ``max_lag``.

    Arguments and result as of `pair_counts`; every voxel of a segment must be in the mask.
    """
    plan = _plan(labels, direction, max_lag, periodic, mask, per_slice)
    second = plan.pack(phase, wrapped=True, threads=threads)
    first = second
    if plan.wraps_columns:
        first = plan.pack(phase, wrapped=False, threads=threads)
    counts = zeros_like(plan.labels, (first.shape[0], plan.max_lag + 1), "int64")
    _core.bit_segments(first, second, counts, *plan.lattice(), current_stream(counts), threads)
    return counts


@dataclass(frozen=True)
class _Plan:
    """A volume with its axes as (slab, row, column), mirrored so that no step is negative."""

    labels: Array  # (slabs, rows, columns)
    mask: Array | None
    steps: tuple[int, int, int]
    wrap: tuple[bool, bool, bool]
    max_lag: int

    @property
    def wraps_columns(self) -> bool:
        """Whether columns are repeated beyond the end, for the second end of pairs only."""
        return self.wrap[2] and self.steps[2] > 0

    @property
    def words(self) -> int:
        """Number of 64-bit words in a row, enough for the longest shift."""
        return (self.labels.shape[2] + self.max_lag * self.steps[2] + 63) // 64

    def pack(self, phase: int | None, *, wrapped: bool, threads: int) -> Array:
        """Return the bits of the phase, int64 (slabs, words of a slab)."""
        slabs, rows, columns = (int(n) for n in self.labels.shape)
        all_rows = rows + (self.max_lag * self.steps[1] if self.wrap[1] else 0)
        all_columns = columns
        if wrapped and self.wraps_columns:
            all_columns += self.max_lag * self.steps[2]
        slab = (all_rows + 1) * self.words + _SPARE_WORDS
        bits = _aligned(self.labels, slabs, -(-slab // 8) * 8)
        _core.pack_bits(
            self.labels, self.mask, bits, 0 if phase is None else phase, phase is None,
            self.words, all_rows, all_columns, current_stream(bits), threads,
        )  # fmt: skip
        return bits

    def lattice(self) -> tuple[int, int, tuple[int, int, int], bool, bool]:
        """Return rows, words, steps, wrap_o, wrap_i, as the core takes them."""
        return int(self.labels.shape[1]), self.words, self.steps, self.wrap[0], self.wrap[1]


def _aligned(labels: Array, slabs: int, words: int) -> Array:
    """Return int64 (slabs, words) that begins on a cache line, which numpy does not guarantee."""
    if framework(labels) != "numpy":
        return empty_like(labels, (slabs, words), "int64")
    memory = empty_like(labels, (slabs * words + 7,), "int64")
    skip = -(memory.ctypes.data // 8) % 8
    return memory[skip : skip + slabs * words].reshape(slabs, words)


def _plan(
    labels: Any,
    direction: Sequence[int],
    max_lag: int,
    periodic: Sequence[bool],
    mask: Any,
    per_slice: bool,
) -> _Plan:
    """Check the arguments and return the plan for a lattice direction."""
    shape = shape_of(labels, "labels", 3)
    if 0 in shape:
        raise refuse("labels", "not be empty", f"shape {shape}")
    require_mask(mask, shape)
    if not isinstance(direction, Sequence) or len(direction) != 3:
        raise refuse("direction", "be three integers", shown(direction))
    direction = [
        integer(d, name="direction", minimum=-_LONGEST, maximum=_LONGEST) for d in direction
    ]
    if per_slice and direction[0] != 0:
        raise refuse("direction", "stay in a slice with `per_slice`", shown(direction))
    periodic = per_axis_bool(periodic)
    max_lag = integer(max_lag, name="max_lag", minimum=0, maximum=_LONGEST)
    order = _roles(shape, direction, per_slice)
    backward = [axis for axis in range(3) if direction[axis] < 0]
    return _Plan(
        _view(labels, order, backward),
        None if mask is None else _view(mask, order, backward),
        (abs(direction[order[0]]), abs(direction[order[1]]), abs(direction[order[2]])),
        (periodic[order[0]], periodic[order[1]], periodic[order[2]]),
        max_lag,
    )


def _roles(shape: Sequence[int], direction: Sequence[int], per_slice: bool) -> tuple[int, int, int]:
    """Return the axes to use as (slab, row, column).

    Columns are bits, so the best axis has no step (no shifts of bits), is contiguous and fills
    whole words. Rows are the axis of the steps, so that a slab stays in the cache.
    """
    still = [axis for axis in (2, 1, 0) if direction[axis] == 0 and not (per_slice and axis == 0)]

    def worth(axis: int) -> float:
        filled = shape[axis] / -(-shape[axis] // 64) / 64
        return filled * (0.03, 0.1, 1.0)[axis]

    column = max(still, key=worth, default=2)
    rest = [axis for axis in range(3) if axis != column]
    if (
        not per_slice
        and (direction[rest[1]] == 0 or shape[rest[0]] > shape[rest[1]])
        and (direction[rest[0]] != 0)
    ):
        rest.reverse()
    return rest[0], rest[1], column


def _view(array: Any, order: Sequence[int], backward: Sequence[int]) -> Any:
    """Return a view with the axes ``backward`` reversed, then permuted; bool becomes uint8."""
    if str(array.dtype).endswith("bool"):
        kind = framework(array)
        array = array.view(sys.modules["torch"].uint8 if kind == "torch" else "uint8")
    if framework(array) == "torch":
        if backward:
            array = array.flip(tuple(backward))  # torch has no negative strides
        return array.permute(*order)
    for axis in backward:
        array = array[(slice(None),) * axis + (slice(None, None, -1),)]
    return array.transpose(order)
