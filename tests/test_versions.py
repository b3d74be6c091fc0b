# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The files of versions that CI installs agree with the bounds of pyproject.toml."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def pinned(name: str) -> dict[str, str]:
    """Return the versions of a file of constraints."""
    lines = (ROOT / "constraints" / name).read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def bounds() -> dict[str, str]:
    """Return the lower bounds of the dependencies, and of zarr and what tests need."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    needed = text.split("\ndependencies = [")[1].split("]")[0]
    optional = text.split("\ntest = [")[1].split("]")[0]
    return dict(re.findall(r'"([\w-]+)>=([\d.]+)', needed + optional))


def numbers(version: str) -> tuple[int, ...]:
    """Return a version without zeros at its end."""
    parts = [int(part) for part in version.split(".")]
    while parts and parts[-1] == 0:
        parts.pop()
    return tuple(parts)


def test_the_oldest_versions_are_the_lower_bounds():
    oldest = pinned("oldest.txt")
    for name, bound in bounds().items():
        assert numbers(oldest[name]) == numbers(bound), name


@pytest.mark.parametrize("name", ["numpy", "torch", "zarr", "pytest"])
def test_the_newest_versions_are_newer(name):
    assert numbers(pinned("newest.txt")[name]) > numbers(pinned("oldest.txt")[name])
    assert pinned("newest.txt").keys() <= bounds().keys()
