# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""NumPy files: .npy and .npz."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._atomic import atomic_write
from .._checks import refuse_content
from .._npy_files import NpzArrays, open_npz, read_npy, write_npz
from ._format import Content, Format, metadata_json, parse_metadata, pick_array, require_field_shape

if TYPE_CHECKING:
    from ..microstructure import Microstructure


def _write_npy(path: Path, volume: Microstructure) -> None:
    with atomic_write(path) as temporary, open(temporary, "wb") as file:
        np.save(file, volume.labels, allow_pickle=False)


def _read_npy(path: Path) -> Content:
    return Content(read_npy(path))


def _write_npz(path: Path, volume: Microstructure) -> None:
    arrays: dict[str, Any] = {f"field:{name}": array for name, array in volume.fields.items()}
    arrays["labels"] = volume.labels
    arrays["micro3d_fast"] = np.array(metadata_json(volume, fields=True))
    arrays["voxel_size"] = np.array(volume.voxel_size)  # for other readers; the JSON above decides
    arrays["phase_names"] = np.array(volume.phase_names)
    write_npz(path, arrays)


def _read_npz(path: Path, name: str | None = None) -> Content:
    with open_npz(path) as archive:
        names = archive.names
        meta: dict[str, Any] = {}
        if "micro3d_fast" in names:
            words = archive.read("micro3d_fast")
            if words.shape != () or words.dtype.kind != "U":
                raise refuse_content(path, "hold a text as 'micro3d_fast'", f"dtype {words.dtype}")
            meta = parse_metadata(str(words[()]), path)
        elif "voxel_size" in names:
            meta = {"voxel_size": archive.read("voxel_size").tolist()}
        own = ("micro3d_fast", "voxel_size", "phase_names")
        volumes = [n for n in names if n not in own and not n.startswith("field:")]
        chosen = pick_array(volumes, name, path)
        shape = archive.shape(chosen)
        keys = {n.removeprefix("field:"): n for n in names if n.startswith("field:")}
        fields = {n: _read_field(archive, key, shape, path) for n, key in keys.items()}
        return Content(archive.read(chosen), meta, fields)


def _read_field(archive: NpzArrays, key: str, shape: tuple[int, ...], path: Path) -> np.ndarray:
    """Return a field, if by its header it lies on the voxels of the labels."""
    require_field_shape(archive.shape(key), shape, f"{path}[{key!r}]")
    return archive.read(key)


NPY = Format((".npy",), _write_npy, _read_npy, (), "labels only")
NPZ = Format(
    (".npz",),
    _write_npz,
    _read_npz,
    ("voxel size", "phase names", "provenance", "fields"),
    "compressed; never pickle",
    read_options=("name",),
)
