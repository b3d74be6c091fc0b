# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Descriptors of labelled 2D and 3D images, and the comparison of two of them."""

from .comparison import Comparison, Curve, compare, relative_error, scaled_autocovariance
from .lineal_path import lineal_path
from .two_point import (
    RadialCorrelation,
    shift,
    two_point_correlation,
    two_point_map,
    two_point_radial,
    volume_fractions,
)

__all__ = [
    "Comparison",
    "Curve",
    "RadialCorrelation",
    "compare",
    "lineal_path",
    "relative_error",
    "scaled_autocovariance",
    "shift",
    "two_point_correlation",
    "two_point_map",
    "two_point_radial",
    "volume_fractions",
]
