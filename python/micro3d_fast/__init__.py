# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""micro3d-fast: 3D microstructures from 2D micrographs, and the proof that they are right.

Importing this is fast: every public name is loaded from its submodule on first use (PEP 562), so
torch, scipy, matplotlib and the compiled core are imported when they are needed.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the same names for editors and type checkers; a test compares both
    from . import calibration as calibration
    from . import diffusion as diffusion
    from . import homogenization as homogenization
    from . import io as io
    from . import micrographs as micrographs
    from . import microstructure as microstructure
    from . import ops as ops
    from . import report as report
    from . import statistics as statistics
    from . import studies as studies
    from . import synthetic as synthetic
    from ._errors import CudaError as CudaError
    from ._errors import CudaUnavailableError as CudaUnavailableError
    from .calibration import Calibration as Calibration
    from .calibration import calibrate as calibrate
    from .diffusion import Model as Model
    from .diffusion import ModelFileError as ModelFileError
    from .diffusion import ResumeError as ResumeError
    from .diffusion import Runtime as Runtime
    from .diffusion import SamplerSettings as SamplerSettings
    from .diffusion import load_model as load_model
    from .diffusion import reconstruct as reconstruct
    from .diffusion import reconstruct_many as reconstruct_many
    from .diffusion import sample_slices as sample_slices
    from .diffusion import train as train
    from .homogenization import Anisotropic as Anisotropic
    from .homogenization import ConductivityProperties as ConductivityProperties
    from .homogenization import Diffusivity as Diffusivity
    from .homogenization import ElasticProperties as ElasticProperties
    from .homogenization import Isotropic as Isotropic
    from .homogenization import Orthotropic as Orthotropic
    from .homogenization import PropertyScatter as PropertyScatter
    from .homogenization import TransverselyIsotropic as TransverselyIsotropic
    from .homogenization import homogenize_conductivity as homogenize_conductivity
    from .homogenization import homogenize_elasticity as homogenize_elasticity
    from .homogenization import property_scatter as property_scatter
    from .homogenization import relative_diffusivity as relative_diffusivity
    from .micrographs import Micrographs as Micrographs
    from .microstructure import Microstructure as Microstructure
    from .ops import cuda_status as cuda_status
    from .statistics import Comparison as Comparison
    from .statistics import Connectivity as Connectivity
    from .statistics import RadialCorrelation as RadialCorrelation
    from .statistics import chord_lengths as chord_lengths
    from .statistics import compare as compare
    from .statistics import contact_areas as contact_areas
    from .statistics import correlation_lengths as correlation_lengths
    from .statistics import euler_number as euler_number
    from .statistics import local_fractions as local_fractions
    from .statistics import specific_surface as specific_surface
    from .statistics import triple_phase_boundary as triple_phase_boundary
    from .statistics import two_point_cluster as two_point_cluster
    from .statistics import two_point_correlation as two_point_correlation
    from .statistics import two_point_map as two_point_map
    from .statistics import two_point_radial as two_point_radial
    from .statistics import volume_fractions as volume_fractions
    from .statistics.connectivity import connectivity as connectivity
    from .statistics.lineal_path import lineal_path as lineal_path
    from .statistics.local_percolation import local_percolation as local_percolation
    from .statistics.percolation import percolation as percolation
    from .studies import Study as Study
    from .studies import study as study

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
    # the paper's validation
    "study": "studies",
    "Study": "studies",
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
        "studies",
        "synthetic",
    }
)

__all__ = ["__version__", *_PUBLIC]


if not TYPE_CHECKING:  # type checkers report names that do not exist

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
    hidden = {"Any", "TYPE_CHECKING", "annotations", "importlib"}
    return sorted({*globals(), *_PUBLIC, *_MODULES} - hidden)
