# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The number of repeats for which volumes have as much surface as the micrographs.

Harmonizing passes act like a temperature: more of them make a volume smoother, whatever the
schedule and the network, and the error of the lineal path is least where the share of unlike
neighbours is that of the micrographs (docs/study.md).  So their number is found from that share
alone; their proportions stay those of the default.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from .._planes import AXIS_NAMES, IMAGE_AXES
from ..diffusion.settings import scaled_repeats
from ..micrographs import Micrographs

FEWEST, MOST = 12, 120  # passes that are tried
TRIALS = 5  # numbers of passes, at most
CLOSE = 0.01  # relative difference of the surface at which the search ends
_SLOPE = -0.35  # of log surface against log passes, where only one number has been tried


@dataclass(frozen=True)
class Trial:
    """The volumes of one number of passes.

    Attributes
    ----------
    harmonize : tuple of int
        Harmonizing passes of each step.
    passes : int
    surface : dict of str to float
        Share of unlike neighbours along each axis, over that of the micrographs; before fractions
        are matched.
    ratio : float
        Geometric mean of ``surface``.
    seconds : float
        Per volume.
    """

    harmonize: tuple[int, ...]
    passes: int
    surface: dict[str, float]
    ratio: float
    seconds: float


def unlike_neighbours(images: Iterable[tuple[np.ndarray, Sequence[int]]]) -> np.ndarray:
    """Return the share of neighbours of another phase along the axes z, y, x; nan without pairs.

    ``images`` are label arrays with the axes of the volume that theirs are.
    """
    unlike, pairs = np.zeros(3), np.zeros(3)
    for image, axes in images:
        for own, axis in enumerate(axes):
            along = np.moveaxis(image, own, 0)
            unlike[axis] += np.count_nonzero(along[1:] != along[:-1])
            pairs[axis] += along[1:].size
    return np.divide(unlike, pairs, out=np.full(3, np.nan), where=pairs > 0)


def find_repeats(
    pattern: tuple[int, ...],
    micrographs: Micrographs,
    make: Callable[[tuple[int, ...]], Sequence[np.ndarray]],
) -> list[Trial]:
    """Try numbers of passes until the surface is that of the micrographs; the best is last.

    Parameters
    ----------
    pattern : tuple of int
        Repeats of each step whose proportions are kept.
    micrographs : Micrographs
    make : callable
        Makes raw volumes with given repeats.
    """
    real = unlike_neighbours(
        (image, IMAGE_AXES[plane])
        for plane, images in micrographs.images.items()
        for image in images
    )
    trials: dict[int, Trial] = {}
    passes = len(pattern) + sum(pattern)
    while passes not in trials and len(trials) < TRIALS:
        repeats, started = scaled_repeats(pattern, passes), time.perf_counter()
        volumes = make(repeats)
        seconds = (time.perf_counter() - started) / len(volumes)
        surface = unlike_neighbours((v, range(3)) for v in volumes) / real
        trials[passes] = trial = Trial(
            repeats,
            passes,
            dict(zip(AXIS_NAMES, map(float, surface), strict=True)),
            _mean(surface),
            seconds,
        )
        if abs(math.log(trial.ratio)) < CLOSE:
            break
        passes = _next(trials)
    return sorted(trials.values(), key=lambda t: -abs(math.log(t.ratio)))


def _mean(surface: np.ndarray) -> float:
    """Return the geometric mean of what is known, within bounds that have a logarithm."""
    known = surface[np.isfinite(surface)]
    return float(np.exp(np.log(np.clip(known, 1e-3, 1e3)).mean())) if known.size else 1.0


def _next(trials: dict[int, Trial]) -> int:
    """Return the number of passes at which a power law through the nearest trials gives 1."""
    points = [(math.log(n), math.log(t.ratio)) for n, t in trials.items()]
    points.sort(key=lambda point: abs(point[1]))
    (x, y), *others = points
    slope = _SLOPE
    if others and (y - others[0][1]) / (x - others[0][0]) < _SLOPE / 4:  # else it is noise
        slope = (y - others[0][1]) / (x - others[0][0])
    return min(max(round(math.exp(x - y / slope)), FEWEST), MOST)
