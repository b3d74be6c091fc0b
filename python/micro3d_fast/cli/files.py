# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Micrographs and volumes that the options of a command name, and the places it writes to."""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._planes import PLANES
from .errors import fail, to_stderr
from .options import read_crop, read_phases, read_shape, read_threshold

if TYPE_CHECKING:
    from ..micrographs import Micrographs
    from ..microstructure import Microstructure

__all__ = ["IMAGES", "MicrographOptions", "VolumeDetails", "check_output", "load_volume"]

NAMED = (".npz", ".vti", ".h5", ".hdf5", ".zarr", ".dream3d")  # files of several arrays
#: Arguments of the library and the options that set them, for `errors.guarded`.
IMAGES = {f"images[{plane!r}]": plane for plane in PLANES}


@dataclass(frozen=True)
class VolumeDetails:
    """The options of a command about the file of a volume."""

    raw_shape: str | None = None
    array: str | None = None
    crop: str | None = None
    threshold: str | None = None
    n_phases: int | None = None

    def arguments(self, path: Path) -> dict[str, Any]:
        """Return arguments of `io.load`; shape and array where the format of the file has them."""
        kind = path.suffix.lower()
        shape = None if self.raw_shape is None else read_shape(self.raw_shape, "--raw-shape")
        return {
            "shape": shape if kind == ".raw" else None,
            "name": self.array if kind in NAMED else None,
            "crop": read_crop(self.crop),
            "threshold": read_threshold(self.threshold),
            "n_phases": self.n_phases,
        }


@dataclass(frozen=True)
class MicrographOptions:
    """The options of a command that takes micrographs, or a volume to take slices of."""

    xy: list[str] | None
    xz: list[str] | None
    yz: list[str] | None
    volume: Path | None
    images_per_plane: int
    phases: str | None
    threshold: str | None
    n_phases: int | None
    details: VolumeDetails = VolumeDetails()  # of the volume

    def load(
        self,
        *,
        phase_names: Sequence[str] | None = None,
        voxel_size: float | tuple[float, ...] | None = None,
        seed: int = 0,
    ) -> Micrographs | None:
        """Return the micrographs; None if no option names any."""
        from ..micrographs import Micrographs
        from ..microstructure import describe_voxel_size

        planes = dict(zip(PLANES, (self.xy, self.xz, self.yz), strict=True))
        given = {plane: list(patterns) for plane, patterns in planes.items() if patterns}
        if self.volume is not None:
            if given:
                fail("--volume must stand alone, without --xy, --xz or --yz")
            details = dataclasses.replace(
                self.details, threshold=self.threshold, n_phases=self.n_phases
            )
            solid = load_volume(
                self.volume, "volume", voxel_size, phase_names, self.phases, details
            )
            return Micrographs.from_volume(solid, self.images_per_plane, seed=seed)
        if not given:
            return None
        micrographs = Micrographs.load(
            given,
            phases=read_phases(self.phases),
            voxel_size=voxel_size,
            phase_names=phase_names,
            threshold=read_threshold(self.threshold),
            n_phases=self.n_phases,
        )
        if micrographs.voxel_size_source:
            size = describe_voxel_size(micrographs.voxel_size)
            to_stderr(f"voxel size{size}: {micrographs.voxel_size_source}")
        return micrographs


def load_volume(
    path: Path,
    parameter: str,
    voxel_size: float | tuple[float, ...] | None = None,
    phase_names: Sequence[str] | None = None,
    phases: str | None = None,
    details: VolumeDetails | None = None,
) -> Microstructure:
    """Read the volume that a parameter of the command names; other options override its details."""
    from .. import io

    try:
        return io.load(
            path,
            voxel_size=voxel_size,
            phase_names=phase_names,
            phases=read_phases(phases),
            **(details or VolumeDetails()).arguments(path),
        )
    except (ValueError, FileNotFoundError) as error:  # --shape is that of another volume
        shape = "its shape" if details is None else "raw_shape"
        error.parameters = {"path": parameter, "shape": shape, "name": "array"}  # type: ignore[union-attr]
        raise


def check_output(path: Path, *, folder: bool, option: str = "--out", voxels: int = 0) -> None:
    """Refuse, before hours of work, a place where the result cannot be written.

    ``voxels``: of the volumes to be written, for a warning where they may not fit on the disk.
    """
    if folder and path.exists() and not path.is_dir():
        fail(f"{option} must be a directory, got the file {path}")
    if not folder and path.is_dir() and path.suffix != ".zarr":
        fail(f"{option} must be a file, got the directory {path}")
    for parent in path.parents:
        if parent.exists() and not parent.is_dir():
            fail(f"{option} must lie in a directory, got {path} in the file {parent}")
    if not folder:
        from ..io import FORMATS, WRITABLE

        if path.suffix.lower() not in WRITABLE:
            fail(f"{option} must end in {', '.join(WRITABLE)}, got {path}")
        (form,) = (f for f in FORMATS if path.suffix.lower() in f.suffixes)
        if form.requires is not None:
            form.requires()
    present = next(p for p in (path if folder else path.parent, *path.parents) if p.is_dir())
    try:
        with tempfile.TemporaryFile(dir=present):
            pass
        if not folder:
            path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        fail(f"{option} must be a place that can be written, got {path}: {error.strerror}")
    free = shutil.disk_usage(present).free
    if free < voxels:
        warnings.warn(
            f"`{option}` may need up to {voxels / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free",
            stacklevel=2,
        )
