# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""``micro3d characterize``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from .errors import guarded
from .files import check_output, load_volume
from .options import (
    Debug,
    PhaseNames,
    Phases,
    VolumeFile,
    VoxelSize,
    command_line,
    read_names,
    read_voxel_size,
)

__all__ = ["characterize"]

Out = Annotated[Path, typer.Option(help="Directory for the report and the curves.")]
Reference = Annotated[Path | None, typer.Option(help="Another volume to compare with.")]
MaxLag = Annotated[
    int | None, typer.Option(help="Longest lag in voxels; default: half the volume.")
]
AllPeriodic = Annotated[bool, typer.Option(help="The volume is periodic along all axes.")]


@guarded(generated="volume", labels="volume")
def characterize(
    volume: VolumeFile,
    out: Out,
    reference: Reference = None,
    max_lag: MaxLag = None,
    periodic: AllPeriodic = False,
    phases: Phases = None,
    phase_names: PhaseNames = None,
    voxel_size: VoxelSize = None,
    debug: Debug = False,
) -> None:
    """Measure a volume: fractions, two-point correlations, lineal paths, per phase and axis.

    Writes report.html, report.json and curves.csv. With --reference, the errors are shown beside
    the scatter of the reference itself.

    \b
    Examples:
      micro3d characterize volume.tif --out result/
      micro3d characterize volume.tif --reference tomogram.tif --out result/
    """
    check_output(out, folder=True)
    names = read_names(phase_names)
    solid = load_volume(volume, "volume", read_voxel_size(voxel_size), names, phases)
    reference_volume = None
    if reference is not None:
        reference_volume = load_volume(reference, "reference", None, names, phases)

    from .. import report, statistics
    from ..report import characterization

    started = time.perf_counter()
    measured = characterization.measure(solid, max_lag=max_lag, periodic=periodic)
    seconds = time.perf_counter() - started
    comparison: Any = (
        False if reference_volume is None else statistics.compare(solid, reference_volume)
    )
    out.mkdir(parents=True, exist_ok=True)
    characterization.write_csv(out / "curves.csv", measured)
    page = report.write_report(
        out,
        microstructure=solid,
        comparison=comparison,
        reference=reference_volume,
        title=f"{volume.name}: spatial statistics",
        timings={"All correlations": seconds},
        extra=characterization.sections(measured),
        verdict=None if reference_volume is not None else characterization.summary(measured),
        reproduce={"On the command line:": command_line()},
    )
    print(solid)
    print(statistics.connectivity(solid, reference_volume, periodic=periodic))
    if reference_volume is not None:
        print(comparison.summary())
    print(f"Report in {page}, curves in {out / 'curves.csv'}.")
