# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Sections on the origin of a report: times, provenance, software, how to repeat it."""

from __future__ import annotations

import importlib.metadata
import platform
import re
import sys
from collections.abc import Mapping
from typing import Any

from ..ops import max_threads
from ._document import Part, Section, Table, Text
from ._format import cell_text, duration

PACKAGES = ("numpy", "scipy", "torch", "scikit-image")


def timings_section(timings: Mapping[str, Any]) -> Section:
    """Return the time of each step; values that are not numbers are shown unchanged."""
    rows = [
        [str(name), duration(value) if isinstance(value, int | float) else cell_text(value)]
        for name, value in timings.items()
    ]
    return Section("Times", (Table(["Step", "Time"], rows, "Wall-clock times."),), anchor="times")


def provenance_section(provenance: Mapping[str, Any], software: Mapping[str, Any]) -> Section:
    """Return the origin of the volume, and the software it was computed with."""
    parts: list[Part] = []
    if provenance:
        parts.append(Table(["Item", "Value"], _rows(provenance), "Origin of the volume."))
    parts.append(Table(["Item", "Value"], _rows(software), "Software and machine."))
    return Section("Provenance", tuple(parts), anchor="provenance")


def _rows(values: Mapping[str, Any], prefix: str = "") -> list[list[str]]:
    """Return nested mappings as rows of dotted name and exact value."""
    rows: list[list[str]] = []
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            rows += _rows(value, f"{prefix}{name}.")
        else:
            exact = repr(value) if isinstance(value, float) else cell_text(value)
            rows.append([f"{prefix}{name}", exact])
    return rows


def reproduce_section(snippets: Mapping[str, str]) -> Section:
    """Return the commands that make the volume again."""
    parts: list[Part] = []
    for title, code in snippets.items():
        parts += [Text(title), Text(code, "code")]
    return Section("How to make it again", tuple(parts), anchor="reproduce")


def software_versions() -> dict[str, Any]:
    """Return the versions of the software behind the numbers, and the machine."""
    from .. import __version__

    versions = {
        "micro3d-fast": _version("micro3d-fast") or __version__,
        "python": platform.python_version(),
        **{name: version for name in PACKAGES if (version := _version(name)) is not None},
    }
    return {
        **versions,
        "platform": platform.platform(terse=True),
        "processor": _processor(),
        "threads": max_threads(),
    }


def _processor() -> str:
    """Return the name of the processor, or its architecture."""
    if sys.platform == "linux":
        try:
            with open("/proc/cpuinfo", encoding="utf-8") as file:
                found = re.search(r"model name\s*:\s*(.+)", file.read())
            if found:
                return found.group(1).strip()
        except OSError:
            pass
    return platform.processor() or platform.machine()


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
