# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Steps of the conjugate gradient method and dot products."""

from __future__ import annotations

from .. import _core
from .._arrays import Array
from .device import current_stream

__all__ = ["REDUCE_PARTIALS", "cg_direction", "cg_update", "dot", "two_sum"]


#: float64 numbers of scratch memory per load that sums need on CUDA
REDUCE_PARTIALS: int = _core.REDUCE_PARTIALS


def cg_update(
    x: Array,
    r: Array,
    p: Array,
    q: Array,
    *,
    rz: Array,
    pq: Array,
    rr: Array,
    partials: Array | None = None,
    threads: int = 0,
) -> None:
    """Update ``x += a p`` and ``r -= a q`` with ``a = rz / pq`` per load.

    ``a`` is 0 where ``pq`` is 0; ``rr`` receives ``r . r``.
    """
    _core.cg_update(x, r, p, q, rz, pq, rr, partials, current_stream(x), threads)


def cg_direction(
    p: Array,
    z: Array,
    *,
    rz: Array,
    rz_before: Array,
    mask: Array | None = None,
    threads: int = 0,
) -> None:
    """Set ``p = z + b p`` with ``b = rz / rz_before`` per load, and 0 outside the mask.

    ``b`` is 0 where ``rz_before`` is 0.
    """
    _core.cg_direction(p, z, mask, rz, rz_before, current_stream(p), threads)


def two_sum(x: Array, low: Array, *, threads: int = 0) -> None:
    """Replace float32 ``x`` and ``low`` by their rounded sum and the rounding error."""
    _core.two_sum(x, low, current_stream(x), threads)


def dot(
    x: Array, y: Array, *, out: Array, partials: Array | None = None, threads: int = 0
) -> Array:
    """Compute ``x . y`` per load in double precision, independent of ``threads``."""
    _core.dot(x, y, out, partials, current_stream(x), threads)
    return out
