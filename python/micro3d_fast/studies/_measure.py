# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""What is measured of one volume: descriptors, correlations, effective properties."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .._planes import AXIS_NAMES, PLANES
from ..homogenization import (
    MaterialSet,
    homogenize_conductivity,
    homogenize_elasticity,
    relative_diffusivity,
)
from ..microstructure import Microstructure
from ..statistics import (
    lineal_path,
    percolation,
    specific_surface,
    two_point_correlation,
    volume_fractions,
)

#: Quantities that are no effective properties.
DESCRIPTORS = ("fraction", "surface", "percolating")
XYZ = AXIS_NAMES[::-1]  # the order of tensors
NORMAL_PAIRS = ("xx", "yy", "zz")
CONTRACTIONS = PLANES  # nu_12, nu_13, nu_23
SHEAR_PAIRS = PLANES[::-1]  # Voigt order


class Quantity(NamedTuple):
    """One quantity of a volume: a value for each component."""

    title: str
    unit: str
    components: tuple[str, ...]
    values: tuple[float, ...]


def shown_phases(count: int) -> range:
    """Return the phases whose fraction and surface are reported: of two phases the last alone."""
    return range(count) if count > 2 else range(count - 1, count)


def descriptors(volume: Microstructure, phases: Sequence[str]) -> dict[str, Quantity]:
    """Return fractions, specific surface and percolating shares."""
    shown = shown_phases(len(phases))
    names = tuple(phases[p] for p in shown)
    present = volume_fractions(volume)
    fractions = [float(present[p]) if p < len(present) else 0.0 for p in range(len(phases))]
    per_metre = "" if set(volume.voxel_size) == {1.0} else "1/m"
    surface = tuple(float(specific_surface(volume, p)) if fractions[p] else 0.0 for p in shown)
    shares = {
        f"{phases[p]} {axis}": percolation(volume, p).fraction[axis] if fractions[p] else 0.0
        for p in range(len(phases))
        for axis in XYZ
    }
    return {
        "fraction": Quantity("volume fraction", "", names, tuple(fractions[p] for p in shown)),
        "surface": Quantity("specific surface", per_metre or "1/voxel", names, surface),
        "percolating": Quantity(
            "percolating share", "", tuple(shares), tuple(map(float, shares.values()))
        ),
    }


def properties(
    volume: Microstructure,
    phases: Sequence[str],
    materials: MaterialSet | None,
    diffusing: Sequence[int],
    tol: float,
    device: str | None = None,
) -> dict[str, Quantity]:
    """Return stiffness, thermal expansion, conductivity and relative diffusivities."""
    found: dict[str, Quantity] = {}
    if materials is not None and materials.materials is not None:
        elastic = homogenize_elasticity(volume, materials.materials, tol=tol, device=device)
        unit = materials.stress_unit or elastic.unit
        alpha = np.asarray(elastic.thermal_expansion)
        found["E"] = Quantity("Young's modulus E", unit, XYZ, _floats(elastic.E))
        found["nu"] = Quantity(
            "Poisson's ratio ν", "", CONTRACTIONS, _floats(elastic.nu[k] for k in CONTRACTIONS)
        )
        found["G"] = Quantity(
            "shear modulus G",
            unit,
            SHEAR_PAIRS,
            _floats(elastic.G[k] for k in SHEAR_PAIRS),
        )
        if any(np.any(m.thermal_expansion) for m in materials.materials):
            found["alpha"] = Quantity(
                "thermal expansion α", "1/K", NORMAL_PAIRS + SHEAR_PAIRS, _tensor(alpha)
            )
    if materials is not None and materials.conductivities is not None:
        tensor = homogenize_conductivity(
            volume, materials.conductivities, tol=tol, device=device
        ).tensor
        found["conductivity"] = Quantity(
            "conductivity", materials.conductivity_unit, NORMAL_PAIRS, _floats(np.diag(tensor))
        )
    if diffusing:
        present = np.bincount(np.asarray(volume.labels).ravel(), minlength=len(phases))
        values = {
            f"{phases[p]} {axis}": relative_diffusivity(
                volume, p, axis=axis, tol=tol, device=device
            ).relative
            if present[p]
            else 0.0
            for p in diffusing
            for axis in XYZ
        }
        found["D"] = Quantity("relative diffusivity", "", tuple(values), _floats(values.values()))
    return found


def curves(volume: Any, phases: int) -> dict[str, list[list[np.ndarray]]]:
    """Return S2 and L of every phase along the axes z, y, x, to half the edge."""
    functions = {"S2": two_point_correlation, "L": lineal_path}
    return {
        name: [[function(volume, p, axis=axis) for axis in range(3)] for p in range(phases)]
        for name, function in functions.items()
    }


def _floats(values: Any) -> tuple[float, ...]:
    return tuple(float(v) for v in values)


def _tensor(tensor: np.ndarray) -> tuple[float, ...]:
    """Return xx, yy, zz, yz, xz, xy of a symmetric tensor (3, 3)."""
    pairs = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
    return tuple(float(tensor[pair]) for pair in pairs)
