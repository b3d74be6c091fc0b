# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""A file format: its suffixes, its reader and writer, and what it stores with the labels."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .._checks import refuse, refuse_content, shown
from .._plain_data import load_json_object, require_shallow

if TYPE_CHECKING:
    from ..microstructure import Microstructure

_VERSION = 1
_SLICES = 128  # that are read at once


class Content(NamedTuple):
    """The content of a file: an array of values, metadata, and fields on the same voxels.

    The arrays are numpy, or `Stored` where they are left on disk.
    """

    values: Any
    meta: Mapping[str, Any] = {}
    fields: Mapping[str, Any] = {}


@dataclass(frozen=True)
class Format:
    """A file format of volumes.

    Attributes
    ----------
    suffixes : tuple of str
        The usual suffix first.
    write : callable
        ``write(path, microstructure, **options)``.
    read : callable, optional
        ``read(path, **options) -> Content``.
    carries : tuple of str
        What is stored with the labels: ``"voxel size"``, ``"phase names"``, ``"provenance"``,
        ``"fields"``.
    notes : str
        For the table of formats.
    write_options : tuple of str
        Options of ``write``.
    read_options : tuple of str
        Options of ``read``: ``"name"`` of an array, ``"shape"`` and ``"dtype"`` of raw bytes.
    is_directory : bool
        Whether a volume is a directory rather than a file.
    open : callable, optional
        ``open(path, **options) -> Content`` of arrays that are read by slices, each a `Stored`.
    requires : callable, optional
        Imports what writing needs beyond the dependencies of the package, or raises.
    require_free : callable, optional
        Refuses a path that holds what may not be replaced.
    """

    suffixes: tuple[str, ...]
    write: Callable[..., None]
    read: Callable[..., Content] | None
    carries: tuple[str, ...]
    notes: str
    write_options: tuple[str, ...] = ()
    read_options: tuple[str, ...] = ()
    is_directory: bool = False
    open: Callable[..., Content] | None = None
    requires: Callable[[], Any] | None = None
    require_free: Callable[[Path], None] | None = None


def metadata(volume: Microstructure, *, fields: bool = False) -> dict[str, Any]:
    """Return what a file holds in addition to the labels, in plain JSON types.

    Among it are digests of the labels and, with ``fields``, of the fields: see `require_digests`.
    """
    arrays = {"labels": volume.labels, **(volume.fields if fields else {})}
    return {
        "micro3d_fast": _VERSION,
        "voxel_size": list(volume.voxel_size),
        "phase_names": list(volume.phase_names),
        "provenance": volume.provenance,
        "digests": {name: _digest(array) for name, array in arrays.items()},
    }


def metadata_json(volume: Microstructure, *, fields: bool = False) -> str:
    """Return `metadata` as JSON text."""
    return json.dumps(metadata(volume, fields=fields), allow_nan=False)


def parse_metadata(text: str, path: Path) -> dict[str, Any]:
    """Return the metadata in a JSON text of a file; what `metadata` does not write is refused."""
    return checked_metadata(load_json_object(text, f"the metadata of {path}"), path)


def checked_metadata(meta: dict[str, Any], path: Path) -> dict[str, Any]:
    """Return metadata of a file whose entries are of the kinds that `metadata` writes."""
    source = f"the metadata of {path}"
    require_shallow(meta, source)
    for key, kind, wanted in (
        ("phase_names", list, "a list of names"),
        ("provenance", dict, "a mapping"),
        ("digests", dict, "a mapping"),
    ):
        value = meta.get(key)
        if value is not None and not isinstance(value, kind):
            raise refuse_content(source, f"have {wanted} as `{key}`", shown(value))
    return meta


def require_digests(path: Path, content: Content, form: Format) -> None:
    """Refuse arrays that are not those whose digests the file states.

    Files of other programs and of older versions state none.
    """
    hint = "the file was damaged or changed"
    if "name" in form.read_options:
        hint += "; give `name`='labels' to take them as they are"
    changed = changed_arrays(content)
    if changed:
        what = "the labels" if changed[0] == "labels" else f"the field {changed[0]!r}"
        raise refuse_content(path, f"hold {what} that it was saved with", "others", hint)


def changed_arrays(content: Content) -> list[str]:
    """Return the names of the arrays that are not those whose digests the metadata state."""
    arrays = {**content.fields, "labels": content.values}
    stated = content.meta.get("digests") or {}
    return [n for n in stated if n not in arrays or _digest(arrays[n]) != stated[n]]


def _digest(array: Any) -> str:
    """Return the SHA-256 of an array with its shape and type, the same from every format.

    One component counts as none, bool as uint8, and float16 as float32, which VTK knows.
    """
    shape = array.shape[:3] if array.ndim == 4 and array.shape[3] == 1 else array.shape
    kinds: dict[Any, Any] = {np.dtype(bool): np.dtype("u1"), np.dtype("f2"): np.dtype("f4")}
    plain = kinds.get(array.dtype, array.dtype).newbyteorder("<")
    found = hashlib.sha256(f"{plain.str} {tuple(shape)}\n".encode())
    for start in range(0, len(array), _SLICES):  # of an array that is not in memory, too
        found.update(np.ascontiguousarray(array[start : start + _SLICES], dtype=plain).data)
    return found.hexdigest()


def spatial_shape(shape: Sequence[int]) -> tuple[int, ...]:
    """Return a shape without the axes of one component, channel or time around (nz, ny, nx)."""
    kept = list(shape)
    while len(kept) > 3 and 1 in (kept[0], kept[-1]):
        del kept[-1 if kept[-1] == 1 else 0]
    return tuple(kept)


def require_field_shape(shape: Sequence[int], labels: Sequence[int], source: Any) -> None:
    """Refuse a field that does not lie on the voxels of the labels, before it is read."""
    if tuple(shape[:3]) != tuple(labels) or len(shape) > 4:
        wanted = f"have the shape of the labels, {tuple(labels)}, or of vectors on them"
        raise refuse_content(source, wanted, str(tuple(shape)))


def pick_array(names: Sequence[str], name: str | None, path: Path) -> str:
    """Return the requested name, ``labels``, or the only one."""
    wanted = name or ("labels" if "labels" in names or len(names) != 1 else names[0])
    if wanted not in names:
        known = ", ".join(map(repr, names)) or "none"
        if name is None:
            got = f"{known} and no `name` of one"
            raise refuse_content(path, "hold one array or one named 'labels'", got)
        raise refuse("name", f"be one of the arrays of {path} ({known})", repr(wanted))
    return wanted
