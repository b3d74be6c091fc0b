# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Inputs of the commands, a model, and the command itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import micro3d_fast as m3
from _toy import quick_samples
from micro3d_fast import cli
from volumes import blobs


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    """Inputs: a volume, and micrographs of it with the grey values 0 and 255."""
    root = tmp_path_factory.mktemp("cli")
    labels = blobs((24, 24, 24), (0.6, 0.4))
    m3.Microstructure(labels, voxel_size=1e-6, phase_names=("pore", "solid")).save(root / "v.tif")
    for i in range(3):
        for plane, image in (("xy", labels[i]), ("xz", labels[:, i]), ("yz", labels[:, :, i])):
            Image.fromarray(image * np.uint8(255)).save(root / f"{plane}-{i}.png")
    (root / "v.raw").write_bytes(labels.tobytes())
    (root / "one.yaml").write_text("phases: [{conductivity: 1.0}]")
    (root / "none.yaml").write_text("phases: []")
    (root / "negative.yaml").write_text("phases: [{conductivity: -1.0}]")
    return root


@pytest.fixture(scope="session")
def model(folder) -> str:
    """A run of two steps, made by the command itself."""
    out = folder / "run"
    arguments = ["train", "--out", str(out), "--steps", "2", "--patch", "16", "--batch-size", "2"]
    for plane in ("xy", "xz", "yz"):
        arguments += [f"--{plane}", str(folder / f"{plane}-*.png")]
    arguments += ["--phases", "0:0,255:1", "--voxel-size", "1e-6", "--phase-names", "pore,solid"]
    with quick_samples():
        assert cli.main(arguments) == 0
    return str(out)


@pytest.fixture(autouse=True)
def _quick_samples() -> Iterator[None]:
    with quick_samples():
        yield


@pytest.fixture
def run(capsys) -> Callable[..., tuple[int, str, str]]:
    """Run a command; return its exit code, stdout and stderr."""

    def run_command(*arguments: object) -> tuple[int, str, str]:
        code = cli.main([str(word) for word in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run_command
