# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Import of the modules in benchmarks/, which is no package."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest


@pytest.fixture
def import_benchmark(monkeypatch):
    """Return a function that imports a module of benchmarks/ by name."""
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[2] / "benchmarks"))
    return importlib.import_module
