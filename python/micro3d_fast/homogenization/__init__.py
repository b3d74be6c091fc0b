# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Labelled image -> stiffness, thermal expansion, conductivity and relative diffusivity."""

from __future__ import annotations

from .bounds import (
    ConductivityBounds,
    ElasticBounds,
    HashinShtrikman,
    conductivity_bounds,
    elastic_bounds,
)
from .material_sets import MaterialSet, load_materials, material_sets
from .materials import (
    PORE,
    Anisotropic,
    Isotropic,
    Material,
    Orthotropic,
    TransverselyIsotropic,
)

__all__ = [
    "PORE",
    "Anisotropic",
    "ConductivityBounds",
    "ElasticBounds",
    "HashinShtrikman",
    "Isotropic",
    "Material",
    "MaterialSet",
    "Orthotropic",
    "TransverselyIsotropic",
    "conductivity_bounds",
    "elastic_bounds",
    "load_materials",
    "material_sets",
]
