# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Micrographs: 2D labelled images of up to three orthogonal planes, the source of training patches.

Conventions: plane ``"xy"`` has normal z and image axes (rows, columns) = (y, x); ``"xz"`` normal y
and (z, x); ``"yz"`` normal x and (z, y).  Row 0 of a file is the first voxel of its row axis.
Images are uint8 labels ``0 ... P-1``, C-contiguous, read-only; their sizes may differ.  Grey
values become labels only by an explicit map from value to phase, or by a threshold.  Planes that
were not given are borrowed:

* one plane: the material is isotropic, all three planes show the same images;
* two planes: it is transversely isotropic about the normal of one of them.  Let A = (a, s) and
  B = (b, s) share the direction s; the missing plane is (a, b).  If B is the isotropic plane
  (symmetry axis a), s and b are equivalent, so (a, b) shows the images of A with s read as b,
  transposed if the order of the axes requires it; if A is the isotropic plane, those of B with s
  read as a.
"""

from __future__ import annotations

from ._borrowing import correlation_length
from ._contradictions import AxisReport
from ._edges import Bar, Gradient
from ._micrographs import Micrographs
from ._noise import Noise
from ._patch import AxisLength, PatchReport
from ._repeats import Repeat, Repeats
from ._report import MicrographReport, PlaneReport

__all__ = [
    "AxisLength",
    "AxisReport",
    "Bar",
    "Gradient",
    "MicrographReport",
    "Micrographs",
    "Noise",
    "PatchReport",
    "PlaneReport",
    "Repeat",
    "Repeats",
    "correlation_length",
]
