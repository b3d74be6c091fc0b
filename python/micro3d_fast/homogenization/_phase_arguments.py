# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Checks of the materials and conductivities of phases, sequences indexed by label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .._checks import refuse, refuse_type
from .._phases import grey_hint, listed
from ._voigt import symmetric_tensor
from .materials import Material


def checked_materials(
    materials: Any, present: np.ndarray, *, name: str = "materials"
) -> tuple[Material, ...]:
    """Return the materials by label; every label present must have one."""
    if isinstance(materials, Material):
        materials = (materials,)
    materials = _sequence(materials, name, "materials")
    for label, material in enumerate(materials):
        if not isinstance(material, Material):
            raise refuse_type(
                f"{name}[{label}]",
                "be Isotropic, TransverselyIsotropic, Orthotropic or Anisotropic",
                type(material).__name__,
            )
    _require_cover(len(materials), present, name=name)
    return tuple(materials)


def checked_conductivities(
    values: Any, present: np.ndarray, *, name: str = "conductivities"
) -> tuple[np.ndarray, ...]:
    """Return the conductivities (3, 3) by label; every label present must have one."""
    if hasattr(values, "tolist"):
        values = values.tolist()
    values = _sequence(values, name, "conductivities")
    tensors = tuple(conductivity_tensor(k, name=f"{name}[{i}]") for i, k in enumerate(values))
    _require_cover(len(tensors), present, name=name)
    return tensors


def conductivity_tensor(value: Any, *, name: str = "conductivity") -> np.ndarray:
    """Return the symmetric conductivity (3, 3) of a number, three numbers (x, y, z) or a tensor."""
    wanted = (
        "be a number >= 0, three numbers (x, y, z) or a symmetric positive definite (3, 3) tensor"
    )
    k = symmetric_tensor(value, name, wanted)
    if k.any() and np.linalg.eigvalsh(k).min() <= 0.0:
        raise refuse(name, wanted, str(np.array(value).tolist()))
    return k


def _sequence(values: Any, name: str, what: str) -> Sequence[Any]:
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Sequence):
        wanted = f"be a sequence of {what} indexed by label"
        raise refuse_type(name, wanted, type(values).__name__)
    return values


def _require_cover(count: int, present: np.ndarray, *, name: str) -> None:
    labels = np.flatnonzero(present)
    if labels[-1] >= count:
        wanted = f"cover every label present ({listed(labels)}), the first entry being of label 0"
        hint = grey_hint(labels).removeprefix("; ")
        if not hint and labels[0] > 0 and len(labels) <= count:
            hint = "put an entry for label 0 first, or number the labels from 0"
        raise refuse(name, wanted, f"{count} entr{'y' if count == 1 else 'ies'}", hint)
