# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""micro3d study."""

from __future__ import annotations

import pytest


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
