# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""HDF5 files: .h5; of other programs, such as .dream3d, they are read."""

from __future__ import annotations

import contextlib
import io
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._atomic import atomic_write
from .._checks import refuse_content
from .._files import DEFLATE, ZSTD, require_fit, require_inflated
from .._planes import AXIS_NAMES
from ._format import (
    Content,
    Format,
    metadata_json,
    parse_metadata,
    pick_array,
    require_field_shape,
    spatial_shape,
)

if TYPE_CHECKING:
    from ..microstructure import Microstructure

_FILL_VALUE_USER = 2  # H5D_FILL_VALUE_USER_DEFINED
_MOST_TEXT = 1 << 26  # bytes of the metadata
_MOST_INFLATED = 1 << 27  # bytes; chunks that may inflate to more are looked at before


def _write_h5(path: Path, volume: Microstructure) -> None:
    import h5py

    with atomic_write(path) as temporary, _patient(temporary) as raw, h5py.File(raw, "w") as file:
        checked = {"compression": "gzip", "shuffle": True, "fletcher32": True}
        labels = file.create_dataset("labels", data=volume.labels, **checked)
        labels.attrs["voxel_size"] = volume.voxel_size
        labels.attrs["axes"] = "".join(AXIS_NAMES)
        file["phase_names"] = np.array(volume.phase_names, dtype=h5py.string_dtype())
        file["micro3d_fast"] = metadata_json(
            volume, fields=True
        )  # a dataset: attributes are limited to 64 kB
        for name, array in volume.fields.items():
            file.create_dataset(f"fields/{name}", data=array, **checked)


class _PatientFile(io.FileIO):
    """A file that goes on after a write has failed: HDF5 crashes when it closes a full disk."""

    failed: OSError | None = None

    def write(self, data: Any) -> int:
        rest = memoryview(data).cast("B")
        size = len(rest)
        try:
            while len(rest) and self.failed is None:
                rest = rest[super().write(rest) :]
        except OSError as error:
            self.failed = error
        return size


@contextlib.contextmanager
def _patient(path: Path) -> Iterator[_PatientFile]:
    """Open a file for HDF5; raise the error of its first write that failed in the end."""
    with _PatientFile(path, "w+") as file:
        try:
            yield file
        finally:
            if file.failed is not None:
                raise file.failed


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
        shape = spatial_shape(dataset.shape)
        _require_stored(dataset, path)
        meta: dict[str, Any] = {}
        words = _member(file, "micro3d_fast", path)
        if words is not None:
            meta = parse_metadata(_text(words, path), path)
        elif "voxel_size" in dataset.attrs:
            meta = {"voxel_size": np.asarray(dataset.attrs["voxel_size"]).tolist()}
        else:
            meta = _spacing(dataset, path)
        fields = {}
        group = _member(file, "fields", path)
        for key in group if isinstance(group, h5py.Group) else ():
            field = _member(group, key, path)
            if isinstance(field, h5py.Dataset):
                require_field_shape(field.shape, shape, f"{path}[{field.name!r}]")
                _require_stored(field, path)
                fields[key] = field[...]
        return Content(dataset[...].reshape(shape), meta, fields)


def _member(group: Any, key: str, path: Path) -> Any:
    """Return what a group holds under a name, None if nothing; links to other files are refused."""
    import h5py

    link = group.get(key, getlink=True)
    if isinstance(link, h5py.ExternalLink):
        raise refuse_content(path, "hold all its data itself", f"a link to {link.filename[:60]!r}")
    return None if link is None else group.get(key)


def _text(words: Any, path: Path) -> str:
    """Return the text of a dataset."""
    import h5py

    is_text = isinstance(words, h5py.Dataset) and h5py.check_string_dtype(words.dtype) is not None
    if not is_text or words.shape != () or words.dtype.itemsize > _MOST_TEXT:
        raise refuse_content(path, "hold a text as 'micro3d_fast'", str(words)[:80])
    return str(words.asstr()[()])


def _require_stored(dataset: Any, path: Path) -> None:
    """Refuse a dataset whose values are not all stored in the file, and ones that hold more.

    HDF5 reads what is not stored as its fill value; one that its writer defined is meant.
    """
    name = f"{path}[{dataset.name!r}]"
    if dataset.is_virtual or dataset.external:
        raise refuse_content(name, "hold its values itself", "those of other files")
    properties, stored = dataset.id.get_create_plist(), dataset.id.get_storage_size()
    n_filters = properties.get_nfilters()
    deflates = dataset.compression in (None, "gzip", "lzf")
    gain = 1 if n_filters == 0 else DEFLATE if deflates else ZSTD
    defined = properties.fill_value_defined() == _FILL_VALUE_USER
    if dataset.chunks is None:
        whole = stored >= dataset.nbytes
    else:
        wanted = math.prod(-(-n // c) for n, c in zip(dataset.shape, dataset.chunks, strict=True))
        whole = dataset.id.get_num_chunks() >= wanted
    if not whole and not defined:
        raise refuse_content(name, "be stored as a whole", "parts that were never written")
    chunk = math.prod(dataset.chunks or (0,)) * dataset.dtype.itemsize
    allowed = chunk if gain == 1 else 0  # chunks of the edges are stored as a whole
    require_fit(name, dataset.nbytes, stored + allowed, gain if whole else ZSTD)
    if dataset.compression == "gzip" and DEFLATE * stored > chunk + _MOST_INFLATED:
        _require_bounded(dataset, chunk, name)


def _require_bounded(dataset: Any, chunk: int, name: str) -> None:
    """Refuse a chunk that inflates to more than its values."""
    large: list[Any] = []

    def collect(info: Any) -> None:
        if DEFLATE * info.size > chunk + _MOST_INFLATED:
            large.append(info.chunk_offset)

    dataset.id.chunk_iter(collect)
    for offset in large:
        require_inflated(name, dataset.id.read_direct_chunk(offset)[1], chunk + 4096)


def _spacing(dataset: Any, path: Path) -> dict[str, Any]:
    """Return the spacing of the DREAM.3D geometry that an array belongs to, or of ImageJ's."""
    micrometres = dataset.attrs.get("element_size_um")  # z, y, x
    note = ""
    geometry = _member(dataset.parent.parent, "_SIMPL_GEOMETRY", path) or {}
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
