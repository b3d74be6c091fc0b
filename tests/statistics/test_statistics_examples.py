# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The examples in the docstrings of `statistics` and in docs/characterize.md."""

import doctest
import importlib
import pkgutil
from pathlib import Path

import numpy as np
import pytest

from micro3d_fast import statistics

MODULES = [m.name for m in pkgutil.iter_modules(statistics.__path__)]
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


@pytest.mark.parametrize("name", MODULES)
def test_docstrings(name):
    module = importlib.import_module(f"micro3d_fast.statistics.{name}")
    assert doctest.testmod(module, optionflags=FLAGS).failed == 0


def test_page(tmp_path, monkeypatch):
    page = Path(__file__).parents[2] / "docs" / "characterize.md"
    if not page.exists():
        pytest.skip("docs/characterize.md is not here")
    monkeypatch.chdir(tmp_path)
    result = doctest.testfile(str(page), module_relative=False, optionflags=FLAGS,
                              globs={"np": np})  # fmt: skip
    assert result.attempted > 10
    assert result.failed == 0
