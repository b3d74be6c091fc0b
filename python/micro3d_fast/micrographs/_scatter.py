# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Standard errors from the scatter between images, or between parts of few images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

MIN_UNITS = 8  # a plane with fewer images than this is split into parts to estimate the scatter


def halves(image: np.ndarray, axis: int) -> list[np.ndarray]:
    """Return the two halves of an image along an axis, or the image if it is one pixel wide."""
    return np.array_split(image, min(2, image.shape[axis]), axis=axis)


def independent_parts(images: Sequence[np.ndarray], axis: int, parts: int, length: float) -> float:
    """Return how many of the equal parts of an image along an axis count as independent.

    Parts of at least two correlation lengths ``length`` do.
    """
    side = min(image.shape[axis] for image in images)
    return min(float(parts), max(1.0, side / (2.0 * length)))


def standard_error(values: np.ndarray, independent: float = 1.0) -> np.ndarray:
    """Return the standard error of the mean over the first axis of ``values``.

    ``independent`` is the share of the values that is independent: serial sections repeat each
    other.  The error is widened for few values (Student's t, roughly); it is 0 of a single value.
    """
    n = len(values) * independent
    if len(values) < 2:
        return np.zeros(np.shape(values)[1:])
    error = np.std(values, axis=0, ddof=1) / np.sqrt(n)
    return np.asarray(error * (1.0 + 2.0 / (n - 1.0)) if n > 1.0 else np.full_like(error, np.inf))
