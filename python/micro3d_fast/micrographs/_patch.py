# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Size of the structure relative to the side of training patches."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .._planes import AXIS_NAMES, IMAGE_AXES
from ..statistics.lengths import fall_length, pooled_autocorrelation
from ._borrowing import spread

if TYPE_CHECKING:
    from ._micrographs import Micrographs

_LENGTHS, _FEWEST = 4.0, 3.5  # correlation lengths that a patch should span, and must
_REMAINDER = 0.2  # autocorrelation at half a patch above which its tail counts as too long
_MOST = 16  # images of a plane that are measured
_STRIDE = 8  # patches are multiples of the network's stride


@dataclass(frozen=True)
class AxisLength:
    """Size of the structure along one axis, the largest of the planes that show it.

    ``length`` is the lag in pixels at which the autocorrelation falls to 1/e (None if it does not
    within half an image); ``remainder`` the autocorrelation at half a patch.
    """

    axis: str
    length: float | None
    remainder: float


@dataclass(frozen=True)
class PatchReport:
    """Size of the structure relative to training patches of ``patch`` x ``patch`` pixels."""

    patch: int
    min_side: int
    axes: tuple[AxisLength, ...]

    def __str__(self) -> str:
        lengths = ", ".join(
            f"{a.axis} {'not within half an image' if a.length is None else f'{a.length:.1f}'}"
            for a in self.axes
        )
        return f"patch of {self.patch} pixels; correlation length {lengths}"

    @property
    def warnings(self) -> tuple[str, ...]:
        """One sentence if an image is smaller than the patch, or the patch than the structure."""
        return tuple(_patch_warnings(self))


def measure_patch(micrographs: Micrographs, patch: int) -> PatchReport:
    """Return the size of the structure of some micrographs relative to a patch."""
    axes: dict[int, AxisLength] = {}
    for plane in micrographs.given:
        images = spread(micrographs.images[plane], _MOST)
        for row_or_column, axis in enumerate(IMAGE_AXES[plane]):
            curve = pooled_autocorrelation(images, row_or_column)
            length = fall_length(curve)
            remainder = float(curve[min(patch // 2, len(curve) - 1)])
            if axis not in axes or remainder > axes[axis].remainder:
                known = None if math.isnan(length) else length
                axes[axis] = AxisLength(AXIS_NAMES[axis], known, remainder)
    return PatchReport(patch, micrographs.min_side, tuple(axes[a] for a in sorted(axes)))


def _patch_warnings(report: PatchReport) -> Iterator[str]:
    patch = report.patch
    if report.min_side < patch:
        smaller = report.min_side // _STRIDE * _STRIDE
        fits = f" or train with patch={smaller}" if smaller else ""
        yield (
            f"the shortest image side is {report.min_side} pixels, less than the patch of {patch}: "
            f"give larger images{fits}"
        )
    short: dict[str, float] = {}  # axis to the side of a patch that would do
    for a in report.axes:
        if a.length is None:
            yield (
                f"the structure does not decorrelate along {a.axis} within half an image, so a "
                f"patch of {patch} pixels does not show where it ends: unless the material is "
                f"uniform along {a.axis}, give longer images or scale them down along {a.axis}"
            )
        elif (side := _needed(a.length, a.remainder, patch)) > patch * _LENGTHS / _FEWEST:
            short[a.axis] = side
    if short:
        lengths = [f"{a.length:.0f} pixels along {a.axis}" for a in report.axes if a.axis in short]
        needed = _STRIDE * math.ceil(max(short.values()) / _STRIDE)
        along = f" along {next(iter(short))}" if len(short) == 1 else ""
        advice = f"scale the images down {needed / patch:.1f} times{along}"
        if needed <= report.min_side:
            advice = f"train with patch={needed}, or {advice}"
        yield (
            f"a patch of {patch} pixels is short for the structure, whose correlation length is "
            f"{' and '.join(lengths)}: a patch should span {_LENGTHS:.0f} of them; {advice}"
        )


def _needed(length: float, remainder: float, patch: int) -> float:
    """Return the side of the patch that the structure along an axis needs, in pixels."""
    if remainder > _REMAINDER:  # the rate of its tail, taken as exponential
        length = max(length, (patch // 2) / -math.log(min(remainder, 0.99)))
    return _LENGTHS * length
