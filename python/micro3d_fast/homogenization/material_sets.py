# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Materials of all phases from a YAML or JSON file, or by the name of a bundled set."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from .._checks import refuse, refuse_content, refuse_type, shown
from .._errors import ArgumentError, ArgumentTypeError
from .._files import regular_size
from .._plain_data import NUMBER, load_json, load_yaml
from .._printable import printable
from .._results import Result
from ._voigt import conductivity_tensor
from .materials import Anisotropic, Isotropic, Material, Orthotropic, TransverselyIsotropic

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
_MOST = 1 << 20  # bytes of a file


@dataclass(frozen=True, eq=False, repr=False)
class MaterialSet(Result):
    """Materials of all phases, in label order.

    :func:`micro3d_fast.homogenize_elasticity` and :func:`micro3d_fast.homogenize_conductivity` take
    a set as it is, and find the material of a phase by its name.

    Attributes
    ----------
    name, note : str
        Description of the materials, and what is doubtful about them.
    phase_names : tuple of str
        By label.
    materials : tuple of Material, or None
        For :func:`micro3d_fast.homogenize_elasticity`; None unless every phase has ``elastic``.
    conductivities : tuple of array (3, 3), or None
        For :func:`micro3d_fast.homogenize_conductivity`; None unless every phase has
        ``conductivity``.
    stress_unit, conductivity_unit : str
        For printing results.
    """

    name: str
    note: str
    phase_names: tuple[str, ...]
    materials: tuple[Material, ...] | None
    conductivities: tuple[np.ndarray, ...] | None
    stress_unit: str = "Pa"
    conductivity_unit: str = ""

    def for_phases(self, names: Sequence[str]) -> MaterialSet:
        """Return the set in the order of the phases of a volume, by their names.

        Phases without names of their own (``"phase 0"``, ...), in the set or in the volume, are in
        the order of the labels.

        Parameters
        ----------
        names : sequence of str
            Of the phases of a volume, by label.

        Raises
        ------
        ValueError
            The phases have other names than those of the set.
        """
        if names and set(names) <= set(self.phase_names):
            order = [self.phase_names.index(name) for name in names]
        else:
            for label, pair in enumerate(zip(self.phase_names, names, strict=False)):
                if pair[0] != pair[1] and f"phase {label}" not in pair:
                    wanted = f"be those of the volume's phases, {', '.join(names)}"
                    hint = "give both the same names, or the materials none in the order of labels"
                    raise refuse("materials", wanted, f"{', '.join(self.phase_names)}", hint)
            return self
        solids, tensors = self.materials, self.conductivities
        return replace(
            self,
            phase_names=tuple(names),
            materials=solids and tuple(solids[label] for label in order),
            conductivities=tensors and tuple(tensors[label] for label in order),
        )

    def __repr__(self) -> str:
        lines = [f"Materials {self.name}: {self.note}".rstrip(": ")]
        for label, phase in enumerate(self.phase_names):
            parts = []
            if self.materials is not None:
                parts.append(str(self.materials[label]))
            if self.conductivities is not None:
                parts.append(f"conductivity {np.diag(self.conductivities[label])}")
            lines.append(f"  {label} {phase}: {', '.join(parts)}")
        units = [f"stresses in {self.stress_unit}"] if self.materials is not None else []
        if self.conductivities is not None and self.conductivity_unit:
            units.append(f"conductivities in {self.conductivity_unit}")
        if units:
            lines.append(f"  {', '.join(units)}")
        return "\n".join(lines)


def material_sets() -> tuple[str, ...]:
    """Return the names of the bundled sets, for :func:`load_materials`."""
    return tuple(sorted(path.stem for path in _SETS.glob("*.yaml")))


def load_materials(source: str | os.PathLike[str]) -> MaterialSet:
    """Load the materials of all phases from a file, or a bundled set by name.

    Parameters
    ----------
    source : path or str
        A ``.yaml``, ``.yml`` or ``.json`` file, or one of :func:`material_sets`:

        ``"carbon-epoxy"``
            T300 fibre along z in BSL914C epoxy (Soden, Hinton, Kaddour 1998): realistic.
        ``"example"``
            A file with all keys to start from.
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
    ``micro3d materials`` prints a file with all keys. The phases of a volume are found by their
    names, or, where the file or the volume gives none, by the order of the labels.
    """
    if not isinstance(source, str | os.PathLike):
        raise refuse_type("source", "be a path or a name", type(source).__name__)
    if isinstance(source, str) and source in material_sets():
        path = _SETS / f"{source}.yaml"
    else:
        path = Path(source)
    if path.suffix.lower() not in (".yaml", ".yml", ".json"):
        wanted = f"be a .yaml or .json file or one of {', '.join(material_sets())}"
        raise refuse("source", wanted, repr(os.fspath(source)))
    if not path.exists() or path.is_dir():
        raise FileNotFoundError(f"`source` must be an existing file, got {str(path)!r}")
    return _material_set(_read(path), path)


def _read(path: Path) -> Any:
    size = regular_size(path)
    if size > _MOST:
        raise refuse_content(path, f"have at most {_MOST} bytes", str(size))
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        got = f"byte {error.object[error.start]:#x}"
        raise refuse_content(path, "be a text in UTF-8", got) from None
    return load_json(text, path) if path.suffix.lower() == ".json" else load_yaml(text, path)


def _material_set(data: Any, path: Path) -> MaterialSet:
    source = str(path)
    top = _mapping(data, _TOP_KEYS, source)
    phases = top.get("phases")
    if not isinstance(phases, list) or not 1 <= len(phases) <= 256:
        wanted = "be a list of 1 ... 256 mappings"
        raise refuse("phases", wanted, shown(phases)).in_source(source)
    names, elastic, conductivities = [], [], []
    for label, entry in enumerate(phases):
        where = f"{source}: phases[{label}]"
        phase = _mapping(entry, _PHASE_KEYS, where)
        names.append(_text(phase, "name", f"phase {label}", where))
        if "elastic" in phase:
            elastic.append(_elastic(phase["elastic"], f"{where}.elastic"))
        if "conductivity" in phase:
            try:
                conductivities.append(conductivity_tensor(_numbers(phase["conductivity"])))
            except (ArgumentError, ArgumentTypeError) as error:
                raise error.in_source(where) from None
    for name, values in (("elastic", elastic), ("conductivity", conductivities)):
        if values and len(values) != len(phases):
            wanted = "be given for every phase or for none"
            raise refuse(name, wanted, f"{len(values)} of {len(phases)}").in_source(source)
    if not elastic and not conductivities:
        wanted = "have `elastic` or `conductivity`"
        raise refuse("phases", wanted, "neither").in_source(source)
    return MaterialSet(
        name=_text(top, "name", path.stem, source),
        note=_text(top, "note", "", source),
        phase_names=tuple(names),
        materials=tuple(elastic) or None,
        conductivities=tuple(conductivities) or None,
        stress_unit=_text(top, "stress_unit", "Pa", source),
        conductivity_unit=_text(top, "conductivity_unit", "", source),
    )


def _text(entry: Mapping[str, Any], key: str, default: str, where: str) -> str:
    """Return a text of a mapping; a number counts as one."""
    value = entry.get(key, default)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise refuse_type(key, "be a text", shown(value)).in_source(where)
    return printable(str(value))


def _elastic(entry: Any, where: str) -> Material:
    if not isinstance(entry, Mapping):
        wanted = "be a mapping with `type`"
        raise refuse("elastic", wanted, shown(entry)).in_source(where, named=False)
    arguments = {str(key): value for key, value in entry.items()}
    kind = str(arguments.pop("type", "")).replace("_", " ").replace("-", " ").lower()
    if kind not in _TYPES:
        raise refuse("type", f"be {' or '.join(_TYPES)}", repr(kind)).in_source(where)
    material = _TYPES[kind]
    try:
        inspect.signature(material).bind(**arguments)
    except TypeError as error:
        got = str(error).removeprefix("got ")
        refusal = refuse_type("elastic", f"have the arguments of {material.__name__}", got)
        raise refusal.in_source(where, named=False) from None
    named_axis = isinstance(arguments.get("axis"), str)
    try:
        return material(
            **{k: v if k == "axis" and named_axis else _numbers(v) for k, v in arguments.items()}
        )
    except (ArgumentError, ArgumentTypeError) as error:
        raise error.in_source(where) from None


def _numbers(value: Any) -> Any:
    """Convert strings to numbers, in nested lists too."""
    if isinstance(value, str):
        return float(value) if NUMBER.fullmatch(value) else value
    if isinstance(value, Sequence):
        return [_numbers(item) for item in value]
    return value


def _mapping(value: Any, allowed: set[str], where: str) -> Mapping[str, Any]:
    """Return ``value``, a mapping with no other keys than ``allowed``."""
    if not isinstance(value, Mapping):
        got = type(value).__name__
        raise refuse("entry", "be a mapping", got).in_source(where, named=False)
    unknown = [str(key) for key in value if key not in allowed]
    if unknown:
        wanted = f"have no keys but {', '.join(sorted(allowed))}"
        got = ", ".join(key[:40] for key in unknown[:5]) + (", ..." if len(unknown) > 5 else "")
        raise refuse("entry", wanted, got).in_source(where, named=False)
    return value
