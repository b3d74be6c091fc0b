# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The passes and the coupling with which volumes have as much surface as the micrographs.

The error of the lineal path is least where the share of unlike neighbours is that of the
micrographs, along each axis (docs/study.md).  Harmonizing passes act on it like a temperature: more
of them make a volume smoother along all axes.  A coupling of neighbours acts on one axis, and
costs nothing.  But it acts on neighbours alone: it cannot make fibres straight that a few passes
leave wavy, a negative one makes single voxels, and a positive one removes those that a material
has.  So the passes are those that leave the right surface along the smoothest axis, and the
coupling does the rest, as far as single pixels stay.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from .._phases import phase_counts
from .._planes import IMAGE_AXES, NORMAL, PLANES
from ..diffusion.labelling import IslandRates, islands, unlike_neighbours
from ..diffusion.settings import CouplingTable, scaled_repeats
from ..micrographs import Micrographs
from ..statistics.tilt import mean_tilt, tilt_lags

START, FEWEST, MOST = 20, 18, 60  # passes that are tried
TRIALS = 6  # at most
CLOSE = 0.015  # relative difference of the surface along each axis at which the search ends
FAR = 0.1  # and above which it has failed
_VOXELS = 2 * 64**3  # of a trial: their surface scatters by about CLOSE
_FEWEST_VOLUMES, _MOST_VOLUMES = 2, 8
_IMAGES = 64  # of a plane whose tilt is measured
_TILT = 0.6  # share of the tilt below which more passes are tried ...
_SMOOTHEST = 0.8  # ... as long as they leave as much surface along every axis
_ISLANDS = 30  # single pixels of a phase in a plane of a trial that are counted ...
_KEPT = 0.4  # ... and the share of them below which half the coupling is tried
_MOST_HALVINGS = 2
_MOST_ROUGH = 1.25  # surface without coupling along an axis
_STRAIGHT = 1.05  # the same where the surface falls steeply with the passes
_ALIKE = 0.05  # relative difference of passes that is not tried
_SLOPE, _STEEP = -0.35, -0.8  # of log surface against log passes: usual; steep
_RESPONSE = 0.9  # fall of log surface with the coupling, before it is measured
_LONGEST_STEP, _MOST_COUPLING = 0.4, 1.0

_SHARES = ("tilt", "islands")  # fields of a trial that may be nan


@dataclass(frozen=True)
class Trial:
    """The volumes of one number of passes and one coupling.

    Attributes
    ----------
    harmonize : tuple of int
        Harmonizing passes of each step.
    coupling : tuple of (J_z, J_y, J_x)
        One for each phase; a single one for two phases.
    passes : int
    surface : tuple of (z, y, x)
        Share of unlike neighbours of each phase (of both, for two) along each axis, over that of
        the micrographs; nan where these show none.
    seconds : float
        Per volume.
    tilt : float
        Share of the micrographs' tilt against the axes; nan where these have none.
    islands : float
        Share of their single pixels, of the phase and plane that keep least; nan where these have
        few.
    """

    harmonize: tuple[int, ...]
    coupling: CouplingTable
    passes: int
    surface: tuple[tuple[float, ...], ...]
    seconds: float
    tilt: float = math.nan
    islands: float = math.nan

    @property
    def error(self) -> float:
        """Largest difference of the logarithm of the surface along an axis."""
        return float(np.abs(self.logarithms()).max())

    def record(self) -> dict[str, Any]:
        """Return plain JSON types."""
        numbers = {"surface": [list(map(_plain, row)) for row in self.surface]}
        return asdict(self) | numbers | {name: _plain(getattr(self, name)) for name in _SHARES}

    @classmethod
    def of(cls, record: dict[str, Any]) -> Trial:
        """Return the trial of such a record."""
        found = record | {name: _number(record.get(name)) for name in _SHARES}
        found["surface"] = tuple(tuple(map(_number, row)) for row in record["surface"])
        found["coupling"] = tuple(map(tuple, record["coupling"]))
        return cls(**found | {"harmonize": tuple(record["harmonize"])})

    def logarithms(self) -> np.ndarray:
        """Return the logarithm of ``surface``; the mean where it is not known."""
        logs = np.log(np.clip(self.surface, 1e-3, 1e3))
        known = np.isfinite(logs)
        return np.where(known, logs, logs[known].mean() if known.any() else 0.0)


def _plain(number: float) -> float | None:
    return None if math.isnan(number) else number


def _number(plain: float | None) -> float:
    return math.nan if plain is None else plain


def island_rates(micrographs: Micrographs) -> IslandRates:
    """Return the islands per pixel of each phase (P,) in the images of xy, xz and yz.

    An island is a pixel whose four neighbours are of other phases.  A plane without images takes
    the most of the others.
    """
    rates = np.full((len(PLANES), micrographs.n_phases), -1.0)
    for plane, images in micrographs.images.items():
        counts, pixels = _island_counts(images, micrographs.n_phases)
        rates[PLANES.index(plane)] = counts / pixels
    rates = np.where(rates < 0, rates.max(axis=0), rates)
    return tuple(tuple(map(float, row)) for row in rates)


def _island_counts(images: Iterable[np.ndarray], n_phases: int) -> tuple[np.ndarray, int]:
    """Return the islands of each phase (P,) and the pixels of images."""
    counts, pixels = np.zeros(n_phases), 0
    for image in images:
        counts += phase_counts(image[islands(image, (False, False))], n_phases)
        pixels += image.size
    return counts, pixels


def enough_volumes(shape: Sequence[int]) -> int:
    """Return how many volumes of a shape (nz, ny, nx) a trial needs."""
    return min(max(math.ceil(_VOXELS / math.prod(shape)), _FEWEST_VOLUMES), _MOST_VOLUMES)


def find_surface(
    pattern: tuple[int, ...],
    micrographs: Micrographs,
    make: Callable[[tuple[int, ...], CouplingTable], Sequence[np.ndarray]],
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
    n_phases = micrographs.n_phases
    shown = (
        (image, IMAGE_AXES[plane])
        for plane, images in micrographs.images.items()
        for image in images
    )
    real = np.atleast_2d(unlike_neighbours(shown, n_phases))
    kept_tilt, kept_islands = KeptTilt(micrographs), KeptIslands(micrographs)

    def attempt(passes: int, table: np.ndarray) -> Trial:
        repeats, started = scaled_repeats(pattern, passes), time.perf_counter()
        coupling = tuple(tuple(map(float, row)) for row in table.round(4))
        volumes = make(repeats, coupling)
        seconds = (time.perf_counter() - started) / len(volumes)
        made = np.atleast_2d(unlike_neighbours(((v, range(3)) for v in volumes), n_phases))
        ratio = np.divide(made, real, out=np.full_like(made, np.nan), where=real > 0)
        surface = tuple(tuple(map(float, row)) for row in ratio)
        kept = {"tilt": kept_tilt(volumes), "islands": kept_islands(volumes)}
        return Trial(repeats, coupling, passes, surface, seconds, **kept)

    free = np.zeros_like(real)
    base = attempt(START, free)
    trials = [base]
    while len(trials) < TRIALS // 2:
        passes = _passes(trials)
        known = [t for t in trials if abs(t.passes - passes) <= _ALIKE * t.passes]
        if known:  # the last, or an earlier one from which the last went too far
            base = known[0]
            break
        base = attempt(passes, free)
        trials.append(base)
    most, before = TRIALS, base
    while base.tilt < _TILT and base.passes < MOST and most < TRIALS + 2:
        most += 1  # slices agree on the tilt of other planes by more passes
        trials.append(attempt(min(round(1.5 * base.passes), MOST), free))
        smoothest = trials[-1].logarithms().min()
        if smoothest < math.log(_SMOOTHEST) or trials[-1].tilt < base.tilt:
            break
        base = trials[-1]
    tried = [base]
    while len(trials) < most and tried[-1].error > CLOSE:
        trials.append(attempt(tried[-1].passes, _coupling(tried)))
        tried.append(trials[-1])
        if len(tried) > 3 and min(t.error for t in tried[-2:]) > min(t.error for t in tried[:-2]):
            break  # two trials were no better
    less = min(tried, key=lambda trial: trial.error)
    for _ in range(_MOST_HALVINGS):
        if not less.islands < _KEPT or not np.any(less.coupling):
            break
        less = attempt(less.passes, np.array(less.coupling) / 2)
        trials.append(less)
        tried.append(less)
    eligible = trials if base is before else tried  # a smaller error with less tilt is no better
    kept = [t for t in eligible if t.error <= FAR and not t.islands < _KEPT]
    return sorted(trials, key=lambda t: (t in eligible, t in kept, -t.error))


class KeptIslands:
    """The share of the micrographs' single pixels that volumes have; nan where these have few."""

    def __init__(self, micrographs: Micrographs) -> None:
        self.rates = np.array(island_rates(micrographs))

    def __call__(self, volumes: Sequence[np.ndarray]) -> float:
        shares: list[float] = []
        for plane, rates in zip(PLANES, self.rates, strict=True):
            stacks = [np.moveaxis(v, NORMAL[plane], 0) for v in volumes]
            images = (image for of in stacks for image in of if min(image.shape) > 1)
            counts, pixels = _island_counts(images, len(rates))
            expected = rates * pixels
            known = expected >= _ISLANDS
            shares += (counts[known] / expected[known]).tolist()
        return min(shares, default=math.nan)


class KeptTilt:
    """The share of the micrographs' tilt that volumes have; nan where these have none."""

    def __init__(self, micrographs: Micrographs) -> None:
        self.micrographs, self.phases = micrographs, range(micrographs.n_phases)
        self.planes = [p for p in micrographs.images if p not in micrographs.mirrored]
        self._shown: dict[tuple[int, ...], np.ndarray] = {}  # by lags

    def __call__(self, volumes: Sequence[np.ndarray]) -> float:
        lags = tilt_lags(min(self.micrographs.min_side, *(n for v in volumes for n in v.shape)))
        if not self.planes or not lags:
            return math.nan
        if lags not in self._shown:
            self._shown[lags] = np.array([self._of_images(plane, lags) for plane in self.planes])
        real = self._shown[lags]
        stacks = [[np.moveaxis(v, NORMAL[plane], 0) for v in volumes] for plane in self.planes]
        made = np.array([mean_tilt(stack, self.phases, lags) for stack in stacks])
        weight = np.square(real).sum()
        return float((made * real).sum() / weight) if weight > 0 else math.nan

    def _of_images(self, plane: str, lags: Sequence[int]) -> np.ndarray:
        images = self.micrographs.images[plane]
        chosen = images[:: -(-len(images) // _IMAGES)]
        return mean_tilt([image[None] for image in chosen], self.phases, lags)


def _passes(tried: Sequence[Trial]) -> int:
    """Return the number of passes that leaves the right surface along the smoothest axis.

    The roughest axis limits it.  A surface that falls steeply with the passes is that of long
    phases which are not straight yet, and no coupling helps there.
    """
    last, slope = tried[-1], _SLOPE
    by_axis = [trial.logarithms().mean(axis=0) for trial in tried[-2:]]
    highest, lowest = by_axis[-1].max(), by_axis[-1].min()
    if len(tried) > 1:
        rise = highest - by_axis[0].max()
        slope = min(rise / math.log(last.passes / tried[-2].passes), _SLOPE)
    most = math.log(_STRAIGHT if slope < _STEEP else _MOST_ROUGH)
    change = min(-lowest, most - highest)
    factor = min(max(math.exp(change / slope), 0.5), 2.0)
    return min(max(round(last.passes * factor), FEWEST), MOST)


def _coupling(tried: Sequence[Trial]) -> np.ndarray:
    """Return the coupling of the next step of Broyden's method towards a surface of 1.

    The couplings of the phases act on the surface of each other.
    """
    points = [np.ravel(trial.coupling) for trial in tried]
    logs = [trial.logarithms().ravel() for trial in tried]
    slope = -_RESPONSE * np.eye(len(points[0]))
    for (before, x), (f_before, f) in zip(pairwise(points), pairwise(logs), strict=True):
        if (step := x - before).any():
            slope += np.outer(f - f_before - slope @ step, step) / (step @ step)
    step = np.clip(-np.linalg.lstsq(slope, logs[-1])[0], -_LONGEST_STEP, _LONGEST_STEP)
    found = np.clip(points[-1] + step, -_MOST_COUPLING, _MOST_COUPLING)
    return found.reshape(np.shape(tried[-1].coupling))
