# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The mean of the predicted x0 is that of the requested fractions."""

from __future__ import annotations

import numpy as np
import pytest

from _toy import field_and_network, tiny_model
from micro3d_fast.diffusion import (
    SamplerSettings,
)
from micro3d_fast.diffusion.mean_hold import MeanHold
from micro3d_fast.diffusion.sampling import sample


@pytest.mark.parametrize("guidance", [1.0, 1.7, 0.0])
def test_held_mean_is_that_of_the_training_images(guidance):
    """The odds of the predicted x0 are multiplied by one number per phase."""
    model = tiny_model(3, (0.2, 0.5, 0.3))
    field, network = field_and_network(model, (16, 24, 16), seeds=(3,), guidance=guidance)
    sample(field, network, SamplerSettings(3, 1, 1.0, rotate=True, hold_mean=True))
    want = 2 * np.array([0.2, 0.5, 0.3]) - 1
    p, q = model.schedule.x0_from(1000, model.prediction)
    hold = MeanHold(field)

    def predicted():
        x, *outputs = (each[0].double() for each in field.volumes())
        net = outputs[0]
        if len(outputs) == 2:
            net = guidance * net + (1 - guidance) * outputs[1]
        return (p * x + q * net).clamp(-0.999, 0.999)

    for _ in range(3):  # Newton's method goes on from the tilt of the pass before
        network.predict(1000)
        before = predicted()
        hold.apply(p, q)
    after = predicted()
    # not exactly: voxels beyond [-1, 1] stay there
    np.testing.assert_allclose(after.mean((0, 2, 3)), want, atol=0.03)
    inside = (before.abs() < 0.99) & (after.abs() < 0.99)
    for c in range(3):
        odds = (after.atanh() - before.atanh())[:, c][inside[:, c]]
        assert len(odds) > 100
        np.testing.assert_allclose(odds, float(hold.tilts[0, c]), rtol=0, atol=2e-3)


def test_held_mean_is_that_of_the_wanted_shape():
    """21 voxels are sampled as 22 and cut: the fraction that counts is that of the 21."""
    model = tiny_model(2, (0.8, 0.2))
    field, network = field_and_network(model, (21, 13, 27), seeds=(3,))
    assert field.shape != (21, 13, 27)
    hold = MeanHold(field)
    p, q = model.schedule.x0_from(1000, "v")
    for plane in ("xy", "xz", "yz"):
        field.start(plane, 1000, True)
        for _ in range(3):
            network.predict(1000)
            hold.apply(p, q)
        x0 = p * field.volume(field._x, plane) + q * field.volume(
            field.net_outputs[0], plane, channels_last=True
        )
        inside = x0[:, :21, :13, :27].clamp(-1, 1).mean()
        assert float(inside) == pytest.approx(-0.6, abs=0.02)
