# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The paper's validation: many volumes of a model against real blocks, as one resumable study."""

from ._errors import GroupErrors
from ._result import Study, status_of
from ._samples import TwoSample
from ._study import study
from .presets import PRESETS, MaterialPreset

__all__ = [
    "PRESETS",
    "GroupErrors",
    "MaterialPreset",
    "Study",
    "TwoSample",
    "status_of",
    "study",
]
