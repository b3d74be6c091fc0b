# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Named samplers and their settings, former keywords."""

from __future__ import annotations

import dataclasses
import inspect

import numpy as np
import pytest

import micro3d_fast as m3
from _toy import field_and_network, linear_model, tiny_model
from micro3d_fast.diffusion import (
    Reconstruction,
    SamplerSettings,
    reconstruct,
    settings,
)
from micro3d_fast.diffusion.sampling import sample
from micro3d_fast.diffusion.schedule import Schedule
from micro3d_fast.diffusion.settings import fast_settings, paper_settings


def test_quality_is_a_number_of_passes():
    model, shape = tiny_model(), (16,) * 3
    for quality, passes in settings.QUALITY.items():
        found = Reconstruction.of(shape, model, sampler=quality).settings
        assert found.passes == passes
        assert found == settings.fast_settings(passes)
    assert Reconstruction.of(shape, model).settings.passes == settings.QUALITY["standard"]
    former = m3.reconstruct((8, 8, 8), model, quality="draft")
    volume = m3.reconstruct((8, 8, 8), model, sampler="draft")
    assert (former.labels == volume.labels).all()
    for made in (former, volume):
        assert (made.provenance["sampler"], made.provenance["quality"]) == ("fast", "draft")
        assert made.provenance["passes"] == settings.QUALITY["draft"]


def test_former_keywords_equal_their_replacements():
    model, custom = tiny_model(), settings.SamplerSettings(3, 1, 0.7, rotate=True)
    former = m3.reconstruct((8, 16, 24), model, settings=custom, window=8, precision="float32")
    runtime = m3.Runtime(window=8, precision="float32")
    volume = m3.reconstruct((8, 16, 24), model, sampler=custom, runtime=runtime)
    times = ("seconds", "network_seconds")
    records = [
        {key: value for key, value in made.provenance.items() if key not in times}
        for made in (former, volume)
    ]
    assert records[0] == records[1]
    assert records[0]["sampler"] == "custom"
    assert (former.labels == volume.labels).all()
    raw = m3.reconstruct((8, 8, 8), model, sampler="paper", settings=custom)
    assert raw.provenance["asked_volume_fractions"] is None


def test_settings_override_valid_arguments_and_refuse_invalid_ones():
    model, custom = tiny_model(), settings.SamplerSettings(2, 1, 0.5)
    even = np.array([0.5, 0.5])
    made = m3.reconstruct(
        (8, 8, 8), model, settings=custom, sampler="paper", volume_fractions=even, gamma=0.3
    )
    assert made.provenance["asked_volume_fractions"] == [0.5, 0.5]
    for wrong in (
        {"passes": 0},
        {"harmonize": "x"},
        {"gamma": 3},
        {"sampler": "paper", "passes": 3},
        {"quality": "draft", "harmonize": [1, 0]},
    ):
        with pytest.raises((ValueError, TypeError), match=r"`(passes|harmonize|gamma)` must"):
            m3.reconstruct((8, 8, 8), model, settings=custom, **wrong)
    for runtime in (0, "junk"):
        with pytest.raises(TypeError, match="`runtime` must be a Runtime or None"):
            m3.reconstruct((8, 8, 8), model, runtime=runtime, window=8)
    with pytest.raises(ValueError, match="`harmonize` must leave at least two steps"):
        m3.reconstruct((8, 8, 8), model, harmonize=np.int64(4), passes=2)


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("passes", {"passes": 5}),
        ("passes", {"passes": 9, "harmonize": 1}),
        ("harmonize", {"harmonize": (1, 1, 1, 1, 0)}),
        ("harmonize", {"harmonize": 2}),
        ("sampler", {"sampler": SamplerSettings(5, 0, 1.0)}),
        ("sampler", {"sampler": "draft"}),
        ("sampler", {}),
    ],
)
def test_too_many_steps_are_refused_by_the_argument_that_was_given(name, given):
    short = dataclasses.replace(tiny_model(), schedule=Schedule(steps=4))
    with pytest.raises(ValueError, match=f"`{name}` must visit at most the 4 steps of the model"):
        Reconstruction.of((8, 8, 8), short, **given)


@pytest.mark.parametrize("device", ["cuda:01", "cuda:99999999999999", "cuda:\u0663", "cpu:1"])
def test_devices_that_torch_cannot_name_are_refused(device):
    with pytest.raises(ValueError, match="`device` must be"):
        m3.reconstruct((8, 8, 8), tiny_model(), device=device)


def test_a_sampler_is_one_entry(monkeypatch):
    """Its volume is recorded under its name and made again by its recipe."""
    fixed = settings.SamplerSettings(3, 1, 1.0, rotate=True)
    entry = settings.Sampler("quick", "five passes", lambda model: fixed, takes=())
    monkeypatch.setitem(settings.SAMPLERS, "quick", entry)
    model = tiny_model()
    volume = m3.reconstruct((8, 8, 8), model, sampler="quick", seed=3)
    assert volume.provenance["sampler"] == "quick"
    recipe = Reconstruction.from_provenance(volume.provenance, volume.shape)
    assert "harmonize" not in recipe.arguments
    assert "--sampler quick" in recipe.command()
    again = m3.reconstruct((8, 8, 8), model, **recipe.arguments)
    assert (again.labels == volume.labels).all()
    with pytest.raises(ValueError, match="`gamma` must be None for sampler 'quick'"):
        m3.reconstruct((8, 8, 8), model, sampler="quick", gamma=0.5)


def test_records_with_missing_values_have_a_recipe():
    record = m3.reconstruct((8, 8, 8), tiny_model(), passes=3).provenance
    odd = {**record, "guidance": None, "passes": None, "periodic": True}
    text = Reconstruction.from_provenance(odd, (8, 8, 8)).command()
    assert "raw" not in text
    assert "guidance" not in text
    assert Reconstruction.from_provenance({**record, "seed": None}, (8, 8, 8)) is None
    unknown = Reconstruction.from_provenance({**record, "sampler": "other"}, (8, 8, 8))
    assert "--sampler other" in unknown.command()


def test_defaults_are_written_once():
    public = inspect.signature(m3.reconstruct).parameters
    assert len(public) == 20
    fields = {f.name: f.default for f in dataclasses.fields(Reconstruction) if f.init}
    runtime = {f.name: f.default for f in dataclasses.fields(m3.Runtime)}
    for name in fields.keys() & public.keys() - {"volume_shape", "model"}:
        assert fields[name] == public[name].default
    assert runtime.items() <= fields.items()
    assert fields.keys() <= public.keys() | runtime.keys() | {"against"}


@pytest.mark.parametrize("passes", [1, 2, 12, 22, 43, 91, 250])
def test_fast_passes_are_near_the_requested_number(passes):
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
        with pytest.raises(ValueError, match="`harmonize` must be one number where `"):
            reconstruct((8, 8, 8), tiny_model(), harmonize=(1, 0), **options)


def test_number_of_paper_passes():
    assert paper_settings(tiny_model()).passes == 1000 * 5 - 4


@pytest.mark.parametrize(
    ("knob", "words"),
    [
        ({"temperature": -0.5}, "`temperature`"),
        ({"spacing": 0.0}, "`spacing`"),
        ({"variance": "alpha"}, "`variance`"),
        ({"gamma_end": 2.0}, "`gamma_end`"),
    ],
)
def test_settings_out_of_range_are_refused(knob, words):
    with pytest.raises(ValueError, match=words):
        settings.SamplerSettings(8, 5, 1.0, **knob)
