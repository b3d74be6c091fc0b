# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The fast sampler at 64^3 with preset small: seconds, and its time outside the network."""

from __future__ import annotations

import numpy as np
import pytest

import micro3d_fast as m3
from _results import record

EDGE = 64


@pytest.mark.parametrize("name", ["separator", "cathode"])
def test_fast_sampler(benchmark, name):
    model = m3.load_model(name)
    made: list[m3.Microstructure] = []

    def run() -> None:
        made.append(m3.reconstruct((EDGE,) * 3, model, seed=len(made)))

    benchmark.pedantic(run, rounds=3, warmup_rounds=1)
    for volume in made:  # what is timed is what was asked for
        assert volume.shape == (EDGE,) * 3
        np.testing.assert_allclose(volume.volume_fractions, model.volume_fractions, atol=1e-4)
    timed = [v.provenance for v in made[1:]]
    seconds = float(np.median([p["seconds"] for p in timed]))
    outside = float(np.median([1 - p["network_seconds"] / p["seconds"] for p in timed]))
    case = f"{name} {EDGE}^3, {timed[0]['passes']} passes, preset small"
    precision = timed[0]["precision"]
    record(
        bench="sampler", case=case, metric="seconds", value=seconds, unit="s", precision=precision
    )
    record(
        bench="sampler",
        case=case,
        metric="share outside the network",
        value=outside,
        unit="1",
        precision=precision,
    )
    assert outside < 0.03
