# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Volumes that go to a .zarr as they are made: each process of a group writes its own slices."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .. import _checks
from .._atomic import fsync_tree, try_write
from ..io._zarr import CHUNK, import_zarr, parted_zarr, require_free, write_slices
from ..microstructure import Microstructure, plain_json
from .process_group import ProcessGroup, shared
from .slabs import Whole

__all__ = ["SEED", "check_out", "store"]

SEED = "{seed}"  # in a path, stands for the seed of each volume


def check_out(out: Any) -> str:
    """Check the path of a .zarr that can be written."""
    path = _checks.path(out, name="out")
    if path.suffix.lower() != ".zarr":
        raise _checks.refuse("out", "end in .zarr", str(path))
    import_zarr()
    if not path.parent.is_dir():
        raise FileNotFoundError(f"`out` must lie in an existing directory, got {path}")
    require_free(path, "out")
    try_write(path)  # before hours of work
    return str(path)


def store(
    out: Path,
    shape: tuple[int, int, int],
    arrays: Mapping[str, np.ndarray],
    slab: Whole,
    group: ProcessGroup,
    about: dict[str, Any],
) -> Microstructure:
    """Write a volume of which each process holds a slab; return it, opened.

    It appears under its name when all processes have written their slices.

    Parameters
    ----------
    out : Path
        The same on all processes, in a directory that all see.
    shape : (nz, ny, nx)
        Of the volume.
    arrays : mapping of str to array of uint8
        ``"labels"``, and fields as ``"fields/NAME"``: the voxels of ``slab``.
    slab : Whole
    group : ProcessGroup
    about : dict
        Voxel size, phase names and provenance, of which those of rank 0 count.
    """
    provenance = plain_json(about["provenance"], name="provenance")
    about = {**about, "provenance": group.broadcast(provenance)}
    parts = {name: slab.chunked(array, CHUNK) for name, array in arrays.items()}
    with contextlib.ExitStack() as stack:
        folder = out
        with group.together():
            if group.first:
                chunks = parts["labels"][0]
                folder = stack.enter_context(parted_zarr(out, list(parts), shape, chunks, **about))
        folder = Path(group.broadcast(str(folder)))
        with group.together():
            shared(lambda: folder.is_dir() or None, out)
            for name, (_, index, part) in parts.items():
                if part.size:
                    write_slices(folder, name, index, part)
        with group.together():
            fsync_tree(folder)
        with group.together():
            stack.close()

    def written() -> Microstructure | None:
        with contextlib.suppress(FileNotFoundError):
            volume = Microstructure.open(out)
            return volume if volume.provenance == about["provenance"] else None
        return None

    return shared(written, out)
