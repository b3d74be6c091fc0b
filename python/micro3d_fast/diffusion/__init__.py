# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Conditional 2D diffusion and its composition into volumes."""

from __future__ import annotations

from .model import BUNDLED, Model, ModelFileError, load_model
from .reconstruction import Reconstruction
from .schedule import Schedule
from .settings import SAMPLERS, Runtime, SamplerSettings
from .slices import sample_slices
from .training import ResumeError, train
from .volumes import reconstruct, reconstruct_many

__all__ = [
    "BUNDLED",
    "SAMPLERS",
    "Model",
    "ModelFileError",
    "Reconstruction",
    "ResumeError",
    "Runtime",
    "SamplerSettings",
    "Schedule",
    "load_model",
    "reconstruct",
    "reconstruct_many",
    "sample_slices",
    "train",
]
