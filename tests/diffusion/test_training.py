# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Training: exact resumption, survival of kill -9, refusals, files."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import random
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from _toy import quick_samples, tiny_model
from micro3d_fast import Micrographs, load_model, reconstruct
from micro3d_fast._planes import PLANES
from micro3d_fast.diffusion import (
    ModelFileError,
    ResumeError,
    SamplerSettings,
    sample_slices,
    train,
)
from micro3d_fast.diffusion.model import encode, mean_field
from micro3d_fast.diffusion.training import CHECKPOINT, options
from micro3d_fast.diffusion.training.sample_errors import sample_ratio

QUICK = {
    "preset": "small",
    "patch": 16,
    "batch_size": 2,
    "precision": "float32",
    "samples_every": 0,
}


def micrographs(phases: int = 2, seed: int = 0) -> Micrographs:
    labels = np.random.default_rng(seed).integers(0, phases, (24, 20, 28)).repeat(2, axis=2)
    return Micrographs.from_volume(labels.astype(np.uint8), images_per_plane=6, seed=0)


def weights(model) -> dict[str, torch.Tensor]:
    return model.net.state_dict()


def assert_same_weights(a, b) -> None:
    for name, tensor in weights(a).items():
        assert torch.equal(tensor, weights(b)[name]), name


@pytest.fixture
def quickly_judged():
    with quick_samples():
        yield


class Stop(Exception):
    pass


def stop_at(step: int):
    def callback(event):
        if event["step"] == step:
            raise Stop

    return callback


@pytest.mark.parametrize("phases", [2, 3])
def test_interrupted_run_equals_uninterrupted_run(tmp_path, phases):
    data = micrographs(phases)
    whole = train(data, tmp_path / "whole", steps=7, save_every=2, **QUICK)
    with pytest.raises(Stop):
        train(data, tmp_path / "cut", steps=7, save_every=2, callback=stop_at(5), **QUICK)
    resumed = train(data, tmp_path / "cut", steps=7, save_every=2, **QUICK)
    assert_same_weights(whole, resumed)
    assert whole.details["loss"] == resumed.details["loss"]
    # ... and a finished run is read back, not trained again
    assert_same_weights(whole, train(data, tmp_path / "whole", steps=7, save_every=2, **QUICK))


def test_interrupt_key_leaves_a_checkpoint(tmp_path):
    def interrupt(event):
        if event["step"] == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(micrographs(), tmp_path, steps=9, save_every=100, callback=interrupt, **QUICK)
    first = []
    train(
        micrographs(),
        tmp_path,
        steps=9,
        save_every=100,
        callback=lambda e: first.append(e["step"]),
        **QUICK,
    )
    assert first[0] == 4


def test_interrupt_inside_a_step_saves_nothing_half_done(tmp_path, monkeypatch):
    whole = train(micrographs(), tmp_path / "whole", steps=6, save_every=2, **QUICK)
    step = torch.optim.Adam.step
    calls = []

    def interrupted(self, *arguments):
        out = step(self, *arguments)
        calls.append(1)
        if len(calls) == 3:  # after the weights moved, before the step is counted
            raise KeyboardInterrupt
        return out

    with monkeypatch.context() as patch:
        patch.setattr(torch.optim.Adam, "step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(micrographs(), tmp_path / "cut", steps=6, save_every=2, **QUICK)
    resumed = train(micrographs(), tmp_path / "cut", steps=6, save_every=2, **QUICK)
    assert_same_weights(whole, resumed)


@pytest.fixture
def ctrl_c():
    """Python's own handler, which a shell in the background takes away."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_waits_for_the_end_of_the_step(tmp_path, monkeypatch):
    step, calls = torch.optim.Adam.step, []

    def interrupted(self, *arguments):
        calls.append(1)
        if len(calls) == 3:
            signal.raise_signal(signal.SIGINT)
        return step(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(torch.optim.Adam, "step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(micrographs(), tmp_path, steps=6, save_every=100, **QUICK)
    steps = []
    train(
        micrographs(), tmp_path, steps=6, save_every=100, **QUICK,
        callback=lambda e: steps.append(e["step"]),
    )  # fmt: skip
    assert steps == [4, 5, 6]


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_after_the_last_check_is_not_lost(tmp_path):
    def interrupted(event):
        if event["step"] == event["steps"]:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(micrographs(), tmp_path, steps=2, callback=interrupted, **QUICK)
    assert train(micrographs(), tmp_path, steps=2, **QUICK).details["training"]


@pytest.mark.usefixtures("ctrl_c")
def test_a_second_ctrl_c_does_not_wait(tmp_path, monkeypatch):
    def interrupted(self, *_):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("not reached")

    with monkeypatch.context() as patch:
        patch.setattr(torch.optim.Adam, "step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(micrographs(), tmp_path, steps=6, save_every=100, **QUICK)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_minute_leaves_a_checkpoint(tmp_path, monkeypatch):
    module = sys.modules["micro3d_fast.diffusion.training.train"]
    monkeypatch.setattr(module, "SAVE_SECONDS", 0.0)
    there = []
    train(
        micrographs(), tmp_path, steps=3, save_every=100, **QUICK,
        callback=lambda e: there.append((tmp_path / CHECKPOINT).exists()),
    )  # fmt: skip
    assert there == [False, True, True]


def test_damaged_checkpoint_and_refused_patch(tmp_path):
    with pytest.raises(ValueError, match="`patch` must be at most 20"):
        train(micrographs(), tmp_path / "a", steps=1, **{**QUICK, "patch": 64})
    assert not (tmp_path / "a").exists()
    train(micrographs(), tmp_path / "b", steps=1, **QUICK)
    (tmp_path / "b" / CHECKPOINT).write_bytes(b"short")
    with pytest.raises(ResumeError, match="must be a whole checkpoint of this run"):
        train(micrographs(), tmp_path / "b", steps=1, **QUICK)


def test_callback_reports_progress(tmp_path):
    events = []
    train(micrographs(), tmp_path, steps=3, callback=events.append, **QUICK)
    assert [e["step"] for e in events] == [1, 2, 3]
    assert all(e["steps"] == 3 and e["loss"] > 0 and e["eta"] >= 0 for e in events)


@pytest.mark.usefixtures("quickly_judged")
def test_files_of_a_run(tmp_path):
    with pytest.warns(
        UserWarning, match="the model may be poor: 2 of the recommended 3000 steps; its 2D samples"
    ):
        model = train(micrographs(3), tmp_path, steps=2, **{**QUICK, "samples_every": 2})
    assert (tmp_path / "history.csv").read_text().startswith("step,loss\n2,")
    assert list((tmp_path / "samples").glob("step-*.png"))
    loaded = load_model(tmp_path)
    assert loaded.phase_names == model.phase_names
    assert loaded.volume_fractions == model.volume_fractions
    assert loaded.details["preset"] == "small"
    for name, tensor in weights(loaded).items():  # stored in float16
        torch.testing.assert_close(tensor, weights(model)[name], rtol=1e-3, atol=1e-6)


@pytest.mark.usefixtures("quickly_judged")
@pytest.mark.filterwarnings("ignore:the model may be poor")
def test_2d_samples_are_judged_on_the_way(tmp_path):
    """With each picture; the record survives an interruption, the weights do not depend on it."""
    options, events = {**QUICK, "samples_every": 4}, []
    whole = train(
        micrographs(), tmp_path / "a", steps=12, callback=events.append, save_every=5, **options
    )
    verdicts = {e["step"]: e["verdict"] for e in events}
    assert [step for step, verdict in verdicts.items() if verdict is not None] == [4, 8, 12]
    with open(tmp_path / "a" / "verdicts.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == [4, 8, 12]
    for row in rows:
        verdict = verdicts[int(row["step"])]
        assert row["outcome"] == verdict.outcome == "different"  # white noise against images
        assert float(row["p_value"]) == verdict.p_value
        assert float(row["ratio"]) == verdict.worst.ratio
        assert row["sentence"] == f"its 2D samples are different: {verdict.worst}"
    details = load_model(tmp_path / "a").details
    assert details["verdict"]["step"] == 12
    assert details["training"].startswith("12 of the recommended 3000 steps; ")
    assert details["training"].endswith(rows[-1]["sentence"])

    with pytest.raises(Stop):
        train(micrographs(), tmp_path / "b", steps=12, callback=stop_at(9), save_every=5, **options)
    resumed = train(micrographs(), tmp_path / "b", steps=12, save_every=5, **options)
    assert_same_weights(whole, resumed)
    assert (tmp_path / "a" / "verdicts.csv").read_text() == (
        tmp_path / "b" / "verdicts.csv"
    ).read_text()
    assert resumed.details["training"] == whole.details["training"]

    plain = train(micrographs(), tmp_path / "c", steps=12, save_every=5, **QUICK)
    assert_same_weights(whole, plain)
    assert not (tmp_path / "c" / "verdicts.csv").exists()
    assert plain.details["verdict"] is None
    assert "2D samples" not in plain.details["training"]


@pytest.mark.usefixtures("quickly_judged")
@pytest.mark.filterwarnings("ignore:the model may be poor")
def test_a_run_stopped_in_its_last_picture_is_still_judged(tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    options = {**QUICK, "samples_every": 3}
    with monkeypatch.context() as patch:
        patch.setattr(sys.modules[train.__module__], "judge_samples", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(micrographs(), tmp_path, steps=3, **options)
    assert train(micrographs(), tmp_path, steps=3, **options).details["verdict"]["step"] == 3


def test_spread_of_the_fractions_is_that_of_the_crops(tmp_path):
    """Of n independent cells of fraction p the mean has the variance p (1 - p) / n."""
    labels = np.random.default_rng(0).random((120, 100, 60)) < 0.3
    data = Micrographs.from_volume(labels.repeat(2, axis=2), images_per_plane=60)
    model = train(data, tmp_path, steps=1, **QUICK)
    spread = model.details["volume_fraction_std"]
    cells = [16 * 8, 16 * 8, 16 * 16]  # in a crop of xy, xz, yz
    expected = np.sqrt(np.mean([0.21 / n for n in cells]))
    np.testing.assert_allclose(spread, expected, rtol=0.15)
    # of specimens: 30 x 30 x 15 cells, of which a box of 12 x 12 x 24 voxels holds 12 x 12 x 12
    assert model.fraction_scatter.std((12, 12, 24))[0] == pytest.approx(
        (0.21 / 12**3 * (1 - 1 / 48)) ** 0.5, rel=0.15
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seed": 1}, "seed was 0, now 1"),
        ({"batch_size": 3}, "batch_size was 2, now 3"),
        ({"data": micrographs(seed=5)}, "the micrographs differ"),
        ({"resume": False}, "must be a directory without a run"),
    ],
)
def test_other_run_in_out_is_refused(tmp_path, change, words):
    arguments = {"steps": 2, **QUICK}
    train(micrographs(), tmp_path, **arguments)
    data = change.pop("data", micrographs())
    with pytest.raises(ResumeError, match=words):
        train(data, tmp_path, **{**arguments, **change})


def test_a_folder_of_other_files_is_refused(tmp_path):
    (tmp_path / "image.png").touch()
    with pytest.raises(ValueError, match=r"`out` must be empty or hold a run, got .*image\.png"):
        train(micrographs(), tmp_path, steps=1, **QUICK)
    assert [entry.name for entry in tmp_path.iterdir()] == ["image.png"]
    (tmp_path / "image.png").rename(tmp_path / "history.csv")
    with pytest.raises(ValueError, match=r"`out` must be empty or hold a run, .*history\.csv"):
        train(micrographs(), tmp_path, steps=1, **QUICK)
    (tmp_path / "history.csv").rename(tmp_path / "README.md")
    for name in ("lost+found", "model", "samples"):
        (tmp_path / name).mkdir()
    train(micrographs(), tmp_path, steps=1, **QUICK)


def test_micrographs_of_one_phase_are_refused(tmp_path):
    one = Micrographs.load({"xy": np.zeros((2, 24, 24), np.uint8)}, phases="labels")
    with pytest.raises(ValueError, match="`micrographs` must show at least two phases, got 1"):
        train(one, tmp_path, steps=1, **QUICK)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"preset": "huge"}, ValueError, "`preset` must be"),
        ({"patch": 12}, ValueError, "`patch` must be a multiple of 8 for preset 'small', got 12"),
        ({"patch": 64}, ValueError, "64"),
        ({"steps": 0}, ValueError, "`steps`"),
        ({"steps": 2.5}, TypeError, "`steps`"),
        ({"batch_size": 0}, ValueError, "`batch_size`"),
        ({"seed": -1}, ValueError, "`seed`"),
        (
            {"device": "tpu"},
            ValueError,
            "`device` must be None, 'cpu', 'cuda' or 'cuda:N', got",
        ),
        ({"prediction": "score"}, ValueError, "`prediction`"),
        (
            {"prediction": "noise", "schedule": "cosine-zero"},
            ValueError,
            "`prediction` must be 'v'",
        ),
        ({"learning_rate": 0.0}, ValueError, "`learning_rate`"),
        ({"condition_dropout": 1.5}, ValueError, "`condition_dropout`"),
        ({"precision": "float8"}, ValueError, "`precision`"),
        (
            {"fraction_condition": "yes"},
            TypeError,
            "`fraction_condition` must be True or False, got 'yes' .str.",
        ),
        ({"callback": 3}, TypeError, "`callback`"),
    ],
)
def test_refusals(tmp_path, change, error, words):
    with pytest.raises(error, match=words):
        train(micrographs(), tmp_path / "run", **{"steps": 1, **QUICK, **change})


def test_anything_but_micrographs_is_refused(tmp_path):
    with pytest.raises(TypeError, match="`micrographs` must be a Micrographs, got ndarray"):
        train(np.zeros((8, 8, 8)), tmp_path, steps=1, **QUICK)


@pytest.mark.parametrize("phases", [2, 3])
def test_fraction_condition_survives_its_checkpoint(tmp_path, phases):
    """Of the run (resumed bit for bit) and of the model (files), and both record it."""
    data, options = micrographs(phases), {"fraction_condition": True, "save_every": 2, **QUICK}
    whole = train(data, tmp_path / "whole", steps=5, **options)
    with pytest.raises(Stop):
        train(data, tmp_path / "cut", steps=5, callback=stop_at(3), **options)
    resumed = train(data, tmp_path / "cut", steps=5, **options)
    assert_same_weights(whole, resumed)
    assert resumed.fraction_condition
    assert resumed.config.fractions == phases
    assert resumed.details["fraction_condition"] is True
    assert "conditioned on fractions" in repr(resumed)
    with pytest.raises(ResumeError, match="fraction_condition was True, now False"):
        train(data, tmp_path / "cut", steps=5, save_every=2, **QUICK)


def test_runs_older_than_the_fraction_condition_resume(tmp_path):
    train(micrographs(), tmp_path, steps=2, **QUICK)
    file = tmp_path / "settings.json"
    settings = json.loads(file.read_text())
    assert settings.pop("fraction_condition") is False
    file.write_text(json.dumps(settings))
    train(micrographs(), tmp_path, steps=2, **QUICK)
    with pytest.raises(ResumeError, match="fraction_condition was False, now True"):
        train(micrographs(), tmp_path, steps=2, fraction_condition=True, **QUICK)


def test_a_finished_run_goes_on_to_more_steps(tmp_path):
    first = train(micrographs(), tmp_path, steps=3, **QUICK)
    more = train(micrographs(), tmp_path, steps=6, **QUICK)
    assert more.details["steps"] == 6
    assert any((weights(first)[k] != w).any() for k, w in weights(more).items())
    assert json.loads((tmp_path / "settings.json").read_text())["steps"] == 6
    before = {file: file.read_bytes() for file in tmp_path.rglob("*.*")}
    with pytest.raises(ValueError, match="`steps` must be at least 6, the steps that"):
        train(micrographs(), tmp_path, steps=5, **QUICK)
    assert {file: file.read_bytes() for file in tmp_path.rglob("*.*")} == before


def test_a_run_goes_on_in_another_precision_with_a_warning(tmp_path):
    with pytest.raises(Stop):
        train(micrographs(), tmp_path, steps=4, save_every=2, callback=stop_at(3), **QUICK)
    with pytest.warns(UserWarning, match="goes on in bfloat16 and began in float32"):
        train(micrographs(), tmp_path, steps=4, **{**QUICK, "precision": "bfloat16"})


def test_the_model_of_an_unfinished_run_is_that_of_its_checkpoint(tmp_path):
    with pytest.raises(Stop):
        train(micrographs(), tmp_path, steps=5, save_every=2, callback=stop_at(3), **QUICK)
    with pytest.warns(UserWarning, match="stopped after 3 of 5 steps: train again to resume"):
        early = load_model(tmp_path)
    finished = train(micrographs(), tmp_path, steps=5, save_every=2, **QUICK)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_same_weights(finished, load_model(tmp_path))
    assert any((weights(early)[k] != w).any() for k, w in weights(finished).items())


def test_a_second_training_is_kept_out(tmp_path):
    def second(event):
        with pytest.raises(ValueError, match="`out` must be a directory that no other training"):
            train(micrographs(), tmp_path, steps=2, **QUICK)
        raise Stop

    with pytest.raises(Stop):
        train(micrographs(), tmp_path, steps=2, callback=second, **QUICK)
    train(micrographs(), tmp_path, steps=2, **QUICK)


def test_fractions_of_a_batch():
    """Those of its crops, half of them dropped; all else is drawn as without the condition."""
    from micro3d_fast.diffusion.training.batches import make_batch
    from micro3d_fast.diffusion.training.options import TrainingOptions

    data, batches = micrographs(3), []
    options = {**dict.fromkeys(TrainingOptions.__dataclass_fields__), **QUICK}
    options |= {"seed": 0, "batch_size": 64, "condition_dropout": 0.1, "compile": False}
    for condition in (False, True):
        chosen = TrainingOptions(**options | {"fraction_condition": condition})
        batches.append(make_batch(data, chosen, 3))
    without, given = batches
    assert without.fractions is None
    assert without.kept is None
    for name in ("x_t", "target", "t", "plane"):
        assert torch.equal(getattr(without, name), getattr(given, name))
    labels, _ = data.sample(np.random.default_rng([0, 3]), 64, 16)
    expected = np.stack([(labels == p).mean(axis=(1, 2)) for p in range(3)], axis=1)
    np.testing.assert_allclose(given.fractions, expected, atol=1e-6)
    assert 16 < given.kept.sum() < 48


def test_bundled_models_have_no_fraction_condition():
    """They are older than the condition: their records do not mention it, and they load."""
    from micro3d_fast.diffusion.model import BUNDLED, bundled_directory

    for name in BUNDLED:
        config = json.loads((bundled_directory(name) / "model.json").read_text())["config"]
        assert config.get("fractions", 0) == 0
        assert not load_model(name).fraction_condition


def test_model_with_a_wrong_fraction_condition_is_refused(tmp_path):
    train(micrographs(), tmp_path, steps=1, fraction_condition=True, **QUICK)
    file = tmp_path / "model" / "model.json"
    file.write_text(file.read_text().replace('"fractions": 2', '"fractions": 3'))
    with pytest.raises(ModelFileError, match="fraction condition of all its 2 phases or of none"):
        load_model(tmp_path)


@pytest.mark.filterwarnings("ignore:`volume_fractions` requests")
def test_use_of_the_fraction_condition(tmp_path):
    """With and without the condition, and what is refused."""
    without = train(micrographs(), tmp_path / "a", steps=1, **QUICK)
    model = train(micrographs(), tmp_path / "b", steps=1, fraction_condition=True, **QUICK)
    options = {"passes": 3, "device": "cpu", "volume_fractions": (0.7, 0.3)}
    volumes = {
        c: reconstruct((16,) * 3, model, fraction_condition=c, **options) for c in (True, False)
    }
    for used, volume in volumes.items():
        assert volume.provenance["fraction_condition"] is used
    free = SamplerSettings(2, 1, 1.0)  # "auto" uses it if the sampler does not hold the mean
    for settings, used in ((None, False), (free, True)):
        passes = None if settings else 3
        volume = reconstruct((16,) * 3, model, settings=settings, **{**options, "passes": passes})
        assert volume.provenance["fraction_condition"] is used
    with pytest.raises(
        ValueError, match="`fraction_condition` must be 'auto' or False for a model"
    ):
        reconstruct((16,) * 3, without, fraction_condition=True, **options)
    with pytest.raises(TypeError, match="`fraction_condition` must be 'auto', True or False, got"):
        reconstruct((16,) * 3, model, fraction_condition=1, **options)
    for wrong in ((0.5, 0.6), (1.2, -0.2), (1.0,)):
        with pytest.raises(ValueError, match="`volume_fractions` must be 2 non-negative numbers"):
            reconstruct((16,) * 3, model, volume_fractions=wrong)
        with pytest.raises(ValueError, match="`volume_fractions` must be 2 non-negative numbers"):
            sample_slices(model, "xy", 1, volume_fractions=wrong)
    with pytest.raises(ValueError, match="`volume_fractions` must be None for a model that was"):
        sample_slices(without, "xy", 1, volume_fractions=(0.5, 0.5))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*(amount to about|a patch of):UserWarning")
def test_training_learns_to_follow_the_fractions(tmp_path):
    """Images of two very different fractions: the network alone makes either on request."""
    rng = np.random.default_rng(0)
    images = [
        (rng.random((8, 8)) < fraction).repeat(4, axis=0).repeat(4, axis=1).astype(np.uint8)
        for fraction in (0.2, 0.8)
        for _ in range(24)
    ]
    data = Micrographs.load({"xy": images}, phases="labels")
    options = {**QUICK, "batch_size": 16, "learning_rate": 2e-3}
    model = train(data, tmp_path, steps=250, fraction_condition=True, **options)
    made = {
        f: sample_slices(model, "xy", 24, steps=16, volume_fractions=(1 - f, f)).mean()
        for f in (0.2, 0.8)
    }
    assert made[0.2] < 0.4
    assert made[0.8] > 0.6


def test_damaged_model_is_refused(tmp_path):
    train(micrographs(), tmp_path, steps=1, **QUICK)
    file = next((tmp_path / "model").glob("*.safetensors"))
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(ModelFileError, match="damaged"):
        load_model(tmp_path)
    (tmp_path / "model" / "model.json").write_text("{}")
    with pytest.raises(ModelFileError, match="format"):
        load_model(tmp_path)
    with pytest.raises(FileNotFoundError, match="fibre-composite, separator, cathode"):
        load_model(tmp_path / "nowhere")


def test_noise_prediction_without_a_signal_is_refused(tmp_path):
    """x0 does not follow from the noise where x_t has no signal."""
    train(micrographs(), tmp_path, steps=1, **QUICK)
    file = tmp_path / "model" / "model.json"
    record = json.loads(file.read_text())
    for schedule, prediction, refused in (
        ({"kind": "cosine-zero", "steps": 20}, "noise", True),
        ({"kind": "cosine-zero", "steps": 20}, "v", False),
        ({"kind": "cosine", "steps": 20}, "noise", False),
    ):
        file.write_text(json.dumps(record | {"schedule": schedule, "prediction": prediction}))
        if refused:
            with pytest.raises(ModelFileError, match="must predict 'x0' or 'v' on a schedule"):
                load_model(tmp_path)
        else:
            assert load_model(tmp_path).prediction == prediction


def test_encoding_of_labels():
    labels = torch.tensor([[[0, 1]]])
    assert encode(labels, 2).tolist() == [[[[-1.0, 1.0]]]]
    assert encode(labels, 3).tolist() == [[[[1.0, -1.0]], [[-1.0, 1.0]], [[-1.0, -1.0]]]]
    np.testing.assert_allclose(mean_field((0.6, 0.4)), [-0.2])
    np.testing.assert_allclose(mean_field((0.5, 0.3, 0.2)), [0.0, -0.4, -0.6])


RUN = """
import sys
import numpy as np, torch
torch.set_num_threads(1)
from micro3d_fast import Micrographs
from micro3d_fast.diffusion import train
labels = np.random.default_rng(0).integers(0, 2, (24, 20, 28)).repeat(2, axis=2).astype(np.uint8)
data = Micrographs.from_volume(labels, images_per_plane=6, seed=0)
def report(event):
    print(event["step"], flush=True)
train(data, sys.argv[1], preset="small", patch=16, batch_size=2, precision="float32",
      steps=int(sys.argv[2]), save_every=1, samples_every=0, callback=report)
"""


def kill_and_resume(out: Path, kills: int, steps: int, seed: int) -> None:
    """Kill -9 at random moments until `kills` are spent, then let it finish."""
    chance = random.Random(seed)
    command = [sys.executable, "-c", RUN, str(out), str(steps)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for _ in range(kills):
        run = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
        )
        run.stdout.readline()  # the first step of this process is done
        time.sleep(chance.uniform(0, 0.3))
        run.send_signal(signal.SIGKILL)
        run.communicate()
        for file in out.rglob("*"):
            if file.name.startswith("."):
                continue  # a temporary name: not a result
            if file.suffix == ".safetensors":
                from safetensors.torch import load_file

                load_file(file)
            elif file.suffix == ".json":
                json.loads(file.read_text())
    finished = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert finished.returncode == 0, finished.stderr


@pytest.mark.parametrize(
    "kills", [2, pytest.param(20, marks=pytest.mark.slow)], ids=["twice", "twenty-times"]
)
def test_kill_9_loses_nothing(tmp_path, kills):
    steps = 6 * kills
    kill_and_resume(tmp_path / "killed", kills, steps, seed=1)
    assert (tmp_path / "killed" / CHECKPOINT).exists()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    train(micrographs(), tmp_path / "whole", steps=steps, **QUICK)
    torch.set_num_threads(threads)
    assert_same_weights(load_model(tmp_path / "killed"), load_model(tmp_path / "whole"))
    left = [f for f in (tmp_path / "killed").rglob(".*")]
    assert left == []


def test_a_run_stops_by_itself_when_its_samples_are_good(tmp_path, monkeypatch):
    recipe = dataclasses.replace(options.RECIPES["small"], steps=6, save_every=2)
    monkeypatch.setitem(options.RECIPES, "small", recipe)
    ratios = iter([3.0, 1.4])
    module = sys.modules["micro3d_fast.diffusion.training.train"]
    monkeypatch.setattr(module, "sample_ratio", lambda *_: next(ratios))
    events = []
    model = train(micrographs(), tmp_path, callback=events.append, **QUICK)
    assert [e["step"] for e in events] == [1, 2, 3, 4]
    assert [e["steps"] for e in events] == [2, 2, 4, 4]
    assert model.details["steps"] == 4
    assert model.details["sample_ratio"] == 1.4
    assert "they deviate 1.4 × as much as crops" in model.details["training"]
    again = train(micrographs(), tmp_path, **QUICK)  # nothing is left to do
    assert again.hash == model.hash


def test_samples_of_a_perfect_network_deviate_as_crops_do(monkeypatch):
    images, rng = micrographs(), np.random.default_rng(1)
    model = dataclasses.replace(tiny_model(), patch=16)

    def crops(model, plane, n, **_):
        labels, number = images.sample(rng, 8 * n, model.patch)
        return labels[number == PLANES.index(plane)][:n]

    def noise(model, plane, n, **_):
        return (rng.random((n, 16, 16)) < 0.2).astype(np.uint8)

    ratios = []
    for samples in (crops, noise):
        name = "micro3d_fast.diffusion.training.sample_errors.sample_slices"
        monkeypatch.setattr(name, samples)
        ratios.append(sample_ratio(model, images, "cpu"))
    assert 0.4 < ratios[0] < 2.5
    assert ratios[1] > 4


def test_a_checkpoint_that_changed_is_refused(tmp_path):
    def stop(event):
        if event["step"] == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(micrographs(), tmp_path, steps=3, callback=stop, **QUICK)
    file = tmp_path / CHECKPOINT
    whole = file.read_bytes()
    for damage in (
        whole[: len(whole) // 2]
        + bytes([whole[len(whole) // 2] ^ 64])
        + whole[len(whole) // 2 + 1 :],
        whole.replace(b'\\"step\\": 1,', b'\\"step\\":-1,'),
    ):
        assert damage != whole
        file.write_bytes(damage)
        with pytest.raises(ResumeError, match="must be a whole checkpoint of this run"):
            train(micrographs(), tmp_path, steps=3, **QUICK)
    file.write_bytes(whole)
    train(micrographs(), tmp_path, steps=3, **QUICK)
