# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Wrong arguments of every operator: a short run; `make test-sanitized` is the long one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from micro3d_fast import _core

sys.path.insert(0, str(Path(__file__).parent))
import fuzz_operators

SCRIPT = Path(fuzz_operators.__file__)


@pytest.mark.skipif(sys.platform == "win32", reason="no alarms")
def test_wrong_arguments_are_refused_in_one_sentence():
    command = [sys.executable, str(SCRIPT), "--count", "150", "--seed", "18"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    last = done.stderr.rpartition("\r")[2][-300:]
    assert done.returncode == 0, f"{done.stdout}\nlast call: {last}"
    names = len(fuzz_operators.RIGHT) + len(fuzz_operators.CORE)
    assert done.stdout.count("150 calls, seed 18, 0 failed") == names


def test_every_function_of_the_core_is_called():
    simple = {"cuda_device_count", "cuda_status", "max_threads"}
    functions = {name for name in dir(_core) if callable(getattr(_core, name)) and name[0] != "_"}
    assert functions == set(fuzz_operators.CORE) | simple
