# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""NumPy's .npy and .npz without pickle, read only if the sizes of header and file agree."""

from __future__ import annotations

import contextlib
import math
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from ._atomic import atomic_write
from ._checks import refuse_content
from ._files import DEFLATE, first_line, regular_size, require_fit

_PIECE = 1 << 20  # bytes read at a time


class _Header(NamedTuple):
    shape: tuple[int, ...]
    fortran_order: bool
    dtype: np.dtype[Any]
    n_bytes: int


def read_npy(path: Path) -> np.ndarray:
    """Return the array of a .npy file."""
    size = regular_size(path)
    with open(path, "rb") as file:
        return _values(file, _header(file, size, str(path)), str(path))


class NpzArrays:
    """The arrays of an open .npz file."""

    def __init__(self, archive: zipfile.ZipFile, source: str) -> None:
        self._archive, self._source = archive, source
        self._members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        if len(self._members) != len(archive.infolist()):
            raise refuse_content(source, "hold every array once", "two of one name")

    @property
    def names(self) -> list[str]:
        """The names of the arrays, in the order of the file."""
        return list(self._members)

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of an array by its header."""
        with self._member(name) as (file, size, source):
            return _header(file, size, source).shape

    def read(self, name: str) -> np.ndarray:
        """Return an array; its CRC-32 is checked by reading it to its end."""
        with self._member(name) as (file, size, source):
            return _values(file, _header(file, size, source), source)

    @contextlib.contextmanager
    def _member(self, name: str) -> Iterator[tuple[IO[bytes], int, str]]:
        info, source = self._members[name], f"{self._source}[{name!r}]"
        gains = {zipfile.ZIP_STORED: 1, zipfile.ZIP_DEFLATED: DEFLATE}
        if info.compress_type not in gains:
            raise refuse_content(source, "be stored or deflated", "another compression")
        require_fit(source, info.file_size, info.compress_size, gains[info.compress_type])
        with self._archive.open(info) as file:
            yield file, info.file_size, source


@contextlib.contextmanager
def open_npz(path: Path) -> Iterator[NpzArrays]:
    """Open a .npz file."""
    regular_size(path)
    with zipfile.ZipFile(path) as archive:
        yield NpzArrays(archive, str(path))


def write_npz(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write a compressed .npz file.

    `numpy.savez_compressed` before numpy 2.3 does not close an archive that meets a full disk.
    """
    with (
        atomic_write(path) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)


def _header(file: IO[bytes], size: int, source: str) -> _Header:
    """Read the header of an array; refuse objects, and sizes that are not those of the file."""
    formats = np.lib.format
    readers = {(1, 0): formats.read_array_header_1_0, (2, 0): formats.read_array_header_2_0}
    try:
        shape, fortran_order, dtype = readers[formats.read_magic(file)](file)
    except Exception as error:
        raise ValueError(first_line(error)) from None  # MemoryError and others, too
    if dtype.hasobject:
        raise ValueError(f"{source} holds Python objects, which need pickle")
    n_bytes = math.prod(shape) * dtype.itemsize
    stored = size - file.tell()
    if min(shape, default=0) < 0 or n_bytes != stored:
        shown = " x ".join(map(str, shape)) or "one"
        wanted = f"be as long as its header: {shown} values of {dtype} = {n_bytes} bytes"
        raise refuse_content(source, wanted, str(stored))
    return _Header(shape, fortran_order, dtype, n_bytes)


def _values(file: IO[bytes], header: _Header, source: str) -> np.ndarray:
    buffer = np.empty(header.n_bytes, dtype=np.uint8)
    position = 0
    while position < header.n_bytes:
        piece = file.read(min(_PIECE, header.n_bytes - position))
        if not piece:
            raise refuse_content(source, f"be {header.n_bytes} bytes long", str(position))
        buffer[position : position + len(piece)] = np.frombuffer(piece, dtype=np.uint8)
        position += len(piece)
    if header.fortran_order:
        return np.ndarray(header.shape[::-1], header.dtype, buffer).transpose()
    return np.ndarray(header.shape, header.dtype, buffer)
