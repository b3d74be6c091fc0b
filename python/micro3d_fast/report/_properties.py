# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The section of effective properties, and tables of any other result."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..homogenization import (
    ConductivityProperties,
    Diffusivity,
    ElasticProperties,
    MaterialSet,
    PropertyScatter,
)
from . import effective
from ._document import Part, Section, Table, Text


def by_name(properties: Any) -> Mapping[str, Any]:
    """Return results by name; a single one has none."""
    several = isinstance(properties, Mapping) and not isinstance(properties, PropertyScatter)
    return {str(name): one for name, one in properties.items()} if several else {"": properties}


def properties_section(properties: Mapping[str, Any], phase_names: Sequence[str]) -> Section:
    """Return effective properties: tensors with their bounds, and whatever else is given."""
    parts = [
        part for name, one in properties.items() for part in _property_parts(name, one, phase_names)
    ]
    return Section("Effective properties", tuple(parts), anchor="properties")


def _property_parts(name: str, result: Any, phase_names: Sequence[str]) -> Sequence[Part]:
    if isinstance(result, Section):
        return result.parts
    if isinstance(result, ElasticProperties):
        return effective.elastic_parts(result, name=name)
    if isinstance(result, ConductivityProperties):
        return effective.conductivity_parts(result, name=name)
    if isinstance(result, PropertyScatter):
        return effective.scatter_parts(result, name)
    along_axes = result if isinstance(result, list | tuple) else [result]
    if all(isinstance(one, Diffusivity) for one in along_axes):
        return effective.diffusivity_parts(along_axes, phase_names, name)
    return [result] if isinstance(result, Part) else result_parts(name, result)


def section_of(title: str, content: Any) -> Section:
    """Return a section of parts, text, and any other results as tables."""
    if isinstance(content, Section):
        return content
    parts: list[Part] = []
    for item in content if isinstance(content, list | tuple) else [content]:
        if isinstance(item, Part):
            parts.append(item)
        elif isinstance(item, str):
            parts.append(Text(item))
        elif isinstance(item, MaterialSet):
            parts += effective.materials_parts(item)
        else:
            parts += result_parts(title, item)
    return Section(title, tuple(parts))


def result_parts(name: str, result: Any) -> list[Part]:
    """Return a result object, a mapping or a number as tables."""
    scalars: list[list[Any]] = []
    matrices: list[Part] = []
    for field, value in _fields_of(name, result).items():
        title = field.replace("_", " ")
        array = np.asarray(value) if isinstance(value, np.ndarray | list | tuple) else None
        if array is not None and array.dtype.kind in "iuf" and array.ndim == 2 and array.size <= 64:
            index = range(1, array.shape[1] + 1)
            matrices.append(
                Table(
                    ["", *map(str, index)],
                    [[str(i + 1), *map(float, row)] for i, row in enumerate(array)],
                    f"{name + ': ' if name else ''}{title}.",
                    ["", *[".5g"] * array.shape[1]],
                )
            )
        elif array is not None and array.size > 16:
            continue  # fields and histories are data, not properties
        elif value is not None:
            scalars.append([title, value.item() if isinstance(value, np.generic) else value])
    first = [Table(["Property", "Value"], scalars, f"{name or 'Properties'}.")] if scalars else []
    return [*first, *matrices]


def _fields_of(name: str, result: Any) -> dict[str, Any]:
    if dataclasses.is_dataclass(result) and not isinstance(result, type):
        return {f.name: getattr(result, f.name) for f in dataclasses.fields(result)}
    if isinstance(result, Mapping):
        return {str(key): value for key, value in result.items()}
    return {name or "value": result}
