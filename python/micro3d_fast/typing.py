# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Types of the arguments of public functions, for annotations."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

    from .micrographs import Micrographs
    from .microstructure import Microstructure

__all__ = [
    "Axis",
    "Chunked",
    "Device",
    "Fractions",
    "Images",
    "Labels",
    "Periodic",
    "Specimens",
    "VoxelSize",
]


class Chunked(Protocol):
    """An array on disk or not computed yet: of zarr, dask or h5py."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> Any: ...

    @property
    def chunks(self) -> Any: ...

    def __getitem__(self, index: Any, /) -> Any: ...


#: Phases of voxels or pixels: bool or integers 0 ... 255, of numpy or torch (cupy has no types).
Labels: TypeAlias = (
    "NDArray[np.bool_] | NDArray[np.integer[Any]] | torch.Tensor | Microstructure | Chunked"
)
#: What `compare` takes: a volume, several, or images of planes.
Specimens: TypeAlias = "Labels | Sequence[Labels] | Micrographs | Mapping[str, Sequence[Labels]]"
#: Images of one plane: a pattern, a path, an array, or several of them.
Images: TypeAlias = (
    "str | os.PathLike[str] | NDArray[Any] | Sequence[str | os.PathLike[str] | NDArray[Any]]"
)
#: An array axis: 0, 1, 2, or "z", "y", "x".
Axis: TypeAlias = "int | str"
#: Whether an image repeats: along all axes, or one bool per axis.
Periodic: TypeAlias = "bool | Sequence[bool]"
#: Metres: the edge of cubic voxels, or (dz, dy, dx).
VoxelSize: TypeAlias = "float | Sequence[float] | NDArray[Any]"
#: Phase fractions of `reconstruct`: "auto", "natural", None, one number per phase, or by name.
Fractions: TypeAlias = "str | Sequence[float] | NDArray[Any] | Mapping[int | str, float] | None"
#: "cpu", "cuda" or "cuda:N"; None chooses.
Device: TypeAlias = "str | torch.device | None"
