# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Conditional 2D diffusion and its composition into volumes."""

from __future__ import annotations

from .checkpoint import BUNDLED, Model, ModelFileError, load_model
from .sampling import SamplerSettings, reconstruct, reconstruct_many, sample_slices
from .schedule import Schedule
from .training import ResumeError, train

__all__ = [
    "BUNDLED",
    "Model",
    "ModelFileError",
    "ResumeError",
    "SamplerSettings",
    "Schedule",
    "load_model",
    "reconstruct",
    "reconstruct_many",
    "sample_slices",
    "train",
]
