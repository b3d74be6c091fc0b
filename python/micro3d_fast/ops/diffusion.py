# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The reverse step of the diffusion model."""

from __future__ import annotations

import math
from typing import Any

from .. import _core
from .._arrays import Array
from .._checks import integer, real, refuse
from .device import current_stream

__all__ = [
    "MEAN_HOLD_GRID",
    "MEAN_HOLD_PARTIALS",
    "MEAN_HOLD_STEPS",
    "couple",
    "hold_mean",
    "mean_hold_sums",
    "reverse_step",
]

#: float64 numbers of scratch memory per volume and channel that `hold_mean` needs on CUDA
MEAN_HOLD_PARTIALS: int = _core.MEAN_HOLD_PARTIALS
#: steps of Newton's method by which `hold_mean` finds w, and the inverse of the grid of w
MEAN_HOLD_STEPS: int = _core.MEAN_HOLD_STEPS
MEAN_HOLD_GRID: float = _core.MEAN_HOLD_GRID


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
    r"""Compute one step of the reverse process of the whole volume in one pass over memory.

    Guidance, the posterior mean, noise and, for harmonizing, blending with an earlier volume:
    Eq. 8, 9, 16 and 17 of the paper [1]_ all have this form:

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
        A second copy of the result, rounded, in its own layout: the next input of the network.
    seed : int
        Key of the noise, 0 ... 2**64 - 1.
    draw : int
        Number of this draw, 0 ... 2**32 - 1; different in each call of a run.
    origin : (int, int, int)
        Global (z, y, x) of the first voxel, where the arrays are a slab of a larger volume.
    threads : int
        CPU threads, 0 for all. The result does not depend on it. Ignored on CUDA.

    Returns
    -------
    array
        ``out``. On CUDA its values are written in the order of the current stream.

    Raises
    ------
    TypeError
        An argument is not an array, or has another dtype.
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
    guidance = _finite(guidance, "guidance")
    h = _finite(h, "h")
    if guidance != 1.0 and net_uncond is None:
        raise refuse("net_uncond", "be given with `guidance` other than 1", f"None with {guidance}")
    if h != 0.0 and h0 is None:
        raise refuse("h0", "be given with `h` other than 0", f"None with {h}")
    if clip is not None:
        if len(clip) != 2:
            raise refuse("clip", "be (p, q) or None", repr(clip))
        clip = (_finite(clip[0], "clip[0]"), _finite(clip[1], "clip[1]"))
    if len(origin) != 3:
        raise refuse("origin", "be (z, y, x)", repr(origin))
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
        threads,
    )
    return out


def hold_mean(
    x: Array,
    net: Array,
    net_uncond: Array | None = None,
    *,
    mean: Array,
    tilt: Array,
    p: float,
    q: float,
    part: tuple[int, int, int],
    every: int = 1,
    guidance: float = 1.0,
    given: bool = False,
    partials: Array | None = None,
    threads: int = 0,
) -> None:
    r"""Change the network's outputs so that the predicted volume has the wanted mean.

    .. math::
        x_0 &= \mathrm{clamp}(p\, x + q\, \hat\epsilon, -0.999, 0.999) \\
        y &= (x_0 + \tanh w) / (1 + x_0 \tanh w)

    with :math:`\hat\epsilon` as in `reverse_step`. Four steps of Newton's method, of 0.5 at most,
    find the ``w`` of each volume and channel for which y has the wanted mean; it is rounded to a
    multiple of 1/4096, so that the order of a sum hardly matters. Then :math:`(y - x_0) / q` is
    added to the outputs.

    Parameters
    ----------
    x : array of float32, shape (N, S, C, H, W)
        N volumes, each as S slices; any strides.
    net, net_uncond : arrays of float32, bfloat16 or float16, same shape
        The network's outputs, which are changed; with ``net_uncond`` they are weighed by
        ``guidance`` and 1 - ``guidance``.
    mean : array of float32, shape (C,)
        The wanted mean.
    tilt : array of float32, shape (N, C)
        Where the search of w begins, and where its result goes.
    p, q : float
        Weights of ``x`` and of the network's output.
    part : (int, int, int)
        Number of slices, rows and columns over which the mean is taken.
    every : int
        Only each ``every``-th slice of the part counts.
    guidance : float
        Weight of ``net``; not used without ``net_uncond``.
    given : bool
        Take ``tilt`` as it is: w is not searched.
    partials : array of float64, optional
        On CUDA: `MEAN_HOLD_PARTIALS` numbers per volume and channel.
    threads : int
        CPU threads, 0 for all. The result does not depend on it. Ignored on CUDA.
    """
    if len(part) != 3:
        raise refuse("part", "be (slices, rows, columns)", repr(part))
    _core.hold_mean(
        x,
        net,
        net_uncond,
        mean,
        tilt,
        _finite(p, "p"),
        _finite(q, "q"),
        _finite(guidance, "guidance"),
        part,
        integer(every, name="every", minimum=1),
        partials,
        current_stream(x),
        threads,
        given,
    )


def mean_hold_sums(
    x: Array,
    net: Array,
    net_uncond: Array | None = None,
    *,
    tilt: Array,
    out: Array,
    p: float,
    q: float,
    part: tuple[int, int, int],
    every: int = 1,
    guidance: float = 1.0,
    threads: int = 0,
) -> Array:
    r"""Sum y and :math:`y^2` of `hold_mean` over each slice, with w given.

    Added over all slabs of a volume, they give a step of Newton's method for the whole volume.
    The sum over the blocks of a slice depends on that slice alone.

    Parameters
    ----------
    x, net, net_uncond, p, q, part, every, guidance, threads
        As for `hold_mean`; the outputs are not changed.
    tilt : array of float32, shape (N, C)
        w.
    out : array of float64, shape (N, C, K, B, 2)
        The sums of y and of :math:`y^2` of the K slices that count.  On CUDA each slice is the
        work of B blocks; on the CPU all but the first hold 0.

    Returns
    -------
    array
        ``out``.
    """
    if len(part) != 3:
        raise refuse("part", "be (slices, rows, columns)", repr(part))
    _core.mean_hold_sums(
        x,
        net,
        net_uncond,
        tilt,
        out,
        _finite(p, "p"),
        _finite(q, "q"),
        _finite(guidance, "guidance"),
        part,
        integer(every, name="every", minimum=1),
        current_stream(x),
        threads,
    )
    return out


def couple(
    x: Array,
    net: Array,
    net_uncond: Array | None = None,
    *,
    x0: Array,
    strength: Array,
    periodic: tuple[bool, bool],
    p: float,
    q: float,
    guidance: float = 1.0,
    earlier: Array | None = None,
    prior: Array | None = None,
    evidence: float = 0.0,
    agreement: float = 0.0,
    threads: int = 0,
) -> None:
    r"""Multiply the odds of the predicted volume, by neighbours and by earlier passes.

    .. math::
        w &= \sum_a J_a\, (x_0^- - 2 x_0 + x_0^+) + e \\
        y &= (x_0 + \tanh w) / (1 + x_0 \tanh w) \\
        e &\leftarrow r\, (e + [\mathrm{artanh}\, x_0] - [m + v\, x])

    with :math:`x_0` as in `hold_mean`, its neighbours :math:`x_0^\pm` between rows and between
    columns, and :math:`[\cdot]` limited to -1 ... 1. Then :math:`(y - x_0) / q` is added to the
    outputs.

    Parameters
    ----------
    x, net, net_uncond, p, q, guidance, threads
        As for `hold_mean`.
    x0 : array of float32, of the shape of ``x``, contiguous
        Where the prediction goes.
    strength : array of float32, shape (C, 2)
        J of each channel, between rows and between columns.
    periodic : (bool, bool)
        Whether the last row is a neighbour of the first, and the last column. At other ends the
        prediction goes on as it is.
    earlier : array of float32, same shape, contiguous, optional
        e of earlier passes, which is changed; without it they do not count.
    prior : array of float32, shape (N, C)
        m: half the log odds of each phase; needed with ``earlier``.
    evidence : float
        v: half the log odds that a unit of ``x`` is worth.
    agreement : float
        r: what one pass weighs in the next.
    """
    _core.couple(
        x,
        net,
        net_uncond,
        x0,
        strength,
        periodic,
        earlier,
        prior,
        _finite(evidence, "evidence"),
        _finite(agreement, "agreement"),
        _finite(p, "p"),
        _finite(q, "q"),
        _finite(guidance, "guidance"),
        current_stream(x),
        threads,
    )


def _finite(value: Any, name: str) -> float:
    """Return `real` of the value, fast for a plain float: samplers call this thousands of times."""
    if type(value) is float and -math.inf < value < math.inf:
        return value
    return real(value, name=name)


def _below(value: Any, limit: int, name: str) -> int:
    """Return an integer 0 ... limit - 1, fast for a plain int."""
    if type(value) is int and 0 <= value < limit:
        return value
    return integer(value, name=name, minimum=0, maximum=limit - 1)
