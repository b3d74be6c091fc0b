# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""``micro3d check``."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .._atomic import rescued
from .._planes import PLANES
from .errors import fail, guarded, to_stdout
from .files import IMAGES, MicrographOptions, check_output
from .options import (
    XY,
    XZ,
    YZ,
    ArrayName,
    Crop,
    Debug,
    Mask,
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
    read_names,
    read_voxel_size,
)

if TYPE_CHECKING:
    import numpy as np

    from ..micrographs import Micrographs

__all__ = ["check"]

SHOWN = 3  # images of a plane

Out = Annotated[
    Path | None,
    typer.Option(
        help=f"Directory for a PNG of each plane: up to {SHOWN} of its images beside their "
        "segmentation (of --volume, the segmentation alone)."
    ),
]
Patch = Annotated[int, typer.Option(help="Side of the training crops, in pixels.")]


@guarded(labels="volume", **IMAGES)
def check(
    out: Out = None,
    patch: Patch = 64,
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
    seed: Seed = 0,
    debug: Debug = False,
) -> None:
    """Check micrographs before training: their segmentation, and what would spoil a model.

    Takes the options of train about images, prints fractions, threshold and faults, and with --out
    draws the segmentation. The exit status is 0 where faults are found, too.

    \b
    Examples:
      micro3d check --xy 'xy/*.png' --xz 'xz/*.png' --threshold otsu --out check/
      micro3d check --volume tomogram.tif --patch 96
    """
    images = MicrographOptions.of(locals())
    if out is not None:
        check_output(out, folder=True)
    if patch < 1:
        fail(f"--patch must be at least 1, got {patch}")
    with warnings.catch_warnings(record=True) as caught:
        micrographs = images.load(
            phase_names=read_names(phase_names), voxel_size=read_voxel_size(voxel_size), seed=seed
        )
    if micrographs is None:
        fail("check needs micrographs: give --xy, --xz and --yz (one, two or three), or --volume")
    report = micrographs.check(patch)
    for warning in caught:  # the report has the others
        if str(warning.message) not in report.warnings:
            warnings.warn(warning.message, stacklevel=2)
    if out is not None:
        given = None if volume is not None else dict(zip(PLANES, (xy, xz, yz), strict=True))
        rescued(out, lambda place: _draw(place, micrographs, given))
        to_stdout(*(f"Plane {plane} in {_file(out, plane)}." for plane in micrographs.given))
    print(report)


def _file(folder: Path, plane: str) -> Path:
    return folder / f"segmentation-{plane}.png"


def _draw(
    folder: Path, micrographs: Micrographs, given: dict[str, list[str] | None] | None
) -> None:
    """Draw some images of each plane beside their segmentation; those of a volume alone."""
    from .._atomic import atomic_write
    from .._blocks import spread_evenly
    from .._figures import save_segmentation
    from .._grey_images import gather, without_palettes

    folder.mkdir(parents=True, exist_ok=True)
    for plane in micrographs.given:
        labels = micrographs.images[plane]
        chosen = spread_evenly(len(labels), SHOWN)
        grey: list[np.ndarray] | None = None
        if given is not None:
            read = without_palettes(gather(given[plane], plane))
            grey = [read[k].values for k in chosen]
        with atomic_write(_file(folder, plane)) as path:
            save_segmentation(
                path,
                grey,
                [labels[k] for k in chosen],
                [micrographs.sources[plane][k] for k in chosen],
                micrographs.phase_names,
            )
