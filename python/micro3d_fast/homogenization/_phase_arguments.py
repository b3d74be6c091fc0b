# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Checks of the materials and conductivities of phases, sequences indexed by label."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .._checks import by_phase, refuse, refuse_type
from .._phases import grey_hint, listed
from ._voigt import conductivity_tensor
from ._voxels import LabelledVoxels
from .material_sets import MaterialSet
from .materials import Material

_PASCALS = 1e9  # more than solids have in MPa, psi or kPa (diamond alone has 1.2e9 kPa)


def checked_materials(materials: Any, voxels: LabelledVoxels) -> tuple[Material, ...]:
    """Return the materials by label; every label present must have one."""
    name = "materials"
    if isinstance(materials, Material):
        materials = (materials,)
    materials = _sequence(materials, name, voxels)
    for label, material in enumerate(materials):
        if not isinstance(material, Material):
            raise refuse_type(
                f"{name}[{label}]",
                "be Isotropic, TransverselyIsotropic, Orthotropic or Anisotropic",
                type(material).__name__,
            )
    _require_cover(len(materials), voxels.present, name=name)
    return tuple(materials)


def stress_unit(materials: Any, phases: Sequence[Material]) -> str:
    """Return the unit of the stresses, as far as it is known."""
    if isinstance(materials, MaterialSet):
        return materials.stress_unit
    return "Pa" if max(float(m.stiffness.max()) for m in phases) > _PASCALS else ""


def checked_conductivities(values: Any, voxels: LabelledVoxels) -> tuple[np.ndarray, ...]:
    """Return the conductivities (3, 3) by label; every label present must have one."""
    name = "conductivities"
    values = _conductivities(values, voxels)
    tensors = tuple(conductivity_tensor(k, name=f"{name}[{i}]") for i, k in enumerate(values))
    _require_cover(len(tensors), voxels.present, name=name)
    return tensors


def conductivities_by_label(values: Any, voxels: LabelledVoxels) -> dict[int, Any]:
    """Return the values of the labels present, not checked."""
    values = _conductivities(values, voxels)
    _require_cover(len(values), voxels.present, name="conductivities")
    return {label: values[label] for label in np.flatnonzero(voxels.present).tolist()}


def _conductivities(values: Any, voxels: LabelledVoxels) -> Sequence[Any]:
    values = values.tolist() if hasattr(values, "tolist") else values
    return _sequence(values, "conductivities", voxels)


def _sequence(values: Any, name: str, voxels: LabelledVoxels) -> Sequence[Any]:
    """Return one value per label, from a sequence, a set, or a mapping of labels or names."""
    if isinstance(values, MaterialSet):
        found = getattr(values.for_phases(voxels.names), name)
        if found is None:
            raise refuse(name, f"be a set that gives {name} of its phases", repr(values.name))
        return found  # type: ignore[no-any-return]
    if isinstance(values, Mapping):
        return _in_label_order(by_phase(values, name=name, names=voxels.names), name, voxels)
    if isinstance(values, str | bytes) or not isinstance(values, Sequence):
        wanted = f"be a sequence of {name} indexed by label, or a mapping of labels or names"
        hint = ""
        if isinstance(values, str | os.PathLike):
            hint = "homogenization.load_materials reads files and bundled sets"
        raise refuse_type(name, wanted, type(values).__name__, hint)
    return values


def _in_label_order(values: dict[int, Any], name: str, voxels: LabelledVoxels) -> list[Any]:
    """Return the values by label; a label that does not occur may be left out."""
    present = np.flatnonzero(voxels.present).tolist()
    missing = [label for label in present if label not in values]
    if missing:
        of_label = dict(enumerate(voxels.names))
        wanted = f"cover every phase present, {listed([of_label.get(p, p) for p in present])}"
        got = listed([of_label.get(p, p) for p in sorted(values)]) or "an empty mapping"
        raise refuse(name, wanted, got)
    unused = values[present[0]]  # of a label without voxels, where any value gives the same
    return [values.get(label, unused) for label in range(max(values) + 1)]


def _require_cover(count: int, present: np.ndarray, *, name: str) -> None:
    labels = np.flatnonzero(present)
    if labels[-1] >= count:
        wanted = f"cover every label present ({listed(labels)}), the first entry being of label 0"
        hint = grey_hint(labels).removeprefix("; ")
        if not hint and labels[0] > 0 and len(labels) <= count:
            hint = "put an entry for label 0 first, or number the labels from 0"
        raise refuse(name, wanted, f"{count} entr{'y' if count == 1 else 'ies'}", hint)
