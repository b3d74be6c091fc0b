# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The noise schedule against the paper's equations, written out."""

from __future__ import annotations

import numpy as np
import pytest

from micro3d_fast.diffusion.schedule import KINDS, Schedule


def test_paper_schedule_is_eq_4():
    schedule = Schedule()
    beta = [1e-4 + (1e-2 - 1e-4) * (t - 1) / 999 for t in range(1, 1001)]
    product = 1.0
    assert schedule.alpha_bar[0] == 1.0
    for t in range(1, 1001):
        product *= 1 - beta[t - 1]
        assert schedule.alpha_bar[t] == pytest.approx(product, rel=1e-12)
        assert schedule.beta(t, t - 1) == pytest.approx(beta[t - 1], rel=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_signal_only_falls(kind):
    bar = Schedule(kind).alpha_bar
    assert bar.shape == (1001,)
    assert bar[0] == 1
    assert (np.diff(bar) < 0).all()
    assert bar[-1] == 0 if kind in ("cosine-zero", "shifted") else bar[-1] > 0


@pytest.mark.parametrize("prediction", ["noise", "x0", "v"])
@pytest.mark.parametrize("t", [1, 10, 500, 1000])
def test_x0_is_recovered_from_every_prediction(prediction, t):
    schedule = Schedule()
    rng = np.random.default_rng(t)
    x0, noise = rng.standard_normal((2, 50))
    bar = schedule.alpha_bar[t]
    x = np.sqrt(bar) * x0 + np.sqrt(1 - bar) * noise  # Eq. 3
    v = np.sqrt(bar) * noise - np.sqrt(1 - bar) * x0
    net = {"noise": noise, "x0": x0, "v": v}[prediction]
    p, q = schedule.x0_from(t, prediction)
    np.testing.assert_allclose(p * x + q * net, x0, rtol=0, atol=1e-12)


@pytest.mark.parametrize("t", [1, 2, 300, 1000])
def test_posterior_mean_with_predicted_noise_is_eq_8(t):
    schedule = Schedule()
    rng = np.random.default_rng(t)
    x, noise = rng.standard_normal((2, 50))
    beta, bar = schedule.beta(t, t - 1), schedule.alpha_bar[t]
    eq8 = (x - beta / np.sqrt(1 - bar) * noise) / np.sqrt(1 - beta)
    p, q = schedule.x0_from(t, "noise")
    a, b = schedule.posterior(t, t - 1)
    np.testing.assert_allclose(a * x + b * (p * x + q * noise), eq8, rtol=0, atol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("t", "s"), [(1000, 900), (500, 499), (40, 0), (1, 0)])
def test_posterior_is_bayes(kind, t, s):
    """Joint law of (x_t, x_s) given x0, conditioned by the textbook formula for normals."""
    schedule = Schedule(kind)
    bar_t, bar_s = schedule.alpha_bar[t], schedule.alpha_bar[s]
    x0, x_t = 0.7, -0.4
    ratio = bar_t / bar_s
    covariance = np.sqrt(ratio) * (1 - bar_s)
    gain = covariance / (1 - bar_t)
    mean = np.sqrt(bar_s) * x0 + gain * (x_t - np.sqrt(bar_t) * x0)
    a, b = schedule.posterior(t, s)
    assert a * x_t + b * x0 == pytest.approx(mean, abs=1e-12)
    assert schedule.posterior_variance(t, s) == pytest.approx(
        (1 - bar_s) - gain * covariance, abs=1e-12
    )


def test_respaced_starts_at_the_end_and_is_even():
    assert Schedule().respaced(4) == [1000, 750, 500, 250]
    assert Schedule().respaced(1000) == list(range(1000, 0, -1))


def test_unknown_schedule_is_refused():
    with pytest.raises(ValueError, match=r"`schedule` must be .linear."):
        Schedule("quadratic")


@pytest.mark.parametrize(("t", "s"), [(1000, 900), (500, 499), (40, 10)])
def test_deterministic_step_keeps_signal_and_noise(t, s):
    schedule = Schedule()
    rng = np.random.default_rng(t)
    x0, noise = rng.standard_normal((2, 50))
    bar_t, bar_s = schedule.alpha_bar[[t, s]]
    a, b = schedule.posterior(t, s, deterministic=True)
    stepped = a * (np.sqrt(bar_t) * x0 + np.sqrt(1 - bar_t) * noise) + b * x0
    wanted = np.sqrt(bar_s) * x0 + np.sqrt(1 - bar_s) * noise
    np.testing.assert_allclose(stepped, wanted, rtol=0, atol=1e-12)
    assert schedule.variance(t, s, "none") == 0
    assert schedule.variance(t, s, "posterior") < schedule.variance(t, s, "beta")


@pytest.mark.parametrize("kind", ["posterior", "beta", "none"])
@pytest.mark.parametrize("gamma", [0.0, 0.25, 0.5, 1.0])
def test_blend_deficit_restores_the_variance_of_x_t(gamma, kind):
    schedule, t, s = Schedule(), 500, 450
    rng = np.random.default_rng(0)
    n = 400_000
    x0 = rng.choice([-1.0, 1.0], n)
    bar = schedule.alpha_bar[t]
    h0 = np.sqrt(bar) * x0 + np.sqrt(1 - bar) * rng.standard_normal(n)
    a, b = schedule.posterior(t, s, deterministic=kind == "none")
    beta = schedule.beta(t, s)
    y = a * h0 + b * x0 + schedule.variance(t, s, kind) ** 0.5 * rng.standard_normal(n)  # Eq. 8
    h = np.sqrt(1 - beta) * y + np.sqrt(beta) * rng.standard_normal(n)  # Eq. 16
    blend = gamma * h + (1 - gamma) * h0  # Eq. 17
    deficit = schedule.blend_deficit(t, s, gamma, kind)
    blend += deficit**0.5 * rng.standard_normal(n)
    if kind == "beta" and gamma == 1:  # more noise than x_t has: nothing to give
        assert deficit == 0
    else:
        assert (blend - np.sqrt(bar) * x0).var() == pytest.approx(1 - bar, rel=0.01)


@pytest.mark.parametrize(
    ("count", "power"),
    [(1, 2.0), (8, 2.0), (24, 1.5), (999, 2.0), (1000, 1), (9, 0.001), (600, 0.5)],
)
def test_respaced_steps_fall_from_the_last_to_at_least_one(count, power):
    steps = Schedule().respaced(count, power)
    assert len(steps) == count
    assert steps[0] == 1000
    assert steps[-1] >= 1
    assert (np.diff(steps) < 0).all()
    if count == 8:
        assert steps == [1000, 766, 562, 391, 250, 141, 62, 16]


def test_a_shift_lowers_the_log_signal_to_noise_ratio():
    plain, shifted = Schedule("cosine-zero").alpha_bar, Schedule("shifted", shift=4).alpha_bar
    inside = slice(1, -1)
    ratio = (plain / (1 - plain + 1e-300))[inside] / (shifted / (1 - shifted + 1e-300))[inside]
    np.testing.assert_allclose(ratio, 4**2, rtol=1e-9)
    np.testing.assert_array_equal(Schedule("shifted").alpha_bar, plain)


def test_the_network_is_told_the_noise_whatever_the_shift():
    for shift in (1.0, 2.0, 4.0):
        schedule = Schedule("shifted", shift=shift)
        told, bar = schedule.network_time, schedule.alpha_bar
        assert told[0] == 0
        assert told[-1] == 1000
        np.testing.assert_allclose(bar, np.cos(told / 1000 * np.pi / 2) ** 2, atol=1e-12)
    np.testing.assert_array_equal(Schedule().network_time, np.arange(1001))


def test_a_shift_belongs_to_the_shifted_schedule():
    with pytest.raises(ValueError, match="`shift` must be 1 for other schedules"):
        Schedule("linear", shift=2)
    with pytest.raises(ValueError, match="`shift` must be"):
        Schedule("shifted", shift=0)
    assert Schedule("shifted", shift=3).record()["shift"] == 3
    assert "shift" not in Schedule().record()  # as files without shifts have it
