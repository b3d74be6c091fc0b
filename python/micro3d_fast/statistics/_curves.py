# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Counts along lattice directions, which all directional descriptors are made of."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import _checks, ops
from .._arrays import to_numpy
from ._threads import thread_count
from ._volume import Flags3, LabelVolume, Shape3


@dataclass(frozen=True)
class LatticeLine:
    """A lattice direction through a volume, with the lags and the periodic axes of a curve."""

    volume: LabelVolume
    direction: Shape3
    max_lag: int
    periodic: Flags3 = (False, False, False)
    threads: int = 0

    @classmethod
    def of(
        cls, volume: LabelVolume, axis: Any, max_lag: Any, periodic: Any, threads: Any
    ) -> LatticeLine:
        """Check the arguments of a directional descriptor."""
        direction = _lattice_vector(axis, volume.ndim)
        wrap = volume.periodic_axes(periodic)
        lag = _longest_lag(max_lag, volume.space, direction, wrap[volume.lead :])
        z, y, x = (0,) * volume.lead + direction
        return cls(volume, (z, y, x), lag, wrap, thread_count(threads))

    @property
    def axis(self) -> int | None:
        """Axis of the volume that the line runs along; None if it is oblique."""
        steps = np.flatnonzero(self.direction)
        return int(steps[0]) if len(steps) == 1 else None

    def pairs(self, phase: int | None, other: int | None) -> np.ndarray:
        """Count the voxel pairs (phase, other) at each lag, None for any phase.

        int64 (lags,), or (images, lags) of a batch.
        """
        return self._counted(ops.pair_counts, phase, other)

    def segments(self, phase: int | None) -> np.ndarray:
        """Count the segments in the phase, None for any phase; shape as of `pairs`."""
        return self._counted(ops.segment_counts, phase)

    def all_pairs(self) -> np.ndarray:
        """Count the voxel pairs of any phases; shape (lags,) without a mask, else as of `pairs`."""
        return self.lines() if self.volume.mask is None else self.pairs(None, None)

    def all_segments(self) -> np.ndarray:
        """Count the segments of any phases; shape as of `all_pairs`."""
        return self.lines() if self.volume.mask is None else self.segments(None)

    def lines(self) -> np.ndarray:
        """Return the pairs (and segments) at each lag without a mask; of one image of a batch."""
        shape = (1, *self.volume.shape[1:]) if self.volume.batch else self.volume.shape
        return line_counts(shape, self.direction, self.max_lag, self.periodic)

    @property
    def halo(self) -> Shape3:
        """Voxels that pairs and segments reach beyond their lower corner."""
        z, y, x = (self.max_lag * abs(d) for d in self.direction)
        return z, y, x

    def _counted(self, count: Callable[..., Any], *phases: int | None) -> np.ndarray:
        """Return counts of groups of slices as one curve, or as one curve per image of a batch."""

        def measure(part: LabelVolume, periodic: Flags3) -> np.ndarray:
            counts = to_numpy(
                count(
                    part.labels,
                    *phases,
                    direction=self.direction,
                    max_lag=self.max_lag,
                    periodic=periodic,
                    mask=part.mask,
                    per_slice=part.batch,
                    threads=self.threads,
                )
            )
            return counts if part.batch else counts.sum(0)

        return self.volume.total(measure, halo=self.halo, periodic=self.periodic)


def line_counts(
    shape: Sequence[int],
    direction: Shape3,
    max_lag: int,
    periodic: Flags3 = (False, False, False),
) -> np.ndarray:
    """Return the pairs (and segments) at each lag of a volume without a mask: int64 (lags,)."""
    r = np.arange(max_lag + 1)
    out = np.ones(max_lag + 1, dtype=np.int64)
    for n, d, wrap in zip(shape, direction, periodic, strict=True):
        out *= n if wrap else np.maximum(n - r * abs(d), 0)
    return out


def ratio(hits: np.ndarray, total: np.ndarray) -> np.ndarray:
    """Return hits / total in float64, nan where the total is 0; ``total`` is broadcast."""
    total = np.broadcast_to(total, np.shape(hits))
    out = np.full(np.shape(hits), np.nan)
    return np.divide(hits, total, out=out, where=total > 0)


def _lattice_vector(axis: Any, ndim: int) -> tuple[int, ...]:
    """Return a primitive lattice vector (one integer per axis) from an axis or such a vector."""
    if isinstance(axis, tuple | list | np.ndarray) and np.ndim(axis) == 1:
        vector = tuple(_checks.integer(step, name="axis") for step in axis)
        if len(vector) != ndim or math.gcd(*vector) != 1:
            wanted = (
                f"be an axis or a primitive lattice vector of {ndim} integers without a common "
                "divisor"
            )
            raise _checks.refuse("axis", wanted, str(vector))
        return vector
    number = _checks.axis_number(axis, ndim)
    return tuple(int(k == number) for k in range(ndim))


def _longest_lag(
    max_lag: Any, space: tuple[int, ...], direction: tuple[int, ...], periodic: tuple[bool, ...]
) -> int:
    """Return the longest lag along ``direction``: by default half of the longest line that fits."""
    steps = [(n, abs(d), p) for n, d, p in zip(space, direction, periodic, strict=True) if d]
    if max_lag is None:
        return _checks.lag_limit(None, 1 + min((n - 1) // d for n, d, _ in steps))
    ends = [(n - 1) // d + 1 for n, d, wrap in steps if not wrap]
    if not ends:  # the line closes on itself
        ends = [math.lcm(*(n // math.gcd(n, d) for n, d, _ in steps))]
    return _checks.lag_limit(max_lag, min(ends))
