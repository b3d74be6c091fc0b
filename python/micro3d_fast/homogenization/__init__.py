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
from .conduction import ConductivityProperties, homogenize_conductivity
from .diffusivity import Diffusivity, relative_diffusivity
from .elasticity import ElasticProperties, homogenize_elasticity
from .local_fields import LocalFields
from .material_sets import MaterialSet, load_materials, material_sets
from .materials import (
    PORE,
    Anisotropic,
    Isotropic,
    Material,
    Orthotropic,
    TransverselyIsotropic,
)
from .scatter import PropertyScatter, ScatteredProperty, property_scatter
from .solver import ConvergenceError, SolverProgress

__all__ = [
    "PORE",
    "Anisotropic",
    "ConductivityBounds",
    "ConductivityProperties",
    "ConvergenceError",
    "Diffusivity",
    "ElasticBounds",
    "ElasticProperties",
    "HashinShtrikman",
    "Isotropic",
    "LocalFields",
    "Material",
    "MaterialSet",
    "Orthotropic",
    "PropertyScatter",
    "ScatteredProperty",
    "SolverProgress",
    "TransverselyIsotropic",
    "conductivity_bounds",
    "elastic_bounds",
    "homogenize_conductivity",
    "homogenize_elasticity",
    "load_materials",
    "material_sets",
    "property_scatter",
    "relative_diffusivity",
]
