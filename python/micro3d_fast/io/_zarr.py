# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Zarr groups: .zarr, a directory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._atomic import atomic_directory
from ._format import Content, Format, metadata, pick_array, spatial_shape

if TYPE_CHECKING:
    from ..microstructure import Microstructure


def _zarr() -> Any:
    """Import zarr."""
    try:
        import zarr
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            "a .zarr volume needs the zarr package: pip install 'micro3d-fast[zarr]'"
        ) from None
    return zarr


def _write_zarr(path: Path, volume: Microstructure) -> None:
    zarr = _zarr()
    with atomic_directory(path) as temporary:
        group = zarr.open_group(str(temporary), mode="w")
        arrays = {"labels": volume.labels, **{f"fields/{n}": a for n, a in volume.fields.items()}}
        for name, array in arrays.items():
            chunks = tuple(min(n, 128) for n in array.shape)
            if hasattr(group, "create_array"):  # zarr 3
                made = group.create_array(name, shape=array.shape, dtype=array.dtype, chunks=chunks)
                made[...] = array
            else:
                group.create_dataset(name, data=array, chunks=chunks)
        group.attrs.update(metadata(volume))


def _read_zarr(path: Path, name: str | None) -> Content:
    zarr = _zarr()
    root = zarr.open(str(path), mode="r")
    if hasattr(root, "shape"):
        return Content(root[...].reshape(spatial_shape(root.shape)))
    arrays = dict(root.arrays())
    meta = dict(root.attrs)
    values = arrays[pick_array(list(arrays), name, path)][...]
    values = values.reshape(spatial_shape(values.shape))
    fields = {}
    if "fields" in root:
        fields = {n: array[...] for n, array in root["fields"].arrays()}
    return Content(values, meta, fields)


ZARR = Format(
    (".zarr",),
    _write_zarr,
    _read_zarr,
    ("voxel size", "phase names", "provenance", "fields"),
    "a directory; needs the zarr package",
    is_directory=True,
    requires=_zarr,
)
