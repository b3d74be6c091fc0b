# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""pytest -m cuda with skips as failures."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from .job import Job

#: a skip with this reason is no failure: the test needs more memory than the GPU has
EXCUSED = "is too small:"


@dataclass(frozen=True)
class Outcome:
    """The outcome of a run of pytest."""

    passed: int
    failed: list[str]
    skipped: list[str]  # test: reason
    excused: list[str]

    def __str__(self) -> str:
        return (
            f"{self.passed} passed, {len(self.failed)} failed, {len(self.skipped)} skipped, "
            f"{len(self.excused)} excused"
        )


def run(job: Job) -> None:
    if job.rehearse:
        job.step("pytest", rehearsal, job)
        return
    job.step("pytest", everything, job, expect=60)


def read_junit(file: Path) -> Outcome:
    """Read the outcome from pytest's report."""
    passed, failed, skipped, excused = 0, [], [], []
    for case in ElementTree.parse(file).iter("testcase"):
        name = f"{case.get('classname', '')}::{case.get('name', '')}"
        skip = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            failed.append(name)
        elif skip is not None:
            reason = skip.get("message", "")
            (excused if EXCUSED in reason else skipped).append(f"{name}: {reason}")
        else:
            passed += 1
    return Outcome(passed, failed, skipped, excused)


def pytest(job: Job, name: str, *words: str, prefix: tuple[str, ...] = (), **env: str) -> Outcome:
    """Run pytest in a new process; its output goes to the log of this section."""
    junit = job.out / f"{name}.xml"
    junit.unlink(missing_ok=True)
    command = [*prefix, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    command += ["--continue-on-collection-errors", f"--junitxml={junit}", *words]
    print("+", " ".join(command), flush=True)
    code = subprocess.run(
        command, cwd=job.root, env={**os.environ, **env}, timeout=max(job.time_left, 1)
    ).returncode
    if not junit.exists():
        raise RuntimeError(f"pytest ended with status {code} and left no report")
    outcome = read_junit(junit)
    print(f"{name}: {outcome}, status {code}", flush=True)
    for line in outcome.skipped:
        print(f"skipped: {line}")
    if code not in (0, 1, 5) or (code == 1 and not outcome.failed):
        raise RuntimeError(f"{name} ended with status {code}; {outcome}")
    return outcome


def judge(job: Job, case: str, outcome: Outcome) -> None:
    """Record the tests passed, then raise unless every test ran and passed."""
    job.row(case, "tests passed", outcome.passed, "1")
    if outcome.failed or outcome.skipped or outcome.passed == 0:
        first = [*outcome.failed, *outcome.skipped, "no test was found"][0]
        raise RuntimeError(f"{outcome}; first: {first}")


def everything(job: Job) -> None:
    path = "tests/cuda/test_cuda_streams.py" if job.toy else "tests"
    judge(job, "pytest -m cuda", pytest(job, "pytest", "-m", "cuda", path, M3D_REQUIRE_CUDA="1"))


def rehearsal(job: Job) -> None:
    """Run one file without a GPU: every test of it is skipped."""
    outcome = pytest(
        job, "pytest", "-m", "cuda", "tests/cuda/test_cuda_streams.py", M3D_REQUIRE_CUDA="0"
    )
    job.row("pytest -m cuda", "tests skipped", len(outcome.skipped), "1")
    if outcome.failed or not outcome.skipped:
        raise RuntimeError(f"every test should be skipped here, got {outcome}")
