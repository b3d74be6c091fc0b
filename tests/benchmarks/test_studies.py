# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""benchmarks/studies: the plans of the sampler, the table, and the figures of a tiny study."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def studies(import_benchmark):
    """Return a function that imports a module of the package."""
    return lambda name: import_benchmark(f"studies.{name}")


def run(*arguments):
    command = [sys.executable, str(BENCHMARKS / "studies"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_the_command_lists_its_studies_and_runs_one():
    names = [file.stem for file in (BENCHMARKS / "studies").glob("*.py")]
    listed = run().stderr
    assert "python benchmarks/studies STUDY" in listed
    shared = {"__init__", "__main__", "judging", "materials", "property_pictures", "variants"}
    for name in set(names) - shared:
        assert f"\n{name} " in listed
    assert "--materials" in run("sampler", "--help").stdout


def test_plans_hold_the_passes_that_their_names_give(studies):
    plans = studies("variants").PLANS
    for name in ("fast-38", "paper-respaced-46", "paper-996", "paper-4996"):
        assert plans["curve"][name].settings.passes == int(name.rsplit("-", 1)[-1])
    assert plans["screening"]["8x5"].settings.passes == 43
    networks = studies("materials").NETWORKS
    for plan in plans.values():
        assert {variant.network for variant in plan.values()} <= set(networks)


def test_a_table_keeps_rows_of_other_processes(studies, tmp_path):
    judging = studies("judging")
    one, other = (judging.Table(tmp_path / "study.json") for _ in range(2))
    one.put("a", {"value": 1})
    other.put("b", {"value": 2})
    assert judging.Table(tmp_path / "study.json").rows == {"a": {"value": 1}, "b": {"value": 2}}


def test_real_blocks_are_spread_over_the_truth(studies):
    labels = np.arange(6**3).reshape(6, 6, 6)
    blocks = studies("materials").real_blocks(labels, 3, 2)
    np.testing.assert_array_equal(blocks, [labels[:3, :3, :3], labels[3:, 3:, 3:]])


def test_pictures_of_real_volumes(studies, tmp_path):
    labels = np.random.default_rng(0).integers(0, 2, (6, 8)).astype(np.uint8)
    field = np.ones(labels.shape)
    for case in ("ply, carbon-epoxy", "ply, paper-table-a1", "bone", "cathode, pore, z"):
        np.savez(
            tmp_path / f"{case}.npz", labels=labels, von_mises=field, flux=field,
            stiffness=1e9 * np.eye(6),
        )  # fmt: skip
    studies("property_pictures").pictures(tmp_path, tmp_path / "docs")
    names = {file.name for file in (tmp_path / "docs").iterdir()}
    assert names == {f"homogenize_{name}.png" for name in ("ply", "bone", "cathode")}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_tiny_study_ends_in_figures(studies, tmp_path, monkeypatch):
    materials, sampler = studies("materials"), studies("sampler")
    tiny = materials.Material(
        lambda data: materials.level_cut(48, 0.35, seed=1), box=16, patch=16, steps=2, batch=2
    )
    monkeypatch.setitem(sampler.MATERIALS, "level-cut", tiny)
    runs, out = tmp_path / "runs", tmp_path / "out"
    command = ["studies sampler", "--materials", "level-cut", "--seeds", "2", "--slices", "2"]
    command += ["--plan", "curve", "--only", "fast-11", "fast-22", "--runs", str(runs)]
    monkeypatch.setattr(sys, "argv", command)
    sampler.main()
    rows = sampler.Table(runs / "study.json").rows
    assert set(rows) == {f"level-cut | {n}" for n in ("truth", "2D v-linear", "fast-11", "fast-22")}
    arguments = argparse.Namespace(out=out, runs=runs, data=tmp_path)
    figures = studies("figures")
    figures.save_figures(rows, ["level-cut"], arguments)
    assert {file.name for file in out.iterdir()} == {
        "study_curve.png",
        "study_sections_level-cut.png",
    }
    assert "| fast-11 | 11 | 2 |" in figures.markdown(rows, "level-cut", ["fast-11", "fast-22"])
