# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Labels and mask as every descriptor works on them: checked once, as a volume."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import _checks
from .._arrays import framework, is_cuda
from .._phases import grey_hint, listed, phase_counts, warn_of_absent
from .._stored import Flags3, StoredLabels, stored_labels

Shape3 = tuple[int, int, int]
OPEN: Flags3 = (False, False, False)


@dataclass(frozen=True)
class LabelVolume:
    """Labels and mask as a volume: a 2D image is one slice, a batch of images one slice each.

    The arrays are numpy, or torch tensors where labels on a GPU were loaded with ``on_device``, or
    `StoredLabels` where they were loaded with ``by_blocks``; what is counted there is the `total`.
    """

    labels: Any  # uint8 (nz, ny, nx)
    mask: Any | None  # bool (nz, ny, nx)
    ndim: int  # dimensions of space: 2 or 3
    batch: bool = False
    voxel: tuple[float, float, float] | None = None  # size in metres, of a Microstructure with one
    names: tuple[str, ...] = ()  # of the phases of a Microstructure

    @classmethod
    def of(
        cls,
        labels: Any,
        mask: Any = None,
        *,
        batch: Any = False,
        on_device: bool = False,
        by_blocks: bool = False,
        bytes_per_voxel: int = 1,
    ) -> LabelVolume:
        """Check ``labels`` and ``mask`` and return them as one volume.

        With ``on_device`` an array on a GPU stays there; otherwise it is copied to the host.  With
        ``by_blocks`` zarr and dask arrays are not read; otherwise large ones are refused, with the
        memory that ``bytes_per_voxel`` amount to.
        """
        batch = _checks.boolean(batch, name="batch")
        dimensions = (3,) if batch else (2, 3)
        if by_blocks and (stored := stored_labels(labels, ndim=dimensions)) is not None:
            return cls._of_stored(stored, labels, mask, batch)
        stay = on_device and is_cuda(labels)
        if stay:
            array = _labels_on_gpu(labels, "labels", dimensions)
        else:
            array = _checks.as_labels(labels, ndim=dimensions, bytes_per_voxel=bytes_per_voxel)
        shape = tuple(int(n) for n in array.shape)
        ndim = 2 if batch else len(shape)
        volume = array.reshape((1,) * (3 - len(shape)) + shape)
        known = known_voxel_size(labels), _checks.names_of_phases(labels)
        if mask is None:
            return cls(volume, None, ndim, batch, *known)
        if stay:
            inside = _labels_on_gpu(mask, "mask", (2, 3)).to(array.device)
        else:
            inside = _checks.as_labels(mask, name="mask")
        if tuple(inside.shape) != shape:
            raise _checks.refuse(
                "mask", f"have the shape of `labels` {shape}", str(tuple(inside.shape))
            )
        within = _checks.inside_of_mask(inside)
        if not within.any():
            raise _checks.refuse("mask", "leave at least one voxel", "an empty mask")
        return cls(volume, within.reshape(volume.shape), ndim, batch, *known)

    @classmethod
    def _of_stored(cls, stored: StoredLabels, labels: Any, mask: Any, batch: bool) -> LabelVolume:
        inside: Any = None
        if mask is not None:
            inside = stored_labels(mask, name="mask")
            if inside is None:
                inside = _checks.as_labels(mask, name="mask")
                inside = inside if inside.ndim == 3 else inside[None]
            if inside.shape != stored.shape:
                wanted = f"have the shape of `labels` {stored.shape}"
                raise _checks.refuse("mask", wanted, str(inside.shape))
        ndim = 2 if batch else stored.given_ndim
        known = known_voxel_size(labels), _checks.names_of_phases(labels)
        return cls(stored, inside, ndim, batch, *known)

    def total(
        self,
        measure: Callable[[LabelVolume, Flags3], np.ndarray],
        *,
        halo: Shape3 = (0, 0, 0),
        whole: Flags3 = OPEN,
        periodic: Flags3 = OPEN,
    ) -> np.ndarray:
        """Return ``measure(volume, periodic)``; of stored labels the sum over their parts.

        Of a batch that is an array per image, each of which is measured as a whole.  The other
        arguments are those of `StoredLabels.parts`.
        """
        if not isinstance(self.labels, StoredLabels):
            return measure(self, periodic)
        if self.batch:
            whole = (False, True, True)
        found: Any = 0
        images = []
        for sign, labels, mask, wraps in self.labels.parts(halo, whole, periodic, self.mask):
            part = LabelVolume(labels, mask, self.ndim, self.batch, self.voxel, self.names)
            measured = measure(part, wraps)
            if self.batch:
                images.append(measured)
            else:
                found = found + sign * measured
        return np.concatenate(images) if self.batch else found

    @property
    def shape(self) -> Shape3:
        """(nz, ny, nx)."""
        nz, ny, nx = self.labels.shape
        return nz, ny, nx

    @property
    def lead(self) -> int:
        """Number of axes of the volume before those of space."""
        return 3 - self.ndim

    @property
    def space(self) -> tuple[int, ...]:
        """Extents of the axes of space."""
        return self.shape[self.lead :]

    @property
    def shortest(self) -> int:
        """Shortest extent of the axes of space longer than one voxel; 1 if there are none."""
        return min((n for n in self.space if n > 1), default=1)

    @property
    def mask8(self) -> Any | None:
        """The mask as uint8, for native code; not copied."""
        if self.mask is None:
            return None
        torch = framework(self.mask) == "torch"
        return self.mask.view(sys.modules["torch"].uint8 if torch else np.uint8)

    @property
    def inside(self) -> Any:
        """Labels of the voxels inside the mask, flat; all labels without a mask."""
        return self.labels if self.mask is None else self.labels[self.mask]

    def phase(self, phase: Any) -> int:
        """Return the number of a phase; warn the caller's caller if the phase does not occur."""
        number = _checks.phase_number(phase, names=self.names)
        warn_of_absent(self.labels, number, stacklevel=3)
        return number

    def phase_count(self, n_phases: Any = None) -> int:
        """Return the largest label + 1, or ``n_phases``, which must be at least that.

        Warn the caller's caller of grey values that were left as labels.
        """
        least = int(self.labels.max()) + 1
        if n_phases is None:
            if least == 256:
                present = np.flatnonzero(phase_counts(self.labels, 256))
                if hint := grey_hint(present):
                    warnings.warn(f"the labels are {listed(present)}{hint}", stacklevel=3)
            return least
        return _checks.integer(n_phases, name="n_phases", minimum=least, maximum=256)

    def periodic_axes(self, periodic: Any) -> Flags3:
        """Return one flag per axis of the volume."""
        flags = (False,) * self.lead + _checks.per_axis_bool(periodic, self.ndim)
        return flags[0], flags[1], flags[2]

    def spacing(self, voxel_size: Any) -> tuple[tuple[float, float, float], str]:
        """Return (dz, dy, dx) and their unit; None means that of the labels, or in voxels."""
        if voxel_size is None:
            return ((1.0, 1.0, 1.0), "voxels") if self.voxel is None else (self.voxel, "m")
        return _checks.voxel_size3(voxel_size, ndim=self.ndim), "m"

    def indicator(self, phase: int) -> np.ndarray:
        """Return the voxels of the phase inside the mask, as bool."""
        inside = self.labels == phase
        if self.mask is not None:
            inside &= self.mask
        return inside

    def slices(self) -> Iterator[LabelVolume]:
        """Yield the images of a batch, one by one."""
        for k in range(self.shape[0]):
            mask = None if self.mask is None else self.mask[k : k + 1]
            yield LabelVolume(self.labels[k : k + 1], mask, 2)


def neighbours(values: np.ndarray, axis: int, periodic: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return the first and the second ends of the neighbour pairs along an axis."""
    if periodic:
        return values, np.roll(values, -1, axis=axis)
    before = (slice(None),) * axis
    return values[(*before, slice(-1))], values[(*before, slice(1, None))]


def known_voxel_size(side: Any) -> tuple[float, float, float] | None:
    """Return the voxel size of an object that has one; None for the default of one voxel."""
    found = getattr(side, "voxel_size", None)
    if found is None or all(edge == 1.0 for edge in found):
        return None
    z, y, x = (float(edge) for edge in found)
    return z, y, x


def _labels_on_gpu(array: Any, name: str, ndim: tuple[int, ...]) -> Any:
    """Return labels as a contiguous torch tensor of uint8, where they are."""
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
    _checks.require_labels(array, name=name, ndim=ndim)
    return array.to(torch.uint8).contiguous()
