# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Micrographs and volumes that the options of a command name, and the places it writes to."""

from __future__ import annotations

import dataclasses
import shutil
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._atomic import try_write
from .._errors import ArgumentError, ArgumentTypeError
from .._planes import PLANES
from .errors import fail, to_stderr
from .options import read_crop, read_phases, read_shape, read_threshold

if TYPE_CHECKING:
    from ..diffusion import Model
    from ..micrographs import Micrographs
    from ..microstructure import Microstructure

__all__ = [
    "IMAGES",
    "OF_MODEL",
    "MicrographOptions",
    "VolumeDetails",
    "check_output",
    "load_volume",
    "require_model_details",
]

#: Arguments of the library and the options that set them, for `errors.guarded`.
IMAGES = {f"images[{plane!r}]": plane for plane in PLANES}
#: What sets ``voxel_size`` where micrographs are compared with the volumes of a model.
OF_MODEL = "the voxel size of --model"
_OF_VOLUMES = ("raw_shape", "raw_type", "array", "crop", "mask")


@dataclass(frozen=True)
class VolumeDetails:
    """The options of a command about the file of a volume, or about several files."""

    raw_shape: str | None = None
    raw_type: str | None = None
    array: str | None = None
    crop: str | None = None
    mask: Path | None = None
    threshold: str | None = None
    n_phases: int | None = None
    files: Sequence[Path] = ()

    @classmethod
    def of(cls, parameters: Mapping[str, Any], *files: Path | None) -> VolumeDetails:
        """Return the options among the parameters of a command that describe these files."""
        own = {name: parameters[name] for name in _OF_VOLUMES}
        return cls(**own, files=tuple(file for file in files if file is not None))

    def refuse_without_volume(self) -> None:
        """Refuse options about a volume where none is given."""
        for name in _OF_VOLUMES:
            if (value := getattr(self, name)) is not None:
                option = "--" + name.replace("_", "-")
                fail(f"{option} must be left out without a volume, got {value}")

    def arguments(self, path: Path) -> dict[str, Any]:
        """Return arguments of `io.load`, without what only another of the files takes."""
        from .. import io

        shape = None if self.raw_shape is None else read_shape(self.raw_shape, "--raw-shape")
        given = {"shape": shape, "dtype": self.raw_type, "name": self.array}
        own = io.read_options(path)
        theirs = {option for file in self.files for option in io.read_options(file)}
        return {
            **{key: value for key, value in given.items() if key in own or key not in theirs},
            "crop": read_crop(self.crop),
            "mask": self.mask,
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

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> MicrographOptions:
        """Return the options among the parameters of a command that takes --volume too."""
        names = [field.name for field in dataclasses.fields(cls) if field.name != "details"]
        details = VolumeDetails.of(parameters, parameters["volume"])
        return cls(**{name: parameters[name] for name in names}, details=details)

    def load(
        self,
        *,
        phase_names: Sequence[str] | None = None,
        voxel_size: float | tuple[float, ...] | None = None,
        seed: int = 0,
    ) -> Micrographs | None:
        """Return the micrographs; None if no option names any."""
        with warnings.catch_warnings():
            if voxel_size == (1.0, 1.0, 1.0):  # of a model in voxels, which contradicts no file
                warnings.filterwarnings("ignore", "`voxel_size` .* is used, but")
            return self._load(phase_names, voxel_size, seed)

    def _load(
        self,
        phase_names: Sequence[str] | None,
        voxel_size: float | tuple[float, ...] | None,
        seed: int,
    ) -> Micrographs | None:
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
        self.details.refuse_without_volume()
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
        solid = io.load(
            path,
            voxel_size=voxel_size,
            phase_names=phase_names,
            phases=read_phases(phases),
            **(details or VolumeDetails()).arguments(path),
        )
    except (ValueError, TypeError, FileNotFoundError) as error:  # --shape is that of another volume
        shape = "its shape" if details is None else "raw_shape"
        error.parameters = {  # type: ignore[union-attr]
            "path": parameter, "shape": shape, "dtype": "raw_type", "name": "array",
        }  # fmt: skip
        raise
    if details is not None and details.mask is not None and solid.phase_names[-1] == io.OUTSIDE:
        warnings.warn(
            f"the voxels outside `mask`, {solid.volume_fractions[-1]:.1%} of {path}, count as "
            f"phase {solid.n_phases - 1}, {io.OUTSIDE!r}, in all results; `crop` keeps a part "
            "without them",
            stacklevel=2,
        )
    return solid


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
        if form.require_free is not None:
            try:
                form.require_free(path)
            except ArgumentError as error:
                fail(f"{option} must {error.wanted}, got {error.got}")
    present = next(p for p in (path if folder else path.parent, *path.parents) if p.is_dir())
    try:
        if not folder:
            path.parent.mkdir(parents=True, exist_ok=True)
        try_write(present / "micro3d" if folder else path)
    except OSError as error:
        fail(f"{option} must be a place that can be written, got {path}: {error.strerror}")
    free = shutil.disk_usage(present).free
    if free < voxels:
        warnings.warn(
            f"`{option}` may need up to {voxels / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free",
            stacklevel=2,
        )


def require_model_details(
    model: Model, names: Sequence[str] | None, voxel_size: float | tuple[float, ...] | None
) -> None:
    """Refuse phase names and a voxel size other than the model's before any volume is read."""
    from .. import _checks

    try:
        if names is not None:
            _checks.phase_names_of_model(names, model.phase_names, name="phase_names")
        if voxel_size is not None:
            size = _checks.voxel_size3(voxel_size)
            _checks.voxel_size_of_model(size, model.voxel_size, name="voxel_size")
    except (ArgumentError, ArgumentTypeError) as error:  # commands give these names other options
        fail(error.sentence(lambda name: "--" + name.replace("_", "-")))
