# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""2D samples of a run: their pictures beside crops of the micrographs, and their verdict."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..._atomic import atomic_write
from ..._planes import PLANES
from ...statistics import compare
from ..model import Model
from ..slices import sample_slices

if TYPE_CHECKING:
    from ...micrographs import Micrographs
    from ...statistics import Verdict

__all__ = ["draw_samples", "judge_samples", "save_samples"]

SAMPLES = 8  # per plane
REFERENCE_PIXELS = 1 << 24  # of the micrographs of a plane: about a second for a verdict


def draw_samples(model: Model, device: str) -> dict[str, list[np.ndarray]]:
    """Draw 2D samples of each plane."""
    return {
        plane: list(sample_slices(model, plane, n=SAMPLES, size=model.patch, device=device))
        for plane in PLANES
    }


def judge_samples(samples: dict[str, list[np.ndarray]], micrographs: Micrographs) -> Verdict:
    """Return the verdict on 2D samples; of many micrographs some serve as the reference."""
    images = {}
    for plane, stack in micrographs.images.items():
        step = -(-sum(image.size for image in stack) // REFERENCE_PIXELS)
        images[plane] = stack[::step]
    reference: Any = SimpleNamespace(images=images, phase_names=micrographs.phase_names)
    verdict = compare(samples, reference, splits=1, bootstrap=1).verdict
    assert verdict is not None
    return verdict


def save_samples(
    path: Path, samples: dict[str, list[np.ndarray]], micrographs: Micrographs
) -> None:
    """Save the samples of each plane above crops of the micrographs."""
    rows: dict[str, list[np.ndarray]] = {}
    rng = np.random.default_rng(0)
    for plane in PLANES:
        made, images = samples[plane], micrographs.images[plane]
        h, w = made[0].shape
        real = []
        for _ in made:
            image = images[rng.integers(len(images))]
            y, x = rng.integers(image.shape[0] - h + 1), rng.integers(image.shape[1] - w + 1)
            real.append(image[y : y + h, x : x + w])
        rows |= {f"{plane} samples": made, f"{plane} micrographs": real}
    _save_grid(path, rows, micrographs.n_phases)


def _save_grid(path: Path, rows: dict[str, list[np.ndarray]], n_phases: int) -> None:
    """Save rows of label images as one grey PNG, each with its title above."""
    from PIL import Image, ImageDraw

    gap, title = 4, 12
    height = sum(row[0].shape[0] + gap + title for row in rows.values()) + gap
    width = max(sum(image.shape[1] + gap for image in row) + gap for row in rows.values())
    canvas = np.full((height, width), 255, dtype=np.uint8)
    top, tops = gap, []
    for row in rows.values():
        tops.append(top)
        top, left = top + title, gap
        for image in row:
            h, w = image.shape
            canvas[top : top + h, left : left + w] = image * (220 // max(n_phases - 1, 1))
            left += w + gap
        top += row[0].shape[0] + gap
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as temporary:
        picture = Image.fromarray(canvas)
        for text, place in zip(rows, tops, strict=True):
            ImageDraw.Draw(picture).text((gap, place - 1), text, fill=0)
        picture.save(temporary, format="PNG")
