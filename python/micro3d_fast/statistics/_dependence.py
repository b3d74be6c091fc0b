# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Dependence between the 2D images of a stack: serial sections, and how many images they equal.

Pixels at the same place of two images are correlated if the images are near each other in the
material.  The correlation of n independent images is noise about zero, of a standard deviation
that follows from the autocovariance within the images (Bartlett, J. R. Stat. Soc. Suppl. 8, 1946).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from .._blocks import spread_evenly
from .._phases import phase_counts
from .._results import Result

_PIXELS = 4096  # of each image that are compared
_COLUMNS = 256  # pixels whose sequences are transformed at a time
_SMALL = 0.5  # images with fewer rows or columns than this share of the median are left out
_SIGMAS = 2.0  # a correlation counts up to the first distance where it is below this many errors


@dataclass(frozen=True, eq=False)
class StackCorrelations(Result):
    """Pixel correlations of the images of a stack, by their distance.

    ``sums`` is (n,): the correlations ``(Σ_p P(both p) - Σ_p f_p²) / (1 - Σ_p f_p²)``, with the
    fractions f of all images, added over the pairs of images k apart of which both are ``used``.
    ``noise`` is the standard deviation of one pair of independent images.
    """

    sums: np.ndarray
    used: np.ndarray
    noise: float

    def by_distance(self) -> np.ndarray:
        """Return the mean correlation of the images k apart, for k = 0 ... n - 1."""
        return np.where(self.pairs() > 0, self.sums / np.maximum(self.pairs(), 1), 0.0)

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


@dataclass(frozen=True, eq=False)
class PairCorrelations(StackCorrelations):
    """Pixel correlations of all pairs of n images.

    ``matrix`` is (n, n), zero where ``used`` is False for an image.
    """

    matrix: np.ndarray


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
    return stack_correlations(images).by_distance()


def independent_images(images: Sequence[np.ndarray]) -> float:
    """Return the number of independent images that a stack of 2D images amounts to.

    That is ``n² / ΣΣ ρ_|i-j|`` with the correlation ρ of :func:`pixel_correlations`, cut off at the
    first distance where it is within two standard errors of zero; between 1 and n.
    """
    return stack_correlations(images).independent()


def stack_correlations(images: Sequence[np.ndarray]) -> StackCorrelations:
    """Return the pixel correlations of 2D images of uint8 labels, by their distance.

    Each pixel is a sequence of n values, so Fourier transforms take O(n log n) operations; the
    pairs that `pair_correlations` multiplies out are n².
    """
    from scipy import fft

    compared, (grid,) = _Compared.of(images, [images], _PIXELS)
    n, used = len(images), compared.used
    if not len(compared.phases):
        return StackCorrelations(np.eye(1, n)[0] * used.sum(), used, np.nan)
    size = fft.next_fast_len(2 * n - 1, real=True)
    power = np.zeros(size // 2 + 1)
    for (centred,) in compared.centred(grid):
        for start in range(0, centred.shape[1], _COLUMNS):
            pixels = centred[:, start : start + _COLUMNS].T
            sequences = np.zeros((len(pixels), n))
            sequences[:, used] = pixels
            power += np.sum(np.abs(fft.rfft(sequences, size)) ** 2, axis=0)
    sums = fft.irfft(power, size)[:n] / compared.scale
    return StackCorrelations(sums, used, compared.noise(grid))


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
    stacks = [images, images if others is None else others]
    compared, grids = _Compared.of(images, stacks, pixels)
    used, n = compared.used, len(images)
    if not len(compared.phases):
        return PairCorrelations(np.eye(1, n)[0] * used.sum(), used, np.nan, np.diag(used * 1.0))
    products = np.zeros((len(grids[0]),) * 2, dtype=np.float32)
    for first, second in compared.centred(*grids):
        products += first @ second.T
    matrix = np.zeros((n, n))
    matrix[np.ix_(used, used)] = products / compared.scale
    sums = np.array([np.trace(matrix, k) for k in range(n)])
    return PairCorrelations(sums, used, compared.noise(grids[0]), matrix)


@dataclass(frozen=True)
class _Compared:
    """What of the images of a stack is compared."""

    used: np.ndarray  # (n,) bool
    phases: np.ndarray  # compared: of two phases one says it all; none if there is one
    fractions: np.ndarray  # of phases 0 ... 255
    scale: float  # sum of products of an image with itself

    @classmethod
    def of(
        cls, images: Sequence[np.ndarray], stacks: Sequence[Sequence[np.ndarray]], pixels: int
    ) -> tuple[_Compared, list[np.ndarray]]:
        """Return about ``pixels`` of each of the ``images`` that are used, from each stack."""
        shapes = np.array([image.shape for image in images])
        used = (shapes >= _SMALL * np.median(shapes, axis=0)).all(axis=1)
        rows, columns = shapes[used].min(axis=0).tolist()
        step = max(1, round((rows * columns / pixels) ** 0.5))
        chosen = np.flatnonzero(used).tolist()
        grids = [
            np.stack([stack[i][:rows:step, :columns:step] for i in chosen]) for stack in stacks
        ]
        fractions = phase_counts(grids[0], 256) / grids[0].size
        phases = np.flatnonzero(fractions)
        variance = 1.0 - np.sum(fractions**2)
        if len(phases) <= 2:
            phases, variance = phases[1:], variance / 2
        return cls(used, phases, fractions, variance * grids[0][0].size), grids

    def centred(self, *grids: np.ndarray) -> Iterator[list[np.ndarray]]:
        """Yield the deviations (images, pixels) of each phase from its fraction, in each grid."""
        for phase in self.phases:
            share = np.float32(self.fractions[phase])
            yield [(grid == phase).reshape(len(grid), -1) - share for grid in grids]

    def noise(self, grid: np.ndarray) -> float:
        """Return the standard deviation of the correlation of two independent images."""
        some = grid[spread_evenly(len(grid), 32)]
        shape = some.shape
        power = sum(
            np.sum(np.abs(np.fft.rfft2(centred.reshape(shape))) ** 2, axis=0)
            for (centred,) in self.centred(some)
        )
        return _noise(np.asarray(power), shape[2], len(some))


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
