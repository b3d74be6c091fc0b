# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""TIFF stacks: as ImageJ writes them, beyond 2 GB OME BigTIFF."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._atomic import atomic_write
from .._checks import refuse_content
from .._grey_images import read, tifffile_log, without_palettes
from ._format import Content, Format, metadata_json, parse_metadata

if TYPE_CHECKING:
    from ..microstructure import Microstructure

_IMAGEJ_LIMIT = 2_000_000_000  # bytes; ImageJ does not read larger stacks


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


def _read_tif(path: Path) -> Content:
    import tifffile

    with tifffile_log(), tifffile.TiffFile(path) as file:
        meta = _own_metadata(file, path)
        for series in file.series:
            sizes = dict(zip(series.axes, series.shape, strict=True))
            if sizes.get("T", 1) > 1 and sizes.get("Z", 1) > 1:
                raise refuse_content(path, "hold one volume", f"{sizes['T']} of them in time")
    images = without_palettes(read(path))
    shapes = {image.values.shape for image in images}
    if len(shapes) > 1:
        raise refuse_content(path, "hold slices of one shape", str(sorted(shapes)))
    values = images[0].values[None] if len(images) == 1 else np.stack([i.values for i in images])
    if not meta and images[0].pixel_size is not None:
        meta = {"pixel_size": images[0].pixel_size}
    return Content(values, meta)


def _own_metadata(file: Any, path: Path) -> dict[str, Any]:
    """Return the metadata that `_write_tif` wrote, if it did."""
    described = re.findall(r"<Description>(.*?)</Description>", file.ome_metadata or "", re.S)
    for text in ((file.imagej_metadata or {}).get("Info"), *map(html.unescape, described)):
        if text and '"micro3d_fast"' in text:
            return parse_metadata(text, path)
    return {}


TIFF = Format(
    (".tif", ".tiff"),
    _write_tif,
    _read_tif,
    ("voxel size", "phase names", "provenance"),
    "ImageJ stack (above 2 GB OME BigTIFF)",
)
