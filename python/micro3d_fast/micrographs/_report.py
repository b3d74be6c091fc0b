# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Counts, sizes and fractions of the planes, and where they contradict each other."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .._phases import phase_counts
from .._planes import AXIS_NAMES, IMAGE_AXES, PLANES
from ..statistics.lengths import autocorrelation
from ._borrowing import correlation_length, isotropic_plane, spread

if TYPE_CHECKING:
    from ._micrographs import Micrographs

_UNITS = 8  # a plane with fewer images than this is split into parts to estimate the scatter
_MOST = 32  # images of a plane of which the autocorrelation is computed
# A difference is reported if it exceeds this many standard errors ...
_SIGMAS = 3.0
_FRACTION = 0.01  # ... and this absolute difference of fractions,
_CURVE = 0.10  # or this relative difference of autocorrelations


@dataclass(frozen=True)
class PlaneReport:
    """One plane: number and sizes of its images, volume fractions and their standard error."""

    plane: str
    images: int
    sizes: str
    fractions: tuple[float, ...]
    standard_errors: tuple[float, ...]
    lengths: tuple[float, float]  # 1/e of the autocorrelation along rows' and columns' axis, pixels
    borrowed: str = ""


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


@dataclass(frozen=True, repr=False)
class MicrographReport:
    """The result of :meth:`Micrographs.check`; prints as a small table."""

    phase_names: tuple[str, ...]
    voxel_size: tuple[float, float, float]
    planes: tuple[PlaneReport, ...]
    axes: tuple[AxisReport, ...]
    warnings: tuple[str, ...]

    def __repr__(self) -> str:
        lines = [f"Micrographs, voxel size (z, y, x) {self.voxel_size} m"]
        if all(size == 1.0 for size in self.voxel_size):
            lines = ["Micrographs, lengths in pixels"]
        for p in self.planes:
            if p.borrowed:
                lines.append(f"  {p.plane}  borrowed: {p.borrowed}")
                continue
            fractions = ", ".join(
                f"{name} {f:.4f} ± {e:.4f}"
                for name, f, e in zip(self.phase_names, p.fractions, p.standard_errors, strict=True)
            )
            rows, columns = (AXIS_NAMES[axis] for axis in IMAGE_AXES[p.plane])
            lines.append(
                f"  {p.plane}  {p.images} images of {p.sizes}; {fractions}; correlation length "
                f"{rows} {p.lengths[0]:.1f}, {columns} {p.lengths[1]:.1f} pixels"
            )
        for a in self.axes:
            first, second = a.planes
            pair = f"{first} and {second}" if a.axis else f"rows and columns of {first}"
            along = f" along {a.axis}" if a.axis else ""
            lines.append(
                f"  S2{along} of {pair} differs by {a.difference:.1%} "
                f"(scatter between images {a.scatter:.1%})"
            )
        lines.extend(f"  warning: {warning}" for warning in self.warnings)
        if not self.warnings:
            lines.append("  the planes agree")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return asdict(self)


def check(micrographs: Micrographs) -> MicrographReport:
    """Return the report on the planes of micrographs (see `Micrographs.check`)."""
    planes = {plane: _plane_report(micrographs, plane) for plane in PLANES}
    pairs = list(itertools.combinations(micrographs.given, 2))
    found = []
    for first, second in pairs:
        found += _fraction_warnings(planes[first], planes[second], micrographs.phase_names)
    axes = []
    for first, second in pairs:
        (shared,) = set(IMAGE_AXES[first]) & set(IMAGE_AXES[second])
        report = _compare_curves(micrographs, (first, second), (shared, shared))
        axes.append(report)
        if _contradicts(report):
            found.append(
                f"planes {first} and {second} share the direction {report.axis} but not the "
                f"autocorrelation along it: {_explain(report)}; "
                "check the orientation of the images"
            )
    isotropic = isotropic_plane(micrographs.given, micrographs.borrowed)
    if isotropic:
        report = _compare_curves(micrographs, (isotropic, isotropic), IMAGE_AXES[isotropic])
        axes.append(report)
        if _contradicts(report):
            rows, columns = (AXIS_NAMES[axis] for axis in IMAGE_AXES[isotropic])
            found.append(
                f"plane {isotropic} is taken as isotropic ({', '.join(micrographs.borrowed)} "
                f"borrowed), but along {rows} and {columns} {_explain(report)}; "
                "give the images of more planes"
            )
    return MicrographReport(
        phase_names=micrographs.phase_names,
        voxel_size=micrographs.voxel_size,
        planes=tuple(planes.values()),
        axes=tuple(axes),
        warnings=tuple(found),
    )


def _plane_report(micrographs: Micrographs, plane: str) -> PlaneReport:
    images = micrographs.images[plane]
    return PlaneReport(
        plane=plane,
        images=len(images),
        sizes=describe_sizes(images),
        fractions=tuple(micrographs.plane_fractions(plane).tolist()),
        standard_errors=tuple(_fraction_errors(images, micrographs.n_phases).tolist()),
        lengths=(correlation_length(images, 0), correlation_length(images, 1)),
        borrowed=micrographs.borrowed.get(plane, ""),
    )


def _compare_curves(
    micrographs: Micrographs, planes: tuple[str, str], axes: tuple[int, ...]
) -> AxisReport:
    """Compare the autocorrelation of two planes along one axis each; equal axes are named."""
    curves = (
        _curves(micrographs.images[plane], IMAGE_AXES[plane].index(axis))
        for plane, axis in zip(planes, axes, strict=True)
    )
    name = AXIS_NAMES[axes[0]] if axes[0] == axes[1] else ""
    return AxisReport(name, planes, *_curve_difference(*curves))


def _contradicts(report: AxisReport) -> bool:
    return report.difference > max(_SIGMAS * report.scatter, _CURVE)


def _explain(report: AxisReport) -> str:
    return (
        f"S2 differs by {report.difference:.0%}, the scatter between images explains "
        f"{report.scatter:.0%}"
    )


def _fraction_errors(images: Sequence[np.ndarray], n_phases: int) -> np.ndarray:
    """Return the standard error of a plane's fractions from the scatter between its images."""
    units: Sequence[np.ndarray] = images
    if len(images) < _UNITS:
        units = [
            part
            for image in images
            for half in np.array_split(image, min(2, image.shape[0]), axis=0)
            for part in np.array_split(half, min(2, image.shape[1]), axis=1)
        ]
    fractions = [phase_counts(u, n_phases) / u.size for u in units]
    if len(units) < 2:
        return np.zeros(n_phases)
    return np.std(fractions, axis=0, ddof=1) / np.sqrt(len(units)) * _small_sample(len(units))


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
    parts = -(-_UNITS // len(chosen)) if len(chosen) < _UNITS else 1
    curves = []
    for rows in chosen:
        budget = (1 << 21) // len(chosen)
        for band in np.array_split(rows, min(parts, len(rows))):
            step = max(1, parts * band.size // budget)
            same = autocorrelation(band[::step], 1, limit)
            curves.append((same - random) / (1.0 - random))
    return np.array(curves)


def _curve_difference(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """Return the relative difference of two mean curves, and that expected of their scatter."""
    lags = min(a.shape[1], b.shape[1])
    mean_a, mean_b = a[:, :lags].mean(axis=0), b[:, :lags].mean(axis=0)
    mean = (mean_a + mean_b) / 2
    low = np.flatnonzero(mean < np.exp(-1.0))
    lags = min(lags, 4 * int(low[0]) + 1) if low.size else lags  # the rest is noise about zero
    total = np.sum(np.abs(mean[:lags]))
    errors = np.zeros(lags)
    for curves in (a, b):
        n = len(curves)
        if n > 1:
            errors += (np.std(curves[:, :lags], axis=0, ddof=1) * _small_sample(n)) ** 2 / n
    difference = np.sum(np.abs(mean_a - mean_b)[:lags]) / total
    return float(difference), float(np.sum(np.sqrt(2.0 / np.pi * errors)) / total)


def _small_sample(n: int) -> float:
    """Return how much to widen a standard error from n values (Student's t, roughly)."""
    return 1.0 + 2.0 / (n - 1)


def describe_sizes(images: Sequence[np.ndarray]) -> str:
    """Return ``"44 x 48"``, or ``"30 x 20 to 44 x 48"`` of images that differ."""
    low = np.min([image.shape for image in images], axis=0)
    high = np.max([image.shape for image in images], axis=0)
    text = f"{low[0]} x {low[1]}"
    return text if (low == high).all() else f"{text} to {high[0]} x {high[1]}"
