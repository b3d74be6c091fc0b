# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Training of the conditional 2D denoiser."""

from __future__ import annotations

from .learner import DivergedError
from .run_directory import CHECKPOINT, ResumeError
from .teacher import Teacher
from .train import fine_tune, train

__all__ = ["CHECKPOINT", "DivergedError", "ResumeError", "Teacher", "fine_tune", "train"]
