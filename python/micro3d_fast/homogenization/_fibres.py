# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Phases whose axis of symmetry follows a field of directions: checks and thermal expansion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .._checks import refuse, refuse_type, to_host
from ._voigt import dyads, strain_voigt
from ._voxels import LabelledVoxels
from .local_fields import voxel_strain
from .materials import Material, TransverselyIsotropic


def checked_directions(
    directions: Any,
    voxels: LabelledVoxels,
    materials: Sequence[Material],
    bbar: bool,
    fields: bool,
) -> tuple[np.ndarray | None, np.ndarray]:
    """Return unit vectors (nz, ny, nx, 3) or None, and which labels follow them, (256,)."""
    follows = np.zeros(256, dtype=bool)
    if directions is None:
        return None, follows
    wanted = "be an array (nz, ny, nx, 3) of directions (x, y, z), one per voxel"
    array = to_host(directions, name="directions", wanted=wanted)
    if array.dtype.kind not in "iuf":
        raise refuse_type("directions", wanted, f"dtype {array.dtype}")
    if array.ndim == voxels.ndim + 1 and voxels.ndim == 2:
        array = array[None]
    if array.shape != (*voxels.labels.shape, 3):
        raise refuse("directions", wanted, f"shape {array.shape}")
    if len({round(s / voxels.voxel_size[0], 9) for s in voxels.voxel_size}) > 1:
        raise refuse("directions", "come with cubic voxels", str(voxels.voxel_size))
    if bbar:
        raise refuse("directions", "come with bbar=False", "True")
    for label, material in enumerate(materials):
        follows[label] = isinstance(material, TransverselyIsotropic)
    follows &= voxels.present
    if not follows.any():
        wanted = "come with a TransverselyIsotropic phase"
        raise refuse("directions", wanted, "none present")
    length = np.linalg.norm(array.astype(np.float64), axis=-1)
    where = follows[voxels.labels]
    if not (np.isfinite(length).all() and (length[where] > 0.0).all()):
        wanted = "be finite, and not zero in the voxels of fibres"
        raise refuse("directions", wanted, "a vector that is not")
    present = [material for label, material in enumerate(materials) if voxels.present[label]]
    if not fields and any(material.thermal_expansion.any() for material in present):
        raise refuse("fields", "be True for thermal expansion with `directions`", "False")
    unit_vectors = np.zeros(array.shape)
    np.divide(array, length[..., None], out=unit_vectors, where=where[..., None])
    return unit_vectors, follows


def fibre_thermal_work(
    voxels: LabelledVoxels,
    fibre_directions: np.ndarray,
    fibres: Mapping[int, TransverselyIsotropic],
    displacements: np.ndarray,
) -> np.ndarray:
    """Return <A^T C alpha> of the labels ``fibres``, from C alpha = a I + b n n of every voxel."""
    work = np.zeros(6)
    for label, material in fibres.items():
        stress = material.along_z @ strain_voigt(
            np.diag([material.alpha_transverse] * 2 + [material.alpha_axial])
        )
        where = voxels.labels == label
        pairs = dyads(fibre_directions[where])
        tau = stress[0] * np.r_[1, 1, 1, 0, 0, 0] + (stress[2] - stress[0]) * pairs
        work += tau.sum(axis=0) / voxels.labels.size
        for load in range(6):
            e = voxel_strain(displacements[load], voxels.voxel_size)[where]
            work[load] += np.vdot(e, tau) / voxels.labels.size
    return work
