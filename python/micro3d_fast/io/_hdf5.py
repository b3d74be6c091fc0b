# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""HDF5 files: .h5."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._atomic import atomic_write
from .._planes import AXIS_NAMES
from ._format import Content, Format, metadata_json, pick_array

if TYPE_CHECKING:
    from ..microstructure import Microstructure


def _write_h5(path: Path, volume: Microstructure) -> None:
    import h5py

    with atomic_write(path) as temporary, h5py.File(temporary, "w") as file:
        labels = file.create_dataset("labels", data=volume.labels, compression="gzip", shuffle=True)
        labels.attrs["voxel_size"] = volume.voxel_size
        labels.attrs["axes"] = "".join(AXIS_NAMES)
        file["phase_names"] = np.array(volume.phase_names, dtype=h5py.string_dtype())
        file["micro3d_fast"] = metadata_json(volume)  # a dataset: attributes are limited to 64 kB
        for name, array in volume.fields.items():
            file.create_dataset(f"fields/{name}", data=array, compression="gzip", shuffle=True)


def _read_h5(path: Path, name: str | None) -> Content:
    import h5py

    with h5py.File(path, "r") as file:
        names: list[str] = []

        def collect(key: str, item: Any) -> None:
            is_image = isinstance(item, h5py.Dataset) and item.ndim in (2, 3)
            if is_image and not key.startswith("fields/"):
                names.append(key)

        file.visititems(collect)
        dataset = file[pick_array(names, name, path)]
        meta: dict[str, Any] = {}
        if "micro3d_fast" in file:
            meta = json.loads(file["micro3d_fast"].asstr()[()])
        elif "voxel_size" in dataset.attrs:
            meta = {"voxel_size": np.asarray(dataset.attrs["voxel_size"]).tolist()}
        fields = {n: array[...] for n, array in file.get("fields", {}).items()}
        return Content(dataset[...], meta, fields)


HDF5 = Format(
    (".h5", ".hdf5"),
    _write_h5,
    _read_h5,
    ("voxel size", "phase names", "provenance", "fields"),
    "gzip",
)
