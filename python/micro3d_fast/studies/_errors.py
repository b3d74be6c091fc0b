# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Errors of the curves of single volumes against the reference, plane by plane."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._planes import AXIS_NAMES
from ..statistics import Comparison, Curve, relative_error
from ._samples import mean_and_deviation

FUNCTIONS = ("S2", "L")


@dataclass(frozen=True)
class GroupErrors:
    """Errors of the volumes of a group (or of real blocks) against the reference curves.

    Attributes
    ----------
    group, title, kind : str
    options : dict
        What the group changes.
    errors : dict of (function, plane) to tuple of float
        Of every volume alone, averaged over phases and directions.
    curves : dict of (function, phase, plane, direction) to array
        Means over the volumes, at the lags of the comparison.
    """

    group: str
    title: str
    kind: str
    options: Mapping[str, Any]
    errors: Mapping[tuple[str, str], tuple[float, ...]]
    curves: Mapping[tuple[str, int, str, str], np.ndarray]

    def mean(self, function: str, plane: str) -> tuple[float, float]:
        """Return the mean of the errors and their standard deviation."""
        return mean_and_deviation(self.errors[function, plane])

    @property
    def count(self) -> int:
        """Number of volumes."""
        return len(next(iter(self.errors.values()), ()))


def reference_curves(comparison: Comparison) -> list[Curve]:
    """Return the curves of S2 and L that a comparison holds."""
    return [curve for name in FUNCTIONS for curve in comparison.select(name)]


def group_errors(
    group: str,
    title: str,
    kind: str,
    options: Mapping[str, Any],
    results: Iterable[Mapping[str, Any]],
    references: Sequence[Curve],
) -> GroupErrors:
    """Return the errors of what `_tasks` measured of the volumes of a group."""
    errors: dict[tuple[str, str], list[list[float]]] = {}
    sums: dict[tuple[str, int, str, str], list[np.ndarray]] = {}
    for result in results:
        of_volume: dict[tuple[str, str], list[float]] = {}
        for curve in references:
            axis = AXIS_NAMES.index(curve.direction)
            values = np.asarray(result["curves"][curve.function][curve.phase][axis], dtype=float)
            values = values[np.asarray(curve.lag, dtype=int)]
            key = (curve.function, curve.phase, curve.plane, curve.direction)
            sums.setdefault(key, []).append(values)
            error = float(relative_error(values, curve.reference))
            of_volume.setdefault((curve.function, curve.plane), []).append(error)
        for place, found in of_volume.items():
            errors.setdefault(place, []).append(found)
    return GroupErrors(
        group,
        title,
        kind,
        options,
        {place: tuple(float(np.mean(one)) for one in found) for place, found in errors.items()},
        {key: np.mean(found, axis=0) for key, found in sums.items()},
    )
