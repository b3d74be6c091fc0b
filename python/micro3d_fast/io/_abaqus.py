# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Abaqus input files: .inp, one hexahedron per voxel; written only."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .. import _checks
from .._atomic import atomic_write
from .._checks import refuse, refuse_type, shown
from .._planes import AXIS_NAMES
from ._format import Format

if TYPE_CHECKING:
    from ..microstructure import Microstructure


def _write_inp(path: Path, volume: Microstructure, omit: Sequence[int | str] = ()) -> None:
    """Write hexahedra C3D8, one per voxel, in the element set of their phase, in metres.

    Elements and nodes are numbered as voxels and corners, x fastest, from 1.  Node sets
    X_MIN ... Z_MAX are the faces of the box.  Nodes that no element uses are left out.
    """
    if isinstance(omit, str | bytes) or not isinstance(omit, Sequence):
        raise refuse_type("omit", "be a sequence of phases", shown(omit))
    names = volume.phase_names
    omitted = {_checks.phase_number(phase, name="omit", names=names) for phase in omit}
    nz, ny, nx = volume.shape
    keep = ~np.isin(volume.labels, list(omitted))
    if not keep.any():
        raise refuse("omit", "leave at least one voxel", str(sorted(omitted)))
    z, y, x = np.nonzero(keep)
    corner = 1 + x + (nx + 1) * (y + (ny + 1) * z)  # node of the voxel's low corner
    up, back = (nx + 1) * (ny + 1), nx + 1
    offsets = np.array([0, 1, back + 1, back, up, up + 1, up + back + 1, up + back])
    elements = np.flatnonzero(keep) + 1
    nodes = np.zeros((nz + 1) * (ny + 1) * (nx + 1) + 1, dtype=bool)
    for offset in offsets:
        nodes[corner + offset] = True
    numbers = np.flatnonzero(nodes)
    where = np.stack(np.unravel_index(numbers - 1, (nz + 1, ny + 1, nx + 1)))
    dz, dy, dx = volume.voxel_size
    with atomic_write(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        file.write("*Heading\n** micro3d-fast voxel mesh, coordinates in metres (1.0: voxels)\n")
        for phase, name in enumerate(volume.phase_names):
            file.write(f"** PHASE_{phase}: {' '.join(name.split())}\n")
        for chunk in _wrapped(json.dumps(volume.provenance, allow_nan=False)):
            file.write(f"** {chunk}\n")
        file.write("*Node\n")
        for part in _parts(len(numbers)):
            k, j, i = (axis[part].tolist() for axis in where)
            file.writelines(
                f"{n}, {a * dx:.9g}, {b * dy:.9g}, {c * dz:.9g}\n"
                for n, a, b, c in zip(numbers[part].tolist(), i, j, k, strict=True)
            )
        phases = volume.labels[keep]
        for phase in np.unique(phases):
            file.write(f"*Element, type=C3D8, elset=PHASE_{phase}\n")
            chosen = np.flatnonzero(phases == phase)
            for part in _parts(len(chosen)):
                rows = np.column_stack(
                    [elements[chosen[part]], corner[chosen[part], None] + offsets]
                )
                file.writelines(", ".join(map(str, row)) + "\n" for row in rows.tolist())
        for axis in (2, 1, 0):
            for end, at in (("MIN", 0), ("MAX", volume.shape[axis])):
                file.write(f"*Nset, nset={AXIS_NAMES[axis].upper()}_{end}\n")
                face = numbers[where[axis] == at].tolist()
                for start in range(0, len(face), 16):
                    file.write(", ".join(map(str, face[start : start + 16])) + "\n")


def _parts(count: int, size: int = 1 << 16) -> list[slice]:
    """Return slices of at most ``size`` items."""
    return [slice(start, start + size) for start in range(0, count, size)]


def _wrapped(text: str, width: int = 100) -> list[str]:
    """Return a text in pieces of at most ``width`` characters."""
    return ["".join(chunk) for chunk in itertools.zip_longest(*[iter(text)] * width, fillvalue="")]


INP = Format(
    (".inp",),
    _write_inp,
    None,
    ("voxel size", "phase names", "provenance"),
    "Abaqus C3D8, one element set per phase",
    write_options=("omit",),
)
