# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Independent 2D samples."""

from __future__ import annotations

import numpy as np
import pytest

from _toy import tiny_model
from micro3d_fast.diffusion import (
    sample_slices,
)


@pytest.mark.parametrize("phases", [2, 3])
def test_slices_alone(phases):
    images = sample_slices(tiny_model(phases), "xz", 3, size=(16, 20), steps=3, seed=1)
    assert images.shape == (3, 16, 20)
    assert images.dtype == np.uint8
    again = sample_slices(tiny_model(phases), "xz", 3, size=(16, 20), steps=3, seed=1)
    assert (images == again).all()
    with pytest.raises(ValueError, match="`plane`"):
        sample_slices(tiny_model(), "zx")
