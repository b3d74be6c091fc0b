# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Fit the sampler, and the network where it must be, to the micrographs of one model."""

from ._calibrate import Calibration, calibrate
from ._surface import Trial

__all__ = ["Calibration", "Trial", "calibrate"]
