# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Planes that contradict each other, or the symmetry that is assumed of them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .._phases import phase_counts
from .._planes import AXIS_NAMES, IMAGE_AXES
from ..statistics.lengths import autocorrelation
from ._borrowing import isotropic_plane, spread
from ._mirror import mirror_symmetric
from ._scatter import MIN_UNITS, halves, independent_parts, standard_error

if TYPE_CHECKING:
    from ._micrographs import Micrographs
    from ._report import PlaneReport

_MOST = 32  # images of a plane of which the autocorrelation is computed
# A difference is reported if it exceeds this many standard errors ...
_SIGMAS = 4.0
_FRACTION = 0.01  # ... and this absolute difference of fractions,
_CURVE = 0.10  # or this relative difference of autocorrelations
_SURE = 0.001  # level of the warning of a tilt


@dataclass(frozen=True)
class AxisReport:
    """Autocorrelation along one axis in two planes.

    ``difference`` is ``sum |a - b| / sum (a + b) / 2`` of the two normalized curves; ``scatter`` is
    the value expected from the scatter between images alone.
    """

    axis: str
    planes: tuple[str, str]
    difference: float
    scatter: float


def find_contradictions(
    micrographs: Micrographs, planes: dict[str, PlaneReport]
) -> tuple[list[AxisReport], list[str]]:
    """Return the comparisons along shared axes, and warnings about what differs."""
    pairs = list(itertools.combinations(micrographs.given, 2))
    found = []
    for first, second in pairs:
        found += _fraction_warnings(planes[first], planes[second], micrographs.phase_names)
    axes = []
    for first, second in pairs:
        (shared,) = set(IMAGE_AXES[first]) & set(IMAGE_AXES[second])
        report = _compare_curves(micrographs, (planes[first], planes[second]), (shared, shared))
        axes.append(report)
        if _contradicts(report):
            found.append(
                f"planes {first} and {second} share the direction {report.axis} but not the "
                f"autocorrelation along it: {_explain(report)}; "
                "check the orientation of the images"
            )
    isotropic = isotropic_plane(micrographs.given, micrographs.borrowed)
    if isotropic:
        both = (planes[isotropic], planes[isotropic])
        report = _compare_curves(micrographs, both, IMAGE_AXES[isotropic])
        axes.append(report)
        if _contradicts(report):
            rows, columns = (AXIS_NAMES[axis] for axis in IMAGE_AXES[isotropic])
            found.append(
                f"plane {isotropic} is taken as isotropic ({', '.join(micrographs.borrowed)} "
                f"borrowed), but along {rows} and {columns} {_explain(report)}; "
                "give the images of more planes"
            )
        if not mirror_symmetric(micrographs.images[isotropic], micrographs.n_phases, _SURE):
            found.append(
                f"plane {isotropic} is taken as isotropic ({', '.join(micrographs.borrowed)} "
                "borrowed), but its structure is tilted against the axes; give the images of more "
                "planes"
            )
    return axes, found


def fraction_errors(
    images: Sequence[np.ndarray],
    n_phases: int,
    independent: float,
    lengths: tuple[float, float],
) -> tuple[float, ...]:
    """Return the standard error of a plane's fractions from the scatter between its images.

    ``independent`` is the share of the images that is independent, ``lengths`` their correlation
    lengths along rows' and columns' axis.
    """
    units = list(images)
    if len(images) < MIN_UNITS:
        units = [part for i in images for half in halves(i, 0) for part in halves(half, 1)]
        for axis, length in enumerate(lengths):
            independent *= independent_parts(images, axis, 2, length) / 2.0
    fractions = np.array([phase_counts(u, n_phases) / u.size for u in units])
    return tuple(standard_error(fractions, independent).tolist())


def _compare_curves(
    micrographs: Micrographs, planes: tuple[PlaneReport, PlaneReport], axes: tuple[int, ...]
) -> AxisReport:
    """Compare the autocorrelation of two planes along one axis each; equal axes are named."""
    first, second = (
        _curves(micrographs.images[p.plane], IMAGE_AXES[p.plane].index(axis))
        for p, axis in zip(planes, axes, strict=True)
    )
    independent = [
        _independent_curves(micrographs.images[p.plane], p, 1 - IMAGE_AXES[p.plane].index(axis))
        for p, axis in zip(planes, axes, strict=True)
    ]
    name = AXIS_NAMES[axes[0]] if axes[0] == axes[1] else ""
    names = (planes[0].plane, planes[1].plane)
    return AxisReport(name, names, *_curve_difference(first, second, independent))


def _contradicts(report: AxisReport) -> bool:
    return report.difference > max(_SIGMAS * report.scatter, _CURVE)


def _explain(report: AxisReport) -> str:
    return (
        f"S2 differs by {report.difference:.0%}, the scatter between images explains "
        f"{report.scatter:.0%}"
    )


def _fraction_warnings(a: PlaneReport, b: PlaneReport, names: tuple[str, ...]) -> list[str]:
    """Return a warning about the phase whose fractions differ most, if any differ."""
    worst, text = 0.0, ""
    for phase, name in enumerate(names):
        difference = abs(a.fractions[phase] - b.fractions[phase])
        scatter = math.hypot(a.standard_errors[phase], b.standard_errors[phase])
        if difference > max(_SIGMAS * scatter, _FRACTION, worst):
            worst = difference
            text = (
                f"planes {a.plane} and {b.plane} contradict each other: volume fraction of "
                f"{name} {a.fractions[phase]:.4f} and {b.fractions[phase]:.4f}, where the "
                f"scatter between images explains ± {scatter:.4f}"
            )
    return [text] if text else []


def _curves(images: Sequence[np.ndarray], axis: int) -> np.ndarray:
    """Return normalized autocorrelations along one axis, one row per image or part of one."""
    # rows run along the axis
    chosen = [np.moveaxis(image, axis, 1) for image in spread(images, _MOST)]
    limit = max(min(min(rows.shape[1] for rows in chosen) // 2, 64), 1)
    limit = min(limit, min(rows.shape[1] for rows in chosen) - 1)
    fractions = sum(phase_counts(rows, 256) for rows in chosen)
    random = float(np.sum((fractions / np.sum(fractions)) ** 2))
    if random >= 1.0:
        return np.ones((2, limit + 1))
    parts = _bands(len(chosen))
    curves = []
    for rows in chosen:
        budget = (1 << 21) // len(chosen)
        for band in np.array_split(rows, min(parts, len(rows))):
            step = max(1, parts * band.size // budget)
            same = autocorrelation(band[::step], 1, limit)
            curves.append((same - random) / (1.0 - random))
    return np.array(curves)


def _bands(images: int) -> int:
    """Return the number of bands that each of so many images is cut into."""
    return -(-MIN_UNITS // images) if images < MIN_UNITS else 1


def _independent_curves(images: Sequence[np.ndarray], plane: PlaneReport, across: int) -> float:
    """Return the share of the curves of a plane's images, or of bands of them, not repeated."""
    taken = min(plane.images, _MOST)
    bands = _bands(taken)
    parts = independent_parts(images, across, bands, plane.lengths[across])
    return min(1.0, plane.independent / taken) * parts / bands


def _curve_difference(
    a: np.ndarray, b: np.ndarray, independent: Sequence[float]
) -> tuple[float, float]:
    """Return the relative difference of two mean curves, and that expected of their scatter."""
    lags = min(a.shape[1], b.shape[1])
    mean_a, mean_b = a[:, :lags].mean(axis=0), b[:, :lags].mean(axis=0)
    mean = (mean_a + mean_b) / 2
    low = np.flatnonzero(mean < np.exp(-1.0))
    lags = min(lags, 4 * int(low[0]) + 1) if low.size else lags  # the rest is noise about zero
    total = np.sum(np.abs(mean[:lags]))
    errors = np.hypot(
        *(standard_error(c[:, :lags], s) for c, s in zip((a, b), independent, strict=True))
    )
    difference = np.sum(np.abs(mean_a - mean_b)[:lags]) / total
    return float(difference), float(np.sum(np.sqrt(2.0 / np.pi) * errors) / total)
