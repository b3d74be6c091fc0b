# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Otsu's thresholds of several images together, by exact counts of their grey values.

Integers are counted one by one, so that 16-bit images whose contrast fills a small part of their
range are cut as well as 8-bit ones; floats are counted in 65536 bins.  Values far outside the range
of the others (hot pixels, beam hardening) are counted at its ends.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

_BINS = 1 << 16
_PART = 1 << 22
_MOST_VALUES = 1 << 22  # integers beyond this range are binned like floats
_TAIL = 1e-3  # share of the pixels at either end that may be outliers


def otsu_thresholds(images: Sequence[np.ndarray], classes: int) -> np.ndarray | None:
    """Return ``classes - 1`` thresholds; None if there are fewer grey values than classes."""
    counts, values = _histogram(images)
    used = np.flatnonzero(counts)
    if len(used) < classes:
        return None
    counts, values = counts[used].astype(np.float64), values[used]
    if classes == 2:
        return values[[_cut(counts, values)]]
    return values[_multi_cuts(counts, values, classes)]


def _histogram(images: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return counts and increasing grey values: whole ones, or the upper ends of bins."""
    low = min(image.min() for image in images).item()
    high = max(image.max() for image in images).item()
    if images[0].dtype.kind in "bui" and high - low < _MOST_VALUES:
        counts = np.zeros(high - low + 1, dtype=np.int64)
        for part in _parts(images):
            counts += np.bincount(part.astype(np.int64) - low, minlength=len(counts))
        values = np.arange(low, high + 1, dtype=np.float64)
        return _clipped(counts, values, _inner(counts, values))
    for _ in range(20):  # until the bins fit the range without its outliers
        counts, edges = _bins(images, float(low), float(high))
        inner = _inner(counts, edges[1:], least=edges[1] - edges[0])
        if inner.stop - inner.start > _BINS // 4 or not low < high:
            break
        low, high = edges[inner.start], edges[inner.stop]
    return _clipped(counts, edges[1:], inner)


def _bins(images: Sequence[np.ndarray], low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
    """Return counts in equal bins and their edges; values outside are counted in the end bins."""
    edges = np.linspace(low, high, _BINS + 1)
    counts = np.zeros(_BINS, dtype=np.int64)
    for part in _parts(images):
        counts += np.histogram(np.clip(part.astype(np.float64), low, high), bins=edges)[0]
    return counts, edges


def _parts(images: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
    """Yield the values in parts, so that their copies of 64 bits stay small."""
    for image in images:
        flat = image.reshape(-1)
        for start in range(0, flat.size, _PART):
            yield flat[start : start + _PART]


def _inner(counts: np.ndarray, values: np.ndarray, least: float = 0.0) -> slice:
    """Return the part of a histogram without its outliers.

    Outliers are at most ``_TAIL`` of the pixels at an end, and further away from the rest than the
    rest is wide (and than ``least``).
    """
    cumulative = np.cumsum(counts)
    first = int(np.searchsorted(cumulative, _TAIL * cumulative[-1], side="right"))
    last = int(np.searchsorted(cumulative, (1 - _TAIL) * cumulative[-1]))
    wide = max(values[last] - values[first], least)
    if wide <= 0:
        return slice(0, len(counts))
    return slice(
        int(np.searchsorted(values, values[first] - wide)),
        int(np.searchsorted(values, values[last] + wide, side="right")),
    )


def _clipped(counts: np.ndarray, values: np.ndarray, inner: slice) -> tuple[np.ndarray, np.ndarray]:
    """Return a part of a histogram, with what lies outside counted at its ends."""
    kept = counts[inner].copy()
    kept[0] += counts[: inner.start].sum()
    kept[-1] += counts[inner.stop :].sum()
    return kept, values[inner]


def _cut(counts: np.ndarray, values: np.ndarray) -> int:
    """Return the last value of the lower class of the largest variance between two classes."""
    origin = values[0]
    weight, moment = np.cumsum(counts), np.cumsum(counts * (values - origin))
    below, above = weight[:-1], weight[-1] - weight[:-1]
    distance = moment[:-1] / below - (moment[-1] - moment[:-1]) / above
    return int(np.argmax(below * above * distance**2))


def _multi_cuts(counts: np.ndarray, values: np.ndarray, classes: int) -> np.ndarray:
    """Return the thresholds of several classes: those of coarse bins, each refined exactly."""
    from skimage.filters import threshold_multiotsu

    cuts = np.arange(classes - 1)
    if len(values) > classes:
        step = (values[-1] - values[0]) / min(len(values), 256)
        number = np.minimum((values - values[0]) // step, 255).astype(np.int64)
        coarse = np.bincount(number, weights=counts, minlength=classes)
        coarse = coarse / coarse.sum()  # skimage counts in float32
        centres = values[0] + step * (np.arange(len(coarse)) + 0.5)
        if np.count_nonzero(coarse) >= classes:
            limits = threshold_multiotsu(hist=(coarse, centres), classes=classes) + step / 2
            cuts = np.searchsorted(values, limits, side="right") - 1
    for _ in range(100):
        before = cuts.copy()
        ends = [-1, *cuts.tolist(), len(values) - 1]
        for k in range(1, classes):
            part = slice(ends[k - 1] + 1, ends[k + 1] + 1)
            if part.stop - part.start > 1:
                ends[k] = part.start + _cut(counts[part], values[part])
        cuts = np.array(ends[1:-1])
        if (cuts == before).all():
            break
    return cuts
