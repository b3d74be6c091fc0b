# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The samplers: the law of the paper's loop, planes, shapes, periodic axes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from _toy import GAIN, LinearNet, field_and_network, linear_model, tiny_model
from micro3d_fast._planes import PLANES
from micro3d_fast.diffusion import (
    SamplerSettings,
    reconstruct,
)
from micro3d_fast.diffusion.field import Field
from micro3d_fast.diffusion.model import Model
from micro3d_fast.diffusion.sampling import sample
from micro3d_fast.diffusion.schedule import Schedule
from micro3d_fast.diffusion.settings import fast_settings, paper_settings


def sampled(model: Model, settings: SamplerSettings, shape=(48, 40, 56), **options) -> Field:
    """The field after sampling."""
    field, network = field_and_network(model, shape, seeds=(3,), **options)
    sample(field, network, settings)
    return field


def paper_variance(schedule: Schedule, n_h: int, gamma: float, guidance: float = 1.0) -> float:
    """Variance of one voxel under the loop of Eq. 5, 8, 9, 16, 17 written out for a linear network.

    Every state is a linear map of independent normals: carried here as the vector of its
    coefficients, one new entry for every normal that the algorithm draws.
    """
    steps = schedule.steps
    x = np.array([1.0])  # x ~ N(0, 1)

    def reverse(x, t, c):  # Eq. 8 with Eq. 9, plus sigma z (Eq. 5)
        beta, bar = schedule.beta(t, t - 1), schedule.alpha_bar[t]
        eps = guidance * GAIN[c] * x + (1 - guidance) * GAIN[3] * x
        mean = (x - beta / np.sqrt(1 - bar) * eps) / np.sqrt(1 - beta)
        return np.append(mean, np.sqrt(beta) if t > 1 else 0.0)

    def pad(h, n):
        return np.append(h, np.zeros(n - len(h)))

    for t in range(steps, 0, -1):
        c, beta = (steps - t) % 3, schedule.beta(t, t - 1)
        h0 = x
        y = reverse(x, t, c)
        for _ in range(n_h if t > 1 else 0):
            h = np.append(np.sqrt(1 - beta) * y, np.sqrt(beta))  # Eq. 16
            y = reverse(gamma * h + (1 - gamma) * pad(h0, len(h)), t, c)  # Eq. 17
        x = y
    return float((x**2).sum())


@pytest.mark.parametrize(
    ("n_h", "gamma", "guidance"),
    [(0, 0.5, 1.0), (1, 1.0, 1.0), (4, 0.5, 1.0), (2, 0.25, 1.0), (2, 0.5, 2.0)],
)
def test_paper_sampler_has_the_law_of_the_paper_s_loop(n_h, gamma, guidance):
    model = linear_model()
    x = sampled(model, paper_settings(model, n_h, gamma), guidance=guidance).result()
    expected = paper_variance(model.schedule, n_h, gamma, guidance)
    n = x.size
    assert abs(x.mean()) < 4 * np.sqrt(expected / n)
    assert x.var() == pytest.approx(expected, rel=4 * np.sqrt(2 / n))


@pytest.mark.parametrize("prediction", ["x0", "v"])
def test_law_does_not_depend_on_how_the_prediction_is_written(prediction):
    """The same linear denoiser as noise and as x0 or v prediction gives the same field."""
    model = linear_model(12)
    a = sampled(model, paper_settings(model, 2, 0.5), (16, 16, 16))

    class Rewritten(LinearNet):
        def forward(self, x, cond):
            noise = super().forward(x, cond)
            bar = model.schedule.alpha_bar[int(cond.embedding[0, 0])]
            x0 = (x - (1 - bar) ** 0.5 * noise) / bar**0.5
            return x0 if prediction == "x0" else bar**0.5 * noise - (1 - bar) ** 0.5 * x0

    other = Model(
        **{
            **{k: getattr(model, k) for k in model.__dataclass_fields__},
            "net": Rewritten(),
            "prediction": prediction,
        }
    )
    b = sampled(other, paper_settings(other, 2, 0.5), (16, 16, 16))
    np.testing.assert_allclose(a.result(), b.result(), rtol=0, atol=2e-4)


def test_paper_sampler_visits_planes_and_steps_in_the_paper_s_order():
    model = linear_model(5)
    field, network = field_and_network(model, (16, 16, 16))
    sample(field, network, paper_settings(model, 2, 0.5))
    want = [(t, (5 - t) % 3) for t in range(5, 0, -1) for _ in range(3 if t > 1 else 1)]
    assert network.net.seen == want
    assert paper_settings(model, 2, 0.5).passes == len(want) == 5 * 3 - 2


def test_fast_sampler_turns_the_plane_every_pass():
    model = linear_model(60)
    settings = fast_settings(20, 3, 0.5)
    field, network = field_and_network(model, (16, 16, 16))
    sample(field, network, settings)
    assert [c for _, c in network.net.seen] == [i % 3 for i in range(settings.passes)]


def test_x0_of_the_last_step_is_not_clipped_and_others_are():
    model = linear_model(10)
    field = sampled(model, SamplerSettings(4, 1, 0.5, clip=True), (16, 16, 16))
    assert np.abs(field.result()).max() > 1


@pytest.mark.parametrize("shape", [(16, 16, 16), (5, 23, 40), (1, 24, 16), (9, 1, 12), (1, 1, 1)])
@pytest.mark.parametrize("phases", [2, 3])
def test_any_shape(shape, phases):
    volume = reconstruct(shape, tiny_model(phases), passes=4, precision="float32")
    assert volume.shape == shape
    assert volume.labels.dtype == np.uint8
    assert volume.labels.max() < phases
    assert volume.voxel_size == (1e-6, 1e-6, 1e-6)


def test_a_single_slice_is_sampled_in_its_own_plane():
    model = linear_model(6)
    field, network = field_and_network(model, (24, 1, 24))
    sample(field, network, fast_settings(6, 1, 0.5))
    assert {c for _, c in network.net.seen} == {PLANES.index("xz")}


def test_seed_repeats_bit_for_bit_and_matters():
    model = tiny_model()
    a, b = (reconstruct((16, 16, 24), model, passes=6, seed=5) for _ in range(2))
    c = reconstruct((16, 16, 24), model, passes=6, seed=6)
    assert (a.labels == b.labels).all()
    assert (a.labels != c.labels).any()


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("n", [16, 21])
def test_periodic_axis_has_no_border(axis, n):
    """A periodic pass commutes with shifts along the axis: no voxel of it is special.

    21 is not a multiple of the network's stride: there the slice wraps by a margin instead.
    """
    model = tiny_model()
    model.net.mid_attention = None  # attention over the wrapped margin sees its voxels twice
    for level in [*model.net.downs, *model.net.ups]:
        level.attention = None
    periodic = tuple(a == axis for a in range(3))
    shape = [16, 16, 16]
    shape[axis] = n
    shift = 4

    def one_pass(roll: int) -> np.ndarray:
        field, network = field_and_network(model, tuple(shape), periodic=periodic)
        field.start("xy", 1000, False)
        view = field.volume(field._x, "xy")
        view.copy_(torch.roll(view.clone(), roll, dims=axis + 1))
        field.net_input.copy_(field._x)
        planes = [p for p in PLANES if "zyx"[axis] in p]
        field.plane = "xy"
        if planes[0] != "xy":
            flat = view.clone()
            field.volume(field._x, planes[0]).copy_(flat)
            field.net_input.copy_(field._x)
            field.plane = planes[0]
        network.predict(1000)
        out = field.volume(field.net_outputs[0], field.plane, channels_last=True)
        return torch.roll(out, -roll, dims=axis + 1).numpy().copy()

    if n % model.config.stride == 0:
        np.testing.assert_allclose(one_pass(shift), one_pass(0), rtol=0, atol=1e-4)
    else:  # group norm sees the margin too, so equal up to its statistics; a voxel that the roll
        # carries over the border changes its place in the pixel-unshuffle, so it is left out
        a, b = (np.moveaxis(one_pass(roll), axis + 1, 0)[: n - shift] for roll in (shift, 0))
        assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.99
