# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Descriptors of labelled 2D and 3D images, and the comparison of two of them."""

from ._compare import compare
from .chords import ChordLengths, chord_lengths
from .cluster_function import two_point_cluster, two_point_cluster_map
from .comparison import Comparison, Curve
from .connectivity import Connectivity, PhaseConnectivity, connectivity
from .contacts import TriplePhaseBoundary, contact_areas, triple_phase_boundary
from .euler import EulerNumber, euler_number
from .fluctuations import LocalFractions, local_fractions
from .fraction_scatter import FractionScatter, PlaneScatter, fraction_scatter
from .lengths import CorrelationLengths, correlation_lengths
from .lineal_path import lineal_path, lineal_paths
from .local_percolation import LocalPercolation, local_percolation
from .matrix import two_point_matrix
from .measures import relative_error, scaled_autocovariance
from .percolation import Percolation, cluster_labels, percolation
from .surface import specific_surface
from .two_point import (
    RadialCorrelation,
    shift,
    two_point_correlation,
    two_point_map,
    two_point_radial,
    volume_fractions,
)
from .verdict import Deviation, Verdict

__all__ = [
    "ChordLengths",
    "Comparison",
    "Connectivity",
    "CorrelationLengths",
    "Curve",
    "Deviation",
    "EulerNumber",
    "FractionScatter",
    "LocalFractions",
    "LocalPercolation",
    "Percolation",
    "PhaseConnectivity",
    "PlaneScatter",
    "RadialCorrelation",
    "TriplePhaseBoundary",
    "Verdict",
    "chord_lengths",
    "cluster_labels",
    "compare",
    "connectivity",
    "contact_areas",
    "correlation_lengths",
    "euler_number",
    "fraction_scatter",
    "lineal_path",
    "lineal_paths",
    "local_fractions",
    "local_percolation",
    "percolation",
    "relative_error",
    "scaled_autocovariance",
    "shift",
    "specific_surface",
    "triple_phase_boundary",
    "two_point_cluster",
    "two_point_cluster_map",
    "two_point_correlation",
    "two_point_map",
    "two_point_matrix",
    "two_point_radial",
    "volume_fractions",
]
