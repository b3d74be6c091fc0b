# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Noise of a segmentation: single pixels, and surface that a slight smoothing removes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ._borrowing import spread

_IMAGES = 32  # images of a plane that are examined, ...
_PIXELS = 1 << 21  # ... their central parts if they hold more pixels than this together
_FEWEST = 5  # single pixels, and ...
_SHORTEST = 300  # ... pixels of interface from which a rate is taken
# Clean images of resolved structures stay below: tomograms up to 0.002 and 1.3, fibres of a radius
# of 1.6 pixels included; 1 % of wrong pixels gives 0.01.
_SPECKLE = 0.006
_SURFACE, _SOME = 1.5, 0.001


@dataclass(frozen=True)
class Noise:
    """Noise of the segmentation of a plane.

    ``speckle`` is the share of single pixels among those whose eight neighbours are all of one
    phase, which is the share of wrong pixels if they are wrong at random; ``speckle_error`` is its
    standard error, and ``surface`` the length of interface divided by what a 3 x 3 majority filter
    leaves of it.
    """

    speckle: float
    speckle_error: float
    surface: float


def find_noise(images: Sequence[np.ndarray]) -> Noise:
    """Return the noise of some images."""
    chosen = spread(images, _IMAGES)
    single = inside = before = after = 0
    for image in chosen:
        window = _centre(image, _PIXELS // len(chosen))
        if min(window.shape) < 4:
            continue
        corner = window[:-2, :-2]
        uniform = np.ones(corner.shape, dtype=bool)
        for row, column in itertools.product(range(3), range(3)):
            if (row, column) != (1, 1):
                uniform &= _shifted(window, row, column) == corner
        inside += int(np.count_nonzero(uniform))
        single += int(np.count_nonzero(uniform & (_shifted(window, 1, 1) != corner)))
        before += _interface(_shifted(window, 1, 1))
        after += _interface(_majority(window))
    if single < _FEWEST:
        single = 0
    rates = single / max(inside, 1), single**0.5 / max(inside, 1)
    return Noise(*rates, before / max(after, 1) if before >= _SHORTEST else 1.0)


def noise_warnings(plane: str, noise: Noise) -> Iterator[str]:
    """Yield a warning if a segmentation is noisy."""
    found = []
    if noise.speckle - noise.speckle_error > _SPECKLE:
        found.append(
            f"{noise.speckle:.1%} of the pixels inside a phase are single pixels of another"
        )
    if noise.surface > _SURFACE and noise.speckle > _SOME:  # thin slivers hold no single pixels
        found.append(
            f"a 3 x 3 majority filter removes {1 - 1 / noise.surface:.0%} of the interface"
        )
    if found:
        yield (
            f"the segmentation of plane {plane} is noisy or its details are as fine as pixels: "
            f"{' and '.join(found)}; filter the images before segmenting them, or image them at a "
            "higher resolution"
        )


def _centre(image: np.ndarray, pixels: int) -> np.ndarray:
    """Return the central square of an image of at most so many pixels, or the whole image."""
    if image.size <= pixels:
        return image
    sides = [min(n, max(4, int(pixels**0.5))) for n in image.shape]
    starts = [(n - side) // 2 for n, side in zip(image.shape, sides, strict=True)]
    return image[tuple(slice(a, a + side) for a, side in zip(starts, sides, strict=True))]


def _shifted(image: np.ndarray, row: int, column: int) -> np.ndarray:
    rows, columns = image.shape
    return image[row : rows - 2 + row, column : columns - 2 + column]


def _interface(image: np.ndarray) -> int:
    """Return the number of unlike neighbours."""
    return int(
        np.count_nonzero(image[1:] != image[:-1]) + np.count_nonzero(image[:, 1:] != image[:, :-1])
    )


def _majority(image: np.ndarray) -> np.ndarray:
    """Return the most frequent phase in the 3 x 3 pixels around each pixel but those at edges."""
    most = np.zeros((image.shape[0] - 2, image.shape[1] - 2), dtype=np.uint8)
    phase_of_most = np.zeros_like(most)
    for phase in np.unique(image):
        here = (image == phase).view(np.uint8)
        rows = here[:-2] + here[1:-1] + here[2:]
        count = rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]
        more = count > most
        most[more] = count[more]
        phase_of_most[more] = phase
    return phase_of_most
