# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""``micro3d characterize``."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from .._atomic import rescued
from .errors import DEVIATES, fail, guarded, to_stdout
from .files import IMAGES, MicrographOptions, VolumeDetails, check_output, load_volume
from .options import (
    XY,
    XZ,
    YZ,
    ArrayName,
    Crop,
    Debug,
    Mask,
    PhaseCount,
    PhaseNames,
    Phases,
    RawShape,
    RawType,
    Threshold,
    VolumeFile,
    VoxelSize,
    command_line,
    read_names,
    read_voxel_size,
)
from .verdict import print_verdict

__all__ = ["characterize"]

SEVERITY = ("consistent", "undecided", "doubtful", "different")

Out = Annotated[Path, typer.Option(help="Directory for the report and the curves.")]
Reference = Annotated[Path | None, typer.Option(help="Another volume to compare with.")]
MaxLag = Annotated[
    int | None, typer.Option(help="Longest lag in voxels; default: half the volume.")
]
FailOn = Annotated[
    str | None,
    typer.Option(
        metavar="OUTCOME",
        help="Exit with status 3 if the verdict is this or worse: undecided, doubtful, different.",
    ),
]
AllPeriodic = Annotated[bool, typer.Option(help="The volume is periodic along all axes.")]


@guarded(generated="volume", labels="volume", **IMAGES)
def characterize(
    volume: VolumeFile,
    out: Out,
    reference: Reference = None,
    max_lag: MaxLag = None,
    periodic: AllPeriodic = False,
    fail_on: FailOn = None,
    xy: XY = None,
    xz: XZ = None,
    yz: YZ = None,
    threshold: Threshold = None,
    n_phases: PhaseCount = None,
    phases: Phases = None,
    phase_names: PhaseNames = None,
    voxel_size: VoxelSize = None,
    raw_shape: RawShape = None,
    raw_type: RawType = None,
    array: ArrayName = None,
    crop: Crop = None,
    mask: Mask = None,
    debug: Debug = False,
) -> None:
    """Measure a volume: fractions, two-point correlations, lineal paths, per phase and axis.

    Writes report.html, report.json and curves.csv. With --reference (a volume) or --xy, --xz, --yz
    (micrographs; then --phases is theirs, and the volume holds labels) a verdict follows: whether
    the volume deviates more than real specimens of its size do. ``report`` is the same command.

    \b
    Examples:
      micro3d characterize volume.tif --out result/
      micro3d characterize volume.tif --reference tomogram.tif --out result/
      micro3d characterize volume.tif --xy 'xy/*.png' --phases 0:0,255:1 --fail-on different \\
          --out result/
      micro3d report volume.tif --xy 'xy/*.png' --phases labels --out result/
    """
    own = VolumeDetails.of(locals(), volume, reference)
    check_output(out, folder=True)
    if fail_on not in (None, *SEVERITY[1:]):
        fail(f"--fail-on must be one of {', '.join(SEVERITY[1:])}, got {fail_on!r}")
    names, voxels = read_names(phase_names), read_voxel_size(voxel_size)
    of_volume = None if xy or xz or yz else phases
    if not (xy or xz or yz):
        own = dataclasses.replace(own, threshold=threshold, n_phases=n_phases)
    solid = load_volume(volume, "volume", voxels, names, of_volume, own)
    micrographs = MicrographOptions(xy, xz, yz, None, 0, phases, threshold, n_phases).load(
        phase_names=names, voxel_size=voxels
    )
    if reference is not None and micrographs is not None:
        fail("--reference must stand alone, without --xy, --xz or --yz")
    reference_volume = None
    if reference is not None:
        theirs = dataclasses.replace(own, crop=None, mask=None)
        reference_volume = load_volume(reference, "reference", None, names, phases, theirs)
    compared_with = micrographs if reference is None else reference_volume
    if fail_on is not None and compared_with is None:
        fail("--fail-on needs a --reference, or micrographs")

    from .. import report, statistics
    from ..report import characterization

    started = time.perf_counter()
    measured = characterization.measure(solid, max_lag=max_lag, periodic=periodic)
    seconds = time.perf_counter() - started
    comparison: Any = False
    if compared_with is not None:
        comparison = statistics.compare(solid, compared_with)
    print(solid)
    print(statistics.connectivity(solid, compared_with, periodic=periodic))
    if comparison:
        print_verdict(comparison.verdict)
        print(comparison.summary())

    def write(place: Path) -> Path:
        place.mkdir(parents=True, exist_ok=True)
        characterization.write_csv(place / "curves.csv", measured)
        return report.write_report(
            place,
            microstructure=solid,
            comparison=comparison,
            micrographs=micrographs,
            reference=reference_volume,
            title=f"{volume.name}: spatial statistics",
            timings={"All correlations": seconds},
            extra=characterization.sections(measured),
            verdict=characterization.summary(measured) if compared_with is None else None,
            reproduce={"On the command line:": command_line()},
        )

    to_stdout(f"Report in {rescued(out, write)}, curves in {out / 'curves.csv'}.")
    if fail_on and SEVERITY.index(comparison.verdict.outcome) >= SEVERITY.index(fail_on):
        raise typer.Exit(DEVIATES)
