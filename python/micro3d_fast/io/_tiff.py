# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""TIFF stacks: as ImageJ writes them, beyond 2 GB OME BigTIFF."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._atomic import atomic_write
from .._checks import refuse_content
from .._grey_images import read, tifffile_log
from ._format import Content, Format, metadata_json

if TYPE_CHECKING:
    from ..microstructure import Microstructure

_IMAGEJ_LIMIT = 2_000_000_000  # bytes; ImageJ does not read larger stacks
_UNITS = {
    "m": 1.0, "mm": 1e-3, "um": 1e-6, "µm": 1e-6, "μm": 1e-6, "\\u00b5m": 1e-6, "micron": 1e-6,
    "microns": 1e-6, "micrometer": 1e-6, "nm": 1e-9, "cm": 1e-2, "inch": 0.0254,
}  # fmt: skip


def _write_tif(path: Path, volume: Microstructure) -> None:
    import tifffile

    info = metadata_json(volume)
    in_voxels = all(size == 1.0 for size in volume.voxel_size)
    unit, scale = ("pixel", 1.0) if in_voxels else ("um", 1e6)
    dz, dy, dx = (size * scale for size in volume.voxel_size)
    with atomic_write(path) as temporary:
        # tifffile drops the last axis of an ImageJ stack if its length is one
        if volume.labels.nbytes <= _IMAGEJ_LIMIT and volume.shape[2] > 1:
            tifffile.imwrite(
                temporary,
                volume.labels,
                imagej=True,
                photometric="minisblack",
                resolution=(1.0 / dx, 1.0 / dy),
                metadata={"axes": "ZYX", "spacing": dz, "unit": unit, "Info": info},
            )
        else:
            metadata: dict[str, Any] = {"axes": "ZYX", "Description": info}
            if not in_voxels:
                for axis, size in zip("ZYX", (dz, dy, dx), strict=True):
                    metadata[f"PhysicalSize{axis}"] = size
                    metadata[f"PhysicalSize{axis}Unit"] = "µm"
            tifffile.imwrite(
                temporary,
                volume.labels,
                bigtiff=True,
                ome=True,
                photometric="minisblack",
                metadata=metadata,
            )


def _read_tif(path: Path, name: str | None) -> Content:
    import tifffile

    with tifffile_log(), tifffile.TiffFile(path) as file:
        meta = _tif_meta(file)
    images = read(path)
    shapes = {image.values.shape for image in images}
    if len(shapes) > 1:
        raise refuse_content(path, "hold slices of one shape", str(sorted(shapes)))
    values = images[0].values[None] if len(images) == 1 else np.stack([i.values for i in images])
    return Content(values, meta)


def _tif_meta(file: Any) -> dict[str, Any]:
    """Return our own metadata if present, else the voxel size from ImageJ or OME metadata."""
    imagej = file.imagej_metadata or {}
    ome = file.ome_metadata or ""
    described = re.findall(r"<Description>(.*?)</Description>", ome, re.S)
    for text in (imagej.get("Info"), *map(html.unescape, described)):
        if text and '"micro3d_fast"' in text:
            return json.loads(text)
    sizes: list[Any] = [None, None, None]
    if ome:
        for i, axis in enumerate("ZYX"):
            value = re.search(rf'PhysicalSize{axis}="([^"]+)"', ome)
            unit = re.search(rf'PhysicalSize{axis}Unit="([^"]+)"', ome)
            factor = _UNITS.get(unit.group(1) if unit else "µm")
            if value and factor:
                sizes[i] = float(value.group(1)) * factor
    elif imagej:
        factor = _UNITS.get(imagej.get("unit", ""))
        page = file.pages[0]
        if factor and "XResolution" in page.tags and "YResolution" in page.tags:
            per_unit = [page.tags[f"{axis}Resolution"].value for axis in "YX"]
            if all(numerator for numerator, _ in per_unit):
                in_plane = [denominator / numerator * factor for numerator, denominator in per_unit]
                sizes = [float(imagej.get("spacing", in_plane[1] / factor)) * factor, *in_plane]
    known = [size for size in sizes if size]
    return {"voxel_size": [size or known[-1] for size in sizes]} if known else {}


TIFF = Format(
    (".tif", ".tiff"),
    _write_tif,
    _read_tif,
    ("voxel size", "phase names", "provenance"),
    "ImageJ stack (above 2 GB OME BigTIFF)",
)
