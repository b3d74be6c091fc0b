# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Scatter of a specimen's statistics, estimated from 2D images alone.

Every statistic of a volume along an axis a is a mean over the rows along a.  The images of two
planes contain such rows: those of plane (a, b) at successive positions along b, those of plane
(a, c) at successive positions along c.  With the variance V of single rows and the correlation
ρ_b(k) of rows at a distance k along b, the mean over L consecutive rows has the variance V Γ_b(L),
where Γ is the variance function of Vanmarcke [1]_,

    Γ(L) = 1/L [1 + 2 Σ_{k<L} (1 - k/L) ρ(k)],

and that of a box the variance V Γ_b(L_b) Γ_c(L_c): exact for a separable covariance, otherwise an
approximation (docs/characterize.md compares it with the scatter of real blocks).  Images at
positions t_i along c have a mean with the variance V Γ_b(L_b) n⁻² Σ_ij ρ_c(|t_i - t_j|).  With few
rows the sum over a noisy tail of ρ is replaced by that of Geyer [2]_, up to its first zero.

.. [1] E. Vanmarcke, Random Fields: Analysis and Synthesis, MIT Press 1983, Chapters 5 and 7.
.. [2] C. J. Geyer, Practical Markov chain Monte Carlo, Statistical Science 7 (1992) 473.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .._blocks import spread_evenly
from ._samples import count_lines
from .tilt import tilt_map
from .verdict import OF_PLANE

FUNCTIONS = ("S2", "L", "autocovariance")  # curves among the quantities of a row
MAX_ROWS = 6144  # rows examined per direction
MAX_POSITIONS = 128  # rows of an image examined
_SHORT_LAGS = 8  # all lags up to this one are examined, then fewer and fewer
_GOLDEN = 0.618  # spreads windows over the rows of large images
_FEWEST = 24  # windows that show the dependence between the quantities
_IMAGES = 14  # examined at least, rather than several windows of each image
_WINDOWS = 8  # windows from which both estimates of Γ weigh the same


def sparse_lags(longest: int) -> np.ndarray:
    """Return the lags examined: all short ones, longer ones in a geometric sequence."""
    lags = list(range(min(longest, _SHORT_LAGS) + 1))
    while lags[-1] < longest:
        lags.append(min(longest, -(-lags[-1] * 5 // 4)))
    return np.array(lags)


@dataclass(frozen=True)
class Quantities:
    """The quantities of a row, each a curve over lags or a number, flattened to features."""

    phases: tuple[int, ...]
    lags: np.ndarray  # examined, in steps
    step: int = 1  # voxels of the reference
    tilt_lags: tuple[int, ...] = ()

    @property
    def voxels(self) -> np.ndarray:
        """The lags in voxels of the reference."""
        return self.lags * self.step

    @property
    def names(self) -> list[tuple[str, int]]:
        """Name and phase of each quantity."""
        return [(name, p) for name in (*FUNCTIONS, "surface", *OF_PLANE) for p in self.phases]

    @property
    def of_feature(self) -> np.ndarray:
        """Index of the quantity of each feature."""
        sizes = [len(self.lags) if name in FUNCTIONS else 1 for name, _ in self.names]
        return np.repeat(np.arange(len(sizes)), sizes)

    @property
    def at_lag_0(self) -> np.ndarray:
        """Features that hold S2 at lag 0, one per phase."""
        return np.arange(len(self.phases)) * len(self.lags)

    @property
    def weights(self) -> np.ndarray:
        """Number of lags that each feature stands for, so that a curve's sum is over all lags."""
        edges = np.concatenate([[-0.5], (self.lags[1:] + self.lags[:-1]) / 2, self.lags[-1:] + 0.5])
        of_curve = np.diff(edges)
        return np.concatenate([of_curve if n in FUNCTIONS else np.ones(1) for n, _ in self.names])

    @property
    def of_one_plane(self) -> slice:
        """Features of Euler number and tilt, counted from the end: each plane has its own."""
        return slice(-3 * len(self.phases), -len(self.phases))

    def persistent(self, share: np.ndarray) -> np.ndarray:
        """Return shares per quantity with least values for those of a plane.

        A plane does not show how far its islands, its Euler number and its tilt reach along its
        normal; the surface does, and S2.
        """
        s2, surfaces, *of_plane = (share[self._of(name)] for name in ("S2", "surface", *OF_PLANE))
        least = {"euler": surfaces, "tilt": s2, "islands": surfaces}
        out = share.copy()
        for name, own in zip(OF_PLANE, of_plane, strict=True):
            out[self._of(name)] = np.maximum(own, least[name])
        return out

    def at_least(self, share: np.ndarray, least: float, *, islands: bool) -> np.ndarray:
        """Return shares of a variance, of what is examined in some slices alone ``least`` of it."""
        out = share.copy()
        for name in OF_PLANE if islands else ("euler", "tilt"):
            out[self._of(name)] = np.maximum(out[self._of(name)], least)
        return out

    def _of(self, name: str) -> list[int]:
        """Return the indices of a quantity of all phases."""
        return [k for k, (one, _) in enumerate(self.names) if one == name]

    def sums(self, features: np.ndarray) -> np.ndarray:
        """Return the weighted sum (..., quantities) of features (..., F) over each curve."""
        starts = np.flatnonzero(np.diff(self.of_feature, prepend=-1))
        return np.add.reduceat(features * self.weights, starts, axis=-1)

    def features(self, s2: np.ndarray, path: np.ndarray, *of_plane: np.ndarray) -> np.ndarray:
        """Return features (..., F) of S2 and L (..., P, lags), and of `OF_PLANE` (..., P).

        The autocovariance is linearized about the mean, so that the mean over rows is a statistic
        of the whole.
        """
        mean = s2.reshape(-1, *s2.shape[-2:]).mean(0)
        phi = mean[:, :1]
        spread = np.maximum(phi - phi**2, 1e-12)
        scaled = (mean - phi**2) / spread
        slope = 2 * phi + scaled * (1 - 2 * phi)
        autocovariance = (s2 - slope * s2[..., :1]) / spread
        flat = [x.reshape(*x.shape[:-2], -1) for x in (s2, path, autocovariance)]
        return np.concatenate([*flat, surface(s2), *of_plane], axis=-1)


def surface(s2: np.ndarray) -> np.ndarray:
    """Return the share of neighbours of which one lies in the phase, of S2 (..., lags)."""
    return 2 * (s2[..., 0] - s2[..., min(1, s2.shape[-1] - 1)])


def island_map(images: np.ndarray, phases: Sequence[int]) -> np.ndarray:
    """Return where pixels (..., rows, columns) differ from all 4 neighbours: (P, ...), inner."""
    inner = images[..., 1:-1, 1:-1]
    alone = np.ones(inner.shape, dtype=bool)
    for near in (
        images[..., :-2, 1:-1],
        images[..., 2:, 1:-1],
        images[..., 1:-1, :-2],
        images[..., 1:-1, 2:],
    ):
        alone &= inner != near
    return np.stack([alone & (inner == p) for p in phases])


def euler_map(images: np.ndarray, phases: Sequence[int]) -> np.ndarray:
    """Return what each pixel of images (..., rows, columns) adds to the Euler number of a phase.

    Pixels less pairs of neighbours plus squares of four, of which it is the first: as int8, of
    shape (P, ..., rows - 1, columns - 1).  The sum is islands less holes, by 4 neighbours.
    """
    out = []
    for phase in phases:
        inside = (images == phase).view(np.int8)
        below = inside[..., :-1, :] & inside[..., 1:, :]
        beside = inside[..., :-1, :-1] & inside[..., :-1, 1:]
        squares = below[..., :-1] & below[..., 1:]
        out.append(inside[..., :-1, :-1] - below[..., :-1] - beside + squares)
    return np.stack(out)


@dataclass(frozen=True)
class RowLaw:
    """Law of the rows along one axis of one plane."""

    length: int  # of a row, voxels
    mean: np.ndarray  # (F,)
    variance: np.ndarray  # (F,) of a row
    correlation: np.ndarray  # (quantities, K) of rows at a distance along the other axis
    windows: np.ndarray  # (U, F) deviations of the means of windows
    rows: int  # of an image
    images: int  # examined
    segments: int  # side by side in an image

    def gamma(self, length: int) -> np.ndarray:
        """Return the variance function of each quantity for ``length`` successive rows."""
        windows = self.images * self.segments * max(1.0, self.rows / length)
        weight = windows / (windows + _WINDOWS)
        whole = _variance_function(_extended(self.correlation, length))
        positive = _variance_function(_extended(_initial_positive(self.correlation), length))
        return np.maximum(weight * whole + (1 - weight) * positive, 0.25 / length)

    def over_distances(self, distances: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Return the weighted mean of the correlation at distances, per quantity."""
        positive = _initial_positive(self.correlation)
        k = np.arange(positive.shape[1])
        near = distances < len(k)
        share = weights[near] / weights.sum()
        return np.array([np.interp(distances[near], k, c, right=0.0) @ share for c in positive])


def row_law(
    images: Sequence[np.ndarray], along: int, length: int, quantities: Quantities
) -> RowLaw:
    """Measure rows of ``length`` voxels along an axis of 2D images."""
    stack = _windows(images, along, length)  # (images, segments, rows, length)
    n, s, t, _ = stack.shape
    lags = quantities.voxels
    counts = count_lines(stack.reshape(-1, 1, length), 2, int(lags[-1]), quantities.phases, True)
    values = (counts[..., lags] / (length - lags)).reshape(n, s, t, 2, len(quantities.phases), -1)
    islands = np.zeros((n, s, t, len(quantities.phases)))
    if min(t, length) > 2:
        inner = np.moveaxis(island_map(stack, quantities.phases).mean(-1), 0, -1)
        islands = np.pad(inner, ((0, 0), (0, 0), (1, 1), (0, 0)), mode="edge")
    euler, tilt = np.zeros_like(islands), np.zeros_like(islands)
    if min(t, length) > 1:
        inner = np.moveaxis(euler_map(stack, quantities.phases).mean(-1), 0, -1)
        euler = np.pad(inner, ((0, 0), (0, 0), (0, 1), (0, 0)), mode="edge")
    if tilt_lags := quantities.tilt_lags:
        inner = np.moveaxis(tilt_map(stack, quantities.phases, tilt_lags).mean(-1), 0, -1)
        tilt = np.pad(inner, ((0, 0), (0, 0), (0, tilt_lags[-1]), (0, 0)), mode="edge")
    s2, path = values[..., 0, :, :], values[..., 1, :, :]
    x = quantities.features(s2, path, euler, tilt, islands).astype(np.float32)
    mean = x.mean((0, 1, 2), dtype=float)
    x -= mean.astype(np.float32)
    return RowLaw(
        length=length,
        mean=mean,
        variance=(x**2).mean((0, 1, 2), dtype=float),
        correlation=_correlation(x, quantities.of_feature),
        windows=_window_means(x),
        rows=t,
        images=n,
        segments=s,
    )


def _window_means(x: np.ndarray) -> np.ndarray:
    """Return the means (U, F) over windows: whole ones, or parts of them if they are few."""
    n, s, rows, _ = x.shape
    parts = min(rows, -(-_FEWEST // (n * s)))
    kept = x[:, :, : rows // parts * parts]
    return kept.reshape(n * s * parts, rows // parts, -1).mean(1)


def _windows(images: Sequence[np.ndarray], along: int, length: int) -> np.ndarray:
    """Return windows of images, rows along ``along``: (images, segments, rows, length)."""
    across = 1 - along
    rows = min(MAX_POSITIONS, *(i.shape[across] for i in images))
    extent = min(i.shape[along] for i in images)
    most = max(1, MAX_ROWS // rows)
    segments = max(1, min(extent // length, most // min(len(images), _IMAGES)))
    chosen = spread_evenly(len(images), max(1, most // segments))
    starts = np.linspace(0, extent - length, segments).astype(int)
    found = []
    for k in chosen:
        image = images[k] if along == 1 else images[k].T
        tops = (_GOLDEN * np.arange(segments) % 1 * (len(image) - rows)).astype(int)
        pairs = zip(tops, starts, strict=True)
        found.append([image[t : t + rows, o : o + length] for t, o in pairs])
    return np.ascontiguousarray(found)


def _correlation(x: np.ndarray, of_feature: np.ndarray) -> np.ndarray:
    """Return the correlation (quantities, K) of deviations (images, segments, rows, F)."""
    rows = x.shape[2]
    size = 1 << (2 * rows - 1).bit_length()
    transform = np.fft.rfft(x, size, axis=2)
    power = (transform.real**2 + transform.imag**2).mean((0, 1))
    starts = np.flatnonzero(np.diff(of_feature, prepend=-1))
    summed = np.add.reduceat(power, starts, axis=1)  # over the lags of each curve
    covariance = np.fft.irfft(summed, axis=0)[:rows].T / (rows - np.arange(rows))
    kept = covariance[:, : max(1, 3 * rows // 4)]
    scale = kept[:, :1]
    out = np.divide(kept, scale, out=np.zeros_like(kept), where=scale > 1e-12)
    out[:, 0] = 1.0
    return out


def _initial_positive(correlation: np.ndarray) -> np.ndarray:
    """Return the correlation up to its first zero, zeros beyond."""
    return np.where(np.logical_and.accumulate(correlation > 0, axis=1), correlation, 0.0)


def _extended(correlation: np.ndarray, length: int) -> np.ndarray:
    """Return the correlation at 0 … length - 1; a positive tail continues at its mean."""
    known = correlation.shape[1]
    if length <= known:
        return correlation[:, :length]
    tail = np.maximum(correlation[:, -max(1, known // 4) :].mean(1), 0.0)
    more = np.where(correlation[:, -1] > 0, tail, 0.0)
    return np.concatenate([correlation, np.repeat(more[:, None], length - known, axis=1)], axis=1)


def _variance_function(correlation: np.ndarray) -> np.ndarray:
    """Return Γ of the correlation at distances 0 … L - 1, one row per quantity."""
    length = correlation.shape[1]
    weights = 2 * (1 - np.arange(length) / length)
    weights[0] = 1.0
    return correlation @ weights / length
