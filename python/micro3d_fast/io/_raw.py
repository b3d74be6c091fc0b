# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Plain bytes: .raw, with the metadata in a .raw.json beside it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _checks
from .._atomic import atomic_write
from .._checks import refuse, refuse_content, shown
from .._errors import ArgumentError, ArgumentTypeError
from .._files import regular_size
from ._format import Content, Format, metadata, parse_metadata

if TYPE_CHECKING:
    from ..microstructure import Microstructure


def _write_raw(path: Path, volume: Microstructure) -> None:
    sidecar = {
        **metadata(volume),
        "shape": list(volume.shape),
        "dtype": "uint8",
        "order": "z, y, x; x fastest",
        "sha256": hashlib.sha256(volume.labels).hexdigest(),
    }
    with atomic_write(path) as temporary, atomic_write(_sidecar(path)) as sidecar_file:
        sidecar_file.write_text(json.dumps(sidecar, indent=1, allow_nan=False), encoding="utf-8")
        with open(temporary, "wb") as file:
            file.write(volume.labels.data)


def _read_raw(path: Path, shape: Any = None, dtype: Any = None) -> Content:
    meta: dict[str, Any] = {}
    if shape is not None:
        shape = _checks.shape3(shape, name="shape")
    else:
        if not _sidecar(path).exists():
            wanted = f"be given for {path}, because {_sidecar(path).name} does not exist"
            raise refuse("shape", wanted, "None")
        regular_size(_sidecar(path))
        meta = parse_metadata(_sidecar(path).read_text(encoding="utf-8"), _sidecar(path))
        try:
            shape = _checks.shape3(meta.get("shape"), name="shape")
        except (ArgumentError, ArgumentTypeError) as error:
            raise error.in_source(str(_sidecar(path))) from None
    kind = _value_type(meta.get("dtype", "uint8") if dtype is None else dtype)
    nz, ny, nx = shape
    size, got = nz * ny * nx * kind.itemsize, regular_size(path)
    if got != size:
        values_of = "" if kind.itemsize == 1 else f"values of {kind.name} "
        wanted = f"hold {nz} x {ny} x {nx} {values_of}= {size} bytes"
        hint = "`shape` and `dtype` describe its values"
        raise refuse_content(path, wanted, str(got), hint)
    values = np.fromfile(path, dtype=kind)
    if dtype is not None:
        meta.pop("digests", None)  # of the values by the type that was stored
    if "sha256" in meta and hashlib.sha256(values).hexdigest() != meta["sha256"]:
        raise refuse_content(path, f"hold the bytes that {_sidecar(path).name} describes", "others")
    values = _checks.plain_bool(values).astype(kind.newbyteorder("="), copy=False)
    return Content(values.reshape(shape), meta)


def _value_type(dtype: Any) -> np.dtype[Any]:
    """Return the type of the values of a raw file, with its order of bytes."""
    try:
        kind = np.dtype(dtype)
    except TypeError:
        kind = np.dtype(object)
    if kind.kind not in "buif":
        wanted = "be a type of real numbers, such as 'uint16', or '>u2' for big-endian"
        raise refuse("dtype", wanted, shown(dtype))
    return kind


def _sidecar(path: Path) -> Path:
    return path.with_name(path.name + ".json")


RAW = Format(
    (".raw",),
    _write_raw,
    _read_raw,
    ("voxel size", "phase names", "provenance"),
    "bytes, x fastest; the rest in .raw.json",
    read_options=("shape", "dtype"),
)
