# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The examples in the docstrings of homogenization."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

from micro3d_fast import _spread, homogenization

MODULES = [m.name for m in pkgutil.iter_modules(homogenization.__path__)]


@pytest.mark.parametrize("name", MODULES)
def test_docstrings(name):
    module = importlib.import_module(f"micro3d_fast.homogenization.{name}")
    assert doctest.testmod(module).failed == 0


def test_a_mean_with_its_spread():
    result = doctest.testmod(_spread)
    assert (result.attempted, result.failed) == (1, 0)
