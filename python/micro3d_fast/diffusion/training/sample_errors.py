# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Whether a network's 2D samples are as near to the micrographs as real crops are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..._planes import PLANES
from ...statistics import relative_error
from ..model import Model
from ..slices import sample_slices

if TYPE_CHECKING:
    from ...micrographs import Micrographs

__all__ = ["GOOD_RATIO", "sample_ratio"]

GOOD_RATIO = 1.5  # samples that deviate no more than this times real crops are good enough
SAMPLES = 64  # of a plane
_DRAWS = 32  # of as many real crops
_POOL = 2048  # crops of a plane that stand for the micrographs

Curves = dict[tuple[str, int, int], np.ndarray]  # by function, phase and image axis


def sample_ratio(model: Model, micrographs: Micrographs, device: str) -> float:
    """Return the largest error of 2D samples over that of as many real crops.

    The errors are those of the mean curves of S2 and L, mean over the two directions, largest over
    planes and phases.  Where errors of real crops scatter widely, an error that one in twenty of
    them exceeds counts as `GOOD_RATIO`.
    """
    rng = np.random.default_rng(0)
    labels, number = micrographs.sample(rng, len(PLANES) * _POOL, model.patch)
    ratios = []
    for k, plane in enumerate(PLANES):
        crops = _curves(labels[number == k], model.n_phases)
        count, whole = int((number == k).sum()), _means(crops)
        draws = [rng.choice(count, SAMPLES, replace=False) for _ in range(_DRAWS)]
        drawn = [_errors(_means(crops, draw), whole) for draw in draws]
        samples = sample_slices(model, plane, SAMPLES, size=model.patch, device=device)
        made = _errors(_means(_curves(samples, model.n_phases)), whole)
        usual = np.maximum(np.mean(drawn, axis=0), np.quantile(drawn, 0.95, axis=0) / GOOD_RATIO)
        ratios.append(made / np.maximum(usual, 1e-3))
    return float(np.max(ratios))


def _curves(images: np.ndarray, phases: int) -> Curves:
    """Return S2 and L of each image (n, side, side), (n, lags), to half their side."""
    found: Curves = {}
    side = images.shape[-1]
    for phase in range(phases):
        for axis in (1, 2):
            inside = np.moveaxis(images == phase, axis, 2)
            runs, fraction = inside, inside.mean((1, 2))
            s2, path = [fraction], [fraction]
            for lag in range(1, side // 2 + 1):
                s2.append((inside[..., lag:] & inside[..., :-lag]).mean((1, 2)))
                runs = runs[..., :-1] & inside[..., lag:]
                path.append(runs.mean((1, 2)))
            found["S2", phase, axis], found["L", phase, axis] = np.stack(s2, 1), np.stack(path, 1)
    return found


def _means(curves: Curves, chosen: np.ndarray | slice = slice(None)) -> Curves:
    """Return the mean curves of chosen images."""
    return {key: of_image[chosen].mean(axis=0) for key, of_image in curves.items()}


def _errors(curves: Curves, reference: Curves) -> np.ndarray:
    """Return the error of the worst phase in S2 and in L."""
    phases = {phase for _, phase, _ in reference if reference["S2", phase, 1][0] > 0}
    return np.array(
        [
            max(
                sum(relative_error(curves[f, p, a], reference[f, p, a]) for a in (1, 2)) / 2
                for p in phases
            )
            for f in ("S2", "L")
        ]
    )
