# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""`make bench` finds every benchmark."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def test_make_bench_finds_every_file():
    pytest.importorskip("pytest_benchmark")
    command = next(
        line.split("-m ", 1)[1].split()
        for line in (ROOT / "Makefile").read_text(encoding="utf-8").splitlines()
        if "pytest benchmarks" in line
    )
    run = subprocess.run(
        [sys.executable, "-m", *command, "--collect-only", "-q"],
        cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    found = {line.split("::")[0].split("/")[-1] for line in run.stdout.splitlines() if "::" in line}
    assert found == {file.name for file in (ROOT / "benchmarks").glob("bench_*.py")}
