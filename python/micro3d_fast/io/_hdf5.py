# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""HDF5 files: .h5; of other programs, such as .dream3d, they are read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._atomic import atomic_write
from .._planes import AXIS_NAMES
from ._format import Content, Format, metadata_json, parse_metadata, pick_array, spatial_shape

if TYPE_CHECKING:
    from ..microstructure import Microstructure


def _write_h5(path: Path, volume: Microstructure) -> None:
    import h5py

    with atomic_write(path) as temporary, h5py.File(temporary, "w") as file:
        labels = file.create_dataset("labels", data=volume.labels, compression="gzip", shuffle=True)
        labels.attrs["voxel_size"] = volume.voxel_size
        labels.attrs["axes"] = "".join(AXIS_NAMES)
        file["phase_names"] = np.array(volume.phase_names, dtype=h5py.string_dtype())
        file["micro3d_fast"] = metadata_json(
            volume, fields=True
        )  # a dataset: attributes are limited to 64 kB
        for name, array in volume.fields.items():
            file.create_dataset(f"fields/{name}", data=array, compression="gzip", shuffle=True)


def _read_h5(path: Path, name: str | None = None) -> Content:
    import h5py

    with h5py.File(path, "r") as file:
        shapes: dict[str, tuple[int, ...]] = {}

        def collect(key: str, item: Any) -> None:
            is_array = isinstance(item, h5py.Dataset) and item.dtype.kind in "buif"
            if is_array and item.ndim >= 2 and not key.startswith("fields/"):
                shapes[key] = spatial_shape(item.shape)

        file.visititems(collect)
        names = list(shapes)
        if name is None:  # an array of voxels before those of two axes, labels before floats
            names = [n for n in names if len(shapes[n]) in (2, 3)]
            names = [n for n in names if len(shapes[n]) == 3] or names
            names = [n for n in names if file[n].dtype.kind != "f"] or names
        dataset = file[pick_array(names, name, path)]
        values = dataset[...].reshape(spatial_shape(dataset.shape))
        meta: dict[str, Any] = {}
        if "micro3d_fast" in file:
            meta = parse_metadata(file["micro3d_fast"].asstr()[()], path)
        elif "voxel_size" in dataset.attrs:
            meta = {"voxel_size": np.asarray(dataset.attrs["voxel_size"]).tolist()}
        else:
            meta = _spacing(dataset)
        fields = {n: array[...] for n, array in file.get("fields", {}).items()}
        return Content(values, meta, fields)


def _spacing(dataset: Any) -> dict[str, Any]:
    """Return the spacing of the DREAM.3D geometry that an array belongs to, or of ImageJ's."""
    micrometres = dataset.attrs.get("element_size_um")  # z, y, x
    note = ""
    geometry = dataset.parent.parent.get("_SIMPL_GEOMETRY", {})
    if "SPACING" in geometry:
        micrometres = np.asarray(geometry["SPACING"], dtype=np.float64).ravel()[::-1]
        note = "the spacing of its geometry is taken to be in micrometres, as usual in DREAM.3D"
    if micrometres is None:
        return {}
    sizes = [float(f"{size:.6g}") * 1e-6 for size in np.asarray(micrometres)]
    return {"voxel_size": sizes, "note": note}


HDF5 = Format(
    (".h5", ".hdf5"),
    _write_h5,
    _read_h5,
    ("voxel size", "phase names", "provenance", "fields"),
    "gzip",
    read_options=("name",),
)
