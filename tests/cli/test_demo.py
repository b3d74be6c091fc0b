# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The demo: its time, its files."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys

import pytest

import micro3d_fast as m3
from micro3d_fast.cli.info import bundled_models


def test_the_demo_stays_within_the_time():
    from micro3d_fast import _demo

    seconds = {100.0: 64, 300.0: 48, 1000.0: 32, 9000.0: 0}
    assert {each: _demo.affordable(64, each, 142) for each in seconds} == seconds
    assert _demo.affordable(64, 100.0, -3) == 0


def test_the_demo_runs(run, monkeypatch, model, tmp_path):
    """The whole demo with a model of two steps, at the smallest size."""
    from micro3d_fast import _demo, diffusion

    tiny = dataclasses.replace(diffusion.load_model(model), patch=16, harmonize=(1, 1, 0))
    names = {"separator": ("pore", "polymer"), "fibre-composite": ("matrix", "fibre")}
    monkeypatch.setattr(
        diffusion, "load_model", lambda name: dataclasses.replace(tiny, phase_names=names[name])
    )
    monkeypatch.setattr(_demo, "SPECIMEN", 32)
    monkeypatch.setattr(_demo, "IMAGES", 4)
    monkeypatch.setattr(_demo, "STEPS", 2)
    monkeypatch.setattr(_demo, "SAMPLES", 2)
    monkeypatch.setattr(_demo, "PATCH", 16)
    monkeypatch.setattr(_demo, "BATCH", 2)
    generators = {k: _demo.GENERATORS[k] for k in ("separator",)}
    generators["fibre-composite"] = _demo.GENERATORS["fibre-composite"]
    monkeypatch.setattr(_demo, "GENERATORS", generators)
    out = tmp_path / "demo"
    (out / "training").mkdir(parents=True)
    (out / "training" / "settings.json").write_text("{}")  # of an earlier demo
    code, said, err = run(
        "demo", "--out", out, "--edge", 16, "--training-seconds", 0.5, "--minutes", 60
    )
    assert code == 0, err
    assert f"Open {out / 'report.html'} in a browser." in said
    for file in (
        "report.html",
        "report.json",
        "separator.tif",
        "training/history.csv",
        "micrographs/xy-00.png",
        "fibre-composite/report.html",
        "fibre-composite/fibre-composite.tif",
    ):
        assert (out / file).exists(), file
    composite = m3.Microstructure.load(out / "fibre-composite" / "fibre-composite.tif")
    assert composite.provenance["periodic"] == [False, True, True]
    page = (out / "fibre-composite" / "report.html").read_text(encoding="utf-8")
    assert "Boundary condition" in page
    assert "opposite faces do not match" not in page
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "A minute of training" in page
    assert "The 2D network alone" in page


def test_the_demo_has_voxel_sizes():
    pytest.importorskip("torch")
    for name in m3.diffusion.BUNDLED:
        dz, dy, dx = m3.load_model(name).voxel_size
        assert 1e-9 < dz == dy == dx < 1e-5


@pytest.mark.slow
def test_the_demo_with_the_bundled_models(tmp_path):
    if any(words == "not installed" for words in bundled_models().values()):
        pytest.skip("the bundled models are not installed")
    command = [sys.executable, "-m", "micro3d_fast", "demo", "--out", str(tmp_path / "demo")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "demo" / "report.html").exists()
