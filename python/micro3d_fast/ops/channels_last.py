# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Layers of the network on images in the channels-last layout."""

from __future__ import annotations

from .. import _core
from .._arrays import Array
from .device import current_stream

__all__ = [
    "GROUP_NORM_GRADIENT_PARTIALS",
    "GROUP_NORM_PARTIALS",
    "channel_affine",
    "group_norm",
    "group_norm_gradient",
    "unit_rows",
]

#: float32 numbers of scratch memory per image and group that `group_norm` needs on CUDA
GROUP_NORM_PARTIALS: int = _core.GROUP_NORM_PARTIALS

#: the same per image and channel that `group_norm_gradient` needs
GROUP_NORM_GRADIENT_PARTIALS: int = _core.GROUP_NORM_GRADIENT_PARTIALS


def group_norm(
    x: Array,
    *,
    out: Array,
    groups: int,
    weight: Array,
    bias: Array,
    epsilon: float = 1e-5,
    before: Array | None = None,
    scale: Array | None = None,
    shift: Array | None = None,
    silu: bool = False,
    statistics: Array | None = None,
    partials: Array | None = None,
    threads: int = 0,
) -> Array:
    """Normalize ``x + before`` over each group of channels; then weight, scale, shift and SiLU.

    ``out = silu((weight n + bias) (1 + scale) + shift)`` with the normalized images n, statistics
    in float32.

    Parameters
    ----------
    x : array of float32, bfloat16 or float16, shape (B, C, H, W)
        Images, contiguous in the channels-last layout.
    out : array like ``x``
        It may be ``x``.
    groups : int
        Divides C.
    weight, bias, before, scale, shift : arrays, shape (C,) or (1 or B, C)
        Numbers per channel; ``before`` is the bias of the layer before.
    epsilon : float
        Added to the variance.
    silu : bool
        Apply x / (1 + exp(-x)) at the end.
    statistics : array of float32, shape (B, groups, 2), optional
        Receives the mean and 1 / deviation of each group.
    partials : array of float32, optional
        On CUDA: `GROUP_NORM_PARTIALS` numbers per image and group.
    threads : int
        CPU threads, 0 for all.
    """
    _core.group_norm(
        x, out, groups, epsilon, weight, bias, before, scale, shift, silu, statistics, partials,
        current_stream(x), threads,
    )  # fmt: skip
    return out


def group_norm_gradient(
    x: Array,
    gradient: Array,
    *,
    out: Array,
    groups: int,
    weight: Array,
    bias: Array,
    statistics: Array,
    d_weight: Array,
    d_bias: Array,
    scale: Array | None = None,
    shift: Array | None = None,
    d_scale: Array | None = None,
    d_shift: Array | None = None,
    silu: bool = False,
    partials: Array | None = None,
    threads: int = 0,
) -> Array:
    """Compute the gradients of `group_norm`, without ``before``, from that of its result.

    Parameters
    ----------
    x, groups, weight, bias, scale, shift, silu, statistics
        As given to `group_norm` and returned by it.
    gradient : array like ``x``
        Of the result.
    out : array like ``x``
        Receives the gradient of ``x``.
    d_weight, d_bias : arrays of float32, shape (C,)
    d_scale, d_shift : arrays of float32, shape (B, C)
        Receive the gradients of the others.
    partials : array of float32, optional
        On CUDA: `GROUP_NORM_GRADIENT_PARTIALS` numbers per image and channel.
    threads : int
        CPU threads, 0 for all.
    """
    _core.group_norm_gradient(
        x, gradient, out, groups, weight, bias, scale, shift, silu, statistics, d_weight, d_bias,
        d_scale, d_shift, partials, current_stream(x), threads,
    )  # fmt: skip
    return out


def channel_affine(
    x: Array,
    *,
    out: Array,
    bias: Array | None = None,
    scale: Array | None = None,
    add: Array | None = None,
    silu: bool = False,
    threads: int = 0,
) -> Array:
    """Compute ``out = silu((x + bias) scale + add)`` in one pass over images (B, C, H, W).

    ``x``, ``out`` and ``add`` are images as in `group_norm` (``out`` may be one of the others),
    ``bias`` and ``scale`` numbers per channel, (C,) or (1 or B, C); what is None is left out.
    """
    _core.channel_affine(x, out, bias, scale, add, silu, current_stream(x), threads)
    return out


def unit_rows(x: Array, *, out: Array, scale: Array, threads: int = 0) -> Array:
    """Compute ``out = scale x / norm(x)`` of every row, the last axis of contiguous arrays.

    ``scale`` has one number per column, at most 256; ``out`` may be ``x``.
    """
    _core.unit_rows(x, out, scale, current_stream(x), threads)
    return out
