# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Zarr groups: .zarr, a directory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._atomic import atomic_directory
from .._pixel_size import PixelSize, metres
from .._planes import AXIS_NAMES
from ._format import Content, Format, checked_metadata, metadata, pick_array, spatial_shape

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
        group.attrs.update(metadata(volume, fields=True))


def _read_zarr(path: Path, name: str | None = None) -> Content:
    zarr = _zarr()
    root = zarr.open(str(path), mode="r")
    if hasattr(root, "shape"):
        return Content(root[...].reshape(spatial_shape(root.shape)))
    arrays = dict(root.arrays())
    meta = checked_metadata(dict(root.attrs), path)
    image = (meta.get("ome") or meta).get("multiscales")
    if image and name is None:
        return _ome_zarr(root, image[0])
    values = arrays[pick_array(list(arrays), name, path)][...]
    values = values.reshape(spatial_shape(values.shape))
    fields = {}
    if "fields" in root:
        fields = {n: array[...] for n, array in root["fields"].arrays()}
    return Content(values, meta, fields)


def _ome_zarr(root: Any, image: Any) -> Content:
    """Return the full resolution of an OME-Zarr image and the size of its voxels."""
    full = image["datasets"][0]
    values = root[full["path"]]
    axes = [axis if isinstance(axis, dict) else {"name": axis} for axis in image.get("axes", ())]
    scale = dict.fromkeys((axis["name"] for axis in axes), 1.0)
    scaled = False
    for step in (full, image):
        for transformation in step.get("coordinateTransformations", ()):
            if transformation["type"] == "scale":
                scaled = True
                for name, factor in zip(scale, transformation["scale"], strict=True):
                    scale[name] *= factor
    sizes: dict[str, float | None] = dict.fromkeys(AXIS_NAMES)
    problem = ""
    for axis in axes if scaled else ():
        if axis["name"] in sizes:
            factor = metres(str(axis.get("unit", "pixel")))
            sizes[axis["name"]] = abs(scale[axis["name"]]) * (factor or 0.0) or None
            if not factor and (factor is None or scale[axis["name"]] != 1.0):
                problem = f"a scale of {scale[axis['name']]:.6g} {axis.get('unit', 'without unit')}"
    stated = PixelSize((sizes["z"], sizes["y"], sizes["x"]), "OME-Zarr metadata", problem)
    meta = {"pixel_size": stated} if problem or any(stated.size) else {}
    return Content(values[...].reshape(spatial_shape(values.shape)), meta)


ZARR = Format(
    (".zarr",),
    _write_zarr,
    _read_zarr,
    ("voxel size", "phase names", "provenance", "fields"),
    "a directory; needs the zarr package",
    is_directory=True,
    requires=_zarr,
    read_options=("name",),
)
