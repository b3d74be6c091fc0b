# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Faults at a fixed place of all images of a plane: a data bar at an edge, a gradient across."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from .._planes import AXIS_NAMES, IMAGE_AXES
from ._borrowing import spread
from ._scatter import MIN_UNITS, halves, standard_error

_MOST = 64  # images that are searched for bars
_SIDE = 256  # lines of an image, evenly spread, in which a gradient is measured
_DEEPEST = 3  # a bar takes at most 1/3 of an image
_THINNEST = 3  # pixels of the thinnest bar
_UNIFORM = 0.98  # a line of one phase only, ...
_CHANCE = 1e-6  # ... where that is less likely by chance
_ALIEN = 6.0  # standard deviations of the inner lines by which a line of a bar differs, ...
_BEYOND = 2.0  # ... that much more than any inner line, and towards one phase
_DRAWS = 16.0  # independent places along a line from which its share says something
_ALIKE = 0.1  # the lines of a bar differ between images this much less than inner ones
_INDEPENDENT = 3.0  # independent images from which likeness between images is a fault
_STRIP = 4.0  # correlation lengths that strips of few images are wide at least
_FEWEST = 6.0  # independent images or strips from which the scatter is estimated
_SIGMAS, _CHANGE = 5.0, 0.02  # a gradient exceeds so many standard errors, and this change

_EDGES = (("top", 0, False), ("bottom", 0, True), ("left", 1, False), ("right", 1, True))


@dataclass(frozen=True)
class Bar:
    """A band at an edge of all images of a plane, unlike the rest: a data bar or a frame."""

    edge: str  # "top", "bottom", "left" or "right"
    pixels: int


@dataclass(frozen=True)
class Gradient:
    """Linear change of a volume fraction from one edge of the images to the opposite one.

    ``axis`` runs along the change; ``change`` is that of the phase that changes most.
    """

    axis: str
    phase: int
    change: float
    standard_error: float


def find_bars(
    images: Sequence[np.ndarray],
    n_phases: int,
    independent: float,
    lengths: tuple[float, float],
) -> tuple[Bar, ...]:
    """Return the bars at the edges of some images.

    ``independent`` is the number of independent ones, ``lengths`` their correlation lengths along
    rows' and columns' axis.
    """
    bars = []
    independent *= min(1.0, _MOST / len(images))
    images = spread(images, _MOST)
    shared = _shares(images, n_phases) if len({image.shape for image in images}) == 1 else None
    for edge, axis, far in _EDGES:
        turned = [image if axis == 0 else image.T for image in images]
        lines, width = np.min([image.shape for image in turned], axis=0).tolist()
        if lines < 4 * _THINNEST:
            continue
        if shared is None:  # lined up at the edge
            shares = _shares([(i[::-1] if far else i)[:lines, :width] for i in turned], n_phases)
        else:
            shares = shared if axis == 0 else shared.transpose(0, 2, 1)
            shares = shares[:, ::-1] if far else shares
        # along a line the structure is drawn anew every two correlation lengths
        draws = max(1.0, width / (2.0 * lengths[1 - axis])) * independent
        alike = independent >= _INDEPENDENT
        thickness = _run(_odd_lines(shares, draws, alike)[: lines // _DEEPEST])
        if _THINNEST <= thickness < lines // _DEEPEST:
            bars.append(Bar(edge, thickness))
    return tuple(bars)


def without_bars(images: Sequence[np.ndarray], bars: Sequence[Bar]) -> list[np.ndarray]:
    """Return the images without the bars at their edges."""
    cut = {bar.edge: bar.pixels for bar in bars}
    top, bottom, left, right = (cut.get(edge, 0) for edge, _, _ in _EDGES)
    return [i[top : i.shape[0] - bottom, left : i.shape[1] - right] for i in images]


def bar_warnings(plane: str, bars: Sequence[Bar]) -> Iterator[str]:
    """Yield a warning about the bars of a plane."""
    if bars:
        named = " and ".join(f"{bar.pixels} pixels at the {bar.edge}" for bar in bars)
        yield (
            f"the images of plane {plane} have a data bar or a frame: {named} are alike in all "
            "images or unlike the rest; crop them off"
        )


def find_gradients(
    images: Sequence[np.ndarray],
    plane: str,
    n_phases: int,
    independent: float,
    lengths: tuple[float, float],
) -> tuple[Gradient, ...]:
    """Return the change of a fraction along rows' and columns' axis, where it can be measured.

    ``independent`` is the share of the images that is independent, ``lengths`` their correlation
    lengths along rows' and columns' axis.
    """
    found = []
    for axis, name in enumerate(AXIS_NAMES[a] for a in IMAGE_AXES[plane]):
        across, units = 1 - axis, list(images)
        widest = 2 * _STRIP * lengths[across]  # strips that are halved stay independent
        while len(units) < MIN_UNITS and min(u.shape[across] for u in units) >= widest:
            units = [half for unit in units for half in halves(unit, across)]
        changes = np.array([_changes(unit, axis, n_phases) for unit in units])
        share = min(independent, _independence(changes))
        if share * len(units) < _FEWEST:
            continue
        errors = standard_error(changes, share)
        mean = changes.mean(axis=0)
        phase = int(np.argmax(np.abs(mean)))
        found.append(Gradient(name, phase, float(mean[phase]), float(errors[phase])))
    return tuple(found)


def gradient_warnings(
    plane: str, gradients: Sequence[Gradient], names: Sequence[str]
) -> Iterator[str]:
    """Yield a warning for each gradient that the scatter does not explain."""
    for gradient in gradients:
        if abs(gradient.change) > max(_SIGMAS * gradient.standard_error, _CHANGE):
            verb = "rises" if gradient.change > 0 else "falls"
            yield (
                f"the volume fraction of {names[gradient.phase]} {verb} by "
                f"{abs(gradient.change):.3f} ± {gradient.standard_error:.3f} along {gradient.axis} "
                f"across all images of plane {plane}: correct the illumination, or crop the images "
                "to a part without gradient"
            )


def _shares(images: Sequence[np.ndarray], n_phases: int) -> np.ndarray:
    """Return the share of the images that show each phase at each pixel: (P, rows, columns)."""
    counts = np.zeros((n_phases, *images[0].shape), dtype=np.uint32)
    for image in images:
        for phase in range(1, n_phases):
            counts[phase] += image == phase
    counts[0] = len(images) - counts[1:].sum(axis=0)
    return counts / len(images)


def _odd_lines(shares: np.ndarray, draws: float, compare: bool) -> np.ndarray:
    """Return which lines (rows) are unlike the inner ones, or alike in all images.

    ``shares`` are those of :func:`_shares`; ``draws`` is the number of independent places that a
    line of all images shows; ``compare`` says whether likeness between images means anything.
    """
    lines = shares.shape[1]
    inner = slice(lines // _DEEPEST, lines - lines // _DEEPEST)
    odd = np.zeros(lines, dtype=bool)
    for share in shares.mean(axis=2):
        away = np.abs(share - np.median(share[inner]))
        alien = away > max(_ALIEN * np.std(share[inner]), _BEYOND * np.max(away[inner]))
        if draws >= _DRAWS:
            odd |= alien & (share > (1.0 + np.median(share[inner])) / 2.0)
        if np.max(share[inner]) ** draws < _CHANCE:
            odd |= share >= _UNIFORM
    if compare and draws >= _DRAWS:
        differing = np.mean(np.sum(shares * (1.0 - shares), axis=0), axis=1)
        odd |= differing < _ALIKE * np.median(differing[inner])
    return odd


def _run(odd: np.ndarray) -> int:
    """Return the length of the run of odd lines at the edge; letters may interrupt it."""
    if not odd[:_THINNEST].all():
        return 0
    lengths = np.arange(1, len(odd) + 1)
    mostly = odd & (np.cumsum(odd) >= 0.8 * lengths)
    return int(lengths[mostly][-1])


def _changes(image: np.ndarray, axis: int, n_phases: int) -> np.ndarray:
    """Return the fitted change of each phase's fraction along an axis, edge to edge."""
    image = image[:: -(-image.shape[0] // _SIDE), :: -(-image.shape[1] // _SIDE)]
    lines, width = image.shape[axis], image.shape[1 - axis]
    position = (np.arange(lines, dtype=np.float32) - (lines - 1) / 2) / lines
    weight = position / max(float(np.sum(position**2)) * width, 1e-9)
    ones = np.ones(width, dtype=np.float32)
    changes = np.zeros(n_phases)
    for phase in range(1, n_phases):
        mask = (image == phase).astype(np.float32)
        changes[phase] = weight @ mask @ ones if axis == 0 else ones @ mask @ weight
    changes[0] = -changes[1:].sum()
    return changes


def _independence(changes: np.ndarray) -> float:
    """Return the share of a series that is independent, from the correlation of neighbours."""
    centred = changes - changes.mean(axis=0)
    variance = np.sum(centred**2)
    if variance == 0.0:
        return 1.0
    correlation = np.sum(centred[1:] * centred[:-1]) / variance
    if correlation < 2.0 / len(changes) ** 0.5:  # within two standard errors of 0
        return 1.0
    return float((1.0 - correlation) / (1.0 + correlation))
