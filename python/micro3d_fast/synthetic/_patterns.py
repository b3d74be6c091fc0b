# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Regular patterns: layers and bricks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .. import _checks
from .._planes import AXIS_NAMES
from ..microstructure import Microstructure
from ..typing import VoxelSize
from ._common import check_fractions, make_microstructure


def layered(
    shape: Sequence[int],
    volume_fractions: Sequence[float] = (0.5, 0.5),
    period: int = 8,
    axis: int | str = "z",
    *,
    voxel_size: VoxelSize = 1.0,
) -> Microstructure:
    """Return a laminate: plane layers normal to an axis, one of each phase in turn.

    Parameters
    ----------
    shape : (nz, ny, nx)
        In voxels.
    volume_fractions : sequence of float
        One per phase, with sum 1: thickness of its layer over the period, rounded to whole voxels
        (``thickness`` in the truth).
    period : int
        In voxels, at least one per phase.
    axis : int or str
        The normal of the layers.
    voxel_size : float or (dz, dy, dx)
        In metres.

    Returns
    -------
    Microstructure
        Periodic along the axis if its length is a multiple of the period.
    """
    size = _checks.shape3(shape, name="shape")
    fractions = check_fractions(volume_fractions)
    period = _checks.integer(period, name="period", minimum=len(fractions))
    normal = _checks.axis_number(axis, 3)
    ends = np.round(np.cumsum(fractions) * period).astype(np.int64)
    thickness = np.diff(ends, prepend=0)
    if (thickness == 0).any():
        raise _checks.refuse(
            "period",
            "give every phase a layer of at least one voxel",
            f"{period}, which gives {thickness.tolist()}",
        )
    column = np.repeat(np.arange(len(fractions), dtype=np.uint8), thickness)
    line = column[np.arange(size[normal]) % period]
    labels = np.empty(size, dtype=np.uint8)
    labels[...] = line.reshape([-1 if a == normal else 1 for a in range(3)])
    parameters = {
        "shape": size,
        "volume_fractions": fractions,
        "period": period,
        "axis": AXIS_NAMES[normal],
    }
    facts = {
        "thickness": thickness,
        "model_volume_fractions": thickness / period,
        "symmetry_axis": AXIS_NAMES[normal],
        "periodic": size[normal] % period == 0,
    }
    names = tuple(f"phase {phase}" for phase in range(len(fractions)))
    return make_microstructure("layered", labels, names, parameters, facts, voxel_size)


def checkerboard(
    shape: Sequence[int], cell: int | Sequence[int] = 8, *, voxel_size: VoxelSize = 1.0
) -> Microstructure:
    """Return two phases in alternating bricks.

    Parameters
    ----------
    shape : (nz, ny, nx)
        In voxels.
    cell : int or (cz, cy, cx)
        Edges of the bricks, in voxels.
    voxel_size : float or (dz, dy, dx)
        In metres.

    Returns
    -------
    Microstructure
        Periodic along an axis if its length is a multiple of two cells.
    """
    size = _checks.shape3(shape, name="shape")
    cells = _checks.shape3((cell,) * 3 if np.ndim(cell) == 0 else cell, name="cell")
    z, y, x = (np.arange(n) // c for n, c in zip(size, cells, strict=True))
    labels = ((z[:, None, None] + y[:, None] + x) % 2).astype(np.uint8)
    facts = {"periodic": [n % (2 * c) == 0 for n, c in zip(size, cells, strict=True)]}
    parameters = {"shape": size, "cell": cells}
    return make_microstructure(
        "checkerboard", labels, ("even", "odd"), parameters, facts, voxel_size
    )
