# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Model directories that lie: refused in one sentence before anything large is built or read."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load, save

import micro3d_fast as m3
from _toy import tiny_model
from micro3d_fast.diffusion import ModelFileError


def changed(folder, change=None, weights=None):
    """Save the tiny model, and change its record or its weights, with a hash that fits."""
    tiny_model().save(folder)
    file = folder / "model.json"
    record = json.loads(file.read_text())
    if weights is not None:
        path = folder / record["weights"]
        state = load(path.read_bytes())
        weights(state)
        path.write_bytes(save(state))
        record["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    if change is not None:
        change(record)
    file.write_text(json.dumps(record))
    return folder


def member(*path_and_value):
    *path, name, value = path_and_value

    def change(record):
        for part in path:
            record = record[part]
        record[name] = value

    return change


@pytest.mark.parametrize(
    ("path", "words"),
    [
        (("volume_fractions", [float("nan")] * 2), "sum 1"),
        (("volume_fractions", [5, -3]), "sum 1"),
        (("volume_fractions", [0.2, 0.2]), "sum 1"),
        (("volume_fractions", ["a", "b"]), "sum 1"),
        (("voxel_size", ["a", "b", "c"]), "`voxel_size` must be"),
        (("voxel_size", [1, 1, 0]), "`voxel_size` must be"),
        (("phase_names", [1, 2]), "be different texts"),
        (("phase_names", ["a", "a"]), "be different texts"),
        (("patch", float("inf")), "give `patch` as an integer"),
        (("patch", 10**6), "`patch` must be"),
        (("details", []), "give `details` as an object"),
        (("format", 2), "format 1"),
        (("config", "attention", [1]), "`attention` must"),
        (("config", "multipliers", []), "`multipliers` must have one entry"),
        (("config", "blocks", [10**7] * 2), "`blocks` must be"),
        (("config", "dim", 12), "`dim` must be a multiple of 8"),
        (("config", "tapered", None), "`tapered` must be"),
        (("config", "depth", 3), "unexpected keyword argument 'depth'"),
        (("schedule", "steps", 10**8), "`steps` must be"),
        (("schedule", "steps", float("nan")), "`steps` must be"),
        (("schedule", "beta_first", "x"), "`beta_first` must be"),
        (("schedule", "beta_first", float("nan")), "`beta_first` must be"),
        (("weights", "../weights.safetensors"), "file of its own directory"),
        (("weights", "/dev/zero"), "file of its own directory"),
        (("weights", "model.json"), "file of its own directory"),
    ],
)
def test_a_record_that_lies_is_refused(tmp_path, path, words):
    folder = changed(tmp_path / "m", member(*path))
    with pytest.raises(ModelFileError, match=words) as refused:
        m3.load_model(folder)
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(tmp_path, value):
    def spoil(state):
        next(iter(state.values())).view(-1)[0] = value

    with pytest.raises(ModelFileError, match="must have finite weights, got others in"):
        m3.load_model(changed(tmp_path / "m", weights=spoil))
    model = tiny_model()
    spoil(model.net.state_dict())
    with pytest.raises(ValueError, match="the network must have finite weights"):
        model.save(tmp_path / "n")
    assert not list((tmp_path / "n").glob("*"))


def test_weights_are_a_regular_file_of_the_size_of_the_network(tmp_path):
    folder = changed(tmp_path / "m", member("weights", "pipe.safetensors"))
    os.mkfifo(folder / "pipe.safetensors")
    with pytest.raises(ModelFileError, match="regular file"):
        m3.load_model(folder)
    large = changed(tmp_path / "l", weights=lambda s: s.update(more=torch.zeros(1 << 21)))
    with pytest.raises(ModelFileError, match="must hold at most"):
        m3.load_model(large)


def test_saving_removes_only_the_weights_of_the_model_before(tmp_path):
    first = json.loads((tiny_model().save(tmp_path) / "model.json").read_text())["weights"]
    mine = tmp_path / "weights-backup.safetensors"
    mine.write_text("mine")
    model = tiny_model()
    model.net.head.weight.data.mul_(2)
    second = json.loads((model.save(tmp_path) / "model.json").read_text())["weights"]
    assert first != second
    assert {f.name for f in tmp_path.iterdir()} == {"model.json", second, mine.name}


def test_a_folder_of_that_name_does_not_hide_a_bundled_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("separator").mkdir()
    bundled = m3.load_model("separator").hash
    tiny_model().save("separator")  # a model of one's own does
    assert m3.load_model("separator").hash != bundled
