# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Dependence between the 2D images of a stack: serial sections, and how many images they equal.

Pixels at the same place of two images are correlated if the images are near each other in the
material.  The correlation of n independent images is noise about zero, of a standard deviation
that follows from the autocovariance within the images (Bartlett, J. R. Stat. Soc. Suppl. 8, 1946).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .._blocks import spread_evenly
from .._phases import phase_counts
from .._results import Result

_PIXELS = 4096  # of each image that are compared
_SMALL = 0.5  # images with fewer rows or columns than this share of the median are left out
_SIGMAS = 2.0  # a correlation counts up to the first distance where it is below this many errors


@dataclass(frozen=True, eq=False)
class PairCorrelations(Result):
    """Pixel correlations of all pairs of n images.

    ``matrix`` is (n, n): ``(Σ_p P(both p) - Σ_p f_p²) / (1 - Σ_p f_p²)`` with the fractions f of
    all images, zero where ``used`` is False for an image.  ``noise`` is the standard deviation of
    one pair of independent images.
    """

    matrix: np.ndarray
    used: np.ndarray
    noise: float

    def by_distance(self) -> np.ndarray:
        """Return the mean correlation of the images k apart, for k = 0 ... n - 1."""
        n = len(self.used)
        distances = range(n)
        sums = np.array([np.trace(self.matrix, k) for k in distances])
        return np.where(self.pairs() > 0, sums / np.maximum(self.pairs(), 1), 0.0)

    def pairs(self) -> np.ndarray:
        """Return the number of pairs of images k apart, for k = 0 ... n - 1."""
        used = self.used.astype(float)
        return np.rint(np.correlate(used, used, "full")[len(used) - 1 :]).astype(int)

    def independent(self) -> float:
        """Return ``n² / ΣΣ ρ_|i-j|``, ρ cut off where it is not distinct from noise."""
        rho, pairs = self.by_distance(), self.pairs()
        if len(rho) < 2 or not np.isfinite(self.noise):
            return float(len(rho))
        earlier = 1.0 + 2.0 * np.concatenate([[0.0], np.cumsum(rho[1:-1] ** 2)])
        error = self.noise * np.sqrt(earlier / np.maximum(pairs[1:], 1))
        low = np.flatnonzero(rho[1:] < _SIGMAS * error)
        end = 1 + int(low[0]) if low.size else len(rho)
        n = int(pairs[0])
        total = n + 2.0 * float(np.sum((n - np.arange(1, end)) * rho[1:end]))
        return len(rho) / n * min(max(n * n / total, 1.0), n)


def pixel_correlations(images: Sequence[np.ndarray]) -> np.ndarray:
    """Return the correlation of pixels at the same place of 2D images, over their distance.

    Parameters
    ----------
    images : sequence of array of uint8, shape (rows, columns)
        Labels, in the order of the stack.  Images of different sizes are compared on their common
        top-left part; those with less than half of the median rows or columns are left out.

    Returns
    -------
    array of float, shape (n,)
        Element k is the mean over the pairs of images k apart; element 0 is 1.  All phases count:
        the probability that two pixels share their phase, scaled to 0 for independent images and
        1 for equal ones.
    """
    return pair_correlations(images).by_distance()


def independent_images(images: Sequence[np.ndarray]) -> float:
    """Return the number of independent images that a stack of 2D images amounts to.

    That is ``n² / ΣΣ ρ_|i-j|`` with the correlation ρ of :func:`pixel_correlations`, cut off at the
    first distance where it is within two standard errors of zero; between 1 and n.
    """
    return pair_correlations(images).independent()


def pair_correlations(
    images: Sequence[np.ndarray],
    others: Sequence[np.ndarray] | None = None,
    pixels: int = _PIXELS,
) -> PairCorrelations:
    """Return the pixel correlations of all pairs of 2D images of uint8 labels.

    ``others`` gives the second image of each pair, such as the images turned over; it must hold
    as many images of the same sizes.  Compared are about ``pixels`` of each image, on a regular
    grid.
    """
    shapes = np.array([image.shape for image in images])
    used = (shapes >= _SMALL * np.median(shapes, axis=0)).all(axis=1)
    chosen = np.flatnonzero(used).tolist()
    rows, columns = shapes[used].min(axis=0).tolist()
    step = max(1, round((rows * columns / pixels) ** 0.5))
    grid, other = (
        np.stack([stack[i][:rows:step, :columns:step] for i in chosen])
        for stack in (images, images if others is None else others)
    )
    counts = phase_counts(grid, 256)
    phases = np.flatnonzero(counts)
    if len(phases) == 1:
        return PairCorrelations(np.diag(used.astype(float)), used, np.nan)
    fractions = counts / grid.size
    spectrum = spread_evenly(len(grid), 32)
    products = np.zeros((len(grid), len(grid)), dtype=np.float32)
    power = np.zeros((grid.shape[1], grid.shape[2] // 2 + 1))
    for phase in phases[1:] if len(phases) == 2 else phases:  # of two phases one says it all
        first, second = ((g == phase) - np.float32(fractions[phase]) for g in (grid, other))
        products += first.reshape(len(grid), -1) @ second.reshape(len(grid), -1).T
        power += np.sum(np.abs(np.fft.rfft2(first[spectrum])) ** 2, axis=0)
    variance = (1.0 - np.sum(fractions**2)) * (0.5 if len(phases) == 2 else 1.0)
    matrix = np.zeros((len(images), len(images)))
    matrix[np.ix_(used, used)] = products / (variance * grid[0].size)
    return PairCorrelations(matrix, used, _noise(power, grid.shape[2], len(spectrum)))


def _noise(power: np.ndarray, columns: int, images: int) -> float:
    """Return the standard deviation of the correlation of two independent images.

    ``sqrt(Σ S² / (Σ S)²)`` of the power spectrum S, here the half of it that rfft2 returns, summed
    over some images; the mean over m images exceeds the square of S by the factor 1 + 1/m.
    """
    weight = np.full(power.shape[1], 2.0)
    weight[0] = 1.0
    if columns % 2 == 0:
        weight[-1] = 1.0
    total = float(np.sum(weight * power))
    return float(np.sqrt(np.sum(weight * power**2) / (1.0 + 1.0 / images))) / total
