# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""``micro3d train``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .._torchrun import torchrun_processes
from .errors import Stopped, fail, guarded, to_stderr, to_stdout
from .files import IMAGES, MicrographOptions, check_output
from .options import (
    XY,
    XZ,
    YZ,
    ArrayName,
    Crop,
    Debug,
    Device,
    Mask,
    PerPlane,
    PhaseCount,
    PhaseNames,
    Phases,
    RawShape,
    RawType,
    Seed,
    Threshold,
    VoxelSize,
    command_line,
    read_names,
    read_voxel_size,
)
from .progress import CtrlC, Progress
from .torchrun import joined, together
from .verdict import COLOURS, print_training

if TYPE_CHECKING:
    from ..diffusion import Model
    from ..micrographs import Micrographs

__all__ = ["train"]

Out = Annotated[Path, typer.Option(help="Directory of the run; a run in it is resumed.")]
SourceVolume = Annotated[
    Path | None,
    typer.Option(help="Take slices of this volume as micrographs (the paper's protocol)."),
]
Preset = Annotated[str, typer.Option(help="small, base or paper.")]
Patch = Annotated[int, typer.Option(help="Side of the training crops, in pixels.")]
Steps = Annotated[
    int | None,
    typer.Option(
        help="Training steps; default: a third of the preset's, and more while 2D samples are not "
        "as near to the micrographs as crops are."
    ),
]
BatchSize = Annotated[int, typer.Option(help="Crops per step, of all devices together.")]
Accumulate = Annotated[
    int,
    typer.Option(help="Parts of a batch that are computed one after the other, to save memory."),
]
LearningRate = Annotated[
    float | None,
    typer.Option(help="Peak learning rate; default: that of the preset (with --init a third)."),
]
Init = Annotated[
    str | None,
    typer.Option(
        metavar="NAME_OR_PATH",
        help="Start from the weights of a model: a directory written by train, universal, "
        "fibre-composite, separator or cathode.",
    ),
]
Precision = Annotated[str, typer.Option(help="auto, bfloat16 or float32.")]
FractionCondition = Annotated[
    bool,
    typer.Option("--fraction-condition", help="Condition the network on the phase fractions."),
]
Resume = Annotated[
    bool,
    typer.Option(
        help="Resume the run in --out; with --no-resume, refuse an --out that holds a run."
    ),
]

_NO_IMAGES = "train needs micrographs: give --xy, --xz and --yz (one, two or three), or --volume"


@guarded(labels="volume", **IMAGES)
def train(
    out: Out,
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
    preset: Preset = "small",
    patch: Patch = 64,
    steps: Steps = None,
    batch_size: BatchSize = 32,
    accumulate: Accumulate = 1,
    learning_rate: LearningRate = None,
    init: Init = None,
    precision: Precision = "auto",
    fraction_condition: FractionCondition = False,
    device: Device = None,
    seed: Seed = 0,
    resume: Resume = True,
    debug: Debug = False,
) -> None:
    """Train a model on the micrographs of one, two or three planes.

    One plane describes an isotropic material, two a transversely isotropic one. Ctrl-C and
    SIGTERM save a checkpoint; rerun the same command to resume, or with more --steps to go on.
    Several devices share the batches if torchrun starts the command.

    \b
    Examples:
      micro3d train --xy 'a/*.png' --xz 'b/*.png' --yz 'c/*.png' \\
          --phases 0:0,255:1 --voxel-size 1e-6 --out run/
      micro3d train --volume tomogram.tif --images-per-plane 300 --out run/
      micro3d train --volume other.tif --init run/ --out other/
      torchrun --nproc-per-node 4 -m micro3d_fast train --volume tomogram.tif --out run/
    """
    images = MicrographOptions.of(locals())
    with joined(device) as (own_device, first):
        options: dict[str, Any] = {
            "preset": preset,
            "patch": patch,
            "steps": steps,
            "batch_size": batch_size,
            "accumulate": accumulate,
            "learning_rate": learning_rate,
            "init": init,
            "precision": precision,
            "fraction_condition": fraction_condition,
            "device": own_device,
            "seed": seed,
        }
        with together():
            if first:
                check_output(out, folder=True)
                _check_before_images(out, options)
        micrographs = images.load(
            phase_names=read_names(phase_names), voxel_size=read_voxel_size(voxel_size), seed=seed
        )
        if micrographs is None:
            fail(_NO_IMAGES)
        report = micrographs.check()
        to_stderr(report.table())
        if volume is not None:  # of files, loading them has warned
            for warning in report.warnings:
                to_stderr(f"warning: {warning}")
        model = _train(micrographs, out, resume=resume, **options)
        print(model)
        print_training(model)
        _print_next(out)


def _check_before_images(out: Path, options: dict[str, Any]) -> None:
    from ..diffusion.training.train import check_options

    check_options(out, **options)


def _print_next(out: Path) -> None:
    name = shlex.quote(str(out))
    to_stdout(
        f"Model in {out / 'model'}. Next: micro3d calibrate --model {name} --save, with the same "
        f"micrographs; then micro3d reconstruct --model {name} --shape 64,64,64 --out volume.tif"
    )


def _train(micrographs: Micrographs, out: Path, **options: Any) -> Model:
    """Train with a progress bar; Ctrl-C names the step and the command that resumes."""
    from .. import diffusion
    from ..diffusion.training.judgement import samples_sentence

    last: dict[str, Any] = {}
    with CtrlC() as ctrl_c, Progress("training") as progress:

        def show(event: dict[str, Any]) -> None:
            last.update(event)
            if (verdict := event.get("verdict")) is not None:
                text = f"training {event['step']}/{event['steps']}  {samples_sentence(verdict)}"
                progress.line(text, COLOURS[verdict.outcome])
            ctrl_c.check()

        try:
            return diffusion.train(micrographs, out, callback=show, progress=progress, **options)
        except KeyboardInterrupt as error:
            at = f" at step {last['step']} of {last['steps']}" if "step" in last else ""
            if torchrun_processes() > 1:  # they made a step more, to tell each other
                at = ""
            raise Stopped(
                f"Stopped{at}; the state is saved in {out}. To resume: {command_line()}"
            ) from error
