# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The first screen of a report: the volume, the worst curve, the main properties."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..homogenization import ConductivityProperties, Diffusivity, ElasticProperties
from ..statistics import Comparison
from . import _comparison, _view
from ._document import Part, Section, Table, Text
from ._properties import properties_section
from ._subject import Subject
from .effective import AXES, scaled_unit

KINDS = (ElasticProperties, ConductivityProperties, Diffusivity)  # shown in one table


def overview_section(
    subject: Subject,
    comparison: Comparison | None,
    properties: Mapping[str, Any] | None,
    reference: str,
) -> Section:
    """Return what the page opens with: the 3D view, the worst curve, the main properties."""
    parts: list[Part] = [_view.viewer(subject)]
    if comparison is not None:
        worst = _comparison.worst_figure(comparison, subject, reference)
        parts += [] if worst is None else [worst]
    if properties is not None:
        parts += _main_properties(properties, subject)
    return Section("At a glance", tuple(parts), anchor="overview")


def _main_properties(properties: Mapping[str, Any], subject: Subject) -> list[Part]:
    """Return a table of the values along x, y, z, the first table of other results, warnings."""
    rows: list[list[Any]] = []
    boundaries: list[str] = []
    others: list[Part] = []
    for name, one in properties.items():
        parts = properties_section({name: one}, subject.phase_names).parts
        results = [
            r for r in (one if isinstance(one, list | tuple) else [one]) if isinstance(r, KINDS)
        ]
        found = _along_axes(results, subject)
        rows += [
            [f"{name}: {row[0]}" if name and len(properties) > 1 else row[0], *row[1:]]
            for row in found
        ]
        boundaries += [str(result.boundary) for result in results]
        if not results:
            others += [part for part in parts if isinstance(part, Table)][:1]
        others += [p for p in parts if isinstance(p, Text) and p.style == "warning"]
    if not rows:
        return others
    boundary = "; ".join(dict.fromkeys(boundaries))
    caption = f"Effective properties along the axes; boundary condition: {boundary}."
    return [Table(["Along", *AXES], rows, caption, ["", *[".4g"] * 3]), *others]


def _along_axes(results: Sequence[Any], subject: Subject) -> list[list[Any]]:
    """Return title and values along x, y, z of each result; none of unknown kinds."""
    rows: dict[str, list[Any]] = {}
    for result in results:
        if isinstance(result, ElasticProperties):
            scale, unit = scaled_unit(float(np.abs(result.stiffness).max()), result.unit)
            rows[f"Young's modulus ({unit})"] = [float(E) / scale for E in result.E]
        elif isinstance(result, ConductivityProperties):
            unit = f" ({result.unit})" if result.unit else ""
            rows[f"Conductivity{unit}"] = [float(value) for value in np.diag(result.tensor)]
        elif isinstance(result, Diffusivity):
            phases = "+".join(subject.phase_name(p) for p in result.phases)
            row = rows.setdefault(f"Relative diffusivity, {phases}", [None] * 3)
            row[AXES.index(result.axis)] = float(result.relative)
    return [[title, *values] for title, values in rows.items()]
