# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The passes and the coupling with which volumes have as much surface as the micrographs.

The error of the lineal path is least where the share of unlike neighbours is that of the
micrographs, along each axis (docs/study.md).  Harmonizing passes act on it like a temperature: more
of them make a volume smoother along all axes.  A coupling of neighbours acts on one axis, and
costs nothing.  But it acts on neighbours alone: it cannot make fibres straight that a few passes
leave wavy, and a negative one makes single voxels.  So the passes are those that leave a volume a
little rough along each axis, and the coupling does the rest.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from .._planes import AXIS_NAMES, IMAGE_AXES
from ..diffusion.labelling import unlike_neighbours
from ..diffusion.settings import scaled_repeats
from ..micrographs import Micrographs

START, FEWEST, MOST = 20, 12, 60  # passes that are tried
TRIALS = 7  # at most
CLOSE = 0.01  # relative difference of the surface along each axis at which the search ends
_ROUGH = (1.03, 1.25)  # wanted surface without coupling: least and most along an axis
_SLOPE = -0.35  # of log surface against log passes, where only one number has been tried
_RESPONSE = (0.4, 0.9, 2.0)  # fall of log surface with the coupling: least, usual, most
_MOST_COUPLING = 1.0

Coupling = tuple[float, float, float]


@dataclass(frozen=True)
class Trial:
    """The volumes of one number of passes and one coupling.

    Attributes
    ----------
    harmonize : tuple of int
        Harmonizing passes of each step.
    coupling : (J_z, J_y, J_x)
    passes : int
    surface : dict of str to float
        Share of unlike neighbours along each axis, over that of the micrographs.
    ratio : float
        Geometric mean of ``surface``.
    seconds : float
        Per volume.
    """

    harmonize: tuple[int, ...]
    coupling: Coupling
    passes: int
    surface: dict[str, float]
    ratio: float
    seconds: float

    @property
    def error(self) -> float:
        """Largest difference of the logarithm of the surface along an axis."""
        return float(np.abs(self.logarithms()).max())

    def logarithms(self) -> np.ndarray:
        """Return the logarithm of the surface along z, y, x; the mean where it is not known."""
        surface = np.array(list(self.surface.values()))
        logs = np.log(np.clip(surface, 1e-3, 1e3))
        known = np.isfinite(logs)
        return np.where(known, logs, logs[known].mean() if known.any() else 0.0)


def find_surface(
    pattern: tuple[int, ...],
    micrographs: Micrographs,
    make: Callable[[tuple[int, ...], Coupling], Sequence[np.ndarray]],
) -> list[Trial]:
    """Try passes and couplings until the surface is that of the micrographs; the best is last.

    Parameters
    ----------
    pattern : tuple of int
        Repeats of each step whose proportions are kept.
    micrographs : Micrographs
    make : callable
        Makes volumes with given repeats and coupling.
    """
    real = unlike_neighbours(
        (image, IMAGE_AXES[plane])
        for plane, images in micrographs.images.items()
        for image in images
    )

    def attempt(passes: int, coupling: np.ndarray) -> Trial:
        repeats, started = scaled_repeats(pattern, passes), time.perf_counter()
        z, y, x = map(float, coupling)
        volumes = make(repeats, (z, y, x))
        seconds = (time.perf_counter() - started) / len(volumes)
        surface = unlike_neighbours((v, range(3)) for v in volumes) / real
        by_axis = dict(zip(AXIS_NAMES, map(float, surface), strict=True))
        trial = Trial(repeats, (z, y, x), passes, by_axis, 1.0, seconds)
        return replace(trial, ratio=float(np.exp(trial.logarithms().mean())))

    trials = [attempt(START, np.zeros(3))]
    while len(trials) < TRIALS // 2:
        passes = _passes(trials)
        if passes in [trial.passes for trial in trials]:
            break
        trials.append(attempt(passes, np.zeros(3)))
    tried = trials[-1:]
    while len(trials) < TRIALS and tried[-1].error > CLOSE:
        trials.append(attempt(tried[-1].passes, _coupling(tried)))
        tried.append(trials[-1])
    return sorted(trials, key=lambda trial: -trial.error)


def _passes(tried: Sequence[Trial]) -> int:
    """Return the number of passes that leaves a volume without coupling a little rough.

    Along no axis should it be too rough, and then along none too smooth.
    """
    last, logs = tried[-1], tried[-1].logarithms()
    highest = logs.max()
    least, most = (math.log(rough) for rough in _ROUGH)
    change = most - highest
    if change > 0:
        change = min(max(least - logs.min(), 0.0), change)
    slope = _SLOPE
    if len(tried) > 1:
        rise = highest - tried[-2].logarithms().max()
        slope = min(rise / math.log(last.passes / tried[-2].passes), _SLOPE)
    factor = min(max(math.exp(change / slope), 0.5), 2.0)
    passes = min(max(round(last.passes * factor), FEWEST), MOST)
    return passes if abs(passes - last.passes) > 0.1 * last.passes else last.passes


def _coupling(tried: Sequence[Trial]) -> np.ndarray:
    """Return the coupling for which the secant through the last trials gives 1 along each axis."""
    last, least = tried[-1], _RESPONSE[0]
    response = np.full(3, _RESPONSE[1])
    if len(tried) > 1:
        change = np.subtract(last.coupling, tried[-2].coupling)
        fall = tried[-2].logarithms() - last.logarithms()
        far = np.abs(change) > 0.02  # else it is noise
        response[far] = np.clip(fall[far] / change[far], least, _RESPONSE[2])
    return np.clip(last.coupling + last.logarithms() / response, -_MOST_COUPLING, _MOST_COUPLING)
