# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""A file format: its suffixes, its reader and writer, and what it stores with the labels."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .._checks import refuse, refuse_content

if TYPE_CHECKING:
    from ..microstructure import Microstructure

_VERSION = 1


class Content(NamedTuple):
    """The content of a file: an array of values, metadata, and fields on the same voxels."""

    values: np.ndarray
    meta: Mapping[str, Any] = {}
    fields: Mapping[str, np.ndarray] = {}


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
    requires : callable, optional
        Imports what writing needs beyond the dependencies of the package, or raises.
    """

    suffixes: tuple[str, ...]
    write: Callable[..., None]
    read: Callable[..., Content] | None
    carries: tuple[str, ...]
    notes: str
    write_options: tuple[str, ...] = ()
    read_options: tuple[str, ...] = ()
    is_directory: bool = False
    requires: Callable[[], Any] | None = None


def metadata(volume: Microstructure) -> dict[str, Any]:
    """Return what a file holds in addition to the labels, in plain JSON types."""
    return {
        "micro3d_fast": _VERSION,
        "voxel_size": list(volume.voxel_size),
        "phase_names": list(volume.phase_names),
        "provenance": volume.provenance,
    }


def metadata_json(volume: Microstructure) -> str:
    """Return `metadata` as JSON text."""
    return json.dumps(metadata(volume), allow_nan=False)


def spatial_shape(shape: Sequence[int]) -> tuple[int, ...]:
    """Return a shape without the axes of one component, channel or time around (nz, ny, nx)."""
    kept = list(shape)
    while len(kept) > 3 and 1 in (kept[0], kept[-1]):
        del kept[-1 if kept[-1] == 1 else 0]
    return tuple(kept)


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
