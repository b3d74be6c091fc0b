# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""What every descriptor does with its arguments before it counts anything."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import _checks
from .._arrays import framework, is_cuda

Shape3 = tuple[int, int, int]
Flags3 = tuple[bool, bool, bool]


@dataclass(frozen=True)
class Image:
    """A labelled image as a volume; a 2D image is one slice, a batch is one slice an image.

    numpy, or torch tensors where the image was loaded `on_device` and lives on a GPU.
    """

    labels: Any  # uint8 (nz, ny, nx)
    mask: Any | None  # bool (nz, ny, nx)
    ndim: int  # dimensions of space: 2 or 3
    batch: bool = False

    @property
    def shape(self) -> Shape3:
        """(nz, ny, nx)."""
        nz, ny, nx = self.labels.shape
        return nz, ny, nx

    @property
    def mask8(self) -> Any | None:
        """The mask as uint8, as native code reads it."""
        return None if self.mask is None else as_bytes(self.mask)

    @property
    def space(self) -> tuple[int, ...]:
        """Extents of the axes of space."""
        return self.shape[3 - self.ndim :]

    @property
    def lead(self) -> int:
        """Axes of the volume before those of space."""
        return 3 - self.ndim

    def periodic3(self, periodic: Any) -> Flags3:
        """One flag per axis of the volume."""
        flags = (False,) * self.lead + _checks.per_axis_bool(periodic, self.ndim)
        return flags[0], flags[1], flags[2]

    def indicator(self, phase: int) -> np.ndarray:
        """Voxels of the phase (and of the mask), bool."""
        inside = self.labels == phase
        if self.mask is not None:
            inside &= self.mask
        return inside

    def slices(self) -> Iterator[Image]:
        """The images of a batch, one by one."""
        for k in range(self.shape[0]):
            mask = None if self.mask is None else self.mask[k : k + 1]
            yield Image(self.labels[k : k + 1], mask, 2)


def load(labels: Any, mask: Any = None, *, batch: bool = False, on_device: bool = False) -> Image:
    """Check ``labels`` and ``mask`` and give them as one volume.

    With ``on_device`` an array on a GPU stays there; else it comes to the host.
    """
    batch = _checks.boolean(batch, name="batch")
    ndims = (3,) if batch else (2, 3)
    stay = on_device and is_cuda(labels)
    array = (
        _device_labels(labels, "labels", ndims) if stay else _checks.as_labels(labels, ndim=ndims)
    )
    shape = tuple(int(n) for n in array.shape)
    ndim = 2 if batch else len(shape)
    volume = array.reshape((1,) * (3 - len(shape)) + shape)
    if mask is None:
        return Image(volume, None, ndim, batch)
    if stay:
        inside = _device_labels(mask, "mask", (2, 3), like=array)
    else:
        inside = _checks.as_labels(mask, name="mask")
    if tuple(inside.shape) != shape:
        raise ValueError(
            f"`mask` must have the shape of `labels` {shape}, got {tuple(inside.shape)}"
        )
    return Image(volume, (inside != 0).reshape(volume.shape), ndim, batch)


def _device_labels(array: Any, name: str, ndims: tuple[int, ...], like: Any = None) -> Any:
    """`_checks.as_labels` for an array on a GPU: a contiguous torch tensor of uint8, there."""
    import torch

    owner = framework(array)
    if owner != "torch":
        if owner is not None:  # numpy or cupy: torch has no negative strides, and aborts on them
            array = sys.modules[owner].ascontiguousarray(array)
        if hasattr(array, "__dlpack__"):
            array = torch.from_dlpack(array)
        else:
            array = torch.from_numpy(_checks.as_labels(array, name=name))
    if array.dtype in (torch.uint16, torch.uint32, torch.uint64):
        array = array.to(torch.int64)  # CUDA has no minimum of these
    _checks.require_labels(array, name=name, ndim=ndims)
    if like is not None:
        array = array.to(like.device)
    return array.to(torch.uint8).contiguous()


def as_bytes(array: Any) -> Any:
    """A bool array as uint8, not copied."""
    if framework(array) == "torch":
        return array.view(sys.modules["torch"].uint8)
    return array.view(np.uint8)


def phase_pair(phase: Any, other: Any) -> tuple[int, int]:
    """Two phase numbers; the second defaults to the first."""
    first = _checks.phase_number(phase)
    return first, first if other is None else _checks.phase_number(other, name="other")


def lattice_direction(axis: Any, ndim: int) -> tuple[int, ...]:
    """Primitive lattice vector (one integer per axis) from an axis or from such a vector."""
    if isinstance(axis, tuple | list | np.ndarray) and np.ndim(axis) == 1:
        vector = tuple(_checks.integer(step, name="axis") for step in axis)
        if len(vector) != ndim or math.gcd(*vector) != 1:
            raise ValueError(
                f"`axis` must be an axis or a primitive lattice vector of {ndim} integers without "
                f"a common divisor, got {vector}"
            )
        return vector
    number = _checks.axis_number(axis, ndim)
    return tuple(int(k == number) for k in range(ndim))


def steps_along(space: tuple[int, ...], direction: tuple[int, ...]) -> int:
    """Lattice points of the longest line along ``direction`` that fits in the image."""
    return 1 + min((n - 1) // abs(d) for n, d in zip(space, direction, strict=True) if d)


def lag_limit(
    max_lag: Any, space: tuple[int, ...], direction: tuple[int, ...], periodic: tuple[bool, ...]
) -> int:
    """Longest lag along ``direction``: default half of the longest line that fits."""
    n = steps_along(space, direction)
    if max_lag is None:
        return _checks.lag_limit(None, n)
    steps = list(zip(space, direction, periodic, strict=True))
    ends = [(m - 1) // abs(d) + 1 for m, d, wrap in steps if d and not wrap]
    if not ends:  # the line closes on itself
        ends = [math.lcm(*(m // math.gcd(m, d) for m, d, _ in steps if d))]
    return _checks.lag_limit(max_lag, min(ends))


def spacing(image: Image, voxel_size: Any) -> tuple[tuple[float, float, float], str]:
    """(dz, dy, dx) and their unit; None means in voxels."""
    if voxel_size is None:
        return (1.0, 1.0, 1.0), "voxels"
    sizes = voxel_size
    if image.ndim == 2 and np.ndim(voxel_size) == 1 and len(voxel_size) == 2:
        sizes = (1.0, *voxel_size)
    return _checks.voxel_size3(sizes), "m"


def thread_count(threads: Any) -> int:
    """Threads to use; 0 is ``OMP_NUM_THREADS``, or every CPU this process may run on."""
    number = _checks.integer(threads, name="threads", minimum=0)
    if number:
        return number
    wished = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if wished.isdigit() and int(wished) > 0:
        return int(wished)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def pieces(n: int, size: int) -> Iterator[tuple[int, int]]:
    """[0, n) in pieces of at most ``size``."""
    size = max(1, size)
    for start in range(0, n, size):
        yield start, min(n, start + size)


def run_jobs(
    job: Callable[[int, int], None], jobs: Iterable[tuple[int, int]], threads: int
) -> None:
    """Call ``job(start, stop)`` for every piece, on ``threads`` threads."""
    if threads == 1:
        for start, stop in jobs:
            job(start, stop)
        return
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(job, start, stop) for start, stop in jobs]:
            done.result()
