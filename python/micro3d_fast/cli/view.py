# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""``micro3d view``."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from .errors import fail, guarded, to_stdout
from .files import VolumeDetails, check_output, load_volume
from .options import (
    ArrayName,
    Crop,
    Debug,
    Mask,
    PhaseNames,
    Phases,
    RawShape,
    RawType,
    VolumeFile,
    VoxelSize,
    read_names,
    read_voxel_size,
)

__all__ = ["view"]

Out = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="The page, ending in .html; default: in the current folder, named after the "
        "volume, such as volume-view.html.",
    ),
]
Browser = Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page.")]


@guarded(labels="volume", microstructure="volume")
def view(
    volume: VolumeFile,
    out: Out = None,
    browser: Browser = True,
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
    """Write a page with the 3D view of a volume and open it in the browser.

    The page needs nothing else: it can be mailed or opened without a network.

    \b
    Examples:
      micro3d view volume.tif
      micro3d view tomogram.raw --raw-shape 200,300,300 --out tomogram.html --no-browser
    """
    own = VolumeDetails.of(locals(), volume)
    name = Path(str(volume).rstrip("/")).stem.replace("*", "") or "volume"
    page = Path(f"{name}-view.html") if out is None else out
    if page.suffix.lower() not in (".html", ".htm") or page.is_dir():
        fail(f"--out must be a file that ends in .html, got {page}")
    check_output(page.parent, folder=True)
    solid = load_volume(
        volume, "volume", read_voxel_size(voxel_size), read_names(phase_names), phases, own
    )

    from .. import report

    report.write_view(page, solid, title=name)
    print(solid)
    opened = browser and webbrowser.open(page.resolve().as_uri())
    to_stdout(f"View in {page}." if opened or not browser else f"Open {page} in a browser.")
