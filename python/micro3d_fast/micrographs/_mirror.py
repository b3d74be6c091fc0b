# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Whether the images of a plane have the law of their mirror images.

Structure that is tilted against the axes of an image does not: pairs of pixels along one diagonal
agree more often than along the other.  An image turned by 180 degrees has the same pairs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_LAGS = (1, 2, 4, 8, 16)  # along rows and columns, at most half a tile
_TILE, _MOST_TILES = 12, 4  # pixels of a tile at least, and tiles along an axis
_SIDE = 1024  # pixels of an image along each axis that are measured
_FEWEST, _MOST, _PIXELS = 4, 64, 1 << 22  # images of a plane that are measured, and their pixels
LEVEL = 0.05  # a false alarm costs little: crops are turned, but not flipped


def mirror_symmetric(images: Sequence[np.ndarray], n_phases: int, level: float = LEVEL) -> bool:
    """Return whether S2 along the diagonals does not tell images from their mirror images.

    The differences S2(k, l) - S2(k, -l) of tiles that lie apart are independent; serial sections
    are not, so the tiles of one place are averaged over all images.
    """
    from scipy.stats import f

    images = [image[:_SIDE, :_SIDE] for image in images]
    most = min(max(_PIXELS // images[0].size, _FEWEST), _MOST)
    images = images[:: -(-len(images) // most)]
    side = min(min(image.shape) for image in images)
    tiles = min(side // _TILE, _MOST_TILES)
    if tiles < 2:
        return True
    lags = [lag for lag in _LAGS if lag <= side // tiles // 2]
    phases = range(n_phases if n_phases > 2 else 1)
    apart = np.mean([_differences(image, tiles, phases, lags) for image in images], axis=0)
    n = len(apart)
    noise = apart.var(axis=0, ddof=1).sum() / n
    # Lags depend on each other: in the worst case their sum is that of a single one.
    return bool((apart.mean(axis=0) ** 2).sum() <= noise * f.isf(level, 1, n - 1))


def _differences(
    image: np.ndarray, tiles: int, phases: Sequence[int], lags: Sequence[int]
) -> np.ndarray:
    """Return S2(k, l) - S2(k, -l) of tiles x tiles parts of an image, (parts, phases x lags²)."""
    rows, columns = (n // tiles for n in image.shape)
    whole = image[: tiles * rows, : tiles * columns].reshape(tiles, rows, tiles, columns)
    parts = whole.swapaxes(1, 2).reshape(-1, rows, columns)
    found = []
    for inside in (parts == phase for phase in phases):
        for k in lags:
            for m in lags:
                down = inside[:, :-k, :-m] & inside[:, k:, m:]
                up = inside[:, :-k, m:] & inside[:, k:, :-m]
                found.append(down.mean(axis=(1, 2)) - up.mean(axis=(1, 2)))
    return np.stack(found, axis=1)
