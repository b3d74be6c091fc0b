# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Materials of all phases from a YAML or JSON file, or by the name of a set that is shipped."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .materials import (
    Anisotropic,
    Isotropic,
    Material,
    Orthotropic,
    TransverselyIsotropic,
    conductivity_tensor,
)

__all__ = ["MaterialSet", "load_materials", "material_sets"]

_SETS = Path(__file__).parent / "sets"
_TYPES: dict[str, type[Material]] = {
    "isotropic": Isotropic,
    "transversely isotropic": TransverselyIsotropic,
    "orthotropic": Orthotropic,
    "anisotropic": Anisotropic,
}
_TOP_KEYS = {"name", "note", "stress_unit", "conductivity_unit", "phases"}
_PHASE_KEYS = {"name", "elastic", "conductivity"}


@dataclass(frozen=True, eq=False)
class MaterialSet:
    """Materials of all phases, in label order.

    Attributes
    ----------
    name, note : str
        What it is, and what is doubtful in it.
    phase_names : tuple of str
        By label.
    materials : tuple of Material, or None
        What :func:`micro3d_fast.homogenize_elasticity` takes; None unless every phase has
        ``elastic``.
    conductivities : tuple of array (3, 3), or None
        What :func:`micro3d_fast.homogenize_conductivity` takes; None unless every phase has
        ``conductivity``.
    stress_unit, conductivity_unit : str
        For labels of results.
    """

    name: str
    note: str
    phase_names: tuple[str, ...]
    materials: tuple[Material, ...] | None
    conductivities: tuple[np.ndarray, ...] | None
    stress_unit: str = "Pa"
    conductivity_unit: str = ""

    def __str__(self) -> str:
        lines = [f"Materials {self.name}: {self.note}".rstrip(": ")]
        for label, phase in enumerate(self.phase_names):
            parts = []
            if self.materials is not None:
                parts.append(str(self.materials[label]))
            if self.conductivities is not None:
                parts.append(f"conductivity {np.diag(self.conductivities[label])}")
            lines.append(f"  {label} {phase}: {', '.join(parts)}")
        return "\n".join(lines)


def material_sets() -> tuple[str, ...]:
    """Names of the sets that are shipped, for :func:`load_materials`."""
    return tuple(sorted(path.stem for path in _SETS.glob("*.yaml")))


def load_materials(source: str | os.PathLike[str]) -> MaterialSet:
    """Materials of all phases from a file, or a shipped set by name.

    Parameters
    ----------
    source : path or str
        A ``.yaml``, ``.yml`` or ``.json`` file, or one of :func:`material_sets`:

        ``"carbon-epoxy"``
            T300 fibre along z in BSL914C epoxy (Soden, Hinton, Kaddour 1998): realistic.
        ``"paper-table-a1"``
            Table A1 of Lee and Yun exactly as printed, the fibre's axis 1 along z. Doubtful: the
            matrix looks like a ceramic (225 GPa, ν 0.14), the fibre's α1 and α2 look swapped, and
            E2, ν23, G23 contradict transverse isotropy, 15 / (2 · 1.25) = 6.0 ≠ 5.03.
        ``"trabecular-bone"``
            Bone tissue of 18 GPa, marrow without stiffness.

    Returns
    -------
    MaterialSet

    Notes
    -----
    The file is a mapping with ``phases``, a list in label order, and optionally ``name``, ``note``,
    ``stress_unit``, ``conductivity_unit``. Every phase is a mapping with

    ``name``
        optional;
    ``elastic``
        a mapping with ``type`` (``isotropic``, ``transversely isotropic``, ``orthotropic`` or
        ``anisotropic``) and the arguments of the class of that name;
    ``conductivity``
        a number, three numbers along (x, y, z), or a symmetric 3 × 3 list.

    .. code-block:: yaml

        stress_unit: Pa
        phases:
          - name: matrix
            elastic: {type: isotropic, E: 4.0e+9, nu: 0.35, alpha: 55.0e-6}
            conductivity: 0.2
          - name: pore
            elastic: {type: isotropic, E: 0}
            conductivity: 0
    """
    if not isinstance(source, str | os.PathLike):
        raise TypeError(f"`source` must be a path or a name, got {type(source).__name__}")
    if isinstance(source, str) and source in material_sets():
        path = _SETS / f"{source}.yaml"
    else:
        path = Path(source)
    if path.suffix.lower() not in (".yaml", ".yml", ".json"):
        raise ValueError(
            f"`source` must be a .yaml or .json file or one of {', '.join(material_sets())}, "
            f"got {os.fspath(source)!r}"
        )
    if not path.is_file():
        raise FileNotFoundError(f"`source` must be an existing file, got {str(path)!r}")
    return _material_set(_read(path), path)


def _read(path: Path) -> Any:
    text = path.read_text(encoding="utf-8")
    if path.suffix.lower() == ".json":
        try:
            return json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError(f"{path}: must be JSON, but {error}") from None
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: must be YAML, but {' '.join(str(error).split())}") from None


def _material_set(data: Any, path: Path) -> MaterialSet:
    top = _mapping(data, _TOP_KEYS, f"{path}")
    phases = top.get("phases")
    if not isinstance(phases, list) or not 1 <= len(phases) <= 256:
        raise ValueError(f"{path}: `phases` must be a list of 1 ... 256 mappings, got {phases!r}")
    names, elastic, conductivities = [], [], []
    for label, entry in enumerate(phases):
        where = f"{path}: phases[{label}]"
        phase = _mapping(entry, _PHASE_KEYS, where)
        names.append(str(phase.get("name", f"phase {label}")))
        if "elastic" in phase:
            elastic.append(_elastic(phase["elastic"], f"{where}.elastic"))
        if "conductivity" in phase:
            value = _numbers(phase["conductivity"])
            try:
                conductivities.append(conductivity_tensor(value, name="conductivity"))
            except (TypeError, ValueError) as error:
                kind = TypeError if isinstance(error, TypeError) else ValueError
                raise kind(f"{where}: {error}") from None
    for what, values in (("elastic", elastic), ("conductivity", conductivities)):
        if values and len(values) != len(phases):
            raise ValueError(
                f"{path}: `{what}` must be given for every phase or for none, "
                f"got {len(values)} of {len(phases)}"
            )
    if not elastic and not conductivities:
        raise ValueError(f"{path}: `phases` must have `elastic` or `conductivity`, got neither")
    return MaterialSet(
        name=str(top.get("name", path.stem)),
        note=str(top.get("note", "")),
        phase_names=tuple(names),
        materials=tuple(elastic) or None,
        conductivities=tuple(conductivities) or None,
        stress_unit=str(top.get("stress_unit", "Pa")),
        conductivity_unit=str(top.get("conductivity_unit", "")),
    )


def _elastic(entry: Any, where: str) -> Material:
    if not isinstance(entry, Mapping):
        raise ValueError(f"{where} must be a mapping with `type`, got {entry!r}")
    arguments = {str(key): value for key, value in entry.items()}
    kind = str(arguments.pop("type", "")).replace("_", " ").replace("-", " ").lower()
    if kind not in _TYPES:
        raise ValueError(f"{where}: `type` must be {' or '.join(_TYPES)}, got {kind!r}")
    if "axis" in arguments and not isinstance(arguments["axis"], str):
        arguments["axis"] = _numbers(arguments["axis"])
    values = {k: v if k == "axis" else _numbers(v) for k, v in arguments.items()}
    try:
        return _TYPES[kind](**values)
    except TypeError as error:
        text = str(error).replace("__init__() ", "").replace(_TYPES[kind].__name__ + ".", "")
        raise TypeError(f"{where}: {text}") from None
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


def _numbers(value: Any) -> Any:
    """Numbers in strings ("4e9" is a string to YAML 1.1) as numbers, in nested lists too."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    if isinstance(value, Sequence):
        return [_numbers(item) for item in value]
    return value


def _mapping(value: Any, allowed: set[str], where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"{where} must be a mapping, got {type(value).__name__}")
    unknown = [str(key) for key in value if key not in allowed]
    if unknown:
        raise ValueError(
            f"{where} must have no keys but {', '.join(sorted(allowed))}, got {', '.join(unknown)}"
        )
    return value
