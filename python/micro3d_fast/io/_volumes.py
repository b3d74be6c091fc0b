# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Save and load a volume in the format of its suffix."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from .. import _checks
from .._arrays import is_stored
from .._atomic import present_directory
from .._checks import refuse, refuse_content, refuse_type, shown
from .._errors import ArgumentError, ArgumentTypeError
from .._files import UnreadableFileError, regular_size
from .._phase_rules import Segmentation
from .._pixel_size import SAME_SIZE, PixelSize
from .._progress import checked
from .._stored import BLOCK_BYTES, Stored, StoredLabels
from ..microstructure import (
    Microstructure,
    phase_names_for,
    provenance_of_crop,
    recorded_crop,
)
from ..typing import Chunked, Labels, VoxelSize
from ._format import Content, Format, require_digests
from ._registry import OPENERS, READERS, WRITERS
from ._rules import LabelRule, box_of
from ._slices import files_of, read_slices

#: Name of the phase of the voxels outside a mask.
OUTSIDE = "outside"


def save(path: str | os.PathLike[str], microstructure: Labels, **options: Any) -> Path:
    """Write a volume to a file in the format of its suffix, atomically.

    Parameters
    ----------
    path : path
        Ending in .npy, .npz, .tif, .tiff, .vti, .h5, .hdf5, .zarr, .raw or .inp; an existing file
        is replaced.  See the table of `micro3d_fast.io` for what each format carries.
    microstructure : Microstructure or array of labels
        The volume.
    omit : sequence of int or str
        For .inp only: phases without elements, such as the pores.

    Returns
    -------
    pathlib.Path
        The path written.
    """
    path = _checks.path(path)
    if not isinstance(microstructure, Microstructure):
        microstructure = Microstructure(microstructure)
    elif isinstance(microstructure.labels, StoredLabels):
        microstructure = _in_memory(microstructure)
    form = _format_of(path, WRITERS)
    if not Path(os.path.realpath(path)).parent.is_dir():  # of a link, that of the file behind it
        raise FileNotFoundError(f"`path` must lie in an existing directory, got {path}")
    _refuse_directory(path, form)
    for option, value in options.items():
        if option not in form.write_options:
            raise refuse_type(option, f"be left out for {path.suffix} files", shown(value))
    _warn_of_losses(path, microstructure, form)
    form.write(path, microstructure, **options)
    return path


def _warn_of_losses(path: Path, volume: Microstructure, form: Format) -> None:
    """Warn of what a volume has and its file cannot hold."""
    has = {
        "voxel size": any(size != 1.0 for size in volume.voxel_size),
        "phase names": volume.phase_names != phase_names_for(volume.n_phases, None),
        "provenance": bool(volume.provenance),
        "fields": bool(volume.fields),
    }
    lost = [what for what, present in has.items() if present and what not in form.carries]
    if lost:
        text = f"{path} does not hold the {', '.join(lost)} of the volume; a .npz file would"
        warnings.warn(text, stacklevel=4)


def load(
    path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    voxel_size: VoxelSize | None = None,
    phase_names: Sequence[str] | None = None,
    phases: Mapping[Any, int] | str | None = None,
    shape: Sequence[int] | None = None,
    dtype: DTypeLike | None = None,
    name: str | None = None,
    threshold: float | Sequence[float] | str | None = None,
    n_phases: int | None = None,
    crop: Sequence[slice | Sequence[int | None] | None] | None = None,
    mask: Labels | str | os.PathLike[str] | None = None,
) -> Microstructure:
    """Read a volume from a file in the format of its suffix, or from the images of its slices.

    Parameters
    ----------
    path : path, pattern or list of paths
        Ending in .npy, .npz, .tif, .tiff, .vti, .h5, .hdf5, .zarr, .raw or .dream3d.
        Or a folder, a pattern such as ``"slices/*.png"`` (natural order) or a list of images
        (.png, .tif, .bmp, .jpg), one per slice along z.
    voxel_size : float or (dz, dy, dx), of a 2D image also (dy, dx), optional
        In metres, instead of that of the file, with a warning if it is another one.
    phase_names : sequence of str, optional
        Instead of those of the file.
    phases : dict or "labels", optional
        Value in the file to phase, such as ``{0: 0, 255: 1}``; default: the values are phases,
        which must be integers.  ``"labels"`` takes whole numbers of floating point, too.
    shape : (nz, ny, nx), optional
        Of a .raw file without its .raw.json.
    dtype : dtype, optional
        Of the values of a .raw file, such as ``"uint16"``, or ``">u2"`` for big-endian; default
        that of its .raw.json, or bytes.
    name : str, optional
        Array of a .npz, .vti, .h5 or .zarr that holds several; default ``"labels"``, or the only
        one.
    threshold : float, increasing floats, "otsu" or "multi-otsu", optional
        For grey values, as in :meth:`micro3d_fast.Micrographs.load`.
    n_phases : int, optional
        Number of phases; needed by ``"multi-otsu"``.
    crop : three of (start, stop) or slice, optional
        The part to keep along z, y and x, in voxels; None keeps an axis or an end.
    mask : array of bool or path, shape (nz, ny, nx), optional
        Where the material is (not 0), such as the cylinder of a tomogram.  Voxels outside are not
        counted by the Otsu methods and become one more phase, the last, named ``"outside"``; the
        functions of ``statistics`` take ``mask=volume.labels != volume.n_phases - 1``.

    Returns
    -------
    Microstructure
    """
    options = {"shape": shape, "dtype": dtype, "name": name}
    content, source = _content(path, {k: v for k, v in options.items() if v is not None})
    if isinstance(mask, str | os.PathLike):
        mask = _volume_values(*_content(mask, {}, "mask"))
    rule = LabelRule(phases, threshold, n_phases, mask, crop)
    return _microstructure(source, content, voxel_size, phase_names, rule)


def open_volume(
    source: str | os.PathLike[str] | Chunked,
    *,
    voxel_size: VoxelSize | None = None,
    phase_names: Sequence[str] | None = None,
    name: str | None = None,
    block_bytes: int = BLOCK_BYTES,
    progress: bool | None = None,
) -> Microstructure:
    """Open a volume without reading its voxels; see `Microstructure.open`."""
    if is_stored(source):
        _refuse_options({} if name is None else {"name": name}, (), "arrays")
        array: Any = source
        values, text = Stored(array, axes=len(array.shape)), "`source`"
        meta: Mapping[str, Any] = {}
        fields: Mapping[str, Any] = {}
    else:
        options = {} if name is None else {"name": name}
        path = _checks.path(source, name="source")
        (values, meta, fields), text = _content(path, options, "source", lazy=True)
    if values.ndim != 3:
        raise refuse_content(text, "hold a volume (nz, ny, nx)", f"shape {values.shape}")
    names = meta.get("phase_names") if phase_names is None else phase_names
    names = phase_names_for(1, names) if names else None
    labels = StoredLabels(
        values.array,
        values.lead,
        n_phases=256 if names is None else len(names),
        block_bytes=_checks.integer(block_bytes, name="block_bytes", minimum=1),
        progress=checked(progress),
    )
    if voxel_size is None:
        size = _voxel_size(text, meta, labels.shape[0])
    else:
        size = _checks.lengths3(voxel_size, ndim=labels.given_ndim)
        _warn_of_contradiction(text, meta, size, labels.shape[0])
    return Microstructure(labels, size, names, meta.get("provenance") or {}, fields)


def _in_memory(volume: Microstructure) -> Microstructure:
    """Return a volume with labels and fields in memory."""
    fields = {name: field[...] for name, field in volume.fields.items()}
    labels = _checks.as_labels(volume, name="microstructure")
    return Microstructure(labels, volume.voxel_size, volume.phase_names, volume.provenance, fields)


def read_options(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """Return those of the arguments shape, dtype and name of `load` that a file or folder takes."""
    form = READERS.get(Path(path).suffix.lower())
    return () if form is None else form.read_options


def _content(
    path: Any, options: Mapping[str, Any], argument: str = "path", lazy: bool = False
) -> tuple[Content, str]:
    """Return the content of one file or of slices, and the name of its source.

    ``lazy`` leaves arrays on disk, and takes only formats that allow it.
    """
    files = path if lazy else files_of(path, argument)
    if isinstance(files, Path):
        form = _format_of(files, OPENERS if lazy else READERS, argument)
        _refuse_options(options, form.read_options, f"{files.suffix} files")
        present = present_directory(files) if form.is_directory else files
        if not present.exists():
            raise FileNotFoundError(f"`{argument}` must be an existing file, got {files}")
        _refuse_directory(files, form, argument)
        if not form.is_directory:
            regular_size(files)
        return _read(present, form, options, lazy), str(files)
    _refuse_options(options, (), "slices")
    source = f"{files[0]} ... {files[-1]}" if len(files) > 1 else str(files[0])
    return read_slices(files), source


def _refuse_options(options: Mapping[str, Any], known: Sequence[str], kind: str) -> None:
    for option, value in options.items():
        if option not in known:
            reason = "which store it" if option != "name" else "which hold one array"
            raise refuse(option, f"be None for {kind}, {reason}", shown(value))


def _format_of(path: Path, formats: Mapping[str, Format], argument: str = "path") -> Format:
    """Return the format of a path by its suffix."""
    suffix = path.suffix.lower()
    if suffix not in formats:
        raise refuse(argument, f"end in one of {', '.join(formats)}", repr(str(path)))
    return formats[suffix]


def _refuse_directory(path: Path, form: Format, argument: str = "path") -> None:
    if path.is_dir() and not form.is_directory:
        raise refuse(argument, "be a file", f"the directory {path}")


def _read(path: Path, form: Format, options: Mapping[str, Any], lazy: bool) -> Content:
    """Read a file; what its library raises becomes a ValueError that names the file."""
    read = form.open if lazy else form.read
    assert read is not None
    try:
        content = read(path, **options)
    except (ArgumentError, ArgumentTypeError, ModuleNotFoundError, PermissionError, MemoryError):
        raise
    except UnreadableFileError:  # which says it already
        raise
    except Exception as error:
        raise UnreadableFileError.of(path, path.suffix.lower(), error) from error
    if "name" not in options and not lazy:  # who names an array takes it as it is
        require_digests(path, content, form)
    return content


def _microstructure(
    source: str, content: Content, voxel_size: Any, phase_names: Any, rule: LabelRule
) -> Microstructure:
    """Return the volume of a file, with arguments of the caller in place of its metadata."""
    values, (_, meta, fields) = _volume_values(content, source), content
    labels, inside, segmentation = rule.labels(source, values)
    provenance = meta.get("provenance") or {}
    count = int(labels.max()) + 1 if inside is None else rule.count(labels)
    names = meta.get("phase_names") if phase_names is None else phase_names
    mapped = rule.phases is not None or rule.threshold is not None
    if rule.threshold is not None or isinstance(rule.phases, Mapping):
        provenance = _provenance_of_labels(provenance, segmentation)
    if phase_names is None and mapped and len(names or ()) != count:
        names = None  # those of other values
    if rule.crop is not None:
        box = box_of(rule.crop, values.shape)
        fields = {name: field[box] for name, field in fields.items()}
        if labels.shape != values.shape:
            provenance = provenance_of_crop(provenance, values.shape, box)
    if voxel_size is None:
        size = _voxel_size(source, meta, len(labels))
    else:
        size = _checks.lengths3(voxel_size, ndim=content.values.ndim)
        _warn_of_contradiction(source, meta, size, len(labels))
    if names is None and not mapped:
        _warn_of_gaps(source, labels)
    if inside is not None:
        names = _names_with_outside(count, names)
        count = len(names)
        labels[~inside] = count - 1
    for array in (labels, *fields.values()):
        _freeze(array)
    try:
        names = phase_names_for(count, names)
    except (ArgumentError, ArgumentTypeError) as error:
        raise error.in_source(source) if phase_names is None else error from None
    return Microstructure(
        labels=labels,
        voxel_size=size,
        phase_names=names,
        provenance=provenance,
        fields=dict(fields),
    )


def _provenance_of_labels(provenance: Any, segmentation: Segmentation) -> Any:
    """Return a provenance with the thresholds of these labels in place of those of others."""
    if not isinstance(provenance, Mapping):
        return provenance
    if recorded_crop(provenance):  # that of the whole says how it was segmented
        crop = provenance["crop"]
        whole = _provenance_of_labels(crop["provenance"], segmentation)
        return {**provenance, "crop": {**crop, "provenance": whole}}
    own = {k: v for k, v in provenance.items() if k not in ("thresholds", "segmentation")}
    if segmentation.text:
        own |= {"thresholds": list(segmentation.thresholds), "segmentation": segmentation.text}
    return own


def _volume_values(content: Content, source: str) -> np.ndarray:
    """Return the values of a file as (nz, ny, nx)."""
    values = content.values
    if values.ndim == 2:
        values = values[None]
    if values.ndim == 4 and values.shape[3] == 1:  # one component
        values = values[..., 0]
    if values.ndim != 3 or values.size == 0:
        raise refuse_content(source, "hold a volume (nz, ny, nx)", f"shape {values.shape}")
    return values


def _names_with_outside(count: int, names: Any) -> tuple[str, ...]:
    """Return the names of the phases and, last, that of the voxels outside the mask."""
    given = phase_names_for(1, names) if names else phase_names_for(count, None)
    inner = given[:-1] if given[-1] == OUTSIDE else given
    return phase_names_for(count + 1, (*phase_names_for(count, inner), OUTSIDE))


def _voxel_size(source: str, meta: Mapping[str, Any], slices: int) -> tuple[float, float, float]:
    """Return the voxel size that a file states, 1.0 if it states none."""
    stated: PixelSize | None = meta.get("pixel_size")
    if stated is not None:
        return stated.of_volume(source, slices)
    if meta.get("note"):
        warnings.warn(f"{source}: {meta['note']}; else give `voxel_size`", stacklevel=4)
    try:
        return _checks.lengths3(meta.get("voxel_size") or 1.0)
    except (ArgumentError, ArgumentTypeError) as error:
        raise error.in_source(source) from None


def _warn_of_contradiction(
    source: str, meta: Mapping[str, Any], given: Sequence[float], slices: int
) -> None:
    """Warn where a file states another voxel size than the given one, and not only nonsense."""
    pixel: PixelSize | None = meta.get("pixel_size")
    if pixel is not None and (pixel.problem or pixel.depth_problem):
        return
    try:
        of_meta = _checks.voxel_size3(meta.get("voxel_size") or 1.0)
    except (ArgumentError, ArgumentTypeError):
        return
    stated = of_meta if pixel is None else pixel.size
    known = tuple(size if size != 1.0 else None for size in stated)
    first = 0 if slices > 1 else 1  # one slice has no distance to another
    pairs = zip(known[first:], given[first:], strict=True)
    if any(size and not math.isclose(size, g, rel_tol=SAME_SIZE) for size, g in pairs):
        sizes = " x ".join(f"{size:.6g}" if size else "unknown" for size in known)
        warnings.warn(
            f"`voxel_size` {tuple(given)} m is used, but {source} states {sizes} m",
            stacklevel=4,
        )


def _warn_of_gaps(source: str, labels: np.ndarray) -> None:
    """Warn of labels that are rather grey values, such as 0 and 255."""
    present = np.flatnonzero(np.bincount(labels.ravel(), minlength=256))
    if 4 * len(present) <= present[-1] + 1:
        found = ", ".join(map(str, present))
        example = {int(value): phase for phase, value in enumerate(present)}
        warnings.warn(
            f"{source} holds only the values {found} and is taken as {present[-1] + 1} phases; if "
            f"these are grey values, give `phases`={example}",
            stacklevel=4,
        )


def _freeze(array: np.ndarray) -> None:
    """Make an array that was just read read-only, so that `Microstructure` does not copy it."""
    owner: Any = array
    while isinstance(owner, np.ndarray):
        owner.flags.writeable = False
        owner = owner.base
