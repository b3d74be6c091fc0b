# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Labelled volumes of any size, made quickly on the device that uses them."""

from __future__ import annotations

from typing import Any

import numpy as np


def blobs(n: int, device: str, *, scale: int = 8, seed: int = 0) -> Any:
    """Return two phases with runs of about ``scale`` voxels, as a torch tensor of uint8."""
    import torch
    from torch.nn.functional import interpolate

    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand((max(n // scale, 2),) * 3, generator=generator).to(device)
    out = torch.empty((n, n, n), dtype=torch.uint8, device=device)
    slabs = max(1, (1 << 28) // n**2)  # interpolated slab by slab: float32 of a whole one is large
    at = torch.linspace(0, len(coarse) - 1, n, device=device)
    low = at.long().clamp(max=len(coarse) - 2)
    weight = (at - low)[:, None, None]
    for start in range(0, n, slabs):
        stop = min(n, start + slabs)
        part = slice(start, stop)
        planes = torch.lerp(coarse[low[part]], coarse[low[part] + 1], weight[part])
        planes = interpolate(planes[:, None], size=(n, n), mode="bilinear", align_corners=True)
        out[part] = planes[:, 0] > 0.5
    return out


def spheres(n: int, *, cell: int = 64, fraction: float = 0.31, seed: int = 0) -> np.ndarray:
    """Return spheres in a periodic cell of exact fraction, repeated to n voxels."""
    cell = min(cell, n)
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*[np.arange(cell)] * 3, indexing="ij"), axis=-1) + 0.5
    nearest = np.full((cell,) * 3, np.inf)
    for centre in rng.random((20, 3)) * cell:
        away = np.abs(grid - centre)
        away = np.minimum(away, cell - away)
        nearest = np.minimum(nearest, (away**2).sum(axis=-1))
    cut = np.partition(nearest.ravel(), int(fraction * nearest.size))[int(fraction * nearest.size)]
    return np.tile((nearest < cut).astype(np.uint8), (n // cell,) * 3)
