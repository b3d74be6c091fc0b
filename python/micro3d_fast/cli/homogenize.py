# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""``micro3d homogenize``."""

from __future__ import annotations

import dataclasses
import functools
import glob
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .._atomic import rescued
from .._planes import AXIS_NAMES
from .errors import Stopped, fail, guarded, to_stdout
from .files import VolumeDetails, check_output, load_volume
from .options import (
    ArrayName,
    Crop,
    Debug,
    Device,
    Mask,
    PhaseNames,
    Phases,
    RawShape,
    RawType,
    VoxelSize,
    command_line,
    read_names,
    read_phase_list,
    read_voxel_size,
)
from .progress import CtrlC, Progress

if TYPE_CHECKING:
    from ..homogenization import MaterialSet, PropertyScatter
    from ..microstructure import Microstructure

__all__ = ["homogenize"]

Volumes = Annotated[
    list[str],
    typer.Argument(
        metavar="VOLUME",
        help="A labelled volume: .tif, .npz, .vti, ...; several files, or a quoted pattern, give "
        "the scatter of the properties.",
        show_default=False,
    ),
]
Reference = Annotated[
    Path | None,
    typer.Option(help="A tomogram: properties of its blocks of the size of the volumes too."),
]
MaterialFile = Annotated[
    str | None,
    typer.Option(
        metavar="FILE_OR_SET",
        help="A .yaml or .json file (see below), or the name of a bundled set.",
    ),
]
DiffusingPhases = Annotated[
    str | None,
    typer.Option(
        metavar="PHASES",
        help="Relative diffusivity of these phases, by label or name, such as pore or 0,2.",
    ),
]
Axes = Annotated[str, typer.Option(help="Axes for --diffusivity.")]
Sides = Annotated[str, typer.Option(help="no-flux or periodic, for --diffusivity.")]
Out = Annotated[Path | None, typer.Option(help="Write a report into this directory.")]
Tolerance = Annotated[float, typer.Option(help="Upper bound of the true relative residual.")]
Precision = Annotated[str, typer.Option(help="mixed or float64.")]
BBar = Annotated[bool, typer.Option("--bbar", help="B-bar elements, for nu near 1/2.")]


@guarded(
    labels="volume",
    volumes="volume",
    source="materials",
    conductivities="materials",
    phase="diffusivity",
    axis="axes",
)
def homogenize(
    volume: Volumes,
    materials: MaterialFile = None,
    reference: Reference = None,
    diffusivity: DiffusingPhases = None,
    axes: Axes = "xyz",
    sides: Sides = "no-flux",
    out: Out = None,
    tol: Tolerance = 1e-6,
    precision: Precision = "mixed",
    bbar: BBar = False,
    phases: Phases = None,
    phase_names: PhaseNames = None,
    voxel_size: VoxelSize = None,
    raw_shape: RawShape = None,
    raw_type: RawType = None,
    array: ArrayName = None,
    crop: Crop = None,
    mask: Mask = None,
    device: Device = None,
    debug: Debug = False,
) -> None:
    """Compute stiffness, thermal expansion, conductivity and relative diffusivity.

    The volume is one period of the material, except for --diffusivity, where it lies between two
    plates. Which properties are computed follows from what the materials file gives per phase. Of
    several volumes, mean and standard deviation are printed.

    \b
    Examples:
      micro3d homogenize volume.tif --materials carbon-epoxy --out result/
      micro3d homogenize volume.tif --materials materials.yaml --diffusivity 0
      micro3d homogenize 'many/*.tif' --diffusivity 0 --reference tomogram.tif
    """
    paths = _files(volume)
    own = VolumeDetails.of(locals(), *paths, reference)
    if materials is None and diffusivity is None:
        fail("homogenize needs --materials, --diffusivity, or both")
    if not axes or not set(axes) <= set(AXIS_NAMES) or len(set(axes)) < len(axes):
        fail(f"--axes must be axes such as xyz, each once, got {axes!r}")
    diffusing = [] if diffusivity is None else read_phase_list(diffusivity)
    if out is not None:
        check_output(out, folder=True)
    details = (read_voxel_size(voxel_size), read_names(phase_names), phases)
    theirs = dataclasses.replace(own, crop=None, mask=None)
    solids = [load_volume(path, "volume", *details, own) for path in paths]
    tomogram = None if reference is None else load_volume(reference, "reference", *details, theirs)

    from .. import homogenization

    chosen = None if materials is None else homogenization.load_materials(materials)
    options: dict[str, Any] = {"tol": tol, "precision": precision, "device": device}
    with CtrlC() as ctrl_c, Progress(check=ctrl_c.check) as progress:
        options["progress"] = progress

        def compute(solid: Microstructure) -> dict[str, Any]:
            found = {} if chosen is None else _material_properties(solid, chosen, bbar, options)
            if diffusing:
                found["Diffusion"] = [
                    homogenization.relative_diffusivity(
                        solid, phase, axis=axis, sides=sides, **options
                    )
                    for phase in diffusing
                    for axis in axes
                ]
            return found

        results, scatter = _compute(compute, solids, tomogram)
    if chosen is not None:
        chosen = chosen.for_phases(solids[0].phase_names)
    _print_results(chosen, results, scatter)
    if out is not None:
        title = paths[0].name if len(paths) == 1 else f"{paths[0].name} and {len(paths) - 1} more"
        shown = results if scatter is None else {"": scatter, **results}
        _write_report(out, solids[0], chosen, shown, f"{title}: effective properties")


def _files(patterns: Sequence[str]) -> list[Path]:
    """Return the files that names and patterns stand for."""
    return [
        Path(file)
        for pattern in patterns
        for file in ([] if Path(pattern).exists() else sorted(glob.glob(pattern))) or [pattern]
    ]


def _compute(
    compute: Callable[[Microstructure], dict[str, Any]],
    solids: Sequence[Microstructure],
    tomogram: Microstructure | None,
) -> tuple[dict[str, Any], PropertyScatter | None]:
    """Return the properties of a single volume, and the scatter of several and of real blocks."""
    from .. import homogenization

    computed: list[dict[str, Any]] = []

    def kept(solid: Microstructure) -> dict[str, Any]:
        computed.append(compute(solid))
        return computed[-1]

    try:
        if len(solids) == 1 and tomogram is None:
            return compute(solids[0]), None
        scatter = homogenization.property_scatter(solids, kept, reference=tomogram)
        return computed[0] if len(solids) == 1 else {}, scatter
    except KeyboardInterrupt as error:
        raise Stopped("Stopped; no result was written.") from error


def _material_properties(
    solid: Microstructure, chosen: MaterialSet, bbar: bool, options: dict[str, Any]
) -> dict[str, Any]:
    from .. import homogenization

    results: dict[str, Any] = {}
    if chosen.materials is not None:
        results["Elasticity"] = homogenization.homogenize_elasticity(
            solid, chosen, bbar=bbar, **options
        )
    if chosen.conductivities is not None:
        results["Conductivity"] = homogenization.homogenize_conductivity(solid, chosen, **options)
    return results


def _print_results(
    chosen: MaterialSet | None, results: dict[str, Any], scatter: PropertyScatter | None
) -> None:
    if chosen is not None:
        print(chosen)
    for result in results.values():
        for one in result if isinstance(result, list) else [result]:
            print(one)
    if scatter is not None:
        print(scatter)


def _write_report(
    out: Path,
    solid: Microstructure,
    chosen: MaterialSet | None,
    results: dict[str, Any],
    title: str,
) -> None:
    from .. import report

    write = functools.partial(
        report.write_report,
        microstructure=solid,
        properties=results,
        extra={} if chosen is None else {"Materials": chosen},
        title=title,
        reproduce={"On the command line:": command_line()},
    )
    to_stdout(f"Report in {rescued(out, write)}.")
