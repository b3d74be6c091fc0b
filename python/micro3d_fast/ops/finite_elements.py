# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Trilinear hexahedra on a periodic voxel grid: the operator, its Green operator, strain sums.

Nothing is allocated here: results go into arrays that the solver keeps, so an iteration never waits
for an allocation. Fields have a first axis of loads; the scalars per load are float64 arrays on the
device of the fields. ``partials`` is scratch memory for sums, needed on CUDA only: float64,
``HEX8_PARTIALS`` numbers for `hex8`, ``REDUCE_PARTIALS`` per load for the other functions.
"""

from __future__ import annotations

from dataclasses import dataclass

from .. import _core
from .._arrays import Array
from ._shapes import three
from .device import current_stream

__all__ = [
    "HEX8_MODELS",
    "HEX8_PARTIALS",
    "Hex8Model",
    "green",
    "green_convolve",
    "green_convolve_takes",
    "hex8",
    "phase_strain",
]


#: float64 numbers of scratch memory that `hex8` needs on CUDA
HEX8_PARTIALS: int = _core.HEX8_PARTIALS


@dataclass(frozen=True)
class Hex8Model:
    """Sizes of an element model of `hex8`."""

    components: int  #: of the field
    coefficients: int  #: per phase
    strains: int  #: components of the strain or gradient
    float32_only: bool  #: not compiled for float64 arithmetic


#: name -> sizes of every element model that the core is compiled for
HEX8_MODELS: dict[str, Hex8Model] = {
    name: Hex8Model(*sizes) for name, sizes in _core.HEX8_MODELS.items()
}


def hex8(
    labels: Array,
    model: str,
    mean: Array,
    *,
    out: Array,
    macro: Array,
    u: Array | None = None,
    u_low: Array | None = None,
    rest: Array | None = None,
    directions: Array | None = None,
    fibre: Array | None = None,
    sign: float = 1.0,
    dot: Array | None = None,
    dot_kind: str = "input",
    partials: Array | None = None,
    threads: int = 0,
) -> Array:
    r"""Apply the matrix-free trilinear hex8 operator, with full 2 x 2 x 2 integration.

    ``out = sign * (A u + f)``, where ``f`` are the nodal forces of the uniform strain ``macro``;
    the unit element and its scaling are described in ``csrc/ops/hex8.hpp``. Stored in float32 and
    computed in float32 or, for a field that is the sum of two floats, in float64; or float64.

    Parameters
    ----------
    labels : array of uint8, shape (nz, ny, nx)
        Phase of every voxel; smaller than the number of columns of ``mean``.
    model : str
        A name in ``HEX8_MODELS``. Order of the coefficients: k of ``conduction_isotropic``; k11
        k22 k33 k23 k13 k12 of ``conduction_anisotropic``; lambda, mu of ``elasticity_isotropic``;
        C11 C22 C33 C23 C13 C12 C44 C55 C66 of ``elasticity_orthotropic``; the upper triangle, row
        by row, of ``elasticity_anisotropic``.
    mean, rest : array, shape (coefficients, phases)
        Coefficients of the mean strain, and of the other modes of the element (default: the same;
        B-bar gives others). Their dtype, float32 or float64, is what is computed in.
    out : array of float32 or float64, shape (loads, components, nz, ny, nx)
        Written. Components x, y, z, or one.
    macro : array, shape (loads, 6) or (loads, 3)
        Uniform strain, engineering shear, or uniform gradient; dtype of ``mean``.
    u, u_low : array like ``out``, optional
        The field, and what is added to it (float64 computation only); None is zero.
    directions : array like ``out``, shape (3, nz, ny, nx), optional
        Unit vectors (x, y, z) of the fibres, for the phases with ``fibre``.
    fibre : array, shape (6, phases), optional
        lambda, mu_T, a, mu_L - mu_T, b, and 1 where the phase follows ``directions``.
    sign : float
        Factor of the whole result.
    dot : array of float64, shape (loads,), optional
        Written: ``out . u`` (``dot_kind="input"``) or ``out . out`` (``"output"``), in double
        precision, independent of ``threads``.
    partials : array of float64, optional
        Scratch space, needed on CUDA with ``dot``.
    threads : int
        CPU threads, 0 for all. The result does not depend on it.

    Returns
    -------
    array
        ``out``.
    """
    _core.hex8(
        u,
        u_low,
        out,
        labels,
        model,
        mean,
        mean if rest is None else rest,
        directions,
        fibre,
        macro,
        sign,
        dot_kind,
        dot,
        partials,
        current_stream(out),
        threads,
    )
    return out


def green(
    spectrum: Array,
    nx: int,
    tables: tuple[Array, Array, Array],
    symbol: list[float],
    *,
    rz: Array,
    first: list[float] | None = None,
    divide: bool = False,
    partials: Array | None = None,
    threads: int = 0,
) -> Array:
    """Multiply a spectrum by the discrete Green operator of a uniform medium, in place.

    The symbol of the hex8 operator is evaluated and inverted on the fly; the mean becomes zero.

    Parameters
    ----------
    spectrum : array of complex64 or complex128, shape (loads, components, nz, ny, nx // 2 + 1)
        ``rfftn`` of the residual, not normalised.
    nx : int
        Extent of the real field along x.
    tables : three arrays, shape (4, nz), (4, ny), (4, nx // 2 + 1)
        ``2 - 2 cos``, ``(8 + 4 cos) / 3``, ``2 sin`` and ``2 + 2 cos`` of the wave angles.
    symbol : list of float
        Rows 11, 22, 33, 23, 13, 12 of the symbol (one row for one component) over the products M in
        the same order, row by row.
    rz : array of float64, shape (loads,)
        Written: residual . result of the real fields (Parseval).
    first : list of float, optional
        Added to ``symbol`` for the first mode with B-bar.
    divide : bool
        Divide by the number of voxels too, for an inverse transform that does not.
    """
    stream = current_stream(spectrum)
    table_z, table_y, table_x = three(tables, "tables")
    _core.green(
        spectrum, nx, table_z, table_y, table_x, symbol, first or [], divide, rz, partials, stream,
        threads,
    )  # fmt: skip
    return spectrum


def green_convolve_takes(grid: tuple[int, int, int]) -> bool:
    """Return whether `green_convolve` has transforms for the grid (nz, ny, nx)."""
    return bool(_core.green_convolve_takes(*three(grid, "grid")))


def green_convolve(
    r: Array,
    symbol: list[float],
    *,
    z: Array,
    spectrum: Array,
    rz: Array,
    first: list[float] | None = None,
    threads: int = 0,
) -> Array:
    """Compute ``z`` = G ``r``: `green` with its forward and inverse transforms, on the CPU.

    Parameters
    ----------
    r, z : arrays of float32 or float64, shape (loads, components, nz, ny, nx)
        No length may have a prime factor above 13 (`green_convolve_takes`).
    symbol, first : list of float
        As for :func:`green`.
    spectrum : array like r, shape (loads, ny // 2 + 1, components, nz, 2, nx)
        Scratch space.
    rz : array of float64, shape (loads,)
        Written: r . z.
    """
    _core.green_convolve(r, z, spectrum, symbol, first or [], rz, threads)
    return z


def phase_strain(
    u: Array,
    labels: Array,
    *,
    out: Array,
    u_low: Array | None = None,
    partials: Array | None = None,
    threads: int = 0,
) -> Array:
    """Sum the mean strains or gradients, in unit elements, of the voxels of every phase.

    ``u`` (plus ``u_low``) has shape (loads, 3 or 1, nz, ny, nx); ``out``, float64 of shape (loads,
    phases, 6 or 3), is written: 11, 22, 33, 23, 13, 12 with engineering shear, or x, y, z. On CUDA
    ``partials`` holds ``REDUCE_PARTIALS`` float64 per load.
    """
    _core.phase_strain(u, u_low, labels, out, partials, current_stream(u), threads)
    return out
