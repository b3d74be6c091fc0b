# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Zarr groups: .zarr, a directory."""

from __future__ import annotations

import contextlib
import math
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .._atomic import atomic_directory
from .._checks import refuse, refuse_content
from .._files import DEFLATE, ZSTD, regular_size, require_fit, require_inflated
from .._pixel_size import PixelSize, metres
from .._plain_data import load_json
from .._planes import AXIS_NAMES
from .._stored import Stored, StoredLabels
from ..microstructure import Microstructure
from ._format import (
    Content,
    Format,
    checked_metadata,
    metadata,
    pick_array,
    require_field_shape,
    spatial_shape,
)

CHUNK = 128  # voxels along an axis, at most

_EVERY_CHUNK = {"write_empty_chunks": True}
_METADATA = ("zarr.json", ".zarray", ".zgroup", ".zattrs", ".zmetadata")
_DEEPEST = 16  # folders inside each other
_GZIP = (b"\x1f\x8b", b"\x78")  # of gzip and of zlib
_MOST_INFLATED = 1 << 27  # bytes; chunks that may inflate to more are looked at before


def import_zarr() -> Any:
    """Import zarr."""
    try:
        import zarr
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            "a .zarr volume needs the zarr package: pip install 'micro3d-fast[zarr]'"
        ) from None
    return zarr


def require_free(path: Path, name: str = "path") -> None:
    """Refuse a path that holds something else than a .zarr."""
    wanted = "be a zarr directory, or free"
    if path.exists() and not path.is_dir():
        raise refuse(name, wanted, f"the file {path}")
    if path.is_dir() and any(path.iterdir()) and not any((path / n).exists() for n in _METADATA):
        raise refuse(name, wanted, f"{path}, which holds other files")


def _write_zarr(path: Path, volume: Microstructure) -> None:
    zarr = import_zarr()
    require_free(path)
    with atomic_directory(path) as temporary:
        group = zarr.open_group(str(temporary), mode="w")
        arrays = {"labels": volume.labels, **{f"fields/{n}": a for n, a in volume.fields.items()}}
        for name, array in arrays.items():
            _create(group, name, array, (CHUNK,) * array.ndim)[...] = array
        group.attrs.update(metadata(volume, fields=True))


def _create(group: Any, name: str, array: np.ndarray, chunks: Sequence[int]) -> Any:
    """Create an array of the shape and type of another."""
    return group.create_array(
        name,
        shape=array.shape,
        dtype=array.dtype,
        chunks=tuple(map(min, array.shape, chunks)),
        compressors=import_zarr().codecs.ZstdCodec(checksum=True),
        config=_EVERY_CHUNK,
    )


@contextlib.contextmanager
def parted_zarr(
    path: Path,
    names: Sequence[str],
    shape: Sequence[int],
    chunks: Sequence[int],
    phase_names: Sequence[str],
    **about: Any,
) -> Iterator[Path]:
    """Yield a temporary directory of arrays of uint8, which the block fills by `write_slices`.

    At the end the metadata of a volume are added, and the directory is renamed.
    """
    require_free(path)
    with atomic_directory(path) as temporary:
        root = import_zarr().open_group(str(temporary), mode="w")
        for name in names:
            _create(root, name, np.broadcast_to(np.uint8(0), shape), chunks)
        yield temporary
        fields = dict(root["fields"].arrays()) if "fields" in root else {}
        volume = Microstructure(
            StoredLabels(root["labels"], n_phases=len(phase_names)),
            phase_names=phase_names,
            fields={name: Stored(array) for name, array in fields.items()},
            **about,
        )
        root.attrs.update(metadata(volume, fields=True))


def write_slices(path: Path, name: str, index: Any, labels: np.ndarray) -> None:
    """Write whole chunks of an array; other processes may write others at the same time."""
    zarr = import_zarr()
    with zarr.config.set({f"array.{key}": value for key, value in _EVERY_CHUNK.items()}):
        zarr.open_array(str(path / name), mode="r+")[index] = labels


def _read_zarr(path: Path, name: str | None = None) -> Content:
    return _content(path, name, _whole)


def _open_zarr(path: Path, name: str | None = None) -> Content:
    return _content(path, name, Stored)


def _content(path: Path, name: str | None, take: Callable[..., Any]) -> Content:
    """Return the content of a directory, with ``take(array, lead, axes)`` of its arrays."""
    zarr = import_zarr()
    stored = _checked_files(path)
    root = zarr.open(str(path), mode="r")
    if hasattr(root, "shape"):
        _require_values(root, stored, path)
        return Content(take(root, *_axes(root.shape)))
    arrays = dict(root.arrays())
    meta = checked_metadata(dict(root.attrs), path)
    image = (meta.get("ome") or meta).get("multiscales")
    if image and name is None:
        array, meta = _ome_zarr(root, image[0])
        _require_values(array, stored, path)
        return Content(take(array, *_axes(array.shape)), meta)
    array = arrays[pick_array(list(arrays), name, path)]
    own = name is None and "digests" in meta
    _require_values(array, stored, path, own)
    fields = {}
    if "fields" in root:
        for key, field in root["fields"].arrays():
            source = f"{path}[{f'fields/{key}'!r}]"
            require_field_shape(field.shape, spatial_shape(array.shape), source)
            _require_values(field, stored, path, own)
            fields[key] = take(field, 0, field.ndim)
    return Content(take(array, *_axes(array.shape)), meta, fields)


def _whole(array: Any, lead: int, axes: int) -> np.ndarray:
    """Return an array in memory, without axes of one element around those of the voxels."""
    return np.asarray(array[...]).reshape(array.shape[lead : lead + axes])


def _axes(shape: Sequence[int]) -> tuple[int, int]:
    """Return the axes of one element before those of the voxels, and the number of these."""
    kept = spatial_shape(shape)
    lead = next(k for k in range(len(shape)) if tuple(shape[k : k + len(kept)]) == kept)
    return lead, len(kept)


def _checked_files(path: Path) -> int:
    """Return the bytes of all files in a directory; refuse pipes, and codecs that run programs.

    Zarr has a codec for pickle, which a file may name whatever its values are.
    """
    stored, folders = 0, [(path, 0)]
    while folders:
        folder, depth = folders.pop()
        for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
            if entry.is_dir():
                if depth > _DEEPEST:
                    raise refuse_content(path, f"nest at most {_DEEPEST} folders", "more")
                folders.append((Path(entry.path), depth + 1))
                continue
            stored += regular_size(entry.path)
            if entry.name in _METADATA:
                found = load_json(Path(entry.path).read_text(encoding="utf-8"), entry.path)
                _require_no_pickle(found, path)
    return stored


def _require_no_pickle(found: Any, path: Path) -> None:
    for item in found.values() if isinstance(found, dict) else found:
        if isinstance(item, dict | list):
            _require_no_pickle(item, path)
    names = [found.get(key) for key in ("id", "name")] if isinstance(found, dict) else []
    if any(isinstance(name, str) and "pickle" in name.lower() for name in names):
        raise refuse_content(path, "be read without pickle", "a codec that needs it")


def _require_values(array: Any, stored: int, path: Path, own: bool = False) -> None:
    """Refuse an array that its file cannot hold, or of which ours lacks chunks; warn of others.

    Zarr leaves out chunks that hold the fill value alone, so that lost ones look the same; in
    files of our ``own`` every chunk is stored.
    """
    if array.dtype.kind not in "buif":
        raise refuse_content(path, "hold numbers", f"dtype {array.dtype}")
    require_fit(path, math.prod(array.shape) * array.dtype.itemsize, stored, ZSTD)
    _require_bounded(array, path)
    absent = array.nchunks - array.nchunks_initialized
    if absent and (own or array.fill_value is None):
        raise refuse_content(path, "hold all its chunks", f"{absent} of {array.nchunks} missing")
    if absent:
        warnings.warn(
            f"{path}: {absent} of {array.nchunks} chunks are not stored and are taken to hold "
            f"{array.fill_value}",
            stacklevel=7,
        )


def _require_bounded(array: Any, path: Path) -> None:
    """Refuse a stored chunk that by its header holds more than a chunk of the array."""
    chunk = getattr(array, "shards", None) or array.chunks
    most = math.prod(chunk) * array.dtype.itemsize + 4096
    for folder, _, names in os.walk(path / array.path):
        for name in names:
            file = Path(folder, name)
            with open(file, "rb") as opened:
                head = opened.read(18)
            deflated = head.startswith(_GZIP) and DEFLATE * file.stat().st_size > _MOST_INFLATED
            if deflated:
                require_inflated(file, file.read_bytes(), most)
            if _stated_size(head, file.stat().st_size) > most:
                raise refuse_content(file, f"hold at most {most} bytes", "more, by its header")


def _stated_size(head: bytes, size: int) -> int:
    """Return the bytes that a chunk holds by the header of Zstandard or Blosc, 0 without one."""
    head = head.ljust(18, b"\0")
    if head.startswith(b"\x28\xb5\x2f\xfd"):
        kind, single = head[4] >> 6, head[4] >> 5 & 1
        start = 5 + (1 - single) + (0, 1, 2, 4)[head[4] & 3]
        width = (single, 2, 4, 8)[kind]
        return int.from_bytes(head[start : start + width], "little") + 256 * (kind == 1)
    is_blosc = head[0] in (1, 2) and int.from_bytes(head[12:16], "little") == size
    return int.from_bytes(head[4:8], "little") if is_blosc else 0


def _ome_zarr(root: Any, image: Any) -> tuple[Any, dict[str, Any]]:
    """Return the array of full resolution of an OME-Zarr image, and the size of its voxels."""
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
    return values, {"pixel_size": stated} if problem or any(stated.size) else {}


ZARR = Format(
    (".zarr",),
    _write_zarr,
    _read_zarr,
    ("voxel size", "phase names", "provenance", "fields"),
    "a directory; needs the zarr package",
    is_directory=True,
    open=_open_zarr,
    requires=import_zarr,
    require_free=require_free,
    read_options=("name",),
)
