# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""``micro3d reconstruct`` in two processes that torchrun starts."""

from __future__ import annotations

import os
import subprocess

import numpy as np
import pytest
import zarr

import micro3d_fast as m3
from _ranks import TORCHRUN, terminated


def torchrun(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*TORCHRUN, "reconstruct", *map(str, arguments), "--device", "cpu"],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_two_processes_write_one_volume(tmp_path):
    options = ["--model", "separator", "--shape", "16,12,16", "--passes", "3", "--seed", "4"]
    made = torchrun(*options, "--out", tmp_path / "volume.zarr")
    assert made.returncode == 0, made.stderr
    assert made.stdout.count("Volume in") == 1
    volume = m3.Microstructure.load(tmp_path / "volume.zarr")
    assert volume.provenance["ranks"] == 2
    assert volume.provenance["model_name"] == "separator"
    assert zarr.open_array(tmp_path / "volume.zarr" / "labels").nchunks == 2
    alone = m3.reconstruct((16, 12, 16), "separator", passes=3, seed=4, device="cpu")
    assert np.mean(volume.labels == alone.labels) > 0.99


@pytest.mark.slow
def test_a_refusal_ends_both(tmp_path):
    made = torchrun("--model", "separator", "--shape", "1,16,16", "--out", tmp_path / "volume.npz")
    assert made.returncode != 0
    wanted = "--shape must have a slice of each plane for each of the 2 ranks, got (1, 16, 16)"
    assert wanted in made.stderr
    assert not (tmp_path / "volume.npz").exists()
    made = torchrun("--model", "separator", "--shape", "16,16,16", "--out", tmp_path / "volume.exe")
    assert made.returncode != 0
    assert "micro3d (rank 0): --out must end in" in made.stderr
    assert "micro3d (rank 1)" not in made.stderr


@pytest.mark.slow
def test_sigterm_to_torchrun_ends_both(tmp_path):
    """Both between two passes, and rank 0 alone prints."""
    command = [*TORCHRUN, "reconstruct", "--model", "separator", "--device", "cpu"]
    command += ["--shape", "32,32,32", "--sampler", "paper", "--out", str(tmp_path / "volume.npz")]
    log = tmp_path / "log"
    text = terminated(command, log, lambda: "reconstructing" in log.read_text(), within=60)
    assert text.count("micro3d (rank 0): Stopped; no volume was written") == 1, text
    assert "(rank 1)" not in text
