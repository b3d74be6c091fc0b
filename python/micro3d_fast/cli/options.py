# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Options that several commands share, and the values of options that are written as text."""

from __future__ import annotations

import os
import re
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from .._planes import AXIS_NAMES
from .._torchrun import torchrun_processes
from .errors import fail

__all__ = [
    "XY",
    "XZ",
    "YZ",
    "ArrayName",
    "Crop",
    "Debug",
    "Device",
    "Mask",
    "ModelName",
    "PerPlane",
    "Periodic",
    "PhaseCount",
    "PhaseNames",
    "Phases",
    "RawShape",
    "RawType",
    "Seed",
    "SourceVolume",
    "Threshold",
    "VolumeFile",
    "VoxelSize",
    "command_line",
    "read_coupling",
    "read_crop",
    "read_fractions",
    "read_harmonize",
    "read_names",
    "read_numbers",
    "read_periodic",
    "read_phase_list",
    "read_phases",
    "read_shape",
    "read_threshold",
    "read_voxel_size",
    "read_window",
]


def _images(plane: str, axes: str) -> Any:
    return typer.Option(
        metavar="GLOB",
        help=f"Micrographs of the {plane} plane {axes}: a quoted pattern; may be repeated.",
        show_default=False,
    )


XY = Annotated[list[str] | None, _images("xy", "(rows y, columns x)")]
XZ = Annotated[list[str] | None, _images("xz", "(rows z, columns x)")]
YZ = Annotated[list[str] | None, _images("yz", "(rows z, columns y)")]
PerPlane = Annotated[int, typer.Option(help="Maximum number of slices of --volume per plane.")]
Phases = Annotated[
    str | None,
    typer.Option(
        metavar="VALUE:PHASE,...",
        help="Grey value to phase, such as 0:0,255:1; or 'labels' if the values are phases.",
    ),
]
SourceVolume = Annotated[
    Path | None, typer.Option(help="Use slices of this volume as micrographs.")
]
Threshold = Annotated[
    str | None,
    typer.Option(
        help="For grey images: one value, several separated by commas, 'otsu' or 'multi-otsu'."
    ),
]
PhaseCount = Annotated[
    int | None, typer.Option(help="Number of phases, for --threshold multi-otsu.")
]
PhaseNames = Annotated[str | None, typer.Option(help="Names of the phases, such as matrix,fibre.")]
VoxelSize = Annotated[
    str | None, typer.Option(help="Voxel size in metres: one number, or dz,dy,dx.", metavar="SIZE")
]
VolumeFile = Annotated[
    Path,
    typer.Argument(
        metavar="VOLUME",
        help="A labelled volume: .tif, .npz, .vti, ...; or a folder or quoted pattern of slices.",
    ),
]
RawShape = Annotated[
    str | None,
    typer.Option(metavar="NZ,NY,NX", help="Shape of a .raw volume without its .raw.json."),
]
RawType = Annotated[
    str | None,
    typer.Option(
        metavar="TYPE",
        help="Type of the values of a .raw volume, such as uint16, or '>u2' for big-endian.",
    ),
]
ArrayName = Annotated[
    str | None, typer.Option(help="Array of a .npz, .vti, .h5 or .zarr volume that holds several.")
]
Crop = Annotated[
    str | None,
    typer.Option(
        metavar="Z0:Z1,Y0:Y1,X0:X1",
        help="Part of the volume to keep, in voxels; an end may be left out.",
    ),
]
Mask = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Where the volume holds material (not 0); the rest becomes one more phase, the last.",
    ),
]
ModelName = Annotated[
    str,
    typer.Option(
        help="A directory written by train, or fibre-composite, separator, cathode.",
        metavar="NAME_OR_PATH",
    ),
]
Periodic = Annotated[
    str | None, typer.Option(metavar="AXES", help="all, none, or axes such as xy.")
]
Device = Annotated[
    str | None, typer.Option(help="cpu, cuda or cuda:N; default: cuda if available.")
]
Seed = Annotated[int, typer.Option(help="Seed of the random numbers.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


def command_line() -> str:
    """Return the running command as it was typed, without ``--no-resume``."""
    program = ["micro3d"]
    if torchrun_processes() > 1:
        nodes, local = (os.environ.get(f"{what}_WORLD_SIZE", "1") for what in ("GROUP", "LOCAL"))
        several = ["--nnodes", nodes] if nodes != "1" else []
        program = ["torchrun", *several, "--nproc-per-node", local, "-m", "micro3d_fast"]
    return shlex.join([*program, *(word for word in sys.argv[1:] if word != "--no-resume")])


def read_phases(text: str | None) -> dict[float, int] | str | None:
    """Return ``"0:0,255:1"`` as a mapping; ``"labels"`` and None unchanged."""
    if text is None or text == "labels":
        return text
    phases: dict[float, int] = {}
    for pair in text.split(","):
        value, colon, phase = pair.partition(":")
        try:
            if not colon:
                raise ValueError
            number = float(value)
            key = int(number) if number.is_integer() else number
            if key in phases:
                fail(f"--phases must name each value once, got {text!r}")
            if phase.strip().isidentifier():
                fail(f"--phases must give phases by number, got {text!r}: --phase-names names them")
            phases[key] = int(phase)
        except ValueError:
            fail(f"--phases must be VALUE:PHASE pairs such as 0:0,255:1, or 'labels', got {text!r}")
    return phases


def read_numbers(text: str, option: str, kind: type = float, others: str = "") -> list[Any]:
    """Return ``"64,64,64"`` (integers also with x between them) as numbers.

    A refusal names ``others`` too, words that the option takes.
    """
    separator = "x" if kind is int and "," not in text else ","
    try:
        return [kind(item) for item in text.split(separator)]
    except ValueError:
        wanted = "whole numbers" if kind is int else "numbers"
        fail(f"{option} must be {wanted} with commas between{others}, got {text!r}")


def read_shape(text: str, option: str = "--shape") -> tuple[int, ...]:
    """Return ``"64,64,64"``, ``"64x64x64"`` or ``"64"`` as (nz, ny, nx)."""
    numbers = read_numbers(text, option, int)
    if len(numbers) == 1:
        numbers *= 3
    if len(numbers) != 3 or min(numbers) < 1:
        fail(f"{option} must be one or three positive whole numbers nz,ny,nx, got {text!r}")
    return tuple(numbers)


def read_crop(text: str | None) -> list[tuple[int | None, int | None]] | None:
    """Return ``"0:64,10:,:"`` as (start, stop) along z, y and x, with None for an open end."""
    if text is None:
        return None
    parts = re.fullmatch(r"(-?\d*):(-?\d*),(-?\d*):(-?\d*),(-?\d*):(-?\d*)", text.replace(" ", ""))
    if parts is None or "-" in parts.groups():
        fail(f"--crop must be START:STOP for z,y,x, such as 0:64,10:200,:, got {text!r}")
    ends = [int(end) if end else None for end in parts.groups()]
    return [(ends[i], ends[i + 1]) for i in (0, 2, 4)]


def read_voxel_size(text: str | None) -> float | tuple[float, ...] | None:
    """Return ``"1e-6"``, ``"2e-6,1e-6,1e-6"`` (dz, dy, dx), or two of an image, as numbers."""
    if text is None:
        return None
    numbers = read_numbers(text, "--voxel-size")
    if len(numbers) not in (1, 2, 3) or not all(0 < n < float("inf") for n in numbers):
        wanted = "a positive number of metres, three dz,dy,dx, or dy,dx of an image"
        fail(f"--voxel-size must be {wanted}, got {text!r}")
    return numbers[0] if len(numbers) == 1 else tuple(numbers)


def read_threshold(text: str | None) -> float | list[float] | str | None:
    """Return a number, a list of numbers, or the name of a method."""
    if text is None or text in ("otsu", "multi-otsu"):
        return text
    numbers = read_numbers(text, "--threshold", others=", otsu or multi-otsu")
    return numbers[0] if len(numbers) == 1 else numbers


def read_periodic(text: str | None) -> tuple[bool, ...]:
    """Return ``"all"``, ``"none"`` or axes such as ``"xy"`` as one bool for each of z, y, x."""
    if text in (None, "none"):
        return (False, False, False)
    if text == "all":
        return (True, True, True)
    if not text or not set(text) <= set(AXIS_NAMES):
        fail(f"--periodic must be all, none, or axes such as xy, got {text!r}")
    return tuple(axis in text for axis in AXIS_NAMES)


def read_fractions(text: str) -> str | list[float] | dict[int | str, float] | None:
    """Return ``"auto"`` and ``"natural"`` unchanged, ``"raw"`` as None, or a number per phase.

    Numbers stand in the order of the labels, or after names, as in ``"fibre=0.4"``.
    """
    if text in ("auto", "natural"):
        return text
    if "=" in text:
        pairs = [pair.rpartition("=") for pair in text.split(",")]
        numbers = read_numbers(",".join(value for _, _, value in pairs), "--fractions")
        names = read_phase_list(",".join(name for name, _, _ in pairs))
        return dict(zip(names, numbers, strict=True))
    return None if text == "raw" else read_numbers(text, "--fractions")


def read_phase_list(text: str) -> list[int | str]:
    """Return ``"0,fibre"`` as labels and names."""
    words = [word.strip() for word in text.split(",")]
    return [int(word) if word.isdecimal() else word for word in words]


def read_window(text: str) -> int | str | None:
    """Return ``"auto"`` unchanged, ``"none"`` as None, or a number of pixels."""
    if text in ("auto", "none"):
        return None if text == "none" else text
    if not text.isdecimal():
        fail(f"--window must be auto, none or a number of pixels, got {text!r}")
    return int(text)


def read_harmonize(text: str | None) -> int | list[int] | None:
    """Return ``"4"`` as a number, ``"1,2,0"`` as one number per step."""
    if text is None:
        return None
    numbers = read_numbers(text, "--harmonize", int)
    return numbers[0] if len(numbers) == 1 else numbers


def read_coupling(text: str | None) -> list[list[float]] | None:
    """Return ``"0.1,0,0;0.2,0,0"`` as rows of numbers."""
    return None if text is None else [read_numbers(row, "--coupling") for row in text.split(";")]


def read_names(text: str | None) -> list[str] | None:
    """Return ``"matrix,fibre"`` as names."""
    return None if text is None else [name.strip() for name in text.split(",")]
