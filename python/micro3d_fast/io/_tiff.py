# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""TIFF stacks: as ImageJ writes them, beyond 2 GB OME BigTIFF."""

from __future__ import annotations

import html
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._atomic import atomic_write
from .._checks import refuse_content
from .._grey_images import read, without_palettes
from .._tiff_files import open_tiff
from ._format import Content, Format, changed_arrays, metadata_json, parse_metadata

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
    with open_tiff(path) as file:
        meta = _own_metadata(file, path)
        by_tifffile = file.pages[0].software == "tifffile.py"
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
    content = Content(values, meta)
    if by_tifffile or not changed_arrays(content):
        return content
    warnings.warn(  # ImageJ, for one, keeps the metadata
        f"{path} was changed by another program; its metadata are those of the volume before",
        stacklevel=5,
    )
    return Content(values, {key: value for key, value in meta.items() if key != "digests"})


def _own_metadata(file: Any, path: Path) -> dict[str, Any]:
    """Return the metadata that `_write_tif` wrote, if it did."""
    _, *described = (file.ome_metadata or "").split("<Description>")
    described = [text.partition("</Description>")[0] for text in described]
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
