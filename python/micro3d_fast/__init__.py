# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""micro3d-fast: 3D microstructures from 2D micrographs, and the proof that they are right.

Importing this is fast: every public name is loaded from its submodule on first use (PEP 562), so
torch, scipy, matplotlib and the compiled core are imported when they are needed.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

#: public name -> the submodule that it lives in
_PUBLIC: dict[str, str] = {
    # input
    "Micrographs": "micrographs",
    "Microstructure": "microstructure",
    # diffusion
    "Model": "diffusion",
    "train": "diffusion",
    "load_model": "diffusion",
    "reconstruct": "diffusion",
    "reconstruct_many": "diffusion",
    "sample_slices": "diffusion",
    "SamplerSettings": "diffusion",
    "Runtime": "diffusion",
    "ModelFileError": "diffusion",
    "ResumeError": "diffusion",
    # the sampler for one material
    "calibrate": "calibration",
    "Calibration": "calibration",
    # statistics
    "volume_fractions": "statistics",
    "two_point_map": "statistics",
    "two_point_correlation": "statistics",
    "two_point_radial": "statistics",
    "two_point_cluster": "statistics",
    "lineal_path": "statistics",
    "chord_lengths": "statistics",
    "correlation_lengths": "statistics",
    "specific_surface": "statistics",
    "contact_areas": "statistics",
    "triple_phase_boundary": "statistics",
    "euler_number": "statistics",
    "percolation": "statistics",
    "local_fractions": "statistics",
    "local_percolation": "statistics",
    "compare": "statistics",
    "Comparison": "statistics",
    "RadialCorrelation": "statistics",
    "connectivity": "statistics",
    "Connectivity": "statistics",
    # homogenization
    "Isotropic": "homogenization",
    "TransverselyIsotropic": "homogenization",
    "Orthotropic": "homogenization",
    "Anisotropic": "homogenization",
    "homogenize_elasticity": "homogenization",
    "homogenize_conductivity": "homogenization",
    "relative_diffusivity": "homogenization",
    "ElasticProperties": "homogenization",
    "ConductivityProperties": "homogenization",
    "Diffusivity": "homogenization",
    "property_scatter": "homogenization",
    "PropertyScatter": "homogenization",
    # the machine
    "cuda_status": "ops",
    "CudaError": "_errors",
    "CudaUnavailableError": "_errors",
}

#: submodules reachable as attributes
_MODULES = frozenset(
    {
        "calibration",
        "diffusion",
        "homogenization",
        "io",
        "micrographs",
        "microstructure",
        "ops",
        "report",
        "statistics",
        "synthetic",
    }
)

__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        value = getattr(importlib.import_module(f"{__name__}.{_PUBLIC[name]}"), name)
    elif name in _MODULES:
        value = importlib.import_module(f"{__name__}.{name}")
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC, *_MODULES})
