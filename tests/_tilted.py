# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""A material whose structure is tilted in the yz plane alone."""

from __future__ import annotations

import numpy as np

import micro3d_fast as m3


def tilted(edge: int, seed: int) -> np.ndarray:
    """Return a level cut, long along z, whose layers are shifted along y by their height."""
    straight = m3.synthetic.level_cut((edge, 2 * edge, edge), (0.6, 0.4), (6.0, 2.0, 2.0), seed)
    layers = [layer[z // 2 : z // 2 + edge] for z, layer in enumerate(straight.labels)]
    return np.ascontiguousarray(layers)
