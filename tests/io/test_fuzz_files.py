# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Damaged files of every format: a short run of `fuzz_files.py`; `make fuzz` is the long one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("fuzz_files.py")


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory as Linux has them")
def test_damaged_files_give_the_right_labels_or_a_sentence():
    pytest.importorskip("zarr")
    command = [sys.executable, str(SCRIPT), "--count", "200", "--seed", "18"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    last = done.stderr.rpartition("\r")[0][-40:]
    assert done.returncode == 0, f"{done.stdout}\nlast file: {last}"
    assert done.stdout.count("200 files, seed 18, 0 failed") == 16
