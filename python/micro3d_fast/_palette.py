# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""One colour per phase, the same in every picture of a report.

The first eight differ in lightness as well as in hue, so that they survive a grey printer and the
common colour vision deficiencies (they are neighbours of the Okabe-Ito set).
"""

from __future__ import annotations

import numpy as np

PHASE_COLOURS = (
    "#dcd8cf",  # warm grey: phase 0, most often the matrix or the pore
    "#2f74a8",  # blue
    "#e3963e",  # orange
    "#2f9e83",  # green
    "#b8558f",  # rose
    "#f0d264",  # yellow
    "#6d4c8d",  # violet
    "#7b3f2a",  # brown
)


def phase_colour(phase: int) -> str:
    """Return the colour of a phase as ``#rrggbb``; the set repeats after eight."""
    return PHASE_COLOURS[phase % len(PHASE_COLOURS)]


def phase_rgb() -> np.ndarray:
    """Return the colours of all 256 labels, uint8."""
    rows = [bytes.fromhex(phase_colour(phase)[1:]) for phase in range(256)]
    return np.array([list(row) for row in rows], dtype=np.uint8)  # (256, 3)
