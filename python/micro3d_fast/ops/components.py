# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Components of voxels that are connected by faces."""

from __future__ import annotations

from .. import _core
from .._arrays import Array, empty_like
from ._shapes import shape_of
from .device import current_stream

__all__ = ["connected_components"]


def connected_components(
    mask: Array, *, periodic: tuple[bool, bool, bool] = (False, False, False)
) -> Array:
    """Return the number of the first voxel of the component of every voxel.

    Parameters
    ----------
    mask : array of uint8 or bool, shape (nz, ny, nx)
        C-contiguous, fewer than 2^31 voxels. Components are those of nonzero voxels.
    periodic : three bools
        Axes across whose faces voxels connect.

    Returns
    -------
    array of int32, shape (nz, ny, nx)
        In C order, so equal within a component and smallest possible; -1 outside the mask. On the
        CPU in one thread.

    Examples
    --------
    >>> import numpy as np
    >>> connected_components(np.array([[[0, 1, 1, 0, 1]]], dtype=np.uint8))
    array([[[-1,  1,  1, -1,  4]]], dtype=int32)
    """
    out = empty_like(mask, shape_of(mask, "mask", 3), "int32")
    _core.connected_components(mask, out, periodic, current_stream(mask))
    return out
