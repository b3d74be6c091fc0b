# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Local stress and strain at the centres of voxels, by superposition of the six unit loads."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from .._checks import refuse
from .._results import Result
from ._voigt import VOIGT, transverse_constants

if TYPE_CHECKING:
    from ..microstructure import Microstructure

__all__ = ["LocalFields"]

_NAMES = ("von_mises", "stress", "strain", "displacement")


@dataclass(frozen=True, eq=False)
class LocalFields(Result):
    """Fields of an elastic problem under one mean strain, at the centres of voxels.

    Attributes
    ----------
    mean_strain, mean_stress : array (6,)
        Voigt, engineering shear; of the whole cell.
    phase_strain, phase_stress : array (P, 6)
        Means of every phase; NaN where it does not occur.
    phase_von_mises : array (P,)
        Mean of the von Mises stress of every phase.
    fields : dict of array
        Those requested: ``von_mises`` (nz, ny, nx), ``stress`` and ``strain`` (nz, ny, nx, 6),
        ``displacement`` (nz, ny, nx, 3) of the low corner of every voxel, fluctuation only, in
        units of the mean voxel spacing.
    labels : array (nz, ny, nx)
    voxel_size : (dz, dy, dx)
    """

    mean_strain: np.ndarray
    mean_stress: np.ndarray
    phase_strain: np.ndarray
    phase_stress: np.ndarray
    phase_von_mises: np.ndarray
    labels: np.ndarray
    voxel_size: tuple[float, float, float]
    fields: dict[str, np.ndarray] = field(default_factory=dict)

    def to_microstructure(self, **options: Any) -> Microstructure:
        """Return a Microstructure with these fields, to be saved as .vti."""
        from ..microstructure import Microstructure

        return Microstructure(
            self.labels, voxel_size=self.voxel_size, fields=self.fields, **options
        )

    def __repr__(self) -> str:
        lines = [f"LocalFields: {', '.join(self.fields) or 'phase averages alone'}"]
        for phase, value in enumerate(self.phase_von_mises):
            if np.isfinite(value):
                lines.append(f"  phase {phase}: mean von Mises stress {value:.6g}")
        return "\n".join(lines)


def voxel_gradient(u: np.ndarray, voxel_size: tuple[float, float, float]) -> np.ndarray:
    """Return du_i / dx_j at the centres, (..., i, j), x first, of nodal values (components, ...).

    Spacings are relative to their geometric mean.
    """
    h = np.array(voxel_size) / np.prod(voxel_size) ** (1 / 3)
    out = np.empty((*u.shape[1:], u.shape[0], 3))
    for i, component in enumerate(u.astype(np.float64)):
        for j in range(3):
            axis = 2 - j
            d = (np.roll(component, -1, axis) - component) / h[axis]
            for other in range(3):
                if other != axis:
                    d = (d + np.roll(d, -1, other)) / 2.0
            out[..., i, j] = d
    return out


def voxel_strain(u: np.ndarray, voxel_size: tuple[float, float, float]) -> np.ndarray:
    """Return the Voigt strain at the centres, (nz, ny, nx, 6), engineering shear."""
    g = voxel_gradient(u, voxel_size)
    return np.stack([g[..., i, j] + (g[..., j, i] if i != j else 0.0) for i, j in VOIGT], axis=-1)


def von_mises(stress: np.ndarray) -> np.ndarray:
    """Return the von Mises stress of Voigt stresses (..., 6)."""
    s = stress
    normal = (
        (s[..., 0] - s[..., 1]) ** 2 + (s[..., 1] - s[..., 2]) ** 2 + (s[..., 2] - s[..., 0]) ** 2
    )
    return np.sqrt(0.5 * normal + 3.0 * (s[..., 3] ** 2 + s[..., 4] ** 2 + s[..., 5] ** 2))


@dataclass(frozen=True, eq=False)
class UnitDisplacements:
    """The displacements of the six unit strains, and what the stresses depend on."""

    displacements: np.ndarray  # (6, 3, nz, ny, nx)
    phase_codes: np.ndarray
    labels_of_code: np.ndarray
    stiffness: np.ndarray  # of every code
    n_phases: int
    voxel_size: tuple[float, float, float]
    fibre_directions: np.ndarray | None
    fibre_phases: np.ndarray  # codes whose axis follows them


def local_elastic_fields(
    mean: np.ndarray, names: tuple[str, ...], unit: UnitDisplacements
) -> LocalFields:
    """Return the fields under the mean strain ``mean``, by superposition."""
    for name in names:
        if name not in _NAMES:
            raise refuse("names", f"be from {', '.join(_NAMES)}", repr(name))
    phase_codes, directions = unit.phase_codes, unit.fibre_directions
    u = np.einsum("l,l...->...", mean, unit.displacements)
    strain = voxel_strain(u, unit.voxel_size) + mean
    stress = np.einsum("...ij,...j->...i", unit.stiffness[phase_codes], strain)
    if directions is not None:
        for fibre in np.flatnonzero(unit.fibre_phases):
            where = phase_codes == fibre
            stress[where] = _turned_stress(unit.stiffness[fibre], directions[where], strain[where])
    equivalent = von_mises(stress)

    phase_strain, phase_stress = np.full((2, unit.n_phases, 6), np.nan)
    phase_von_mises = np.full(unit.n_phases, np.nan)
    for code, label in enumerate(unit.labels_of_code):
        where = phase_codes == code
        phase_strain[label] = strain[where].mean(axis=0)
        phase_stress[label] = stress[where].mean(axis=0)
        phase_von_mises[label] = equivalent[where].mean()
    fields = {
        "von_mises": equivalent,
        "stress": stress,
        "strain": strain,
        "displacement": np.moveaxis(u, 0, -1),
    }
    return LocalFields(
        mean_strain=mean,
        mean_stress=stress.reshape(-1, 6).mean(axis=0),
        phase_strain=phase_strain,
        phase_stress=phase_stress,
        phase_von_mises=phase_von_mises,
        labels=unit.labels_of_code.astype(np.uint8)[phase_codes],
        voxel_size=unit.voxel_size,
        fields={name: np.ascontiguousarray(fields[name], dtype=np.float32) for name in names},
    )


def _turned_stress(along_z: np.ndarray, n: np.ndarray, strain: np.ndarray) -> np.ndarray:
    """Return the stress of a transversely isotropic phase with the axis n of every voxel."""
    lam, mu, a, shear, b = transverse_constants(along_z)
    e = np.empty((len(n), 3, 3))
    for q, (i, j) in enumerate(VOIGT):
        e[:, i, j] = e[:, j, i] = strain[:, q] * (1.0 if i == j else 0.5)
    en = np.einsum("vij,vj->vi", e, n)
    nen = np.einsum("vi,vi->v", n, en)
    trace = np.trace(e, axis1=1, axis2=2)
    s = 2 * mu * e + (lam * trace + a * nen)[:, None, None] * np.eye(3)
    s += (a * trace + b * nen)[:, None, None] * n[:, :, None] * n[:, None, :]
    s += 2 * shear * (n[:, :, None] * en[:, None, :] + en[:, :, None] * n[:, None, :])
    return np.stack([s[:, i, j] for i, j in VOIGT], axis=-1)
