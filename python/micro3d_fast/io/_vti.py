# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""VTK ImageData: .vti, written as zlib-compressed cell data, read in all its encodings."""

from __future__ import annotations

import base64
import binascii
import itertools
import lzma
import math
import warnings
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree
from xml.sax.saxutils import quoteattr

import numpy as np

from .._atomic import atomic_write
from .._checks import refuse_content
from .._files import DEFLATE, ZSTD, require_fit
from ._format import Content, Format, metadata_json, parse_metadata, pick_array

if TYPE_CHECKING:
    from ..microstructure import Microstructure

_VTK_TYPES = {
    "Int8": "i1", "UInt8": "u1", "Int16": "i2", "UInt16": "u2", "Int32": "i4", "UInt32": "u4",
    "Int64": "i8", "UInt64": "u8", "Float32": "f4", "Float64": "f8",
}  # fmt: skip
_VTK_BLOCK = 1 << 20
_PIECE, _MOST_ELEMENTS = 1 << 17, 100_000  # bytes parsed at a time, elements in all
#: Arrays of VTK about the others: not 0 for what another piece owns or is hidden; 0 for invalid.
_BOOKKEEPING = ("vtkGhostType", "vtkGhostLevels", "vtkValidPointMask")


def _write_vti(path: Path, volume: Microstructure) -> None:
    nz, ny, nx = volume.shape
    dz, dy, dx = volume.voxel_size
    extent = f"0 {nx} 0 {ny} 0 {nz}"
    with atomic_write(path) as temporary, open(temporary, "wb") as file:
        file.write(
            '<?xml version="1.0"?>\n'
            '<VTKFile type="ImageData" version="1.0" byte_order="LittleEndian" '
            'header_type="UInt64" compressor="vtkZLibDataCompressor">\n'
            f'<ImageData WholeExtent="{extent}" Origin="0 0 0" Spacing="{dx!r} {dy!r} {dz!r}">\n'
            "<FieldData>\n".encode()
        )
        _write_vtk_strings(file, "phase_names", volume.phase_names)
        _write_vtk_strings(file, "micro3d_fast", [metadata_json(volume, fields=True)])
        file.write(f'</FieldData>\n<Piece Extent="{extent}">\n<PointData/>\n'.encode())
        file.write(b'<CellData Scalars="labels">\n')
        _write_vtk_array(file, "labels", volume.labels)
        for name, array in volume.fields.items():
            _write_vtk_array(file, name, array)
        file.write(b"</CellData>\n</Piece>\n</ImageData>\n</VTKFile>\n")


def _write_vtk_strings(file: Any, name: str, texts: Sequence[str]) -> None:
    """Write strings as VTK does: the codes of their UTF-8 bytes, each string ended by a zero."""
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


def _read_vti(path: Path, name: str | None = None) -> Content:
    content = path.read_bytes()
    appended, start = b"", content.find(b"<AppendedData")
    raw = False
    if start >= 0:
        opening = content.index(b">", start) + 1
        raw = b'"raw"' in content[start:opening]
        appended = content[content.index(b"_", opening) + 1 : content.rindex(b"</AppendedData>")]
        content = content[:start] + b"</VTKFile>"
    root = _parse(content, path)
    image = root.find("ImageData")
    if image is None:
        raise refuse_content(path, "hold VTK ImageData", str(root.get("type")))
    direction = [float(v) for v in image.get("Direction", "1 0 0 0 1 0 0 0 1").split()]
    if direction != [1, 0, 0, 0, 1, 0, 0, 0, 1]:
        raise refuse_content(path, "be aligned with the axes", f"Direction {direction}")
    decode = _VtkDecoder(root, appended, raw)
    whole = _extent(image.get("WholeExtent", ""))
    meta = _vti_metadata(image, whole, path)
    pieces = _pieces(image, whole, path)
    gain = {None: 8, "vtkZLibDataCompressor": DEFLATE}.get(root.get("compressor"), ZSTD)
    require_fit(path, math.prod(_sizes(whole, "CellData")), path.stat().st_size, gain)
    places = _places(pieces, path)
    chosen = _chosen(pieces[0][0], places, name, path)
    arrays = {}
    for kept in places if "micro3d_fast" in meta else [chosen]:
        on = places[kept]
        arrays[kept] = _without_ghosts(*_vti_array(decode, pieces, whole, on, kept, path), path)
    return Content(arrays.pop(chosen), meta, arrays)


def _parse(content: bytes, path: Path) -> Any:
    """Return the root of the XML, which has no entities and is neither deep nor endless."""
    utf16 = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    if utf16 or b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        raise refuse_content(path, "be XML in UTF-8 without a document type", "other XML")
    parser: Any = ElementTree.XMLPullParser(events=("start", "end"))
    root, depth, count = None, 0, 0
    for start in range(0, len(content), _PIECE):
        parser.feed(content[start : start + _PIECE])
        for event, element in parser.read_events():
            root = element if root is None else root
            depth += 1 if event == "start" else -1
            count += event == "start"
        if depth > 32 or count > _MOST_ELEMENTS:
            raise refuse_content(path, f"hold at most {_MOST_ELEMENTS} elements of XML", "more")
    parser.close()
    return root


def _pieces(image: Any, whole: list[int], path: Path) -> list[tuple[Any, list[int]]]:
    """Return the pieces with their extents, which lie in the whole extent; empty ones are left out.

    With ghosts on all sides a piece of one voxel holds 27.
    """
    pieces = [(piece, _extent(piece.get("Extent", ""))) for piece in image.findall("Piece")]
    pieces = [
        (piece, extent)
        for piece, extent in pieces
        if all(extent[2 * i] <= extent[2 * i + 1] for i in range(3))
    ]
    for _, extent in pieces:
        if any(
            not whole[2 * i] <= extent[2 * i] <= extent[2 * i + 1] <= whole[2 * i + 1]
            for i in range(3)
        ):
            wanted = f"have its pieces in the WholeExtent {' '.join(map(str, whole))}"
            raise refuse_content(path, wanted, " ".join(map(str, extent)))
    voxels = sum(math.prod(_sizes(extent, "CellData")) for _, extent in pieces)
    if not pieces or voxels > 27 * math.prod(_sizes(whole, "CellData")):
        raise refuse_content(path, "hold every voxel in one piece", f"{len(pieces)} pieces")
    return pieces


def _sizes(extent: list[int], on: str) -> list[int]:
    """Return the numbers of cells or of points of an extent, (nz, ny, nx)."""
    counts = [extent[2 * i + 1] - extent[2 * i] for i in (2, 1, 0)]
    return [n + 1 if on == "PointData" else max(n, 1) for n in counts]


def _vti_metadata(image: Any, whole: list[int], path: Path) -> dict[str, Any]:
    """Return our own metadata if present, else the spacing."""
    for array in image.findall("FieldData/*"):
        if array.get("Name") == "micro3d_fast" and array.get("type") == "String":
            codes = bytes(int(code) for code in (array.text or "").split())
            return parse_metadata(codes.rstrip(b"\0").decode(), path)
    spacing = [float(v) for v in image.get("Spacing", "1 1 1").split()]
    flat = [whole[2 * axis] == whole[2 * axis + 1] for axis in range(3)]
    usual = max(spacing)
    return {
        "voxel_size": [
            usual if one and not size else size for size, one in zip(spacing, flat, strict=True)
        ][::-1]
    }


def _places(pieces: list[tuple[Any, list[int]]], path: Path) -> dict[str, str]:
    """Return the names of the arrays and whether they are CellData, which win, or PointData."""
    first = pieces[0][0]
    places: dict[str, str] = {}
    for on in ("PointData", "CellData"):
        names = [array.get("Name", "") for array in first.findall(f"{on}/DataArray")]
        if len(set(names)) < len(names):
            raise refuse_content(path, "hold every array once", "two of one name")
        places.update({name: on for name in names if name not in _BOOKKEEPING})
    if not places:
        raise refuse_content(path, "hold a cell or point array", "none")
    return places


def _chosen(piece: Any, places: dict[str, str], name: str | None, path: Path) -> str:
    """Return the array of that name, the labels, the only whole numbers, or the active scalars."""
    if name is not None or "labels" in places:
        return pick_array(list(places), name, path)
    elements = {n: _element(piece, on, n) for n, on in places.items()}
    scalars = [n for n, e in elements.items() if e.get("NumberOfComponents", "1") == "1"]
    whole = [n for n in scalars if not elements[n].get("type", "").startswith("Float")]
    candidates = whole or scalars or list(places)
    active = [n for n in candidates if piece.find(places[n]).get("Scalars") == n]
    return pick_array(active if len(active) == 1 else candidates, None, path)


def _element(piece: Any, on: str, name: str) -> Any:
    return next((a for a in piece.findall(f"{on}/*") if a.get("Name") == name), None)


def _vti_array(
    decode: _VtkDecoder,
    pieces: list[tuple[Any, list[int]]],
    whole: list[int],
    on: str,
    name: str,
    path: Path,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return one array of all pieces in the whole extent, (nz, ny, nx[, k]), and what they own.

    Cells and points that a piece holds as ghosts belong to another piece, if to any; None if
    everything is owned.  Every cell and point lies in some piece, and pieces that share one agree.
    """
    size = _sizes(whole, on)
    out: np.ndarray | None = None
    owned, held = np.zeros(size, dtype=bool), np.zeros(size, dtype=bool)
    for piece, extent in pieces:
        part = _sizes(extent, on)
        block = decode.voxels(_element(piece, on, name), part)
        own = _owned(decode, piece, on, part)
        if len(pieces) == 1 and part == size and own.all():
            return block, None
        if out is None:
            out = np.zeros((*size, *block.shape[3:]), dtype=block.dtype)
        starts = [extent[2 * i] - whole[2 * i] for i in (2, 1, 0)]
        box = tuple(slice(c, c + n) for c, n in zip(starts, part, strict=True))
        shared = owned[box] & own
        if not np.array_equal(out[box][shared], block[shared], equal_nan=block.dtype.kind == "f"):
            raise refuse_content(path, "have pieces that agree where they overlap", "others")
        out[box][own] = block[own]
        owned[box] |= own
        held[box] = True
    if not held.all():
        got = f"{held.size - np.count_nonzero(held)} of {held.size} in none"
        raise refuse_content(path, "hold every voxel of its WholeExtent in a piece", got)
    assert out is not None
    return out, None if owned.all() else owned


def _owned(decode: _VtkDecoder, piece: Any, on: str, part: list[int]) -> np.ndarray:
    """Return where the values of a piece are its own: no ghosts, not hidden, not invalid."""
    own = np.ones(part, dtype=bool)
    for name in _BOOKKEEPING:
        element = _element(piece, on, name)
        if element is not None:
            flags = decode.voxels(element, part) != 0
            own &= flags if name == "vtkValidPointMask" else ~flags
    return own


def _without_ghosts(values: np.ndarray, owned: np.ndarray | None, path: Path) -> np.ndarray:
    """Return the box of the owned values; refuse holes in it."""
    if owned is None:
        return values
    got = f"{owned.size - np.count_nonzero(owned)} of {owned.size} without, or as ghosts"
    if not owned.any():
        raise refuse_content(path, "hold a value of its own for every voxel", got)
    box = []
    for axis in range(3):
        found = np.flatnonzero(owned.any(axis=tuple({0, 1, 2} - {axis})))
        box.append(slice(found[0], found[-1] + 1))
    if not owned[tuple(box)].all():
        raise refuse_content(path, "hold a value of its own for every voxel", got)
    shape = " x ".join(str(part.stop - part.start) for part in box)
    warnings.warn(f"{path}: the {shape} voxels without its ghosts are read", stacklevel=6)
    return values[tuple(box)]


def _extent(text: str) -> list[int]:
    extent = [int(value) for value in text.split()]
    if len(extent) != 6:
        raise ValueError(f"an extent must have six numbers, got {text!r}")
    return extent


class _VtkDecoder:
    """Decoder of the DataArray elements of a file: ascii, base64, appended; zlib, lzma, plain."""

    def __init__(self, root: Any, appended: bytes, raw: bool) -> None:
        self.order = ">" if root.get("byte_order") == "BigEndian" else "<"
        self.header = np.dtype(self.order + _VTK_TYPES[root.get("header_type", "UInt32")])
        compressor = root.get("compressor")
        known: dict[str | None, Callable[[], Any] | None] = {
            None: None,
            "vtkZLibDataCompressor": zlib.decompressobj,
            "vtkLZMADataCompressor": lzma.LZMADecompressor,
        }
        if compressor not in known:
            raise ValueError(f"compressor {compressor} is not supported; use zlib, lzma or none")
        self.decompressor = known[compressor]
        self.appended, self.raw = appended, raw

    def voxels(self, element: Any, shape: list[int]) -> np.ndarray:
        """Return the array of an element, (nz, ny, nx) or with components (nz, ny, nx, k)."""
        if element is None:
            raise ValueError("an array is missing in one of the pieces")
        components = int(element.get("NumberOfComponents", "1"))
        full = [*shape, components] if components > 1 else shape
        return self._values(element, math.prod(full)).reshape(full)

    def _values(self, element: Any, count: int) -> np.ndarray:
        kind = element.get("type", "")
        if kind not in _VTK_TYPES:
            raise ValueError(f"array {element.get('Name')!r} has type {kind!r}, not a number")
        dtype = np.dtype(self.order + _VTK_TYPES[kind])
        form = element.get("format", "ascii")
        if form == "ascii":
            return _ascii_values(element.text or "", dtype.newbyteorder("="), count)
        if form == "binary":
            data, raw = (element.text or "").strip().encode(), False
        else:
            offset = int(element.get("offset", "0"))
            if not 0 <= offset <= len(self.appended):
                raise ValueError(f"offset {offset} lies outside the appended data")
            data, raw = self.appended[offset:], self.raw
        take = _RawBytes(data) if raw else _Base64Bytes(data)
        array = np.frombuffer(self._payload(take, count * dtype.itemsize), dtype=dtype)
        return array.astype(dtype.newbyteorder("=")) if self.order == ">" else array

    def _payload(self, take: Any, size: int) -> bytes:
        """Return the ``size`` bytes of an array; data of another size are refused before."""
        word = self.header.itemsize
        if self.decompressor is None:
            (stored,) = np.frombuffer(take.peek(word), self.header).tolist()
            if stored != size:
                raise ValueError(f"{stored} bytes are stored for {size}")
            return take(word + size)[word:]
        (blocks,) = np.frombuffer(take.peek(word), self.header).tolist()
        _, usual, last, *lengths = np.frombuffer(take(word * (3 + blocks)), self.header).tolist()
        sizes = [usual] * blocks
        if last:
            sizes[-1:] = [last]
        if sum(sizes) != size:
            raise ValueError(f"blocks of {sum(sizes)} bytes are stored for {size}")
        packed = memoryview(take(sum(lengths)))
        ends = itertools.accumulate(lengths)
        return b"".join(
            self._block(packed[end - length : end], wanted)
            for end, length, wanted in zip(ends, lengths, sizes, strict=True)
        )

    def _block(self, packed: memoryview, size: int) -> bytes:
        """Decompress a block to its ``size`` bytes, never more."""
        decompressor = self.decompressor()  # type: ignore[misc]
        block = decompressor.decompress(packed, size + 1)
        if len(block) != size or not decompressor.eof:
            raise ValueError(f"a block does not hold its {size} bytes")
        return block


def _ascii_values(text: str, dtype: np.dtype[Any], count: int) -> np.ndarray:
    """Return the numbers of a text, which must be as many and fit their type."""
    if len(text) > 64 * count + 4096:
        raise ValueError(f"{len(text)} characters are stored for {count} values")
    numbers = text.split()
    if len(numbers) != count:
        raise ValueError(f"{len(numbers)} values are stored for {count}")
    wide = np.array(numbers, dtype=np.float64 if dtype.kind == "f" else np.int64)
    values = wide.astype(dtype)
    if dtype.kind != "f" and (values != wide).any():
        raise ValueError(f"values {wide.min()} ... {wide.max()} do not fit {dtype.name}")
    return values


class _RawBytes:
    """Reader of plain bytes."""

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
    """Reader of base64 groups that were encoded one after the other, each padded on its own."""

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


VTI = Format(
    (".vti",),
    _write_vti,
    _read_vti,
    ("voxel size", "phase names", "provenance", "fields"),
    "VTK ImageData, cell data, zlib [1]_",
    read_options=("name",),
)
