# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Microstructure: a labelled voxel volume with what is known about it.

Conventions: ``labels[z, y, x]``, uint8, phases ``0 ... P-1``, C-contiguous and read-only; voxel
size ``(dz, dy, dx)`` in metres, where 1.0 (the default) means "in voxels"; provenance is plain
JSON; fields are further arrays on the same voxels, ``(nz, ny, nx)`` or ``(nz, ny, nx, k)``.
"""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from . import _checks, _figures, _notebook
from ._checks import refuse, refuse_type, shown
from ._phases import phase_counts
from ._plain_data import MAX_GIVEN_DEPTH
from ._printable import printable
from ._stored import BLOCK_BYTES, Stored, StoredLabels
from .typing import Chunked, Labels, VoxelSize

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Microstructure"]


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Microstructure:
    """A labelled voxel volume, its voxel size, phase names and provenance.

    Parameters
    ----------
    labels : array of bool or integers, shape (nz, ny, nx)
        Phase of every voxel, ``0 ... 255``; numpy, torch or cupy.  Stored as a read-only uint8
        array; taken without a copy only if it already is one.
    voxel_size : float or (dz, dy, dx)
        In metres; the default 1.0 means "in voxels".
    phase_names : sequence of str, optional
        One distinct name per phase; also fixes the number of phases if the last do not occur.
        Control characters are kept as their escapes, such as ``\\x1b``.
        Default ``"phase 0"``, ``"phase 1"``, ...
    provenance : mapping, optional
        Where the volume comes from; anything JSON can hold, numpy scalars and arrays too.
    fields : mapping of str to array, optional
        Further arrays on the same voxels, of shape ``(nz, ny, nx)`` or ``(nz, ny, nx, k)``.

    Notes
    -----
    Slices along all axes crop: ``volume[:32, 8:24]`` is a Microstructure of the same voxels, with
    the crop in its provenance.  Slices with a step are refused, since they change the voxel size.
    Any other index gives what it gives for ``labels``: ``volume[3]`` is an array (ny, nx).

    ``volume == 1`` and the other comparisons with numbers and arrays give an array of bool.
    Two volumes are equal if they are the same object, as their hash is that of the object.

    ``labels`` and ``fields`` of a volume from `open` are not in memory: they give numpy arrays when
    they are indexed by integers and slices, as in ``volume.labels[3]``.
    So ``volume in volumes`` finds the object in a list of volumes; in a list that holds arrays or
    numbers it is ambiguous, as for an array, and an error.  ``1 in volume`` tells whether a voxel
    has label 1.

    Examples
    --------
    >>> import numpy as np
    >>> labels = np.zeros((4, 4, 4), dtype=np.uint8)
    >>> labels[:, :, 3] = 1
    >>> volume = Microstructure(labels, voxel_size=1e-6, phase_names=("matrix", "fibre"))
    >>> print(volume)
    Microstructure: 4 x 4 x 4 voxels (z, y, x) of 1e-06 m, matrix 0.7500, fibre 0.2500
    >>> print(volume[:2, :, 2:])
    Microstructure: 2 x 4 x 2 voxels (z, y, x) of 1e-06 m, matrix 0.5000, fibre 0.5000
    >>> int((volume == 1).sum())
    16
    """

    labels: np.ndarray
    voxel_size: tuple[float, float, float]
    phase_names: tuple[str, ...]
    provenance: dict[str, Any]
    fields: dict[str, np.ndarray]

    def __init__(
        self,
        labels: Labels,
        voxel_size: VoxelSize = 1.0,
        phase_names: Iterable[str] | None = None,
        provenance: Mapping[str, Any] | None = None,
        fields: Mapping[str, Any] | None = None,
    ) -> None:
        n_phases = 1  # of labels that are not in memory, larger ones are refused when read
        if not isinstance(labels, StoredLabels):
            labels = read_only(_checks.as_labels(labels, ndim=3))
        if phase_names is None or not isinstance(labels, StoredLabels):
            n_phases = int(labels.max()) + 1
        object.__setattr__(self, "labels", labels)
        object.__setattr__(self, "voxel_size", _checks.voxel_size3(voxel_size))
        names = phase_names_for(n_phases, phase_names)
        object.__setattr__(self, "phase_names", names)
        object.__setattr__(self, "provenance", _checked_provenance(provenance))
        object.__setattr__(self, "fields", _checked_fields(fields or {}, labels.shape))

    # ------------------------------------------------------------------------------ properties

    @property
    def shape(self) -> tuple[int, int, int]:
        """``(nz, ny, nx)`` in voxels."""
        nz, ny, nx = self.labels.shape
        return nz, ny, nx

    @property
    def n_phases(self) -> int:
        """Number of phases P; the last ones may be absent from the volume."""
        return len(self.phase_names)

    @property
    def size(self) -> tuple[float, float, float]:
        """Edge lengths ``(lz, ly, lx)`` in metres."""
        return tuple(n * d for n, d in zip(self.shape, self.voxel_size, strict=True))  # type: ignore[return-value]

    @cached_property
    def volume_fractions(self) -> np.ndarray:
        """Volume fraction of every phase, shape (P,), dimensionless; exact counts divided once.

        Of labels that are not in memory this is one pass over them, the first time.
        """
        return phase_counts(self.labels, self.n_phases) / self.labels.size

    @property
    def is_counted(self) -> bool:
        """Whether `volume_fractions` take no pass over labels that are not in memory."""
        return not isinstance(self.labels, StoredLabels) or self.labels.is_counted

    # --------------------------------------------------------------------------------- methods

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Return the labels; read-only unless a copy is requested."""
        return np.array(self.labels, dtype=dtype, copy=copy)

    def __len__(self) -> int:
        """Return the number of slices along z."""
        return len(self.labels)

    def __contains__(self, label: object) -> bool:
        """Return whether any voxel has this label."""
        return label in self.labels

    @overload
    def __getitem__(self, index: slice | tuple[slice, ...]) -> Microstructure: ...

    @overload
    def __getitem__(self, index: Any) -> Any: ...

    def __getitem__(self, index: Any) -> Any:
        """Return a crop for slices along the axes, else what the index gives for the labels."""
        parts = index if isinstance(index, tuple) else (index,)
        named = [part for part in parts if part is not ...]
        open_axes = 3 - len(named)
        slices_only = all(isinstance(part, slice) for part in named)
        if open_axes < 0 or len(parts) > len(named) + 1 or not slices_only:
            return self.labels[index]
        before = next((i for i, part in enumerate(parts) if part is ...), len(named))
        return self._crop([*named[:before], *[slice(None)] * open_axes, *named[before:]])

    def _crop(self, window: Sequence[slice]) -> Microstructure:
        """Return the part in a window, of shape three, or the volume itself if that is all."""
        ranges = [part.indices(n) for part, n in zip(window, self.shape, strict=True)]
        for start, stop, step in ranges:
            if step != 1:
                hint = "slice `labels` and give a Microstructure of them the new voxel size"
                raise refuse("index", "have slices without a step", f"a step of {step}", hint)
            if start >= stop:
                raise refuse("index", f"keep voxels of the shape {self.shape}", shown(window))
        box = tuple(slice(start, stop) for start, stop, _ in ranges)
        if tuple(part.stop - part.start for part in box) == self.shape:
            return self
        return Microstructure(
            self.labels[box],
            self.voxel_size,
            self.phase_names,
            provenance_of_crop(self.provenance, self.shape, box),
            {name: field[box] for name, field in self.fields.items()},
        )

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> Any:
        return self._compared(operator.eq, other)

    def __ne__(self, other: object) -> Any:
        return self._compared(operator.ne, other)

    def __lt__(self, other: float | np.ndarray) -> np.ndarray:
        return self._compared(operator.lt, other)

    def __le__(self, other: float | np.ndarray) -> np.ndarray:
        return self._compared(operator.le, other)

    def __gt__(self, other: float | np.ndarray) -> np.ndarray:
        return self._compared(operator.gt, other)

    def __ge__(self, other: float | np.ndarray) -> np.ndarray:
        return self._compared(operator.ge, other)

    def _compared(self, compare: Callable[[Any, Any], Any], other: Any) -> Any:
        """Compare the labels with a number or an array; other objects are left to Python."""
        if isinstance(other, int | float | np.generic | np.ndarray):
            return compare(np.asarray(self), other)
        return NotImplemented

    def save(self, path: str | os.PathLike[str], **options: Any) -> Path:
        """Write to a file in the format of its suffix; see :func:`micro3d_fast.io.save`."""
        from . import io

        return io.save(path, self, **options)

    @classmethod
    def load(cls, path: str | os.PathLike[str], **options: Any) -> Microstructure:
        """Read from a file in the format of its suffix; see :func:`micro3d_fast.io.load`."""
        from . import io

        return io.load(path, **options)

    @classmethod
    def open(
        cls,
        source: str | os.PathLike[str] | Chunked,
        *,
        voxel_size: VoxelSize | None = None,
        phase_names: Sequence[str] | None = None,
        name: str | None = None,
        block_bytes: int = BLOCK_BYTES,
        progress: bool | None = None,
    ) -> Microstructure:
        """Open a .zarr file, or an array of zarr, dask or h5py, without reading its voxels.

        Slices read: ``volume[:64]`` is a volume in memory.  `volume_fractions`, directional
        correlations, lineal paths, chords, the surface and `compare` go over the labels in blocks,
        and give what they give of a volume in memory.  Functions that need all voxels at once read
        up to 2^28 of them and refuse larger volumes.

        Parameters
        ----------
        source : path or array
            An array has axes (z, y, x).
        voxel_size : float or (dz, dy, dx), optional
            In metres, instead of that of the file.
        phase_names : sequence of str, optional
            Instead of those of the file; labels beyond them are refused when they are read.
            Without any, one pass over the labels finds the number of phases.
        name : str, optional
            Array of a .zarr that holds several; see :func:`micro3d_fast.io.load`.
        block_bytes : int
            Largest block of labels in memory; 256 MiB by default.  A block is a whole number of
            chunks where they are small enough.
        progress : bool, optional
            Show a bar for every pass over the labels; default: for those of more than a few
            seconds, in a terminal or notebook.

        Returns
        -------
        Microstructure
            The digest of the labels in a file is checked by `load` alone; chunks that were saved by
            this version carry a checksum.
        """
        from . import io

        return io.open_volume(
            source,
            voxel_size=voxel_size,
            phase_names=phase_names,
            name=name,
            block_bytes=block_bytes,
            progress=progress,
        )

    def plot(self, axes: Sequence[Axes] | np.ndarray | None = None) -> np.ndarray:
        """Draw the slice in the middle of the volume in each plane.

        Parameters
        ----------
        axes : sequence of three matplotlib axes, optional
            Where to draw; default a new figure.

        Returns
        -------
        array of matplotlib.axes.Axes
        """
        pictures = _notebook.middle_slices(self.labels)
        return _figures.plot_labels(pictures, self.voxel_size, self.phase_names, axes)

    def _repr_html_(self) -> str:
        return _notebook.volume_html(self)

    def __repr__(self) -> str:
        nz, ny, nx = self.shape
        if self.is_counted:
            phases = describe_fractions(self.phase_names, self.volume_fractions)
        else:
            phases = f"{self.n_phases} phases, not in memory"
        extra = f", fields {', '.join(self.fields)}" if self.fields else ""
        size = describe_voxel_size(self.voxel_size)
        return f"Microstructure: {nz} x {ny} x {nx} voxels (z, y, x){size}, {phases}{extra}"


# ------------------------------------------------------------------------------------- helpers


def read_only(array: np.ndarray) -> np.ndarray:
    """Return the array itself if nobody can write to it, else a read-only copy."""
    owner: Any = array
    while isinstance(owner, np.ndarray):
        if owner.flags.writeable:
            array = array.copy()
            break
        owner = owner.base
    else:
        if owner is not None:  # memory of another library, which may write to it
            array = array.copy()
    array.flags.writeable = False
    return array


def phase_names_for(n_phases: int, names: Iterable[str] | None) -> tuple[str, ...]:
    """Return checked phase names, or the default ones."""
    if isinstance(names, str | bytes) or (names is not None and not isinstance(names, Iterable)):
        raise refuse_type("phase_names", "be a sequence of names", shown(names))
    names = tuple(names or ())
    if not names:
        return tuple(f"phase {phase}" for phase in range(n_phases))
    if not all(isinstance(name, str) for name in names):
        raise refuse_type("phase_names", "be a sequence of names", shown(names))
    names = tuple(printable(str(name)) for name in names)
    wanted = "hold one distinct, non-empty name for each phase"
    if len(names) < n_phases:
        raise refuse("phase_names", wanted, f"{len(names)} names for {n_phases} phases")
    if len(names) > 256:
        raise refuse("phase_names", "hold at most 256 names", str(len(names)))
    if len(set(names)) != len(names) or not all(name.strip() for name in names):
        raise refuse("phase_names", wanted, shown(names))
    return names


def provenance_of_crop(
    provenance: Mapping[str, Any], shape: Sequence[int], box: Sequence[slice]
) -> dict[str, Any]:
    """Return the provenance of a part: where it lies in the whole, and that of the whole.

    Its own entries, such as fractions and periodic axes, would be wrong for the part.  A part of a
    part counts from the first whole.
    """
    starts, whole = [0, 0, 0], tuple(shape)
    if record := recorded_crop(provenance):
        starts, whole, provenance = [start for start, _ in record[0]], record[1], record[2]
    ends = [[s + part.start, s + part.stop] for s, part in zip(starts, box, strict=True)]
    return {"crop": {"box": ends, "shape": list(whole), "provenance": dict(provenance)}}


def recorded_crop(
    provenance: Any,
) -> tuple[list[list[int]], tuple[int, ...], Mapping[str, Any]] | None:
    """Return box, shape and provenance of the whole that a provenance gives; None without."""
    crop = provenance.get("crop") if isinstance(provenance, Mapping) else None
    if not isinstance(crop, Mapping) or not isinstance(crop.get("provenance"), Mapping):
        return None
    try:  # a file may hold anything
        box = [[operator.index(start), operator.index(stop)] for start, stop in crop["box"]]
        shape = tuple(operator.index(n) for n in crop["shape"])
    except (KeyError, TypeError, ValueError):
        return None
    return (box, shape, crop["provenance"]) if len(box) == len(shape) == 3 else None


def describe_voxel_size(voxel_size: Sequence[float]) -> str:
    """Return ``" of 1e-06 m"`` or ``" of 1e-06 x 2e-06 x 2e-06 m"``; empty for 1.0."""
    if all(size == 1.0 for size in voxel_size):
        return ""
    if len(set(voxel_size)) == 1:
        return f" of {voxel_size[0]:.6g} m"
    return f" of {' x '.join(f'{size:.6g}' for size in voxel_size)} m"


def describe_fractions(names: Sequence[str], fractions: Sequence[float] | np.ndarray) -> str:
    """Return ``"matrix 0.5500, fibre 0.4500"``; of many phases those that occur, at most eight."""
    pairs = list(zip(names, fractions, strict=True))
    if len(pairs) > 8:
        pairs = [pair for pair in pairs if pair[1] > 0]
    parts = [f"{name} {fraction:.4f}" for name, fraction in pairs[:8]]
    if len(pairs) > 8:
        parts.append(f"... ({len(pairs)} phases)")
    return ", ".join(parts)


def plain_json(value: Any, *, name: str, depth: int = 0) -> Any:
    """Return a deep copy in plain JSON types; arrays become lists, NaN and infinity strings.

    Lists and mappings that are nested deeper than files may be are refused, with those that hold
    themselves.
    """
    if depth > MAX_GIVEN_DEPTH:
        wanted = f"nest at most {MAX_GIVEN_DEPTH} lists and mappings in each other"
        raise refuse(name, wanted, "more")
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, np.generic):
        return plain_json(value.item(), name=name)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)  # JSON has no NaN
    if isinstance(value, np.ndarray):
        return plain_json(value.tolist(), name=name, depth=depth)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise refuse_type(name, "have strings as keys", shown(list(value)))
        return {
            str(key): plain_json(item, name=name, depth=depth + 1) for key, item in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [plain_json(item, name=name, depth=depth + 1) for item in value]
    raise refuse_type(name, "hold what JSON can hold", type(value).__name__)


def _checked_provenance(provenance: Any) -> dict[str, Any]:
    if provenance is not None and not isinstance(provenance, Mapping):
        raise refuse_type("provenance", "be a mapping", type(provenance).__name__)
    return plain_json(provenance or {}, name="provenance")


def _checked_fields(fields: Any, shape: tuple[int, ...]) -> dict[str, Any]:
    if not isinstance(fields, Mapping):
        raise refuse_type("fields", "be a mapping of arrays", type(fields).__name__)
    checked: dict[str, Any] = {}
    for key, value in fields.items():
        if not isinstance(key, str) or not key.isprintable() or not key.strip() or "/" in key:
            raise refuse("fields", "have printable names without '/'", repr(key))
        if key == "labels":
            raise refuse("fields", "have names other than 'labels'", "'labels'")
        name = f"fields[{key!r}]"
        if isinstance(value, Stored):
            checked[key] = value
            continue
        array = _checks.to_host(value, name=name)
        if array.dtype.kind not in "buif":
            raise refuse_type(name, "hold real numbers", f"dtype {array.dtype}")
        if array.shape[:3] != shape or array.ndim not in (3, 4) or array.size == 0:
            axes = ", ".join(map(str, shape))
            raise refuse(name, f"have shape ({axes}) or ({axes}, k)", str(array.shape))
        if array.dtype.kind == "f" and array.dtype.itemsize > 8:
            array = array.astype(np.float64)  # no file format agrees on long double
        checked[key] = read_only(np.ascontiguousarray(array))
    return checked
