# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Labelled images and volumes that several tests share.

Functions with a seed take an integer, a sequence of integers or a numpy generator.  Labels are
C-contiguous uint8 arrays, 2D or 3D; masks are bool.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

Seed = int | Sequence[int] | np.random.Generator


def random_labels(shape: Sequence[int], phases: int = 3, seed: Seed = 0) -> np.ndarray:
    """Independent voxels, all phases equally likely."""
    return _generator(seed, shape).integers(0, phases, shape).astype(np.uint8)


def random_mask(shape: Sequence[int], share: float = 0.8, seed: Seed = 1) -> np.ndarray:
    """Independent voxels, True with probability ``share``, and at least one."""
    mask = _generator(seed, shape).random(shape) < share
    mask.flat[0] |= not mask.any()
    return mask


def blobs(shape: Sequence[int], fractions: Sequence[float], seed: Seed = 0) -> np.ndarray:
    """Smooth periodic noise cut at its quantiles: features of a few voxels, exact fractions."""
    noise = np.random.default_rng(seed).standard_normal(shape)
    for axis in range(len(shape)):
        noise = noise + np.roll(noise, 1, axis) + np.roll(noise, 2, axis)
    edges = np.quantile(noise, np.cumsum(fractions)[:-1])
    return np.searchsorted(edges, noise.reshape(-1)).reshape(shape).astype(np.uint8)


def blocks(
    shape: Sequence[int], fractions: Sequence[float], side: int | Sequence[int] = 3, seed: Seed = 0
) -> np.ndarray:
    """Independent blocks of ``side`` voxels (one number, or one per axis): runs along all axes."""
    sides = [side] * len(shape) if isinstance(side, int) else list(side)
    coarse = [-(-n // s) for n, s in zip(shape, sides, strict=True)]
    edges = np.cumsum(fractions)[:-1]
    labels = np.searchsorted(edges, _generator(seed, shape).random(coarse), side="right")
    for axis, s in enumerate(sides):
        labels = np.repeat(labels, s, axis=axis)
    return np.ascontiguousarray(labels[tuple(slice(n) for n in shape)], dtype=np.uint8)


def ball(radius: float, n: int | None = None, ndim: int = 3) -> np.ndarray:
    """Voxels whose centres lie in a ball near the centre of n**ndim voxels, off the lattice."""
    n = 2 * math.ceil(radius) + 5 if n is None else n
    grid = np.indices((n,) * ndim) - (n - 1) / 2 + 0.137
    return ((grid**2).sum(0) <= radius**2).astype(np.uint8)


def spheres(n: int, radius: float, fraction: float, seed: Seed = 0) -> np.ndarray:
    """Overlapping periodic spheres (phase 1) in n**3 voxels, added until ``fraction`` is filled."""
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*3 * [np.arange(n)], indexing="ij"), axis=-1)
    labels = np.zeros((n, n, n), dtype=np.uint8)
    while labels.mean() < fraction:
        distance = np.abs(grid - rng.uniform(0, n, 3))
        distance = np.minimum(distance, n - distance)
        labels[(distance**2).sum(axis=-1) <= radius**2] = 1
    return labels


def small_images(phases: int = 3, longest: int = 7) -> Any:
    """Return a hypothesis strategy: labels in 2D or 3D, every axis 1 ... ``longest`` voxels."""
    from hypothesis import strategies
    from hypothesis.extra import numpy

    return numpy.arrays(
        np.uint8,
        numpy.array_shapes(min_dims=2, max_dims=3, min_side=1, max_side=longest),
        elements=strategies.integers(0, phases - 1),
    )


def _generator(seed: Seed, shape: Sequence[int]) -> np.random.Generator:
    """Return a generator of which images of different shapes are independent."""
    if isinstance(seed, np.random.Generator):
        return seed
    return np.random.default_rng([*np.atleast_1d(seed), *shape])
