# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Distributions of a quantity over volumes and over real blocks, and tests of their difference."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

LEVEL = 0.05  # of all tests of a study together
TEST = "Mann-Whitney, 5 %, Holm"


@dataclass(frozen=True)
class TwoSample:
    """A component of a quantity: its quartiles on both sides, and two tests of their difference.

    Attributes
    ----------
    quantity, component : str
        Key of `Study.quantities`, and the name of its component.
    generated, reference : tuple of float
        Quartiles (25, 50, 75 %) of the volumes and of the real blocks.
    counts : (int, int)
        Finite values on both sides.
    location_p : float
        Of the Mann-Whitney test: whether one side tends to be larger.
    shape_p : float
        Of the Kolmogorov-Smirnov test: whether the distributions differ in any way.
    larger : float
        Probability that a volume has a larger value than a real block (ties count half).
    differs : bool
        Whether the Mann-Whitney test rejects at 5 % over all quantities together (Holm).
    """

    quantity: str
    component: str
    generated: tuple[float, float, float]
    reference: tuple[float, float, float]
    counts: tuple[int, int]
    location_p: float
    shape_p: float
    larger: float
    differs: bool = False

    @property
    def inside(self) -> bool:
        """Whether the median of the volumes lies between the quartiles of the real blocks."""
        low, _, high = self.reference
        slack = 1e-9 * max(abs(low), abs(high))
        return low - slack <= self.generated[1] <= high + slack


def quartiles(values: Any) -> tuple[float, float, float]:
    """Return the quartiles of the finite values; nan without any."""
    finite = np.asarray(values, dtype=float)
    finite = finite[np.isfinite(finite)]
    if not finite.size:
        return (np.nan, np.nan, np.nan)
    low, middle, high = np.percentile(finite, (25, 50, 75))
    return float(low), float(middle), float(high)


def two_sample(quantity: str, component: str, generated: Any, reference: Any) -> TwoSample:
    """Compare the values of two independent samples."""
    from scipy import stats

    a, b = (np.asarray(v, dtype=float) for v in (generated, reference))
    a, b = a[np.isfinite(a)], b[np.isfinite(b)]
    location, shape, larger = np.nan, np.nan, np.nan
    if a.size and b.size:
        if np.ptp(np.concatenate([a, b])) == 0.0:
            location, shape, larger = 1.0, 1.0, 0.5
        else:
            found = stats.mannwhitneyu(a, b)
            location, larger = float(found.pvalue), float(found.statistic) / (a.size * b.size)
            shape = float(stats.ks_2samp(a, b).pvalue)
    return TwoSample(
        quantity,
        component,
        quartiles(a),
        quartiles(b),
        (a.size, b.size),
        location,
        shape,
        larger,
    )


def smallest_p(first: int, second: int) -> float:
    """Return the smallest p-value of the Mann-Whitney test that samples of these sizes allow."""
    return min(1.0, 2.0 / math.comb(first + second, first))


def with_holm(tests: Sequence[TwoSample], level: float = LEVEL) -> tuple[TwoSample, ...]:
    """Return the tests with ``differs`` set by Holm's step-down procedure."""
    known = [k for k, t in enumerate(tests) if np.isfinite(t.location_p)]
    ordered = sorted(known, key=lambda k: tests[k].location_p)
    rejected: set[int] = set()
    for rank, k in enumerate(ordered):
        if tests[k].location_p > level / (len(ordered) - rank):
            break
        rejected.add(k)
    return tuple(replace(t, differs=k in rejected) for k, t in enumerate(tests))


def mean_and_deviation(values: Iterable[float]) -> tuple[float, float]:
    """Return the mean and the standard deviation (n - 1); nan where they do not exist."""
    found = np.asarray(list(values), dtype=float)
    if not found.size:
        return np.nan, np.nan
    return float(found.mean()), float(found.std(ddof=1)) if found.size > 1 else np.nan
