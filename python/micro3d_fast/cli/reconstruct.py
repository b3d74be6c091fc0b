# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""``micro3d reconstruct``."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .._atomic import rescued
from .._torchrun import torchrun_processes
from .errors import Stopped, fail, guarded, to_stdout
from .files import (
    IMAGES,
    OF_MODEL,
    MicrographOptions,
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
    ModelName,
    Periodic,
    PerPlane,
    PhaseCount,
    PhaseNames,
    Phases,
    RawShape,
    RawType,
    Seed,
    Threshold,
    VoxelSize,
    read_coupling,
    read_fractions,
    read_harmonize,
    read_names,
    read_periodic,
    read_shape,
    read_voxel_size,
    read_window,
)
from .progress import CtrlC, Progress
from .torchrun import joined, together
from .verdict import print_verdict

if TYPE_CHECKING:
    from ..micrographs import Micrographs
    from ..microstructure import Microstructure

__all__ = ["reconstruct"]

Out = Annotated[Path, typer.Option(help="File to write: .tif, .npz, .vti, .h5, ...")]
Shape = Annotated[str, typer.Option(metavar="NZ,NY,NX", help="Voxels along z, y, x.")]
Count = Annotated[
    int,
    typer.Option(help="Number of volumes; seeds are consecutive and added to the file names."),
]
Sampler = Annotated[
    str | None, typer.Option(help="Name of a sampler; micro3d info lists them.", metavar="NAME")
]
Quality = Annotated[str | None, typer.Option(help="Former name of --sampler.", metavar="NAME")]
Passes = Annotated[
    int | None,
    typer.Option(help="Number of passes; default: that of the sampler."),
]
Harmonize = Annotated[
    str | None,
    typer.Option(
        metavar="N[,N...]",
        help="Harmonizing passes of every step but the last, or one number per step, the last 0.",
    ),
]
Gamma = Annotated[float | None, typer.Option(help="Weight of the harmonized sample, 0 to 1.")]
Coupling = Annotated[
    str | None,
    typer.Option(
        metavar="JZ,JY,JX[;...]",
        help="How alike neighbours along each axis are, of all phases or of each; default: what "
        "calibrate found.",
    ),
]
Agreement = Annotated[
    float | None,
    typer.Option(help="How much earlier passes count, 0 to 0.9; default: the model's."),
]
Guidance = Annotated[
    float, typer.Option(help="Classifier-free guidance; other than 1 takes twice the time.")
]
Fractions = Annotated[
    str | None,
    typer.Option(
        help="auto: those of the micrographs, the default of one volume; natural: drawn for each "
        "volume with the scatter of real specimens of its size, the default of --count; raw; or "
        "one fraction per phase, separated by commas, in the order of the labels or by name, such "
        "as fibre=0.4."
    ),
]
FractionCondition = Annotated[
    bool | None,
    typer.Option(
        "--fraction-condition/--no-fraction-condition",
        help="Condition a model trained for it on the fractions; default: if there are fractions "
        "to match and the sampler does not hold the mean itself.",
    ),
]
Known = Annotated[
    Path | None,
    typer.Option(help="A volume of --shape whose voxels are kept; 255 marks unknown voxels."),
]
RemoveIslands = Annotated[
    bool | None,
    typer.Option(
        "--remove-islands/--no-remove-islands",
        help="Remove all single-voxel islands, or none; default: those in slices beyond as many as "
        "the micrographs that calibrate was given have.",
    ),
]
Window = Annotated[
    str,
    typer.Option(help="Side of the windows given to the network; auto, or none: whole slices."),
]
Report = Annotated[Path | None, typer.Option(help="Also write a report into this directory.")]
TruthVolume = Annotated[
    Path | None, typer.Option(help="Compare the volume with slices of this one, in the report.")
]


@guarded(
    path_or_bundled_name="model",
    volume_shape="shape",
    volume_fractions="fractions",
    seeds="seed",
    phase_names="model",  # names come from it
    labels="volume",
    voxel_size=OF_MODEL,
    **IMAGES,
)
def reconstruct(
    model: ModelName,
    out: Out,
    shape: Shape = "64,64,64",
    seed: Seed = 0,
    count: Count = 1,
    sampler: Sampler = None,
    quality: Quality = None,
    passes: Passes = None,
    harmonize: Harmonize = None,
    gamma: Gamma = None,
    coupling: Coupling = None,
    agreement: Agreement = None,
    guidance: Guidance = 1.0,
    periodic: Periodic = None,
    fractions: Fractions = None,
    fraction_condition: FractionCondition = None,
    known: Known = None,
    remove_islands: RemoveIslands = None,
    window: Window = "auto",
    device: Device = None,
    report: Report = None,
    xy: XY = None,
    xz: XZ = None,
    yz: YZ = None,
    volume: TruthVolume = None,
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
    """Reconstruct a 3D volume with a trained or a bundled model.

    With --report and the micrographs (--xy, --xz, --yz, or --volume), a report that compares the
    volume with them is written too, and the verdict is printed: whether the volume could be a real
    specimen. With --count, all volumes are compared together, and the first is shown. Several
    devices share a volume if torchrun starts the command.

    \b
    Examples:
      micro3d reconstruct --model fibre-composite --shape 64,64,64 --out volume.tif
      micro3d reconstruct --model run/ --shape 128,128,128 --periodic all --seed 7 \\
          --out volume.vti --report report/ --volume tomogram.tif
      micro3d reconstruct --model cathode --sampler draft --count 8 --out many/volume.tif
      torchrun --nproc-per-node 8 -m micro3d_fast reconstruct --model run/ \\
          --shape 1024,1024,1024 --window 64 --out volume.zarr
    """
    images = MicrographOptions.of(locals())
    volume_shape = read_shape(shape)
    options: dict[str, Any] = {
        "passes": passes,
        "harmonize": read_harmonize(harmonize),
        "gamma": gamma,
        "coupling": read_coupling(coupling),
        "agreement": agreement,
        "guidance": guidance,
        "periodic": read_periodic(periodic),
        "volume_fractions": read_fractions(fractions or "auto"),
        "fraction_condition": "auto" if fraction_condition is None else fraction_condition,
        "remove_islands": "auto" if remove_islands is None else remove_islands,
        "window": read_window(window),
        "keep_raw": report is not None and count == 1,
    }
    options |= {k: v for k, v in {"sampler": sampler, "quality": quality}.items() if v is not None}
    with joined(device) as (options["device"], first):
        with together():
            if first:
                _check_outputs(out, report, count, math.prod(volume_shape) * count)
        options["known"] = None if known is None else load_volume(known, "known").labels

        from .. import diffusion

        loaded = diffusion.load_model(model)
        require_model_details(loaded, read_names(phase_names), read_voxel_size(voxel_size))
        if fractions is None and count > 1 and sampler != "paper" and loaded.fraction_scatter:
            options["volume_fractions"] = "natural"
        micrographs = None
        with together():
            if first:
                names, size = loaded.phase_names, loaded.voxel_size
                micrographs = images.load(phase_names=names, voxel_size=size)
            if micrographs is not None and report is None:
                fail("--report must be given where micrographs are given to compare with")
        named = count == 1 or "{seed}" in out.stem
        path = out if named else out.with_stem(f"{out.stem}-{{seed}}")
        if torchrun_processes() > 1 and out.suffix.lower() == ".zarr" and report is None:
            options["out"] = path  # each process writes its slices
        seeds, save = range(seed, seed + count), first and "out" not in options
        keep = report is not None
        made, paths = _reconstruct(volume_shape, model, seeds, options, path, save, keep)
        to_stdout(*(made if count == 1 else []), *(f"Volume in {path}." for path in paths))
        if first and report is not None:
            to_stdout(f"Report in {_compare_and_report(report, made, micrographs, model)}.")


def _check_outputs(out: Path, report: Path | None, count: int, voxels: int) -> None:
    check_output(out, folder=False, voxels=voxels)
    if count < 1:
        fail(f"--count must be at least 1, got {count}")
    if report is not None:
        check_output(report, folder=True, option="--report")


def _reconstruct(
    volume_shape: Sequence[int],
    model: str,
    seeds: range,
    options: dict[str, Any],
    path: Path,
    save: bool,
    keep: bool,
) -> tuple[list[Microstructure], list[Path]]:
    """Reconstruct one volume per seed; return those to ``keep``, or one, and the files.

    ``{seed}`` in the path stands for the seed; without ``save`` another writes the files.
    """
    from .. import diffusion

    kept: list[Microstructure] = []
    saved: list[Path] = []
    with CtrlC() as ctrl_c, Progress("reconstructing", ctrl_c.check) as progress:
        try:
            volumes = diffusion.reconstruct_many(
                volume_shape, model, seeds, progress=progress, **options
            )
            for seed, volume in zip(seeds, volumes, strict=True):
                kept += [volume] if keep or not kept else []
                file = path.with_stem(path.stem.replace("{seed}", str(seed)))
                with together():
                    if save:
                        rescued(file, dataclasses.replace(volume, fields={}).save)
                saved.append(file)
        except KeyboardInterrupt as error:
            done = "no volume was" if not saved else f"{len(saved)} of {len(seeds)} volumes were"
            raise Stopped(
                f"Stopped; {done} written. Rerun the same command to start again."
            ) from error
    return kept, saved


def _compare_and_report(
    out: Path, volumes: Sequence[Microstructure], micrographs: Micrographs | None, model: str
) -> Path:
    """Write the report, which shows the first of several volumes and compares all of them.

    Print the verdict if there are micrographs to judge by.
    """
    from .. import report, statistics

    made, count = volumes[0], len(volumes)
    of_several = f": the first of {count} volumes" if count > 1 else ""
    comparison = None if micrographs is None else statistics.compare(volumes, micrographs)
    if comparison is not None and comparison.verdict is not None:
        print_verdict(comparison.verdict)
    steps = {"seconds": "Reconstruction", "network_seconds": "of which in the network"}
    write = functools.partial(
        report.write_report,
        microstructure=made,
        micrographs=micrographs,
        comparison=comparison,
        title=f"Reconstruction with {Path(model).name}{of_several}",
        timings={
            title: float(made.provenance[name])
            for name, title in steps.items()
            if made.provenance.get(name)
        },
    )
    return rescued(out, write)
