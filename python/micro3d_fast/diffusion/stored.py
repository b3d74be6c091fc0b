# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Volumes that go to a .zarr as they are made: each process of a group writes its own slices."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .. import _checks
from .._atomic import fsync_tree
from ..io._zarr import CHUNK, import_zarr, parted_zarr, write_slices
from ..microstructure import Microstructure, plain_json
from .process_group import ProcessGroup
from .slabs import Whole

__all__ = ["SEED", "check_out", "store"]

SEED = "{seed}"  # in a path, stands for the seed of each volume

_PATIENCE = 60.0  # seconds after which a network file system shows what another host has written


def check_out(out: Any) -> str:
    """Check the path of a .zarr that can be written."""
    path = _checks.path(out, name="out")
    if path.suffix.lower() != ".zarr":
        raise _checks.refuse("out", "end in .zarr", str(path))
    import_zarr()
    if not path.parent.is_dir():
        raise FileNotFoundError(f"`out` must lie in an existing directory, got {path}")
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
            if not folder.is_dir():
                raise _not_shared(out)
            for name, (_, index, part) in parts.items():
                if part.size:
                    write_slices(folder, name, index, part)
        with group.together():
            fsync_tree(folder)
        with group.together():
            stack.close()
    return _opened(out, about["provenance"])


def _opened(out: Path, provenance: Mapping[str, Any]) -> Microstructure:
    """Open a volume that was just written, once this host sees it."""
    until = time.monotonic() + _PATIENCE
    while True:
        with contextlib.suppress(FileNotFoundError):
            volume = Microstructure.open(out)
            if volume.provenance == provenance:
                return volume
        if time.monotonic() > until:
            raise _not_shared(out)
        time.sleep(0.1)


def _not_shared(out: Path) -> Exception:
    wanted = "lie in a directory that all ranks of the process group share"
    return _checks.refuse("out", wanted, str(out))
