# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The native operators, one typed function each: allocate, find the stream, call the core.

They take numpy, torch or cupy arrays, run where the array lives, on the caller's current stream,
and do not synchronise. A request for CUDA runs on CUDA or raises.
"""

from __future__ import annotations

import math
from typing import Any

from . import _core
from ._arrays import Array, zeros_like
from ._backend import current_stream
from ._bits import pair_counts, segment_counts
from ._checks import axis_number, integer, real

__all__ = [
    "cg_direction",
    "cg_update",
    "dot",
    "green",
    "green_convolve",
    "hex8",
    "pair_counts",
    "phase_strain",
    "reverse_step",
    "run_lengths",
    "segment_counts",
    "separable_inverse",
    "seven_point",
    "two_sum",
]


def reverse_step(
    x: Array,
    net: Array,
    *,
    out: Array,
    a: float,
    b: float,
    noise: float = 0.0,
    net_uncond: Array | None = None,
    guidance: float = 1.0,
    h0: Array | None = None,
    h: float = 0.0,
    clip: tuple[float, float] | None = None,
    out_net: Array | None = None,
    seed: int = 0,
    draw: int = 0,
    origin: tuple[int, int, int] = (0, 0, 0),
    threads: int = 0,
) -> Array:
    r"""One step of the reverse process of the whole volume, fused into one pass over memory.

    The network's output is guided, the posterior mean taken, noise added and, for harmonizing, the
    volume of before blended in; Eq. 8, 9, 16 and 17 of the paper [1]_ all have this form:

    .. math::
        \hat\epsilon &= \omega\, \epsilon(x, c) + (1 - \omega)\, \epsilon(x) \\
        \text{out} &= a\, x + b\, \hat\epsilon + h\, h_0 + \sigma z

    or, with ``clip``, :math:`a x + b\, \mathrm{clamp}(p x + q \hat\epsilon, -1, 1) + h h_0 +
    \sigma z`. The volume is one field over (C, z, y, x); the batch of slices of a plane is only a
    way to lay it out. So every array is given as a view of shape (C, Z, Y, X) with whatever strides
    (of a torch batch: ``batch.permute(...)``), and the step into the next plane's batch is this
    call with an ``out`` of other strides.

    Parameters
    ----------
    x : array of float32, shape (C, Z, Y, X)
        The state. numpy, torch or cupy; any strides; never copied.
    net : array of float32, bfloat16 or float16, same shape
        The network's output :math:`\epsilon(x, c)`.
    out : array of float32, same shape
        Where the result goes. It may share memory with no input.
    a, b : float
        Weights of ``x`` and of the network's output (of the clamped prediction with ``clip``).
    noise : float
        Standard deviation :math:`\sigma` of the noise.
    net_uncond : array like ``net``, optional
        The unconditional output :math:`\epsilon(x)`; not read if ``guidance`` is 1.
    guidance : float
        The weight :math:`\omega`.
    h0 : array of float32, same shape, optional
        The volume to blend in; not read if ``h`` is 0.
    h : float
        Weight of ``h0``.
    clip : (p, q), optional
        Predict the clean volume as ``p x + q e``, clamp it to -1 ... 1, and weigh that with ``b``.
    out_net : array of bfloat16, float16 or float32, same shape, optional
        A second copy of the result, rounded, in a layout of its own: what the network reads next.
    seed : int
        Key of the noise, 0 ... 2**64 - 1.
    draw : int
        Number of this draw, 0 ... 2**32 - 1: each call of a run takes another one.
    origin : (int, int, int)
        Global (z, y, x) of the first voxel, where the arrays are a slab of a larger volume.
    threads : int
        CPU threads, 0 for all. The result does not depend on it. Ignored on CUDA.

    Returns
    -------
    array
        ``out``. On CUDA the values are ready when the current stream gets there.

    Raises
    ------
    TypeError
        An argument is no array, or of another dtype.
    ValueError
        Shapes or devices differ, memory overlaps, ``out`` is a broadcast view, a number is not
        finite, ``guidance`` or ``h`` lacks its array.
    CudaUnavailableError
        An array is on a GPU and this build has no CUDA (see ``cuda_status()``).

    Notes
    -----
    The normals come from Philox4x32-10 [2]_ with key ``seed`` and counter
    ``(x // 4 | c << 24, y, z, draw)`` of the global voxel; its four words give the voxels
    ``x mod 4 = 0 ... 3`` by two Box-Muller pairs. So they depend on nothing but the voxel: neither
    on layout and threads, nor on how a volume is cut into slabs.

    References
    ----------
    .. [1] K.-H. Lee and G. J. Yun, "Denoising diffusion-based synthetic generation of
       three-dimensional (3D) anisotropic microstructures from two-dimensional (2D) micrographs".
    .. [2] J. K. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC'11.
    """
    return _reverse_step(
        x,
        net,
        out=out,
        a=a,
        b=b,
        noise=noise,
        net_uncond=net_uncond,
        guidance=guidance,
        h0=h0,
        h=h,
        clip=clip,
        out_net=out_net,
        seed=seed,
        draw=draw,
        origin=origin,
        threads=threads,
    )


def _reverse_step(
    x: Any,
    net: Any,
    *,
    out: Any,
    a: float,
    b: float,
    noise: float = 0.0,
    net_uncond: Any = None,
    guidance: float = 1.0,
    h0: Any = None,
    h: float = 0.0,
    clip: tuple[float, float] | None = None,
    out_net: Any = None,
    seed: int = 0,
    draw: int = 0,
    origin: tuple[int, int, int] = (0, 0, 0),
    threads: int = 0,
    walk: str = "",  # a CPU walk by name, for tests: base, avx2, avx512, plain, phases
) -> Array:
    guidance = _finite(guidance, "guidance")
    h = _finite(h, "h")
    if guidance != 1.0 and net_uncond is None:
        raise ValueError(f"`guidance` other than 1 needs `net_uncond`, got {guidance} without it")
    if h != 0.0 and h0 is None:
        raise ValueError(f"`h` other than 0 needs `h0`, got {h} without it")
    if clip is not None:
        if len(clip) != 2:
            raise ValueError(f"`clip` must be (p, q) or None, got {clip!r}")
        clip = (_finite(clip[0], "clip[0]"), _finite(clip[1], "clip[1]"))
    if len(origin) != 3:
        raise ValueError(f"`origin` must be (z, y, x), got {origin!r}")
    z, y, x0 = origin
    _core.reverse_step(
        x,
        net,
        net_uncond if guidance != 1.0 else None,
        h0 if h != 0.0 else None,
        out,
        out_net,
        _finite(a, "a"),
        _finite(b, "b"),
        real(noise, name="noise", minimum=0.0),
        h,
        guidance,
        clip,
        _below(seed, 2**64, "seed"),
        _below(draw, 2**32, "draw"),
        (_below(z, 2**32, "origin"), _below(y, 2**32, "origin"), _below(x0, 2**32, "origin")),
        current_stream(x),
        _below(threads, 2**31, "threads"),
        walk,
    )
    return out


def _finite(value: Any, name: str) -> float:
    """`real`, at once for what is a plain float: a sampler calls these thousands of times."""
    if type(value) is float and -math.inf < value < math.inf:
        return value
    return real(value, name=name)


def _below(value: Any, limit: int, name: str) -> int:
    """An integer 0 ... limit - 1, at once for a plain int."""
    if type(value) is int and 0 <= value < limit:
        return value
    return integer(value, name=name, minimum=0, maximum=limit - 1)


def run_lengths(
    labels: Array,
    *,
    axis: int | str,
    n_phases: int,
    periodic: bool = False,
    mask: Array | None = None,
    threads: int = 0,
) -> tuple[Array, Array]:
    """Histogram of the maximal runs of every phase along one axis, from one scan.

    Everything that lineal paths and chord lengths need: a run of ``n`` voxels holds
    ``max(n - r, 0)`` segments of ``r + 1`` voxels.

    Parameters
    ----------
    labels : array of uint8 or bool, shape (nz, ny, nx) or (ny, nx)
        Phase of every voxel. numpy, torch or cupy; any strides; never copied. Labels of
        ``n_phases`` and more end runs and are not counted.
    axis : int or {"z", "y", "x"}
        Direction of the runs, an axis of ``labels``.
    n_phases : int
        Phases 0 ... ``n_phases - 1`` are counted; 1 ... 256.
    periodic : bool
        Let runs cross the faces of the volume.
    mask : array of uint8 or bool, same shape
        Voxels outside (zero) belong to no phase. None: every voxel counts.
    threads : int
        CPU threads, 0 for all. The result does not depend on it. Ignored on CUDA.

    Returns
    -------
    counts : array of int64, shape (n_phases, N + 1)
        ``counts[p, n]``: maximal runs of exactly ``n`` voxels of phase ``p``; ``N`` is the extent
        along ``axis``. Same framework and device as ``labels``.
    full : array of int64, shape (n_phases,)
        Rows of a periodic axis that lie wholly in the phase: their runs have no ends and are not in
        ``counts``. Zero if not periodic.

    Raises
    ------
    TypeError
        ``labels`` or ``mask`` is not an array of uint8 or bool.
    ValueError
        A shape, ``axis`` or ``n_phases`` is out of range; ``mask`` is on another device.

    Examples
    --------
    >>> import numpy as np
    >>> row = np.array([[0, 1, 1, 0, 0]], dtype=np.uint8)
    >>> run_lengths(row, axis="x", n_phases=2)[0]
    array([[0, 1, 1, 0, 0, 0],
           [0, 0, 1, 0, 0, 0]])
    >>> run_lengths(row, axis="x", n_phases=2, periodic=True)[0]
    array([[0, 0, 0, 1, 0, 0],
           [0, 0, 1, 0, 0, 0]])
    """
    return _run_lengths(
        labels, axis, n_phases, periodic=periodic, mask=mask, threads=threads, phases_on_host=False
    )


def _run_lengths(
    labels: Any,
    axis: int | str,
    n_phases: int,
    *,
    periodic: bool,
    mask: Any,
    threads: int,
    phases_on_host: bool,  # the CUDA schedule, thread by thread on the host: for tests
) -> tuple[Array, Array]:
    shape = getattr(labels, "shape", None)
    if shape is None:
        raise TypeError(f"`labels` must be an array, got {type(labels).__name__}")
    if len(shape) not in (2, 3):
        raise ValueError(f"`labels` must have 2 or 3 axes, got shape {tuple(shape)}")
    axis = axis_number(axis, len(shape))
    n_phases = integer(n_phases, name="n_phases", minimum=1, maximum=256)
    threads = integer(threads, name="threads", minimum=0)
    if mask is not None and tuple(getattr(mask, "shape", ())) != tuple(shape):
        raise ValueError(
            f"`mask` must have the shape of `labels` {tuple(shape)}, "
            f"got {tuple(getattr(mask, 'shape', ()))}"
        )
    counts = zeros_like(labels, (n_phases, int(shape[axis]) + 1), "int64")
    full = zeros_like(labels, (n_phases,), "int64")
    if len(shape) == 2:
        labels, mask = labels[None], None if mask is None else mask[None]
        axis += 1
    stream = current_stream(labels)
    _core.run_lengths(
        labels, mask, counts, full, axis, bool(periodic), stream, threads, phases_on_host
    )
    return counts, full


# ------------------------------------------------------- homogenization (solver building blocks)
#
# They write into arrays that the solver allocated once, so that nothing is allocated (and, on
# CUDA, nothing waits) inside an iteration. Fields have a first axis of loads; the scalars of every
# load are float64 arrays on the device of the fields. `partials` is scratch space that sums need on
# CUDA: float64, HEX8_PARTIALS for hex8, REDUCE_PARTIALS per load for the others.


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
    r"""Matrix-free trilinear hex8 operator on a periodic voxel grid, full 2 x 2 x 2 integration.

    ``out = sign * (A u + f)``, where ``f`` are the nodal forces of the uniform strain ``macro``;
    the unit element and its scaling are described in ``csrc/ops/hex8.hpp``. Stored in float32 and
    computed in float32 or, for a field that is the sum of two floats, in float64; or float64.

    Parameters
    ----------
    labels : array of uint8, shape (nz, ny, nx)
        Phase of every voxel; smaller than the number of columns of ``mean``.
    model : str
        ``conduction_isotropic`` (1 coefficient), ``conduction_anisotropic`` (6),
        ``elasticity_isotropic`` (2: lambda, mu), ``elasticity_orthotropic`` (9: C11 C22 C33 C23
        C13 C12 C44 C55 C66) or ``elasticity_anisotropic`` (21: upper triangle, row by row).
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
        What the first mode adds to ``symbol`` with B-bar.
    """
    _core.green(
        spectrum, nx, *tables, symbol, first or [], rz, partials, current_stream(spectrum), threads
    )
    return spectrum


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
    """``z`` = G ``r``: :func:`green` with its transforms forth and back, in one walk on the CPU.

    Parameters
    ----------
    r, z : arrays of float32 or float64, shape (loads, components, nz, ny, nx)
        No length may have a prime factor above 13 (``_core.green_convolve_takes``).
    symbol, first : list of float
        As for :func:`green`.
    spectrum : array like r, shape (loads, ny // 2 + 1, components, nz, 2, nx)
        Scratch space.
    rz : array of float64, shape (loads,)
        Written: r . z.
    """
    _core.green_convolve(r, z, spectrum, symbol, first or [], rz, threads)
    return z


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
    _core.separable_inverse(spectrum, *eigenvalues, rz, partials, stream, threads)
    return spectrum


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
    """Cell-centred 7-point diffusion between two plates half a cell beyond the ends of axis 0.

    ``out = sign * (A u - b)`` with harmonic faces; ``b`` is what the first plate at the value
    ``plate`` drives in, the second is at 0.

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
        Axes 1 and 2; shut otherwise.
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
    """``x += a p``, ``r -= a q`` with ``a = rz / pq`` of every load (0 if ``pq`` is 0); ``rr``
    receives ``r . r``. One walk."""
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
    """``p = z + b p`` with ``b = rz / rz_before`` of every load (0 if that is 0), and 0 outside the
    mask. One walk."""
    _core.cg_direction(p, z, mask, rz, rz_before, current_stream(p), threads)


def two_sum(x: Array, low: Array, *, threads: int = 0) -> None:
    """``x + low``, kept as the rounded sum and what the rounding lost; float32, in place."""
    _core.two_sum(x, low, current_stream(x), threads)


def dot(
    x: Array, y: Array, *, out: Array, partials: Array | None = None, threads: int = 0
) -> Array:
    """``x . y`` of every load in double precision, independent of ``threads``."""
    _core.dot(x, y, out, partials, current_stream(x), threads)
    return out


def phase_strain(
    u: Array,
    labels: Array,
    *,
    out: Array,
    u_low: Array | None = None,
    partials: Array | None = None,
    threads: int = 0,
) -> Array:
    """Sum, over the voxels of every phase, of their mean strain or gradient in unit elements.

    ``u`` (plus ``u_low``) has shape (loads, 3 or 1, nz, ny, nx); ``out``, float64 of shape (loads,
    phases, 6 or 3), is written: 11, 22, 33, 23, 13, 12 with engineering shear, or x, y, z. On CUDA
    ``partials`` holds ``REDUCE_PARTIALS + 1`` float64 per load.
    """
    _core.phase_strain(u, u_low, labels, out, partials, current_stream(u), threads)
    return out


def multigrid_layout(shape: tuple[int, int, int], binary: bool) -> tuple[int, tuple[int, int, int]]:
    """Floats that the levels of :func:`multigrid_setup` need, and the shape of a padded field.

    Cell (z, y, x) is element (z + 1, y + 1, x + 1) of a padded field; rows and planes may be longer
    than that needs.
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
    """``z = M r`` by one symmetric multigrid cycle; ``rz`` (float64, shape (1,)) receives r . z.

    ``r`` and ``z`` are padded float32 fields, zero in the padding; the levels in ``buffer`` are
    those of the same shape and options, and are scratch space too. ``visits``: 1 is a V-cycle, 2 a
    W-cycle.
    """
    stream = current_stream(buffer)
    _core.multigrid_cycle(
        buffer, shape, binary, weights, periodic, z, r, visits, rz, partials, stream, threads
    )
    return z
