# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Synthetic microstructures with known ground truth.

Every generator returns a ``Microstructure`` whose provenance holds ``generator``, ``parameters``
(all of them, the seed too) and ``truth``: the exact volume fractions of this volume, and the
analytic properties of the model it is drawn from.  Lengths are in voxels, angles in degrees, shapes
``(nz, ny, nx)``, and three lengths for the axes are ``(z, y, x)``.  The same seed gives the same
volume on any machine with the same numpy.  ``periodic`` is one bool or one per axis; along an axis
that is not periodic, the volume is cut out of a larger periodic one.

The bundled models are trained on the first three:

=================== ============================================ ================================
generator           phases                                       known
=================== ============================================ ================================
fibre_composite     0 matrix, 1 fibre along z                    radius, number, misalignment
separator           0 pore, 1 polymer                            S2, exact fractions
cathode             0 pore, 1 active material, 2 binder          exact fractions
level_cut           any number, cut from one Gaussian field      S2 (two phases), exact fractions
overlapping_spheres 0 outside, 1 spheres                         S2, expected fraction
layered             any number, in layers normal to an axis      everything
checkerboard        0 and 1 in cubes                             everything
random_material     2 or 3, of a random family                   exact fractions
=================== ============================================ ================================
"""

from __future__ import annotations

from ._fibres import fibre_composite
from ._level_cuts import level_cut, level_cut_two_point, separator
from ._patterns import checkerboard, layered
from ._random import random_material
from ._spheres import cathode, overlapping_spheres, overlapping_spheres_two_point

__all__ = [
    "cathode",
    "checkerboard",
    "fibre_composite",
    "layered",
    "level_cut",
    "level_cut_two_point",
    "overlapping_spheres",
    "overlapping_spheres_two_point",
    "random_material",
    "separator",
]
