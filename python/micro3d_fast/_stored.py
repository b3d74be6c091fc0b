# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Labels on disk (zarr, HDF5) or not computed yet (dask), which are read by blocks.

Any array that is indexed by slices and has ``shape``, ``dtype`` and ``chunks`` will do; zarr, h5py
and dask are not imported.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from . import _checks
from ._arrays import is_stored
from ._blocks import Window, best_block
from ._files import first_line
from ._phases import phase_counts
from ._progress import Shown, following

#: Bytes of a block with its halo, unless another number is requested.
BLOCK_BYTES = 1 << 28
_BASIC = (int, np.integer, slice, type(...))  # what all these libraries take as an index

Flags3 = tuple[bool, bool, bool]


class Part(NamedTuple):
    """A part of a volume in memory, and the sign with which its counts enter the sum."""

    sign: int
    labels: np.ndarray
    mask: np.ndarray | None
    periodic: Flags3


class Stored:
    """An array of voxels (nz, ny, nx) or (nz, ny, nx, k) that is read by slices.

    Parameters
    ----------
    array : zarr.Array, dask.array.Array, h5py.Dataset, ...
        A 2D array is one slice.
    lead : int
        Axes of one element before those of the voxels.
    axes : int
        Axes of the voxels and their components; further ones have one element.
    """

    def __init__(self, array: Any, lead: int = 0, axes: int = 3) -> None:
        self.array, self.lead = array, lead
        self._tail = max(array.ndim - lead - axes, 0)
        self._flat = array.ndim == 2
        shape = tuple(int(n) for n in array.shape)
        self.shape = (1, *shape) if self._flat else shape[lead : len(shape) - self._tail]
        self.ndim, self.size = len(self.shape), math.prod(self.shape)
        self.dtype = np.dtype(array.dtype)

    def __getitem__(self, index: Any) -> np.ndarray:
        """Return what integers and slices select, in memory."""
        parts: list[Any] = list(index) if isinstance(index, tuple) else [index]
        if not all(isinstance(part, _BASIC) for part in parts):
            wanted = "hold integers and slices alone, for an array that is not in memory"
            raise _checks.refuse_type("index", wanted, _checks.shown(index))
        before = next((k for k, part in enumerate(parts) if part is ...), len(parts))
        after = parts[before + 1 :]
        parts[before : before + 1] = [slice(None)] * (self.ndim - before - len(after))
        if self._flat:
            return self._checked(self._read(parts[1:]))[None][parts[0]]
        return self._checked(self._read([*[0] * self.lead, *parts, *[0] * self._tail]))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Return the whole array in memory."""
        return np.asarray(self[...], dtype=dtype)

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        kind = f"{type(self.array).__module__.partition('.')[0]} array"
        return f"{' x '.join(map(str, self.shape))} voxels of a {kind}"

    def _read(self, index: Sequence[Any]) -> np.ndarray:
        """Return a part; what the library raises becomes a ValueError."""
        try:
            return np.asarray(self.array[tuple(index)])
        except (MemoryError, IndexError):
            raise
        except Exception as error:
            raise ValueError(f"{self!r} cannot be read: {first_line(error)}") from error

    def _checked(self, values: np.ndarray) -> np.ndarray:
        return values


class StoredLabels(Stored):
    """Labels 0 ... 255 that are read by blocks.

    Parameters
    ----------
    array, lead
        As of `Stored`.
    name : str
        Of the argument, for refusals.
    n_phases : int
        Larger labels are refused when they are read.
    block_bytes : int
        Bytes of a block with its halo, as it is stored, at most.
    progress : bool, optional
        True: a bar for every pass over the array; None: for those of more than a few seconds.
    """

    def __init__(
        self,
        array: Any,
        lead: int = 0,
        *,
        name: str = "labels",
        n_phases: int = 256,
        block_bytes: int = BLOCK_BYTES,
        progress: Shown = None,
    ) -> None:
        super().__init__(array, lead)
        self.given_ndim = 2 if self._flat else 3
        self.name, self.n_phases = name, n_phases
        self.block_bytes, self.progress = block_bytes, progress
        _checks.require_label_kind(self, name=name)

    @property
    def chunks(self) -> tuple[int, ...]:
        """Extents of the chunks along the axes of the voxels, the largest of uneven ones."""
        found = [max(c) if isinstance(c, tuple | list) else int(c) for c in self.array.chunks]
        return (1, *found) if self._flat else tuple(found[self.lead : self.lead + 3])

    @property
    def is_counted(self) -> bool:
        """Whether `counts` are known without another pass."""
        return "counts" in vars(self)

    @cached_property
    def counts(self) -> np.ndarray:
        """Number of voxels of labels 0 ... 255, from one pass over the array."""
        return sum(phase_counts(part.labels, 256) for part in self.parts())  # type: ignore[return-value]

    @property
    def _most(self) -> int:
        """Largest number of voxels of a block."""
        return self.block_bytes // self.dtype.itemsize

    def __contains__(self, label: object) -> bool:
        return label in np.flatnonzero(self.counts)

    def max(self) -> int:
        """Return the largest label."""
        return int(np.flatnonzero(self.counts)[-1])

    def crop(self, window: Window) -> StoredLabels | np.ndarray:
        """Return a part, in memory if it is no larger than a block."""
        if math.prod(part.stop - part.start for part in window) <= self._most:
            return self[window]
        return _Crop(self, window)

    def take(self, indices: int | Sequence[int], axis: int) -> np.ndarray:
        """Return one slice or several along an axis, like ``numpy.take``; no negative indices."""
        wanted = np.atleast_1d(indices)
        shape = list(self.shape)
        shape[axis] = len(wanted)
        out = np.empty(shape, np.uint8)
        for window in self._windows((0, 0, 0), (False, False, False)):
            along = window[axis]
            which = np.flatnonzero((wanted >= along.start) & (wanted < along.stop))
            if which.size:
                first, last = int(wanted[which].min()), int(wanted[which].max())
                box: list[Any] = list(window)
                box[axis] = slice(first, last + 1)
                found = self[tuple(box)].take(wanted[which] - first, axis)
                box[axis] = which
                out[tuple(box)] = found
        return out if np.ndim(indices) else out.squeeze(axis)

    def parts(
        self,
        halo: Sequence[int] = (0, 0, 0),
        whole: Flags3 = (False, False, False),
        periodic: Flags3 = (False, False, False),
        mask: Any = None,
    ) -> Iterator[Part]:
        """Yield parts whose counts, with their signs, add up to those of the volume.

        Counted are pairs, segments and other patterns of voxels that reach over at most ``halo``
        voxels beyond the first along each axis.  A pattern belongs to the block that its lower
        corner lies in.  Each block is read with its halo; from all patterns in it those whose
        corner lies in the halo, which are patterns in the halo alone, are subtracted, along each
        axis.

        Parameters
        ----------
        halo : three int
        whole : three bool
            Axes that are not cut.
        periodic : three bool
            Axes along which patterns cross the faces.
        mask : array or StoredLabels of the same shape, optional
        """
        windows = self._windows(halo, whole)
        with following(self.progress, f"Reading {self!r}") as bar:
            inside: set[int] = set()  # the numbers of a mask, which is read in parts
            for done, window in enumerate(windows):
                yield from self._parts_of(window, halo, periodic, mask, inside)
                bar.part(done + 1, len(windows))

    def _parts_of(
        self,
        window: Window,
        halo: Sequence[int],
        periodic: Flags3,
        mask: Any,
        values: set[int],
    ) -> Iterator[Part]:
        """Yield a block with its halo, and the parts of the halo."""
        cut = [w.stop - w.start < n for w, n in zip(window, self.shape, strict=True)]
        ends = [
            w.stop if not c else w.stop + h if wrap else min(w.stop + h, n)
            for w, c, h, wrap, n in zip(window, cut, halo, periodic, self.shape, strict=True)
        ]
        box = tuple(slice(w.start, end) for w, end in zip(window, ends, strict=True))
        labels = _read_box(self, box)
        inside = None
        if mask is not None:
            inside = _checks.inside_of_mask(_read_box(mask, box), values=values)
        wraps = tuple(wrap and not c for wrap, c in zip(periodic, cut, strict=True))
        flags = wraps[0], wraps[1], wraps[2]
        choices = [
            (slice(None), slice(w.stop - w.start, None)) if end > w.stop else (slice(None),)
            for w, end in zip(window, ends, strict=True)
        ]
        for part in itertools.product(*choices):
            sign = (-1) ** sum(piece.start is not None for piece in part)
            yield Part(sign, labels[part], None if inside is None else inside[part], flags)

    def _windows(self, halo: Sequence[int], whole: Flags3) -> list[Window]:
        """Return the blocks, without their halos."""
        size = best_block(self.shape, self.chunks, halo, whole, self._most)
        extents = [min(m + h, n) for m, h, n in zip(size, halo, self.shape, strict=True)]
        if math.prod(extents) > self._most:
            wanted = f"be read by blocks of {self.block_bytes} bytes"
            got = f"lags or lines that need {math.prod(extents) * self.dtype.itemsize}"
            raise _checks.refuse(self.name, wanted, got)
        starts = [range(0, n, m) for n, m in zip(self.shape, size, strict=True)]
        return [
            tuple(slice(a, min(a + m, n)) for a, m, n in zip(at, size, self.shape, strict=True))
            for at in itertools.product(*starts)
        ]

    def _checked(self, values: np.ndarray) -> np.ndarray:
        array = _checks.plain_bool(values)
        if array.size == 0:
            return array.astype(np.uint8)
        low, high = int(array.min()), int(array.max())
        if low < 0 or high >= self.n_phases:
            wanted = f"hold values 0 ... {self.n_phases - 1}"
            raise _checks.refuse(self.name, wanted, f"{low} ... {high}")
        return np.ascontiguousarray(array, dtype=np.uint8)


class _Crop(StoredLabels):
    """A part of stored labels that is too large for memory."""

    def __init__(self, whole: StoredLabels, window: Window) -> None:
        self.whole, self.window = whole, window
        vars(self).update({k: v for k, v in vars(whole).items() if k != "counts"})
        self.shape = tuple(part.stop - part.start for part in window)
        self.size = math.prod(self.shape)

    def __getitem__(self, index: Any) -> np.ndarray:
        ranges = (part.indices(n) for part, n in zip(index, self.shape, strict=True))
        return self.whole[
            tuple(
                slice(w.start + start, w.start + stop)
                for w, (start, stop, _) in zip(self.window, ranges, strict=True)
            )
        ]


def stored_labels(
    labels: Any, *, name: str = "labels", ndim: Sequence[int] = (2, 3)
) -> StoredLabels | None:
    """Return labels that are not in memory, or those of a volume, None for all others."""
    held = getattr(labels, "labels", labels)
    if isinstance(held, StoredLabels):
        return held
    if not is_stored(labels):
        return None
    _checks.require_label_kind(labels, name=name, ndim=ndim)
    return StoredLabels(labels, name=name)


def _read_box(array: Any, box: Window) -> np.ndarray:
    """Return a window of an array, which may reach beyond the ends of periodic axes."""
    shape = tuple(part.stop - part.start for part in box)
    if all(part.stop <= n for part, n in zip(box, array.shape, strict=True)):
        return np.asarray(array[box])
    out = np.empty(shape, array.dtype if isinstance(array, np.ndarray) else np.uint8)
    pieces = [list(_wrapped(part, n)) for part, n in zip(box, array.shape, strict=True)]
    for chosen in itertools.product(*pieces):
        out[tuple(to for to, _ in chosen)] = array[tuple(at for _, at in chosen)]
    return out


def _wrapped(part: slice, n: int) -> Iterator[tuple[slice, slice]]:
    """Yield where the pieces of a window of a periodic axis belong, and where they lie."""
    done = 0
    while done < part.stop - part.start:
        at = (part.start + done) % n
        size = min(n - at, part.stop - part.start - done)
        yield slice(done, done + size), slice(at, at + size)
        done += size
