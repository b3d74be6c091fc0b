# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""micro3d study."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import micro3d_fast as m3


@pytest.fixture
def without_figures(monkeypatch):
    monkeypatch.setattr("micro3d_fast.studies._figures.write_figures", lambda study: [])


@pytest.mark.usefixtures("without_figures")
def test_a_study_prints_its_verdict_and_goes_on(run, folder, model, tmp_path):
    command = ["study", "--model", model, "--volume", folder / "v.tif", "--shape", "12",
               "--passes", "2", "--fractions", "auto", "--workers", "1", "--device", "cpu",
               "--out", tmp_path]  # fmt: skip
    code, out, err = run(*command, "--count", "1", "--gamma", "0.5", "--grid-steps", "2")
    assert code == 0, err
    assert "1 volume of 12 × 12 × 12 voxels by run: the mean curves deviate" in out
    assert "γ = 0.5, nₕ = 4" in out
    assert (tmp_path / "study.html").exists()
    code, out, _ = run(*command, "--count", "2")
    assert code == 0
    code, out, _ = run("study", "--status", "--out", tmp_path)
    assert code == 0
    assert out.split() == ["volumes", "2", "of", "2", "real", "blocks", "2", "of", "2"]


def test_refusals_name_the_options(run, folder, model, tmp_path):
    volume = ["--volume", folder / "v.tif"]
    base = ["study", "--out", tmp_path / "new", "--workers", "1"]
    for words, message in (
        (["--model", model], "study needs something to compare with"),
        ([*volume, "--model", model, "--count", "0"], "--count must be"),
        ([*volume, "--model", model, "--compare-model", "x"], "--compare-model must be TITLE=PATH"),
        ([*volume, "--model", model, "--shape", "64"], "--volume must be at least as large"),
        ([*volume, "--model", model, "--gamma", "2"], "--gamma must"),
        ([*volume, "--model", model, "--materials", "none.yaml"], "must be an existing file"),
        (["--status"], "--out must hold a study"),
    ):
        code, _, err = run(*base, *words)
        assert code == 2, (words, err)
        assert message in err, (words, err)


def test_another_voxel_size_is_refused_before_the_volume_is_read(run, model, tmp_path):
    work = ["study", "--model", model, "--volume", "none.tif", "--out", tmp_path / "s"]
    code, _, err = run(*work, "--voxel-size", "2e-6")
    assert (code, err.count("\n")) == (2, 1)
    assert "--voxel-size must have the voxel size of the model, (1e-06, 1e-06, 1e-06), got" in err
    assert "resample to it, or give the voxel size 1 to count in voxels" in err
    code, _, err = run(*work, "--phase-names", "void,solid")
    assert "--phase-names must have the phases of the model, pore, solid, got void, solid" in err
    code, _, err = run(*work, "--voxel-size", "1", "--phase-names", "pore,solid")
    assert "--volume must be an existing file" in err


def test_a_grey_volume_is_segmented(run, folder, model, tmp_path, monkeypatch):
    """It was taken as it is, with a phase for each grey value."""
    labels = m3.io.load(folder / "v.tif").labels
    np.save(tmp_path / "grey.npy", (50 + 150 * (labels > 0)).astype(np.uint8))
    taken = []

    def stop(model, truth, images, out, options):
        taken.append(truth.n_phases)
        raise KeyboardInterrupt

    # the package's attribute of that name is the command
    monkeypatch.setattr(sys.modules["micro3d_fast.cli.study"], "_run", stop)
    grey = ["--volume", tmp_path / "grey.npy", "--threshold", "128"]
    run("study", "--model", model, *grey, "--shape", "12", "--out", tmp_path / "s")
    assert taken == [2]
