# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""NumPy files: .npy and .npz."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._atomic import atomic_write
from ._format import Content, Format, metadata_json, pick_array

if TYPE_CHECKING:
    from ..microstructure import Microstructure


def _write_npy(path: Path, volume: Microstructure) -> None:
    with atomic_write(path) as temporary, open(temporary, "wb") as file:
        np.save(file, volume.labels, allow_pickle=False)


def _read_npy(path: Path) -> Content:
    return Content(np.load(path, allow_pickle=False))


def _write_npz(path: Path, volume: Microstructure) -> None:
    arrays: dict[str, Any] = {f"field:{name}": array for name, array in volume.fields.items()}
    arrays["labels"] = volume.labels
    arrays["micro3d_fast"] = np.array(metadata_json(volume))
    arrays["voxel_size"] = np.array(volume.voxel_size)  # for other readers; the JSON above decides
    arrays["phase_names"] = np.array(volume.phase_names)
    with atomic_write(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, **arrays)


def _read_npz(path: Path, name: str | None = None) -> Content:
    with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
        names = list(archive.files)
        meta: dict[str, Any] = {}
        if "micro3d_fast" in names:
            meta = json.loads(str(archive["micro3d_fast"][()]))
        elif "voxel_size" in names:
            meta = {"voxel_size": np.asarray(archive["voxel_size"]).tolist()}
        fields = {n[6:]: archive[n] for n in names if n.startswith("field:")}
        volumes = [
            n
            for n in names
            if n not in ("micro3d_fast", "voxel_size", "phase_names") and not n.startswith("field:")
        ]
        return Content(archive[pick_array(volumes, name, path)], meta, fields)


NPY = Format((".npy",), _write_npy, _read_npy, (), "labels only")
NPZ = Format(
    (".npz",),
    _write_npz,
    _read_npz,
    ("voxel size", "phase names", "provenance", "fields"),
    "compressed; never pickle",
    read_options=("name",),
)
