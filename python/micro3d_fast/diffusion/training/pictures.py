# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Pictures of 2D samples beside crops of the micrographs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..._atomic import atomic_write
from ..._planes import PLANES
from ..model import Model
from ..slices import sample_slices

if TYPE_CHECKING:
    from ...micrographs import Micrographs

__all__ = ["save_samples"]


def save_samples(path: Path, model: Model, micrographs: Micrographs, device: str) -> None:
    """Save 2D samples of each plane above crops of the micrographs."""
    rows = []
    rng = np.random.default_rng(0)
    for plane in PLANES:
        made = sample_slices(model, plane, n=8, size=model.patch, seed=0, device=device)
        images = micrographs.images[plane]
        real = []
        for _ in range(8):
            image = images[rng.integers(len(images))]
            y, x = (rng.integers(s - model.patch + 1) for s in image.shape)
            real.append(image[y : y + model.patch, x : x + model.patch])
        rows += [list(made), real]
    _save_grid(path, rows, micrographs.n_phases)


def _save_grid(path: Path, rows: list[list[np.ndarray]], n_phases: int) -> None:
    """Save rows of label images as one grey PNG; each row of samples is followed by micrographs."""
    from PIL import Image

    gap = 4
    height = sum(row[0].shape[0] + gap for row in rows) + gap
    width = max(sum(image.shape[1] + gap for image in row) + gap for row in rows)
    canvas = np.full((height, width), 255, dtype=np.uint8)
    top = gap
    for row in rows:
        left = gap
        for image in row:
            h, w = image.shape
            canvas[top : top + h, left : left + w] = image * (220 // max(n_phases - 1, 1))
            left += w + gap
        top += row[0].shape[0] + gap
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as temporary:
        Image.fromarray(canvas).save(temporary, format="PNG")
