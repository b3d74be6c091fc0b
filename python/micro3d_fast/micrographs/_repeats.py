# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Images of one plane that repeat each other: serial sections, duplicates, overlapping crops."""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..statistics._dependence import PairCorrelations, pair_correlations

_EQUAL = 0.985  # correlation of two images that repeat each other; slices side by side reach 0.97
_TURNED = 0.95  # the same of an image turned or flipped
_FEW = 0.5  # a plane is reported if its images amount to less than this share of their number
_SERIAL = 0.3  # mean correlation of neighbours above which they are not searched for overlaps
_SIGMAS = 6.0  # a repetition or an overlap exceeds this many standard deviations of chance
_PAIRS = 64  # pairs of a plane that are searched for overlaps, neighbours first
_GRID = 64  # pixels along the longer side of the images that are searched
_COARSE, _FINE = 0.3, 0.8  # correlation of an overlap on the grid, and pixel by pixel
_LEAST, _MOST = 0.1, 0.9  # share of an image that must overlap; slices side by side share all

# What was done to an image, and what undoes it.
_TURNS = {
    "flipped vertically": lambda image: image[::-1],
    "flipped horizontally": lambda image: image[:, ::-1],
    "turned by 180 degrees": lambda image: image[::-1, ::-1],
    "transposed": lambda image: image.T,
    "turned by 90 degrees": lambda image: image.T[:, ::-1],
    "turned by -90 degrees": lambda image: image.T[::-1],
    "transposed and turned by 180 degrees": lambda image: image.T[::-1, ::-1],
}


@dataclass(frozen=True)
class Repeat:
    """An image that repeats an earlier one of its plane, as numbers of the images."""

    image: int
    of: int
    how: str  # such as "flipped vertically", "overlapping by 40%"; empty if nearly equal

    def __str__(self) -> str:
        return f"{self.image} of {self.of}{f' ({self.how})' if self.how else ''}"


@dataclass(frozen=True)
class Repeats:
    """How far the images of a plane repeat each other.

    ``independent`` is the number of independent images they amount to, ``neighbours`` and ``pairs``
    the mean pixel correlation of neighbouring images and of all pairs; ``equal`` lists the images
    that repeat another, turned over or not, and ``overlaps`` the pairs that share a part.
    """

    independent: float
    neighbours: float
    pairs: float
    equal: tuple[Repeat, ...]
    overlaps: tuple[Repeat, ...]


def find_repeats(images: Sequence[np.ndarray]) -> Repeats:
    """Return how far some images repeat each other."""
    n = len(images)
    if n < 2:
        return Repeats(float(n), 0.0, 0.0, (), ())
    pairs = pair_correlations(images)
    by_distance, weights = pairs.by_distance()[1:], pairs.pairs()[1:]
    neighbours = float(by_distance[0])
    mean = float(np.sum(by_distance * weights) / max(np.sum(weights), 1))
    equal = _equal(images, pairs)
    overlaps: list[Repeat] = []
    if neighbours < _SERIAL and np.isfinite(pairs.noise):
        overlaps = list(_overlaps(images, pairs.noise, {(e.of, e.image) for e in equal}))
    independent = min(pairs.independent(), _independent_in_any_order(pairs))
    return Repeats(independent, neighbours, mean, tuple(equal), tuple(overlaps))


def repeat_warnings(plane: str, n: int, repeats: Repeats) -> Iterator[str]:
    """Yield a warning about images that repeat others, and about too few independent ones."""
    if repeats.equal:
        yield (
            f"{_count(repeats.equal)} of the {n} images of plane {plane} repeat others: "
            f"{_listed(repeats.equal)}; leave them out"
        )
    if repeats.overlaps:
        yield (
            f"images of plane {plane} show the same place: {_listed(repeats.overlaps)}; "
            "give images that do not overlap"
        )
    different = n - len({e.image for e in repeats.equal})
    if repeats.independent < _FEW * n and repeats.independent < 0.8 * different:
        amount = f"its {n} images amount to about {repeats.independent:.1f} independent ones"
        if repeats.neighbours > max(2.0 * repeats.pairs, _SERIAL):
            yield (
                f"plane {plane} holds serial sections: neighbouring images correlate by "
                f"{repeats.neighbours:.2f}, all pairs by {repeats.pairs:.2f}, and {amount}"
            )
        else:
            yield (
                f"the images of plane {plane} are not independent: all pairs correlate by "
                f"{repeats.pairs:.2f} on average, and {amount}"
            )


def shared_warnings(planes: Mapping[str, Sequence[np.ndarray]]) -> Iterator[str]:
    """Yield a warning about images that are given for several planes."""
    found: dict[bytes, list[str]] = {}  # the planes of an image
    for plane, images in planes.items():
        for digest in {_digest(image) for image in images if not _layered(image)}:
            found.setdefault(digest, []).append(plane)
    for names, n in Counter(map(tuple, found.values())).items():
        if len(names) > 1:
            one = "the same image is" if n == 1 else f"the same {n} images are"
            yield (
                f"{one} given for planes {', '.join(names[:-1])} and {names[-1]}; give each plane "
                "images of its own, and leave out the planes that have none"
            )


def _digest(image: np.ndarray) -> bytes:
    return hashlib.sha256(repr(image.shape).encode() + image.tobytes()).digest()


def _layered(image: np.ndarray) -> bool:
    """Return whether all rows or all columns are equal: those of laminates repeat each other."""
    return bool((image == image[:1]).all() or (image == image[:, :1]).all())


def _count(repeats: Sequence[Repeat]) -> int:
    return len({repeat.image for repeat in repeats})


def _listed(repeats: Sequence[Repeat]) -> str:
    """Return the first three of some repetitions, and how many more there are."""
    text = ", ".join(f"image {repeat}" for repeat in repeats[:3])
    return text + (f" and {len(repeats) - 3} more" if len(repeats) > 3 else "")


def _independent_in_any_order(pairs: PairCorrelations) -> float:
    """Return ``n² / ΣΣ ρ_ij`` over the pairs that are correlated beyond doubt."""
    n = len(pairs.used)
    if not np.isfinite(pairs.noise):
        return float(n)
    apart = pairs.matrix[~np.eye(n, dtype=bool)]
    total = n + float(np.sum(apart[apart > max(_SIGMAS * pairs.noise, 0.2)]))
    return max(n * n / total, 1.0)


def _equal(images: Sequence[np.ndarray], pairs: PairCorrelations) -> list[Repeat]:
    """Return the images that repeat an earlier one, turned over or not."""
    own = np.diag(pairs.matrix)
    # nearly uniform images look alike without being copies
    telling = pairs.used & (own > 0.2)
    scale = np.sqrt(np.outer(np.maximum(own, 1e-9), np.maximum(own, 1e-9)))
    # neighbours of a serial stack are alike too: a copy lies halfway between them and equality
    neighbours = float(pairs.by_distance()[1])
    found: dict[int, Repeat] = {}
    turns = {
        how: turn
        for how, turn in _TURNS.items()
        if turn(images[0]).shape == images[0].shape
        and all(image.shape == images[0].shape for image in images)
    }
    for how, turn in {"": None, **turns}.items():
        matrix, least = pairs.matrix, max(_EQUAL, (1.0 + neighbours) / 2.0)
        if turn is not None:
            matrix, least = (
                pair_correlations(images, [turn(i) for i in images], 1024).matrix,
                _TURNED,
            )
        limit = np.maximum(least * scale, _SIGMAS * pairs.noise)
        alike = np.triu(matrix >= limit, 1) & np.outer(telling, telling)
        for first, second in np.argwhere(alike).tolist():
            if first not in found:
                found.setdefault(second, Repeat(second, first, how))
    return sorted(found.values(), key=lambda repeat: repeat.image)


def _overlaps(
    images: Sequence[np.ndarray], noise: float, known: set[tuple[int, int]]
) -> Iterator[Repeat]:
    """Yield pairs of images that share a part: the maximum of their correlation over shifts.

    The search is on a coarse grid; what it finds is confirmed pixel by pixel.
    """
    values, counts = np.unique(
        np.concatenate([i[::8, ::8].ravel() for i in images]), return_counts=True
    )
    phase = values[np.argmin(np.abs(counts / counts.sum() - 0.5))]
    step = -(-max(max(image.shape) for image in images) // _GRID)
    masks = [image == phase for image in images]
    share = float(np.mean([mask.mean() for mask in masks]))
    for first, second in _pairs_of(len(images)):
        if (first, second) in known:
            continue
        a, b = (masks[k][::step, ::step] - share for k in (first, second))
        shift = _best_shift(a, b, share * (1.0 - share), noise)
        if shift is None:
            continue
        part, correlation = _confirm(masks[first], masks[second], shift, step, share)
        if _LEAST <= part <= _MOST and correlation >= _FINE:
            yield Repeat(second, first, f"overlapping by {part:.0%}")


def _pairs_of(n: int) -> Iterator[tuple[int, int]]:
    """Yield pairs of n images: neighbours first, evenly spread if there are too many."""
    left = _PAIRS
    for distance in range(1, n):
        starts = np.arange(n - distance)
        if len(starts) > left:
            starts = np.unique(np.linspace(0, len(starts) - 1, left).round().astype(int))
        yield from ((int(start), int(start) + distance) for start in starts)
        left -= len(starts)
        if left <= 0:
            return


def _best_shift(
    a: np.ndarray, b: np.ndarray, variance: float, noise: float
) -> tuple[int, int] | None:
    """Return the shift (of b in a) whose overlap correlates beyond chance, or None."""
    shape = [n + m for n, m in zip(a.shape, b.shape, strict=True)]
    spectrum = np.fft.rfft2(a, shape) * np.conj(np.fft.rfft2(b, shape))
    sums = np.fft.irfft2(spectrum, shape)
    shifts = [np.arange(n) for n in shape]
    shifts = [np.where(s < n, s, s - t) for s, n, t in zip(shifts, a.shape, shape, strict=True)]
    overlap = [
        np.clip(np.minimum(n, m + s) - np.maximum(0, s), 0, None)
        for s, n, m in zip(shifts, a.shape, b.shape, strict=True)
    ]
    area = np.outer(*overlap).astype(float)
    smaller = min(a.size, b.size)
    correlation = np.where(area >= _LEAST * smaller, sums / np.maximum(area, 1.0) / variance, 0.0)
    sigmas = correlation * np.sqrt(area / smaller) / noise
    row, column = np.unravel_index(np.argmax(sigmas), sigmas.shape)
    if sigmas[row, column] < _SIGMAS or correlation[row, column] < _COARSE:
        return None
    return int(shifts[0][row]), int(shifts[1][column])


def _confirm(
    a: np.ndarray, b: np.ndarray, shift: tuple[int, int], step: int, share: float
) -> tuple[float, float]:
    """Return the overlap (share of the smaller image) and correlation at the best shift nearby."""
    best = (0.0, 0.0)
    near = range(-step, step + 1)
    for down, right in itertools.product(near, near):
        pieces = []
        for axis, s in enumerate((shift[0] * step + down, shift[1] * step + right)):
            start, stop = max(0, s), min(a.shape[axis], b.shape[axis] + s)
            pieces.append((slice(start, max(stop, start)), slice(start - s, max(stop, start) - s)))
        (rows_a, rows_b), (columns_a, columns_b) = pieces
        same = a[rows_a, columns_a] == b[rows_b, columns_b]
        if not same.size:
            continue
        correlation = 1.0 - np.mean(~same) / (2.0 * share * (1.0 - share))
        if correlation > best[1]:
            best = same.size / min(a.size, b.size), float(correlation)
    return best
