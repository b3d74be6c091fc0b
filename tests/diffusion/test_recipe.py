# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The command and the program of a provenance repeat the same volume."""

from __future__ import annotations

import dataclasses
import json
import shlex

import numpy as np
import pytest
import torch

import micro3d_fast as m3
from _toy import tiny_model
from micro3d_fast import cli
from micro3d_fast.diffusion import (
    Reconstruction,
    settings,
)
from micro3d_fast.diffusion.labelling import (
    UNKNOWN,
)
from micro3d_fast.diffusion.schedule import Schedule
from micro3d_fast.diffusion.unet import UNet


def test_the_command_that_repeats_a_volume_has_the_requested_options():
    known = np.full((8, 16, 24), UNKNOWN, dtype=np.uint8)
    known[2] = 1
    model = tiny_model()
    volume = m3.reconstruct(
        known.shape, model, passes=3, window=8, remove_islands=True, known=known
    )
    recipe = Reconstruction.from_provenance(volume.provenance, volume.shape)
    assert "--window 8 --remove-islands --known KNOWN.tif" in recipe.command()
    assert "window=8, remove_islands=True, known=m3.Micro" in recipe.program()
    plain = m3.reconstruct((8, 8, 8), model, passes=3)
    assert "window" not in Reconstruction.from_provenance(plain.provenance, (8, 8, 8)).program()


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A saved model of few steps with a fraction condition."""
    plain = tiny_model(3, (0.5, 0.3, 0.2))
    config = dataclasses.replace(plain.config, fractions=3)
    torch.manual_seed(0)
    net = UNet(config).eval().requires_grad_(False)
    for weight in (net.head.weight, net.fraction.project[2].weight):
        torch.nn.init.normal_(weight, std=0.3)
    model = dataclasses.replace(plain, net=net, config=config, schedule=Schedule(steps=6))
    return str(model.save(tmp_path_factory.mktemp("saved")))


@pytest.mark.parametrize(
    ("options", "written"),
    [
        ({"passes": 4}, "--out"),
        ({"passes": 4, "volume_fractions": (0.2, 0.2, 0.6)}, "--fractions 0.2,0.2,0.6"),
        ({"passes": 4, "volume_fractions": None}, "--fractions raw"),
        ({"passes": 4, "fraction_condition": True}, "--fraction-condition"),
        ({"sampler": "paper", "harmonize": 1, "guidance": 1.5}, "--sampler paper"),
        (
            {"sampler": "paper", "harmonize": 1, "volume_fractions": (0.5, 0.3, 0.2)},
            "--fractions 0.5,0.3,0.2",
        ),
        (
            {
                "sampler": "paper",
                "harmonize": 1,
                "volume_fractions": (0.2, 0.2, 0.6),
                "fraction_condition": False,
            },
            "--no-fraction-condition",
        ),
        ({"settings": settings.SamplerSettings(3, 1, 0.7, gamma_end=0.9)}, None),
        (
            {
                "settings": settings.SamplerSettings(3, 1, 1.0, hold_mean=True),
                "volume_fractions": (0.2, 0.2, 0.6),
                "fraction_condition": True,
                "periodic": (True, False, False),
            },
            None,
        ),
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore:`volume_fractions` requests")
def test_the_command_and_the_program_repeat_the_volume(
    saved, options, written, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    volume = m3.reconstruct((8, 12, 8), m3.load_model(saved), seed=5, **options)
    record = json.loads(json.dumps({**volume.provenance, "model_name": saved}))
    recipe = Reconstruction.from_provenance(record, volume.shape)
    exec(compile(recipe.program(), "program", "exec"), {})
    again = m3.Microstructure.load("volume.tif")
    assert (again.labels == volume.labels).all()
    assert again.provenance["settings"] == volume.provenance["settings"]
    command = recipe.command()
    assert (command is None) == (written is None)
    if command is not None:
        assert written in command
        assert ("--fractions" in command) == ("volume_fractions" in options)
        assert cli.main(shlex.split(command.replace("\\\n", " "))[1:]) == 0, capsys.readouterr().err
        assert (m3.Microstructure.load("volume.tif").labels == volume.labels).all()
