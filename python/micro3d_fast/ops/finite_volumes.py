# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Diffusion between two plates on cells: the 7-point operator and its preconditioners."""

from __future__ import annotations

from .. import _core
from .._arrays import Array
from ._shapes import three
from .device import current_stream

__all__ = [
    "multigrid_cycle",
    "multigrid_layout",
    "multigrid_setup",
    "separable_inverse",
    "seven_point",
]


def seven_point(
    codes: Array,
    conductivity: Array,
    *,
    out: Array,
    weights: tuple[float, float, float],
    u: Array | None = None,
    u_low: Array | None = None,
    periodic: tuple[bool, bool] = (False, False),
    binary: bool = False,
    plate: float = 0.0,
    sign: float = 1.0,
    dot: Array | None = None,
    dot_kind: str = "input",
    partials: Array | None = None,
    threads: int = 0,
) -> Array:
    """Apply the cell-centred 7-point diffusion operator between two plates.

    ``out = sign * (A u - b)`` with harmonic faces. The plates are half a cell beyond the ends of
    axis 0; ``b`` is the inflow from the first, at the value ``plate``; the second is at 0.

    Parameters
    ----------
    codes : array of uint8, shape (nz, ny, nx)
        Index into ``conductivity``.
    conductivity : array
        Per code; 0 takes no part. Its dtype is what is computed in.
    out : array of float32 or float64, shape (nz, ny, nx)
        Written. Any strides, 1 along the last axis; ``u`` and ``u_low`` have the same ones.
    weights : three floats
        Area over distance of the faces of the axes.
    u, u_low : array like ``out``, optional
        The field, and what is added to it (float64 computation only); None is zero.
    periodic : two bools
        Axes 1 and 2; no flux otherwise.
    binary : bool
        All conductivities are 0 or 1.
    dot : array of float64, shape (1,), optional
        Written: ``out . u`` or, with ``dot_kind="output"``, ``out . out``.
    """
    _core.seven_point(
        u,
        u_low,
        out,
        codes,
        conductivity,
        weights,
        periodic,
        binary,
        plate,
        sign,
        dot_kind,
        dot,
        partials,
        current_stream(out),
        threads,
    )
    return out


def separable_inverse(
    spectrum: Array,
    eigenvalues: tuple[Array, Array, Array],
    *,
    rz: Array,
    partials: Array | None = None,
    threads: int = 0,
) -> Array:
    """Divide a real spectrum by the sum of its axes' eigenvalues (0 where that is 0), in place.

    ``rz``, shape (1,), receives before . after, in double precision.
    """
    stream = current_stream(spectrum)
    z, y, x = three(eigenvalues, "eigenvalues")
    _core.separable_inverse(spectrum, z, y, x, rz, partials, stream, threads)
    return spectrum


def multigrid_layout(shape: tuple[int, int, int], binary: bool) -> tuple[int, tuple[int, int, int]]:
    """Return the size of the buffer of `multigrid_setup` and the shape of a padded field.

    Cell (z, y, x) is element (z + 1, y + 1, x + 1) of a padded field; rows and planes may be
    longer than that requires.
    """
    floats, padded = _core.multigrid_layout(shape, binary)
    return int(floats), (int(padded[0]), int(padded[1]), int(padded[2]))


def multigrid_setup(
    codes: Array,
    conductivity: Array,
    *,
    weights: tuple[float, float, float],
    periodic: tuple[bool, bool],
    binary: bool,
    buffer: Array,
) -> Array:
    """Fill ``buffer`` (float32, on the CPU) with the levels of the matrix of :func:`seven_point`.

    ``codes`` and ``conductivity`` (float64) as there; ``binary``: all conductivities are 0 or 1.
    """
    _core.multigrid_setup(codes, conductivity, weights, periodic, binary, buffer)
    return buffer


def multigrid_cycle(
    buffer: Array,
    shape: tuple[int, int, int],
    *,
    weights: tuple[float, float, float],
    periodic: tuple[bool, bool],
    binary: bool,
    r: Array,
    z: Array,
    rz: Array,
    visits: int = 2,
    partials: Array | None = None,
    threads: int = 0,
) -> Array:
    """Compute ``z = M r`` by one symmetric multigrid cycle; ``rz`` (float64, shape (1,)) is r . z.

    ``r`` and ``z`` are padded float32 fields, zero in the padding; the levels in ``buffer`` are
    must be for the same shape and options, and serve as scratch memory. ``visits``: 1 is a V-cycle,
    2 a W-cycle.
    """
    stream = current_stream(buffer)
    _core.multigrid_cycle(
        buffer, shape, binary, weights, periodic, z, r, visits, rz, partials, stream, threads
    )
    return z
