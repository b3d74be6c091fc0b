# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Planes and axes of a volume ``labels[z, y, x]``: the one definition that everything else uses."""

from __future__ import annotations

#: Names of the array axes 0, 1, 2 of a volume.
AXIS_NAMES = ("z", "y", "x")
#: Names of the planes; a plane is named after the two axes that its images show.
PLANES = ("xy", "xz", "yz")
#: Array axis along the normal of a plane: slice k of a plane is taken at index k of this axis.
NORMAL = {"xy": 0, "xz": 1, "yz": 2}
#: Array axes of (rows, columns) of an image of a plane.
IMAGE_AXES = {
    plane: tuple(axis for axis in range(3) if axis != normal) for plane, normal in NORMAL.items()
}
#: Array axes (slice, row, column) of the slice batch [S, C, H, W] of a plane.
SLICE_AXES = {plane: (NORMAL[plane], *IMAGE_AXES[plane]) for plane in PLANES}
#: Permutation that turns the slice batch [S, C, H, W] of a plane into its field (C, z, y, x).
TO_FIELD = {
    plane: (1, *((0, 2, 3)[axes.index(axis)] for axis in range(3)))
    for plane, axes in SLICE_AXES.items()
}
