# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The samplers: the law of the paper's loop, shapes, planes, periodicity, fractions, refusals."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch

import micro3d_fast as m3
from _toy import GAIN, LinearNet, field_and_network, linear_model, tiny_model
from micro3d_fast._planes import PLANES
from micro3d_fast.diffusion import SamplerSettings, reconstruct, sample_slices
from micro3d_fast.diffusion.field import Field
from micro3d_fast.diffusion.labelling import match_fractions, smoothed
from micro3d_fast.diffusion.mean_hold import MeanHold
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
            bar = model.schedule.alpha_bar[cond[0]]
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


def test_paper_passes_are_the_paper_s():
    assert paper_settings(tiny_model()).passes == 1000 * 5 - 4


@pytest.mark.parametrize("guidance", [1.0, 1.7, 0.0])
def test_held_mean_is_that_of_the_training_images(guidance):
    """The belief x0 of every voxel has its odds multiplied by one number a phase."""
    model = tiny_model(3, (0.2, 0.5, 0.3))
    field, network = field_and_network(model, (16, 24, 16), seeds=(3,), guidance=guidance)
    sample(field, network, SamplerSettings(3, 1, 1.0, rotate=True, hold_mean=True))
    want = 2 * np.array([0.2, 0.5, 0.3]) - 1
    p, q = model.schedule.x0_from(1000, model.prediction)
    hold = MeanHold(field)

    def belief():
        return hold.predicted_x0(*field.net_slices(0), p, q).double()

    for _ in range(3):  # Newton's method goes on from the tilt of the pass before
        network.predict(1000)
        before = belief()
        hold.apply(p, q)
    after = belief()
    # not exactly: voxels beyond [-1, 1], of which the network is more than sure, stay there
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


@pytest.mark.parametrize("passes", [1, 2, 12, 22, 43, 91, 250])
def test_fast_passes_come_near_what_is_asked_for(passes):
    settings = fast_settings(passes)
    assert abs(settings.passes - passes) <= max(1, passes // 10)
    assert settings.harmonize <= 5


def test_the_repeats_of_the_default_rise():
    assert fast_settings().harmonize == (1, 2, 3, 5, 7, 7, 5, 0)
    assert fast_settings(38) == fast_settings()
    assert fast_settings().passes == 38


def test_repeats_of_each_step():
    model = linear_model(60)
    repeats = (1, 2, 0, 3, 0)
    settings = fast_settings(harmonize=repeats)
    assert (settings.steps, settings.passes) == (5, 11)
    field, network = field_and_network(model, (16, 16, 16))
    sample(field, network, settings)
    times = model.schedule.respaced(5, 2.0)
    assert [t for t, _ in network.net.seen] == [
        t for t, n in zip(times, repeats, strict=True) for _ in range(1 + n)
    ]
    volume = reconstruct((8, 8, 8), tiny_model(), harmonize=[2, 1, 0])
    assert volume.provenance["passes"] == 6
    for wrong in ((1, 1), (1, 1, 1)):
        with pytest.raises(ValueError, match="`harmonize` must be one number for each of 3"):
            SamplerSettings(3, wrong, 1.0)
    for options in ({"sampler": "paper"}, {"passes": 22}, {"quality": "draft"}):
        with pytest.raises(ValueError, match="`harmonize` must be one number where"):
            reconstruct((8, 8, 8), tiny_model(), harmonize=(1, 0), **options)


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

    21 is no multiple of the network's stride: there the slice wraps by a margin instead.
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


@pytest.mark.parametrize("phases", [2, 3, 4])
def test_matched_fractions_are_exact(phases, rng):
    x = rng.standard_normal((1 if phases == 2 else phases, 11, 13, 7)).astype(np.float32)
    x[0] += 0.7
    fractions = rng.dirichlet(np.ones(phases))
    labels = match_fractions(x, fractions)
    counts = np.bincount(labels.ravel(), minlength=phases)
    assert np.abs(counts - fractions * labels.size).max() < 1
    assert labels.shape == (11, 13, 7)


@pytest.mark.parametrize("fractions", [(1.0, 0.0), (0.0, 1.0), (0.25, 0.75)])
def test_matched_fractions_two_phases_take_the_largest(fractions, rng):
    x = rng.standard_normal((1, 6, 6, 6)).astype(np.float32)
    labels = match_fractions(x, np.array(fractions))
    assert labels.mean() == fractions[1]
    if 0 < fractions[1] < 1:
        assert x[0][labels == 1].min() > x[0][labels == 0].max()


def test_matched_fractions_of_ties_and_absent_phases():
    x = np.zeros((3, 4, 4, 4), dtype=np.float32)
    labels = match_fractions(x, np.array([0.5, 0.0, 0.5]))
    assert np.bincount(labels.ravel(), minlength=3).tolist() == [32, 0, 32]


def test_matching_moves_surfaces_and_sows_no_voxels(rng):
    """A saturated field whose fraction is off by a fifth: what changes is close to the phase."""
    from scipy.ndimage import binary_dilation

    x = np.full((1, 20, 20, 20), -1.0, dtype=np.float32)
    x[0, :, :10] = 1
    x += 0.05 * rng.standard_normal(x.shape).astype(np.float32)
    labels = match_fractions(smoothed(x, (False,) * 3), np.array([0.4, 0.6]))
    assert labels.mean() == 0.6
    changed = labels.astype(bool) & (x[0] < 0)
    near = binary_dilation(x[0] > 0, iterations=3)
    assert changed.sum() == 800
    assert not (changed & ~near).any()


def test_matching_keeps_the_arg_max_where_fractions_are_right(rng):
    x = rng.standard_normal((3, 12, 12, 12)).astype(np.float32)
    raw = x.argmax(axis=0)
    fractions = np.bincount(raw.ravel(), minlength=3) / raw.size
    assert (match_fractions(x, fractions) == raw).mean() > 0.995


def test_volume_fractions_argument():
    model = tiny_model(3, (0.2, 0.5, 0.3))
    n = 16**3
    auto = reconstruct((16,) * 3, model, passes=4)
    np.testing.assert_allclose(auto.volume_fractions, (0.2, 0.5, 0.3), atol=1 / n)
    asked = reconstruct((16,) * 3, model, passes=4, volume_fractions=(0.1, 0.1, 0.8))
    np.testing.assert_allclose(asked.volume_fractions, (0.1, 0.1, 0.8), atol=1 / n)
    raw = reconstruct((16,) * 3, model, passes=4, volume_fractions=None)
    np.testing.assert_allclose(raw.volume_fractions, raw.provenance["raw_volume_fractions"])
    np.testing.assert_allclose(asked.provenance["asked_volume_fractions"], (0.1, 0.1, 0.8))
    assert raw.provenance["asked_volume_fractions"] is None


def test_provenance_and_callback():
    events = []
    volume = reconstruct((16,) * 3, tiny_model(), passes=7, seed=9, callback=events.append)
    p = volume.provenance
    assert p["seed"] == 9
    assert p["passes"] == len(events) == events[-1]["passes"]
    assert [e["pass_index"] for e in events] == list(range(1, len(events) + 1))
    assert p["sampler"] == "fast"
    assert len(p["model"]) == 16


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"volume_shape": (16, 16)}, ValueError, "`volume_shape`"),
        ({"volume_shape": (16, 0, 16)}, ValueError, "`volume_shape`"),
        ({"volume_shape": (10**5,) * 3}, ValueError, "`volume_shape` must fit into the memory"),
        ({"volume_shape": (16.0, 16, 16)}, TypeError, "`volume_shape`"),
        ({"model": "separator"}, TypeError, "`model` must be a Model, got str"),
        ({"sampler": "slow"}, ValueError, "`sampler`"),
        ({"passes": 0}, ValueError, "`passes`"),
        ({"passes": 10, "sampler": "paper"}, ValueError, "`passes` must be None for sampler"),
        ({"passes": 9999}, ValueError, "`passes` must visit at most the 1000 steps"),
        ({"settings": {}}, TypeError, "`settings` must be a SamplerSettings"),
        ({"harmonize": -1}, ValueError, "`harmonize`"),
        ({"gamma": 1.5}, ValueError, "`gamma`"),
        ({"gamma": float("nan")}, ValueError, "`gamma`"),
        ({"guidance": "high"}, TypeError, "`guidance`"),
        ({"guidance": -1.0}, ValueError, "`guidance` must be a finite number of at least 0"),
        ({"periodic": (True, False)}, ValueError, "`periodic`"),
        ({"seed": -1}, ValueError, "`seed`"),
        ({"seed": 2**64}, ValueError, "`seed`"),
        ({"volume_fractions": "equal"}, ValueError, "`volume_fractions`"),
        ({"volume_fractions": (0.5, 0.6)}, ValueError, "`volume_fractions` must be 2"),
        ({"volume_fractions": (1.5, -0.5)}, ValueError, "`volume_fractions` must be 2"),
        ({"volume_fractions": 0.5}, ValueError, "`volume_fractions` must be 2"),
        ({"device": "gpu"}, ValueError, "`device`"),
        ({"callback": 1}, TypeError, "`callback`"),
        ({"precision": "half"}, ValueError, "`precision`"),
        ({"compile": "yes"}, ValueError, "`compile` must be 'auto', True or False, got 'yes'"),
    ],
)
def test_boundary_says_what_is_wrong(change, error, words):
    arguments = {"volume_shape": (16, 16, 16), "model": tiny_model(), "passes": 4, **change}
    with pytest.raises(error, match=words):
        m3.reconstruct(arguments.pop("volume_shape"), arguments.pop("model"), **arguments)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_is_refused_where_there_is_none():
    with pytest.raises(ValueError, match="torch finds no CUDA device here"):
        m3.reconstruct((16,) * 3, tiny_model(), device="cuda")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("c++") is None, reason="there is no C++ compiler")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_compiled_network_is_the_same_network():
    model = tiny_model()
    arguments = {"passes": 3, "precision": "float32", "keep_raw": True}
    a = reconstruct((16, 16, 16), model, **arguments)
    b = reconstruct((16, 16, 16), model, compile=True, **arguments)
    assert b.provenance["compiled"]
    assert (a.fields["raw_labels"] == b.fields["raw_labels"]).mean() > 0.99


def test_compiling_without_a_compiler_is_refused(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(ValueError, match="where a C"):
        reconstruct((16, 16, 16), tiny_model(), passes=3, compile=True, device="cpu")


@pytest.mark.parametrize("phases", [2, 3])
def test_slices_alone(phases):
    images = sample_slices(tiny_model(phases), "xz", 3, size=(16, 20), steps=3, seed=1)
    assert images.shape == (3, 16, 20)
    assert images.dtype == np.uint8
    again = sample_slices(tiny_model(phases), "xz", 3, size=(16, 20), steps=3, seed=1)
    assert (images == again).all()
    with pytest.raises(ValueError, match="`plane`"):
        sample_slices(tiny_model(), "zx")
