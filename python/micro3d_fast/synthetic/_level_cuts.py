# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Gaussian random fields cut at levels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .. import _checks
from ..microstructure import Microstructure
from ..typing import VoxelSize
from ._common import Draw, check_fraction, check_fractions, make_microstructure


def separator(
    shape: Sequence[int],
    volume_fraction: float = 0.40,
    correlation_length: float | Sequence[float] = (7.0, 7.0, 3.5),
    seed: int = 0,
    *,
    periodic: bool | Sequence[bool] = False,
    voxel_size: VoxelSize = 1.0,
) -> Microstructure:
    """Return a polymer like a battery separator: an anisotropic Gaussian field, cut at a level.

    Both phases are connected, thin along x and long along y and z, which are statistically alike.

    Parameters
    ----------
    shape : (nz, ny, nx)
        In voxels.
    volume_fraction : float
        Of the polymer; met exactly, to one voxel.
    correlation_length : float or (lz, ly, lx)
        In voxels; the field's autocorrelation is ``exp(-(z/lz)^2 - (y/ly)^2 - (x/lx)^2)``.
    seed : int
        Decides the volume.
    periodic : bool or (bool, bool, bool)
        Axes whose faces join.
    voxel_size : float or (dz, dy, dx)
        In metres.

    Returns
    -------
    Microstructure
        Phases ``pore`` and ``polymer``; its S2 is :func:`level_cut_two_point` of the field's
        autocorrelation.
    """
    fraction = check_fraction(volume_fraction)
    return _level_cut(
        "separator",
        shape,
        (1.0 - fraction, fraction),
        correlation_length,
        seed,
        periodic,
        ("pore", "polymer"),
        voxel_size,
    )


def level_cut(
    shape: Sequence[int],
    volume_fractions: Sequence[float] = (0.5, 0.5),
    correlation_length: float | Sequence[float] = 4.0,
    seed: int = 0,
    *,
    periodic: bool | Sequence[bool] = False,
    voxel_size: VoxelSize = 1.0,
) -> Microstructure:
    """Cut one Gaussian field at levels into any number of phases; low values are phase 0.

    Parameters
    ----------
    shape : (nz, ny, nx)
        In voxels.
    volume_fractions : sequence of float
        One per phase, with sum 1; met exactly, to one voxel.
    correlation_length : float or (lz, ly, lx)
        In voxels; the field's autocorrelation is ``exp(-(z/lz)^2 - (y/ly)^2 - (x/lx)^2)``.
    seed : int
        Decides the volume.
    periodic : bool or (bool, bool, bool)
        Axes whose faces join.
    voxel_size : float or (dz, dy, dx)
        In metres.

    Returns
    -------
    Microstructure
    """
    fractions = check_fractions(volume_fractions)
    return _level_cut(
        "level_cut", shape, fractions, correlation_length, seed, periodic, (), voxel_size
    )


def level_cut_two_point(volume_fraction: float, autocorrelation: ArrayLike) -> np.ndarray:
    """Return S2 of the phase above or below a level of a Gaussian field.

    Parameters
    ----------
    volume_fraction : float
        Of the phase.
    autocorrelation : array
        Of the field, in [-1, 1].

    Returns
    -------
    array
        ``f^2 + 1/(2 pi) int_0^rho exp(-t^2/(1+s)) / sqrt(1-s^2) ds``, ``t`` the level: 1/4 +
        arcsin(rho) / (2 pi) for one half.
    """
    from scipy.special import ndtri

    fraction = check_fraction(volume_fraction)
    rho = np.clip(np.asarray(autocorrelation, dtype=np.float64), -1.0, 1.0)
    level = float(ndtri(fraction))
    nodes, weights = np.polynomial.legendre.leggauss(64)
    angle = np.arcsin(rho)  # s = sin(angle) takes the root away
    u = 0.5 * angle[..., None] * (nodes + 1.0)
    integrand = np.exp(-(level**2) / (1.0 + np.sin(u)))
    return fraction**2 + (0.5 * angle) * np.sum(weights * integrand, axis=-1) / (2.0 * np.pi)


def _level_cut(
    generator: str,
    shape: Any,
    fractions: tuple[float, ...],
    correlation_length: Any,
    seed: Any,
    periodic: Any,
    names: tuple[str, ...],
    voxel_size: Any,
) -> Microstructure:
    """Return a cut Gaussian field under the name of its generator."""
    draw = Draw.of(shape, seed, periodic)
    lengths = _check_lengths(correlation_length)
    labels = cut(gaussian_field(draw, lengths), fractions)
    parameters = draw.parameters(volume_fractions=fractions, correlation_length=lengths)
    facts = {
        "field_autocorrelation": "exp(-(z/lz)^2 - (y/ly)^2 - (x/lx)^2)",
        "two_point": "synthetic.level_cut_two_point(volume_fraction, field_autocorrelation)",
    }
    return make_microstructure(generator, labels, names, parameters, facts, voxel_size)


def gaussian_field(draw: Draw, lengths: tuple[float, float, float]) -> np.ndarray:
    """Filter white noise by the square root of the spectrum; float32, unit variance on average."""
    from scipy import fft

    margin = tuple(math.ceil(2.5 * length) for length in lengths)
    box = tuple(
        outer if wrap else fft.next_fast_len(outer, real=True)
        for outer, wrap in zip(draw.outer_box(margin), draw.wraps, strict=True)
    )
    spectrum = fft.rfftn(draw.rng.standard_normal(box, dtype=np.float32))
    power = 1.0
    for axis, (n, length) in enumerate(zip(box, lengths, strict=True)):
        k = 2.0 * np.pi * (fft.rfftfreq(n) if axis == 2 else fft.fftfreq(n))
        amplitude = np.exp(-((k * length) ** 2) / 8.0)
        full = (
            amplitude if axis < 2 else np.exp(-((2.0 * np.pi * fft.fftfreq(n) * length) ** 2) / 8)
        )
        power *= float(np.mean(full**2))
        spectrum *= amplitude.astype(np.float32).reshape([-1 if a == axis else 1 for a in range(3)])
    field = fft.irfftn(spectrum, s=box, overwrite_x=True)
    return field[tuple(slice(n) for n in draw.size)] / np.float32(math.sqrt(power))


def cut(field: np.ndarray, fractions: tuple[float, ...]) -> np.ndarray:
    """Return phases by rank of the field: exact numbers of voxels, ties broken by position."""
    ends = np.round(np.cumsum(fractions) * field.size).astype(np.int64)[:-1]
    flat = np.ascontiguousarray(field).reshape(-1)
    inner = np.unique(ends[(ends > 0) & (ends < flat.size)])
    order = np.argpartition(flat, inner) if inner.size else np.arange(flat.size)
    labels = np.empty(flat.size, dtype=np.uint8)
    for phase, part in enumerate(np.split(order, ends)):
        labels[part] = phase
    return labels.reshape(field.shape)


def _check_lengths(value: Any) -> tuple[float, float, float]:
    """Return ``correlation_length`` as (lz, ly, lx)."""
    return _checks.lengths3(value, name="correlation_length", axes="(lz, ly, lx)")
