# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""benchmarks/gpu_check.py --toy: every section that measures, at toy sizes."""

from __future__ import annotations

import csv
import math
import shutil

import pytest

pytestmark = pytest.mark.cuda


@pytest.mark.filterwarnings("ignore")  # of torch's profiler and compiler
@pytest.mark.parametrize("section", ["operators", "statistics", "homogenize", "sampler", "train"])
def test_section_at_toy_sizes(section, import_benchmark, tmp_path, monkeypatch):
    gpu_check = import_benchmark("gpu_check.command")
    if shutil.which("nvidia-smi") is None:
        job = import_benchmark("gpu_check.job")
        monkeypatch.setattr(job, "gpu_info", lambda: {"text": "a GPU, driver 0"})
    arguments = ["--out", str(tmp_path), "--toy", "--section", section]
    assert gpu_check.main(arguments, isolate=False) == 0, (tmp_path / "report.txt").read_text()
    with (tmp_path / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows
    for row in rows:
        assert row["gpu"]
        assert row["notes"].startswith("rehearsal at toy sizes")
        assert math.isfinite(float(row["value"]))
    # such rows cannot be adopted
    assert gpu_check.adopt(tmp_path / "results.csv", tmp_path / "house.csv") == 1
