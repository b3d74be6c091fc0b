# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""``micro3d calibrate``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from .._atomic import rescued
from .errors import Stopped, fail, guarded, to_stderr, to_stdout
from .files import IMAGES, OF_MODEL, MicrographOptions, check_output, require_model_details
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
    PhaseNames,
    Phases,
    RawShape,
    RawType,
    Seed,
    SourceVolume,
    Threshold,
    VoxelSize,
    command_line,
    read_names,
    read_periodic,
    read_shape,
    read_voxel_size,
)
from .progress import CtrlC, Progress
from .verdict import print_verdict

__all__ = ["calibrate"]

_FOUND = ("harmonize", "coupling", "agreement")  # arguments of `reconstruct`
_ISLANDS = (
    "These options do not limit single-pixel islands to the number in the micrographs; --save "
    "does, for a --model that is a directory."
)

Shape = Annotated[
    str | None,
    typer.Option(metavar="NZ,NY,NX", help="Shape of the volumes; default: the training patch."),
]
Effort = Annotated[
    str,
    typer.Option(
        metavar="[quick|full]",
        help="quick: the harmonizing passes and the coupling; full: also correct the network (20 "
        "minutes for a small model on two cores).",
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        help="Directory of --effort full: resumed if it was interrupted, the model in OUT/model; "
        "default: MODEL/calibration."
    ),
]
Volumes = Annotated[
    int | None,
    typer.Option(
        help="Volumes of each trial (default 2 of 64³, up to 8 smaller ones), of each round of "
        "--effort full (16)."
    ),
]
Rounds = Annotated[int, typer.Option(help="Most rounds of --effort full.")]
Save = Annotated[bool, typer.Option("--save", help="Save the result in --model.")]


@guarded(
    path_or_bundled_name="model",
    volume_shape="shape",
    labels="volume",
    voxel_size=OF_MODEL,
    **IMAGES,
)
def calibrate(
    model: ModelName,
    effort: Effort = "quick",
    out: Out = None,
    shape: Shape = None,
    volumes: Volumes = None,
    rounds: Rounds = 1,
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
    phase_names: PhaseNames = None,
    voxel_size: VoxelSize = None,
    raw_shape: RawShape = None,
    raw_type: RawType = None,
    array: ArrayName = None,
    crop: Crop = None,
    mask: Mask = None,
    debug: Debug = False,
) -> None:
    """Fit a model's volumes to its micrographs.

    --effort quick finds the harmonizing passes and the coupling for which small volumes have as
    much surface as the micrographs. With --save they become the default of the model; without it,
    pass the printed options to reconstruct. --effort full then corrects the network itself, from
    slices of its own volumes.

    \b
    Examples:
      micro3d calibrate --model run/ --xy 'xy/*.png' --xz 'xz/*.png' --yz 'yz/*.png' \\
          --phases 0:0,255:1 --save
      micro3d calibrate --model run/ --volume tomogram.tif --effort full
    """
    images = MicrographOptions.of(locals())
    volume_shape = None if shape is None else read_shape(shape)
    per_axis = read_periodic(periodic)

    from .. import calibration, diffusion
    from ..diffusion.model import keep_calibration, model_directory
    from ..diffusion.recipe import as_option

    loaded = diffusion.load_model(model)
    require_model_details(loaded, read_names(phase_names), read_voxel_size(voxel_size))
    directory = model_directory(model)
    if save and not Path(model).exists():
        fail(f"--model must be a directory where --save is given, got {model}")
    full = effort == "full"
    if full and out is None:
        if not Path(model).exists():
            fail(f"--out must name a directory for --effort full of the bundled model {model}")
        out = Path(model) / "calibration"
    if save:
        check_output(directory, folder=True, option="--model")
    if out is not None:
        check_output(Path(out), folder=True)
    micrographs = images.load(voxel_size=loaded.voxel_size)
    if micrographs is None:
        fail("calibrate needs micrographs: give those of training, or --volume")
    if out is not None and (out / "calibration.json").exists():
        to_stderr(f"The calibration in {out} goes on.")
    with CtrlC() as ctrl_c, Progress("calibrating", ctrl_c.check) as progress:
        try:
            result = calibration.calibrate(
                loaded,
                micrographs,
                effort=effort,
                out=out,
                volume_shape=volume_shape,
                volumes=volumes,
                rounds=rounds,
                seed=seed,
                periodic=per_axis,
                device=device,
                progress=progress,
            )
        except KeyboardInterrupt as error:
            if not full:
                raise
            raise Stopped(
                f"Stopped; what is done is kept in {out}. To resume: {command_line()}"
            ) from error
    print_verdict(result.verdict)
    print(result.table())
    if save and full:
        rescued(directory, result.model.save)
    elif save:
        keep_calibration(directory, result.model)
    if save:
        to_stdout(f"Saved in {directory}.")
    found, note = "", []
    if not save and not full:
        options = {name: getattr(result, name) for name in _FOUND}
        found = "".join(f"{as_option(name, value)} " for name, value in options.items())
        if result.model.island_rates != loaded.island_rates:
            note = [_ISLANDS]
    name = shlex.quote(str(out) if full and not save else model)
    to_stdout(f"Next: micro3d reconstruct --model {name} {found}--out volume.tif", *note)
