# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""``micro3d calibrate``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from .errors import fail, guarded
from .files import IMAGES, OF_MODEL, MicrographOptions
from .options import (
    XY,
    XZ,
    YZ,
    ArrayName,
    Crop,
    Debug,
    Device,
    Mask,
    ModelName,
    Periodic,
    PerPlane,
    PhaseCount,
    Phases,
    RawShape,
    RawType,
    Seed,
    Threshold,
    read_periodic,
    read_shape,
)
from .progress import CtrlC, Progress
from .verdict import print_verdict

__all__ = ["calibrate"]

Shape = Annotated[
    str | None,
    typer.Option(metavar="NZ,NY,NX", help="Shape of the volumes; default: the training patch."),
]
Volumes = Annotated[int, typer.Option(help="Volumes reconstructed per candidate.")]
Save = Annotated[bool, typer.Option("--save", help="Save the result in --model as its default.")]
SourceVolume = Annotated[
    Path | None, typer.Option(help="Use slices of this volume as micrographs.")
]


@guarded(
    path_or_bundled_name="model",
    volume_shape="shape",
    labels="volume",
    voxel_size=OF_MODEL,
    **IMAGES,
)
def calibrate(
    model: ModelName,
    shape: Shape = None,
    volumes: Volumes = 2,
    save: Save = False,
    seed: Seed = 0,
    periodic: Periodic = None,
    device: Device = None,
    xy: XY = None,
    xz: XZ = None,
    yz: YZ = None,
    volume: SourceVolume = None,
    images_per_plane: PerPlane = 300,
    phases: Phases = None,
    threshold: Threshold = None,
    n_phases: PhaseCount = None,
    raw_shape: RawShape = None,
    raw_type: RawType = None,
    array: ArrayName = None,
    crop: Crop = None,
    mask: Mask = None,
    debug: Debug = False,
) -> None:
    """Choose the harmonizing passes of one model.

    Small volumes are reconstructed with several candidates and compared with the micrographs.
    With --save the best candidate becomes the default of the model; without it, pass the printed
    option to reconstruct.

    \b
    Examples:
      micro3d calibrate --model run/ --xy 'xy/*.png' --xz 'xz/*.png' --yz 'yz/*.png' \\
          --phases 0:0,255:1 --save
      micro3d calibrate --model run/ --volume tomogram.tif --shape 48,48,48
    """
    images = MicrographOptions.of(locals())
    volume_shape = None if shape is None else read_shape(shape)
    per_axis = read_periodic(periodic)

    from .. import calibration, diffusion
    from ..diffusion.model import keep_harmonize, model_directory

    loaded = diffusion.load_model(model)
    directory = model_directory(model)
    if save and not Path(model).exists():
        fail(f"--model must be a directory where --save is given, got {model}")
    micrographs = images.load(voxel_size=loaded.voxel_size)
    if micrographs is None:
        fail("calibrate needs micrographs: give those of training, or --volume")
    with CtrlC() as ctrl_c, Progress("calibrating", ctrl_c.check) as progress:
        result = calibration.calibrate(
            loaded,
            micrographs,
            volume_shape=volume_shape,
            volumes=volumes,
            seed=seed,
            periodic=per_axis,
            device=device,
            callback=progress,
        )
    print_verdict(result.verdict)
    print(result.table())
    if save:
        keep_harmonize(directory, result.harmonize)
        print(f"Saved in {directory}.")
    repeats = "" if save else "--harmonize " + ",".join(map(str, result.harmonize)) + " "
    print(f"Next: micro3d reconstruct --model {shlex.quote(model)} {repeats}--out volume.tif")
