# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""``micro3d study``."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .errors import Stopped, fail, guarded, to_stderr
from .files import (
    IMAGES,
    MicrographOptions,
    VolumeDetails,
    check_output,
    load_volume,
    require_model_details,
)
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
    read_fractions,
    read_names,
    read_numbers,
    read_phase_list,
    read_shape,
    read_voxel_size,
)
from .progress import CtrlC, Progress

if TYPE_CHECKING:
    from ..micrographs import Micrographs
    from ..studies import Study

__all__ = ["study"]

Out = Annotated[Path, typer.Option(help="Folder of the study; a study in it goes on.")]
Model = Annotated[
    str | None,
    typer.Option(
        metavar="NAME_OR_PATH",
        help="A directory written by train, or fibre-composite, separator, cathode; default: train "
        "on the micrographs, or on slices of --volume.",
    ),
]
Truth = Annotated[
    Path | None, typer.Option(help="The tomogram: compared with, and cut into real blocks.")
]
Count = Annotated[int, typer.Option(help="Number of volumes.")]
Shape = Annotated[
    str | None,
    typer.Option(metavar="NZ,NY,NX", help="Shape of the volumes; default: the training patch."),
]
Materials = Annotated[
    str | None,
    typer.Option(
        metavar="NAME_OR_PATH",
        help="separator, fibre-composite, fibre-composite-table-a1, cathode; a bundled set of "
        "materials; or a .yaml file.",
    ),
]
Diffusing = Annotated[
    str | None, typer.Option(metavar="PHASES", help="Phases for relative diffusivity, as 0,1.")
]
Gamma = Annotated[
    str | None,
    typer.Option(metavar="G,G,...", help="Parametric study: weights of Eq. 17, as 0.25,0.5,1."),
]
Harmonize = Annotated[
    str | None,
    typer.Option(metavar="N,N,...", help="Parametric study: harmonizing passes, as 1,2,4."),
]
GridSteps = Annotated[
    int | None,
    typer.Option(help="Steps of the sampler of the parametric study; default: all, as the paper."),
]
Ablation = Annotated[
    bool, typer.Option("--ablation", help="Also leave out each part of the sampler in turn.")
]
Others = Annotated[
    list[str] | None,
    typer.Option(
        "--compare-model",
        metavar="TITLE=PATH",
        help="Another model to compare with, such as a larger network; may be repeated.",
    ),
]
VariantCount = Annotated[int, typer.Option(help="Volumes of every variant.")]
Blocks = Annotated[int | None, typer.Option(help="Most real blocks; default: --count.")]
Tolerance = Annotated[float, typer.Option(help="Relative residual of the property solvers.")]
Sampler = Annotated[str | None, typer.Option(help="fast, paper, draft, standard or high.")]
Passes = Annotated[int | None, typer.Option(help="Passes of the network per volume.")]
Fractions = Annotated[
    str | None,
    typer.Option(metavar="FRACTIONS", help="natural (default), auto, raw, or one per phase."),
]
Steps = Annotated[int | None, typer.Option(help="Training steps, where a model is trained.")]
Preset = Annotated[str, typer.Option(help="Network, where a model is trained.")]
Scheduler = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="A Dask scheduler, as tcp://host:8786; see the docs."),
]
Workers = Annotated[
    int | None, typer.Option(help="Most processes on this machine; default: measured.")
]
Status = Annotated[
    bool, typer.Option("--status", help="Print what is done of the study in --out, and stop.")
]


@guarded(
    truth="volume", model="model", volume_shape="shape", labels="volume", grid_steps="grid_steps",
    **IMAGES,
)  # fmt: skip
def study(
    out: Out,
    model: Model = None,
    volume: Truth = None,
    xy: XY = None,
    xz: XZ = None,
    yz: YZ = None,
    count: Count = 50,
    shape: Shape = None,
    materials: Materials = None,
    diffusing: Diffusing = None,
    gamma: Gamma = None,
    harmonize: Harmonize = None,
    grid_steps: GridSteps = None,
    ablation: Ablation = False,
    compare_model: Others = None,
    variant_count: VariantCount = 10,
    blocks: Blocks = None,
    sampler: Sampler = None,
    passes: Passes = None,
    fractions: Fractions = None,
    steps: Steps = None,
    preset: Preset = "small",
    tol: Tolerance = 1e-4,
    scheduler: Scheduler = None,
    workers: Workers = None,
    status: Status = False,
    device: Device = None,
    seed: Seed = 0,
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
    """Validate a model as the paper does: many volumes against many real blocks.

    Writes study.html, the paper's figures as SVG and PDF, study.json and CSV tables into --out.
    Stop it at any time; the same command goes on, and with a larger --count adds volumes.

    \b
    Examples:
      micro3d study --model run/ --volume tomogram.tif --out study/
      micro3d study --volume ply.tif --materials fibre-composite --count 20 --out study/
      micro3d study --model run/ --xy 'xy/*.png' --xz 'xz/*.png' --yz 'yz/*.png' \\
          --phases 0:0,255:1 --gamma 0.25,0.5,1 --harmonize 1,2,4 --grid-steps 50 --out study/
    """
    if status:
        from ..studies import status_of

        print(status_of(out))
        return
    check_output(out, folder=True)
    names, size = read_names(phase_names), read_voxel_size(voxel_size)
    if model is not None:
        from ..diffusion.model import check_model

        require_model_details(check_model(model), names, size)
    options: dict[str, Any] = {
        "count": count,
        "volume_shape": None if shape is None else read_shape(shape),
        "materials": materials,
        "diffusing": None if diffusing is None else read_phase_list(diffusing),
        "gamma": None if gamma is None else read_numbers(gamma, "--gamma"),
        "harmonize": None if harmonize is None else read_numbers(harmonize, "--harmonize", int),
        "grid_steps": grid_steps,
        "ablation": ablation,
        "models": _others(compare_model),
        "variant_count": variant_count,
        "blocks": blocks,
        "passes": passes,
        "tol": tol,
        "scheduler": scheduler,
        "workers": workers,
        "device": device,
        "seed": seed,
        "images_per_plane": images_per_plane,
        "training": {"preset": preset, **({} if steps is None else {"steps": steps})},
        **({} if sampler is None else {"sampler": sampler}),
        **({} if fractions is None else {"volume_fractions": read_fractions(fractions)}),
    }
    truth = None
    if volume is not None:
        details = VolumeDetails.of(locals(), volume)
        if not (xy or xz or yz):  # else they are the images'
            details = dataclasses.replace(details, threshold=threshold, n_phases=n_phases)
        truth = load_volume(volume, "volume", size, names, phases, details)
    images = _micrographs(locals() | {"volume": None}, names, size, volume is not None)
    if truth is None and images is None:
        fail("study needs something to compare with: --volume, or --xy, --xz and --yz")
    found = _run(model, truth, images, out, options)
    print(found)
    print(f"Page in {out / 'study.html'}.")


def _others(texts: list[str] | None) -> dict[str, str]:
    """Return ``TITLE=PATH`` pairs as a mapping."""
    found = {}
    for text in texts or []:
        title, equals, path = text.partition("=")
        if not (title and equals and path):
            fail(f"--compare-model must be TITLE=PATH, got {text!r}")
        found[title] = path
    return found


def _micrographs(
    parameters: dict[str, Any], names: Any, size: Any, has_volume: bool
) -> Micrographs | None:
    """Return the micrographs that --xy, --xz and --yz name; None without any."""
    if has_volume:  # the options of its file are not those of images
        parameters = parameters | dict.fromkeys(("raw_shape", "raw_type", "array", "crop", "mask"))
    return MicrographOptions.of(parameters).load(phase_names=names, voxel_size=size)


def _run(model: str | None, truth: Any, images: Any, out: Path, options: dict[str, Any]) -> Study:
    """Run the study with a bar; Ctrl-C says how it goes on."""
    from ..studies import study as run

    done: dict[str, Any] = {}
    first: Any = model
    if model is None:
        first = images
    elif truth is None:
        truth = images
    elif images is not None:
        fail("--xy, --xz and --yz must be left out where both --model and --volume are given")
    with CtrlC() as ctrl_c, Progress("study", ctrl_c.check) as progress:

        def show(event: dict[str, Any]) -> None:
            done.update(event)
            if event.get("error"):
                to_stderr(f"{event['task']} failed: {event['error']}")

        try:
            return run(first, truth, out, callback=show, progress=progress, **options)
        except KeyboardInterrupt as error:
            at = f" {done['step']} of {done['steps']} tasks are done;" if "step" in done else ""
            raise Stopped(
                f"Stopped;{at} the state is saved in {out}. To go on: {command_line()}"
            ) from error
