# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""An untrained network, a truth, and a small study of both."""

from __future__ import annotations

import warnings

import pytest

import micro3d_fast as m3
from _toy import tiny_model
from volumes import blobs

SHAPE = (16, 16, 16)
FEW = {"passes": 3, "device": "cpu"}


@pytest.fixture(scope="session")
def model():
    return tiny_model()


@pytest.fixture(scope="session")
def truth():
    labels = blobs((32, 32, 32), (0.6, 0.4))
    return m3.Microstructure(labels, voxel_size=1e-6, phase_names=("a", "b"))


@pytest.fixture(scope="session")
def run_study(model, truth):
    """Run a study in this process, with three passes of the network a volume."""

    def run(out, first=model, second=truth, figures=False, **options):
        with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
            warnings.simplefilter("ignore")  # the network is untrained
            if not figures:  # they take most of the time of so small a study
                patch.setattr("micro3d_fast.studies._figures.write_figures", lambda study: [])
            return m3.study(
                first, second, out, volume_shape=SHAPE, **{**FEW, "workers": 1, **options}
            )

    return run
