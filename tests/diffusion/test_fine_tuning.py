# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Training that starts from the weights of a model."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from _tilted import tilted
from _toy import tiny_model
from micro3d_fast import Micrographs, load_model, train
from micro3d_fast.diffusion import ResumeError
from micro3d_fast.diffusion.model import Model, channel_count
from micro3d_fast.diffusion.training import start
from micro3d_fast.diffusion.training.batches import make_batch
from micro3d_fast.diffusion.training.learner import Learner
from micro3d_fast.diffusion.training.options import FINE_TUNING, RECIPES, TrainingOptions
from micro3d_fast.diffusion.training.train import fine_tune
from micro3d_fast.diffusion.unet import PRESETS, UNet

QUICK = {
    "preset": "small",
    "patch": 16,
    "batch_size": 2,
    "precision": "float32",
    "samples_every": 0,
    "device": "cpu",
}


def micrographs(phases: int = 2, seed: int = 0) -> Micrographs:
    labels = np.random.default_rng(seed).integers(0, phases, (24, 20, 28)).repeat(2, axis=2)
    return Micrographs.from_volume(labels.astype(np.uint8), images_per_plane=6, seed=0)


def learner(data: Micrographs, **changes) -> Learner:
    options = {**dict.fromkeys(TrainingOptions.__dataclass_fields__), **QUICK, "seed": 0}
    options |= {"condition_dropout": 0.1, "fraction_condition": False, "compile": False}
    return Learner(data, TrainingOptions(**options | {"steps": 100} | changes))


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Model:
    """A model of two steps, which makes all of its weights other than those of a fresh network."""
    return train(micrographs(), tmp_path_factory.mktemp("run"), steps=2, seed=7, **QUICK)


def converted(model: Model, phases: int, fractions: int = 0) -> UNet:
    """A network for other phases with the weights of a model."""
    torch.manual_seed(1)
    config = replace(model.config, channels=channel_count(phases), fractions=fractions)
    net = UNet(config).eval().requires_grad_(False)
    start.initialize(net, model, phases)
    return net


def output(net: UNet, image: torch.Tensor, fractions: torch.Tensor | None = None) -> torch.Tensor:
    n = len(image)
    return net(image, net.condition(torch.full((n,), 300), torch.full((n,), 1), fractions))


# ------------------------------------------------------------------- networks of other phases


@pytest.mark.parametrize("phases", [2, 3])
def test_the_same_phases_take_all_weights(phases):
    model = tiny_model(phases)
    for name, weight in converted(model, phases).state_dict().items():
        assert torch.equal(weight, model.net.state_dict()[name]), name


@pytest.fixture(params=[1, 2], ids=["patch1", "patch2"])
def tiny(request):
    """Models with and without a full-resolution end, whose first layer reads the image too."""

    def made(phases: int, fractions: int = 0) -> Model:
        model = tiny_model(phases)
        torch.manual_seed(3)
        config = replace(model.config, patch=request.param, fractions=fractions)
        net = UNet(config).eval().requires_grad_(False)
        for weight in (*net.head.parameters(), *(net.fraction or net.head).parameters()):
            torch.nn.init.normal_(weight, std=0.2)
        return replace(model, net=net, config=config)

    return made


def test_three_phases_see_two_as_their_first(tiny):
    """Exactly: a two-phase image is one of three phases without the third."""
    model, x = tiny(3), torch.randn(2, 1, 16, 16)
    three = output(model.net, torch.cat((-x, x, torch.zeros_like(x)), dim=1))
    expected = (three[:, 1:2] - three[:, :1]) / 2
    torch.testing.assert_close(output(converted(model, 2), x), expected, atol=1e-5, rtol=1e-5)


def test_two_phases_see_the_second_of_three(tiny):
    model, x = tiny(2), torch.randn(2, 3, 16, 16)
    made = output(converted(model, 3), x)
    torch.testing.assert_close(made[:, 1:2], output(model.net, x[:, 1:2]), atol=1e-5, rtol=1e-5)
    assert (made[:, [0, 2]] == 0).all()  # as in a fresh network


def test_more_and_fewer_phases_share_the_first(tiny):
    model, x = tiny(3), torch.randn(2, 4, 16, 16)
    made = output(converted(model, 4), x)
    torch.testing.assert_close(made[:, :3], output(model.net, x[:, :3]), atol=1e-5, rtol=1e-5)
    assert (made[:, 3] == 0).all()
    four, x[:, 3] = tiny(4), 0
    fewer = output(converted(four, 3), x[:, :3])
    torch.testing.assert_close(fewer, output(four.net, x)[:, :3], atol=1e-5, rtol=1e-5)


def test_all_weights_of_other_phases_learn(tiny):
    """Phases that start at zero have a gradient."""
    net = converted(tiny(2), 3).requires_grad_(True)
    for _ in range(2):  # the first step gives the new outputs weights
        loss = (output(net, torch.randn(2, 3, 16, 16)) - 1).square().sum()
        net.zero_grad()
        loss.backward()
        with torch.no_grad():
            net.head.weight -= 1e-3 * net.head.weight.grad
    assert (net.stem[0].weight.grad.abs().sum((0, 2, 3)) > 0).all()
    assert (net.head.weight.grad.abs().sum((1, 2, 3)) > 0).all()


def test_the_fraction_condition_changes_with_the_phases(tiny):
    model, x = tiny(3, fractions=3), torch.randn(2, 4, 16, 16)
    fractions = torch.tensor([[0.2, 0.5, 0.3, 0.9]] * 2)
    made = output(converted(model, 4, fractions=4), x, fractions)
    expected = output(model.net, x[:, :3], fractions[:, :3])
    torch.testing.assert_close(made[:, :3], expected, atol=1e-5, rtol=1e-5)


def test_a_fraction_condition_may_come_or_go(tiny):
    x = torch.randn(2, 1, 16, 16)
    with_it = tiny(2, fractions=2)
    expected = output(with_it.net, x)  # fractions not given
    torch.testing.assert_close(output(converted(with_it, 2), x), expected, atol=1e-5, rtol=1e-5)
    without = tiny(2)
    made = output(converted(without, 2, fractions=2), x, torch.tensor([[0.3, 0.7]] * 2))
    torch.testing.assert_close(made, output(without.net, x), atol=1e-5, rtol=1e-5)


# ------------------------------------------------------------------------------------ the run


def test_a_run_starts_from_the_weights(model):
    """Network and average; the optimizer is new, and the steps, rate and warm-up are fewer."""
    made = learner(micrographs(seed=3), init=model, steps=None)
    for name, weight in model.net.state_dict().items():
        assert torch.equal(weight, made.net.state_dict()[name]), name
        assert torch.equal(weight, made.ema[name]), name
    assert not made.optimizer.state
    assert made.options.steps == 600
    fresh = learner(micrographs(seed=3), steps=None)
    assert max(map(made.rate, range(600))) == pytest.approx(2e-3, rel=0.02)
    assert max(map(fresh.rate, range(3000))) == pytest.approx(6e-3, rel=0.02)
    assert made.rate(0) < made.rate(20) < made.rate(32)
    for name, recipe in RECIPES.items():
        assert FINE_TUNING[name].learning_rate < recipe.learning_rate
        assert FINE_TUNING[name].prediction == recipe.prediction


def test_the_start_is_recorded_and_must_not_change(model, tmp_path):
    run = tmp_path / "run"
    made = train(micrographs(seed=3), run, steps=2, init=model, **QUICK)
    assert made.details["init"]["hash"] == model.hash
    assert made.details["init"]["steps"] == 2
    assert made.details["training"].startswith("2 of the recommended 600 steps")
    assert json.loads((run / "settings.json").read_text())["init"] == model.hash
    assert "init" not in model.details
    train(micrographs(seed=3), run, steps=2, init=model, **QUICK)
    with pytest.raises(ResumeError, match=f"init was '{model.hash}', now None"):
        train(micrographs(seed=3), run, steps=2, learning_rate=2e-3, **QUICK)
    other = model.with_weights({k: w + 0.01 for k, w in model.net.state_dict().items()})
    with pytest.raises(ResumeError, match=f"init was '{model.hash}', now '{other.hash}'"):
        train(micrographs(seed=3), run, steps=2, init=other, **QUICK)


def test_an_interrupted_run_does_not_start_again(model, tmp_path):
    class Stop(Exception):
        pass

    def stop(event):
        if event["step"] == 4:
            raise Stop

    options = {"steps": 6, "save_every": 2, "init": model, **QUICK}
    whole = train(micrographs(seed=3), tmp_path / "whole", **options)
    with pytest.raises(Stop):
        train(micrographs(seed=3), tmp_path / "cut", callback=stop, **options)
    resumed = train(micrographs(seed=3), tmp_path / "cut", **options)
    assert resumed.hash == whole.hash


def test_crops_of_tilted_planes_are_not_mirrored(tmp_path):
    """The model knows, and so do the copies that learn from slices of its volumes."""
    data = Micrographs.from_volume(tilted(48, 1), images_per_plane=10)
    model = train(data, tmp_path / "run", steps=1, **QUICK)
    assert model.details["mirrored"] == ["xy", "xz"]
    copy = fine_tune(model, micrographs(), tmp_path / "copy", steps=1, learning_rate=1e-3)
    assert copy.details["mirrored"] == ["xy", "xz"]
    same, other = (
        [make_batch(data, learner(data, mirrored=planes).options, k).x_t for k in range(8)]
        for planes in (("xy", "xz", "yz"), ())
    )
    assert not all(torch.equal(a, b) for a, b in zip(same, other, strict=True))


def test_runs_older_than_this_setting_resume(tmp_path):
    train(micrographs(), tmp_path, steps=2, **QUICK)
    file = tmp_path / "settings.json"
    settings = json.loads(file.read_text())
    assert settings.pop("init", "absent") is None
    assert settings.pop("mirrored") == ["xy", "xz", "yz"]
    file.write_text(json.dumps(settings))
    train(micrographs(), tmp_path, steps=2, **QUICK)


@pytest.mark.parametrize("phases", [2, 3])
def test_a_path_or_a_bundled_name(tmp_path, phases):
    """Also of a model with other phases; the starting point is named in the details."""
    model = train(micrographs(phases), tmp_path, steps=1, init="separator", **QUICK)
    assert model.details["init"]["hash"] == load_model("separator").hash
    assert model.details["init"]["source"] == "separator"
    again = train(micrographs(2), tmp_path / "b", steps=1, init=tmp_path, **QUICK)
    assert again.details["init"]["hash"] == model.hash
    assert again.details["init"]["source"] == str(tmp_path)


@pytest.mark.parametrize("phases", [2, 3])
def test_universal_is_installed(tmp_path, phases):
    """One network of random materials serves any number of phases."""
    model = train(micrographs(phases), tmp_path, steps=1, init="universal", **QUICK)
    assert model.details["init"]["source"] == "universal"
    assert start.starting_model("universal").n_phases == 2
    options = learner(micrographs(phases), init=start.starting_model("universal")).options
    assert options.recipe.steps == RECIPES["small"].steps // 2
    assert options.recipe.learning_rate == RECIPES["small"].learning_rate


def test_a_directory_called_universal_is_a_model_of_a_material(model, tmp_path, monkeypatch):
    model.save(tmp_path / "universal")
    monkeypatch.chdir(tmp_path)
    options = learner(micrographs(), init=start.starting_model("universal")).options
    assert options.recipe == FINE_TUNING["small"]


def test_the_start_lowers_the_loss(tmp_path):
    """Of a trained network on the crops of its own material."""
    from micro3d_fast import synthetic

    data = Micrographs.from_volume(synthetic.separator((64, 64, 64), seed=5), 64)
    losses = {}
    for init in (None, "separator"):
        options = {**QUICK, "patch": 32, "batch_size": 8, "init": init}
        losses[init] = train(data, tmp_path / str(init), steps=6, **options).details["loss"]
    assert losses["separator"] < 0.5 * losses[None]


def test_the_prediction_is_that_of_the_start(model, tmp_path):
    x0 = replace(model, prediction="x0")
    assert learner(micrographs(), init=x0).options.prediction == "x0"
    with pytest.raises(ValueError, match="`prediction` must be 'x0', as `init`, got 'v'"):
        train(micrographs(), tmp_path, steps=1, init=x0, prediction="v", **QUICK)


@pytest.mark.parametrize(
    ("init", "preset", "error", "words"),
    [
        (3, "small", TypeError, "`init` must be a Model, a path, 'universal', 'fibre-composite', "),
        (
            "nowhere",
            "small",
            FileNotFoundError,
            "`init` must be a model directory or one of universal, fibre",
        ),
        ("", "small", ValueError, "`init` must be a path, got an empty string"),
        (
            "separator",
            "base",
            ValueError,
            "`init` must have the network of preset 'base', got that of preset 'small'",
        ),
        (
            tiny_model(),
            "small",
            ValueError,
            "`init` must have the network of preset 'small', got another",
        ),
    ],
)
def test_refusals(tmp_path, init, preset, error, words):
    with pytest.raises(error, match=words):
        train(micrographs(), tmp_path / "run", init=init, **{**QUICK, "preset": preset})
    assert not (tmp_path / "run").exists()


def test_presets_differ():
    """So a network identifies its preset."""
    assert len(set(PRESETS.values())) == len(PRESETS)
