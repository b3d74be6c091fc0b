# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Volumes to and from files; the format follows from the suffix.

======== ==== ===== ========== =========== ========== ====== =====================================
suffix   read write voxel size phase names provenance fields notes
======== ==== ===== ========== =========== ========== ====== =====================================
.npy     yes  yes                                            labels only
.npz     yes  yes   yes        yes         yes        yes    compressed; never pickle
.tif     yes  yes   yes        yes         yes               ImageJ stack (above 2 GB OME BigTIFF)
.vti     yes  yes   yes        yes         yes        yes    VTK ImageData, cell data, zlib [1]_
.h5      yes  yes   yes        yes         yes        yes    gzip; also .hdf5
.zarr    yes  yes   yes        yes         yes        yes    a directory; needs the zarr package
.raw     yes  yes   yes        yes         yes               bytes, x fastest; words in .raw.json
.inp          yes   yes        yes         yes               Abaqus C3D8, one element set a phase
======== ==== ===== ========== =========== ========== ====== =====================================

.. [1] VTK has no bool and no float16: such fields come back as uint8 and float32.

Array order is ``[z, y, x]`` in all of them, x fastest.  Metres everywhere, except that TIFF also
says micrometres to ImageJ and OME readers.  Files of other programs are read where they hold one
labelled volume: a voxel size is taken from ImageJ, OME and VTK metadata, and is 1.0 ("in voxels")
where there is none.  Every file appears under its name whole or not at all (``_atomic``).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import html
import itertools
import json
import lzma
import os
import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.sax.saxutils import quoteattr

import numpy as np

from micro3d_fast._atomic import atomic_directory, atomic_write, restore_directory
from micro3d_fast._errors import ArgumentError, ArgumentTypeError
from micro3d_fast.microstructure import Microstructure, phase_names_for

from . import _checks
from ._grey_images import GreyImage, read, tifffile_log
from ._phase_rules import label_images

_VERSION = 1


class _Refused(ValueError):
    """The content was understood, and is not a volume; the message is complete."""


# ---------------------------------------------------------------------------------- the two doors


def save(path: str | os.PathLike[str], microstructure: Any, **options: Any) -> Path:
    """Write a volume to a file in the format of its suffix, atomically.

    Parameters
    ----------
    path : path
        Ending in .npy, .npz, .tif, .tiff, .vti, .h5, .hdf5, .zarr, .raw or .inp; an existing file
        is replaced.  The table at the head of this module says what each format carries.
    microstructure : Microstructure or array of labels
        The volume.
    omit : sequence of int
        For .inp only: phases that get no elements, such as the pores.

    Returns
    -------
    pathlib.Path
        The path written.
    """
    path = _checks.path(path)
    if not isinstance(microstructure, Microstructure):
        microstructure = Microstructure(microstructure)
    suffix = _suffix(path, _WRITERS)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"`path` must lie in an existing directory, got {path}")
    if path.is_dir() and suffix != ".zarr":
        raise ValueError(f"`path` must be a file, got the directory {path}")
    known = {"omit"} if suffix == ".inp" else set()
    for option in set(options) - known:
        raise TypeError(f"`{option}` is not an option of {suffix} files")
    _WRITERS[suffix](path, microstructure, **options)
    return path


def load(
    path: str | os.PathLike[str],
    *,
    voxel_size: Any = None,
    phase_names: Sequence[str] | None = None,
    phases: Mapping[Any, int] | None = None,
    shape: Any = None,
    name: str | None = None,
) -> Microstructure:
    """Read a volume from a file in the format of its suffix.

    Parameters
    ----------
    path : path
        Ending in .npy, .npz, .tif, .tiff, .vti, .h5, .hdf5, .zarr or .raw.
    voxel_size : float or (dz, dy, dx), optional
        In metres, instead of what the file says.
    phase_names : sequence of str, optional
        Instead of what the file says.
    phases : dict, optional
        Value in the file to phase, such as ``{0: 0, 255: 1}``; without it the values are phases.
    shape : (nz, ny, nx), optional
        Of a .raw file without its .raw.json.
    name : str, optional
        Which array of a .npz, .vti, .h5 or .zarr that holds several; default ``"labels"``, or the
        only one.

    Returns
    -------
    Microstructure
    """
    path = _checks.path(path)
    suffix = _suffix(path, _READERS)
    if suffix == ".zarr":
        restore_directory(path)
    if not path.exists():
        raise FileNotFoundError(f"`path` must be an existing file, got {path}")
    if path.is_dir() and suffix != ".zarr":
        raise ValueError(f"`path` must be a file, got the directory {path}")
    if shape is not None and suffix != ".raw":
        raise ValueError(f"`shape` must be None for {suffix} files, which know theirs, got {shape}")
    options: dict[str, Any]
    if suffix == ".raw":
        options = {"shape": None if shape is None else _checks.shape3(shape, name="shape")}
    else:
        options = {"name": None if name is None else str(name)}
    try:
        values, meta, fields = _READERS[suffix](path, **options)
    except _Refused as error:
        raise ValueError(str(error)) from None
    except (ModuleNotFoundError, PermissionError, MemoryError):
        raise
    except Exception as error:
        words = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"{path} cannot be read as {suffix}: {words}") from error
    return _made(path, values, meta, fields, voxel_size, phase_names, phases)


def _made(
    path: Path,
    values: np.ndarray,
    meta: Mapping[str, Any],
    fields: Mapping[str, np.ndarray],
    voxel_size: Any,
    phase_names: Any,
    phases: Any,
) -> Microstructure:
    if values.ndim == 2:
        values = values[None]
    if values.ndim != 3 or values.size == 0:
        raise ValueError(f"{path} must hold a volume (nz, ny, nx), got shape {values.shape}")
    if phases is not None:
        images, count = label_images({"": [GreyImage(values, str(path))]}, phases, None, None)
        values = images[""][0]
        known = tuple(meta.get("phase_names") or ())
        meta = {**meta, "phase_names": known if len(known) == count else None}
    try:
        labels = _checks.as_labels(values, ndim=3)
    except (ArgumentError, ArgumentTypeError) as error:
        raise error.in_source(str(path), named=False) from None
    size = meta.get("voxel_size") if voxel_size is None else voxel_size
    names = meta.get("phase_names") if phase_names is None else phase_names
    for array in (labels, *fields.values()):
        _freeze(array)
    return Microstructure(
        labels=labels,
        voxel_size=1.0 if size is None else size,
        phase_names=phase_names_for(int(labels.max()) + 1, names),
        provenance=meta.get("provenance") or {},
        fields=dict(fields),
    )


def _meta(m: Microstructure) -> dict[str, Any]:
    return {
        "micro3d_fast": _VERSION,
        "voxel_size": list(m.voxel_size),
        "phase_names": list(m.phase_names),
        "provenance": m.provenance,
    }


def _suffix(path: Path, known: Mapping[str, Any]) -> str:
    suffix = path.suffix.lower()
    if suffix not in known:
        raise ValueError(f"`path` must end in one of {', '.join(known)}, got {str(path)!r}")
    return suffix


def _freeze(array: np.ndarray) -> None:
    """Nobody else holds an array just read: make it read-only, so that it is not copied."""
    owner: Any = array
    while isinstance(owner, np.ndarray):
        owner.flags.writeable = False
        owner = owner.base


def _pick(names: Sequence[str], name: str | None, path: Path) -> str:
    """The array asked for, ``labels``, or the only one."""
    wanted = name or ("labels" if "labels" in names or len(names) != 1 else names[0])
    if wanted not in names:
        has = ", ".join(map(repr, names)) or "none"
        if name is None:
            raise _Refused(
                f"{path} must hold one array or one named 'labels', got {has} and no `name` of one"
            )
        raise _Refused(f"`name` must be one of the arrays of {path} ({has}), got {wanted!r}")
    return wanted


# ----------------------------------------------------------------------------------- numpy: .npy


def _write_npy(path: Path, m: Microstructure) -> None:
    with atomic_write(path) as temporary, open(temporary, "wb") as file:
        np.save(file, m.labels, allow_pickle=False)


def _read_npy(path: Path, name: str | None) -> Any:
    return np.load(path, allow_pickle=False), {}, {}


# ----------------------------------------------------------------------------------- numpy: .npz


def _write_npz(path: Path, m: Microstructure) -> None:
    arrays: dict[str, Any] = {f"field:{name}": array for name, array in m.fields.items()}
    arrays["labels"] = m.labels
    arrays["micro3d_fast"] = np.array(json.dumps(_meta(m), allow_nan=False))
    arrays["voxel_size"] = np.array(m.voxel_size)  # for other readers; the words above decide
    arrays["phase_names"] = np.array(m.phase_names)
    with atomic_write(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, **arrays)


def _read_npz(path: Path, name: str | None) -> Any:
    with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
        names = list(archive.files)
        meta: dict[str, Any] = {}
        if "micro3d_fast" in names:
            meta = json.loads(str(archive["micro3d_fast"][()]))
        elif "voxel_size" in names:
            meta = {"voxel_size": np.asarray(archive["voxel_size"]).tolist()}
        fields = {n[6:]: archive[n] for n in names if n.startswith("field:")}
        volumes = [
            n
            for n in names
            if n not in ("micro3d_fast", "voxel_size", "phase_names") and not n.startswith("field:")
        ]
        return archive[_pick(volumes, name, path)], meta, fields


# ----------------------------------------------------------------------------------- TIFF: .tif

_IMAGEJ_LIMIT = 2_000_000_000  # bytes; beyond, ImageJ's own format does not reach
_UNITS = {
    "m": 1.0, "mm": 1e-3, "um": 1e-6, "µm": 1e-6, "μm": 1e-6, "\\u00b5m": 1e-6, "micron": 1e-6,
    "microns": 1e-6, "micrometer": 1e-6, "nm": 1e-9, "cm": 1e-2, "inch": 0.0254,
}  # fmt: skip


def _write_tif(path: Path, m: Microstructure) -> None:
    import tifffile

    words = json.dumps(_meta(m), allow_nan=False)
    in_voxels = all(size == 1.0 for size in m.voxel_size)
    unit, scale = ("pixel", 1.0) if in_voxels else ("um", 1e6)
    dz, dy, dx = (size * scale for size in m.voxel_size)
    with atomic_write(path) as temporary:
        if m.labels.nbytes <= _IMAGEJ_LIMIT and m.shape[2] > 1:  # ImageJ folds columns of one
            tifffile.imwrite(
                temporary,
                m.labels,
                imagej=True,
                photometric="minisblack",
                resolution=(1.0 / dx, 1.0 / dy),
                metadata={"axes": "ZYX", "spacing": dz, "unit": unit, "Info": words},
            )
        else:
            metadata: dict[str, Any] = {"axes": "ZYX", "Description": words}
            if not in_voxels:
                for axis, size in zip("ZYX", (dz, dy, dx), strict=True):
                    metadata[f"PhysicalSize{axis}"] = size
                    metadata[f"PhysicalSize{axis}Unit"] = "µm"
            tifffile.imwrite(
                temporary,
                m.labels,
                bigtiff=True,
                ome=True,
                photometric="minisblack",
                metadata=metadata,
            )


def _read_tif(path: Path, name: str | None) -> Any:
    import tifffile

    with tifffile_log(), tifffile.TiffFile(path) as file:
        meta = _tif_meta(file)
    try:
        images = read(path)
    except ValueError as error:
        raise _Refused(str(error)) from error
    shapes = {image.values.shape for image in images}
    if len(shapes) > 1:
        raise _Refused(f"{path} must hold slices of one shape, got {sorted(shapes)}")
    values = images[0].values[None] if len(images) == 1 else np.stack([i.values for i in images])
    return values, meta, {}


def _tif_meta(file: Any) -> dict[str, Any]:
    """Our own words where they are, else the voxel size in ImageJ or OME terms."""
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


# ------------------------------------------------------------------------------------ VTK: .vti

_VTK_TYPES = {
    "Int8": "i1", "UInt8": "u1", "Int16": "i2", "UInt16": "u2", "Int32": "i4", "UInt32": "u4",
    "Int64": "i8", "UInt64": "u8", "Float32": "f4", "Float64": "f8",
}  # fmt: skip
_VTK_BLOCK = 1 << 20


def _write_vti(path: Path, m: Microstructure) -> None:
    nz, ny, nx = m.shape
    dz, dy, dx = m.voxel_size
    extent = f"0 {nx} 0 {ny} 0 {nz}"
    with atomic_write(path) as temporary, open(temporary, "wb") as file:
        file.write(
            '<?xml version="1.0"?>\n'
            '<VTKFile type="ImageData" version="1.0" byte_order="LittleEndian" '
            'header_type="UInt64" compressor="vtkZLibDataCompressor">\n'
            f'<ImageData WholeExtent="{extent}" Origin="0 0 0" Spacing="{dx!r} {dy!r} {dz!r}">\n'
            "<FieldData>\n".encode()
        )
        _write_vtk_strings(file, "phase_names", m.phase_names)
        _write_vtk_strings(file, "micro3d_fast", [json.dumps(_meta(m), allow_nan=False)])
        file.write(f'</FieldData>\n<Piece Extent="{extent}">\n<PointData/>\n'.encode())
        file.write(b'<CellData Scalars="labels">\n')
        _write_vtk_array(file, "labels", m.labels)
        for name, array in m.fields.items():
            _write_vtk_array(file, name, array)
        file.write(b"</CellData>\n</Piece>\n</ImageData>\n</VTKFile>\n")


def _write_vtk_strings(file: Any, name: str, texts: Sequence[str]) -> None:
    """VTK's way with strings: the codes of their UTF-8 bytes, each string ended by a zero."""
    codes = b"\0".join(text.encode() for text in texts) + b"\0"
    head = f'<DataArray type="String" Name="{name}" NumberOfTuples="{len(texts)}" format="ascii">\n'
    file.write(head.encode() + " ".join(map(str, codes)).encode() + b"\n</DataArray>\n")


def _write_vtk_array(file: Any, name: str, array: np.ndarray) -> None:
    data = array.view(np.uint8) if array.dtype == np.bool_ else array
    if data.dtype == np.float16:
        data = data.astype(np.float32)
    data = np.ascontiguousarray(data, dtype=data.dtype.newbyteorder("<"))
    kind = {code: kind for kind, code in _VTK_TYPES.items()}[data.dtype.str[1:]]
    components = f' NumberOfComponents="{data.shape[3]}"' if data.ndim == 4 else ""
    flat = data.reshape(-1).view(np.uint8)
    starts = range(0, flat.size, _VTK_BLOCK)
    blocks = [zlib.compress(flat[i : i + _VTK_BLOCK], 6) for i in starts]
    header = [len(blocks), _VTK_BLOCK, flat.size % _VTK_BLOCK, *map(len, blocks)]
    file.write(
        f'<DataArray type="{kind}" Name={quoteattr(name)}{components} format="binary">\n'.encode()
    )
    file.write(base64.b64encode(np.array(header, dtype="<u8").tobytes()))
    file.write(base64.b64encode(b"".join(blocks)))
    file.write(b"\n</DataArray>\n")


def _read_vti(path: Path, name: str | None) -> Any:
    content = path.read_bytes()
    appended, start = b"", content.find(b"<AppendedData")
    raw = False
    if start >= 0:
        opening = content.index(b">", start) + 1
        raw = b'"raw"' in content[start:opening]
        appended = content[content.index(b"_", opening) + 1 : content.rindex(b"</AppendedData>")]
        content = content[:start] + b"</VTKFile>"
    root = ElementTree.fromstring(content)
    image = root.find("ImageData")
    if image is None:
        raise _Refused(f"{path} must hold VTK ImageData, got {root.get('type')}")
    direction = [float(v) for v in image.get("Direction", "1 0 0 0 1 0 0 0 1").split()]
    if direction != [1, 0, 0, 0, 1, 0, 0, 0, 1]:
        raise _Refused(f"{path} must be aligned with the axes, got Direction {direction}")
    decode = _VtkDecoder(root, appended, raw)
    meta: dict[str, Any] = {
        "voxel_size": [float(v) for v in image.get("Spacing", "1 1 1").split()][::-1]
    }
    for array in image.findall("FieldData/*"):
        if array.get("Name") == "micro3d_fast" and array.get("type") == "String":
            codes = bytes(int(code) for code in (array.text or "").split())
            meta = json.loads(codes.rstrip(b"\0").decode())
    whole = _extent(image.get("WholeExtent", ""))
    pieces = image.findall("Piece")
    on = (
        "CellData"
        if any(len(piece.findall("CellData/DataArray")) for piece in pieces)
        else ("PointData")
    )
    first = pieces[0].find(on) if pieces else None
    if first is None or not len(first):
        raise _Refused(f"{path} must hold a cell or point array, got none")
    names = [array.get("Name", "") for array in first]
    scalars = first.get("Scalars")
    if name is None and "labels" not in names and scalars in names:
        name = scalars
    chosen = _pick(names, name, path)
    arrays = {}
    kept = names if "micro3d_fast" in meta else [chosen]
    for array_name in kept:
        arrays[array_name] = _vti_array(decode, pieces, whole, on, array_name)
    values = arrays.pop(chosen)
    return values, meta, arrays


def _vti_array(
    decode: _VtkDecoder, pieces: list[Any], whole: list[int], on: str, name: str
) -> np.ndarray:
    """One array of all pieces, placed in the whole extent, as (nz, ny, nx[, k])."""
    points = int(on == "PointData")
    size = [whole[2 * i + 1] - whole[2 * i] + points for i in (2, 1, 0)]
    out = None
    for piece in pieces:
        extent = _extent(piece.get("Extent", ""))
        part = [extent[2 * i + 1] - extent[2 * i] + points for i in (2, 1, 0)]
        element = next(a for a in piece.findall(f"{on}/*") if a.get("Name") == name)
        components = int(element.get("NumberOfComponents", "1"))
        block = decode(element).reshape(*part, *([components] if components > 1 else []))
        if len(pieces) == 1 and part == size:
            return block
        if out is None:
            out = np.zeros((*size, *block.shape[3:]), dtype=block.dtype)
        corner = [extent[2 * i] - whole[2 * i] for i in (2, 1, 0)]
        out[tuple(slice(c, c + n) for c, n in zip(corner, part, strict=True))] = block
    assert out is not None
    return out


def _extent(text: str) -> list[int]:
    extent = [int(value) for value in text.split()]
    if len(extent) != 6:
        raise ValueError(f"an extent has six numbers, got {text!r}")
    return extent


class _VtkDecoder:
    """DataArray elements of a file to flat arrays: ascii, base64, appended; zlib, lzma, plain."""

    def __init__(self, root: Any, appended: bytes, raw: bool) -> None:
        self.order = ">" if root.get("byte_order") == "BigEndian" else "<"
        self.header = np.dtype(self.order + _VTK_TYPES[root.get("header_type", "UInt32")])
        compressor = root.get("compressor")
        known: dict[str | None, Callable[[Any], bytes] | None] = {
            None: None,
            "vtkZLibDataCompressor": zlib.decompress,
            "vtkLZMADataCompressor": lzma.decompress,
        }
        if compressor not in known:
            raise ValueError(f"compressor {compressor} is not supported, zlib, lzma and none are")
        self.decompress = known[compressor]
        self.appended, self.raw = appended, raw

    def __call__(self, element: Any) -> np.ndarray:
        kind = element.get("type", "")
        if kind not in _VTK_TYPES:
            raise ValueError(f"array {element.get('Name')!r} has type {kind!r}, not a number")
        dtype = np.dtype(self.order + _VTK_TYPES[kind])
        form = element.get("format", "ascii")
        if form == "ascii":
            words = (element.text or "").split()
            return np.array(words, dtype=np.float64 if dtype.kind == "f" else np.int64).astype(
                dtype.newbyteorder("=")
            )
        if form == "binary":
            data, raw = (element.text or "").strip().encode(), False
        else:
            data, raw = self.appended[int(element.get("offset", "0")) :], self.raw
        take = _RawBytes(data) if raw else _Base64Bytes(data)
        array = np.frombuffer(self._payload(take), dtype=dtype)
        return array.astype(dtype.newbyteorder("=")) if self.order == ">" else array

    def _payload(self, take: Any) -> bytes:
        size = self.header.itemsize
        if self.decompress is None:
            (count,) = np.frombuffer(take.peek(size), self.header)
            return take(size + int(count))[size:]
        (blocks,) = np.frombuffer(take.peek(size), self.header)
        header = np.frombuffer(take(size * (3 + int(blocks))), self.header)
        lengths = header[3:].astype(np.int64)
        packed = memoryview(take(int(lengths.sum())))
        ends = np.cumsum(lengths)
        return b"".join(
            self.decompress(packed[end - n : end]) for end, n in zip(ends, lengths, strict=True)
        )


class _RawBytes:
    def __init__(self, data: bytes) -> None:
        self.data, self.position = data, 0

    def peek(self, count: int) -> bytes:
        return self.data[self.position : self.position + count]

    def __call__(self, count: int) -> bytes:
        taken = self.peek(count)
        if len(taken) != count:
            raise ValueError("the data end early")
        self.position += count
        return taken


class _Base64Bytes(_RawBytes):
    """Groups that were encoded one after the other, each padded on its own."""

    def peek(self, count: int) -> bytes:
        length = 4 * -(-count // 3)
        try:
            return base64.b64decode(self.data[self.position : self.position + length])[:count]
        except binascii.Error as error:
            raise ValueError(f"the data are not base64: {error}") from None

    def __call__(self, count: int) -> bytes:
        taken = self.peek(count)
        if len(taken) != count:
            raise ValueError("the data end early")
        self.position += 4 * -(-count // 3)
        return taken


# ------------------------------------------------------------------------------------- HDF5: .h5


def _write_h5(path: Path, m: Microstructure) -> None:
    import h5py

    with atomic_write(path) as temporary, h5py.File(temporary, "w") as file:
        labels = file.create_dataset("labels", data=m.labels, compression="gzip", shuffle=True)
        labels.attrs["voxel_size"] = m.voxel_size
        labels.attrs["axes"] = "zyx"
        file["phase_names"] = np.array(m.phase_names, dtype=h5py.string_dtype())
        file["micro3d_fast"] = json.dumps(_meta(m), allow_nan=False)  # attributes end at 64 kB
        for name, array in m.fields.items():
            file.create_dataset(f"fields/{name}", data=array, compression="gzip", shuffle=True)


def _read_h5(path: Path, name: str | None) -> Any:
    import h5py

    with h5py.File(path, "r") as file:
        names: list[str] = []
        file.visititems(
            lambda n, item: (
                names.append(n)
                if isinstance(item, h5py.Dataset)
                and item.ndim in (2, 3)
                and not n.startswith("fields/")
                else None
            )
        )
        dataset = file[_pick(names, name, path)]
        meta: dict[str, Any] = {}
        if "micro3d_fast" in file:
            meta = json.loads(file["micro3d_fast"].asstr()[()])
        elif "voxel_size" in dataset.attrs:
            meta = {"voxel_size": np.asarray(dataset.attrs["voxel_size"]).tolist()}
        fields = {n: array[...] for n, array in file.get("fields", {}).items()}
        return dataset[...], meta, fields


# ----------------------------------------------------------------------------------- Zarr: .zarr


def _zarr() -> Any:
    try:
        import zarr
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            "a .zarr volume needs the zarr package: pip install 'micro3d-fast[zarr]'"
        ) from None
    return zarr


def _write_zarr(path: Path, m: Microstructure) -> None:
    zarr = _zarr()
    with atomic_directory(path) as temporary:
        group = zarr.open_group(str(temporary), mode="w")
        arrays = {"labels": m.labels, **{f"fields/{n}": a for n, a in m.fields.items()}}
        for name, array in arrays.items():
            chunks = tuple(min(n, 128) for n in array.shape)
            if hasattr(group, "create_array"):  # zarr 3
                made = group.create_array(name, shape=array.shape, dtype=array.dtype, chunks=chunks)
                made[...] = array
            else:
                group.create_dataset(name, data=array, chunks=chunks)
        group.attrs.update(_meta(m))


def _read_zarr(path: Path, name: str | None) -> Any:
    zarr = _zarr()
    root = zarr.open(str(path), mode="r")
    if hasattr(root, "shape"):
        return root[...], {}, {}
    arrays = dict(root.arrays())
    meta = dict(root.attrs)
    values = arrays[_pick(list(arrays), name, path)][...]
    fields = {}
    if "fields" in root:
        fields = {n: array[...] for n, array in root["fields"].arrays()}
    return values, meta, fields


# ------------------------------------------------------------------------------- plain bytes: .raw


def _sidecar(path: Path) -> Path:
    return path.with_name(path.name + ".json")


def _write_raw(path: Path, m: Microstructure) -> None:
    words = {
        **_meta(m),
        "shape": list(m.shape),
        "dtype": "uint8",
        "order": "z, y, x; x fastest",
        "sha256": hashlib.sha256(m.labels).hexdigest(),
    }
    with atomic_write(path) as temporary, atomic_write(_sidecar(path)) as words_file:
        words_file.write_text(json.dumps(words, indent=1, allow_nan=False), encoding="utf-8")
        with open(temporary, "wb") as file:
            file.write(m.labels.data)


def _read_raw(path: Path, shape: tuple[int, int, int] | None) -> Any:
    meta: dict[str, Any] = {}
    if shape is None:
        if not _sidecar(path).exists():
            raise _Refused(
                f"`shape` must be given for {path}, because {_sidecar(path).name} is not there"
            )
        meta = json.loads(_sidecar(path).read_text(encoding="utf-8"))
        shape = _checks.shape3(meta["shape"], name="shape")
    labels = np.fromfile(path, dtype=np.uint8)
    nz, ny, nx = shape
    if labels.size != nz * ny * nx:
        raise _Refused(
            f"{path} must hold {nz} x {ny} x {nx} = {nz * ny * nx} bytes, got {labels.size}"
        )
    if "sha256" in meta and hashlib.sha256(labels).hexdigest() != meta["sha256"]:
        raise _Refused(f"{path} must be the bytes that {_sidecar(path).name} tells of, got others")
    return labels.reshape(shape), meta, {}


# --------------------------------------------------------------------------------- Abaqus: .inp


def _write_inp(path: Path, m: Microstructure, omit: Sequence[int] = ()) -> None:
    """Hexahedra C3D8, one per voxel, in the element set of their phase; coordinates in metres.

    Element and node numbers count voxels and corners x fastest, from 1.  Node sets X_MIN ... Z_MAX
    are the faces of the box.  Nodes that no element uses are left out.
    """
    if isinstance(omit, str | bytes) or not isinstance(omit, Sequence):
        raise TypeError(f"`omit` must be a sequence of phases, got {omit!r}")
    left_out = {_checks.phase_number(phase, name="omit") for phase in omit}
    nz, ny, nx = m.shape
    keep = ~np.isin(m.labels, list(left_out))
    if not keep.any():
        raise ValueError(f"`omit` must leave at least one voxel, got {sorted(left_out)}")
    z, y, x = np.nonzero(keep)
    corner = 1 + x + (nx + 1) * (y + (ny + 1) * z)  # node of the voxel's low corner
    up, back = (nx + 1) * (ny + 1), nx + 1
    offsets = np.array([0, 1, back + 1, back, up, up + 1, up + back + 1, up + back])
    elements = np.flatnonzero(keep) + 1
    nodes = np.zeros((nz + 1) * (ny + 1) * (nx + 1) + 1, dtype=bool)
    for offset in offsets:
        nodes[corner + offset] = True
    numbers = np.flatnonzero(nodes)
    where = np.stack(np.unravel_index(numbers - 1, (nz + 1, ny + 1, nx + 1)))
    dz, dy, dx = m.voxel_size
    with atomic_write(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        file.write("*Heading\n** micro3d-fast voxel mesh, coordinates in metres (1.0: voxels)\n")
        for phase, name in enumerate(m.phase_names):
            file.write(f"** PHASE_{phase}: {' '.join(name.split())}\n")
        for chunk in _wrapped(json.dumps(m.provenance, allow_nan=False)):
            file.write(f"** {chunk}\n")
        file.write("*Node\n")
        for part in _parts(len(numbers)):
            k, j, i = (axis[part].tolist() for axis in where)
            file.writelines(
                f"{n}, {a * dx:.9g}, {b * dy:.9g}, {c * dz:.9g}\n"
                for n, a, b, c in zip(numbers[part].tolist(), i, j, k, strict=True)
            )
        phases = m.labels[keep]
        for phase in np.unique(phases):
            file.write(f"*Element, type=C3D8, elset=PHASE_{phase}\n")
            chosen = np.flatnonzero(phases == phase)
            for part in _parts(len(chosen)):
                rows = np.column_stack(
                    [elements[chosen[part]], corner[chosen[part], None] + offsets]
                )
                file.writelines(", ".join(map(str, row)) + "\n" for row in rows.tolist())
        for axis, letter in ((2, "X"), (1, "Y"), (0, "Z")):
            for end, at in (("MIN", 0), ("MAX", m.shape[axis])):
                file.write(f"*Nset, nset={letter}_{end}\n")
                face = numbers[where[axis] == at].tolist()
                for start in range(0, len(face), 16):
                    file.write(", ".join(map(str, face[start : start + 16])) + "\n")


def _parts(count: int, size: int = 1 << 16) -> list[slice]:
    return [slice(start, start + size) for start in range(0, count, size)]


def _wrapped(text: str, width: int = 100) -> list[str]:
    return ["".join(chunk) for chunk in itertools.zip_longest(*[iter(text)] * width, fillvalue="")]


_WRITERS: dict[str, Callable[..., None]] = {
    ".npy": _write_npy,
    ".npz": _write_npz,
    ".tif": _write_tif,
    ".tiff": _write_tif,
    ".vti": _write_vti,
    ".h5": _write_h5,
    ".hdf5": _write_h5,
    ".zarr": _write_zarr,
    ".raw": _write_raw,
    ".inp": _write_inp,
}
_READERS: dict[str, Callable[..., Any]] = {
    ".npy": _read_npy,
    ".npz": _read_npz,
    ".tif": _read_tif,
    ".tiff": _read_tif,
    ".vti": _read_vti,
    ".h5": _read_h5,
    ".hdf5": _read_h5,
    ".zarr": _read_zarr,
    ".raw": _read_raw,
}

WRITABLE = tuple(_WRITERS)  #: suffixes that `save` knows
